//! `/webhooks/update`.

use super::event_types;
use crate::api::edge::{Call, EmptyResult};
use crate::engine::webhooks;
use crate::error::{Resource, Result};
use crate::http::params::id_of;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Update {
    webhook_id: String,
    event_types: Vec<String>,
}

pub(super) async fn update(call: Call<Update>) -> Result<EmptyResult> {
    let event_types = event_types::checked(&call.app.contract, call.input.event_types)?;
    let webhook_id = id_of(Resource::Webhook, &call.input.webhook_id)?;
    webhooks::update(&call.app, call.caller.workspace.workspace_id, webhook_id, &event_types).await?;
    Ok(EmptyResult {})
}
