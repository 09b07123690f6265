//! SQL of connected accounts.

use super::row::row;
use super::{Position, push_custom_metadata, push_visible_accounts, workspaces};
use crate::clock::Timestamp;
use crate::domain::caller::Visibility;
use crate::domain::connected_account::{AUTOMATIC_USER, ConnectedAccount};
use crate::error::{Error, Resource, Result};
use crate::postgres::Pool;
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, QueryBuilder};
use std::collections::HashMap;
use uuid::Uuid;

row! {
    /// Row of a connected account.
    #[derive(Debug)]
    ConnectedAccountRow of connected_account {
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
    /// Only accounts whose custom metadata matches.
    pub custom_metadata_has: Option<&'a Map<String, Value>>,
    /// Only accounts after this position.
    pub after: Option<Position>,
    /// Maximum number of accounts.
    pub limit: Option<i64>,
}

/// Returns the accounts of a workspace that pass the filter, newest first.
pub async fn list(pool: &Pool, visibility: &Visibility, filter: &Filter<'_>) -> Result<Vec<ConnectedAccount>> {
    let mut query = QueryBuilder::new("select ");
    query.push(ConnectedAccountRow::COLUMNS).push(" from connected_account a where workspace_id ");
    // Ids are looked up by their own index, which the condition on the workspace must then not match.
    let has_ids = filter.connected_account_ids.is_some() || visibility.connected_account_ids.is_some();
    query.push(if has_ids { "is not distinct from " } else { "= " }).push_bind(visibility.workspace_id);
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
        query.push(" and position(lower(").push_bind(search.to_owned()).push(") in lower(concat_ws(' ', ");
        query.push("display_name, user_identifier, provider, connected_account_id, customer_key))) > 0");
    }
    if let Some(metadata) = filter.custom_metadata_has {
        push_custom_metadata(&mut query, metadata);
    }
    if let Some(after) = filter.after {
        query.push(" and (created_at, connected_account_id) < (").push_bind(after.created_at);
        query.push(", ").push_bind(after.id).push(")");
    }
    query.push(" order by created_at desc, connected_account_id desc");
    if let Some(limit) = filter.limit {
        query.push(" limit ").push_bind(limit);
    }
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
    query.push_bind(visibility.workspace_id);
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
    query.push(ConnectedAccountRow::COLUMNS).push(" from connected_account a where workspace_id = ");
    query.push_bind(workspace_id).push(" and provider = ").push_bind(provider.to_owned());
    query.push(" and user_identifier = ").push_bind(user_identifier.to_owned());
    let row: Option<ConnectedAccountRow> = query.build_query_as().fetch_optional(tx).await?;
    Ok(row.map(ConnectedAccount::from))
}

/// Returns the ids of the accounts of a workspace.
pub(crate) async fn ids(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Vec<Uuid>> {
    let ids =
        sqlx::query_scalar!("select connected_account_id from connected_account where workspace_id = $1", workspace_id);
    Ok(ids.fetch_all(tx).await?)
}

/// Returns the ids of the devices of an account.
pub(crate) async fn device_ids(tx: &mut PgConnection, connected_account_id: Uuid) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!("select device_id from device where connected_account_id = $1", connected_account_id)
        .fetch_all(tx)
        .await?)
}

/// Accounts that Latchkey creates itself, for the locks of the control plane.
#[derive(Debug)]
pub(crate) struct AutomaticAccounts {
    /// Id of the account of each provider, and the instant since which it is disconnected.
    pub by_provider: HashMap<String, (Uuid, Option<Timestamp>)>,
    /// Ordinal of the next account.
    pub next_ordinal: i64,
    /// True if an account was deleted. The number of accounts is then stored, see [`store_next_ordinal`].
    pub stores_next_ordinal: bool,
}

/// Returns the accounts of a workspace that Latchkey created itself.
pub(crate) async fn automatic(tx: &mut PgConnection, workspace_id: Uuid) -> Result<AutomaticAccounts> {
    let rows = sqlx::query!(
        r#"select w.accounts_made, a.connected_account_id as "connected_account_id?", a.provider as "provider?",
                  a.user_identifier as "user_identifier?", a.disconnected_at
           from (select * from workspace where workspace_id = $1) as w
           left join (select * from connected_account where workspace_id = $1) as a on true"#,
        workspace_id
    )
    .fetch_all(tx)
    .await?;
    let made = rows.first().map_or(0, |row| row.accounts_made);
    let existing = rows.iter().filter(|row| row.connected_account_id.is_some()).count();
    let automatic = rows.into_iter().filter(|row| row.user_identifier.as_deref() == Some(AUTOMATIC_USER));
    let by_provider =
        automatic.filter_map(|row| Some((row.provider?, (row.connected_account_id?, row.disconnected_at))));
    Ok(AutomaticAccounts {
        by_provider: by_provider.collect(),
        next_ordinal: made.max(crate::ids::ordinal_after(existing)),
        stores_next_ordinal: made > 0,
    })
}

/// Stores the ordinal of the next account of a workspace in which an account was deleted.
pub(crate) async fn store_next_ordinal(tx: &mut PgConnection, workspace_id: Uuid, next_ordinal: i64) -> Result<()> {
    sqlx::query!("update workspace set accounts_made = $2 where workspace_id = $1", workspace_id, next_ordinal)
        .execute(tx)
        .await?;
    Ok(())
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

/// Inserts new accounts that Latchkey creates itself.
///
/// # Errors
/// [`Error::InUse`](crate::error::Error::InUse) if an id is already in use.
pub(crate) async fn insert_automatic(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    created_at: Timestamp,
    accounts: &[NewAccount],
) -> Result<()> {
    sqlx::query!(
        "insert into connected_account (connected_account_id, workspace_id, provider, created_at, disconnected_at)
         select id, $1, provider, $2, disconnected_at
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
    query.build().execute(tx).await?;
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

/// Deletes an account with its devices and their codes. Its workspace and all its devices must be locked, and their
/// action attempts must have stored outcomes.
pub(crate) async fn delete(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    connected_account_id: Uuid,
    device_ids: &[Uuid],
) -> Result<()> {
    // Ordinals of deleted rows are not used again: derived ids follow from them.
    sqlx::query!(
        "update workspace
         set accounts_made = greatest(accounts_made,
                                      (select count(*) from connected_account where workspace_id = $1)),
             devices_made = greatest(devices_made,
                                     (select coalesce(max(ordinal) + 1, 0) from device where workspace_id = $1))
         where workspace_id = $1",
        workspace_id
    )
    .execute(&mut *tx)
    .await?;
    // The foreign key of the devices deletes them with the account.
    sqlx::query!(
        "with c as (delete from access_code where workspace_id = $1 and device_id = any($2))
         delete from connected_account where connected_account_id = $3",
        workspace_id,
        device_ids,
        connected_account_id
    )
    .execute(tx)
    .await?;
    Ok(())
}
