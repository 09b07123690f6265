//! Row locks of PIN groups and devices, and reads that are only valid under these locks.

use super::reservations::{PinQuery, ReservationRow, pins_on, push_reservations_of_wanted};
use super::row::{AccessCodeRow, StoredCode};
use crate::domain::caller::Visibility;
use crate::domain::connected_account::AccountFields;
use crate::domain::device::Device;
use crate::domain::linked::Reservation;
use crate::domain::locked_device::LockedDevice;
use crate::error::Result;
use crate::postgres::{Pool, Transaction};
use crate::store::devices::{DeviceRow, push_space_ids};
use crate::store::workspaces::WorkspaceSettingsRow;
use crate::store::{push_visible_accounts, push_visible_devices};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, Row};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Devices to lock, or to read under their locks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DeviceSelection<'a> {
    /// Devices with these ids.
    ByIds(&'a [Uuid]),
    /// Devices of the access codes with these ids.
    OfAccessCodes(&'a [Uuid]),
}

impl DeviceSelection<'_> {
    /// Returns the SQL function that locks the devices, and the ids for it.
    fn function(&self) -> (&'static str, &[Uuid]) {
        match self {
            Self::ByIds(ids) => ("lock_devices", ids),
            Self::OfAccessCodes(ids) => ("lock_devices_of_access_codes", ids),
        }
    }
}

/// Begins a transaction that locks those of these devices that are visible, in the order of their ids. Both is one
/// message to the database.
pub(crate) async fn begin_with_locked_devices(
    pool: &Pool,
    visibility: &Visibility,
    devices: DeviceSelection<'_>,
) -> Result<Transaction> {
    // The text of a UUID needs no quoting.
    let array = |ids: &[Uuid]| format!("'{{{}}}'", ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(","));
    let (function, ids) = devices.function();
    let accounts = visibility.connected_account_ids.as_ref().map_or_else(|| "null".to_owned(), |ids| array(ids));
    let lock = format!("select {function}('{}', {}, {accounts})", visibility.workspace_id, array(ids));
    Ok(pool.begin_with(visibility.workspace_id, &lock).await?)
}

/// Locks those of these devices that are visible, in the order of their ids.
pub(crate) async fn lock_devices(
    tx: &mut PgConnection,
    visibility: &Visibility,
    devices: DeviceSelection<'_>,
) -> Result<()> {
    let (function, ids) = devices.function();
    if ids.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::new("select ");
    query.push(function).push("(").push_bind(visibility.workspace_id).push(", ").push_bind(ids.to_vec()).push(", ");
    query.push_bind(visibility.connected_account_ids.as_ref().map(|ids| ids.to_vec())).push(")");
    query.build().execute(tx).await?;
    Ok(())
}

/// Row of a locked device, with what belongs to it.
struct LockedRow {
    device: DeviceRow,
    /// Visible spaces of the device; empty for devices that are read for their access codes only.
    space_ids: Vec<Uuid>,
    account: Option<Json<AccountFields>>,
    /// Number of backup codes that can be pulled.
    backups: i64,
    /// Reservations of the PINs that were asked for; `None` if there are none.
    reservations: Option<Json<Vec<ReservationRow>>>,
    settings: WorkspaceSettingsRow,
}

impl LockedRow {
    /// Column to append to those of the device `a`. The row of the account is not locked, because no decision depends on
    /// these fields; they are null if they are empty.
    const ACCOUNT: &str =
        ", (select jsonb_build_object('customer_key', v.customer_key, 'custom_metadata', v.custom_metadata)
            from connected_account v where v.connected_account_id = a.connected_account_id
                                           and (v.customer_key is not null or v.custom_metadata <> '{}')), ";
}

