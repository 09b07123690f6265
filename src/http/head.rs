//! The head of a request: its maximum size, and headers that may occur only once.
//!
//! hyper itself rejects some heads, with an empty response: a head that is not HTTP (400), a URI of more than 65,534
//! bytes (414), a head beyond hyper's limits (431). hyper's limits are well above the limits here, so that a client
//! that exceeds a limit by mistake receives a response with an explanation.

use super::request_id;
use crate::error::{Error, Result};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

/// Maximum length of path and query, in bytes: enough for several hundred ids in a query.
pub(crate) const MAX_URI_BYTES: usize = 32 * 1024;

/// Maximum number of headers of a request.
pub(crate) const MAX_HEADERS: usize = 100;

/// Maximum total length of the names and values of all headers, in bytes.
pub(crate) const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Maximum number of headers that hyper parses.
pub(super) const MAX_PARSED_HEADERS: usize = 256;

/// Maximum total length of headers that hyper parses on HTTP/2, in bytes. hyper's buffer for HTTP/1 is larger.
pub(super) const MAX_PARSED_HEAD: u32 = 256 * 1024;

/// Rejects a head that is too large, or that repeats a header that may occur only once.
pub(crate) async fn check<F>(request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let length = request.uri().path_and_query().map_or(0, |path_and_query| path_and_query.as_str().len());
    match check_uri(length).and_then(|()| check_headers(request.headers())) {
        Ok(()) => next(request).await,
        Err(error) => error.into_response(),
    }
}

/// Rejects a path with its query that is too long.
pub(crate) fn check_uri(length: usize) -> Result<()> {
    if length > MAX_URI_BYTES { Err(Error::UriTooLong(MAX_URI_BYTES)) } else { Ok(()) }
}

fn check_headers(headers: &HeaderMap) -> Result<()> {
    // The request id is not counted, because it may have been added by this server.
    let sent = || headers.iter().filter(|(name, _)| **name != request_id::HEADER);
    let bytes: usize = sent().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if sent().count() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(Error::HeadersTooLarge { most: MAX_HEADERS, most_bytes: MAX_HEADER_BYTES });
    }
    // If a header had two values, one part of the server could use the first and another part the second.
    for name in [header::HOST, header::ORIGIN] {
        if headers.get_all(&name).iter().nth(1).is_some() {
            return Err(Error::invalid_request(format!("The header {name} was sent more than once: send it once")));
        }
    }
    Ok(())
}
