//! How results and errors are answered: one envelope for all. What an error says is in [`crate::error`].

use crate::compute::{self, LONG_DOCUMENT};
use crate::error::Error;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use std::io;

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
pub(crate) const OK: &str = "\"ok\":true}";

/// Answers a result: the object itself with `"ok": true` as its last member. A long one is written away from the threads
/// that serve.
pub(crate) async fn ok(result: impl Serialize + Send) -> Answer {
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
pub(crate) fn not_ok(status: StatusCode, result: &impl Serialize, retry_after: u64) -> Answer {
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

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Answer::from(self).into_response()
    }
}

impl From<Error> for Answer {
    fn from(failure: Error) -> Self {
        let (status, kind) = failure.status_and_type();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = failure.retry_after();
        if let Error::HttpFaultInjected { body: Some(body), .. } = failure {
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
