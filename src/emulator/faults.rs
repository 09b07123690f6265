//! `/_emulator/faults/*`: what is to become of the next operations of locks.

use super::Control;
use super::worlds::{Done, Nothing};
use crate::access_codes::lifecycle::Outcome;
use crate::clock::{Instant, iso, machine_now};
use crate::devices::model::Device;
use crate::error::{Error, Result};
use crate::http::params::duration;
use crate::workspaces::store as workspaces;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

/// A fault, with how often it was considered so far.
#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "fault_id is what it is called everywhere")]
pub struct Fault {
    fault_id: Uuid,
    workspace_id: Uuid,
    operation: String,
    device_id: Option<Uuid>,
    device_type: Option<String>,
    outcome: Json<Outcome>,
    after: i32,
    times: Option<i32>,
    seen: i32,
    created_at: Instant,
    has_changed: bool,
}

impl Fault {
    fn is_about(&self, device: &Device, operation: &str) -> bool {
        self.workspace_id == device.workspace_id
            && self.operation == operation
            && self.device_id.is_none_or(|device_id| device_id == device.device_id)
            && self.device_type.as_deref().is_none_or(|device_type| device_type == device.brand.device_type)
    }

    /// How many operations it has struck.
    fn used(&self) -> i32 {
        let used = (self.seen - self.after).max(0);
        self.times.map_or(used, |times| used.min(times))
    }

    fn is_exhausted(&self) -> bool {
        self.times.is_some_and(|times| self.used() >= times)
    }
}

/// What becomes of an operation that begins now; the fault that decides it counts it.
pub fn strike(faults: &mut [Fault], device: &Device, operation: &str) -> Option<Outcome> {
    for fault in faults.iter_mut().filter(|fault| fault.is_about(device, operation)) {
        if fault.is_exhausted() {
            continue;
        }
        fault.seen = fault.seen.saturating_add(1);
        fault.has_changed = true;
        if fault.seen > fault.after {
            return Some(fault.outcome.0.clone());
        }
    }
    None
}

/// The faults of these workspaces in the order in which they were made, locked until the transaction ends. To be
/// called with the devices they are to strike locked, and never before.
pub async fn lock(tx: &mut PgConnection, workspace_ids: &[Uuid]) -> Result<Vec<Fault>> {
    let rows = sqlx::query_as!(
        Fault,
        r#"select fault_id, workspace_id, operation, device_id, device_type, outcome as "outcome: Json<Outcome>",
                  after, times, seen, created_at, false as "has_changed!"
           from fault where workspace_id = any($1) order by sequence for update"#,
        workspace_ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows)
}

/// Writes how often faults were considered.
pub async fn save(tx: &mut PgConnection, faults: &[Fault]) -> Result<()> {
    let (ids, seen): (Vec<Uuid>, Vec<i32>) =
        faults.iter().filter(|fault| fault.has_changed).map(|fault| (fault.fault_id, fault.seen)).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update fault set seen = new.seen from unnest($1::uuid[], $2::int[]) as new(fault_id, seen)
         where fault.fault_id = new.fault_id",
        &ids,
        &seen,
    )
    .execute(tx)
    .await?;
    Ok(())
}

#[derive(Deserialize)]
pub(super) struct Create {
    operation: String,
    device_id: Option<Uuid>,
    device_type: Option<String>,
    outcome: Outcome,
    times: Option<i32>,
    after: Option<i32>,
}

#[derive(Serialize)]
pub(super) struct Made {
    fault: FaultBody,
}

#[derive(Serialize)]
struct FaultBody {
    fault_id: Uuid,
    operation: String,
    device_id: Option<Uuid>,
    device_type: Option<String>,
    outcome: Outcome,
    times: Option<i32>,
    after: i32,
    used: i32,
    is_exhausted: bool,
    #[serde(with = "iso")]
    created_at: Instant,
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
            outcome: fault.outcome.0,
            times: fault.times,
            after: fault.after,
            created_at: fault.created_at,
        }
    }
}

/// Arranges for operations to go otherwise. A lock that is not there is no error: it may come.
pub(super) async fn create(call: Control<Create>) -> Result<Made> {
    let workspace = call.workspace().await?;
    let input = call.input;
    if let Outcome::Delay(delay) = &input.outcome {
        duration("outcome", delay)?;
    }
    let mut tx = call.app.pool.begin(workspace.workspace_id).await?;
    if !workspaces::lock(&mut tx, workspace.workspace_id).await? {
        return Err(Error::WorkspaceNotFound);
    }
    let world = workspaces::world(&mut tx, workspace.workspace_id).await?.ok_or(Error::WorkspaceNotFound)?;
    let machine_now = machine_now();
    let made_before = sqlx::query_scalar!(
        r#"update workspace set has_faults = true, faults_made = faults_made + 1 where workspace_id = $1
           returning faults_made"#,
        workspace.workspace_id,
    )
    .fetch_one(&mut *tx)
    .await?;
    let ordinal = made_before;
    let fault = Fault {
        fault_id: workspace.ids.id("fault", workspace.workspace_id, ordinal, machine_now),
        workspace_id: workspace.workspace_id,
        operation: input.operation,
        device_id: input.device_id,
        device_type: input.device_type,
        outcome: Json(input.outcome),
        after: input.after.unwrap_or(0),
        times: input.times,
        seen: 0,
        created_at: world.clock.now(machine_now),
        has_changed: false,
    };
    sqlx::query!(
        "insert into fault (fault_id, workspace_id, operation, device_id, device_type, outcome, after, times, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        fault.fault_id,
        fault.workspace_id,
        fault.operation,
        fault.device_id,
        fault.device_type,
        &fault.outcome as _,
        fault.after,
        fault.times,
        fault.created_at,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Made { fault: fault.into() })
}

#[derive(Serialize)]
pub(super) struct Listed {
    faults: Vec<FaultBody>,
}

pub(super) async fn list(call: Control<Nothing>) -> Result<Listed> {
    let workspace = call.workspace().await?;
    let faults = sqlx::query_as!(
        Fault,
        r#"select fault_id, workspace_id, operation, device_id, device_type, outcome as "outcome: Json<Outcome>",
                  after, times, seen, created_at, false as "has_changed!"
           from fault where workspace_id = $1 order by sequence"#,
        workspace.workspace_id,
    )
    .fetch_all(call.app.pool.of(workspace.workspace_id))
    .await?;
    Ok(Listed { faults: faults.into_iter().map(FaultBody::from).collect() })
}

#[derive(Deserialize)]
pub(super) struct Delete {
    fault_id: Uuid,
}

pub(super) async fn delete(call: Control<Delete>) -> Result<Done> {
    let workspace_id = call.workspace().await?.workspace_id;
    let mut tx = call.app.pool.begin(workspace_id).await?;
    if !workspaces::lock(&mut tx, workspace_id).await? {
        return Err(Error::WorkspaceNotFound);
    }
    let fault_id = call.input.fault_id;
    let deleted = sqlx::query!("delete from fault where fault_id = $1 and workspace_id = $2", fault_id, workspace_id)
        .execute(&mut *tx)
        .await?;
    if deleted.rows_affected() == 0 {
        return Err(Error::FaultNotFound);
    }
    // Without any left, locks need not look any more.
    sqlx::query(
        "update workspace set has_faults = exists (select from fault where workspace_id = $1) where workspace_id = $1",
    )
    .bind(workspace_id)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Done {})
}
