//! SQL of connected accounts.

use super::workspaces;
use crate::clock::Timestamp;
use crate::error::Result;
use sqlx::PgConnection;
use uuid::Uuid;

/// Connected account of a workspace.
#[derive(Debug)]
pub(crate) struct Account {
    pub connected_account_id: Uuid,
    /// Seam's name for the manufacturer.
    pub provider: String,
    /// Instant since which the account is disconnected; `None` while it is connected.
    pub disconnected_at: Option<Timestamp>,
    /// Number of `connected_account.*` events so far, which is the ordinal of the next one.
    pub events_made: i64,
}

/// Returns the accounts of a workspace.
pub(crate) async fn list(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Vec<Account>> {
    let accounts = sqlx::query_as!(
        Account,
        "select connected_account_id, provider, disconnected_at, events_made from connected_account
         where workspace_id = $1",
        workspace_id
    )
    .fetch_all(tx)
    .await?;
    Ok(accounts)
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

/// New connected account.
#[derive(Clone, Debug)]
pub(crate) struct NewAccount {
    pub connected_account_id: Uuid,
    /// Seam's name for the manufacturer.
    pub provider: String,
    /// Instant since which the account is disconnected; `None` while it is connected.
    pub disconnected_at: Option<Timestamp>,
}

/// Inserts new accounts, each with its first event, [`NewEvent::of_new_account`](crate::domain::event::NewEvent::of_new_account).
///
/// # Errors
/// [`Error::InUse`](crate::error::Error::InUse) if an id is already in use.
pub(crate) async fn insert(
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

/// Writes the mutable fields of an account.
pub(crate) async fn update(tx: &mut PgConnection, account: &Account) -> Result<()> {
    sqlx::query!(
        "update connected_account set disconnected_at = $2, events_made = $3 where connected_account_id = $1",
        account.connected_account_id,
        account.disconnected_at,
        account.events_made,
    )
    .execute(tx)
    .await?;
    Ok(())
}
