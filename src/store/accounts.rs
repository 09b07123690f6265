//! SQL of connected accounts.

use super::row::row;
use super::{
    Position, push_custom_metadata, push_devices_of_space, push_page, push_search, push_visible_accounts,
    push_workspace, workspaces,
};
use crate::clock::Timestamp;
use crate::domain::caller::Visibility;
use crate::domain::connected_account::{AUTOMATIC_USER, ConnectedAccount};
use crate::error::{Error, Resource, Result};
use crate::ids::ordinal_after;
use crate::postgres::Pool;
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, QueryBuilder};
use std::collections::HashMap;
use uuid::Uuid;

row! {
    /// Row of a connected account.
    #[derive(Debug)]
    pub ConnectedAccountRow of connected_account {
        connected_account_id: Uuid,
        fixed {
            workspace_id: Uuid,
            provider: String,
            user_identifier: String,
            created_at: Timestamp,
        }
        changing {
            display_name: Option<String>,
            customer_key: Option<String>,
            custom_metadata: Json<Map<String, Value>>,
            automatically_manage_new_devices: bool,
            accepted_capabilities: Json<Vec<String>>,
            disconnected_at: Option<Timestamp>,
            events_made: i64,
            deleted_at: Option<Timestamp>,
        }
        generated {}
    }
}

impl From<ConnectedAccountRow> for ConnectedAccount {
    fn from(row: ConnectedAccountRow) -> Self {
        Self {
            connected_account_id: row.connected_account_id,
            provider: row.provider,
            user_identifier: row.user_identifier,
            display_name: row.display_name,
            customer_key: row.customer_key,
            custom_metadata: row.custom_metadata.0,
            automatically_manage_new_devices: row.automatically_manage_new_devices,
            accepted_capabilities: row.accepted_capabilities.0,
            created_at: row.created_at,
            disconnected_at: row.disconnected_at,
            events_made: row.events_made,
            deleted_at: row.deleted_at,
        }
    }
}

impl ConnectedAccountRow {
    /// Converts an account of this workspace into its row.
    fn of(account: ConnectedAccount, workspace_id: Uuid) -> Self {
        Self {
            connected_account_id: account.connected_account_id,
            workspace_id,
            provider: account.provider,
            user_identifier: account.user_identifier,
            created_at: account.created_at,
            display_name: account.display_name,
            customer_key: account.customer_key,
            custom_metadata: Json(account.custom_metadata),
            automatically_manage_new_devices: account.automatically_manage_new_devices,
            accepted_capabilities: Json(account.accepted_capabilities),
            disconnected_at: account.disconnected_at,
            events_made: account.events_made,
            deleted_at: account.deleted_at,
        }
    }
}

/// Filter of connected accounts; a field that is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only accounts with these ids.
    pub connected_account_ids: Option<&'a [Uuid]>,
    /// Only accounts of this user.
    pub user_identifier: Option<&'a str>,
    /// Only accounts of the customer with this key.
    pub customer_key: Option<&'a str>,
    /// Only accounts with this text in their name, user, provider, id or key of the customer.
    pub search: Option<&'a str>,
    /// Only accounts with a device in this space, if it is visible.
    pub space_id: Option<Uuid>,
    /// Only accounts whose custom metadata matches.
    pub custom_metadata_has: Option<&'a Map<String, Value>>,
    /// Only accounts after this position.
    pub after: Option<Position>,
    /// Maximum number of accounts.
    pub limit: Option<i64>,
}

/// Condition of statements that find accounts by their id or their workspace. Not "is null": a plan for a small table
/// could then read the whole index of the users, which contains only accounts that are not deleted.
const NOT_DELETED: &str = " and deleted_at is not distinct from null::timestamptz";

