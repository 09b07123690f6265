//! `latchkey env`: the environment variables by which SDKs and tests find a server.

use super::health::{self, HealthError};
use crate::domain::sandbox::API_KEY;
use std::fmt::Write as _;

/// Environment variables that the SDKs read too. They refuse two kinds of credentials at once.
pub(super) const CONFLICTING_VARIABLES: [&str; 4] =
    ["SEAM_PERSONAL_ACCESS_TOKEN", "SEAM_WORKSPACE_ID", "SEAM_CLIENT_SESSION_TOKEN", "SEAM_API_URL"];

/// Returns the variables for a workspace of the server with this base URL.
pub(super) fn variables(url: &str, api_key: &str) -> [(&'static str, String); 3] {
    [("SEAM_ENDPOINT", url.to_owned()), ("SEAM_API_KEY", api_key.to_owned()), ("LATCHKEY_URL", url.to_owned())]
}

/// Returns the commands of a shell that set the variables for the sandbox of the running server with this base URL.
///
/// # Errors
/// A [`HealthError`] if no server is running there.
pub fn script(url: &str) -> Result<String, HealthError> {
    health::ask(url)?;
    let mut script = format!("unset {}", CONFLICTING_VARIABLES.join(" "));
    for (name, value) in variables(url.trim_end_matches('/'), API_KEY) {
        // Writing to a text does not fail.
        let _ = write!(script, "\nexport {name}='{}'", value.replace('\'', r"'\''"));
    }
    Ok(script)
}
