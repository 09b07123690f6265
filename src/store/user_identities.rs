//! SQL of user identities.

use super::{Position, push_page, push_search, push_workspace};
use crate::clock::Timestamp;
use crate::domain::caller::Visibility;
use crate::domain::user_identity::UserIdentity;
use crate::error::{Error, Resource, Result};
use crate::postgres::Pool;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

#[derive(Debug, sqlx::FromRow)]
struct UserIdentityRow {
    user_identity_id: Uuid,
    workspace_id: Uuid,
    user_identity_key: Option<String>,
    full_name: Option<String>,
    email_address: Option<String>,
    phone_number: Option<String>,
    customer_key: Option<String>,
    device_ids: Vec<Uuid>,
    created_at: Timestamp,
    deletion_requested_at: Option<Timestamp>,
    merged_user_identity_ids: Vec<Uuid>,
    merged_user_identity_keys: Vec<String>,
}

impl UserIdentityRow {
    /// Columns of the user identity `a`.
    const COLUMNS: &str = "a.user_identity_id, a.workspace_id, a.user_identity_key, a.full_name, a.email_address,
        a.phone_number, a.customer_key, a.device_ids, a.created_at, a.deletion_requested_at,
        array(select m.user_identity_id from user_identity m where m.merged_into = a.user_identity_id
              order by m.sequence) as merged_user_identity_ids,
        array(select m.user_identity_key from user_identity m where m.merged_into = a.user_identity_id
              and m.user_identity_key is not null order by m.sequence) as merged_user_identity_keys";
}

impl From<UserIdentityRow> for UserIdentity {
    fn from(row: UserIdentityRow) -> Self {
        Self {
            user_identity_id: row.user_identity_id,
            workspace_id: row.workspace_id,
            user_identity_key: row.user_identity_key,
            full_name: row.full_name,
            email_address: row.email_address,
            phone_number: row.phone_number,
            customer_key: row.customer_key,
            device_ids: row.device_ids,
            created_at: row.created_at,
            deletion_requested_at: row.deletion_requested_at,
            merged_user_identity_ids: row.merged_user_identity_ids,
            merged_user_identity_keys: row.merged_user_identity_keys,
        }
    }
}

/// User identities that a request names. Those that were merged stand for the one into which they were merged.
#[derive(Clone, Debug)]
pub(crate) enum Names {
    Ids(Vec<Uuid>),
    Keys(Vec<String>),
}

/// Filter of user identities; a field that is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter<'a> {
    /// Only those that are named so.
    pub names: Option<&'a Names>,
    /// Only those with this text in their name, phone number, email address or id.
    pub search: Option<&'a str>,
    /// Only those created before this instant.
    pub created_before: Option<Timestamp>,
    /// Only those after this position.
    pub after: Option<Position>,
    /// Maximum number of user identities.
    pub limit: Option<i64>,
}

/// Appends the statement that reads the visible user identities that pass the filter, newest first.
fn push_list(query: &mut QueryBuilder<Postgres>, visibility: &Visibility, filter: &Filter<'_>) {
    query.push("select ").push(UserIdentityRow::COLUMNS).push(" from user_identity a");
    push_workspace(query, visibility.workspace_id, filter.names.is_some());
    query.push(" and a.merged_into is not distinct from null::uuid");
    if visibility.connected_account_ids.is_some() {
        query.push(" and (a.customer_key = ").push_bind(visibility.customer_key.clone());
        query.push(" or a.user_identity_id = any(").push_bind(visibility.user_identity_ids.to_vec()).push("))");
    }
    if let Some(names) = filter.names {
        query.push(" and a.user_identity_id = any(array(");
        push_survivors(query, visibility.workspace_id, names);
        query.push("))");
    }
    if let Some(search) = filter.search {
        push_search(query, search, "a.full_name, a.phone_number, a.email_address, a.user_identity_id");
    }
    if let Some(before) = filter.created_before {
        query.push(" and a.created_at < ").push_bind(before);
    }
    push_page(query, "user_identity_id", filter.after, filter.limit);
}

