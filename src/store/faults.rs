//! SQL of faults of operations. The flag `has_faults` of the workspace is true if it has any.

use crate::clock::Timestamp;
use crate::domain::access_code::lifecycle::FaultOutcome;
use crate::domain::fault::Fault;
use crate::error::Result;
use crate::postgres::Pool;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Row of a fault.
struct FaultRow {
    fault_id: Uuid,
    workspace_id: Uuid,
    operation: String,
    device_id: Option<Uuid>,
    device_type: Option<String>,
    outcome: Json<FaultOutcome>,
    after: i32,
    times: Option<i32>,
    seen: i32,
    created_at: Timestamp,
}

impl From<FaultRow> for Fault {
    fn from(row: FaultRow) -> Self {
        Self {
            fault_id: row.fault_id,
            workspace_id: row.workspace_id,
            operation: row.operation,
            device_id: row.device_id,
            device_type: row.device_type,
            outcome: row.outcome.0,
            after: row.after,
            times: row.times,
            seen: row.seen,
            created_at: row.created_at,
            has_changed: false,
        }
    }
}

/// Returns the faults of these workspaces in the order of their creation, locked until the transaction ends. Call it
/// only after the devices that the faults may affect have been locked.
pub(crate) async fn lock(tx: &mut PgConnection, workspace_ids: &BTreeSet<Uuid>) -> Result<Vec<Fault>> {
    let rows = sqlx::query_as!(
        FaultRow,
        r#"select fault_id, workspace_id, operation, device_id, device_type, outcome as "outcome: Json<FaultOutcome>",
                  after, times, seen, created_at
           from fault where workspace_id = any($1) order by sequence for update"#,
        &workspace_ids.iter().copied().collect::<Vec<_>>(),
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(Fault::from).collect())
}

/// Writes the number of matched operations (`seen`) of the faults that have changed.
pub(crate) async fn save(tx: &mut PgConnection, faults: &[Fault]) -> Result<()> {
    let (ids, seen): (Vec<Uuid>, Vec<i32>) =
        faults.iter().filter(|fault| fault.has_changed).map(|fault| (fault.fault_id, fault.seen)).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update fault set seen = new.seen from unnest($1::uuid[], $2::int[]) as new(fault_id, seen)
         where fault.fault_id = any(array[new.fault_id])",
        &ids,
        &seen,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the ordinal of the next fault of a workspace, counting from 1. Also sets the flag, because the caller
/// inserts the fault next.
pub(crate) async fn next_ordinal(tx: &mut PgConnection, workspace_id: Uuid) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"update workspace set has_faults = true, faults_made = faults_made + 1 where workspace_id = $1
           returning faults_made"#,
        workspace_id,
    )
    .fetch_one(tx)
    .await?)
}

/// Inserts a fault.
pub(crate) async fn insert(tx: &mut PgConnection, fault: &Fault) -> Result<()> {
    sqlx::query!(
        "insert into fault (fault_id, workspace_id, operation, device_id, device_type, outcome, after, times, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        fault.fault_id,
        fault.workspace_id,
        fault.operation,
        fault.device_id,
        fault.device_type,
        Json(&fault.outcome) as _,
        fault.after,
        fault.times,
        fault.created_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the faults of a workspace, in the order of their creation.
pub(crate) async fn list(pool: &Pool, workspace_id: Uuid) -> Result<Vec<Fault>> {
    let rows = sqlx::query_as!(
        FaultRow,
        r#"select fault_id, workspace_id, operation, device_id, device_type, outcome as "outcome: Json<FaultOutcome>",
                  after, times, seen, created_at
           from fault where workspace_id = $1 order by sequence"#,
        workspace_id,
    )
    .fetch_all(pool.for_workspace(workspace_id))
    .await?;
    Ok(rows.into_iter().map(Fault::from).collect())
}

/// Removes a fault of a workspace. Returns false if no fault has this id. The workspace must be locked, so that no
/// fault is added while the flag is computed.
pub(crate) async fn delete(tx: &mut PgConnection, workspace_id: Uuid, fault_id: Uuid) -> Result<bool> {
    let deleted = sqlx::query!("delete from fault where fault_id = $1 and workspace_id = $2", fault_id, workspace_id)
        .execute(&mut *tx)
        .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    // Once no fault is left, operations need not read the table any more.
    sqlx::query(
        "update workspace set has_faults = exists (select from fault where workspace_id = $1) where workspace_id = $1",
    )
    .bind(workspace_id)
    .execute(tx)
    .await?;
    Ok(true)
}
