//! `/_emulator/webhook_deliveries/*`: what was sent to webhooks, again, and when it is done. There are no webhooks to send
//! to yet: nothing is listed, nothing can be sent again, and nothing is outstanding.

use super::{Control, Done};
use crate::error::{Error, Resource, Result};
use crate::http::params::duration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// How long `wait` waits unless it is told.
const DEFAULT_WAIT: &str = "PT10S";

#[derive(Deserialize)]
#[expect(dead_code, reason = "there is nothing to choose from yet")]
pub(super) struct List {
    webhook_id: Option<Uuid>,
    event_id: Option<Uuid>,
    status: Option<String>,
    limit: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    webhook_deliveries: Vec<Value>,
}

pub(super) async fn list(call: Control<List>) -> Result<Listed> {
    call.workspace().await?;
    Ok(Listed { webhook_deliveries: Vec::new() })
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "there is none yet")]
pub(super) struct Redeliver {
    webhook_delivery_id: Uuid,
}

pub(super) async fn redeliver(call: Control<Redeliver>) -> Result<Done> {
    call.workspace().await?;
    Err(Error::NotFound(Resource::WebhookDelivery))
}

#[derive(Deserialize)]
pub(super) struct Wait {
    timeout: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Waited {
    outstanding: usize,
}

/// Answers when every first attempt has been made, or the time is over.
pub(super) async fn wait(call: Control<Wait>) -> Result<Waited> {
    duration("timeout", call.input.timeout.as_deref().unwrap_or(DEFAULT_WAIT))?;
    call.workspace().await?;
    Ok(Waited { outstanding: 0 })
}
