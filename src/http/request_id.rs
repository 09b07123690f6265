//! The request id: in the header `seam-request-id` of each response, in the server's log and in the request log.

use crate::ids;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

/// Header with the request id, in requests and in responses.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("seam-request-id");

/// Maximum length of an id that is accepted from a client.
const MAX_LENGTH: usize = 128;

/// Uses the id that the client sent if it is plain, and a new one otherwise. Adds the id to the request and to the
/// response.
pub(crate) async fn set<F>(mut request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let sent = request.headers().get(HEADER).filter(|id| is_plain(id)).cloned();
    let id = sent.or_else(|| HeaderValue::from_str(&ids::random_id().to_string()).ok());
    match &id {
        Some(id) => request.headers_mut().insert(HEADER, id.clone()),
        None => request.headers_mut().remove(HEADER),
    };
    let mut response = next(request).await;
    if let Some(id) = id {
        response.headers_mut().insert(HEADER, id);
    }
    response
}

/// Returns true if an id has 1 to 128 visible ASCII characters.
fn is_plain(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_id_is_plain_if_it_is_short_and_visible_ascii() {
        let is_plain = |text: &str| is_plain(&HeaderValue::from_str(text).unwrap());
        assert!(is_plain("a") && is_plain("0190163d-3f5a-7abc:run_7.x") && is_plain(&"a".repeat(128)));
        assert!(!is_plain("") && !is_plain(&"a".repeat(129)) && !is_plain("a b") && !is_plain("\u{e9}"));
    }
}