/// Returns the accounts of a workspace that pass the filter, newest first.
pub async fn list(pool: &Pool, visibility: &Visibility, filter: &Filter<'_>) -> Result<Vec<ConnectedAccount>> {
    let mut query = QueryBuilder::new("select ");
    query.push(ConnectedAccountRow::COLUMNS).push(" from connected_account a");
    let has_ids = filter.connected_account_ids.is_some() || visibility.connected_account_ids.is_some();
    push_workspace(&mut query, visibility.workspace_id, has_ids);
    query.push(NOT_DELETED);
    push_visible_accounts(&mut query, visibility, "a.connected_account_id");
    if let Some(ids) = filter.connected_account_ids {
        query.push(" and connected_account_id = any(").push_bind(ids.to_vec()).push(")");
    }
    if let Some(user) = filter.user_identifier {
        query.push(" and user_identifier = ").push_bind(user.to_lowercase());
    }
    if let Some(key) = filter.customer_key {
        query.push(" and customer_key = ").push_bind(key.to_owned());
    }
    if let Some(search) = filter.search {
        push_search(&mut query, search, "display_name, user_identifier, provider, connected_account_id, customer_key");
    }
    if let Some(space_id) = filter.space_id {
        query.push(" and connected_account_id = any(array(select d.connected_account_id from device d");
        query.push(" where d.deleted_at is null and d.device_id = any(");
        push_devices_of_space(&mut query, visibility, space_id);
        query.push(")))");
    }
    if let Some(metadata) = filter.custom_metadata_has {
        push_custom_metadata(&mut query, metadata);
    }
    push_page(&mut query, "connected_account_id", filter.after, filter.limit);
    let pool = pool.for_workspace(visibility.workspace_id);
    let rows: Vec<ConnectedAccountRow> = query.build_query_as().fetch_all(pool).await?;
    Ok(rows.into_iter().map(ConnectedAccount::from).collect())
}

/// Returns an account. The workspace must be locked if the account is to be changed.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::ConnectedAccount`] if the workspace has no such account, or the caller may not
/// see it.
pub(crate) async fn find(
    tx: &mut PgConnection,
    visibility: &Visibility,
    connected_account_id: Uuid,
) -> Result<ConnectedAccount> {
    let mut query = QueryBuilder::new("select ");
    query.push(ConnectedAccountRow::COLUMNS).push(" from connected_account a where connected_account_id = ");
    query.push_bind(connected_account_id).push(" and workspace_id is not distinct from ");
    query.push_bind(visibility.workspace_id).push(NOT_DELETED);
    push_visible_accounts(&mut query, visibility, "a.connected_account_id");
    let row: Option<ConnectedAccountRow> = query.build_query_as().fetch_optional(tx).await?;
    row.map(ConnectedAccount::from).ok_or(Error::NotFound(Resource::ConnectedAccount))
}

/// Returns the account of a user at a provider. The workspace must be locked if the account is to be changed.
pub(crate) async fn find_of_user(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    (provider, user_identifier): (&str, &str),
) -> Result<Option<ConnectedAccount>> {
    let mut query = QueryBuilder::new("select ");
    query.push(ConnectedAccountRow::COLUMNS).push(" from connected_account a where workspace_id ");
    query.push("is not distinct from ").push_bind(workspace_id).push(" and provider = ").push_bind(provider.to_owned());
    query.push(" and user_identifier = ").push_bind(user_identifier.to_owned()).push(" and deleted_at is null");
    let row: Option<ConnectedAccountRow> = query.build_query_as().fetch_optional(tx).await?;
    Ok(row.map(ConnectedAccount::from))
}

/// Returns the ids of the accounts of a workspace, deleted ones included.
pub(crate) async fn ids(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Vec<Uuid>> {
    let ids =
        sqlx::query_scalar!("select connected_account_id from connected_account where workspace_id = $1", workspace_id);
    Ok(ids.fetch_all(tx).await?)
}

/// Returns the ids of the devices of an account.
pub(crate) async fn device_ids(tx: &mut PgConnection, connected_account_id: Uuid) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "select device_id from device where connected_account_id = $1 and deleted_at is null",
        connected_account_id
    )
    .fetch_all(tx)
    .await?)
}

/// Returns the ids of the devices of accounts, in the order of their creation.
pub(crate) async fn devices_of(tx: &mut PgConnection, connected_account_ids: &[Uuid]) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "select device_id from device where connected_account_id = any($1) and deleted_at is null order by ordinal",
        connected_account_ids
    )
    .fetch_all(tx)
    .await?)
}

