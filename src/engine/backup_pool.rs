//! Backup pool: spare PINs that are programmed on a lock before they are needed.
//!
//! A pool has a fixed size. A backup code is an ordinary access code, ongoing until it is pulled. A request that
//! creates codes and enables the pool also programs the first backup codes, if the lock is reachable; the scheduler
//! programs all others. A new backup code replaces each one that is pulled.

use super::app::App;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{CodeState, LockCode, Window};
use crate::domain::caller::Visibility;
use crate::domain::device::health::BackupPool;
use crate::domain::device::{Device, DeviceSummary};
use crate::domain::event::event_type;
use crate::domain::linked::{self, PinRequest, Reservations};
use crate::domain::locked_device::LockedDevice;
use crate::error::{Error, Resource, Result};
use crate::ids::ordinal_after;
use crate::store::access_codes;
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

/// Rejects the backup pool for an ongoing code, and for a device that supports none.
pub(crate) fn check(device: &Device, window: Option<Window>) -> Result<()> {
    if window.is_none() {
        return Err(Error::invalid_request("Cannot use the backup pool for ongoing codes"));
    }
    check_support(device, "use_backup_access_code_pool")
}

fn check_support(device: &Device, parameter: &str) -> Result<()> {
    if device.supports_backup_pool() {
        return Ok(());
    }
    let message = "The device has no backup access code pool. See properties.supports_backup_access_code_pool";
    Err(Error::invalid(parameter, message))
}

/// Adds one backup code to the pool of a device and records it. Returns false if no PIN is left.
///
/// # Errors
/// A device that this transaction has not locked.
pub(crate) fn add_code(work: &mut UnitOfWork, reservations: &mut Reservations, device_id: Uuid) -> Result<bool> {
    let (now, machine_now, ids) = (work.now, work.machine_now, &work.ids);
    let locked = work.codes.device_mut(device_id)?;
    let ordinal = locked.next_ordinal();
    let pin_request = PinRequest { prefer_native_scheduling: false, ..PinRequest::at(now) };
    // Each code has its own range of 65,536 ordinals, so that no two draws have the same ordinal.
    let mut draws = 0;
    let draw = |bound| {
        draws += 1;
        ids.draw("backup_pin", device_id, (ordinal << 16) + draws, bound)
    };
    let Ok(code) = linked::assign_one(&locked.device, reservations, &pin_request, draw) else { return Ok(false) };
    let access_code_id = ids.id("access_code", device_id, ordinal, machine_now);
    locked.access_code_ordinal += 1;
    let name = Some(format!("Backup {access_code_id} (Seam)"));
    let mut state = CodeState::new_managed(now, LockCode { name, code, window: None }, false);
    state.is_backup = true;
    let mut code = AccessCode {
        pool_device_id: Some(device_id),
        ..AccessCode::new((access_code_id, device_id), work.visibility.workspace_id, state)
    };
    // Use up one ordinal for the action attempt that programs the code. This attempt is not stored.
    code.next_child();
    reservations.add_code(&code);
    work.codes.add(code);
    work.codes.recorder.register_subject(access_code_id, device_id);
    work.record(access_code_id, event_type::CREATED, None)?;
    Ok(true)
}

