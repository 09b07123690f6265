//! `/workspaces/update`.

use super::CUSTOMIZATION;
use crate::api::edge::{Call, EmptyResult};
use crate::engine::profiles;
use crate::error::Result;
use crate::store::workspaces::ProfileUpdate;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Update {
    name: Option<String>,
    connect_partner_name: Option<String>,
    connect_webview_customization: Option<Map<String, Value>>,
    is_suspended: Option<bool>,
    is_publishable_key_auth_enabled: Option<bool>,
    organization_id: Option<Uuid>,
}

pub(super) async fn update(call: Call<Update>) -> Result<EmptyResult> {
    let input = call.input;
    let mut customization = input.connect_webview_customization.unwrap_or_default();
    customization.retain(|name, _| CUSTOMIZATION.contains(&name.as_str()));
    let update = ProfileUpdate {
        name: input.name,
        connect_partner_name: input.connect_partner_name,
        connect_webview_customization: customization,
        is_suspended: input.is_suspended,
        is_publishable_key_auth_enabled: input.is_publishable_key_auth_enabled,
        organization_id: input.organization_id,
    };
    profiles::update(&call.app, call.caller.workspace.workspace_id, update).await?;
    Ok(EmptyResult {})
}