/// Appends a query for the ids of the named user identities, in the order of the names. A row for each name that exists.
fn push_survivors(query: &mut QueryBuilder<Postgres>, workspace_id: Uuid, names: &Names) {
    query.push("select coalesce(m.merged_into, m.user_identity_id) from unnest(");
    match names {
        Names::Ids(ids) => query.push_bind(ids.clone()).push("::uuid[]"),
        Names::Keys(keys) => query.push_bind(keys.clone()).push("::text[]"),
    };
    // `offset 0` keeps the subquery separate, so that it uses the index of the id or of the key.
    query.push(") with ordinality as wanted(name, place) cross join lateral (select * from user_identity where ");
    query.push(match names {
        Names::Ids(_) => "user_identity_id",
        Names::Keys(_) => "user_identity_key",
    });
    query.push(" = wanted.name offset 0) as m where m.workspace_id is not distinct from ").push_bind(workspace_id);
    query.push(" order by wanted.place");
}

/// Returns the visible user identities that pass the filter, newest first.
pub(crate) async fn list(pool: &Pool, visibility: &Visibility, filter: &Filter<'_>) -> Result<Vec<UserIdentity>> {
    let mut query = QueryBuilder::new("");
    push_list(&mut query, visibility, filter);
    let pool = pool.for_workspace(visibility.workspace_id);
    let rows: Vec<UserIdentityRow> = query.build_query_as().fetch_all(pool).await?;
    Ok(rows.into_iter().map(UserIdentity::from).collect())
}

/// Like [`list`], for user identities that are to be changed. The workspace must be locked.
pub(crate) async fn find(
    tx: &mut PgConnection,
    visibility: &Visibility,
    filter: &Filter<'_>,
) -> Result<Vec<UserIdentity>> {
    let mut query = QueryBuilder::new("");
    push_list(&mut query, visibility, filter);
    let rows: Vec<UserIdentityRow> = query.build_query_as().fetch_all(tx).await?;
    Ok(rows.into_iter().map(UserIdentity::from).collect())
}

/// Returns the ids of the named user identities of a workspace, in the order of the names, which must be distinct.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::UserIdentity`] if one does not exist.
pub(crate) async fn survivors(tx: &mut PgConnection, workspace_id: Uuid, names: &Names) -> Result<Vec<Uuid>> {
    let wanted = match names {
        Names::Ids(ids) => ids.len(),
        Names::Keys(keys) => keys.len(),
    };
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::new("");
    push_survivors(&mut query, workspace_id, names);
    let found: Vec<Uuid> = query.build_query_scalar().fetch_all(tx).await?;
    if found.len() == wanted { Ok(found) } else { Err(Error::NotFound(Resource::UserIdentity)) }
}

/// Returns the ordinal of the next user identity of a workspace. The workspace must be locked.
pub(crate) async fn next_ordinal(tx: &mut PgConnection, workspace_id: Uuid) -> Result<i64> {
    let ordinal = sqlx::query_scalar!(
        r#"update workspace set user_identities_made = user_identities_made + 1 where workspace_id = $1
           returning user_identities_made - 1 as "ordinal!""#,
        workspace_id
    )
    .fetch_one(tx)
    .await?;
    Ok(ordinal)
}

/// What other user identities of the workspace have already.
#[derive(Debug)]
pub(crate) struct Taken {
    pub has_key: bool,
    pub has_email_or_phone: bool,
}

