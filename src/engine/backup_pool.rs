//! Backup codes: a lock's spare PINs, on it before they are needed.
//!
//! A pool has a fixed number of places. Each is a code like any other, ongoing until it is pulled. The first ones are put
//! on the lock in the request that asks for the pool, if the lock can be reached; all others by the scheduler. One that is
//! pulled leaves its place to a new one.

use super::app::App;
use super::locked_codes::{LockedCodes, Scope, summary};
use crate::clock::Instant;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{Entry, Life, Window};
use crate::domain::action_attempt::NewActionAttempt;
use crate::domain::device::health::BackupPool;
use crate::domain::device::{Device, DeviceSummary};
use crate::domain::event::{Recorder, event_type};
use crate::domain::linked::{self, Claims, Wish};
use crate::domain::locked_device::LockedDevice;
use crate::error::{Error, Resource, Result};
use crate::store::access_codes::{self, Placed};
use crate::store::devices;
use serde_json::json;
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

/// Refuses a pool for a code or a lock that can have none.
pub fn check(device: &Device, window: Option<Window>) -> Result<()> {
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

/// Begins the life of one backup code, with the attempt to put it on the lock, which nobody keeps. `None`: no PIN is
/// left for it.
pub fn make(
    locked: &mut LockedDevice,
    claims: &Claims,
    (now, machine_now): (Instant, Instant),
) -> Option<(AccessCode, NewActionAttempt)> {
    let device_id = locked.device.device_id;
    let ordinal = locked.next_ordinal();
    let wish = Wish { prefer_native_scheduling: false, ..Wish::at(now) };
    let ids = locked.ids.clone();
    let mut draws = 0;
    let draw = |bound| {
        draws += 1;
        ids.draw("backup_pin", device_id, (ordinal << 16) + draws, bound)
    };
    let code = linked::assign_one(&locked.device, claims, &wish, draw).ok()?;
    let access_code_id = ids.id("access_code", device_id, ordinal, machine_now);
    locked.access_code_ordinal += 1;
    let name = Some(format!("Backup {access_code_id} (Seam)"));
    let mut life = Life::begin(now, Entry { name, code, window: None }, false);
    life.is_backup = true;
    let mut code = AccessCode {
        pool_device_id: Some(device_id),
        ..AccessCode::new((access_code_id, device_id), locked.device.workspace_id, life)
    };
    let attempt = NewActionAttempt {
        action_attempt_id: ids.id("action_attempt", access_code_id, code.next_child(), machine_now),
        action_type: "CREATE_ACCESS_CODE",
        access_code_id,
        device_id,
        created_at: now,
        resolved_at: None,
        outcome: None,
    };
    Some((code, attempt))
}

/// Pulls a backup for a code: it works at once, and until the code's own end. Pulled again, it is the same.
///
/// # Errors
/// 404 for an unknown code, 400 `access_code_not_time_bound`, 404 `backup_access_code_not_found` where the pool is off
/// or has none left.
pub async fn pull(app: &App, workspace_id: Uuid, access_code_id: Uuid) -> Result<(AccessCode, DeviceSummary)> {
    let not_found = || Error::no_access_code(access_code_id);
    let device_id = access_codes::device_of(&app.pool, workspace_id, access_code_id).await?.ok_or_else(not_found)?;
    let mut all = LockedCodes::begin(app, workspace_id, Scope::Devices(&[device_id])).await?;
    let original = all.find(access_code_id).ok_or_else(not_found)?;
    let code = &all.codes[original];
    if !code.life.is_managed || code.life.is_backup {
        return Err(not_found());
    }
    let Some(window) = code.life.asked.window else { return Err(Error::AccessCodeNotTimeBound) };
    if let Some(pulled) = code.pulled_backup_access_code_id {
        let backup = all.find(pulled).ok_or(Error::NotFound(Resource::BackupAccessCode))?;
        let (codes, locked) = all.finish(app).await?;
        return Ok((codes[backup].clone(), summary(&locked, device_id)?));
    }
    if code.life.removing_since().is_some() || code.life.particulars.has_expired {
        return Err(not_found());
    }
    let pool = all.lock_of(original)?.device.backup_pool.filter(|pool| pool.is_enabled);
    // Those that came first are pulled first.
    let ready = all.codes.iter().position(|code| {
        let life = &code.life;
        code.pool_device_id.is_some() && life.held.is_some() && life.gone_at.is_none() && life.work().is_none()
    });
    let (Some(_), Some(backup)) = (pool, ready) else { return Err(Error::NotFound(Resource::BackupAccessCode)) };
    let now = all.now;
    let code = &mut all.codes[backup];
    let backup_id = code.access_code_id;
    code.pool_device_id = None;
    code.life.as_of = now;
    // The lock opens to it already: nothing has to be done there.
    let window = Some(Window { starts_at: now, ends_at: window.ends_at });
    code.life.asked.window = window;
    if let Some(held) = &mut code.life.held {
        held.window = window;
    }
    all.touch(backup);
    let code = &mut all.codes[original];
    code.pulled_backup_access_code_id = Some(backup_id);
    code.life.particulars.backup_pulled_at = Some(now);
    all.tell(original, event_type::BACKUP_PULLED, Some(json!({ "backup_access_code_id": backup_id })))?;
    for locked in &mut all.locked {
        locked.backups -= 1;
        locked.device.backup_pool = Some(BackupPool { is_enabled: true, since: now });
    }
    devices::set_backup_pools(&mut all.tx, &[device_id], BackupPool { is_enabled: true, since: now }).await?;
    refill(&mut all).await?;
    let (codes, locked) = all.finish(app).await?;
    Ok((codes[backup].clone(), summary(&locked, device_id)?))
}

/// Makes new backup codes where the pools of the locks have free places; the scheduler puts them on the locks.
pub async fn refill(all: &mut LockedCodes) -> Result<()> {
    // What was pulled or removed must be known to be so before anything is put in its place.
    all.write().await?;
    let (now, machine_now, world) = (all.now, all.machine_now, all.locked.first().map(|it| it.world));
    let Some(world) = world else { return Ok(()) };
    let device_ids: BTreeSet<Uuid> = all.locked.iter().map(|it| it.device.device_id).collect();
    let mut claims: Claims = access_codes::claims_on_devices(&mut all.tx, &device_ids).await?.into_iter().collect();
    let (mut placed, mut events) = (Vec::new(), Vec::new());
    for locked in &mut all.locked {
        let device_id = locked.device.device_id;
        if !locked.device.backup_pool.is_some_and(|pool| pool.is_enabled) {
            continue;
        }
        let is_there = |life: &Life| life.gone_at.is_none() && life.deletion_requested_at.is_none();
        let is_in_pool = |code: &&AccessCode| code.pool_device_id == Some(device_id) && is_there(&code.life);
        let there = all.codes.iter().filter(is_in_pool).count();
        for _ in there..usize::try_from(locked.device.pool_size()).unwrap_or(0) {
            let Some((mut code, _)) = make(locked, &claims, (now, machine_now)) else { break };
            claims.add_life(&code);
            let recorder = Recorder { locked, machine_now };
            events.push(recorder.event(&mut code, now, event_type::CREATED));
            placed.push(Placed::new(code, &locked.device, &world));
        }
    }
    if all.ids.is_derived() {
        let ordinals = all.locked.iter().map(|it| (it.device.device_id, it.access_code_ordinal));
        let (device_ids, ordinals): (Vec<Uuid>, Vec<i64>) = ordinals.unzip();
        access_codes::set_ordinals(&mut all.tx, &device_ids, &ordinals).await?;
    }
    if !placed.is_empty() {
        access_codes::insert(&mut all.tx, all.workspace_id, &placed, &events, &[]).await?;
        all.wrote(events);
    }
    Ok(())
}

/// Switches the pool of locked devices on or off. Off: backup codes that nobody pulled are removed, and none are made.
pub async fn switch(all: &mut LockedCodes, is_enabled: bool) -> Result<()> {
    let now = all.now;
    let mut changed = HashSet::new();
    for locked in &mut all.locked {
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
    let ids: Vec<Uuid> = changed.iter().copied().collect();
    devices::set_backup_pools(&mut all.tx, &ids, BackupPool { is_enabled, since: now }).await?;
    if is_enabled {
        return refill(all).await;
    }
    for place in 0..all.codes.len() {
        if all.codes[place].pool_device_id.is_some_and(|device_id| changed.contains(&device_id)) {
            all.codes[place].life.request_deletion(now);
            all.touch(place);
        }
    }
    all.locked.iter_mut().for_each(|locked| locked.backups = 0);
    Ok(())
}
