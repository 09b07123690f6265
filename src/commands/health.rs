//! `latchkey health`: requests `/health` from a running server, for containers and scripts.

use super::request::{self, RequestError};
use serde_json::Value;

/// Reason why a server does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// There is no response.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The response is not that of a healthy Latchkey.
    #[error("{url} responds, but not as a healthy Latchkey: {answer}")]
    Other {
        /// Base URL of the server.
        url: String,
        /// Status line of the response, with the message in its body, if any.
        answer: String,
    },
}

/// Requests `/health` from the server with this base URL, and returns the message in its response.
///
/// # Errors
/// A [`HealthError`] unless the server reports that it is serving.
pub fn ask(url: &str) -> Result<String, HealthError> {
    let response = request::send("GET", url, "/health", None)?;
    let message = response.body.get("msg").and_then(Value::as_str);
    let is_serving = response.is_ok() && response.body.get("ok") == Some(&Value::Bool(true));
    match message.filter(|_| is_serving) {
        Some(message) => Ok(message.to_owned()),
        None => Err(HealthError::Other { url: url.to_owned(), answer: response.summary(message) }),
    }
}