/// Returns which of the unique properties of a user identity another one has. The key of one that was merged is
/// taken.
pub(crate) async fn taken(tx: &mut PgConnection, identity: &UserIdentity) -> Result<Taken> {
    let found = sqlx::query_as!(
        Taken,
        r#"select exists (select from user_identity where user_identity_key = $3 and workspace_id = $1
                                                      and user_identity_id <> $2) as "has_key!",
                  exists (select from user_identity where email_address = $4 and workspace_id = $1
                                                      and merged_into is null and user_identity_id <> $2)
                  or exists (select from user_identity where phone_number = $5 and workspace_id = $1
                                                         and merged_into is null and user_identity_id <> $2)
                  as "has_email_or_phone!""#,
        identity.workspace_id,
        identity.user_identity_id,
        identity.user_identity_key.as_deref() as Option<&str>,
        identity.email_address.as_deref() as Option<&str>,
        identity.phone_number.as_deref() as Option<&str>,
    )
    .fetch_one(tx)
    .await?;
    Ok(found)
}

pub(crate) async fn insert(tx: &mut PgConnection, identity: &UserIdentity) -> Result<()> {
    sqlx::query!(
        "insert into user_identity (user_identity_id, workspace_id, created_at, user_identity_key, full_name,
                                    email_address, phone_number, customer_key)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        identity.user_identity_id,
        identity.workspace_id,
        identity.created_at,
        identity.user_identity_key,
        identity.full_name,
        identity.email_address,
        identity.phone_number,
        identity.customer_key,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes the mutable fields of a user identity, except its devices.
pub(crate) async fn update(tx: &mut PgConnection, identity: &UserIdentity) -> Result<()> {
    sqlx::query!(
        "update user_identity
         set user_identity_key = $2, full_name = $3, email_address = $4, phone_number = $5, deletion_requested_at = $6
         where user_identity_id = $1",
        identity.user_identity_id,
        identity.user_identity_key,
        identity.full_name,
        identity.email_address,
        identity.phone_number,
        identity.deletion_requested_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds a device to those of a user identity, unless it has it already.
pub(crate) async fn add_device(tx: &mut PgConnection, user_identity_id: Uuid, device_id: Uuid) -> Result<()> {
    sqlx::query!(
        "update user_identity set device_ids = array_append(device_ids, $2)
         where user_identity_id = $1 and not $2 = any(device_ids)",
        user_identity_id,
        device_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a device from those of a user identity.
pub(crate) async fn remove_device(tx: &mut PgConnection, user_identity_id: Uuid, device_id: Uuid) -> Result<()> {
    sqlx::query!(
        "update user_identity set device_ids = array_remove(device_ids, $2) where user_identity_id = $1",
        user_identity_id,
        device_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Merges user identities, with everything that was merged into them before, into another one, which gets their devices.
pub(crate) async fn merge(tx: &mut PgConnection, into: Uuid, merged_ids: &[Uuid]) -> Result<()> {
    sqlx::query!(
        "with merged as (update user_identity set merged_into = $1
                         where user_identity_id = any($2 || array(
                             select user_identity_id from user_identity where merged_into = any($2))))
         update user_identity a
         set device_ids = a.device_ids || array(
             select distinct d.id from user_identity m cross join unnest(m.device_ids) as d(id)
             where m.user_identity_id = any($2) and not d.id = any(a.device_ids))
         where a.user_identity_id = $1",
        into,
        merged_ids
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes devices that are about to be deleted from all user identities of a workspace.
pub(crate) async fn forget_devices(tx: &mut PgConnection, workspace_id: Uuid, device_ids: &[Uuid]) -> Result<()> {
    sqlx::query!(
        "update user_identity
         set device_ids = array(select id from unnest(device_ids) with ordinality as d(id, place)
                                where not id = any($2) order by place)
         where user_identity_id = any(array(
             select user_identity_id from user_identity
             where device_ids && $2 and workspace_id is not distinct from $1))",
        workspace_id,
        device_ids
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes a user identity, with those that were merged into it.
pub(crate) async fn delete(tx: &mut PgConnection, user_identity_id: Uuid) -> Result<()> {
    sqlx::query!(
        "delete from user_identity
         where user_identity_id = any(array[$1::uuid]
                                      || array(select user_identity_id from user_identity where merged_into = $1))",
        user_identity_id
    )
    .execute(tx)
    .await?;
    Ok(())
}
