//! `latchkey reset`: returns a workspace of a running server to its initial state.

use super::request::{self, RequestError};
use serde_json::Value;

/// Reason why a workspace was not reset.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// There is no response.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The server rejects the request.
    #[error("{url} did not reset the workspace: {answer}")]
    Rejected {
        /// Base URL of the server.
        url: String,
        /// Status line of the response, with the message in its body, if any.
        answer: String,
    },
}

/// Resets the workspace with this API key on the server with this base URL.
///
/// # Errors
/// A [`ResetError`] unless the workspace was reset.
pub fn reset(url: &str, api_key: &str) -> Result<(), ResetError> {
    let response = request::send("POST", url, "/_emulator/workspaces/reset", Some(api_key))?;
    if response.is_ok() {
        return Ok(());
    }
    let message = response.body.pointer("/error/message").and_then(Value::as_str);
    Err(ResetError::Rejected { url: url.to_owned(), answer: response.summary(message) })
}