/// Accounts that Latchkey creates itself, for the locks of the control plane.
#[derive(Debug)]
pub(crate) struct AutomaticAccounts {
    /// Id of the account of each provider, and the instant since which it is disconnected.
    pub by_provider: HashMap<String, (Uuid, Option<Timestamp>)>,
    /// Ordinal of the next account. Deleted accounts count: derived ids follow from the ordinals.
    pub next_ordinal: i64,
}

/// Returns the accounts of a workspace that Latchkey created itself.
pub(crate) async fn automatic(tx: &mut PgConnection, workspace_id: Uuid) -> Result<AutomaticAccounts> {
    let rows = sqlx::query!(
        "select connected_account_id, provider, user_identifier, disconnected_at, deleted_at from connected_account
         where workspace_id = $1",
        workspace_id
    )
    .fetch_all(tx)
    .await?;
    let next_ordinal = ordinal_after(rows.len());
    let automatic = rows.into_iter().filter(|row| row.user_identifier == AUTOMATIC_USER && row.deleted_at.is_none());
    let by_provider = automatic.map(|row| (row.provider, (row.connected_account_id, row.disconnected_at))).collect();
    Ok(AutomaticAccounts { by_provider, next_ordinal })
}

/// New connected account that Latchkey creates itself.
#[derive(Clone, Debug)]
pub(crate) struct NewAccount {
    pub connected_account_id: Uuid,
    /// Seam's name for the manufacturer.
    pub provider: String,
    /// Instant since which the account is disconnected; `None` while it is connected.
    pub disconnected_at: Option<Timestamp>,
}

/// Inserts new accounts that Latchkey creates itself, each with its first event,
/// [`NewEvent::of_new_account`](crate::domain::event::NewEvent::of_new_account).
///
/// # Errors
/// [`Error::InUse`] if an id is already in use.
pub(crate) async fn insert_automatic(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    created_at: Timestamp,
    accounts: &[NewAccount],
) -> Result<()> {
    sqlx::query!(
        "insert into connected_account
             (connected_account_id, workspace_id, provider, created_at, disconnected_at, events_made)
         select id, $1, provider, $2, disconnected_at, 1
         from unnest($3::uuid[], $4::text[], $5::timestamptz[]) as new(id, provider, disconnected_at)",
        workspace_id,
        created_at,
        &accounts.iter().map(|account| account.connected_account_id).collect::<Vec<_>>(),
        &accounts.iter().map(|account| account.provider.clone()).collect::<Vec<_>>(),
        &accounts.iter().map(|account| account.disconnected_at).collect::<Vec<_>>() as &[Option<Timestamp>]
    )
    .execute(tx)
    .await
    .map_err(workspaces::insert_error)?;
    Ok(())
}

/// Inserts the account of a login.
pub(crate) async fn insert(tx: &mut PgConnection, workspace_id: Uuid, account: ConnectedAccount) -> Result<()> {
    let mut query = QueryBuilder::new("");
    ConnectedAccountRow::push_insert(&mut query, [ConnectedAccountRow::of(account, workspace_id)]);
    query.build().execute(tx).await.map_err(workspaces::insert_error)?;
    Ok(())
}

/// Writes the `changing` columns of an account. Its workspace must be locked.
///
/// # Errors
/// [`Error::NotFound`] of the account.
pub(crate) async fn update(tx: &mut PgConnection, workspace_id: Uuid, account: ConnectedAccount) -> Result<()> {
    let mut query = QueryBuilder::new("");
    ConnectedAccountRow::push_update(&mut query, [ConnectedAccountRow::of(account, workspace_id)]);
    let written = query.build().execute(tx).await?.rows_affected();
    if written == 1 { Ok(()) } else { Err(Error::NotFound(Resource::ConnectedAccount)) }
}

/// Returns true if the workspace has all these connected accounts.
pub(crate) async fn exist(tx: &mut PgConnection, workspace_id: Uuid, ids: &[Uuid]) -> Result<bool> {
    let missing = sqlx::query_scalar!(
        r#"select exists (
               select from unnest($2::uuid[]) as wanted(id)
               where not exists (select from connected_account
                                 where connected_account_id = wanted.id and workspace_id is not distinct from $1
                                   and deleted_at is not distinct from null::timestamptz)
           ) as "missing!""#,
        workspace_id,
        ids
    )
    .fetch_one(tx)
    .await?;
    Ok(!missing)
}
