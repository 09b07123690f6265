//! Creation and changes of devices through the control plane.

use super::app::App;
use super::unit_of_work::{Scope, UnitOfWork};
use super::workspaces::{InjectedCondition, LockSpec, create_devices};
use super::{backup_pool, connectivity};
use crate::clock::{Timestamp, machine_now};
use crate::domain::caller::Visibility;
use crate::domain::device::{Device, Overrides};
use crate::domain::workspace::Workspace;
use crate::error::{Error, Resource, Result};
use crate::store::{devices, workspaces};
use uuid::Uuid;

/// Creates a device in a workspace.
///
/// # Errors
/// An id that is in use; a workspace that does not exist.
pub(crate) async fn create(app: &App, workspace: &Workspace, spec: LockSpec) -> Result<Device> {
    let workspace_id = workspace.workspace_id;
    let visibility = Visibility::all_of(workspace_id);
    let mut tx = app.pool.begin(workspace_id).await?;
    let ordinal = devices::next_ordinal(&mut tx, workspace_id).await?;
    let (_, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    let account_connected = spec.account_connected;
    let created = create_devices(&mut tx, workspace, ordinal, vec![spec], settings.clock.now(machine_now())).await?;
    let device = created.into_iter().next().ok_or_else(|| Error::Internal("a device that was not made".into()))?;
    let Some(connected) = account_connected else {
        tx.commit().await?;
        return Ok(device);
    };
    // If the account exists already, its connection changes for all its devices.
    let work = connectivity::set_account(tx, &visibility, device.connected_account_id, connected).await?;
    work.finish(app).await?;
    let ids = [device.device_id];
    let filter = devices::Filter { device_ids: Some(&ids), ..devices::Filter::default() };
    let found = devices::list(&app.pool, &visibility, &filter).await?;
    found.into_iter().next().ok_or(Error::NotFound(Resource::Device))
}

/// Changes of a device; `None` leaves a property unchanged.
#[derive(Debug, Default)]
pub(crate) struct DeviceUpdate {
    pub name: Option<String>,
    pub online: Option<bool>,
    pub hub_connected: Option<bool>,
    /// Connection of the account, which applies to all its devices.
    pub account_connected: Option<bool>,
    /// True if the device was removed from its account.
    pub removed: Option<bool>,
    pub backup_access_code_pool_enabled: Option<bool>,
    /// Errors that replace the ones injected before.
    pub errors: Option<Vec<InjectedCondition>>,
    /// Warnings that replace the ones injected before.
    pub warnings: Option<Vec<InjectedCondition>>,
    /// Properties that differ from those of the brand.
    pub overrides: Overrides,
}

/// Changes a device. A device that becomes unreachable aborts its operations, and starts them again when it is
/// reachable.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Device`]; enabling the backup pool of a device that supports none.
pub(crate) async fn update(app: &App, workspace_id: Uuid, device_id: Uuid, update: DeviceUpdate) -> Result<Device> {
    let changes_pool_size = update.overrides.backup_access_code_pool_size.is_some();
    let visibility = Visibility::all_of(workspace_id);
    let scope = [device_id];
    let mut work = match update.account_connected {
        Some(connected) => {
            // Read before the transaction begins: a request that holds a connection must not wait for a second one.
            let account = devices::account_of(&app.pool, &visibility, device_id).await?;
            let account = account.ok_or(Error::NotFound(Resource::Device))?;
            let tx = app.pool.begin(workspace_id).await?;
            let work = connectivity::set_account(tx, &visibility, account, connected).await?;
            work.continue_with(Scope::Devices(&scope)).await?
        }
        None => UnitOfWork::begin(app, &visibility, Scope::Devices(&scope)).await?,
    };
    let now = work.now;
    let device = &mut work.codes.device_mut(device_id)?.device;
    device.overrides.merge(update.overrides);
    device.name = update.name.unwrap_or_else(|| device.name.clone());
    if let Some(errors) = update.errors {
        device.health.errors = errors.into_iter().map(|condition| condition.into_condition(now)).collect();
    }
    if let Some(warnings) = update.warnings {
        device.health.warnings = warnings.into_iter().map(|condition| condition.into_condition(now)).collect();
    }
    connectivity::change(&mut work, |health| {
        let since = |is_wrong: bool, since: Option<Timestamp>| is_wrong.then(|| since.unwrap_or(now));
        if let Some(online) = update.online {
            health.disconnected_at = since(!online, health.disconnected_at);
        }
        if let Some(connected) = update.hub_connected {
            health.hub_disconnected_at = since(!connected, health.hub_disconnected_at);
        }
        if let Some(removed) = update.removed {
            health.removed_at = since(removed, health.removed_at);
        }
    });
    if let Some(is_enabled) = update.backup_access_code_pool_enabled {
        backup_pool::set_enabled(&mut work, is_enabled).await?;
    }
    if changes_pool_size {
        // A smaller pool keeps its surplus codes until they are pulled.
        backup_pool::refill(&mut work).await?;
    }
    // The changed properties may decide whether the lock accepts a code: retry failed codes.
    work.codes.iter_mut().for_each(|code| code.state.retry_now(now));
    work.run(false).await?;
    let codes = work.finish(app).await?;
    Ok(codes.device(device_id)?.device.clone())
}
