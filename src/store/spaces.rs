//! SQL of spaces.

use super::{Position, push_customer, push_page, push_search, push_workspace};
use crate::clock::Timestamp;
use crate::domain::caller::Visibility;
use crate::domain::space::Space;
use crate::error::{Error, Resource, Result};
use crate::postgres::Pool;
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

#[derive(Debug, sqlx::FromRow)]
struct SpaceRow {
    space_id: Uuid,
    workspace_id: Uuid,
    name: String,
    space_key: Option<String>,
    customer_key: Option<String>,
    customer_data: Json<Map<String, Value>>,
    device_ids: Vec<Uuid>,
    connected_account_ids: Vec<Uuid>,
    created_at: Timestamp,
    deletion_requested_at: Option<Timestamp>,
    children: i64,
}

impl SpaceRow {
    /// Columns of the space `a`.
    const COLUMNS: &str =
        "a.space_id, a.workspace_id, a.name, a.space_key, a.customer_key, a.customer_data, a.device_ids,
        a.connected_account_ids, a.created_at, a.deletion_requested_at, a.children";
}

impl From<SpaceRow> for Space {
    fn from(row: SpaceRow) -> Self {
        Self {
            space_id: row.space_id,
            workspace_id: row.workspace_id,
            name: row.name,
            space_key: row.space_key,
            customer_key: row.customer_key,
            customer_data: row.customer_data.0,
            device_ids: row.device_ids,
            connected_account_ids: row.connected_account_ids,
            created_at: row.created_at,
            deletion_requested_at: row.deletion_requested_at,
            children: row.children,
        }
    }
}

/// Space that a request names.
#[derive(Clone, Debug)]
pub(crate) enum SpaceReference {
    Id(Uuid),
    Key(String),
}

/// Filter of spaces; a field that is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter<'a> {
    /// Only the spaces with one of these ids or one of these keys.
    pub named: Option<(&'a [Uuid], &'a [String])>,
    pub space_key: Option<&'a str>,
    /// Only spaces of the customer with this key.
    pub customer_key: Option<&'a str>,
    /// Only spaces with this text in their name, key or key of the customer.
    pub search: Option<&'a str>,
    /// Only spaces to which this connected account was added.
    pub connected_account_id: Option<Uuid>,
    /// Only spaces after this position.
    pub after: Option<Position>,
    /// Maximum number of spaces.
    pub limit: Option<i64>,
}

/// Returns the visible spaces that pass the filter, newest first.
pub(crate) async fn list(pool: &Pool, visibility: &Visibility, filter: &Filter<'_>) -> Result<Vec<Space>> {
    let mut query = QueryBuilder::new("select ");
    query.push(SpaceRow::COLUMNS).push(" from space a");
    push_workspace(&mut query, visibility.workspace_id, filter.space_key.is_some());
    push_customer(&mut query, visibility, "a.customer_key");
    if let Some((ids, keys)) = filter.named {
        query.push(" and (a.space_id = any(").push_bind(ids.to_vec());
        query.push(") or a.space_key = any(").push_bind(keys.to_vec()).push("))");
    }
    if let Some(key) = filter.space_key {
        query.push(" and a.space_key = ").push_bind(key.to_owned());
    }
    if let Some(key) = filter.customer_key {
        query.push(" and a.customer_key = ").push_bind(key.to_owned());
    }
    if let Some(search) = filter.search {
        push_search(&mut query, search, "a.name, a.space_key, a.customer_key");
    }
    if let Some(account) = filter.connected_account_id {
        query.push(" and ").push_bind(account).push(" = any(a.connected_account_ids)");
    }
    push_page(&mut query, "space_id", filter.after, filter.limit);
    let rows: Vec<SpaceRow> = query.build_query_as().fetch_all(pool.for_workspace(visibility.workspace_id)).await?;
    Ok(rows.into_iter().map(Space::from).collect())
}

