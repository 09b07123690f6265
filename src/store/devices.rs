//! SQL of devices.

use super::row::row;
use super::{
    Ownership, Position, push_custom_metadata, push_customer, push_devices_of_space, push_search,
    push_visible_accounts, push_workspace, workspaces,
};
use crate::clock::{Timestamp, WorkspaceClock};
use crate::domain::caller::Visibility;
use crate::domain::device::health::{BackupPool, DeviceHealth, DeviceStats};
use crate::domain::device::lock_operation::LockOperation;
use crate::domain::device::{Device, Overrides, brands};
use crate::domain::locked_device::LockedDevice;
use crate::domain::workspace::WorkspaceSettings;
use crate::error::{Error, Result};
use crate::ids::{Ids, ordinal_after};
use crate::postgres::Pool;
use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, Row};
use std::collections::HashMap;
use uuid::Uuid;

/// Custom metadata of a device as stored in its column; API users set it.
pub(crate) type CustomMetadata = Json<Map<String, Value>>;

row! {
    /// Row of a device.
    #[derive(Debug)]
    pub DeviceRow of device {
        device_id: Uuid,
        fixed {
            workspace_id: Uuid,
            connected_account_id: Uuid,
            device_type: String,
            ordinal: i32,
            created_at: Timestamp,
        }
        changing {
            name: String,
            nickname: Option<String>,
            is_managed: bool,
            reachable_since: Option<Timestamp>,
            trouble: Option<Json<DeviceHealth>>,
            backup_pool: Option<Json<BackupPool>>,
            overrides: Json<Overrides>,
            custom_metadata: CustomMetadata,
            events_made: i64,
            access_code_ordinal: i64,
            lock_operations: Option<Json<Vec<LockOperation>>>,
            wake_at: Option<Timestamp>,
            deleted_at: Option<Timestamp>,
        }
        generated {}
    }
}

impl TryFrom<DeviceRow> for Device {
    type Error = Error;

    fn try_from(row: DeviceRow) -> Result<Self> {
        let brand =
            brands::of(&row.device_type).ok_or_else(|| Error::inconsistent("device", row.device_id, "device_type"))?;
        Ok(Self {
            device_id: row.device_id,
            workspace_id: row.workspace_id,
            connected_account_id: row.connected_account_id,
            brand,
            name: row.name,
            nickname: row.nickname,
            is_managed: row.is_managed,
            ordinal: row.ordinal,
            created_at: row.created_at,
            reachable_since: row.reachable_since,
            health: row.trouble.map(|json| json.0).unwrap_or_default(),
            backup_pool: row.backup_pool.map(|pool| pool.0),
            overrides: row.overrides.0,
            custom_metadata: row.custom_metadata.0,
            events_made: row.events_made,
            lock_operations: row.lock_operations.map(|json| json.0).unwrap_or_default(),
            deleted_at: row.deleted_at,
            space_ids: Vec::new(),
        })
    }
}

/// Row of a device, with the spaces that it is in.
struct ShownRow {
    device: DeviceRow,
    space_ids: Vec<Uuid>,
}

impl FromRow<'_, PgRow> for ShownRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { device: DeviceRow::from_row(row)?, space_ids: row.try_get(DeviceRow::COUNT)? })
    }
}

impl TryFrom<ShownRow> for Device {
    type Error = Error;

    fn try_from(row: ShownRow) -> Result<Self> {
        Ok(Self { space_ids: row.space_ids, ..row.device.try_into()? })
    }
}

/// Appends the column with the visible spaces of the device `a`, oldest first, as an array.
pub(in crate::store) fn push_space_ids(query: &mut QueryBuilder<Postgres>, visibility: &Visibility) {
    query.push("array(select v.space_id from space v where v.device_ids @> array[a.device_id]");
    query.push(" and v.workspace_id is not distinct from ").push_bind(visibility.workspace_id);
    push_customer(query, visibility, "v.customer_key");
    query.push(" order by v.sequence)");
}

