//! SQL of access codes.
//!
//! Row locks are always taken in this order: workspace, PIN groups by key, devices by id, access grants by id, faults; a
//! transaction takes only those that it needs. A code changes only under the lock of its device, and the clock of a workspace only under
//! the locks of the workspace and of all its devices. Each write of several rows is one statement.

mod due;
mod locks;
mod reservations;
mod row;
mod write;

pub(crate) use self::due::{DueOn, claim_due, claim_newly_due, claimed_codes, longest_due};
pub(crate) use self::locks::{
    DeviceSelection, GroupPin, LockedAccessCodes, PinChange, accounts_of_pin_groups, begin_with_locked_devices,
    delete_pin_groups, lock_devices, lock_pin_group, lock_pin_groups, locked_access_codes, locked_devices,
    locked_devices_and_reservations, members, pin_groups,
};
pub(crate) use self::reservations::{
    PinQuery, entries_with_pins, entry_counts, offline_on_devices, reservations_of_code, reservations_on_devices,
};
pub(super) use self::row::AccessCodeRow;
pub(crate) use self::row::StoredCode;
pub(crate) use self::write::{remove_empty_groups, set_due_times, set_wake_times};
pub(crate) use super::Ownership;
pub(crate) use crate::domain::caller::Visibility;

use super::{Position, push_page, push_visible_accounts, push_visible_devices};
use crate::clock::Timestamp;
use crate::domain::access_code::AccessCode;
use crate::domain::device::health::{BackupPool, DeviceHealth};
use crate::domain::device::{DeviceSummary, Overrides, brands};
use crate::error::{Error, Result};
use crate::postgres::Pool;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, Row};
use uuid::Uuid;

/// Returns the earliest machine time at which a code or an operation of a lock becomes due. These devices are ignored.
pub(crate) async fn next_wake_at(pool: &Pool, excluded_devices: &[Uuid]) -> Result<Option<Timestamp>> {
    let next = sqlx::query_scalar!(
        "select least(
             (select wake_at from access_code where wake_at is not null and not device_id = any($1)
              order by wake_at limit 1),
             (select wake_at from device where wake_at is not null and not device_id = any($1)
              order by wake_at limit 1))",
        excluded_devices,
    )
    .fetch_one(pool.for_workspace(Uuid::nil()))
    .await?;
    Ok(next)
}

/// Returns the number of codes and operations of locks that should have been processed before this machine time,
/// counting up to 10,000 of each.
pub(crate) async fn overdue(pool: &Pool, before: Timestamp) -> Result<i64> {
    let overdue = sqlx::query_scalar!(
        r#"select count(*) as "count!"
           from ((select from access_code where wake_at < $1 order by wake_at limit 10000)
                 union all
                 (select from device where wake_at < $1 order by wake_at limit 10000)) as overdue"#,
        before,
    );
    Ok(overdue.fetch_one(pool.for_workspace(Uuid::nil())).await?)
}

/// Returns the codes of a workspace that are due by this instant on its clock, and the codes that the memory of
/// one of its locks blocks. `device_ids` are all devices of the workspace.
pub(crate) async fn due_in_workspace(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    device_ids: &[Uuid],
    until: Timestamp,
) -> Result<Vec<StoredCode>> {
    let mut query = QueryBuilder::new("select ");
    query.push(AccessCodeRow::COLUMNS).push(" from access_code a where a.workspace_id = ").push_bind(workspace_id);
    query.push(" and a.due_at <= ").push_bind(until).push(" union all ");
    push_blocked_on(&mut query, device_ids);
    query.push(" where a.due_at is null or a.due_at > ").push_bind(until);
    codes(tx, query).await
}

/// Selects the codes `a` that the memory of one of these locks blocks. `offset 0` makes it one
/// look-up per lock. With a list of locks the planner would not use the index on `blocked_on`, which contains few
/// codes. The caller can append a `where` with further conditions on `a`.
fn push_blocked_on(query: &mut QueryBuilder<Postgres>, device_ids: &[Uuid]) {
    query.push("select ").push(AccessCodeRow::COLUMNS).push(" from unnest(").push_bind(device_ids.to_vec());
    query.push("::uuid[]) as locked(id) cross join lateral (select * from access_code a where a.blocked_on = ");
    query.push("locked.id offset 0) as a");
}

