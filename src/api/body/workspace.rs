//! Seam's `workspace`.

use crate::domain::workspace::Workspace;
use serde_json::{Value, json};

/// Returns the workspace as `/workspaces/get` shows it.
pub(crate) fn of(workspace: &Workspace) -> Value {
    json!({
        "workspace_id": workspace.workspace_id,
        "name": workspace.name,
        "company_name": workspace.name,
        "connect_partner_name": workspace.name,
        "organization_id": null,
        "is_sandbox": workspace.is_sandbox,
        "is_suspended": false,
        "publishable_key": workspace.publishable_key,
        "is_publishable_key_auth_enabled": true,
        "connect_webview_customization": {},
    })
}