impl FromRow<'_, PgRow> for LockedRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            device: DeviceRow::from_row(row)?,
            account: row.try_get(DeviceRow::COUNT)?,
            backups: row.try_get(DeviceRow::COUNT + 1)?,
            reservations: row.try_get(DeviceRow::COUNT + 2)?,
            space_ids: row.try_get(DeviceRow::COUNT + 3)?,
            settings: WorkspaceSettingsRow::from_row(row)?,
        })
    }
}

/// Reads devices under their locks, with the settings of their workspaces. Devices that do not exist are missing from the
/// result; with a visibility, also those that it does not cover.
///
/// A transaction that changes a clock locks all devices of the workspace first, so the clock cannot change after this
/// read. It must not be part of the statement that waits for the locks, which sees older data.
pub(crate) async fn locked_devices(
    tx: &mut PgConnection,
    visibility: Option<&Visibility>,
    devices: DeviceSelection<'_>,
) -> Result<Vec<LockedDevice>> {
    Ok(locked_devices_and_reservations(tx, visibility, devices, &BTreeSet::new()).await?.0)
}

/// Like [`locked_devices`], with the reservations of these PINs on the devices of a [`DeviceSelection::ByIds`].
pub(crate) async fn locked_devices_and_reservations(
    tx: &mut PgConnection,
    visibility: Option<&Visibility>,
    devices: DeviceSelection<'_>,
    pins: &BTreeSet<PinQuery>,
) -> Result<(Vec<LockedDevice>, Vec<Reservation>)> {
    let (DeviceSelection::ByIds(ids) | DeviceSelection::OfAccessCodes(ids)) = devices;
    if ids.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut query = QueryBuilder::new("select ");
    query.push(DeviceRow::COLUMNS).push(LockedRow::ACCOUNT).push(super::backups_of("a")).push(", ");
    push_reservations_of_wanted(&mut query);
    query.push(", ");
    match (devices, visibility) {
        (DeviceSelection::ByIds(_), Some(visibility)) if pins.is_empty() => push_space_ids(&mut query, visibility),
        // These devices are not shown.
        _ => drop(query.push("array[]::uuid[]")),
    }
    query.push(", ").push(WorkspaceSettingsRow::COLUMNS).push(" from ");
    match devices {
        DeviceSelection::ByIds(device_ids) => {
            let pins: Vec<Option<String>> = device_ids.iter().map(|device_id| pins_on(*device_id, pins)).collect();
            query.push("unnest(").push_bind(device_ids.to_vec()).push("::uuid[], ").push_bind(pins);
            query.push("::text[]) as wanted(device_id, codes)");
        }
        DeviceSelection::OfAccessCodes(access_code_ids) => {
            query.push("(select distinct device_id, null as codes from access_code where access_code_id = any(");
            query.push_bind(access_code_ids.to_vec()).push(")) as wanted");
        }
    }
    // `offset 0` prevents PostgreSQL from merging the subqueries: see docs/decisions.md.
    query.push(
        " cross join lateral (select * from device where device_id = wanted.device_id offset 0) as a
          cross join lateral (select * from workspace where workspace_id = a.workspace_id offset 0) as w where true",
    );
    if let Some(visibility) = visibility {
        query.push(" and a.workspace_id = ").push_bind(visibility.workspace_id).push(" and a.deleted_at is null");
        push_visible_accounts(&mut query, visibility, "a.connected_account_id");
    }
    let rows: Vec<LockedRow> = query.build_query_as().fetch_all(tx).await?;
    let (mut locked, mut reservations) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        let (ids, settings) = row.settings.try_into()?;
        locked.push(LockedDevice {
            access_code_ordinal: row.device.access_code_ordinal,
            device: Device { space_ids: row.space_ids, ..row.device.try_into()? },
            settings,
            ids,
            account: row.account.map(|account| account.0).unwrap_or_default(),
            backups: row.backups,
        });
        if let Some(Json(rows)) = row.reservations {
            reservations.extend(ReservationRow::into_reservations(rows)?);
        }
    }
    Ok((locked, reservations))
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