/// Runs a query that selects the columns of [`AccessCodeRow`].
async fn codes(tx: &mut PgConnection, mut query: QueryBuilder<Postgres>) -> Result<Vec<StoredCode>> {
    let rows: Vec<AccessCodeRow> = query.build_query_as().fetch_all(tx).await?;
    rows.into_iter().map(StoredCode::try_from).collect()
}

/// Returns the earliest due time of the codes of a workspace, on its clock; `None` if no code has one.
pub(crate) async fn next_due(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Option<Timestamp>> {
    let next = sqlx::query_scalar!(
        "select due_at from access_code where workspace_id = $1 and due_at is not null order by due_at limit 1",
        workspace_id,
    )
    .fetch_optional(tx)
    .await?;
    Ok(next.flatten())
}

/// Returns the codes of these devices that are not gone, in the order of their creation.
pub(crate) async fn on_devices(tx: &mut PgConnection, device_ids: &[Uuid]) -> Result<Vec<StoredCode>> {
    let mut query = QueryBuilder::new("select ");
    query.push(AccessCodeRow::COLUMNS).push(" from access_code a where a.gone_at is null and a.device_id = any(");
    query.push_bind(device_ids.to_vec()).push(") order by a.sequence");
    codes(tx, query).await
}

/// Returns the backup codes in the pools of these devices, in the order of their creation.
pub(crate) async fn in_pools(tx: &mut PgConnection, device_ids: &[Uuid]) -> Result<Vec<StoredCode>> {
    let mut query = QueryBuilder::new("select ");
    query.push(AccessCodeRow::COLUMNS).push(" from access_code a where a.gone_at is null and a.pool_device_id = any(");
    query.push_bind(device_ids.to_vec()).push(") order by a.sequence");
    codes(tx, query).await
}

/// Returns the codes with these ids that are not gone.
pub(crate) async fn by_ids(tx: &mut PgConnection, access_code_ids: &[Uuid]) -> Result<Vec<StoredCode>> {
    let mut query = QueryBuilder::new("select ");
    query.push(AccessCodeRow::COLUMNS).push(" from access_code a where a.gone_at is null and a.access_code_id = any(");
    query.push_bind(access_code_ids.to_vec()).push(") order by a.sequence");
    codes(tx, query).await
}

/// Returns the codes of these access methods that are not gone, each with true if its lock is reachable.
pub(crate) async fn of_methods(tx: &mut PgConnection, method_ids: &[Uuid]) -> Result<Vec<(AccessCode, bool)>> {
    let mut query = QueryBuilder::new("select ");
    query.push(AccessCodeRow::COLUMNS).push(", d.reachable_since is not null from unnest(");
    query.push_bind(method_ids.to_vec()).push(
        "::uuid[]) as wanted(id)
         cross join lateral (select * from access_code where access_method_id = wanted.id and gone_at is null
                             offset 0) as a
         join device d on d.device_id = any(array[a.device_id]) order by a.sequence",
    );
    let rows: Vec<PgRow> = query.build().fetch_all(tx).await?;
    let read = |row: &PgRow| {
        let code = StoredCode::try_from(AccessCodeRow::from_row(row)?)?.code;
        Ok((code, row.try_get(AccessCodeRow::COUNT)?))
    };
    rows.iter().map(read).collect()
}

/// Returns the device of a code, even if the code is gone; `None` if the code does not exist or is not visible.
pub async fn device_of(pool: &Pool, visibility: &Visibility, access_code_id: Uuid) -> Result<Option<Uuid>> {
    let mut query = QueryBuilder::new("select a.device_id from access_code a where a.access_code_id = ");
    query.push_bind(access_code_id).push(" and a.workspace_id is not distinct from ");
    query.push_bind(visibility.workspace_id);
    push_visible_devices(&mut query, visibility, "a.device_id");
    let device_id: Option<(Uuid,)> =
        query.build_query_as().fetch_optional(pool.for_workspace(visibility.workspace_id)).await?;
    Ok(device_id.map(|(device_id,)| device_id))
}

/// Returns a column for a `select`: the number of backup codes that can be pulled on the device with this alias.
fn backups_of(device: &str) -> String {
    format!(
        "case when {device}.backup_pool is null then 0 else
             (select count(*) from access_code b
              where b.pool_device_id = {device}.device_id and b.held_code is not null
                    and b.deletion_requested_at is null) end"
    )
}

/// Row of a code with the device fields that responses need. The code is `None` in the one row that [`list_on_device`]
/// gets for a device without codes that pass the filter.
struct WithDevice {
    code: Option<AccessCodeRow>,
    device_id: Uuid,
    device_type: String,
    device_name: String,
    trouble: Option<Json<DeviceHealth>>,
    overrides: Option<Json<Overrides>>,
    backup_pool: Option<Json<BackupPool>>,
    backups: i64,
}

impl FromRow<'_, PgRow> for WithDevice {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let has_code = row.try_get::<Option<Uuid>, _>(0)?.is_some();
        Ok(Self {
            code: has_code.then(|| AccessCodeRow::from_row(row)).transpose()?,
            device_id: row.try_get(AccessCodeRow::COUNT)?,
            device_type: row.try_get(AccessCodeRow::COUNT + 1)?,
            device_name: row.try_get(AccessCodeRow::COUNT + 2)?,
            trouble: row.try_get(AccessCodeRow::COUNT + 3)?,
            overrides: row.try_get(AccessCodeRow::COUNT + 4)?,
            backup_pool: row.try_get(AccessCodeRow::COUNT + 5)?,
            backups: row.try_get(AccessCodeRow::COUNT + 6)?,
        })
    }
}

