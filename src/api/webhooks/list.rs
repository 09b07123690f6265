//! `/webhooks/list`.

use crate::api::body::webhook::WebhookBody;
use crate::api::edge::{Call, NoParameters};
use crate::error::Result;
use crate::store::webhooks;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Listed {
    webhooks: Vec<WebhookBody>,
}

pub(super) async fn list(call: Call<NoParameters>) -> Result<Listed> {
    let webhooks = webhooks::list(&call.app.pool, call.caller.workspace.workspace_id).await?;
    Ok(Listed { webhooks: webhooks.into_iter().map(WebhookBody::from).collect() })
}
