//! Devices that become managed, become unmanaged, or are deleted, with the consequences for their access codes.

use super::access_grants::reconcile;
use super::app::App;
use super::unit_of_work::{Scope, UnitOfWork};
use super::{connectivity, locked_workspace, spaces};
use crate::domain::caller::Visibility;
use crate::domain::device::health::BackupPool;
use crate::domain::event::{NewEvent, event_type, payload};
use crate::error::Result;
use crate::store::action_attempts;
use serde_json::json;
use std::collections::HashMap;
use uuid::Uuid;

/// Makes a locked device managed or unmanaged, and records the events. All its codes must be locked too.
///
/// The codes of a device that becomes unmanaged become unmanaged. Codes that the lock does not have yet, and backup
/// codes that were not pulled, end. A device that becomes managed again does not change its codes.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) of the device.
pub(crate) fn set_managed(work: &mut UnitOfWork, device_id: Uuid, is_managed: bool) -> Result<()> {
    let was_managed = work.codes.device(device_id)?.device.is_managed;
    if was_managed == is_managed {
        return Ok(());
    }
    connectivity::change_devices(work, |device| {
        if device.device_id == device_id {
            device.is_managed = is_managed;
        }
    });
    if is_managed {
        return Ok(());
    }
    let now = work.now;
    let locked = work.codes.device_mut(device_id)?;
    locked.device.backup_pool = locked.device.backup_pool.map(|_| BackupPool { is_enabled: false, since: now });
    locked.backups = 0;
    let of_device = work.codes.iter().filter(|code| code.device_id == device_id && code.state.gone_at.is_none());
    let managed: Vec<Uuid> = of_device.filter(|code| code.state.is_managed).map(|code| code.access_code_id).collect();
    for access_code_id in managed {
        work.codes.leave_grant(access_code_id)?;
        let code = work.codes.get_mut(access_code_id)?;
        let was_held = code.state.held.is_some();
        if code.pool_device_id.is_none() && code.state.convert_to_unmanaged(now) {
            // The PIN of an unmanaged code can change independently of the linked codes. The device no longer deletes
            // codes for Seam.
            code.leave_group();
            code.state.deletion_requested_at = None;
            work.record(access_code_id, event_type::CHANGED, Some(payload::unmanaged()))?;
            continue;
        }
        code.pool_device_id = None;
        code.state.end_at_once(now);
        if was_held {
            work.record(access_code_id, event_type::REMOVED_FROM_DEVICE, None)?;
        }
        work.record(access_code_id, event_type::DELETED, None)?;
    }
    Ok(())
}

/// Deletes a device with its access codes, managed or unmanaged. The codes stay on the physical lock.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) of the device.
pub(crate) async fn delete(app: &App, visibility: &Visibility, device_id: Uuid) -> Result<()> {
    // Spaces, from which the device is removed, are changed while the workspace is locked.
    let tx = locked_workspace::begin(app, visibility.workspace_id).await?;
    let mut work = UnitOfWork::begin_in(tx, visibility, Scope::Devices(&[device_id])).await?;
    work.codes.device(device_id)?;
    delete_all(&mut work).await?;
    work.finish(app).await?;
    Ok(())
}

/// Deletes all locked devices with their codes, in the order in which the devices were created, and records the events.
/// All codes of the devices must be locked too. The caller writes the changes and commits.
///
/// # Errors
/// [`Error::Internal`](crate::error::Error::Internal) for a code that is not locked.
pub(crate) async fn delete_all(work: &mut UnitOfWork) -> Result<()> {
    let (now, machine_now) = (work.now, work.machine_now);
    let error = json!({ "type": "device_deleted", "message": "The device was deleted." });
    let device_ids = work.codes.device_ids();
    action_attempts::fail_pending(&mut work.tx, work.visibility.workspace_id, &device_ids, now, error).await?;
    let mut devices: Vec<(i32, Uuid)> =
        work.codes.devices.iter().map(|locked| (locked.device.ordinal, locked.device.device_id)).collect();
    devices.sort_unstable();
    let mut codes_of_devices: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for code in work.codes.iter().filter(|code| code.state.gone_at.is_none()) {
        codes_of_devices.entry(code.device_id).or_default().push(code.access_code_id);
    }
    for (_, device_id) in devices {
        let locked = work.codes.device_mut(device_id)?;
        let payload = Some(json!({ "device_name": locked.device.display_name() }));
        let deleted = NewEvent::of_device(locked, event_type::DEVICE_DELETED, now, machine_now);
        locked.device.deleted_at = Some(now);
        locked.device.lock_operations.clear();
        locked.backups = 0;
        work.codes.recorder.record_event(NewEvent { payload, ..deleted });
        for access_code_id in codes_of_devices.remove(&device_id).unwrap_or_default() {
            let code = work.codes.get_mut(access_code_id)?;
            let is_managed = code.state.is_managed;
            code.pool_device_id = None;
            code.state.end_at_once(now);
            let event_type = if is_managed { event_type::DELETED } else { event_type::UNMANAGED_REMOVED };
            work.record(access_code_id, event_type, None)?;
        }
    }
    reconcile::forget_devices(work, &device_ids).await?;
    spaces::forget_devices(work, &device_ids).await
}
