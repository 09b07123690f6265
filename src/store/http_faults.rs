//! SQL of HTTP faults. The flag `has_http_faults` of the workspace is true if it has any.

use crate::clock::Timestamp;
use crate::domain::http_fault::{HttpFault, HttpFaultOutcome};
use crate::error::Result;
use crate::postgres::Pool;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

/// Row of an HTTP fault.
struct HttpFaultRow {
    http_fault_id: Uuid,
    path: Option<String>,
    method: Option<String>,
    outcome: Json<HttpFaultOutcome>,
    times: Option<i32>,
    probability: Option<f64>,
    asked: i64,
    used: i32,
    created_at: Timestamp,
}

impl From<HttpFaultRow> for HttpFault {
    fn from(row: HttpFaultRow) -> Self {
        Self {
            http_fault_id: row.http_fault_id,
            path: row.path,
            method: row.method,
            outcome: row.outcome.0,
            times: row.times,
            probability: row.probability,
            asked: row.asked,
            used: row.used,
            created_at: row.created_at,
        }
    }
}

/// Locks the HTTP faults of a workspace until the transaction ends. Returns them in the order of their creation.
pub(crate) async fn lock(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Vec<HttpFault>> {
    let rows = sqlx::query_as!(
        HttpFaultRow,
        r#"select http_fault_id, path, method, outcome as "outcome: Json<HttpFaultOutcome>", times, probability, asked, used, created_at
           from http_fault where workspace_id = $1 order by sequence for update"#,
        workspace_id,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(HttpFault::from).collect())
}

/// Writes how often each HTTP fault matched a request and how often it was applied.
pub(crate) async fn save(tx: &mut PgConnection, faults: &[HttpFault]) -> Result<()> {
    sqlx::query!(
        "update http_fault set asked = new.asked, used = new.used
         from unnest($1::uuid[], $2::bigint[], $3::int[]) as new(http_fault_id, asked, used)
         where http_fault.http_fault_id = any(array[new.http_fault_id])",
        &faults.iter().map(|fault| fault.http_fault_id).collect::<Vec<_>>(),
        &faults.iter().map(|fault| fault.asked).collect::<Vec<_>>(),
        &faults.iter().map(|fault| fault.used).collect::<Vec<_>>()
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the HTTP faults of a workspace, in the order of their creation.
pub(crate) async fn list(pool: &Pool, workspace_id: Uuid) -> Result<Vec<HttpFault>> {
    let rows = sqlx::query_as!(
        HttpFaultRow,
        r#"select http_fault_id, path, method, outcome as "outcome: Json<HttpFaultOutcome>", times, probability, asked, used, created_at
           from http_fault where workspace_id = $1 order by sequence"#,
        workspace_id,
    )
    .fetch_all(pool.for_workspace(workspace_id))
    .await?;
    Ok(rows.into_iter().map(HttpFault::from).collect())
}

/// Returns the ordinal of the next HTTP fault of a workspace, counting from 1. Also sets `has_http_faults`, because the
/// caller inserts the HTTP fault next.
pub(crate) async fn next_ordinal(tx: &mut PgConnection, workspace_id: Uuid) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        "update workspace set has_http_faults = true, http_faults_made = http_faults_made + 1 where workspace_id = $1
         returning http_faults_made",
        workspace_id
    )
    .fetch_one(tx)
    .await?)
}

/// Inserts an HTTP fault of a workspace.
pub(crate) async fn insert(tx: &mut PgConnection, workspace_id: Uuid, fault: &HttpFault) -> Result<()> {
    sqlx::query!(
        "insert into http_fault (http_fault_id, workspace_id, path, method, outcome, times, probability, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        fault.http_fault_id,
        workspace_id,
        fault.path,
        fault.method,
        Json(&fault.outcome) as _,
        fault.times,
        fault.probability,
        fault.created_at
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes an HTTP fault of a workspace. Returns false if no HTTP fault has this id. The workspace must be locked, so
/// that no HTTP fault is added while `has_http_faults` is computed.
pub(crate) async fn delete(tx: &mut PgConnection, workspace_id: Uuid, http_fault_id: Uuid) -> Result<bool> {
    let deleted = sqlx::query!(
        "delete from http_fault where http_fault_id = $1 and workspace_id is not distinct from $2",
        http_fault_id,
        workspace_id
    )
    .execute(&mut *tx)
    .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    // Once no HTTP fault is left, requests need not read the table any more.
    sqlx::query!(
        "update workspace set has_http_faults = exists (select from http_fault where workspace_id = $1)
         where workspace_id = $1",
        workspace_id
    )
    .execute(tx)
    .await?;
    Ok(true)
}
