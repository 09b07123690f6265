//! SQL of workspaces, their API keys, clocks and settings.

mod lookup;

pub(crate) use self::lookup::{
    ProfileUpdate, WorkspaceRow, by_id, of_api_key, of_person, of_publishable_key, of_token, update_profile,
};

use super::{persons, webhook_deliveries};
use crate::clock::{Timestamp, WorkspaceClock};
use crate::domain::rate_limit::RateLimits;
use crate::domain::workspace::{LateIssuanceLimits, SameCode, Workspace, WorkspaceSettings};
use crate::error::{Error, Resource, Result};
use crate::ids::Ids;
use crate::postgres::Pool;
use chrono::TimeDelta;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection, QueryBuilder};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// New workspace.
#[derive(Debug)]
pub(crate) struct NewWorkspace<'a> {
    /// Name, keys and other rarely changing properties.
    pub workspace: &'a Workspace,
    /// Seed of the ids, PINs and keys; `None` if they are random.
    pub seed: Option<&'a str>,
    /// Initial clock and settings.
    pub settings: WorkspaceSettings,
    /// Creation time, by the clock of the workspace.
    pub created_at: Timestamp,
    /// Machine time after which the workspace may be removed; `None`: never.
    pub expires_at: Option<Timestamp>,
    pub api_key: &'a str,
    /// Person to whom the workspace belongs.
    pub person_id: Uuid,
}

/// Inserts a workspace and its API key.
///
/// # Errors
/// [`Error::InUse`] if a unique value, such as the id, the seed or a key, is already in use.
pub(crate) async fn insert(tx: &mut PgConnection, new: &NewWorkspace<'_>) -> Result<()> {
    let (mode, at, since, rate) = clock_columns(new.settings.clock);
    sqlx::query!(
        "insert into workspace (workspace_id, name, is_sandbox, publishable_key, seed, created_at, programming_ms,
                                clock_mode, clock_at, clock_since, clock_rate, expires_at, slow_after_ms,
                                keeps_expired, allow_same_code_in_disjoint_windows, refuse_begun_windows, person_id,
                                connect_partner_name, connect_webview_customization, organization_id,
                                late_issuance_lead_ms, late_issuance_grace_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)",
        new.workspace.workspace_id,
        new.workspace.name,
        new.workspace.is_sandbox,
        new.workspace.publishable_key,
        new.seed,
        new.created_at,
        new.settings.programming.map(|programming| programming.num_milliseconds()),
        mode,
        at,
        since,
        rate,
        new.expires_at,
        new.settings.slow_after.num_milliseconds(),
        new.settings.keeps_expired,
        new.settings.same_code == SameCode::InDisjointWindows,
        new.settings.refuse_begun_windows,
        new.person_id,
        new.workspace.connect_partner_name,
        Json(&new.workspace.connect_webview_customization) as _,
        new.workspace.organization_id,
        new.settings.late_issuance.lead.num_milliseconds(),
        new.settings.late_issuance.grace.num_milliseconds(),
    )
    .execute(&mut *tx)
    .await
    .map_err(insert_error)?;
    sqlx::query!(
        "insert into credential (workspace_id, token) values ($1, $2)",
        new.workspace.workspace_id,
        new.api_key,
    )
    .execute(tx)
    .await
    .map_err(insert_error)?;
    Ok(())
}

/// Returns the values of the columns `clock_mode`, `clock_at`, `clock_since` and `clock_rate`.
fn clock_columns(clock: WorkspaceClock) -> (&'static str, Option<Timestamp>, Option<Timestamp>, Option<f64>) {
    match clock {
        WorkspaceClock::Live => ("live", None, None, None),
        WorkspaceClock::Held { at } => ("held", Some(at), None, None),
        WorkspaceClock::Running { at, since, rate } => ("running", Some(at), Some(since), Some(rate)),
    }
}

