//! The head of a request: how large it may be, and what it may say only once.
//!
//! What hyper refuses by itself has an empty answer: a head that is no HTTP (400), a URI of more than 65,534 bytes (414),
//! a head beyond its limits (431). Those limits lie well above ours, so that what a client may send by mistake has an
//! answer that explains itself.

use super::request_id;
use crate::error::{Error, Result};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

/// The longest path and query, in bytes: room for some hundred ids in a query.
pub(crate) const MAX_URI_BYTES: usize = 32 * 1024;

/// The most headers of a request.
pub(crate) const MAX_HEADERS: usize = 100;

/// The most bytes that the names and values of its headers may have together.
pub(crate) const MAX_HEADER_BYTES: usize = 64 * 1024;

/// The most headers that hyper reads at all.
pub(super) const MAX_PARSED_HEADERS: usize = 256;

/// The most bytes of headers that it reads at all on HTTP/2. On HTTP/1 its buffer has room for more.
pub(super) const MAX_PARSED_HEAD: u32 = 256 * 1024;

/// Refuses a head that is too large, or that says one thing twice.
pub(crate) async fn check<F>(request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let length = request.uri().path_and_query().map_or(0, |it| it.as_str().len());
    match check_uri(length).and_then(|()| check_headers(request.headers())) {
        Ok(()) => next(request).await,
        Err(error) => error.into_response(),
    }
}

fn check_uri(length: usize) -> Result<()> {
    if length > MAX_URI_BYTES { Err(Error::UriTooLong(MAX_URI_BYTES)) } else { Ok(()) }
}

fn check_headers(headers: &HeaderMap) -> Result<()> {
    // The id may be ours.
    let sent = || headers.iter().filter(|(name, _)| **name != request_id::HEADER);
    let bytes: usize = sent().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if sent().count() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(Error::HeadersTooLarge { most: MAX_HEADERS, most_bytes: MAX_HEADER_BYTES });
    }
    // Who believes one of them is misled by the other.
    for name in [header::HOST, header::ORIGIN] {
        if headers.get_all(&name).iter().nth(1).is_some() {
            return Err(Error::invalid_request(format!("The header {name} is there more than once: send it once")));
        }
    }
    Ok(())
}
