//! Creation and changes of devices: by the control plane, and by clients of the API.

use super::access_grants::reconcile::reconcile_devices;
use super::app::App;
use super::device_specs::{InjectedCondition, LockSpec};
use super::recorder::Recorder;
use super::unit_of_work::{Scope, UnitOfWork};
use super::workspaces::create_devices;
use super::{backup_pool, connectivity, managed_devices};
use crate::cause::Cause;
use crate::clock::{Timestamp, machine_now};
use crate::domain::caller::Visibility;
use crate::domain::custom_metadata;
use crate::domain::device::{Device, Overrides};
use crate::domain::event::{NewEvent, event_type};
use crate::domain::workspace::Workspace;
use crate::error::{Error, Resource, Result};
use crate::store::{Ownership, devices, workspaces};
use serde_json::{Map, Value};
use std::collections::HashMap;
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
    let (account_connected, clock) = (spec.account_connected, settings.clock);
    let instant = (clock.now(machine_now()), clock);
    let (created, events) = create_devices(&mut tx, workspace, ordinal, vec![spec], instant).await?;
    let device = created.into_iter().next().ok_or_else(|| Error::Internal("a device that was not made".into()))?;
    let recorder = Recorder::of_written(events);
    let Some(connected) = account_connected else {
        tx.commit().await?;
        recorder.publish(app, &[Cause::current()]);
        return Ok(device);
    };
    // If the account exists already, its connection changes for all its devices.
    let mut work = connectivity::set_account(tx, &visibility, device.connected_account_id, connected).await?;
    work.codes.recorder.prepend(recorder);
    work.finish(app).await?;
    let ids = [device.device_id];
    let filter = devices::Filter { device_ids: Some(&ids), ownership: Ownership::Any, ..devices::Filter::default() };
    let found = devices::list(&app.pool, &visibility, &filter).await?;
    found.into_iter().next().ok_or(Error::NotFound(Resource::Device))
}

/// Changes of a device at the device itself, at its provider or by a test; `None` leaves a property unchanged.
#[derive(Debug, Default)]
pub(crate) struct DeviceUpdate {
    /// Name in the provider's app.
    pub name: Option<String>,
    pub online: Option<bool>,
    pub hub_connected: Option<bool>,
    /// Connection of the account, which applies to all its devices.
    pub account_connected: Option<bool>,
    /// True if the device was removed from its account.
    pub removed: Option<bool>,
    /// True if the subscription that the device needs is expired.
    pub subscription_expired: Option<bool>,
    /// True to report that somebody is tampering with the device.
    pub tampered: bool,
    /// True to report that the doorbell is ringing.
    pub doorbell_rang: bool,
    pub is_managed: Option<bool>,
    pub custom_metadata: Option<Map<String, Value>>,
    pub backup_access_code_pool_enabled: Option<bool>,
    /// Errors that replace the ones injected before.
    pub errors: Option<Vec<InjectedCondition>>,
    /// Warnings that replace the ones injected before.
    pub warnings: Option<Vec<InjectedCondition>>,
    /// Properties that differ from those of the brand.
    pub overrides: Overrides,
}

impl DeviceUpdate {
    /// Applies the changes to the state of the device itself.
    fn apply(self, device: &mut Device, now: Timestamp) {
        let since = |is_wrong: bool, since: Option<Timestamp>| is_wrong.then(|| since.unwrap_or(now));
        device.overrides.merge(self.overrides);
        device.name = self.name.unwrap_or_else(|| device.name.clone());
        let health = &mut device.health;
        if let Some(errors) = self.errors {
            health.errors = errors.into_iter().map(|condition| condition.into_condition(now)).collect();
        }
        if let Some(warnings) = self.warnings {
            health.warnings = warnings.into_iter().map(|condition| condition.into_condition(now)).collect();
        }
        if let Some(online) = self.online {
            health.disconnected_at = since(!online, health.disconnected_at);
        }
        if let Some(connected) = self.hub_connected {
            health.hub_disconnected_at = since(!connected, health.hub_disconnected_at);
        }
        if let Some(removed) = self.removed {
            health.removed_at = since(removed, health.removed_at);
        }
        if let Some(expired) = self.subscription_expired {
            health.subscription_expired_at = since(expired, health.subscription_expired_at);
        }
    }
}

/// Changes a device. A device that becomes unreachable aborts its operations, and starts them again when it is
/// reachable.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Device`]; invalid custom metadata; enabling the backup pool of a device that
/// supports none, or is unmanaged.
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
    let could_have_codes = abilities(&work.codes.device(device_id)?.device);
    let (is_managed, pool_enabled) = (update.is_managed, update.backup_access_code_pool_enabled);
    let incidents = [(update.tampered, event_type::DEVICE_TAMPERED), (update.doorbell_rang, event_type::DOORBELL_RANG)];
    let device = &mut work.codes.device_mut(device_id)?.device;
    custom_metadata::apply(&mut device.custom_metadata, update.custom_metadata.clone().unwrap_or_default())?;
    let mut update = Some(update);
    connectivity::change_devices(&mut work, |device| {
        if let Some(update) = update.take() {
            update.apply(device, now);
        }
    });
    for (_, event_type) in incidents.into_iter().filter(|(happened, _)| *happened) {
        report(&mut work, device_id, event_type)?;
    }
    if let Some(is_managed) = is_managed {
        managed_devices::set_managed(&mut work, device_id, is_managed)?;
    }
    if let Some(is_enabled) = pool_enabled {
        work.codes.device(device_id)?.device.check_managed()?;
        backup_pool::set_enabled(&mut work, is_enabled).await?;
    }
    if changes_pool_size {
        // A smaller pool keeps its surplus codes until they are pulled.
        backup_pool::refill(&mut work).await?;
    }
    backup_pool::refill_reconnected(&mut work).await?;
    // The changed properties may decide whether the lock accepts a code: retry failed codes.
    work.codes.iter_mut().for_each(|code| code.state.retry_now(now));
    work.run(false).await?;
    let device = work.codes.device(device_id)?.device.clone();
    if has_gained(could_have_codes, abilities(&device)) {
        work = reconcile_devices(work, &[device_id]).await?;
    }
    work.finish(app).await?;
    Ok(device)
}