/// Columns of a [`WithDevice`] after those of the code, from the device `d`. [`backups_of`] follows as the last column.
const OF_DEVICE: &str = ", d.device_id, d.device_type, coalesce(d.nickname, d.name), d.trouble, nullif(d.overrides, '{}') as overrides, d.backup_pool, ";

impl WithDevice {
    /// Converts the row into the code and its device; `None` if the row has no code.
    fn read(self) -> Result<Option<(AccessCode, DeviceSummary)>> {
        let Some(code) = self.code else { return Ok(None) };
        let unknown_type = || Error::inconsistent("device", self.device_id, "device_type");
        let device = DeviceSummary {
            brand: brands::of(&self.device_type).ok_or_else(unknown_type)?,
            name: self.device_name,
            health: self.trouble.map(|json| json.0).unwrap_or_default(),
            overrides: self.overrides.map(|overrides| overrides.0).unwrap_or_default(),
            backup_pool: self.backup_pool.map(|pool| pool.0),
            backups: self.backups,
        };
        Ok(Some((StoredCode::try_from(code)?.code, device)))
    }
}

/// Filter of access codes; a field that is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only codes with these ids.
    pub access_code_ids: Option<&'a [Uuid]>,
    /// Only codes on this device.
    pub device_id: Option<Uuid>,
    /// Only codes on these devices.
    pub device_ids: Option<&'a [Uuid]>,
    /// Only ongoing codes, and codes that start before this instant.
    pub starts_before: Option<Timestamp>,
    /// Only ongoing codes, codes that end after this instant, and codes that are still on the lock.
    pub ends_after: Option<Timestamp>,
    /// Only codes with this PIN.
    pub code: Option<&'a str>,
    /// Only codes of this access grant, by its id.
    pub access_grant_id: Option<Uuid>,
    /// Only codes of the access grant with this key.
    pub access_grant_key: Option<&'a str>,
    /// Only codes of this access method.
    pub access_method_id: Option<Uuid>,
    /// Only codes on devices of accounts of the customer with this key. Without ids, no code that is gone is returned.
    pub customer_key: Option<&'a str>,
    /// Only codes with this text in their name, PIN or id.
    pub search: Option<&'a str>,
    /// Managed codes, unmanaged codes, or both.
    pub ownership: Ownership,
    /// Exclude backup codes that are in a backup pool.
    pub exclude_pool: bool,
    /// Include codes that are gone.
    pub include_gone: bool,
    /// Only codes after this position.
    pub after: Option<Position>,
    /// Maximum number of codes.
    pub limit: Option<i64>,
}

