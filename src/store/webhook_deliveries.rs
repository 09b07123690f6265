//! SQL of webhook deliveries: the outbox of events, and the log of the attempts to send them.

use super::events::EventRow;
use super::webhooks;
use crate::clock::Timestamp;
use crate::domain::webhook::{ALL_TYPES, Attempt, DUE_AT_ONCE, MAX_LOGGED_ATTEMPTS};
use crate::error::Result;
use crate::postgres::Pool;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

/// Appends the statement that inserts the deliveries of new events. `events` is the `with` part that returns
/// `event_id`, `workspace_id`, `event_type` and `sequence` of the events.
///
/// The id of a delivery is derived from its event and its webhook, so that it is the same whenever the same requests
/// are sent to a seeded workspace. It has the form of a UUID of version 4.
pub(super) fn push_insert(query: &mut QueryBuilder<Postgres>, events: &'static str) {
    query.push(
        "insert into webhook_delivery (webhook_delivery_id, workspace_id, webhook_id, event_id, sequence, due_at)
         select overlay(overlay(md5(e.event_id::text || w.webhook_id::text) placing '4' from 13) placing '8' from 17)::uuid,
                e.workspace_id, w.webhook_id, e.event_id, e.sequence, ",
    );
    query.push_bind(DUE_AT_ONCE).push(" from ").push(events);
    // `offset 0` keeps PostgreSQL from merging the look-up into the outer query.
    query.push(
        " e cross join lateral (select webhook_id, event_types from webhook where workspace_id = e.workspace_id offset 0) w
         where w.event_types && array[",
    );
    query.push_bind(ALL_TYPES).push(", e.event_type]");
}

/// Webhook with planned attempts.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) webhook_id: Uuid,
    pub(crate) workspace_id: Uuid,
    /// Machine time of the earliest attempt.
    pub(crate) due_at: Timestamp,
}

/// Returns at most `limit` webhooks with planned attempts, ordered by id and starting after this id. The cost
/// depends on the number of these webhooks, not on that of their deliveries.
pub(crate) async fn planned(pool: &Pool, after: Uuid, limit: i64) -> Result<Vec<Planned>> {
    let planned = sqlx::query_as!(
        Planned,
        r#"with recursive planned as (
               (select webhook_id, workspace_id, due_at from webhook_delivery where webhook_id > $1 and due_at is not null
                order by webhook_id, due_at, sequence limit 1)
               union all
               select next.* from planned cross join lateral (
                   select d.webhook_id, d.workspace_id, d.due_at from webhook_delivery d
                   where d.webhook_id > planned.webhook_id and d.due_at is not null
                   order by d.webhook_id, d.due_at, d.sequence limit 1) as next
           )
           select webhook_id as "webhook_id!", workspace_id as "workspace_id!", due_at as "due_at!"
           from planned limit $2"#,
        after,
        limit
    )
    .fetch_all(pool.for_workspace(Uuid::nil()))
    .await?;
    Ok(planned)
}

/// Returns the number of deliveries with a planned attempt, counting up to 10,000.
pub(crate) async fn planned_count(pool: &Pool) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from (select from webhook_delivery where due_at is not null limit 10000) as planned"#
    );
    Ok(count.fetch_one(pool.for_workspace(Uuid::nil())).await?)
}

/// Delivery that is due.
#[derive(Debug)]
pub(crate) struct DueDelivery {
    pub(crate) webhook_delivery_id: Uuid,
    pub(crate) sequence: i64,
    pub(crate) failures: i32,
    pub(crate) redeliveries: i32,
    /// The event; `None`: it was removed, because it was older than the retention period.
    pub(crate) event: Option<EventRow>,
}

impl FromRow<'_, PgRow> for DueDelivery {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let has_event: bool = row.try_get("has_event")?;
        Ok(Self {
            webhook_delivery_id: row.try_get("webhook_delivery_id")?,
            sequence: row.try_get("delivery_sequence")?,
            failures: row.try_get("failures")?,
            redeliveries: row.try_get("redeliveries")?,
            event: if has_event { Some(EventRow::from_row(row)?) } else { None },
        })
    }
}

