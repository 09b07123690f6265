//! Changes and deletion of connected accounts. Their connection is in [`super::connectivity`].

use super::app::App;
use super::connectivity;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::domain::caller::Visibility;
use crate::domain::connected_account::ConnectedAccount;
use crate::domain::custom_metadata;
use crate::domain::event::{NewEvent, event_type};
use crate::domain::locked_device::LockedDevice;
use crate::error::Result;
use crate::store::{accounts, workspaces};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
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
    let mut tx = app.pool.begin(visibility.workspace_id).await?;
    workspaces::lock(&mut tx, visibility.workspace_id).await?;
    let mut account = accounts::find(&mut tx, visibility, connected_account_id).await?;
    update.apply(&mut account)?;
    accounts::update(&mut tx, visibility.workspace_id, account.clone()).await?;
    tx.commit().await?;
    // Client sessions of the customer may see the account from now on, or no longer.
    app.workspaces.forget(visibility.workspace_id);
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

/// Reads the state of an account at its manufacturer. Latchkey's manufacturers report each change at once, so that only
/// the steps of its codes that are due are left to do.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) of the account.
pub async fn sync(app: &App, visibility: &Visibility, connected_account_id: Uuid) -> Result<()> {
    let mut tx = app.pool.begin(visibility.workspace_id).await?;
    accounts::find(&mut tx, visibility, connected_account_id).await?;
    let ids = accounts::device_ids(&mut tx, connected_account_id).await?;
    UnitOfWork::begin_in(tx, visibility, Scope::Devices(&ids)).await?.finish(app).await?;
    Ok(())
}

/// Deletes an account with its devices and their codes. Events and action attempts stay. At the manufacturer, and so in
/// the memory of the real locks, nothing would change.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) of the account.
pub async fn delete(app: &App, visibility: &Visibility, connected_account_id: Uuid) -> Result<()> {
    let workspace_id = visibility.workspace_id;
    let mut tx = app.pool.begin(workspace_id).await?;
    // No device is added to the account meanwhile.
    workspaces::lock(&mut tx, workspace_id).await?;
    let mut account = accounts::find(&mut tx, visibility, connected_account_id).await?;
    let ids = accounts::device_ids(&mut tx, connected_account_id).await?;
    let mut work = UnitOfWork::begin_in(tx, visibility, Scope::Devices(&ids)).await?;
    record_deletion(&mut work, &mut account)?;
    // The codes leave their PIN groups, which are removed if they become empty.
    let now = work.now;
    work.codes.iter_mut().for_each(|code| code.state.gone_at = code.state.gone_at.or(Some(now)));
    work.write().await?;
    accounts::delete(&mut work.tx, workspace_id, connected_account_id, &ids).await?;
    work.finish(app).await?;
    Ok(())
}

/// Records the event of the account, and then those of each device and its codes, in the order of their creation.
fn record_deletion(work: &mut UnitOfWork, account: &mut ConnectedAccount) -> Result<()> {
    let (now, machine_now) = (work.now, work.machine_now);
    let payload = Some(json!({ "connected_account_type": account.provider }));
    connectivity::record_of_account(work, account, event_type::ACCOUNT_DELETED, None, payload);
    let mut devices: Vec<&LockedDevice> = work.codes.devices.iter().collect();
    devices.sort_by_key(|locked| locked.device.ordinal);
    let device_ids: Vec<Uuid> = devices.iter().map(|locked| locked.device.device_id).collect();
    let mut codes: Vec<(i64, Uuid, Uuid)> =
        work.codes.iter().map(|code| (code.sequence, code.device_id, code.access_code_id)).collect();
    codes.sort_unstable();
    let mut codes_of: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for (_, device_id, access_code_id) in codes {
        codes_of.entry(device_id).or_default().push(access_code_id);
    }
    for device_id in device_ids {
        let locked = work.codes.device_mut(device_id)?;
        let payload = Some(json!({ "device_name": locked.device.name }));
        let event = NewEvent::of_device(locked, event_type::DEVICE_DELETED, now, machine_now);
        work.codes.recorder.record_event(NewEvent { payload, ..event });
        for access_code_id in codes_of.remove(&device_id).unwrap_or_default() {
            work.record(access_code_id, event_type::DELETED, None)?;
        }
    }
    Ok(())
}
