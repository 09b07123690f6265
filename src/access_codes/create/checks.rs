//! What of a request for codes a lock refuses, whatever the PIN.

use super::NewAccessCode;
use crate::access_codes::backup_pool;
use crate::access_codes::lifecycle::Window;
use crate::access_codes::store::LockedDevice;
use crate::clock::Instant;
use crate::devices::brands::START_DATE_IN_FUTURE;
use crate::devices::model::Device;
use crate::error::{Error, Result};

/// Refuses a time frame, or a lock for it, that no PIN could mend.
pub(super) fn check_time(locked: &[&LockedDevice], wanted: &NewAccessCode, now: Instant) -> Result<()> {
    if wanted.window.is_some_and(|window| window.ends_at <= now) {
        return Err(Error::invalid("ends_at", "ends_at must be in the future"));
    }
    locked.iter().try_for_each(|locked| check_device(&locked.device, wanted, now))
}

fn check_device(device: &Device, wanted: &NewAccessCode, now: Instant) -> Result<()> {
    if device.trouble.removed_at.is_some() {
        return Err(Error::DeviceRemoved(device.device_id));
    }
    if !device.can_program_online_access_codes() {
        return Err(Error::CannotProgramOnlineAccessCodes(device.device_id));
    }
    if !wanted.attempt_for_offline_device && device.reachable_since.is_none() {
        return Err(Error::DeviceOffline(device.device_id));
    }
    if wanted.use_backup_pool {
        backup_pool::check(device, wanted.window)?;
    }
    check_time_zone(device, wanted.window)?;
    check_start(device, wanted.window, now)
}

/// Refuses a time frame on a lock that needs to know its time zone for it and does not.
pub(in crate::access_codes) fn check_time_zone(device: &Device, window: Option<Window>) -> Result<()> {
    if window.is_some() && device.brand.needs_time_zone && device.time_zone().is_none() {
        let brand = device.brand.display_name;
        return Err(Error::invalid_request(format!(
            "Time zone required for time-bound access codes on {brand} devices"
        )));
    }
    Ok(())
}

/// Refuses a time frame that starts too early for the lock.
pub(in crate::access_codes) fn check_start(device: &Device, window: Option<Window>, now: Instant) -> Result<()> {
    let Some(window) = window else { return Ok(()) };
    let too_early = if device.has_constraint(START_DATE_IN_FUTURE) {
        window.starts_at <= now
    } else {
        device.brand.starts_not_in_the_past && window.starts_at < now
    };
    if too_early {
        let brand = device.brand.display_name;
        return Err(Error::invalid("starts_at", format!("starts_at must be in the future on {brand} devices")));
    }
    Ok(())
}
