//! The envelope of all responses, for results and for errors. The texts of errors are in [`crate::error`].

use crate::compute::{self, LONG_DOCUMENT};
use crate::error::Error;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use std::convert::Infallible;
use std::io;

/// A response before its conversion to an axum response.
#[derive(Clone, Debug)]
pub struct JsonResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// JSON body, in pieces.
    pub body: Vec<Bytes>,
    /// Seconds after which the caller may retry.
    pub retry_after: Option<u64>,
}

/// Result of a handler.
pub trait Answer: Send {
    /// Returns the response: the result as an object with `"ok": true` as its last member.
    fn into_json_response(self) -> impl Future<Output = JsonResponse> + Send;
}

impl<T: Serialize + Send> Answer for T {
    fn into_json_response(self) -> impl Future<Output = JsonResponse> + Send {
        ok(self)
    }
}

/// End of the body of every successful response.
pub(crate) const OK: &str = "\"ok\":true}";

/// Returns the response for a result: the object with `"ok": true` as its last member. A long object is serialized with
/// [`compute::run`], so that it does not delay other requests.
pub(crate) async fn ok(result: impl Serialize + Send) -> JsonResponse {
    let mut short = LimitedBuffer(Vec::with_capacity(256));
    let written = match serde_json::to_writer(&mut short, &result) {
        Err(error) if error.is_io() => compute::run(move || serde_json::to_vec(&result)).await,
        written => written.map(|()| short.0),
    };
    match written {
        Ok(body) => ok_pieces(vec![with_last_member(body, OK)]),
        Err(error) => Error::from(error).into(),
    }
}

/// Returns the response with this complete body.
pub(crate) fn ok_pieces(body: Vec<Bytes>) -> JsonResponse {
    JsonResponse { status: StatusCode::OK, body, retry_after: None }
}

/// Returns a response with the object and `"ok": false` as its last member.
pub(crate) fn not_ok(status: StatusCode, result: &impl Serialize, retry_after: u64) -> JsonResponse {
    match serde_json::to_vec(result) {
        Ok(body) => {
            let body = vec![with_last_member(body, r#""ok":false}"#)];
            JsonResponse { status, body, retry_after: Some(retry_after) }
        }
        Err(error) => Error::from(error).into(),
    }
}

/// Adds `member`, which includes the closing brace, to a serialized object, so that no result type needs a field for
/// it.
fn with_last_member(mut body: Vec<u8>, member: &str) -> Bytes {
    body.pop();
    if body.len() > 1 {
        body.push(b',');
    }
    body.extend_from_slice(member.as_bytes());
    body.into()
}

/// A buffer that rejects more than [`LONG_DOCUMENT`] bytes, because the length of a result is unknown before it is
/// serialized.
struct LimitedBuffer(Vec<u8>);

impl io::Write for LimitedBuffer {
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

impl IntoResponse for JsonResponse {
    fn into_response(self) -> Response {
        let length: usize = self.body.iter().map(Bytes::len).sum();
        // Each piece is freed when it was sent.
        let body = match <[Bytes; 1]>::try_from(self.body) {
            Ok([whole]) => Body::from(whole),
            Err(pieces) => Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>))),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        JsonResponse::from(self).into_response()
    }
}

impl From<Error> for JsonResponse {
    fn from(failure: Error) -> Self {
        let (status, kind) = failure.status_and_type();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = failure.retry_after();
        if let Error::HttpFaultInjected { body: Some(body), .. } = failure {
            return Self { status, body: vec![body.to_string().into()], retry_after };
        }
        let mut error = json!({ "type": kind, "message": failure.to_string() });
        if let Some(data) = failure.data() {
            error["data"] = data;
        }
        match failure {
            Error::InvalidInput { validation_errors, .. } => error["validation_errors"] = validation_errors,
            Error::OutcomeUnknown(cause) => tracing::error!(%cause, "the result of a commit is unknown"),
            Error::Internal(cause) => {
                tracing::error!(%cause, "a request failed");
                error["message"] = json!("Internal error. Search the server's log for the request id.");
            }
            _ => {}
        }
        Self { status, body: vec![json!({ "error": error, "ok": false }).to_string().into()], retry_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ok_is_the_last_member_of_every_result() {
        assert_eq!(ok(json!({})).await.body.concat(), br#"{"ok":true}"#);
        assert_eq!(ok(json!({"a": [1]})).await.body.concat(), br#"{"a":[1],"ok":true}"#);
        let long = "a".repeat(LONG_DOCUMENT);
        assert_eq!(
            ok(json!({ "a": long })).await.body.concat(),
            format!("{{\"a\":\"{long}\",\"ok\":true}}").into_bytes()
        );
        let unavailable = not_ok(StatusCode::SERVICE_UNAVAILABLE, &json!({"a": [1]}), 1);
        assert_eq!(
            (unavailable.body.concat().as_slice(), unavailable.retry_after),
            (br#"{"a":[1],"ok":false}"#.as_slice(), Some(1))
        );
    }
}