/// Returns the properties of a device that decide whether it can have codes of access grants.
fn abilities(device: &Device) -> [bool; 5] {
    [
        device.is_managed,
        device.health.removed_at.is_none(),
        device.can_program_online_access_codes(),
        device.can_program_offline_access_codes(),
        device.time_zone().is_some(),
    ]
}

/// Returns true if a device may now be able to have codes of access grants that it could not have before.
fn has_gained(before: [bool; 5], after: [bool; 5]) -> bool {
    before.iter().zip(after).any(|(had, has)| has && !had)
}

/// Records an event that a managed device reports. An unreachable device reports nothing.
fn report(work: &mut UnitOfWork, device_id: Uuid, event_type: &'static str) -> Result<()> {
    let (now, machine_now) = (work.now, work.machine_now);
    let locked = work.codes.device_mut(device_id)?;
    if locked.device.reports_events() {
        let event = NewEvent::of_device(locked, event_type, now, machine_now);
        work.codes.recorder.record_event(event);
    }
    Ok(())
}

/// Changes that a client of the API requests; `None` leaves a property unchanged.
#[derive(Debug, Default)]
pub(crate) struct ClientUpdate {
    /// New nickname; `Some(None)` removes it.
    pub nickname: Option<Option<String>>,
    pub custom_metadata: Option<Map<String, Value>>,
    pub is_managed: Option<bool>,
    pub backup_access_code_pool_enabled: Option<bool>,
}

/// Changes a device as a client requests. `expected` is the kind of device that the endpoint changes.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Device`]; [`Error::DeviceUnmanaged`] and [`Error::DeviceManaged`] for a device of
/// the other kind; invalid custom metadata; enabling the backup pool of a device that supports none.
pub(crate) async fn update_as_client(
    app: &App,
    visibility: &Visibility,
    device_id: Uuid,
    (expected, update): (Ownership, ClientUpdate),
) -> Result<()> {
    let mut work = UnitOfWork::begin(app, visibility, Scope::Devices(&[device_id])).await?;
    let device = &mut work.codes.device_mut(device_id)?.device;
    let could_have_codes = abilities(device);
    match (expected, device.is_managed) {
        (Ownership::Managed, false) => return Err(Error::DeviceUnmanaged(device_id)),
        (Ownership::Unmanaged, true) => return Err(Error::DeviceManaged(device_id)),
        _ => {}
    }
    custom_metadata::apply(&mut device.custom_metadata, update.custom_metadata.unwrap_or_default())?;
    if let Some(nickname) = update.nickname {
        connectivity::change_devices(&mut work, |device| device.nickname.clone_from(&nickname));
    }
    if let Some(is_enabled) = update.backup_access_code_pool_enabled {
        backup_pool::set_enabled(&mut work, is_enabled).await?;
    }
    if let Some(is_managed) = update.is_managed {
        managed_devices::set_managed(&mut work, device_id, is_managed)?;
    }
    work.run(false).await?;
    if has_gained(could_have_codes, abilities(&work.codes.device(device_id)?.device)) {
        work = reconcile_devices(work, &[device_id]).await?;
    }
    work.finish(app).await?;
    Ok(())
}

/// Sets the time zones of devices, as a client reports them. Each comes with the `device_type` that it is for.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Device`]; [`Error::DeviceUnmanaged`]; a device of another type. Nothing is
/// changed then.
pub(crate) async fn report_time_zones(
    app: &App,
    visibility: &Visibility,
    reports: HashMap<Uuid, (&'static str, String)>,
) -> Result<()> {
    let device_ids: Vec<Uuid> = reports.keys().copied().collect();
    let mut work = UnitOfWork::begin(app, visibility, Scope::Devices(&device_ids)).await?;
    let now = work.now;
    if work.codes.devices.len() < reports.len() {
        return Err(Error::NotFound(Resource::Device));
    }
    let mut gained = Vec::new();
    for locked in &mut work.codes.devices {
        let device = &mut locked.device;
        let could_have_codes = abilities(device);
        let Some((device_type, time_zone)) = reports.get(&device.device_id) else { continue };
        device.check_managed()?;
        if device.brand.device_type != *device_type {
            let message = format!("The device {} is not a {device_type}", device.device_id);
            return Err(Error::invalid("devices", message));
        }
        device.overrides.time_zone = Some(Some(time_zone.clone()));
        gained.extend(has_gained(could_have_codes, abilities(device)).then_some(device.device_id));
    }
    work.codes.iter_mut().for_each(|code| code.state.retry_now(now));
    work.run(false).await?;
    if !gained.is_empty() {
        work = reconcile_devices(work, &gained).await?;
    }
    work.finish(app).await?;
    Ok(())
}
