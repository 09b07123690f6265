//! Changes and deletion of connected accounts. Their connection is in [`super::connectivity`].

use super::app::App;
use super::{connectivity, locked_workspace, managed_devices};
use crate::domain::caller::Visibility;
use crate::domain::connected_account::ConnectedAccount;
use crate::domain::custom_metadata;
use crate::domain::event::event_type;
use crate::error::Result;
use crate::store::{accounts, spaces};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Requested changes of an account; `None` leaves a property unchanged.
#[derive(Debug, Default)]
pub struct AccountUpdate {
    /// New name for display.
    pub display_name: Option<String>,
    /// New key of the customer to whom the account belongs.
    pub customer_key: Option<String>,
    /// Keys to set, and with null or an empty text to remove.
    pub custom_metadata: Option<Map<String, Value>>,
    /// True if devices that appear in the account are managed.
    pub automatically_manage_new_devices: Option<bool>,
    /// Kinds of devices that the account may bring.
    pub accepted_capabilities: Option<Vec<String>>,
}

/// Changes an account and returns it.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) of the account; invalid custom metadata.
pub async fn update(
    app: &App,
    visibility: &Visibility,
    connected_account_id: Uuid,
    update: AccountUpdate,
) -> Result<ConnectedAccount> {
    let mut tx = locked_workspace::begin(app, visibility.workspace_id).await?;
    let mut account = accounts::find(&mut tx, visibility, connected_account_id).await?;
    update.apply(&mut account)?;
    accounts::update(&mut tx, visibility.workspace_id, account.clone()).await?;
    tx.commit().await?;
    // Client sessions of the customer may see the account from now on, or no longer.
    app.callers.forget(visibility.workspace_id);
    Ok(account)
}

impl AccountUpdate {
    /// Applies the changes.
    ///
    /// # Errors
    /// Invalid custom metadata.
    pub(super) fn apply(self, account: &mut ConnectedAccount) -> Result<()> {
        custom_metadata::apply(&mut account.custom_metadata, self.custom_metadata.unwrap_or_default())?;
        account.display_name = self.display_name.or(account.display_name.take());
        account.customer_key = self.customer_key.or(account.customer_key.take());
        if let Some(is_automatic) = self.automatically_manage_new_devices {
            account.automatically_manage_new_devices = is_automatic;
        }
        if let Some(capabilities) = self.accepted_capabilities {
            account.accepted_capabilities = capabilities;
        }
        Ok(())
    }
}

/// Synchronizes an account with its manufacturer. The stored state is always up to date, except for the due steps of
/// the codes on its devices, which this runs.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) of the account.
pub async fn sync(app: &App, visibility: &Visibility, connected_account_id: Uuid) -> Result<()> {
    let mut tx = app.pool.begin(visibility.workspace_id).await?;
    let account = accounts::find(&mut tx, visibility, connected_account_id).await?;
    connectivity::begin_with_devices(tx, visibility, &account).await?.finish(app).await?;
    Ok(())
}

/// Deletes an account with its devices and their codes. Events and action attempts stay. The memory of
/// real locks would not change.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) of the account.
pub async fn delete(app: &App, visibility: &Visibility, connected_account_id: Uuid) -> Result<()> {
    let workspace_id = visibility.workspace_id;
    // While the workspace is locked, no device is added to the account.
    let mut tx = locked_workspace::begin(app, workspace_id).await?;
    let mut account = accounts::find(&mut tx, visibility, connected_account_id).await?;
    let mut work = connectivity::begin_with_devices(tx, visibility, &account).await?;
    let payload = Some(json!({ "connected_account_type": account.provider }));
    connectivity::record_of_account(&mut work, &mut account, event_type::ACCOUNT_DELETED, None, payload);
    managed_devices::delete_all(&mut work).await?;
    spaces::forget_account(&mut work.tx, workspace_id, connected_account_id).await?;
    account.deleted_at = Some(work.now);
    accounts::update(&mut work.tx, workspace_id, account).await?;
    work.finish(app).await?;
    app.callers.forget(workspace_id);
    Ok(())
}