/// New PIN of the group of a `common_code_key`.
#[derive(Clone, Debug)]
pub(crate) struct GroupPin {
    pub workspace_id: Uuid,
    pub common_code_key: String,
    pub code: String,
}

impl GroupPin {
    /// Appends the statement that sets the PINs of these groups, and creates missing groups.
    pub(crate) fn push_upsert(query: &mut QueryBuilder<Postgres>, groups: Vec<Self>) {
        let (mut workspace_ids, mut keys, mut codes) = (Vec::new(), Vec::new(), Vec::new());
        for group in groups {
            workspace_ids.push(group.workspace_id);
            keys.push(group.common_code_key);
            codes.push(group.code);
        }
        query.push("insert into pin_group (workspace_id, common_code_key, code) select * from unnest(");
        query.push_bind(workspace_ids).push("::uuid[], ").push_bind(keys).push("::text[], ").push_bind(codes);
        query.push("::text[]) on conflict (workspace_id, common_code_key) do update set code = excluded.code");
    }
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

/// Locked devices, with codes that were read under these locks.
#[derive(Debug, Default)]
pub(crate) struct LockedAccessCodes {
    pub locked: Vec<LockedDevice>,
    /// Reservations of the PINs of new codes.
    pub reservations: Vec<Reservation>,
    /// Codes in the order of their creation: the requested ones, and those that are blocked on one of the devices.
    pub codes: Vec<StoredCode>,
    /// Codes on the devices that may conflict with a PIN change: they have the new PIN, or the current PIN of the code
    /// to change. The code to change is one of them, and a code may occur more than once.
    pub conflicts: Vec<StoredCode>,
}

/// Reads these codes under the locks of their devices. Codes that do not exist, are gone or are not visible are missing
/// from the result. The result also contains codes that are blocked by an entry in the memory of these devices, and
/// codes that may conflict with the PIN changes, which saves a separate statement.
pub(crate) async fn locked_access_codes(
    tx: &mut PgConnection,
    visibility: &Visibility,
    access_code_ids: &[Uuid],
    pin_changes: &[PinChange],
) -> Result<LockedAccessCodes> {
    let devices = DeviceSelection::OfAccessCodes(access_code_ids);
    let locked = locked_devices(tx, Some(visibility), devices).await?;
    let device_ids: Vec<Uuid> = locked.iter().map(|locked| locked.device.device_id).collect();
    let mut result = LockedAccessCodes { locked, ..LockedAccessCodes::default() };
    if device_ids.is_empty() {
        return Ok(result);
    }
    let mut query = codes_and_conflicts(visibility, access_code_ids, &device_ids, pin_changes);
    let found: Vec<CodeOrConflict> = query.build_query_as().fetch_all(tx).await?;
    for CodeOrConflict { code, is_conflict } in found {
        if is_conflict { &mut result.conflicts } else { &mut result.codes }.push(code.try_into()?);
    }
    Ok(result)
}

/// Row of a code, which is a conflict of a PIN change or not.
struct CodeOrConflict {
    code: AccessCodeRow,
    /// True if the row belongs to [`LockedAccessCodes::conflicts`], false if it belongs to `codes`.
    is_conflict: bool,
}

impl FromRow<'_, PgRow> for CodeOrConflict {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { code: AccessCodeRow::from_row(row)?, is_conflict: row.try_get(AccessCodeRow::COUNT)? })
    }
}

/// Builds the query for the codes, the codes that are blocked on these devices, and the conflicts of the PIN changes.
/// Each kind is looked up with its own index: `offset 0` keeps the subqueries separate.
fn codes_and_conflicts(
    visibility: &Visibility,
    access_code_ids: &[Uuid],
    device_ids: &[Uuid],
    pin_changes: &[PinChange],
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("select ");
    query.push(AccessCodeRow::COLUMNS).push(", a.is_conflict from (select ");
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
    query.push(") as a order by a.sequence");
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
