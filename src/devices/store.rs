//! The SQL of devices.

use super::model::{CustomMetadata, Device, DeviceRow, Overrides};
use crate::clock::Instant;
use crate::error::Result;
use crate::http::pagination::Position;
use crate::workspaces::{World, store as workspaces};
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool, QueryBuilder};
use uuid::Uuid;

/// Which devices to read; what is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only these.
    pub device_ids: Option<&'a [Uuid]>,
    /// Only those of these types.
    pub device_types: Option<&'a [String]>,
    /// Only those of these accounts.
    pub connected_account_ids: Option<&'a [Uuid]>,
    /// Only those with this name.
    pub name: Option<&'a str>,
    /// Only those with this text in their name or id.
    pub search: Option<&'a str>,
    /// Only those made before this instant.
    pub created_before: Option<Instant>,
    /// Only those whose custom metadata has all of this. Null: the key is not set; an empty text asks for nothing.
    pub custom_metadata_has: Option<&'a Map<String, Value>>,
    /// Only those behind this one.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: Option<i64>,
}

/// The devices of a workspace that pass the filter, in the order in which they were made.
pub async fn list(pool: &PgPool, workspace_id: Uuid, filter: &Filter<'_>) -> Result<Vec<Device>> {
    let mut query = QueryBuilder::new(
        "select device_id, workspace_id, connected_account_id, device_type, name, created_at, reachable_since,
                unreachable_since, overrides, custom_metadata
         from device where workspace_id ",
    );
    // Ids find their devices by an index of their own; see the migration on why the workspace must not offer another.
    let has_ids = filter.device_ids.is_some();
    query.push(if has_ids { "is not distinct from " } else { "= " }).push_bind(workspace_id);
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
        query.push(" and name = ").push_bind(name.to_owned());
    }
    if let Some(search) = filter.search {
        query.push(" and position(lower(").push_bind(search.to_owned());
        query.push(") in lower(concat_ws(' ', name, device_id))) > 0");
    }
    if let Some(before) = filter.created_before {
        query.push(" and created_at < ").push_bind(before);
    }
    if let Some(metadata) = filter.custom_metadata_has {
        let is_asked = |(_, value): &(&String, &Value)| !value.is_null() && value.as_str() != Some("");
        let set: Map<_, _> =
            metadata.iter().filter(is_asked).map(|(key, value)| (key.clone(), value.clone())).collect();
        let unset: Vec<_> = metadata.iter().filter(|(_, value)| value.is_null()).map(|(key, _)| key.clone()).collect();
        query.push(" and custom_metadata @> ").push_bind(Json(set));
        query.push(" and not jsonb_exists_any(custom_metadata, ").push_bind(unset).push(")");
    }
    if let Some(after) = filter.after {
        query.push(" and ordinal > (select ordinal from device where device_id = ").push_bind(after.id).push(")");
    }
    query.push(" order by ordinal");
    if let Some(limit) = filter.limit {
        query.push(" limit ").push_bind(limit);
    }
    let rows: Vec<DeviceRow> = query.build_query_as().fetch_all(pool).await?;
    rows.into_iter().map(Device::try_from).collect()
}

/// A device and the world it is in.
pub async fn with_world(
    connection: &mut PgConnection,
    workspace_id: Uuid,
    device_id: Uuid,
) -> Result<Option<(World, Device)>> {
    let row = sqlx::query_as!(
        DeviceRow,
        r#"select device_id, workspace_id, connected_account_id, device_type, name, created_at, reachable_since,
                  unreachable_since, overrides as "overrides: Json<Overrides>",
                  custom_metadata as "custom_metadata: CustomMetadata"
           from device where device_id = $1 and workspace_id is not distinct from $2"#,
        device_id,
        workspace_id,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let (Some(row), Some(world)) = (row, workspaces::world(connection, workspace_id).await?) else {
        return Ok(None);
    };
    Ok(Some((world, row.try_into()?)))
}

/// Writes devices in this order behind those the workspace has, with the accounts they need. A unique violation
/// means that an id is not free.
pub async fn insert(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    first_ordinal: i32,
    devices: &[Device],
) -> Result<(), sqlx::Error> {
    let overrides: Vec<_> = devices.iter().map(|device| Json(device.overrides.clone())).collect();
    sqlx::query!(
        "with account as (
             insert into connected_account (connected_account_id, workspace_id, provider, created_at)
             select distinct on (provider) new.connected_account_id, $1::uuid, new.provider, new.created_at
             from unnest($4::uuid[], $5::text[], $6::timestamptz[]) as new(connected_account_id, provider, created_at)
             on conflict (workspace_id, provider) do nothing
         )
         insert into device (device_id, workspace_id, connected_account_id, device_type, name, ordinal, created_at,
                             reachable_since, unreachable_since, overrides, custom_metadata)
         select new.device_id, $1, new.connected_account_id, new.device_type, new.name, $2 + (new.place - 1)::int,
                new.created_at, new.reachable_since, new.unreachable_since, new.overrides, '{}'
         from unnest($3::uuid[], $4::uuid[], $7::text[], $8::text[], $6::timestamptz[], $9::timestamptz[],
                     $10::timestamptz[], $11::jsonb[]) with ordinality
              as new(device_id, connected_account_id, device_type, name, created_at, reachable_since,
                     unreachable_since, overrides, place)",
        workspace_id,
        first_ordinal,
        &devices.iter().map(|device| device.device_id).collect::<Vec<_>>(),
        &devices.iter().map(|device| device.connected_account_id).collect::<Vec<_>>(),
        &devices.iter().map(|device| device.brand.provider.to_owned()).collect::<Vec<_>>(),
        &devices.iter().map(|device| device.created_at).collect::<Vec<_>>(),
        &devices.iter().map(|device| device.brand.device_type.to_owned()).collect::<Vec<_>>(),
        &devices.iter().map(|device| device.name.clone()).collect::<Vec<_>>(),
        &devices.iter().map(|device| device.reachable_since).collect::<Vec<_>>() as &[Option<Instant>],
        &devices.iter().map(|device| device.unreachable_since).collect::<Vec<_>>() as &[Option<Instant>],
        &overrides as &[Json<Overrides>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The ordinal of the next device of a workspace; the workspace is locked until the transaction ends, so that it
/// is nobody else's. `None`: there is no such workspace.
pub async fn next_ordinal(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Option<i32>> {
    if !workspaces::lock(tx, workspace_id).await? {
        return Ok(None);
    }
    let next = sqlx::query_scalar!(
        r#"select coalesce(max(ordinal) + 1, 0) as "next!" from device where workspace_id = $1"#,
        workspace_id
    )
    .fetch_one(tx)
    .await?;
    Ok(Some(next))
}

/// The accounts of a workspace by provider.
pub async fn accounts(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Vec<(String, Uuid)>> {
    let rows = sqlx::query!(
        "select provider, connected_account_id from connected_account where workspace_id = $1",
        workspace_id
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.provider, row.connected_account_id)).collect())
}

/// Writes what of a device can be changed.
pub async fn update(tx: &mut PgConnection, device: &Device) -> Result<()> {
    sqlx::query!(
        "update device set name = $2, reachable_since = $3, unreachable_since = $4, overrides = $5
         where device_id = $1",
        device.device_id,
        device.name,
        device.reachable_since,
        device.unreachable_since,
        Json(&device.overrides) as _,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The ids of all devices of a workspace.
pub async fn ids(connection: &mut PgConnection, workspace_id: Uuid) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!("select device_id from device where workspace_id = $1", workspace_id)
        .fetch_all(connection)
        .await?)
}
