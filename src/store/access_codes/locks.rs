//! Row locks of PIN groups and devices, and reads that are only valid under these locks.

use super::row::{AccessCodeRow, StoredCode};
use crate::domain::caller::Visibility;
use crate::domain::connected_account::AccountFields;
use crate::domain::locked_device::LockedDevice;
use crate::domain::workspace::WorkspaceSettings;
use crate::error::Result;
use crate::ids::Ids;
use crate::store::devices::DeviceRow;
use crate::store::workspaces::{self, WorkspaceSettingsRow};
use crate::store::{push_visible_accounts, push_visible_devices};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, Row};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Row of a locked device, with what belongs to it.
pub(super) struct LockedRow {
    device: DeviceRow,
    account: AccountFields,
    /// Number of backup codes that can be pulled.
    backups: i64,
}

impl FromRow<'_, PgRow> for LockedRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let account: Option<Json<AccountFields>> = row.try_get(DeviceRow::COUNT)?;
        let account = account.map(|account| account.0).unwrap_or_default();
        Ok(Self { device: DeviceRow::from_row(row)?, account, backups: 0 })
    }
}

impl LockedRow {
    fn with_settings(self, ids: Ids, settings: WorkspaceSettings) -> Result<LockedDevice> {
        let Self { device, account, backups } = self;
        let access_code_ordinal = device.access_code_ordinal;
        Ok(LockedDevice { device: device.try_into()?, settings, ids, access_code_ordinal, account, backups })
    }
}

/// Column to append to the columns of the device in a `select` of devices `a`: the [`AccountFields`] of its account, or
/// null if they are empty. The row of the account is not locked, because no decision depends on these fields.
pub(super) const OF_ACCOUNT: &str =
    ", (select jsonb_build_object('customer_key', v.customer_key, 'custom_metadata', v.custom_metadata)
      from connected_account v where v.connected_account_id = a.connected_account_id
                                     and (v.customer_key is not null or v.custom_metadata <> '{}'))";

/// Runs a query that locks devices (alias `a`) or reads locked ones, with [`OF_ACCOUNT`], and counts the backup codes
/// of each that can be pulled.
pub(super) async fn locked_rows(tx: &mut PgConnection, mut query: QueryBuilder<Postgres>) -> Result<Vec<LockedRow>> {
    let rows: Vec<LockedRow> = query.build_query_as().fetch_all(&mut *tx).await?;
    set_backups(tx, rows).await
}

/// Row of a code, with the settings of its workspace.
struct CodeWithSettings {
    code: AccessCodeRow,
    /// True if the row belongs to [`LockedAccessCodes::conflicts`], false if it belongs to `codes`.
    is_conflict: bool,
    settings: WorkspaceSettingsRow,
}

impl FromRow<'_, PgRow> for CodeWithSettings {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let is_conflict = row.try_get(AccessCodeRow::COUNT)?;
        Ok(Self { code: AccessCodeRow::from_row(row)?, is_conflict, settings: WorkspaceSettingsRow::from_row(row)? })
    }
}

/// Locks these devices of the workspace in the order of their ids. Devices that do not exist are missing from the
/// result.
pub(crate) async fn lock_devices(
    tx: &mut PgConnection,
    visibility: &Visibility,
    device_ids: &[Uuid],
) -> Result<Vec<LockedDevice>> {
    let mut query = QueryBuilder::new("select ");
    query
        .push(DeviceRow::COLUMNS)
        .push(OF_ACCOUNT)
        .push(" from device a where device_id = any(")
        .push_bind(device_ids.to_vec());
    query.push(") and workspace_id is not distinct from ").push_bind(visibility.workspace_id);
    query.push(" and deleted_at is null");
    push_visible_accounts(&mut query, visibility, "a.connected_account_id");
    query.push(" order by device_id for update");
    let rows = locked_rows(tx, query).await?;
    with_settings(tx, rows).await
}