/// Appends the source of the space `a` that a request names, if it is visible.
fn push_named(query: &mut QueryBuilder<Postgres>, visibility: &Visibility, reference: &SpaceReference) {
    query.push(" from space a");
    push_workspace(query, visibility.workspace_id, true);
    push_customer(query, visibility, "a.customer_key");
    match reference {
        SpaceReference::Id(space_id) => query.push(" and a.space_id = ").push_bind(*space_id),
        SpaceReference::Key(key) => query.push(" and a.space_key = ").push_bind(key.clone()),
    };
}

/// Returns a space.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Space`] if the workspace has no such space, or the caller may not see it.
pub(crate) async fn get(pool: &Pool, visibility: &Visibility, reference: &SpaceReference) -> Result<Space> {
    let mut query = QueryBuilder::new("select ");
    query.push(SpaceRow::COLUMNS);
    push_named(&mut query, visibility, reference);
    let pool = pool.for_workspace(visibility.workspace_id);
    let row: Option<SpaceRow> = query.build_query_as().fetch_optional(pool).await?;
    row.map(Space::from).ok_or(Error::NotFound(Resource::Space))
}

/// Returns a space that is to be changed. The workspace must be locked.
///
/// # Errors
/// Those of [`get`].
pub(crate) async fn find(tx: &mut PgConnection, visibility: &Visibility, reference: &SpaceReference) -> Result<Space> {
    let mut query = QueryBuilder::new("select ");
    query.push(SpaceRow::COLUMNS);
    push_named(&mut query, visibility, reference);
    let row: Option<SpaceRow> = query.build_query_as().fetch_optional(tx).await?;
    row.map(Space::from).ok_or(Error::NotFound(Resource::Space))
}

/// Returns the spaces that a request names, in the order of their creation. The workspace must be locked.
///
/// # Errors
/// Those of [`get`], if one of them is missing.
pub(crate) async fn find_all(
    tx: &mut PgConnection,
    visibility: &Visibility,
    references: &[SpaceReference],
) -> Result<Vec<Space>> {
    let (mut ids, mut keys) = (Vec::new(), Vec::new());
    for reference in references {
        match reference {
            SpaceReference::Id(id) => ids.push(*id),
            SpaceReference::Key(key) => keys.push(key.clone()),
        }
    }
    let mut query = QueryBuilder::new("select ");
    query.push(SpaceRow::COLUMNS).push(" from space a");
    push_workspace(&mut query, visibility.workspace_id, true);
    push_customer(&mut query, visibility, "a.customer_key");
    query.push(" and (a.space_id = any(").push_bind(ids.clone());
    query.push(") or a.space_key = any(").push_bind(keys.clone()).push(")) order by a.sequence");
    let rows: Vec<SpaceRow> = query.build_query_as().fetch_all(tx).await?;
    let has_id = |id: &Uuid| rows.iter().any(|row| row.space_id == *id);
    let has_key = |key: &String| rows.iter().any(|row| row.space_key.as_ref() == Some(key));
    if ids.iter().all(has_id) && keys.iter().all(has_key) {
        return Ok(rows.into_iter().map(Space::from).collect());
    }
    Err(Error::NotFound(Resource::Space))
}

/// Locks the row of a space and returns it. Its workspace must be locked, or the devices that the caller relies on.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Space`].
pub(crate) async fn lock(tx: &mut PgConnection, space_id: Uuid) -> Result<Space> {
    let mut query = QueryBuilder::new("select ");
    query.push(SpaceRow::COLUMNS).push(" from space a where a.space_id = ").push_bind(space_id).push(" for update");
    let row: Option<SpaceRow> = query.build_query_as().fetch_optional(tx).await?;
    row.map(Space::from).ok_or(Error::NotFound(Resource::Space))
}

/// Locks and returns the spaces that contain one of these devices, in the order of their ids. The devices must be
/// locked.
pub(crate) async fn lock_of_devices(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    device_ids: &[Uuid],
) -> Result<Vec<Space>> {
    let mut query = QueryBuilder::new("select ");
    query.push(SpaceRow::COLUMNS).push(" from space a");
    push_workspace(&mut query, workspace_id, true);
    // A subquery, so that the index of the devices is used and not the order of the ids.
    query.push(" and a.space_id = any(array(select v.space_id from space v where v.device_ids && ");
    query.push_bind(device_ids.to_vec()).push(")) order by a.space_id for update");
    let rows: Vec<SpaceRow> = query.build_query_as().fetch_all(tx).await?;
    Ok(rows.into_iter().map(Space::from).collect())
}

