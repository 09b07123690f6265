//! `/webhooks/get`.

use crate::api::body::webhook::WebhookBody;
use crate::api::edge::Call;
use crate::error::{Error, Resource, Result};
use crate::http::params::id_of;
use crate::store::webhooks;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub(super) struct Get {
    webhook_id: String,
}

#[derive(Serialize)]
pub(super) struct Found {
    webhook: WebhookBody,
}

pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    let webhook_id = id_of(Resource::Webhook, &call.input.webhook_id)?;
    let webhook = webhooks::find(&call.app.pool, call.caller.workspace.workspace_id, webhook_id).await?;
    Ok(Found { webhook: webhook.ok_or(Error::NotFound(Resource::Webhook))?.into() })
}
