//! `/webhooks/delete`.

use super::webhook_id;
use crate::api::edge::{Call, EmptyResult};
use crate::engine::webhooks;
use crate::error::Result;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Delete {
    webhook_id: String,
}

pub(super) async fn delete(call: Call<Delete>) -> Result<EmptyResult> {
    let webhook_id = webhook_id(&call.input.webhook_id)?;
    webhooks::delete(&call.app, call.caller.workspace.workspace_id, webhook_id).await?;
    Ok(EmptyResult {})
}
