//! `/_emulator/faults/*`: outcomes that tests configure for the next operations of locks.

use super::{Control, EmptyResult, NoParameters};
use crate::clock::{Timestamp, iso};
use crate::domain::access_code::lifecycle::FaultOutcome;
use crate::domain::fault::{self, Fault};
use crate::engine::locked_workspace;
use crate::error::{Error, Resource, Result};
use crate::http::params::duration;
use crate::store::faults;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Create {
    operation: String,
    device_id: Option<Uuid>,
    device_type: Option<String>,
    outcome: FaultOutcome,
    times: Option<i32>,
    after: Option<i32>,
}

#[derive(Serialize)]
pub(super) struct Created {
    fault: FaultBody,
}

#[derive(Serialize)]
struct FaultBody {
    fault_id: Uuid,
    operation: String,
    device_id: Option<Uuid>,
    device_type: Option<String>,
    outcome: FaultOutcome,
    times: Option<i32>,
    after: i32,
    used: i32,
    is_exhausted: bool,
    #[serde(with = "iso")]
    created_at: Timestamp,
}

impl From<Fault> for FaultBody {
    fn from(fault: Fault) -> Self {
        Self {
            used: fault.used(),
            is_exhausted: fault.is_exhausted(),
            fault_id: fault.fault_id,
            operation: fault.operation,
            device_id: fault.device_id,
            device_type: fault.device_type,
            outcome: fault.outcome,
            times: fault.times,
            after: fault.after,
            created_at: fault.created_at,
        }
    }
}

/// Creates a fault. A lock that does not exist is accepted: it may be created later.
pub(super) async fn create(call: Control<Create>) -> Result<Created> {
    let workspace = call.workspace().await?;
    let input = call.input;
    if let FaultOutcome::Delay(delay) = &input.outcome {
        duration("outcome", delay)?;
    }
    fault::check_error_code(&input.operation, &input.outcome)?;
    let mut tx = locked_workspace::begin(&call.app, workspace.workspace_id).await?;
    let (now, machine_now) = locked_workspace::now(&mut tx, workspace.workspace_id).await?;
    let ordinal = faults::next_ordinal(&mut tx, workspace.workspace_id).await?;
    let fault = Fault {
        fault_id: workspace.ids.id("fault", workspace.workspace_id, ordinal, machine_now),
        workspace_id: workspace.workspace_id,
        operation: input.operation,
        device_id: input.device_id,
        device_type: input.device_type,
        outcome: input.outcome,
        after: input.after.unwrap_or(0),
        times: input.times,
        seen: 0,
        created_at: now,
        has_changed: false,
    };
    faults::insert(&mut tx, &fault).await?;
    tx.commit().await?;
    Ok(Created { fault: fault.into() })
}

#[derive(Serialize)]
pub(super) struct Listed {
    faults: Vec<FaultBody>,
}

pub(super) async fn list(call: Control<NoParameters>) -> Result<Listed> {
    let workspace = call.workspace().await?;
    let faults = faults::list(&call.app.pool, workspace.workspace_id).await?;
    Ok(Listed { faults: faults.into_iter().map(FaultBody::from).collect() })
}

#[derive(Deserialize)]
pub(super) struct Delete {
    fault_id: Uuid,
}

pub(super) async fn delete(call: Control<Delete>) -> Result<EmptyResult> {
    let workspace_id = call.workspace().await?.workspace_id;
    let mut tx = locked_workspace::begin(&call.app, workspace_id).await?;
    if !faults::delete(&mut tx, workspace_id, call.input.fault_id).await? {
        return Err(Error::NotFound(Resource::Fault));
    }
    tx.commit().await?;
    Ok(EmptyResult {})
}
