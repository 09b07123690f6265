//! `/webhooks/update`.

use super::{event_types, webhook_id};
use crate::api::edge::{Call, EmptyResult};
use crate::engine::webhooks;
use crate::error::Result;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Update {
    webhook_id: String,
    event_types: Vec<String>,
}

pub(super) async fn update(call: Call<Update>) -> Result<EmptyResult> {
    let event_types = event_types::checked(&call.app.contract, call.input.event_types)?;
    let webhook_id = webhook_id(&call.input.webhook_id)?;
    webhooks::update(&call.app, call.caller.workspace.workspace_id, webhook_id, &event_types).await?;
    Ok(EmptyResult {})
}
