//! Making and changing devices, as a tester wants them.

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

/// Makes a device in a workspace.
///
/// # Errors
/// An id that is not free; a workspace that is gone.
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
    // It may be an account that others have, too.
    let work = connectivity::set_account(tx, &visibility, device.connected_account_id, connected).await?;
    work.finish(app).await?;
    let ids = [device.device_id];
    let filter = devices::Filter { device_ids: Some(&ids), ..devices::Filter::default() };
    let found = devices::list(&app.pool, &visibility, &filter).await?;
    found.into_iter().next().ok_or(Error::NotFound(Resource::Device))
}

/// What is to change of a device; what is `None` stays.
#[derive(Debug, Default)]
pub(crate) struct DeviceUpdate {
    /// The name.
    pub name: Option<String>,
    /// Whether it can be reached.
    pub online: Option<bool>,
    /// Whether its hub can be reached.
    pub hub_connected: Option<bool>,
    /// Whether its account is connected, and with it all devices of the account.
    pub account_connected: Option<bool>,
    /// Whether it was removed from its account.
    pub removed: Option<bool>,
    /// Whether it keeps backup codes.
    pub backup_access_code_pool_enabled: Option<bool>,
    /// Errors in place of those that a tester put on it before.
    pub errors: Option<Vec<InjectedCondition>>,
    /// Warnings in place of those that a tester put on it before.
    pub warnings: Option<Vec<InjectedCondition>>,
    /// What it has different from its brand.
    pub overrides: Overrides,
}

/// Changes a device. One that goes offline breaks off what it was doing; one that comes back takes it up again.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Device`]; a backup pool on a device that has none.
pub(crate) async fn update(app: &App, workspace_id: Uuid, device_id: Uuid, update: DeviceUpdate) -> Result<Device> {
    let changes_pool_size = update.overrides.backup_access_code_pool_size.is_some();
    let visibility = Visibility::all_of(workspace_id);
    let tx = app.pool.begin(workspace_id).await?;
    let scope = [device_id];
    let mut work = match update.account_connected {
        Some(connected) => {
            let account = devices::account_of(&app.pool, &visibility, device_id).await?;
            let account = account.ok_or(Error::NotFound(Resource::Device))?;
            let work = connectivity::set_account(tx, &visibility, account, connected).await?;
            work.go_on_with(Scope::Devices(&scope)).await?
        }
        None => UnitOfWork::begin_in(tx, &visibility, Scope::Devices(&scope)).await?,
    };
    let now = work.now;
    let device = &mut work.codes.device_mut(device_id)?.device;
    device.overrides.merge(update.overrides);
    device.name = update.name.unwrap_or_else(|| device.name.clone());
    if let Some(errors) = update.errors {
        device.health.errors = errors.into_iter().map(|it| it.read(now)).collect();
    }
    if let Some(warnings) = update.warnings {
        device.health.warnings = warnings.into_iter().map(|it| it.read(now)).collect();
    }
    connectivity::change(&mut work, |health| {
        let since = |wrong: bool, since: Option<Timestamp>| wrong.then(|| since.unwrap_or(now));
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
        backup_pool::switch(&mut work, is_enabled).await?;
    }
    if changes_pool_size {
        // A smaller pool keeps what it has until that is pulled.
        backup_pool::refill(&mut work).await?;
    }
    // The lock may be able to hold now what it could not before, or the other way round.
    work.codes.all_mut().for_each(|code| code.state.try_again(now));
    work.run(false).await?;
    let codes = work.finish(app).await?;
    Ok(codes.device(device_id)?.device.clone())
}
