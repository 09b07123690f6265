//! SQL of retention: removal of rows that are older than the retention period.

use super::workspaces::WorkspaceSettingsRow;
use crate::clock::Timestamp;
use crate::domain::workspace::WorkspaceSettings;
use crate::error::Result;
use crate::ids::Ids;
use crate::postgres::Pool;
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Returns at most `limit` workspaces whose clock is live or running, ordered by id and starting after the id `behind`.
pub(crate) async fn with_moving_clock(pool: &Pool, behind: Uuid, limit: i64) -> Result<Vec<(Uuid, WorkspaceSettings)>> {
    let mut query = sqlx::QueryBuilder::new("select ");
    query.push(WorkspaceSettingsRow::COLUMNS).push(" from workspace w where w.workspace_id > ").push_bind(behind);
    query.push(" and w.clock_mode <> 'held' order by w.workspace_id limit ").push_bind(limit);
    let rows: Vec<WorkspaceSettingsRow> = query.build_query_as().fetch_all(pool.for_workspace(Uuid::nil())).await?;
    let settings = |row: WorkspaceSettingsRow| {
        let workspace_id = row.workspace_id();
        Ok((workspace_id, <(Ids, WorkspaceSettings)>::try_from(row)?.1))
    };
    rows.into_iter().map(settings).collect()
}

/// Removes old rows from these workspaces, at most `limit` of each kind. `before` contains an instant for each of the
/// workspaces: rows before it are old. Returns the number of removed rows, and true if no old rows are left.
///
/// Rows that another transaction has locked are skipped. Old action attempts are removed first; while as many as
/// `limit` are found, nothing else is removed. Then old events are removed, with their deliveries to webhooks, and with
/// the codes that they belong to, if these have been gone since before the same instant. So a code is removed after its
/// action attempts.
pub(crate) async fn remove_batch(
    pool: &Pool,
    workspace_ids: &[Uuid],
    before: &[Timestamp],
    limit: i64,
) -> Result<(u64, bool)> {
    let full = limit.unsigned_abs();
    let mut tx = pool.begin(Uuid::nil()).await?;
    let attempts = remove_attempts(&mut tx, workspace_ids, before, limit).await?;
    if attempts >= full {
        tx.commit().await?;
        return Ok((attempts, false));
    }
    let events = sqlx::query!(
        "delete from event where event_id = any(array(
             select old.event_id from unnest($1::uuid[], $2::timestamptz[]) as bounds(id, before)
             cross join lateral (select event_id from event
                                 where workspace_id = bounds.id and occurred_at < bounds.before
                                 order by occurred_at, sequence
                                 limit $3 for update skip locked) as old
             limit $3))
         returning workspace_id, access_code_id, sequence",
        workspace_ids,
        before,
        limit
    )
    .fetch_all(&mut *tx)
    .await?;
    let (of_events, sequences): (Vec<Uuid>, Vec<i64>) =
        events.iter().map(|event| (event.workspace_id, event.sequence)).unzip();
    sqlx::query!(
        "delete from webhook_delivery where webhook_delivery_id = any(array(
             select old.webhook_delivery_id from unnest($1::uuid[], $2::bigint[]) as gone(workspace_id, sequence)
             cross join lateral (select webhook_delivery_id from webhook_delivery
                                 where workspace_id = gone.workspace_id and sequence = gone.sequence
                                 for update skip locked) as old))",
        &of_events,
        &sequences
    )
    .execute(&mut *tx)
    .await?;
    let before: HashMap<Uuid, Timestamp> = workspace_ids.iter().copied().zip(before.iter().copied()).collect();
    let codes = events.iter().filter_map(|row| Some((row.access_code_id?, *before.get(&row.workspace_id)?)));
    let (codes, before): (Vec<Uuid>, Vec<Timestamp>) = codes.collect::<HashMap<_, _>>().into_iter().unzip();
    let codes = remove_codes(&mut tx, &codes, &before).await?;
    tx.commit().await?;
    let events = events.len() as u64;
    Ok((attempts + events + codes, events < full))
}

/// Removes at most `limit` action attempts from before the instants of their workspaces.
async fn remove_attempts(
    tx: &mut PgConnection,
    workspace_ids: &[Uuid],
    before: &[Timestamp],
    limit: i64,
) -> Result<u64> {
    let done = sqlx::query!(
        "delete from action_attempt where action_attempt_id = any(array(
             select old.action_attempt_id from unnest($1::uuid[], $2::timestamptz[]) as bounds(id, before)
             cross join lateral (select action_attempt_id from action_attempt
                                 where workspace_id = bounds.id and created_at < bounds.before
                                 limit $3 for update skip locked) as old
             limit $3))",
        workspace_ids,
        before,
        limit
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Removes those of these codes that have been gone since before the instants given for them.
async fn remove_codes(tx: &mut PgConnection, access_code_ids: &[Uuid], before: &[Timestamp]) -> Result<u64> {
    let done = sqlx::query!(
        "delete from access_code where access_code_id = any(array(
             select old.access_code_id from unnest($1::uuid[], $2::timestamptz[]) as gone(id, before)
             cross join lateral (select access_code_id, gone_at from access_code where access_code_id = gone.id
                                 offset 0 for update skip locked) as old
             where old.gone_at < gone.before))",
        access_code_ids,
        before
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}