/// Row of the clock and the settings of a workspace.
#[derive(Debug, sqlx::FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "the columns are independent of each other")]
pub struct WorkspaceSettingsRow {
    workspace_id: Uuid,
    seed: Option<String>,
    clock_mode: String,
    clock_at: Option<Timestamp>,
    clock_since: Option<Timestamp>,
    clock_rate: Option<f64>,
    programming_ms: Option<i64>,
    slow_after_ms: i64,
    keeps_expired: bool,
    has_faults: bool,
    has_webhooks: bool,
    rate_limits: Option<Json<RateLimits>>,
    allow_same_code_in_disjoint_windows: bool,
    refuse_begun_windows: bool,
    late_issuance_lead_ms: i64,
    late_issuance_grace_ms: i64,
}

impl WorkspaceSettingsRow {
    pub fn workspace_id(&self) -> Uuid {
        self.workspace_id
    }

    /// Columns of a workspace, with the alias `w`, for a `select`.
    pub const COLUMNS: &str = "w.workspace_id, w.seed, w.clock_mode, w.clock_at, w.clock_since, w.clock_rate,
        w.programming_ms, w.slow_after_ms, w.keeps_expired, w.has_faults, w.has_webhooks, w.rate_limits,
        w.allow_same_code_in_disjoint_windows, w.refuse_begun_windows, w.late_issuance_lead_ms, w.late_issuance_grace_ms";
}

impl TryFrom<WorkspaceSettingsRow> for (Ids, WorkspaceSettings) {
    type Error = Error;

    fn try_from(row: WorkspaceSettingsRow) -> Result<Self> {
        let clock = match (row.clock_mode.as_str(), row.clock_at, row.clock_since, row.clock_rate) {
            ("live", ..) => WorkspaceClock::Live,
            ("held", Some(at), ..) => WorkspaceClock::Held { at },
            ("running", Some(at), Some(since), Some(rate)) => WorkspaceClock::Running { at, since, rate },
            _ => return Err(Error::inconsistent("workspace", row.workspace_id, "clock")),
        };
        let settings = WorkspaceSettings {
            clock,
            programming: row.programming_ms.map(TimeDelta::milliseconds),
            slow_after: TimeDelta::milliseconds(row.slow_after_ms),
            keeps_expired: row.keeps_expired,
            has_faults: row.has_faults,
            has_webhooks: row.has_webhooks,
            rate_limits: row.rate_limits.map(|limits| limits.0),
            same_code: SameCode::of(row.allow_same_code_in_disjoint_windows),
            refuse_begun_windows: row.refuse_begun_windows,
            late_issuance: LateIssuanceLimits {
                lead: TimeDelta::milliseconds(row.late_issuance_lead_ms),
                grace: TimeDelta::milliseconds(row.late_issuance_grace_ms),
            },
        };
        Ok((Ids::of(row.seed.as_deref()), settings))
    }
}

/// Returns the current clock and settings of workspaces, with the generator of their ids.
pub(crate) async fn all_settings(
    connection: &mut PgConnection,
    workspace_ids: &[Uuid],
) -> Result<HashMap<Uuid, (Ids, WorkspaceSettings)>> {
    let query = format!("select {} from workspace w where w.workspace_id = any($1)", WorkspaceSettingsRow::COLUMNS);
    let rows: Vec<WorkspaceSettingsRow> =
        sqlx::query_as(AssertSqlSafe(query)).bind(workspace_ids).fetch_all(connection).await?;
    rows.into_iter().map(|row| Ok((row.workspace_id, row.try_into()?))).collect()
}

/// Returns the generator of the ids, and the current clock and settings, of one workspace.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Workspace`].
pub(crate) async fn settings(connection: &mut PgConnection, workspace_id: Uuid) -> Result<(Ids, WorkspaceSettings)> {
    let settings = all_settings(connection, &[workspace_id]).await?.remove(&workspace_id);
    settings.ok_or(Error::NotFound(Resource::Workspace))
}