impl DeviceRow {
    /// Converts a device into its row. `access_code_ordinal` is the number of codes that were ever created on it, and
    /// `wake_at` the machine time at which its first operation is due.
    fn of(device: Device, access_code_ordinal: i64, wake_at: Option<Timestamp>) -> Self {
        Self {
            device_id: device.device_id,
            workspace_id: device.workspace_id,
            connected_account_id: device.connected_account_id,
            device_type: device.brand.device_type.to_owned(),
            ordinal: device.ordinal,
            created_at: device.created_at,
            name: device.name,
            nickname: device.nickname,
            is_managed: device.is_managed,
            reachable_since: device.reachable_since,
            trouble: (device.health != DeviceHealth::default()).then_some(Json(device.health)),
            backup_pool: device.backup_pool.map(Json),
            overrides: Json(device.overrides),
            custom_metadata: Json(device.custom_metadata),
            events_made: device.events_made,
            access_code_ordinal,
            wake_at,
            lock_operations: (!device.lock_operations.is_empty()).then_some(Json(device.lock_operations)),
            deleted_at: device.deleted_at,
        }
    }
}

/// Filter of devices; a field that is `None` does not restrict. The default filter finds the managed devices.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only devices with these ids.
    pub device_ids: Option<&'a [Uuid]>,
    /// Only devices of these types.
    pub device_types: Option<&'a [String]>,
    /// Only devices of these accounts.
    pub connected_account_ids: Option<&'a [Uuid]>,
    /// Managed devices, unmanaged devices, or both.
    pub ownership: Ownership,
    /// Only devices with this display name.
    pub name: Option<&'a str>,
    /// Only devices with this text in their display name, in their name in the provider's app, or in their id.
    pub search: Option<&'a str>,
    /// Only devices created before this instant.
    pub created_before: Option<Timestamp>,
    /// Only devices of the account that this connect webview connected.
    pub connect_webview_id: Option<Uuid>,
    /// Only devices of accounts of the customer with this key.
    pub customer_key: Option<&'a str>,
    /// Only devices in this space, if it is visible.
    pub space_id: Option<Uuid>,
    /// Only devices whose custom metadata contains all of these members. Null matches if the key is not set; an empty
    /// string is ignored.
    pub custom_metadata_has: Option<&'a Map<String, Value>>,
    /// Only devices after this position.
    pub after: Option<Position>,
    /// Maximum number of devices.
    pub limit: Option<i64>,
}

/// Returns the devices of a workspace that pass the filter, in the order of their creation.
pub async fn list(pool: &Pool, visibility: &Visibility, filter: &Filter<'_>) -> Result<Vec<Device>> {
    let mut query = QueryBuilder::new("select ");
    query.push(DeviceRow::COLUMNS).push(", ");
    push_space_ids(&mut query, visibility);
    query.push(" from device a");
    push_workspace(&mut query, visibility.workspace_id, filter.device_ids.is_some() || filter.space_id.is_some());
    query.push(" and deleted_at is null");
    filter.ownership.push_condition(&mut query, "is_managed");
    push_visible_accounts(&mut query, visibility, "a.connected_account_id");
    if let Some(ids) = filter.device_ids {
        query.push(" and device_id = any(").push_bind(ids.to_vec()).push(")");
    }
    if let Some(types) = filter.device_types {
        query.push(" and device_type = any(").push_bind(types.to_vec()).push(")");
    }
    if let Some(ids) = filter.connected_account_ids {
        query.push(" and connected_account_id = any(").push_bind(ids.to_vec()).push(")");
    }
    if let Some(name) = filter.name {
        query.push(" and coalesce(nickname, name) = ").push_bind(name.to_owned());
    }
    if let Some(search) = filter.search {
        push_search(&mut query, search, "nickname, name, device_id");
    }
    if let Some(before) = filter.created_before {
        query.push(" and created_at < ").push_bind(before);
    }
    if let Some(webview) = filter.connect_webview_id {
        query.push(" and connected_account_id = (select v.connected_account_id from connect_webview v");
        query.push(" where v.connect_webview_id = ").push_bind(webview);
        query.push(" and v.workspace_id is not distinct from ").push_bind(visibility.workspace_id).push(")");
    }
    if let Some(key) = filter.customer_key {
        query.push(" and exists (select from connected_account v where v.customer_key = ").push_bind(key.to_owned());
        query.push(" and v.connected_account_id = any(array[a.connected_account_id]))");
    }
    if let Some(space_id) = filter.space_id {
        query.push(" and device_id = any(");
        push_devices_of_space(&mut query, visibility, space_id);
        query.push(")");
    }
    if let Some(metadata) = filter.custom_metadata_has {
        push_custom_metadata(&mut query, metadata);
    }
    if let Some(after) = filter.after {
        query.push(" and ordinal > (select ordinal from device where device_id = ").push_bind(after.id);
        query.push(" and workspace_id is not distinct from ").push_bind(visibility.workspace_id).push(")");
    }
    query.push(" order by ordinal");
    if let Some(limit) = filter.limit {
        query.push(" limit ").push_bind(limit);
    }
    let rows: Vec<ShownRow> = query.build_query_as().fetch_all(pool.for_workspace(visibility.workspace_id)).await?;
    rows.into_iter().map(Device::try_from).collect()
}

