//! Authentication: resolves credentials to a caller, in the order and with the messages of Seam's servers.

use crate::contract::Endpoint;
use crate::domain::caller::{Caller, Credential};
use crate::domain::sandbox;
use crate::domain::workspace::Workspace;
use crate::engine::app::App;
use crate::error::{Error, Result};
use crate::http::origin::Origin;
use axum::http::HeaderMap;
use std::sync::Arc;
use uuid::Uuid;

/// Error for a request without a credential that this endpoint accepts.
const NO_METHOD_SUCCEEDED: Error = Error::Unauthorized("No authentication methods succeeded");

/// Error for the sandbox's public API key in a request of a web page from elsewhere. Otherwise every page that a user
/// of this machine visits could use the server.
const DEFAULT_KEY_REFUSED: Error = Error::Unauthorized(
    "The API key of the sandbox is public, so only web pages from localhost, 127.0.0.1 and [::1] may use it. Create a \
     workspace (POST /_emulator/workspaces/create) and use its API key here",
);

/// Prefixes of tokens that are not API keys: client session tokens, personal access tokens, publishable keys, and
/// tokens of Seam's console (JSON Web Tokens, which begin with `ey`).
const OTHER_TOKENS: [&str; 4] = ["seam_cst", "seam_at", "seam_pk", "ey"];

/// Returns the workspace of the API key in the request, for the request log. `None` without a valid API key, or if a
/// web page from elsewhere uses the sandbox's public key.
pub(crate) async fn of_api_key(app: &App, headers: &HeaderMap) -> Result<Option<Arc<Workspace>>> {
    let header = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match header.strip_prefix("Bearer ") {
        Some(token) if is_misused_by_page(token, headers) => Ok(None),
        Some(token) => app.workspaces.of_token(&app.pool, "api_key", token).await,
        None => Ok(None),
    }
}

/// Returns the caller, determined by the credential in the request.
///
/// Tries the security schemes in the order of the endpoint. Skips a scheme if the request has no credential of its
/// form.
///
/// # Errors
/// The first credential of an accepted form is not valid, or no scheme applies.
pub(crate) async fn authenticate(app: &App, endpoint: &Endpoint, headers: &HeaderMap) -> Result<Caller> {
    // Some clients send empty headers. They count as missing.
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    for scheme in endpoint.security() {
        match scheme {
            // Latchkey has no client sessions, so every client session token is rejected.
            "client_session" | "client_session_with_customer" => {
                let sent = header("seam-client-session-token").or_else(|| header("client-session-token"));
                if sent.is_some_and(|token| !token.starts_with("seam_cst")) {
                    return Err(Error::InvalidClientSessionToken);
                }
                if sent.unwrap_or(bearer).starts_with("seam_cst") {
                    return Err(Error::ClientSessionNotFound);
                }
            }
            "pat_with_workspace" if bearer.starts_with("seam_at") => {
                let Some(workspace_id) = header("seam-workspace") else {
                    continue;
                };
                let workspace = app.workspaces.of_token(&app.pool, "personal_access_token", bearer).await?;
                let requested_id = Uuid::parse_str(workspace_id).ok();
                return workspace
                    .filter(|workspace| Some(workspace.workspace_id) == requested_id)
                    .map(|workspace| Caller { workspace, credential: Credential::PersonalAccessToken })
                    .ok_or(Error::Unauthorized("Access token not found"));
            }
            "api_key" if !bearer.is_empty() && !OTHER_TOKENS.iter().any(|prefix| bearer.starts_with(prefix)) => {
                if is_misused_by_page(bearer, headers) {
                    return Err(DEFAULT_KEY_REFUSED);
                }
                let workspace = app.workspaces.of_token(&app.pool, "api_key", bearer).await?;
                return workspace
                    .map(|workspace| Caller { workspace, credential: Credential::ApiKey })
                    .ok_or(Error::Unauthorized("API Key not found"));
            }
            _ => {}
        }
    }
    Err(NO_METHOD_SUCCEEDED)
}

/// Returns true if a web page from elsewhere uses the sandbox's API key, which is public. The sandbox's other tokens
/// are random.
fn is_misused_by_page(api_key: &str, headers: &HeaderMap) -> bool {
    api_key == sandbox::API_KEY && Origin::of(headers) == Origin::CrossSite
}