/// Returns at most `limit` deliveries of a webhook that are due at this machine time, in the order in which they are to
/// be sent, except those with the ids `in_progress`. The process must hold the lease of the webhook.
pub(crate) async fn due(
    pool: &Pool,
    webhook_id: Uuid,
    machine_now: Timestamp,
    in_progress: Vec<Uuid>,
    limit: i64,
) -> Result<Vec<DueDelivery>> {
    let mut query = QueryBuilder::new("select ");
    query.push(EventRow::COLUMNS).push(
        ", a.event_id is not null as has_event, d.webhook_delivery_id, d.sequence as delivery_sequence, d.failures,
           d.redeliveries
         from (select * from webhook_delivery where webhook_id = ",
    );
    query.push_bind(webhook_id).push(" and due_at <= ").push_bind(machine_now);
    query.push(" and webhook_delivery_id <> all(").push_bind(in_progress);
    query.push(") order by due_at, sequence limit ").push_bind(limit);
    query.push(
        ") as d left join lateral (select * from event where event_id = d.event_id offset 0) as a on true
         order by d.due_at, d.sequence",
    );
    Ok(query.build_query_as().fetch_all(pool.for_workspace(Uuid::nil())).await?)
}

/// Result of an attempt.
#[derive(Debug)]
pub(crate) struct AttemptResult {
    pub(crate) webhook_delivery_id: Uuid,
    /// Sequence and number of redeliveries of the delivery when it was read. If they have changed, the row belongs to
    /// another event, or the attempt was made before a redelivery was requested.
    pub(crate) sequence: i64,
    pub(crate) redeliveries: i32,
    pub(crate) status: &'static str,
    /// Machine time of the next attempt.
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) failures: i32,
    pub(crate) attempt: Attempt,
}

/// Records the results of attempts of one webhook. The row of the webhook must be locked.
pub(crate) async fn record(tx: &mut PgConnection, results: &[AttemptResult]) -> Result<()> {
    let column = |of: fn(&AttemptResult) -> i32| results.iter().map(of).collect::<Vec<_>>();
    let ids: Vec<Uuid> = results.iter().map(|result| result.webhook_delivery_id).collect();
    let sequences: Vec<i64> = results.iter().map(|result| result.sequence).collect();
    let statuses: Vec<String> = results.iter().map(|result| result.status.to_owned()).collect();
    let due_at: Vec<Option<Timestamp>> = results.iter().map(|result| result.due_at).collect();
    let attempts: Vec<Json<&Attempt>> = results.iter().map(|result| Json(&result.attempt)).collect();
    // A delivery that was successful stays so: another process may have sent it after this one lost its lease.
    sqlx::query(
        "update webhook_delivery as d
         set attempts = d.attempts + 1,
             attempt_log = case when d.attempts < $8 then d.attempt_log else d.attempt_log - 0 end || new.attempt,
             status = case when d.redeliveries = new.redeliveries and d.status <> 'succeeded' then new.status
                           else d.status end,
             due_at = case when d.redeliveries = new.redeliveries and d.status <> 'succeeded' then new.due_at
                           else d.due_at end,
             failures = case when d.redeliveries = new.redeliveries and d.status <> 'succeeded' then new.failures
                             else d.failures end
         from unnest($1::uuid[], $2::bigint[], $3::int[], $4::text[], $5::timestamptz[], $6::int[], $7::jsonb[])
              as new(id, sequence, redeliveries, status, due_at, failures, attempt)
         where d.webhook_delivery_id = any(array[new.id]) and d.sequence is not distinct from new.sequence",
    )
    .bind(ids)
    .bind(sequences)
    .bind(column(|result| result.redeliveries))
    .bind(statuses)
    .bind(due_at)
    .bind(column(|result| result.failures))
    .bind(attempts)
    .bind(MAX_LOGGED_ATTEMPTS)
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns true if [`outstanding`] is not 0. Reads at most one delivery of each webhook.
pub(crate) async fn has_outstanding(pool: &Pool, workspace_id: Uuid) -> Result<bool> {
    let has_outstanding = sqlx::query_scalar!(
        r#"select exists (
               select from (select webhook_id from webhook where workspace_id = $1 offset 0) as w
               cross join lateral (select from webhook_delivery where webhook_id = w.webhook_id and due_at = $2
                                   limit 1) as d
           ) as "exists!""#,
        workspace_id,
        DUE_AT_ONCE
    )
    .fetch_one(pool.for_workspace(workspace_id))
    .await?;
    Ok(has_outstanding)
}

/// Returns the number of deliveries of a workspace that are due at once: their first attempt, or the first one after a
/// redelivery was requested, was not recorded yet.
pub(crate) async fn outstanding(pool: &Pool, workspace_id: Uuid) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from (select webhook_id from webhook where workspace_id = $1 offset 0) as w
           cross join lateral (select from webhook_delivery where webhook_id = w.webhook_id and due_at = $2
                               offset 0) as d"#,
        workspace_id,
        DUE_AT_ONCE
    )
    .fetch_one(pool.for_workspace(workspace_id))
    .await?;
    Ok(count)
}

