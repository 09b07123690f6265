//! `/webhooks/delete`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::webhooks;
use crate::error::{Resource, Result};
use crate::http::params::id_of;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Delete {
    webhook_id: String,
}

pub(super) async fn delete(call: Call<Delete>) -> Result<EmptyResult> {
    let webhook_id = id_of(Resource::Webhook, &call.input.webhook_id)?;
    webhooks::delete(&call.app, call.caller.workspace.workspace_id, webhook_id).await?;
    Ok(EmptyResult {})
}
