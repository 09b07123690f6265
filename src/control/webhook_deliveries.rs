//! `/_emulator/webhook_deliveries/*`: lists webhook deliveries, sends them again, and waits for them. Webhooks are not
//! implemented yet: the list is empty, no delivery is found, and none is outstanding.

use super::{Control, EmptyResult};
use crate::error::{Error, Resource, Result};
use crate::http::params::duration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Default of `timeout`, the maximum time that `wait` waits.
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

pub(super) async fn redeliver(call: Control<Redeliver>) -> Result<EmptyResult> {
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

/// Returns immediately, because no webhooks are sent yet. With webhooks, it is to wait until the first attempt of every
/// delivery has been made, or until the timeout.
pub(super) async fn wait(call: Control<Wait>) -> Result<Waited> {
    duration("timeout", call.input.timeout.as_deref().unwrap_or(DEFAULT_WAIT))?;
    call.workspace().await?;
    Ok(Waited { outstanding: 0 })
}
