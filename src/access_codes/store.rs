//! The SQL of access codes.
//!
//! One order of locking: PIN group, then devices by id, then nothing more — a code changes only under the lock of
//! its device, and the workspace's clock only under those of all its devices. Each multi-row write is one statement.

mod claims;
mod locks;
mod write;

pub use self::claims::{CodeWanted, TimesWanted, claims_of_codes, claims_of_times};
pub use self::locks::{
    LockedDevice, PinGroup, delete_pin_groups, lock_access_code, lock_devices, lock_due_devices, lock_pin_groups,
    pin_groups, set_pin_groups,
};
pub use self::write::{NewActionAttempt, Placed, insert, insert_action_attempt, save, set_ordinals, set_wake_times};

use super::model::{AccessCode, AccessCodeRow};
use crate::clock::Instant;
use crate::devices::brands;
use crate::devices::model::DeviceSummary;
use crate::error::{Error, Result};
use crate::http::pagination::Position;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgPool, QueryBuilder, Row};
use uuid::Uuid;

/// The machine's time at which something falls due next, anywhere.
pub async fn next_wake(pool: &PgPool) -> Result<Option<Instant>> {
    let next =
        sqlx::query_scalar!("select wake_at from access_code where wake_at is not null order by wake_at limit 1")
            .fetch_optional(pool)
            .await?;
    Ok(next.flatten())
}

/// The codes of these devices that are to be woken by now.
pub async fn due_on_devices(
    tx: &mut PgConnection,
    device_ids: &[Uuid],
    machine_now: Instant,
) -> Result<Vec<AccessCode>> {
    let rows = sqlx::query_as!(
        AccessCodeRow,
        "select * from access_code where wake_at <= $1 and device_id = any($2)",
        machine_now,
        device_ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(AccessCode::from).collect())
}

/// The codes of a workspace for which something falls due until this instant of its time.
pub async fn due_in_workspace(tx: &mut PgConnection, workspace_id: Uuid, until: Instant) -> Result<Vec<AccessCode>> {
    let rows = sqlx::query_as!(
        AccessCodeRow,
        "select * from access_code where workspace_id = $1 and due_at <= $2",
        workspace_id,
        until,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(AccessCode::from).collect())
}

/// The instant of a workspace's time at which something falls due next.
pub async fn next_due(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Option<Instant>> {
    let next = sqlx::query_scalar!(
        "select due_at from access_code where workspace_id = $1 and due_at is not null order by due_at limit 1",
        workspace_id,
    )
    .fetch_optional(tx)
    .await?;
    Ok(next.flatten())
}

/// All codes of a device that are not gone.
pub async fn on_device(tx: &mut PgConnection, device_id: Uuid) -> Result<Vec<AccessCode>> {
    let rows =
        sqlx::query_as!(AccessCodeRow, "select * from access_code where device_id = $1 and gone_at is null", device_id)
            .fetch_all(tx)
            .await?;
    Ok(rows.into_iter().map(AccessCode::from).collect())
}

/// A code's row with what answers need to know of its device.
struct WithDevice {
    code: AccessCodeRow,
    device_type: String,
    device_name: String,
    unreachable_since: Option<Instant>,
}

impl FromRow<'_, PgRow> for WithDevice {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            code: AccessCodeRow::from_row(row)?,
            device_type: row.try_get(AccessCodeRow::COUNT)?,
            device_name: row.try_get(AccessCodeRow::COUNT + 1)?,
            unreachable_since: row.try_get(AccessCodeRow::COUNT + 2)?,
        })
    }
}

impl TryFrom<WithDevice> for (AccessCode, DeviceSummary) {
    type Error = Error;

    fn try_from(row: WithDevice) -> Result<Self> {
        let device_id = row.code.device_id;
        let brand =
            brands::of(&row.device_type).ok_or_else(|| Error::inconsistent("device", device_id, "device_type"))?;
        let device = DeviceSummary { brand, name: row.device_name, unreachable_since: row.unreachable_since };
        Ok((row.code.into(), device))
    }
}

/// Which codes to read; what is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only these.
    pub access_code_ids: Option<&'a [Uuid]>,
    /// Only those on this device.
    pub device_id: Option<Uuid>,
    /// Only those with this PIN.
    pub code: Option<&'a str>,
    /// Only those with this text in their name, PIN or id.
    pub search: Option<&'a str>,
    /// Those that are gone, too.
    pub even_if_gone: bool,
    /// Only those behind this row.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: Option<i64>,
}

/// The codes of a workspace that pass the filter, newest first, each with its device: one statement.
pub async fn list(pool: &PgPool, workspace_id: Uuid, filter: &Filter<'_>) -> Result<Vec<(AccessCode, DeviceSummary)>> {
    let mut query = QueryBuilder::new("select ");
    query.push(AccessCodeRow::COLUMNS).push(
        ", d.device_type, d.name, d.unreachable_since from access_code a join device d using (device_id)
         where a.workspace_id is not distinct from ",
    );
    query.push_bind(workspace_id);
    if !filter.even_if_gone {
        query.push(" and a.gone_at is null");
    }
    match filter.access_code_ids {
        Some([access_code_id]) => drop(query.push(" and a.access_code_id = ").push_bind(*access_code_id)),
        Some(ids) => drop(query.push(" and a.access_code_id = any(").push_bind(ids.to_vec()).push(")")),
        None => {}
    }
    if let Some(device_id) = filter.device_id {
        query.push(" and a.device_id = ").push_bind(device_id);
    }
    if let Some(code) = filter.code {
        query.push(" and a.code = ").push_bind(code.to_owned());
    }
    if let Some(search) = filter.search {
        query.push(" and position(lower(").push_bind(search.to_owned());
        query.push(") in lower(concat_ws(' ', a.name, a.code, a.access_code_id))) > 0");
    }
    if let Some(after) = filter.after {
        query.push(" and (a.created_at, a.access_code_id) < (").push_bind(after.created_at);
        query.push(", ").push_bind(after.id).push(")");
    }
    query.push(" order by a.created_at desc, a.access_code_id desc");
    if let Some(limit) = filter.limit {
        query.push(" limit ").push_bind(limit);
    }
    let rows: Vec<WithDevice> = query.build_query_as().fetch_all(pool).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}
