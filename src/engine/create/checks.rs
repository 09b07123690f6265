//! Checks of create requests that do not depend on the PIN.

use crate::clock::Timestamp;
use crate::domain::access_code::lifecycle::{Window, is_start_in_past};
use crate::domain::device::Device;
use crate::domain::locked_device::LockedDevice;
use crate::engine::backup_pool;
use crate::engine::commands::NewAccessCode;
use crate::error::{Error, Result};

/// Rejects a time frame that has ended, and devices that cannot accept the request with any PIN.
pub(super) fn check_devices(locked: &[&LockedDevice], params: &NewAccessCode, now: Timestamp) -> Result<()> {
    Window::check_not_over(params.window, now)?;
    locked.iter().try_for_each(|locked| check_device(locked, params, now))
}

fn check_device(locked: &LockedDevice, params: &NewAccessCode, now: Timestamp) -> Result<()> {
    let device = &locked.device;
    if device.health.removed_at.is_some() {
        return Err(Error::DeviceRemoved(device.device_id));
    }
    if !device.can_program_online_access_codes() {
        return Err(Error::CannotProgramOnlineAccessCodes(device.device_id));
    }
    if !params.attempt_for_offline_device && device.reachable_since.is_none() {
        return Err(Error::DeviceOffline(device.device_id));
    }
    if params.use_backup_pool {
        backup_pool::check(device, params.window)?;
    }
    check_time_zone(device, params.window)?;
    check_start(locked, params.window, now)
}

/// Rejects a time frame on a device that requires a known time zone and has none.
pub(in crate::engine) fn check_time_zone(device: &Device, window: Option<Window>) -> Result<()> {
    if window.is_some() && device.brand.needs_time_zone && device.time_zone().is_none() {
        let brand = device.brand.display_name;
        return Err(Error::invalid_request(format!(
            "Time zone required for time-bound access codes on {brand} devices"
        )));
    }
    Ok(())
}

/// Checks the start of a time frame on a lock that accepts no start in the past. If the time frame has begun, a later
/// start is programmed instead (`tests/it/ledger.md`, lifecycle §6.1). Rejects it if the workspace is set to reject
/// such time frames, or if it ends at or before that later start.
pub(in crate::engine) fn check_start(locked: &LockedDevice, window: Option<Window>, now: Timestamp) -> Result<()> {
    let Some((window, lead)) = window.zip(locked.device.past_start_lead()) else { return Ok(()) };
    if !is_start_in_past(window.starts_at, lead, now) {
        return Ok(());
    }
    if locked.settings.refuse_begun_windows {
        let message = "Invalid access code time range, start time must be a value greater than the current time";
        return Err(Error::invalid("starts_at", message));
    }
    if now.checked_add_signed(lead).is_none_or(|starts_at| window.ends_at <= starts_at) {
        let (brand, minutes) = (locked.device.brand.display_name, lead.num_minutes());
        let message = format!("ends_at must be more than {minutes} minutes in the future on {brand} devices");
        return Err(Error::invalid("ends_at", message));
    }
    Ok(())
}
