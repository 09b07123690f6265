//! The id of a request: in the header `seam-request-id` of each answer, in the log and in the list of requests.

use crate::ids;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

/// The header that carries it, both ways.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("seam-request-id");

/// The longest id that is taken from a client.
const MAX_LENGTH: usize = 128;

/// Keeps the id that the client chose if it is a plain one, gives the request a new one otherwise, and answers with it.
pub(crate) async fn set<F>(mut request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let chosen = request.headers().get(HEADER).filter(|id| is_plain(id)).cloned();
    let id = chosen.or_else(|| HeaderValue::from_str(&ids::random_id().to_string()).ok());
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

/// Whether an id has 1 to 128 visible ASCII characters.
fn is_plain(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_plain_up_to_its_longest_and_only_in_its_alphabet() {
        let is_plain = |text: &str| is_plain(&HeaderValue::from_str(text).unwrap());
        assert!(is_plain("a") && is_plain("0190163d-3f5a-7abc:run_7.x") && is_plain(&"a".repeat(128)));
        assert!(!is_plain("") && !is_plain(&"a".repeat(129)) && !is_plain("a b") && !is_plain("\u{e9}"));
    }
}