/// Returns the codes of a workspace that pass the filter, newest first, each with its device. Uses one statement.
pub async fn list(
    pool: &Pool,
    visibility: &Visibility,
    filter: &Filter<'_>,
) -> Result<Vec<(AccessCode, DeviceSummary)>> {
    let mut query = in_workspace(visibility, filter);
    let rows: Vec<WithDevice> = query.build_query_as().fetch_all(pool.for_workspace(visibility.workspace_id)).await?;
    rows.into_iter().filter_map(|row| row.read().transpose()).collect()
}

/// Returns the codes of one device that pass the filter, as [`list`] does; `filter.device_id` is ignored. `None` if the
/// workspace has no such device, or the caller may not see it. Uses one statement.
pub async fn list_on_device(
    pool: &Pool,
    visibility: &Visibility,
    device_id: Uuid,
    filter: &Filter<'_>,
) -> Result<Option<Vec<(AccessCode, DeviceSummary)>>> {
    let mut query = on_device(visibility, device_id, filter);
    let rows: Vec<WithDevice> = query.build_query_as().fetch_all(pool.for_workspace(visibility.workspace_id)).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    rows.into_iter().filter_map(|row| row.read().transpose()).collect::<Result<_>>().map(Some)
}

/// Passes the codes that [`list`] or, with a device, [`list_on_device`] would return to `add`, one after the other, so
/// that they are not in memory together. `init` returns the initial value of the result. Returns `None` if the device
/// does not exist or is not visible.
pub(crate) async fn fold<T: Send + 'static>(
    pool: &Pool,
    visibility: &Visibility,
    (device_id, filter): (Option<Uuid>, &Filter<'_>),
    init: impl Fn() -> T,
    add: fn(&mut T, AccessCode, DeviceSummary) -> Result<()>,
) -> Result<Option<T>> {
    let mut query = match device_id {
        None => in_workspace(visibility, filter),
        Some(device_id) => on_device(visibility, device_id, filter),
    };
    let take_rows = move |(is_found, folded): &mut (bool, T), rows: Vec<PgRow>| {
        for row in rows {
            *is_found = true;
            if let Some((code, device)) = WithDevice::from_row(&row)?.read()? {
                add(folded, code, device)?;
            }
        }
        Ok(())
    };
    // The statement has a row for a device without codes.
    let is_found = device_id.is_none();
    let init = || (is_found, init());
    let (is_found, folded) = pool.fold(visibility.workspace_id, query.build(), init, take_rows).await?;
    Ok(is_found.then_some(folded))
}

fn in_workspace(visibility: &Visibility, filter: &Filter<'_>) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("select ");
    query.push(AccessCodeRow::COLUMNS).push(OF_DEVICE).push(backups_of("d")).push(" as backups from ");
    match filter.customer_key.filter(|_| filter.access_code_ids.is_none()) {
        Some(key) => push_codes_of_customer(&mut query, visibility, key),
        None => push_source(&mut query, filter),
    }
    query.push(" join device d on d.device_id = any(array[a.device_id]) where a.workspace_id is not distinct from ");
    query.push_bind(visibility.workspace_id);
    push_visible_accounts(&mut query, visibility, "d.connected_account_id");
    if let Some(device_id) = filter.device_id {
        query.push(" and a.device_id = ").push_bind(device_id);
    }
    if let Some(device_ids) = filter.device_ids {
        query.push(" and a.device_id = any(").push_bind(device_ids.to_vec()).push(")");
    }
    push_conditions(&mut query, visibility.workspace_id, filter);
    query
}

fn on_device(visibility: &Visibility, device_id: Uuid, filter: &Filter<'_>) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("select ");
    query.push(AccessCodeRow::COLUMNS).push(OF_DEVICE).push(backups_of("d")).push(" as backups from ");
    query.push("(select * from device where device_id = ").push_bind(device_id);
    query.push(" and workspace_id is not distinct from ").push_bind(visibility.workspace_id);
    query.push(" and deleted_at is null");
    push_visible_accounts(&mut query, visibility, "connected_account_id");
    query.push(" offset 0) as d left join lateral (select a.* from ");
    push_source(&mut query, filter);
    query.push(" where a.device_id = d.device_id");
    push_conditions(&mut query, visibility.workspace_id, filter);
    query.push(" offset 0) as a on true order by a.created_at desc, a.access_code_id desc");
    query
}

