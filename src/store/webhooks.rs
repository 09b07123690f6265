//! SQL of webhooks, and of their leases: the process that holds the lease of a webhook sends its deliveries. The flag
//! `has_webhooks` of the workspace is true if it has any.

use crate::clock::Timestamp;
use crate::domain::webhook::{Webhook, new_secret};
use crate::error::Result;
use crate::ids::Ids;
use crate::postgres::Pool;
use sqlx::PgConnection;
use uuid::Uuid;

/// Returns the ordinal of the next webhook of a workspace, counting from 1, and the number of its webhooks. Also sets
/// the flag, because the caller inserts the webhook next. The workspace and all its devices must be locked.
pub(crate) async fn next_ordinal(tx: &mut PgConnection, workspace_id: Uuid) -> Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"update workspace set has_webhooks = true, webhooks_made = webhooks_made + 1 where workspace_id = $1
           returning webhooks_made, (select count(*) from webhook where workspace_id = $1) as "count!""#,
        workspace_id
    )
    .fetch_one(tx)
    .await?;
    Ok((row.webhooks_made, row.count))
}

pub(crate) async fn insert(tx: &mut PgConnection, workspace_id: Uuid, webhook: &Webhook) -> Result<()> {
    sqlx::query!(
        "insert into webhook (webhook_id, workspace_id, url, event_types, secret, created_at)
         values ($1, $2, $3, $4, $5, $6)",
        webhook.webhook_id,
        workspace_id,
        webhook.url,
        &webhook.event_types,
        webhook.secret,
        webhook.created_at
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the webhooks of a workspace, in the order of their creation.
pub(crate) async fn list(pool: &Pool, workspace_id: Uuid) -> Result<Vec<Webhook>> {
    let webhooks = sqlx::query_as!(
        Webhook,
        r#"select webhook_id, url, event_types, secret as "secret!", created_at from webhook
           where workspace_id = $1 order by sequence"#,
        workspace_id
    )
    .fetch_all(pool.for_workspace(workspace_id))
    .await?;
    Ok(webhooks)
}

pub(crate) async fn find(pool: &Pool, workspace_id: Uuid, webhook_id: Uuid) -> Result<Option<Webhook>> {
    let webhook = sqlx::query_as!(
        Webhook,
        r#"select webhook_id, url, event_types, secret as "secret!", created_at from webhook
           where webhook_id = $1 and workspace_id is not distinct from $2"#,
        webhook_id,
        workspace_id
    )
    .fetch_optional(pool.for_workspace(workspace_id))
    .await?;
    Ok(webhook)
}

/// Changes the event types of a webhook, and enables it if it was disabled. Returns false if the workspace has no such
/// webhook. The workspace and all its devices must be locked.
pub(crate) async fn update(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    webhook_id: Uuid,
    event_types: &[String],
) -> Result<bool> {
    let updated = sqlx::query!(
        "update webhook set event_types = $3, failing_since = null, disabled_at = null
         where webhook_id = $1 and workspace_id is not distinct from $2",
        webhook_id,
        workspace_id,
        event_types
    )
    .execute(tx)
    .await?;
    Ok(updated.rows_affected() > 0)
}

/// Deletes a webhook with its deliveries. Returns false if the workspace has no such webhook. The workspace and all its
/// devices must be locked.
pub(crate) async fn delete(tx: &mut PgConnection, workspace_id: Uuid, webhook_id: Uuid) -> Result<bool> {
    // The row of the webhook comes first: a process that records attempts locks it before the deliveries.
    let deleted = sqlx::query!(
        "delete from webhook where webhook_id = $1 and workspace_id is not distinct from $2",
        webhook_id,
        workspace_id
    )
    .execute(&mut *tx)
    .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "delete from webhook_delivery where workspace_id = $1 and webhook_id is not distinct from $2",
        workspace_id,
        webhook_id
    )
    .execute(&mut *tx)
    .await?;
    // Without webhooks, transactions that write events skip the query for them.
    sqlx::query(
        "update workspace set has_webhooks = exists (select from webhook where workspace_id = $1)
         where workspace_id = $1",
    )
    .bind(workspace_id)
    .execute(tx)
    .await?;
    Ok(true)
}

/// Ends the leases of the webhooks of a workspace, locks their rows, and returns their ids. Processes that have read
/// deliveries then read them again.
pub(crate) async fn end_leases(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        "update webhook set leased_by = null, leased_until = null where workspace_id = $1 returning webhook_id",
        workspace_id
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}

/// Gives a secret to the webhooks that a restore has inserted: snapshots contain no secrets.
pub(crate) async fn add_missing_secrets(tx: &mut PgConnection, workspace_id: Uuid, ids: &Ids) -> Result<()> {
    let webhook_ids =
        sqlx::query_scalar!("select webhook_id from webhook where workspace_id = $1 and secret is null", workspace_id)
            .fetch_all(&mut *tx)
            .await?;
    if webhook_ids.is_empty() {
        return Ok(());
    }
    let secrets: Vec<String> = webhook_ids.iter().map(|webhook_id| new_secret(ids, *webhook_id)).collect();
    sqlx::query!(
        "update webhook set secret = new.secret from unnest($1::uuid[], $2::text[]) as new(webhook_id, secret)
         where webhook.webhook_id = any(array[new.webhook_id])",
        &webhook_ids,
        &secrets
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Webhook whose lease a process has acquired.
#[derive(Debug)]
pub(crate) struct LeasedWebhook {
    pub(crate) webhook_id: Uuid,
    pub(crate) workspace_id: Uuid,
    pub(crate) url: String,
    pub(crate) secret: String,
    /// Machine time at which it was disabled; `None`: it is enabled.
    pub(crate) disabled_at: Option<Timestamp>,
}

/// Acquires the leases of those of these webhooks whose lease no other process holds. `until` is the end of the leases,
/// by the machine's clock. A process that stops or dies loses its leases then.
pub(crate) async fn lease(
    tx: &mut PgConnection,
    webhook_ids: &[Uuid],
    process_id: Uuid,
    (machine_now, until): (Timestamp, Timestamp),
) -> Result<Vec<LeasedWebhook>> {
    let leased = sqlx::query_as!(
        LeasedWebhook,
        r#"update webhook set leased_by = $2, leased_until = $4
           from (select found.webhook_id from unnest($1::uuid[]) as due(id)
                 cross join lateral (select webhook_id, leased_by, leased_until from webhook where webhook_id = due.id
                                     offset 0 for no key update skip locked) as found
                 where found.leased_until is null or found.leased_until <= $3 or found.leased_by = $2) as free
           where webhook.webhook_id = any(array[free.webhook_id])
           returning webhook.webhook_id, webhook.workspace_id, webhook.url, webhook.secret as "secret!",
                     webhook.disabled_at"#,
        webhook_ids,
        process_id,
        machine_now,
        until
    )
    .fetch_all(tx)
    .await?;
    Ok(leased)
}

/// Summary of the results of several attempts, for the state of the webhook.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AttemptSummary {
    /// True if an attempt was successful.
    pub(crate) has_succeeded: bool,
    /// Start of the first failed attempt since the last successful one.
    pub(crate) failed_at: Option<Timestamp>,
    /// True if a delivery has failed for the last time.
    pub(crate) has_final_failure: bool,
}

/// State of a webhook whose lease was renewed.
#[derive(Debug)]
pub(crate) struct RenewedWebhook {
    /// Machine time since which all attempts have failed.
    pub(crate) failing_since: Option<Timestamp>,
    /// Machine time at which it was disabled.
    pub(crate) disabled_at: Option<Timestamp>,
}

/// Renews a lease, and records since when all attempts fail. Locks the row of the webhook. Returns `None` if the
/// process does not hold the lease, or the webhook was deleted. Does not wait for the lock: a restore of the workspace
/// may hold it for long, and the connection is needed for other webhooks.
///
/// # Errors
/// `Unavailable` if another transaction holds the lock.
pub(crate) async fn renew_lease(
    tx: &mut PgConnection,
    webhook_id: Uuid,
    process_id: Uuid,
    until: Timestamp,
    summary: AttemptSummary,
) -> Result<Option<RenewedWebhook>> {
    let renewed = sqlx::query_as!(
        RenewedWebhook,
        "with held as (select webhook_id from webhook where webhook_id = $1 and leased_by = $2
                       for no key update nowait)
         update webhook
         set leased_until = $3, failing_since = coalesce(case when $4::boolean then null else failing_since end, $5)
         from held where webhook.webhook_id = any(array[held.webhook_id])
         returning webhook.failing_since, webhook.disabled_at",
        webhook_id,
        process_id,
        until,
        summary.has_succeeded,
        summary.failed_at
    )
    .fetch_optional(tx)
    .await?;
    Ok(renewed)
}

/// Disables a webhook, unless it is disabled already.
pub(crate) async fn disable(tx: &mut PgConnection, webhook_id: Uuid, machine_now: Timestamp) -> Result<()> {
    sqlx::query!(
        "update webhook set disabled_at = coalesce(disabled_at, $2) where webhook_id = $1",
        webhook_id,
        machine_now
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives up a lease, so that another process can acquire it at once.
pub(crate) async fn release_lease(tx: &mut PgConnection, webhook_id: Uuid, process_id: Uuid) -> Result<()> {
    sqlx::query!(
        "with held as (select webhook_id from webhook where webhook_id = $1 and leased_by = $2
                       for no key update nowait)
         update webhook set leased_by = null, leased_until = null
         from held where webhook.webhook_id = any(array[held.webhook_id])",
        webhook_id,
        process_id
    )
    .execute(tx)
    .await?;
    Ok(())
}