/// Locks a workspace until the transaction ends, so that no device is added and no other transaction changes its clock.
/// Must be called before any of its devices is locked.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Workspace`].
pub(crate) async fn lock(tx: &mut PgConnection, workspace_id: Uuid) -> Result<()> {
    // Not `for update`: transactions that work on its devices may still insert rows that refer to the workspace.
    let locked =
        sqlx::query!("select workspace_id from workspace where workspace_id = $1 for no key update", workspace_id)
            .fetch_optional(tx)
            .await?;
    locked.map(drop).ok_or(Error::NotFound(Resource::Workspace))
}

/// Sets the clock of a workspace. The workspace and all its devices must be locked.
pub(crate) async fn set_clock(tx: &mut PgConnection, workspace_id: Uuid, clock: WorkspaceClock) -> Result<()> {
    let (mode, at, since, rate) = clock_columns(clock);
    sqlx::query!(
        "update workspace set clock_mode = $2, clock_at = $3, clock_since = $4, clock_rate = $5
         where workspace_id = $1",
        workspace_id,
        mode,
        at,
        since,
        rate,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Sets the duration of operations in a workspace; `None`: operations run until they are completed by hand. The
/// workspace and all its devices must be locked.
pub(crate) async fn set_programming(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    duration: Option<TimeDelta>,
) -> Result<()> {
    let milliseconds = duration.map(|duration| duration.num_milliseconds());
    sqlx::query!("update workspace set programming_ms = $2 where workspace_id = $1", workspace_id, milliseconds)
        .execute(tx)
        .await?;
    Ok(())
}

/// Sets the rate limits of the devices of a workspace; `None`: no limits. Returns false if the workspace does not
/// exist.
pub(crate) async fn set_rate_limits(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    limits: Option<RateLimits>,
) -> Result<bool> {
    let query = sqlx::query("update workspace set rate_limits = $2 where workspace_id = $1");
    let done = query.bind(workspace_id).bind(limits.map(Json)).execute(tx).await?;
    Ok(done.rows_affected() > 0)
}

/// Sets whether requests with parameters that are not in the contract are rejected. Returns false if the workspace does
/// not exist.
pub(crate) async fn set_strictness(tx: &mut PgConnection, workspace_id: Uuid, is_strict: bool) -> Result<bool> {
    let query = sqlx::query("update workspace set is_strict = $2 where workspace_id = $1");
    let done = query.bind(workspace_id).bind(is_strict).execute(tx).await?;
    Ok(done.rows_affected() > 0)
}

/// Changes the settings of a workspace that the parameters of `/_emulator/workspaces/update` name. If the late issuance
/// changes, the workspace and all its devices must be locked.
pub(crate) async fn update_settings(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    settings: &WorkspaceSettings,
) -> Result<()> {
    sqlx::query!(
        "update workspace
         set allow_same_code_in_disjoint_windows = $2, refuse_begun_windows = $3, late_issuance_lead_ms = $4,
             late_issuance_grace_ms = $5
         where workspace_id = $1",
        workspace_id,
        settings.same_code == SameCode::InDisjointWindows,
        settings.refuse_begun_windows,
        settings.late_issuance.lead.num_milliseconds(),
        settings.late_issuance.grace.num_milliseconds(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes a workspace with all its data.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Workspace`].
pub(crate) async fn delete(pool: &Pool, workspace_id: Uuid) -> Result<()> {
    // The devices are deleted first, in a separate transaction: a request that has just created a PIN group, and so
    // refers to the workspace, may be waiting for one of them. Deleting the workspace waits for that request, so one
    // transaction for both would be a deadlock.
    let mut tx = pool.begin(workspace_id).await?;
    tx.allow_long().await?;
    delete_devices(&mut tx, workspace_id).await?;
    tx.commit().await?;
    let mut tx = pool.begin(workspace_id).await?;
    tx.allow_long().await?;
    // A device may have been added meanwhile.
    delete_devices(&mut tx, workspace_id).await?;
    let person_id =
        sqlx::query_scalar!("delete from workspace where workspace_id = $1 returning person_id", workspace_id)
            .fetch_one(&mut *tx)
            .await?;
    persons::delete_without_workspaces(&mut tx, person_id).await?;
    tx.commit().await?;
    Ok(())
}

/// Deletes the devices of a workspace with their codes, action attempts and events, and the webhook deliveries. Locks
/// the workspace until the transaction ends.
async fn delete_devices(tx: &mut PgConnection, workspace_id: Uuid) -> Result<()> {
    lock(tx, workspace_id).await?;
    // Waits for transactions that work on the devices of the workspace. None of them waits for this transaction.
    lock_devices(tx, workspace_id).await?;
    webhook_deliveries::delete_all(tx, workspace_id).await?;
    sqlx::query!(
        "with e as (delete from event where workspace_id = $1),
              a as (delete from action_attempt where workspace_id = $1),
              c as (delete from access_code where workspace_id = $1)
         delete from device where workspace_id = $1",
        workspace_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Locks all devices of a workspace in the order of their ids, and returns the ids: no device or code of the workspace
/// can change until the transaction ends. The workspace itself must be locked, so that no device is added.
pub(crate) async fn lock_devices(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Vec<Uuid>> {
    let ids = sqlx::query!(
        "select device_id from device where workspace_id = $1 order by device_id for update",
        workspace_id
    )
    .fetch_all(tx)
    .await?;
    Ok(ids.into_iter().map(|row| row.device_id).collect())
}

/// Converts the error of an insert: to [`Error::InUse`] with the name of the value if one of the unique values below is
/// already in use, and otherwise to the usual error of the database.
pub(super) fn insert_error(error: sqlx::Error) -> Error {
    let parameter = error.as_database_error().filter(|error| error.is_unique_violation());
    let parameter = parameter.and_then(|error| error.constraint()).and_then(|constraint| match constraint {
        "workspace_pkey" => Some("workspace_id"),
        "workspace_seed_key" => Some("seed"),
        "credential_pkey" => Some("api_key"),
        "device_pkey" => Some("device_id"),
        "connected_account_pkey" => Some("connected_account_id"),
        "workspace_publishable_key_key" => Some("publishable_key"),
        _ => None,
    });
    parameter.map_or_else(|| error.into(), Error::InUse)
}

/// Row of a workspace as the control plane lists it.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct ListedRow {
    /// Id, clock and settings of the workspace.
    #[sqlx(flatten)]
    pub settings: WorkspaceSettingsRow,
    pub name: String,
    /// Seed of the ids, PINs and keys; `None` if they are random.
    pub seed: Option<String>,
    /// Key with which browsers may request client sessions.
    pub publishable_key: String,
    /// Creation time, by the clock of the workspace.
    pub created_at: Timestamp,
    /// Machine time after which the workspace may be removed; `None`: never.
    pub expires_at: Option<Timestamp>,
    pub api_key: Option<String>,
    /// Person to whom the workspace belongs.
    pub person_id: Uuid,
    pub personal_access_token: String,
}

/// Returns all workspaces, or only the given one, in the order of their creation.
pub(crate) async fn list(pool: &Pool, only: Option<Uuid>) -> Result<Vec<ListedRow>> {
    let mut query = QueryBuilder::new("select ");
    query.push(WorkspaceSettingsRow::COLUMNS).push(", w.name, w.publishable_key, w.created_at, w.expires_at, ");
    query.push("(select min(token) from credential c where c.workspace_id = w.workspace_id) as api_key, w.person_id, ");
    query.push("(select personal_access_token from person p where p.person_id = w.person_id) as personal_access_token");
    query.push(" from workspace w");
    if let Some(workspace_id) = only {
        query.push(" where w.workspace_id = ").push_bind(workspace_id);
    }
    query.push(" order by w.sequence");
    Ok(query.build_query_as().fetch_all(pool.for_workspace(only.unwrap_or_default())).await?)
}

/// Numbers of devices and codes in a workspace.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, sqlx::FromRow)]
pub(crate) struct Contents {
    pub device_count: i64,
    /// Managed codes that are not gone, without backup codes in backup pools.
    pub access_code_count: i64,
    /// Unmanaged codes that are not gone.
    pub unmanaged_access_code_count: i64,
}

/// Returns the contents of each of these workspaces, in the given order.
pub(crate) async fn contents(pool: &Pool, workspace_ids: &[Uuid]) -> Result<Vec<Contents>> {
    // `gone_at is null` is a filter of the aggregate: as a condition of the query it would make the planner consider
    // other indexes.
    let rows = sqlx::query_as(
        "select d.count as device_count, a.managed as access_code_count, a.unmanaged as unmanaged_access_code_count
         from unnest($1::uuid[]) with ordinality as w(id, place)
              cross join lateral (select count(*) from device
                                  where workspace_id = w.id and deleted_at is null) as d
              cross join lateral (
                  select count(*) filter (where is_managed and gone_at is null and pool_device_id is null) as managed,
                         count(*) filter (where not is_managed and gone_at is null) as unmanaged
                  from access_code where workspace_id = w.id
              ) as a
         order by w.place",
    )
    .bind(workspace_ids)
    .fetch_all(pool.for_workspace(Uuid::nil()))
    .await?;
    Ok(rows)
}

/// Returns the ordinal of the next workspace that has neither a chosen seed nor a chosen id, counting from 1.
pub(crate) async fn next_unseeded_ordinal(tx: &mut PgConnection) -> Result<i64> {
    let ordinal: i64 = sqlx::query_scalar("select nextval('seedless_workspace')").fetch_one(tx).await?;
    Ok(ordinal)
}

/// Returns the ordinal of the next reset of a workspace by `/workspaces/reset_sandbox`. The workspace must be locked.
pub(crate) async fn next_reset(tx: &mut PgConnection, workspace_id: Uuid) -> Result<i64> {
    let ordinal = sqlx::query_scalar!(
        "update workspace set resets_made = resets_made + 1 where workspace_id = $1 returning resets_made - 1 as \"ordinal!\"",
        workspace_id
    )
    .fetch_one(tx)
    .await?;
    Ok(ordinal)
}

/// Returns those of the given workspace, device and account ids that are in use.
pub(crate) async fn in_use(
    tx: &mut PgConnection,
    workspace_ids: &[Uuid],
    device_ids: &[Uuid],
    account_ids: &[Uuid],
) -> Result<HashSet<Uuid>> {
    let found = sqlx::query_scalar!(
        r#"select workspace_id as "id!" from workspace where workspace_id = any($1)
         union all select device_id from device where device_id = any($2)
         union all select connected_account_id from connected_account where connected_account_id = any($3)"#,
        workspace_ids,
        device_ids,
        account_ids
    )
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().collect())
}

/// Prevents other transactions from loading fixtures until this transaction ends.
pub(crate) async fn lock_fixtures(tx: &mut PgConnection) -> Result<()> {
    // Any number that no other advisory lock uses; this one is the letters "fixtures".
    sqlx::query!("select pg_advisory_xact_lock($1)", i64::from_be_bytes(*b"fixtures")).execute(tx).await?;
    Ok(())
}

/// Returns the workspaces that have expired at this machine time.
pub(crate) async fn expired(pool: &Pool, machine_now: Timestamp) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!("select workspace_id from workspace where expires_at <= $1", machine_now)
        .fetch_all(pool.for_workspace(Uuid::nil()))
        .await?;
    Ok(ids)
}

#[cfg(test)]
mod tests;
