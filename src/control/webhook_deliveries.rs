//! `/_emulator/webhook_deliveries/*`: lists webhook deliveries, sends them again, and waits for them.

use super::{Control, EmptyResult};
use crate::clock::{Timestamp, iso};
use crate::domain::webhook::{Attempt, DUE_AT_ONCE, message_id};
use crate::engine::{outstanding_deliveries, webhooks};
use crate::error::{Error, Result};
use crate::http::params::duration;
use crate::store::webhook_deliveries::{self, Filter, ListedDelivery};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Default of `timeout`, the maximum time that `wait` waits.
const DEFAULT_WAIT: &str = "PT10S";

/// Default number of deliveries in a list.
const DEFAULT_LIMIT: i64 = 100;

#[derive(Deserialize)]
pub(super) struct List {
    webhook_id: Option<Uuid>,
    event_id: Option<Uuid>,
    status: Option<String>,
    limit: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    webhook_deliveries: Vec<DeliveryBody>,
}

#[derive(Serialize)]
struct DeliveryBody {
    webhook_delivery_id: Uuid,
    svix_id: String,
    webhook_id: Uuid,
    event_id: Uuid,
    event_type: String,
    url: String,
    status: String,
    attempts: i32,
    response_status: Option<u16>,
    error: Option<String>,
    #[serde(with = "iso::option")]
    next_attempt_at: Option<Timestamp>,
    #[serde(with = "iso")]
    created_at: Timestamp,
    attempt_log: Vec<Attempt>,
}

impl From<ListedDelivery> for DeliveryBody {
    fn from(delivery: ListedDelivery) -> Self {
        let last = delivery.attempt_log.last();
        Self {
            webhook_delivery_id: delivery.webhook_delivery_id,
            svix_id: message_id(delivery.webhook_delivery_id),
            webhook_id: delivery.webhook_id,
            event_id: delivery.event_id,
            event_type: delivery.event_type,
            url: delivery.url,
            status: delivery.status,
            attempts: delivery.attempts,
            response_status: last.and_then(|attempt| attempt.response_status),
            error: last.and_then(|attempt| attempt.error.clone()),
            next_attempt_at: delivery.due_at.filter(|due_at| *due_at != DUE_AT_ONCE),
            created_at: delivery.created_at,
            attempt_log: delivery.attempt_log.0,
        }
    }
}

pub(super) async fn list(call: Control<List>) -> Result<Listed> {
    let workspace_id = call.workspace().await?.workspace_id;
    let List { webhook_id, event_id, status, limit } = call.input;
    #[expect(clippy::cast_possible_truncation, reason = "the contract limits it")]
    let limit = limit.map_or(DEFAULT_LIMIT, |limit| limit as i64);
    let filter = Filter { webhook_id, event_id, status, limit };
    let found = webhook_deliveries::list(&call.app.pool, workspace_id, filter).await?;
    Ok(Listed { webhook_deliveries: found.into_iter().map(DeliveryBody::from).collect() })
}

#[derive(Deserialize)]
pub(super) struct Redeliver {
    webhook_delivery_id: Uuid,
}

pub(super) async fn redeliver(call: Control<Redeliver>) -> Result<EmptyResult> {
    let workspace_id = call.workspace().await?.workspace_id;
    webhooks::redeliver(&call.app, workspace_id, call.input.webhook_delivery_id).await?;
    Ok(EmptyResult {})
}

#[derive(Deserialize)]
pub(super) struct Wait {
    timeout: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Waited {
    outstanding: i64,
}

/// Returns when the first attempt of every delivery was made, or after the timeout. Ends when the client disconnects.
pub(super) async fn wait(call: Control<Wait>) -> Result<Waited> {
    let timeout = duration("timeout", call.input.timeout.as_deref().unwrap_or(DEFAULT_WAIT))?;
    let timeout = timeout.to_std().map_err(|error| Error::Internal(error.into()))?;
    let workspace_id = call.workspace().await?.workspace_id;
    Ok(Waited { outstanding: outstanding_deliveries::wait(&call.app, workspace_id, timeout).await? })
}
