//! How results and errors are answered: one envelope for each, decided in one place.

use crate::compute::{self, LONG_DOCUMENT};
use crate::error::Error;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use std::io;

/// After how many seconds to ask again what could not be served.
const UNAVAILABLE_FOR: u64 = 1;

/// What is answered, before it is a response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body, JSON.
    pub body: Bytes,
    /// After how many seconds the caller may try again.
    pub retry_after: Option<u64>,
}

/// The end of every success.
pub const OK: &str = "\"ok\":true}";

/// Answers a result: the object itself with `"ok": true` as its last member. A long one is written away from the threads
/// that serve.
pub async fn ok(result: impl Serialize + Send) -> Answer {
    let mut short = Short(Vec::with_capacity(256));
    let written = match serde_json::to_writer(&mut short, &result) {
        Err(error) if error.is_io() => compute::run(move || serde_json::to_vec(&result)).await,
        written => written.map(|()| short.0),
    };
    match written {
        Ok(body) => Answer { status: StatusCode::OK, body: with_last_member(body, OK).into(), retry_after: None },
        Err(error) => Error::from(error).into(),
    }
}

/// Answers the object itself with `"ok": false` as its last member.
pub fn not_ok(status: StatusCode, result: &impl Serialize, retry_after: u64) -> Answer {
    match serde_json::to_vec(result) {
        Ok(body) => {
            let body = with_last_member(body, r#""ok":false}"#).into();
            Answer { status, body, retry_after: Some(retry_after) }
        }
        Err(error) => Error::from(error).into(),
    }
}

/// Splices `ok` into the written object, so that no result needs a field for it.
fn with_last_member(mut body: Vec<u8>, member: &str) -> Vec<u8> {
    body.pop();
    if body.len() > 1 {
        body.push(b',');
    }
    body.extend_from_slice(member.as_bytes());
    body
}

/// What is written, as long as it does not get long: how long a result is, nobody knows before.
struct Short(Vec<u8>);

impl io::Write for Short {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.0.len() + piece.len() > LONG_DOCUMENT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The `error.type` of an error that a tester asks for by its status alone.
fn type_of_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "invalid_input",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        408 => "request_timeout",
        409 => "conflict",
        429 => "rate_limit_exceeded",
        501 => "not_implemented",
        502 => "bad_gateway",
        503 => "service_unavailable",
        504 => "gateway_timeout",
        _ if status.is_client_error() => "bad_request",
        _ => "internal_server_error",
    }
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
            Self::NoSuchPath { .. } => (StatusCode::NOT_FOUND, "not_found"),
            Self::DeviceNotFound => (StatusCode::NOT_FOUND, "device_not_found"),
            Self::BackupAccessCodeNotFound => (StatusCode::NOT_FOUND, "backup_access_code_not_found"),
            Self::NotInMemory => (StatusCode::NOT_FOUND, "access_code_not_found"),
            Self::FaultNotFound => (StatusCode::NOT_FOUND, "fault_not_found"),
            Self::HttpFaultNotFound => (StatusCode::NOT_FOUND, "http_fault_not_found"),
            Self::SnapshotNotFound => (StatusCode::NOT_FOUND, "snapshot_not_found"),
            Self::WebhookDeliveryNotFound => (StatusCode::NOT_FOUND, "webhook_delivery_not_found"),
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
            Self::Conflict(_) | Self::InUse(_) | Self::SandboxInUse(_) => (StatusCode::CONFLICT, "conflict"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
            Self::Arranged { status, .. } => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, type_of_status(status))
            }
            Self::ConnectionReset(_) => (StatusCode::BAD_GATEWAY, "connection_reset"),
            Self::PayloadTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::UriTooLong(_) => (StatusCode::URI_TOO_LONG, "uri_too_long"),
            Self::HeadersTooLarge { .. } => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "request_header_fields_too_large")
            }
            Self::NotImplemented(_) => (StatusCode::NOT_IMPLEMENTED, "not_implemented"),
            Self::TooManySteps { .. } => (StatusCode::BAD_REQUEST, "too_many_steps"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "service_unavailable"),
            Self::OutcomeUnknown(_) | Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error"),
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
            | Self::RateLimited { device_id, .. }
            | Self::NoSpace { device_id, .. } => Some(json!({ "device_id": device_id })),
            Self::TooManySteps { steps, limit } => Some(json!({ "steps": steps, "limit": limit })),
            Self::DuplicateAccessCode { access_code_id, .. } => Some(json!({ "access_code_id": access_code_id })),
            Self::AccessCodeNotFound { device_id, access_code_id } => {
                let named = [("device_id", device_id), ("access_code_id", access_code_id)];
                let named = named.into_iter().filter_map(|(name, id)| Some((name.to_owned(), json!(id.as_ref()?))));
                Some(Value::Object(named.collect()))
            }
            _ => None,
        }
    }

    /// After how many seconds the caller may try again, where that is known.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            Self::Arranged { retry_after, .. } => *retry_after,
            Self::Unavailable(_) => Some(UNAVAILABLE_FOR),
            _ => None,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Answer::from(self).into_response()
    }
}

impl From<Error> for Answer {
    fn from(failure: Error) -> Self {
        let (status, kind) = failure.status_and_type();
        let retry_after = failure.retry_after();
        if let Error::Arranged { body: Some(body), .. } = failure {
            return Self { status, body: body.to_string().into(), retry_after };
        }
        let mut error = json!({ "type": kind, "message": failure.to_string() });
        if let Some(data) = failure.data() {
            error["data"] = data;
        }
        match failure {
            Error::InvalidInput { validation_errors, .. } => error["validation_errors"] = validation_errors,
            Error::OutcomeUnknown(cause) => tracing::error!(%cause, "the answer to a commit was lost"),
            Error::Internal(cause) => {
                tracing::error!(%cause, "a request failed");
                error["message"] = json!("Something went wrong. The server's log has more under the request id.");
            }
            _ => {}
        }
        Self { status, body: json!({ "error": error, "ok": false }).to_string().into(), retry_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ok_is_the_last_member_of_every_result() {
        assert_eq!(ok(json!({})).await.body, br#"{"ok":true}"#.as_slice());
        assert_eq!(ok(json!({"a": [1]})).await.body, br#"{"a":[1],"ok":true}"#.as_slice());
        let long = "a".repeat(LONG_DOCUMENT);
        assert_eq!(ok(json!({ "a": long })).await.body, format!("{{\"a\":\"{long}\",\"ok\":true}}").into_bytes());
        let down = not_ok(StatusCode::SERVICE_UNAVAILABLE, &json!({"a": [1]}), 1);
        assert_eq!((down.body, down.retry_after), (br#"{"a":[1],"ok":false}"#.as_slice().into(), Some(1)));
    }
}
