//! How results and errors are answered: one envelope for each, decided in one place.

use crate::error::Error;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

/// Answers a result: the object itself with `"ok": true` as its last member.
pub fn ok(result: &impl Serialize) -> Response {
    match ok_body(result) {
        Ok(body) => json_response(StatusCode::OK, body),
        Err(error) => Error::from(error).into_response(),
    }
}

/// Splices `ok` into the written object, so that no result needs a field for it.
fn ok_body(result: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut body = serde_json::to_vec(result)?;
    body.pop();
    if body.len() > 1 {
        body.push(b',');
    }
    body.extend_from_slice(br#""ok":true}"#);
    Ok(body)
}

fn json_response(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

impl Error {
    /// The status and Seam's `error.type` of each error.
    fn status_and_type(&self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidInput { .. } | Self::UnreadableBody(_) => (StatusCode::BAD_REQUEST, "invalid_input"),
            Self::InvalidQuery(_) => (StatusCode::BAD_REQUEST, "invalid_query_params"),
            Self::InvalidContentType(_) => (StatusCode::BAD_REQUEST, "invalid_content_type"),
            Self::MismatchedPageParameters(_) => (StatusCode::BAD_REQUEST, "mismatched_page_parameters"),
            Self::CodeCannotBeShared(_) => (StatusCode::BAD_REQUEST, "code_cannot_be_shared"),
            Self::DeviceOffline(_) => (StatusCode::BAD_REQUEST, "device_offline"),
            Self::CannotProgramOnlineAccessCodes(_) => {
                (StatusCode::BAD_REQUEST, "device_cannot_program_online_access_codes")
            }
            Self::NoSpace { .. } => (StatusCode::BAD_REQUEST, "no_space_for_access_code_on_device"),
            Self::DeviceRemoved(_) => (StatusCode::BAD_REQUEST, "device_removed"),
            Self::OfflineAccessCodeNotModifiable => (StatusCode::BAD_REQUEST, "offline_access_code_not_modifiable"),
            Self::CannotDeleteUnmanagedAccessCode => (StatusCode::BAD_REQUEST, "cannot_delete_unmanaged_access_code"),
            Self::DeviceTypeNotSupported(_) => (StatusCode::BAD_REQUEST, "device_type_not_supported"),
            Self::AccessCodeNotTimeBound => (StatusCode::BAD_REQUEST, "access_code_not_time_bound"),
            Self::NoCodeLeft => (StatusCode::BAD_REQUEST, "no_code_left"),
            Self::InvalidClientSessionToken => (StatusCode::BAD_REQUEST, "invalid_client_session_token"),
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::ClientSessionNotFound => (StatusCode::UNAUTHORIZED, "client_session_not_found"),
            Self::NoSuchPath { .. } | Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::DeviceNotFound => (StatusCode::NOT_FOUND, "device_not_found"),
            Self::BackupAccessCodeNotFound => (StatusCode::NOT_FOUND, "backup_access_code_not_found"),
            Self::NotInMemory => (StatusCode::NOT_FOUND, "access_code_not_found"),
            Self::FaultNotFound => (StatusCode::NOT_FOUND, "fault_not_found"),
            Self::ConnectedAccountNotFound => (StatusCode::NOT_FOUND, "connected_account_not_found"),
            Self::AccessCodeNotFound { .. } | Self::CommonCodeKeyNotFound(_) => {
                (StatusCode::NOT_FOUND, "access_code_not_found")
            }
            Self::EventNotFound => (StatusCode::NOT_FOUND, "event_not_found"),
            Self::ActionAttemptNotFound => (StatusCode::NOT_FOUND, "action_attempt_not_found"),
            Self::WorkspaceNotFound => (StatusCode::NOT_FOUND, "workspace_not_found"),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::TimedOut(_) => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::DuplicateAccessCode { .. } => (StatusCode::CONFLICT, "duplicate_access_code"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::PayloadTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::NotImplemented(_) => (StatusCode::NOT_IMPLEMENTED, "not_implemented"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error"),
        }
    }

    /// What programs may want to know besides the message; an object, as typed SDKs expect.
    fn data(&self) -> Option<Value> {
        match self {
            Self::CodeCannotBeShared(reasons) => {
                let device_ids: Vec<_> = reasons.iter().map(|(device_id, _)| device_id).collect();
                Some(json!({ "device_ids": device_ids }))
            }
            Self::DeviceOffline(device_id)
            | Self::CannotProgramOnlineAccessCodes(device_id)
            | Self::DeviceRemoved(device_id)
            | Self::NoSpace { device_id, .. } => Some(json!({ "device_id": device_id })),
            Self::AccessCodeNotFound { device_id, access_code_id } => {
                Some(json!({ "device_id": device_id, "access_code_id": access_code_id }))
            }
            _ => None,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, kind) = self.status_and_type();
        let mut error = json!({ "type": kind, "message": self.to_string() });
        if let Some(data) = self.data() {
            error["data"] = data;
        }
        match self {
            Self::InvalidInput { validation_errors, .. } => error["validation_errors"] = validation_errors,
            Self::Internal(cause) => {
                tracing::error!(%cause, "a request failed");
                error["message"] = json!("Something went wrong. The server's log has more under the request id.");
            }
            _ => {}
        }
        json_response(status, json!({ "error": error, "ok": false }).to_string().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ok_is_the_last_member_of_every_result() {
        assert_eq!(ok_body(&json!({})).unwrap(), br#"{"ok":true}"#);
        assert_eq!(ok_body(&json!({"a": [1]})).unwrap(), br#"{"a":[1],"ok":true}"#);
    }
}