/// Returns a device, the settings of its workspace, and the generator of the ids and PINs of the workspace.
pub(crate) async fn with_settings(
    connection: &mut PgConnection,
    visibility: &Visibility,
    device_id: Uuid,
) -> Result<Option<(Ids, WorkspaceSettings, Device)>> {
    let mut query = QueryBuilder::new("select ");
    query.push(DeviceRow::COLUMNS).push(" from device a where device_id = ").push_bind(device_id);
    // Not "=": the device is found by its id, and this condition must not match another index (see [`list`]).
    query.push(" and workspace_id is not distinct from ").push_bind(visibility.workspace_id);
    query.push(" and deleted_at is null");
    push_visible_accounts(&mut query, visibility, "a.connected_account_id");
    let row: Option<DeviceRow> = query.build_query_as().fetch_optional(&mut *connection).await?;
    let workspace_id = visibility.workspace_id;
    let all_settings = workspaces::all_settings(connection, &[workspace_id]).await?.remove(&workspace_id);
    let (Some(row), Some((ids, settings))) = (row, all_settings) else { return Ok(None) };
    Ok(Some((ids, settings, row.try_into()?)))
}

/// Inserts new devices. Their accounts must exist.
///
/// # Errors
/// [`Error::InUse`] if an id is already in use.
pub(crate) async fn insert(tx: &mut PgConnection, devices: &[Device]) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::new("");
    DeviceRow::push_insert(&mut query, devices.iter().map(|device| DeviceRow::of(device.clone(), 0, None)));
    query.build().execute(tx).await.map_err(workspaces::insert_error)?;
    Ok(())
}

/// Returns the ordinal of the next device of a workspace. Locks the workspace until the transaction ends, so that no
/// other device gets the ordinal.
///
/// # Errors
/// [`Error::NotFound`] if the workspace does not exist.
pub(crate) async fn next_ordinal(tx: &mut PgConnection, workspace_id: Uuid) -> Result<i32> {
    workspaces::lock(tx, workspace_id).await?;
    let next = sqlx::query_scalar!(
        r#"select coalesce(max(ordinal) + 1, 0) as "next!" from device where workspace_id = $1"#,
        workspace_id
    )
    .fetch_one(tx)
    .await?;
    Ok(next)
}

/// Writes the `changing` columns of these locked devices.
///
/// # Errors
/// [`Error::Internal`] if the row of a device does not exist.
pub(crate) async fn update(tx: &mut PgConnection, devices: Vec<LockedDevice>) -> Result<()> {
    let expected = devices.len();
    let mut query = QueryBuilder::new("");
    let rows = devices.into_iter().map(|locked| {
        let wake_at = wake_at(&locked.device, locked.settings.clock);
        DeviceRow::of(locked.device, locked.access_code_ordinal, wake_at)
    });
    DeviceRow::push_update(&mut query, rows);
    let written = query.build().execute(tx).await?.rows_affected();
    if usize::try_from(written).ok() == Some(expected) {
        return Ok(());
    }
    Err(Error::Internal(format!("{written} devices were written instead of {expected}").into()))
}

/// Returns the machine time at which the first operation of a lock is due; `None`: no operation waits, or the clock
/// never reaches it by itself.
fn wake_at(device: &Device, clock: WorkspaceClock) -> Option<Timestamp> {
    device.next_lock_operation_at().and_then(|due_at| clock.machine_time_of(due_at))
}

