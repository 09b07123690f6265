//! Seam's `workspace`.

use crate::domain::workspace::Workspace;
use serde_json::{Value, json};

/// Returns the workspace as `/workspaces/get` shows it.
pub(crate) fn of(workspace: &Workspace) -> Value {
    let connect_partner_name = workspace.connect_partner_name.as_ref().unwrap_or(&workspace.name);
    json!({
        "workspace_id": workspace.workspace_id,
        "name": workspace.name,
        "company_name": connect_partner_name,
        "connect_partner_name": connect_partner_name,
        "organization_id": workspace.organization_id,
        "is_sandbox": workspace.is_sandbox,
        "is_suspended": workspace.is_suspended,
        "publishable_key": workspace.publishable_key,
        "is_publishable_key_auth_enabled": workspace.is_publishable_key_auth_enabled,
        "connect_webview_customization": workspace.connect_webview_customization,
    })
}