/// Returns the ordinal of the next space of a workspace. The workspace must be locked.
pub(crate) async fn next_ordinal(tx: &mut PgConnection, workspace_id: Uuid) -> Result<i64> {
    let ordinal = sqlx::query_scalar!(
        r#"update workspace set spaces_made = spaces_made + 1 where workspace_id = $1
           returning spaces_made - 1 as "ordinal!""#,
        workspace_id
    )
    .fetch_one(tx)
    .await?;
    Ok(ordinal)
}

/// Returns true if a space of the workspace has this key.
pub(crate) async fn has_key(tx: &mut PgConnection, workspace_id: Uuid, space_key: &str) -> Result<bool> {
    let is_taken = sqlx::query_scalar!(
        r#"select exists (select from space where space_key = $2 and workspace_id = $1) as "is_taken!""#,
        workspace_id,
        space_key
    )
    .fetch_one(tx)
    .await?;
    Ok(is_taken)
}

pub(crate) async fn insert(tx: &mut PgConnection, space: &Space) -> Result<()> {
    sqlx::query!(
        "insert into space (space_id, workspace_id, created_at, name, space_key, customer_key, customer_data, device_ids,
                            connected_account_ids, deletion_requested_at, children)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        space.space_id,
        space.workspace_id,
        space.created_at,
        space.name,
        space.space_key,
        space.customer_key,
        Json(&space.customer_data) as _,
        &space.device_ids,
        &space.connected_account_ids,
        space.deletion_requested_at,
        space.children,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes the mutable fields of spaces, in one statement. The workspace or the devices of the spaces must be locked.
pub(crate) async fn update(tx: &mut PgConnection, spaces: &[Space]) -> Result<()> {
    if spaces.is_empty() {
        return Ok(());
    }
    let json_of = |ids: fn(&Space) -> &[Uuid]| spaces.iter().map(|space| Json(ids(space).to_vec())).collect::<Vec<_>>();
    sqlx::query!(
        r#"update space
           set name = new.name, customer_data = new.customer_data, deletion_requested_at = new.deletion_requested_at,
               children = new.children,
               device_ids = array(select id::uuid from jsonb_array_elements_text(new.devices)
                                  with ordinality as d(id, place) order by place),
               connected_account_ids = array(select id::uuid from jsonb_array_elements_text(new.accounts)
                                             with ordinality as d(id, place) order by place)
           from unnest($1::uuid[], $2::text[], $3::jsonb[], $4::timestamptz[], $5::bigint[], $6::jsonb[], $7::jsonb[])
                as new(space_id, name, customer_data, deletion_requested_at, children, devices, accounts)
           where space.space_id = any(array[new.space_id])"#,
        &spaces.iter().map(|space| space.space_id).collect::<Vec<_>>(),
        &spaces.iter().map(|space| space.name.clone()).collect::<Vec<_>>(),
        &spaces.iter().map(|space| Json(space.customer_data.clone())).collect::<Vec<_>>() as _,
        &spaces.iter().map(|space| space.deletion_requested_at).collect::<Vec<_>>() as &[Option<Timestamp>],
        &spaces.iter().map(|space| space.children).collect::<Vec<_>>(),
        &json_of(|space| &space.device_ids) as _,
        &json_of(|space| &space.connected_account_ids) as _,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a connected account that is about to be deleted from the spaces to which it was added. The workspace must be
/// locked. Its devices leave the spaces when they are deleted.
pub(crate) async fn forget_account(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    connected_account_id: Uuid,
) -> Result<()> {
    sqlx::query!(
        "update space set connected_account_ids = array_remove(connected_account_ids, $2)
         where workspace_id = $1 and $2 = any(connected_account_ids)",
        workspace_id,
        connected_account_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes a space.
pub(crate) async fn delete(tx: &mut PgConnection, space_id: Uuid) -> Result<()> {
    sqlx::query!("delete from space where space_id = $1", space_id).execute(tx).await?;
    Ok(())
}