/// Recomputes the wake times of these locked devices for this clock, and writes those that differ. For use after a
/// change of the clock or a restore.
pub(crate) async fn set_wake_times(
    tx: &mut PgConnection,
    devices: &[LockedDevice],
    clock: WorkspaceClock,
) -> Result<()> {
    sqlx::query!(
        "update device set wake_at = new.wake_at
         from unnest($1::uuid[], $2::timestamptz[]) as new(device_id, wake_at)
         where device.device_id = any(array[new.device_id]) and device.wake_at is distinct from new.wake_at",
        &devices.iter().map(|locked| locked.device.device_id).collect::<Vec<_>>(),
        &devices.iter().map(|locked| wake_at(&locked.device, clock)).collect::<Vec<_>>() as &[Option<Timestamp>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Claims devices with a due operation by locking them: at most `first` devices, those with the earliest operations.
/// Only devices of `only`, if it is given. Skips the devices and workspaces of `except`, and devices that another
/// transaction has locked.
pub(crate) async fn claim_due(
    tx: &mut PgConnection,
    machine_now: Timestamp,
    only: Option<&[Uuid]>,
    (except_devices, except_workspaces): (&[Uuid], &[Uuid]),
    first: usize,
) -> Result<Vec<Uuid>> {
    let device_ids = sqlx::query_scalar!(
        "select device_id from device
         where wake_at <= $1 and ($2::uuid[] is null or device_id = any($2)) and not device_id = any($3)
           and not workspace_id = any($4)
         order by wake_at limit $5 for update skip locked",
        machine_now,
        only as Option<&[Uuid]>,
        except_devices,
        except_workspaces,
        ordinal_after(first),
    );
    Ok(device_ids.fetch_all(tx).await?)
}

/// Returns the statistics of the codes on those of these devices that need them ([`Device::needs_stats`]). Devices
/// without codes are missing from the result. All devices must belong to one workspace.
pub(crate) async fn stats_of_devices(pool: &Pool, devices: &[Device]) -> Result<HashMap<Uuid, DeviceStats>> {
    let ids: Vec<Uuid> = devices.iter().filter(|device| device.needs_stats()).map(|device| device.device_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        r#"select device_id,
                  count(*) filter (where pool_device_id is not null and held_code is not null
                                     and deletion_requested_at is null) as "backups!",
                  count(*) filter (where pool_device_id is not null and held_code is null
                                     and particulars -> 'failure' is not null) as "failed_refills!",
                  count(*) filter (where is_backup and pool_device_id is null and held_code is not null
                                     and deletion_requested_at is null) as "pulled_backups!",
                  count(*) filter (where held_code is not null and not is_offline) as "held!",
                  max(first_held_at) filter (where held_code is not null and not is_offline) as held_since
           from access_code where device_id = any($1) and gone_at is null group by device_id"#,
        &ids,
    )
    .fetch_all(pool.for_workspace(devices.first().map(|device| device.workspace_id).unwrap_or_default()))
    .await?;
    let stats = rows.into_iter().map(|row| {
        let (backups, failed_refills, pulled_backups, held, held_since) =
            (row.backups, row.failed_refills, row.pulled_backups, row.held, row.held_since);
        (row.device_id, DeviceStats { backups, failed_refills, pulled_backups, held, held_since })
    });
    Ok(stats.collect())
}

/// Returns the account of a device; `None` if the device does not exist or is not visible.
pub async fn account_of(pool: &Pool, visibility: &Visibility, device_id: Uuid) -> Result<Option<Uuid>> {
    let account = sqlx::query_scalar!(
        "select connected_account_id from device
         where device_id = $1 and workspace_id is not distinct from $2 and deleted_at is null",
        device_id,
        visibility.workspace_id,
    )
    .fetch_optional(pool.for_workspace(visibility.workspace_id))
    .await?;
    Ok(account.filter(|account| visibility.covers(*account)))
}

/// Returns the ids of all devices of a workspace.
pub(crate) async fn ids(connection: &mut PgConnection, workspace_id: Uuid) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!("select device_id from device where workspace_id = $1 and deleted_at is null", workspace_id)
        .fetch_all(connection)
        .await?)
}