/// Filter of deliveries; a field that is `None` does not restrict.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) webhook_id: Option<Uuid>,
    pub(crate) event_id: Option<Uuid>,
    pub(crate) status: Option<String>,
    /// Maximum number of deliveries.
    pub(crate) limit: i64,
}

/// Delivery as the control plane lists it.
#[derive(Debug, FromRow)]
pub(crate) struct ListedDelivery {
    pub(crate) webhook_delivery_id: Uuid,
    pub(crate) webhook_id: Uuid,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: String,
    pub(crate) url: String,
    pub(crate) status: String,
    pub(crate) attempts: i32,
    pub(crate) due_at: Option<Timestamp>,
    /// Time at which the event was recorded.
    pub(crate) created_at: Timestamp,
    pub(crate) attempt_log: Json<Vec<Attempt>>,
}

/// Returns the deliveries of a workspace that pass the filter, the newest event first.
pub(crate) async fn list(pool: &Pool, workspace_id: Uuid, filter: Filter) -> Result<Vec<ListedDelivery>> {
    let mut query = QueryBuilder::new(
        "select d.webhook_delivery_id, d.webhook_id, d.event_id, e.event_type, w.url, d.status, d.attempts, d.due_at,
                e.created_at, d.attempt_log
         from (select * from webhook_delivery where workspace_id = ",
    );
    query.push_bind(workspace_id);
    for (column, id) in [("webhook_id", filter.webhook_id), ("event_id", filter.event_id)] {
        if let Some(id) = id {
            query.push(" and ").push(column).push(" is not distinct from ").push_bind(id);
        }
    }
    if let Some(status) = filter.status {
        query.push(" and status = ").push_bind(status);
    }
    query.push(" order by sequence desc, webhook_delivery_id limit ").push_bind(filter.limit);
    query.push(
        ") as d cross join lateral (select event_type, created_at from event where event_id = d.event_id offset 0) as e
         cross join lateral (select url from webhook where webhook_id = d.webhook_id offset 0) as w
         order by d.sequence desc, d.webhook_delivery_id",
    );
    Ok(query.build_query_as().fetch_all(pool.for_workspace(workspace_id)).await?)
}

/// Makes a delivery due at once, whatever its result was. Returns false if the workspace has no such delivery.
pub(crate) async fn redeliver(tx: &mut PgConnection, workspace_id: Uuid, webhook_delivery_id: Uuid) -> Result<bool> {
    let updated = sqlx::query!(
        "update webhook_delivery
         set status = 'pending', due_at = $3, failures = 0,
             redeliveries = redeliveries + case when status = 'pending' and due_at = $3 then 0 else 1 end
         where webhook_delivery_id = $1 and workspace_id is not distinct from $2",
        webhook_delivery_id,
        workspace_id,
        DUE_AT_ONCE
    )
    .execute(tx)
    .await?;
    Ok(updated.rows_affected() > 0)
}

/// Maximum number of deliveries that one statement deletes.
const DELETE_BATCH: i64 = 10_000;

/// Deletes some of the deliveries of a webhook that are not pending. Returns true if there may be more.
pub(crate) async fn delete_finished(pool: &Pool, workspace_id: Uuid, webhook_id: Uuid) -> Result<bool> {
    let mut tx = pool.begin(workspace_id).await?;
    let deleted = sqlx::query!(
        "delete from webhook_delivery where webhook_delivery_id = any(array(
             select webhook_delivery_id from webhook_delivery
             where workspace_id = $1 and webhook_id is not distinct from $2 and status <> 'pending' limit $3))",
        workspace_id,
        webhook_id,
        DELETE_BATCH
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(deleted.rows_affected() >= DELETE_BATCH.unsigned_abs())
}

/// Deletes all deliveries of a workspace, and ends the leases of its webhooks. Returns the ids of the webhooks.
pub(crate) async fn delete_all(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Vec<Uuid>> {
    // The rows of the webhooks come first: a process that records attempts locks them before the deliveries.
    let webhook_ids = webhooks::end_leases(tx, workspace_id).await?;
    sqlx::query!("delete from webhook_delivery where workspace_id = $1", workspace_id).execute(tx).await?;
    Ok(webhook_ids)
}
