//! Backup codes: a lock's spare PINs, on it before they are needed.
//!
//! A pool has a fixed number of places. Each is a code like any other, ongoing until it is pulled. The first ones are put
//! on the lock in the request that asks for the pool, if the lock can be reached; all others by the scheduler. One that is
//! pulled leaves its place to a new one.

use super::app::App;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{CodeState, LockCode, Window};
use crate::domain::caller::Visibility;
use crate::domain::device::health::BackupPool;
use crate::domain::device::{Device, DeviceSummary};
use crate::domain::event::event_type;
use crate::domain::linked::{self, PinRequest, Reservations};
use crate::error::{Error, Resource, Result};
use crate::ids::ordinal_after;
use crate::store::access_codes;
use serde_json::json;
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

/// Refuses a pool for a code or a lock that can have none.
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

/// Adds one backup code to the pool of a lock, and records it. `false`: no PIN is left for it.
///
/// # Errors
/// A device that is not locked.
pub(crate) fn add_code(work: &mut UnitOfWork, reservations: &mut Reservations, device_id: Uuid) -> Result<bool> {
    let (now, machine_now, ids) = (work.now, work.machine_now, &work.ids);
    let locked = work.codes.device_mut(device_id)?;
    let ordinal = locked.next_ordinal();
    let pin_request = PinRequest { prefer_native_scheduling: false, ..PinRequest::at(now) };
    let mut draws = 0;
    let draw = |bound| {
        draws += 1;
        ids.draw("backup_pin", device_id, (ordinal << 16) + draws, bound)
    };
    let Ok(code) = linked::assign_one(&locked.device, reservations, &pin_request, draw) else { return Ok(false) };
    let access_code_id = ids.id("access_code", device_id, ordinal, machine_now);
    locked.access_code_ordinal += 1;
    let name = Some(format!("Backup {access_code_id} (Seam)"));
    let mut state = CodeState::begin(now, LockCode { name, code, window: None }, false);
    state.is_backup = true;
    let mut code = AccessCode {
        pool_device_id: Some(device_id),
        ..AccessCode::new((access_code_id, device_id), work.visibility.workspace_id, state)
    };
    // The attempt to put it on the lock, which nobody keeps.
    code.next_child();
    reservations.add_code(&code);
    work.codes.add(code);
    work.codes.recorder.concerns(access_code_id, device_id);
    work.record(access_code_id, event_type::CREATED, None)?;
    Ok(true)
}

/// Pulls a backup for a code: it works at once, and until the code's own end. Pulled again, it is the same.
///
/// # Errors
/// 404 for an unknown code, 400 `access_code_not_time_bound`, 404 `backup_access_code_not_found` where the pool is off
/// or has none left.
pub async fn pull(app: &App, visibility: &Visibility, access_code_id: Uuid) -> Result<(AccessCode, DeviceSummary)> {
    let not_found = || Error::no_access_code(access_code_id);
    let device_id = access_codes::device_of(&app.pool, visibility, access_code_id).await?.ok_or_else(not_found)?;
    let mut work = UnitOfWork::begin(app, visibility, Scope::Devices(&[device_id])).await?;
    let code = work.codes.find(access_code_id).ok_or_else(not_found)?;
    if !code.state.is_managed || code.state.is_backup {
        return Err(not_found());
    }
    let Some(window) = code.state.asked.window else { return Err(Error::AccessCodeNotTimeBound) };
    if let Some(pulled) = code.pulled_backup_access_code_id {
        work.codes.find(pulled).ok_or(Error::NotFound(Resource::BackupAccessCode))?;
        let codes = work.finish(app).await?;
        return Ok((codes.get(pulled)?.clone(), codes.summary(device_id)?));
    }
    if code.state.removing_since().is_some() || code.state.rare_fields.has_expired {
        return Err(not_found());
    }
    let pool = work.codes.device(device_id)?.device.backup_pool.filter(|pool| pool.is_enabled);
    // Those that came first are pulled first.
    let is_ready = |code: &&mut AccessCode| {
        let state = &code.state;
        code.pool_device_id.is_some() && state.held.is_some() && state.gone_at.is_none() && state.work().is_none()
    };
    let ready = work.codes.all_mut().find(is_ready);
    let (Some(_), Some(backup)) = (pool, ready) else { return Err(Error::NotFound(Resource::BackupAccessCode)) };
    let now = work.now;
    let backup_id = backup.access_code_id;
    backup.pool_device_id = None;
    backup.state.as_of = now;
    // The lock opens to it already: nothing has to be done there.
    let window = Some(Window { starts_at: now, ends_at: window.ends_at });
    backup.state.asked.window = window;
    if let Some(held) = &mut backup.state.held {
        held.window = window;
    }
    let code = work.codes.get_mut(access_code_id)?;
    code.pulled_backup_access_code_id = Some(backup_id);
    code.state.rare_fields.backup_pulled_at = Some(now);
    work.record(access_code_id, event_type::BACKUP_PULLED, Some(json!({ "backup_access_code_id": backup_id })))?;
    let locked = work.codes.device_mut(device_id)?;
    locked.backups -= 1;
    locked.device.backup_pool = Some(BackupPool { is_enabled: true, since: now });
    refill(&mut work).await?;
    let codes = work.finish(app).await?;
    Ok((codes.get(backup_id)?.clone(), codes.summary(device_id)?))
}

/// Makes new backup codes where the pools of the locks have free places; the scheduler puts them on the locks.
pub(crate) async fn refill(work: &mut UnitOfWork) -> Result<()> {
    let with_pool = work.codes.devices.iter().filter(|it| it.device.backup_pool.is_some_and(|pool| pool.is_enabled));
    let pools: Vec<(Uuid, i64)> = with_pool.map(|it| (it.device.device_id, i64::from(it.device.pool_size()))).collect();
    if pools.is_empty() {
        return Ok(());
    }
    // What was pulled or removed must be known to be so before anything is put in its place.
    work.write().await?;
    let device_ids: BTreeSet<Uuid> = pools.iter().map(|(device_id, _)| *device_id).collect();
    let mut reservations: Reservations =
        access_codes::reservations_on_devices(&mut work.tx, &device_ids).await?.into_iter().collect();
    for (device_id, size) in pools {
        let is_there = |state: &CodeState| state.gone_at.is_none() && state.deletion_requested_at.is_none();
        let in_pool =
            work.codes.iter().filter(|code| code.pool_device_id == Some(device_id) && is_there(&code.state)).count();
        for _ in ordinal_after(in_pool)..size {
            if !add_code(work, &mut reservations, device_id)? {
                break;
            }
        }
    }
    Ok(())
}

/// Switches the pool of locked devices on or off. Off: backup codes that nobody pulled are removed, and none are made.
pub(crate) async fn switch(work: &mut UnitOfWork, is_enabled: bool) -> Result<()> {
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
    for code in work.codes.all_mut() {
        if code.pool_device_id.is_some_and(|device_id| changed.contains(&device_id)) {
            code.state.request_deletion(now);
        }
    }
    work.codes.devices.iter_mut().for_each(|locked| locked.backups = 0);
    Ok(())
}