/// Pulls a backup code for a code: it is usable at once, until the end of the code's time frame. A second pull for the
/// same code returns the same backup code.
///
/// # Errors
/// 404 for an unknown code, 400 `access_code_not_time_bound`, 404 `backup_access_code_not_found` if the pool is
/// disabled or has no code that is ready.
pub async fn pull(app: &App, visibility: &Visibility, access_code_id: Uuid) -> Result<(AccessCode, DeviceSummary)> {
    let not_found = || Error::no_access_code(access_code_id);
    let device_id = access_codes::device_of(&app.pool, visibility, access_code_id).await?.ok_or_else(not_found)?;
    let mut work = UnitOfWork::begin(app, visibility, Scope::Devices(&[device_id])).await?;
    let code = work.codes.find(access_code_id).ok_or_else(not_found)?;
    if !code.state.is_managed || code.state.is_backup {
        return Err(not_found());
    }
    let Some(window) = code.state.requested.window else { return Err(Error::AccessCodeNotTimeBound) };
    if let Some(pulled) = code.pulled_backup_access_code_id {
        work.codes.find(pulled).ok_or(Error::NotFound(Resource::BackupAccessCode))?;
        let codes = work.finish(app).await?;
        return Ok((codes.get(pulled)?.clone(), codes.summary(device_id)?));
    }
    if code.state.removing_since().is_some() || code.state.rare_fields.has_expired {
        return Err(not_found());
    }
    let pool = work.codes.device(device_id)?.device.backup_pool.filter(|pool| pool.is_enabled);
    // Take the oldest code that is ready.
    let ready = work.codes.iter().find(|code| code.is_ready_backup()).map(|code| code.access_code_id);
    let (Some(_), Some(backup_id)) = (pool, ready) else { return Err(Error::NotFound(Resource::BackupAccessCode)) };
    let now = work.now;
    work.codes.pull_backup((access_code_id, backup_id), window.ends_at, now)?;
    let locked = work.codes.device_mut(device_id)?;
    locked.backups -= 1;
    locked.device.backup_pool = Some(BackupPool { is_enabled: true, since: now });
    refill(&mut work).await?;
    let codes = work.finish(app).await?;
    Ok((codes.get(backup_id)?.clone(), codes.summary(device_id)?))
}

/// Creates backup codes until the enabled pools of the locked devices are full; the scheduler programs them.
pub(crate) async fn refill(work: &mut UnitOfWork) -> Result<()> {
    let with_pool =
        work.codes.devices.iter().filter(|locked| locked.device.backup_pool.is_some_and(|pool| pool.is_enabled));
    let pools: Vec<(Uuid, i64)> =
        with_pool.map(|locked| (locked.device.device_id, i64::from(locked.device.pool_size()))).collect();
    if pools.is_empty() {
        return Ok(());
    }
    // Reservations are read from the database: write the pulled and deleted codes first.
    work.write().await?;
    let device_ids: BTreeSet<Uuid> = pools.iter().map(|(device_id, _)| *device_id).collect();
    let mut reservations: Reservations =
        access_codes::reservations_on_devices(&mut work.tx, &device_ids).await?.into_iter().collect();
    for (device_id, size) in pools {
        let is_present = |state: &CodeState| state.gone_at.is_none() && state.deletion_requested_at.is_none();
        let in_pool =
            work.codes.iter().filter(|code| code.pool_device_id == Some(device_id) && is_present(&code.state)).count();
        for _ in ordinal_after(in_pool)..size {
            if !add_code(work, &mut reservations, device_id)? {
                break;
            }
        }
    }
    Ok(())
}

/// Like [`refill`], for the locked devices that have just become reachable: the scheduler pulls backup codes of locks that
/// it cannot reach, and these are replaced when the lock is back.
pub(crate) async fn refill_reconnected(work: &mut UnitOfWork) -> Result<()> {
    let now = work.now;
    let is_back = |locked: &LockedDevice| locked.device.reachable_since == Some(now);
    if work.codes.devices.iter().any(is_back) { refill(work).await } else { Ok(()) }
}

/// Enables or disables the pools of the locked devices. Disabling deletes the backup codes that were not pulled.
pub(crate) async fn set_enabled(work: &mut UnitOfWork, is_enabled: bool) -> Result<()> {
    let now = work.now;
    let mut changed = HashSet::new();
    for locked in &mut work.codes.devices {
        if is_enabled {
            check_support(&locked.device, "backup_access_code_pool_enabled")?;
        }
        if locked.device.backup_pool.is_some_and(|pool| pool.is_enabled) != is_enabled {
            locked.device.backup_pool = Some(BackupPool { is_enabled, since: now });
            changed.insert(locked.device.device_id);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    if is_enabled {
        return refill(work).await;
    }
    for code in work.codes.iter_mut() {
        if code.pool_device_id.is_some_and(|device_id| changed.contains(&device_id)) {
            code.state.request_deletion(now);
        }
    }
    work.codes.devices.iter_mut().for_each(|locked| locked.backups = 0);
    Ok(())
}