/// Reads the settings of the workspaces of locked devices. This needs a statement of its own, because the statement
/// that waited for the locks sees older data. A transaction that changes a clock locks all devices of the workspace
/// first, so the clock cannot change after this read.
pub(super) async fn with_settings(tx: &mut PgConnection, rows: Vec<LockedRow>) -> Result<Vec<LockedDevice>> {
    let workspace_ids: BTreeSet<Uuid> = rows.iter().map(|row| row.device.workspace_id).collect();
    if workspace_ids.is_empty() {
        return Ok(Vec::new());
    }
    let all_settings = workspaces::all_settings(tx, &workspace_ids.into_iter().collect::<Vec<_>>()).await?;
    let mut locked = Vec::with_capacity(rows.len());
    for row in rows {
        // Not reachable: deleting a workspace deletes its devices, and these are locked.
        let Some((ids, settings)) = all_settings.get(&row.device.workspace_id) else { continue };
        locked.push(row.with_settings(ids.clone(), *settings)?);
    }
    Ok(locked)
}

/// Counts the backup codes that can be pulled, under the locks of the devices. Sends no statement if no device has a
/// backup pool.
async fn set_backups(tx: &mut PgConnection, mut rows: Vec<LockedRow>) -> Result<Vec<LockedRow>> {
    let with_pool: Vec<Uuid> =
        rows.iter().filter(|row| row.device.backup_pool.is_some()).map(|row| row.device.device_id).collect();
    if with_pool.is_empty() {
        return Ok(rows);
    }
    let counts: HashMap<Uuid, i64> = sqlx::query!(
        r#"select pool_device_id as "device_id!", count(*) as "backups!" from access_code
           where pool_device_id = any($1) and held_code is not null and deletion_requested_at is null
           group by pool_device_id"#,
        &with_pool,
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(|row| (row.device_id, row.backups))
    .collect();
    for row in &mut rows {
        row.backups = counts.get(&row.device.device_id).copied().unwrap_or(0);
    }
    Ok(rows)
}

/// PIN group of a `common_code_key`.
#[derive(Debug)]
pub(crate) struct PinGroup {
    pub common_code_key: String,
    /// PIN of the group; `None` if none was chosen yet.
    pub code: Option<String>,
    /// True if a code that is not gone has the key.
    pub has_members: bool,
}

/// Locks the PIN groups of these keys, and creates missing ones. The keys must be sorted: transactions that lock groups
/// in different orders could deadlock. The update in the statement changes nothing; it only locks existing groups.
pub(crate) async fn lock_pin_groups(tx: &mut PgConnection, workspace_id: Uuid, keys: &[String]) -> Result<()> {
    sqlx::query!(
        "insert into pin_group (workspace_id, common_code_key)
         select $1, key from unnest($2::text[]) with ordinality as wanted(key, place) order by place
         on conflict (workspace_id, common_code_key) do update set code = pin_group.code",
        workspace_id,
        keys,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the PIN groups of these keys. Must be called with the groups locked, as a separate statement: the statement
/// that waited for the locks sees older data.
pub(crate) async fn pin_groups(tx: &mut PgConnection, workspace_id: Uuid, keys: &[String]) -> Result<Vec<PinGroup>> {
    // `offset 0`, here and below, prevents PostgreSQL from merging the subquery, so that it uses the intended index:
    // see docs/decisions.md.
    let groups = sqlx::query_as!(
        PinGroup,
        r#"select g.common_code_key as "common_code_key!", g.code as "code?",
                  exists (select from (select * from access_code a where a.common_code_key = wanted.key offset 0) as a
                          where a.gone_at is null and a.workspace_id is not distinct from $1) as "has_members!"
           from unnest($2::text[]) as wanted(key)
           cross join lateral (select * from pin_group
                               where workspace_id = $1 and common_code_key = wanted.key offset 0) as g"#,
        workspace_id,
        keys,
    )
    .fetch_all(tx)
    .await?;
    Ok(groups)
}

/// Returns the connected accounts of the codes in the groups of these keys, as pairs of a key and an account. Must be
/// called with the groups locked.
pub(crate) async fn accounts_of_pin_groups(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    keys: &[String],
) -> Result<Vec<(String, Uuid)>> {
    let found = sqlx::query!(
        r#"select distinct wanted.key as "key!", d.connected_account_id as "connected_account_id!"
           from unnest($2::text[]) as wanted(key)
           cross join lateral (select * from access_code where common_code_key = wanted.key offset 0) as a
           cross join lateral (select connected_account_id from device where device_id = a.device_id offset 0) as d
           where a.gone_at is null and a.workspace_id is not distinct from $1"#,
        workspace_id,
        keys,
    )
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().map(|row| (row.key, row.connected_account_id)).collect())
}

/// Sets the PINs of groups, and creates missing groups.
pub(crate) async fn set_pin_groups(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    keys: &[String],
    codes: &[String],
) -> Result<()> {
    sqlx::query!(
        "insert into pin_group (workspace_id, common_code_key, code)
         select $1, key, code from unnest($2::text[], $3::text[]) as new(key, code)
         on conflict (workspace_id, common_code_key) do update set code = excluded.code",
        workspace_id,
        keys,
        codes,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes groups. They must be locked and have no codes.
pub(crate) async fn delete_pin_groups(tx: &mut PgConnection, workspace_id: Uuid, keys: &[String]) -> Result<()> {
    sqlx::query!(
        "delete from pin_group
         where ctid = any(array(select g.ctid from unnest($2::text[]) as wanted(key)
                                cross join lateral (select ctid from pin_group
                                                    where workspace_id = $1 and common_code_key = wanted.key
                                                    offset 0) as g))",
        workspace_id,
        keys
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Requested change of the PIN or the time frame of a code.
#[derive(Clone, Debug)]
pub struct PinChange {
    /// Code to change.
    pub access_code_id: Uuid,
    /// New PIN; `None` if only the time frame changes.
    pub code: Option<String>,
}

/// Result of [`lock_access_codes`].
#[derive(Debug, Default)]
pub(crate) struct LockedAccessCodes {
    /// Locked devices.
    pub locked: Vec<LockedDevice>,
    /// Codes in the order of their creation: the requested ones, and those that are blocked on one of the devices.
    pub codes: Vec<StoredCode>,
    /// Codes on the devices that may conflict with a PIN change: they have the new PIN, or the current PIN of the code
    /// to change. The code to change is one of them, and a code may occur more than once.
    pub conflicts: Vec<StoredCode>,
}

/// Locks the devices of these codes, and reads the codes under these locks. Codes that do not exist, are gone or are
/// not visible are missing from the result. The result also contains codes that are blocked by an entry in the memory
/// of these devices, and codes that may conflict with the PIN changes, which saves a separate statement.
pub(crate) async fn lock_access_codes(
    tx: &mut PgConnection,
    visibility: &Visibility,
    access_code_ids: &[Uuid],
    pin_changes: &[PinChange],
) -> Result<LockedAccessCodes> {
    // A code never moves to another device, so its device need not be read again under the lock.
    let mut query = QueryBuilder::new("select ");
    query.push(DeviceRow::COLUMNS).push(OF_ACCOUNT).push(" from device a where device_id = any(array(");
    query.push("select device_id from access_code where access_code_id = any(").push_bind(access_code_ids.to_vec());
    query.push("))) and workspace_id is not distinct from ").push_bind(visibility.workspace_id);
    query.push(" and deleted_at is null");
    push_visible_accounts(&mut query, visibility, "a.connected_account_id");
    query.push(" order by device_id for update");
    let rows = locked_rows(tx, query).await?;
    let device_ids: Vec<Uuid> = rows.iter().map(|row| row.device.device_id).collect();
    if device_ids.is_empty() {
        return Ok(LockedAccessCodes::default());
    }
    let mut query = codes_with_settings(visibility, access_code_ids, &device_ids, pin_changes);
    let found: Vec<CodeWithSettings> = query.build_query_as().fetch_all(tx).await?;
    let mut result = LockedAccessCodes::default();
    let mut settings = None;
    for CodeWithSettings { code, is_conflict, settings: row_settings } in found {
        settings = Some(row_settings);
        if is_conflict { &mut result.conflicts } else { &mut result.codes }.push(code.try_into()?);
    }
    // Each row has the settings. Without any row, no code exists, and the caller does not need the locked devices.
    let Some((ids, settings)) = settings.map(<(Ids, WorkspaceSettings)>::try_from).transpose()? else {
        return Ok(result);
    };
    result.locked = rows.into_iter().map(|row| row.with_settings(ids.clone(), settings)).collect::<Result<_>>()?;
    Ok(result)
}

/// Builds the query for the codes, the codes that are blocked on these devices, and the conflicts of the PIN changes,
/// each with the settings of the workspace. Each kind is looked up with its own index: `offset 0` keeps the subqueries
/// separate.
fn codes_with_settings(
    visibility: &Visibility,
    access_code_ids: &[Uuid],
    device_ids: &[Uuid],
    pin_changes: &[PinChange],
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("select ");
    query
        .push(AccessCodeRow::COLUMNS)
        .push(", a.is_conflict, ")
        .push(WorkspaceSettingsRow::COLUMNS)
        .push(" from (select ");
    query.push(AccessCodeRow::COLUMNS).push(", false as is_conflict from unnest(").push_bind(access_code_ids.to_vec());
    query.push("::uuid[]) as wanted(id) cross join lateral (select * from access_code a where a.access_code_id = ");
    query.push("wanted.id offset 0) as a where a.gone_at is null and a.workspace_id = ");
    query.push_bind(visibility.workspace_id);
    push_visible_devices(&mut query, visibility, "a.device_id");
    query.push(" union all select ").push(AccessCodeRow::COLUMNS).push(", false from (");
    super::push_blocked_on(&mut query, device_ids);
    query.push(" where a.gone_at is null and not a.access_code_id = any(").push_bind(access_code_ids.to_vec());
    query.push(")) as a");
    if !pin_changes.is_empty() {
        for condition in [
            "a.device_id = own.device_id and a.code = pin.code and (a.particulars is null
             or not a.particulars ? 'has_expired')",
            "a.held_code = pin.code and a.device_id is not distinct from own.device_id
             and a.held_code <> a.code",
        ] {
            query.push(" union all select ").push(AccessCodeRow::COLUMNS).push(", true from unnest(");
            query
                .push_bind(pin_changes.iter().map(|change| change.access_code_id).collect::<Vec<_>>())
                .push("::uuid[], ");
            query.push_bind(pin_changes.iter().map(|change| change.code.clone()).collect::<Vec<_>>());
            query.push("::text[]) as wanted(id, code) cross join lateral (select device_id, code from access_code ");
            query.push("where access_code_id = wanted.id offset 0) as own cross join lateral (values (own.code), ");
            query.push("(wanted.code)) as pin(code) cross join lateral (select * from access_code a where ");
            query.push("a.gone_at is null and ").push(condition).push(" offset 0) as a");
        }
    }
    query.push(") as a cross join (select * from workspace where workspace_id = ");
    query.push_bind(visibility.workspace_id);
    query.push(") as w order by a.sequence");
    query
}

/// Locks the PIN group of a key. Returns false if the group does not exist.
pub(crate) async fn lock_pin_group(tx: &mut PgConnection, workspace_id: Uuid, common_code_key: &str) -> Result<bool> {
    let found = sqlx::query!(
        "select common_code_key from pin_group where workspace_id = $1 and common_code_key = $2 for update",
        workspace_id,
        common_code_key,
    )
    .fetch_optional(tx)
    .await?;
    Ok(found.is_some())
}

/// Returns the ids of the visible codes of a group. Must be called with the group locked: it then gets no further
/// members.
pub(crate) async fn members(
    tx: &mut PgConnection,
    visibility: &Visibility,
    common_code_key: &str,
) -> Result<Vec<Uuid>> {
    let mut query = QueryBuilder::new("select access_code_id from (select * from access_code where common_code_key = ");
    query.push_bind(common_code_key.to_owned()).push(" offset 0) as a where gone_at is null");
    query.push(" and workspace_id is not distinct from ").push_bind(visibility.workspace_id);
    push_visible_devices(&mut query, visibility, "a.device_id");
    query.push(" order by access_code_id");
    let ids: Vec<(Uuid,)> = query.build_query_as().fetch_all(tx).await?;
    Ok(ids.into_iter().map(|(id,)| id).collect())
}