/// Pushes the source of the codes `a`. Ids are looked up in a subquery of their own: for a small table the planner
/// would otherwise also consider reading all of `access_code_on_device` because of `gone_at is null`.
fn push_source(query: &mut QueryBuilder<Postgres>, filter: &Filter<'_>) {
    match filter.access_code_ids {
        Some([access_code_id]) => {
            query.push("(select * from access_code where access_code_id = ").push_bind(*access_code_id);
            query.push(" offset 0) as a");
        }
        Some(ids) => {
            query.push("(select * from access_code where access_code_id = any(").push_bind(ids.to_vec());
            query.push(") offset 0) as a");
        }
        None => drop(query.push("access_code a")),
    }
}

/// Pushes the source of the codes `a` of a customer: for each of its accounts those on each device, by their indexes.
fn push_codes_of_customer(query: &mut QueryBuilder<Postgres>, visibility: &Visibility, customer_key: &str) {
    query.push("(select a.* from (select connected_account_id from connected_account where workspace_id = ");
    query.push_bind(visibility.workspace_id).push(" and customer_key = ").push_bind(customer_key.to_owned());
    query.push(" offset 0) as v cross join lateral (select device_id from device where connected_account_id = ");
    query
        .push("v.connected_account_id offset 0) as o cross join lateral (select * from access_code where device_id = ");
    query.push("o.device_id and gone_at is null offset 0) as a) as a");
}

/// Condition for the codes of the access methods that the appended condition selects; it needs two closing brackets.
const METHODS_OF: &str = " and a.access_method_id = any(array(select access_method_id from access_method where ";

/// Pushes the conditions on the codes `a` on devices `d`, except those on ids, and then the order and the limit.
fn push_conditions(query: &mut QueryBuilder<Postgres>, workspace_id: Uuid, filter: &Filter<'_>) {
    filter.ownership.push_condition(query, "a.is_managed");
    if filter.exclude_pool {
        query.push(" and a.pool_device_id is null");
    }
    if !filter.include_gone {
        query.push(" and a.gone_at is null");
    }
    if let Some(before) = filter.starts_before {
        query.push(" and (a.starts_at is null or a.starts_at < ").push_bind(before).push(")");
    }
    if let Some(after) = filter.ends_after {
        query.push(" and (a.ends_at is null or a.held_code is not null or a.ends_at > ").push_bind(after).push(")");
    }
    if let Some(code) = filter.code {
        query.push(" and a.code = ").push_bind(code.to_owned());
    }
    if let Some(id) = filter.access_method_id {
        query.push(" and a.access_method_id = ").push_bind(id);
    }
    if let Some(id) = filter.access_grant_id {
        query.push(METHODS_OF).push("access_grant_id = ").push_bind(id).push("))");
    }
    if let Some(key) = filter.access_grant_key {
        query.push(METHODS_OF).push("access_grant_id = (select access_grant_id from access_grant where");
        query.push(" workspace_id = ").push_bind(workspace_id).push(" and access_grant_key = ");
        query.push_bind(key.to_owned()).push(")))");
    }
    if let Some(key) = filter.customer_key {
        query.push(" and exists (select from connected_account v where v.customer_key = ").push_bind(key.to_owned());
        query.push(" and v.connected_account_id = any(array[d.connected_account_id]))");
    }
    if let Some(search) = filter.search {
        // A search does not find unmanaged codes by a PIN that their brand does not report.
        let hiding = brands::BRANDS.iter().filter(|brand| brand.hides_unmanaged_pins);
        let hiding: Vec<&str> = hiding.map(|brand| brand.device_type).collect();
        query.push(" and position(lower(").push_bind(search.to_owned());
        query.push(") in lower(concat_ws(' ', a.name, case when a.is_managed or d.device_type <> all(");
        query.push_bind(hiding).push(") then a.code end, a.access_code_id))) > 0");
    }
    push_page(query, "access_code_id", filter.after, filter.limit);
}
