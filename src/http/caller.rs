//! Who is calling: credentials resolved to a workspace, in the order and words of Seam's servers.

use crate::app::App;
use crate::contract::Endpoint;
use crate::error::{Error, Result};
use crate::workspaces::Workspace;
use axum::http::HeaderMap;
use std::sync::Arc;
use uuid::Uuid;

/// Nothing that was sent is a credential for this endpoint.
const NOTHING_APPLIED: Error = Error::Unauthorized("No authentication methods succeeded");

/// The workspace whose credential came with the request.
pub async fn authenticate(app: &App, endpoint: &Endpoint, headers: &HeaderMap) -> Result<Arc<Workspace>> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    // Some clients send these two empty; then they are not there.
    for name in ["seam-client-session-token", "client-session-token"] {
        if let Some(token) = header(name) {
            if !token.starts_with("seam_cst") {
                return Err(Error::InvalidClientSessionToken);
            }
            return Err(Error::ClientSessionNotFound);
        }
    }
    let token = header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if token.is_empty() {
        return Err(NOTHING_APPLIED);
    }
    if token.starts_with("seam_cst") {
        return Err(Error::ClientSessionNotFound);
    }
    if token.starts_with("seam_at") {
        let workspace_id = header("seam-workspace").ok_or(NOTHING_APPLIED)?;
        if !endpoint.allows("pat_with_workspace") {
            return Err(NOTHING_APPLIED);
        }
        let workspace = app.workspaces.of_token(&app.pool, "personal_access_token", token).await?;
        let asked_for = Uuid::parse_str(workspace_id).ok();
        return workspace
            .filter(|workspace| Some(workspace.workspace_id) == asked_for)
            .ok_or(Error::Unauthorized("Access token not found"));
    }
    if token.starts_with("seam_pk") || token.starts_with("ey") || !endpoint.allows("api_key") {
        return Err(NOTHING_APPLIED);
    }
    app.workspaces.of_token(&app.pool, "api_key", token).await?.ok_or(Error::Unauthorized("API Key not found"))
}
