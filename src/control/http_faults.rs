//! `/_emulator/http_faults/*`: error responses, delays and connection resets that tests configure for requests.

use super::{Control, EmptyResult, NoParameters};
use crate::clock::{Timestamp, iso};
use crate::domain::http_fault::{HttpFault, HttpFaultOutcome};
use crate::engine::locked_workspace;
use crate::error::{Error, Resource, Result};
use crate::http::params::duration;
use crate::store::http_faults;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Create {
    path: Option<String>,
    method: Option<String>,
    outcome: HttpFaultOutcome,
    times: Option<i32>,
    probability: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct Created {
    http_fault: HttpFaultBody,
}

#[derive(Serialize)]
struct HttpFaultBody {
    http_fault_id: Uuid,
    path: Option<String>,
    method: Option<String>,
    outcome: HttpFaultOutcome,
    times: Option<i32>,
    probability: Option<f64>,
    used: i32,
    is_exhausted: bool,
    #[serde(with = "iso")]
    created_at: Timestamp,
}

impl From<HttpFault> for HttpFaultBody {
    fn from(fault: HttpFault) -> Self {
        Self {
            is_exhausted: fault.is_exhausted(),
            http_fault_id: fault.http_fault_id,
            path: fault.path,
            method: fault.method,
            outcome: fault.outcome,
            times: fault.times,
            probability: fault.probability,
            used: fault.used,
            created_at: fault.created_at,
        }
    }
}

/// Creates an HTTP fault. A path that does not exist is accepted: the fault is then never applied.
pub(super) async fn create(call: Control<Create>) -> Result<Created> {
    let workspace = call.workspace().await?;
    let workspace_id = workspace.workspace_id;
    let input = call.input;
    if let HttpFaultOutcome::Delay { delay } = &input.outcome {
        duration("outcome", delay)?;
    }
    let mut tx = locked_workspace::begin(&call.app, workspace_id).await?;
    let (now, machine_now) = locked_workspace::now(&mut tx, workspace_id).await?;
    let ordinal = http_faults::next_ordinal(&mut tx, workspace_id).await?;
    let fault = HttpFault {
        http_fault_id: workspace.ids.id("http_fault", workspace_id, ordinal, machine_now),
        path: input.path,
        method: input.method,
        outcome: input.outcome,
        times: input.times,
        probability: input.probability,
        asked: 0,
        used: 0,
        created_at: now,
    };
    http_faults::insert(&mut tx, workspace_id, &fault).await?;
    tx.commit().await?;
    call.app.callers.forget(workspace_id);
    Ok(Created { http_fault: fault.into() })
}

#[derive(Serialize)]
pub(super) struct Listed {
    http_faults: Vec<HttpFaultBody>,
}

pub(super) async fn list(call: Control<NoParameters>) -> Result<Listed> {
    let workspace = call.workspace().await?;
    let faults = http_faults::list(&call.app.pool, workspace.workspace_id).await?;
    Ok(Listed { http_faults: faults.into_iter().map(HttpFaultBody::from).collect() })
}

#[derive(Deserialize)]
pub(super) struct Delete {
    http_fault_id: Uuid,
}

pub(super) async fn delete(call: Control<Delete>) -> Result<EmptyResult> {
    let workspace_id = call.workspace().await?.workspace_id;
    let mut tx = locked_workspace::begin(&call.app, workspace_id).await?;
    if !http_faults::delete(&mut tx, workspace_id, call.input.http_fault_id).await? {
        return Err(Error::NotFound(Resource::HttpFault));
    }
    tx.commit().await?;
    call.app.callers.forget(workspace_id);
    Ok(EmptyResult {})
}
