//! Requests to a lock: to lock or unlock its door, and to configure its automatic lock.

use super::app::App;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::clock::{MAX_TIMESTAMP, Timestamp, duration_from_iso};
use crate::domain::access_code::lifecycle::FaultOutcome;
use crate::domain::action_attempt::{NewActionAttempt, action_type};
use crate::domain::bolt;
use crate::domain::caller::Visibility;
use crate::domain::device::Device;
use crate::domain::device::lock_operation::{LockAction, LockOperation, MAX_LOCK_OPERATIONS, RequestedAction};
use crate::domain::fault;
use crate::error::{Error, Result};
use crate::store::{action_attempts, faults};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Requested movement of the bolt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Lock,
    Unlock,
}

impl Door {
    fn action_type(self) -> &'static str {
        match self {
            Self::Lock => action_type::LOCK_DOOR,
            Self::Unlock => action_type::UNLOCK_DOOR,
        }
    }

    /// Returns the name of the operation in faults.
    fn operation(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Unlock => "unlock",
        }
    }

    fn action(self, requested: RequestedAction) -> LockAction {
        match self {
            Self::Lock => LockAction::LockDoor(requested),
            Self::Unlock => LockAction::UnlockDoor(requested),
        }
    }
}

/// Locks or unlocks the door and returns the action attempt. It is resolved, unless a fault delays it or
/// leaves it pending. It fails if the device is unreachable.
///
/// # Errors
/// [`Error::NotFound`] of the device; [`Error::DeviceTypeNotSupported`] if it cannot be controlled remotely;
/// [`Error::RateLimited`]; [`Error::TooManyLockOperations`].
pub(crate) async fn move_bolt(
    app: &App,
    visibility: &Visibility,
    device_id: Uuid,
    door: Door,
) -> Result<NewActionAttempt> {
    let mut work = begin(app, visibility, device_id).await?;
    let locked = work.codes.device(device_id)?;
    let (settings, now) = (locked.settings, work.now);
    let action_type = door.action_type();
    let workspace_id = visibility.workspace_id;
    let recent = action_attempts::recent(&mut work.tx, workspace_id, &settings, now, &[device_id], action_type).await?;
    recent.check(device_id)?;
    let is_reachable = bolt::unreachable_error(&work.codes.device(device_id)?.device).is_none();
    let outcome = if is_reachable { apply_fault(&mut work, device_id, door.operation()).await? } else { None };
    let requested = new_attempt(&mut work, device_id)?;
    let attempt = match &outcome {
        Some(FaultOutcome::Never) => bolt::pending(&work.codes.device(device_id)?.device, (action_type, requested)),
        Some(FaultOutcome::Delay(delay)) => delayed(&mut work, device_id, (door, requested), delay)?,
        Some(FaultOutcome::Fail(_)) | None => {
            let error = match &outcome {
                Some(FaultOutcome::Fail(error)) => Some(error),
                _ => None,
            };
            let times = (now, work.machine_now);
            let performed = bolt::perform(work.codes.device_mut(device_id)?, door.action(requested), error, times);
            performed.events.into_iter().for_each(|event| work.codes.recorder.record_event(event));
            performed.action_attempt.ok_or_else(|| Error::inconsistent("device", device_id, "lock_operations"))?
        }
    };
    work.codes.recorder.record_action_attempt(attempt.clone());
    work.finish(app).await?;
    Ok(attempt)
}

/// Applies the faults of the workspace to an operation of a lock, and saves their counters.
pub(super) async fn apply_fault(
    work: &mut UnitOfWork,
    device_id: Uuid,
    operation: &str,
) -> Result<Option<FaultOutcome>> {
    let locked = work.codes.device(device_id)?;
    if !locked.settings.has_faults {
        return Ok(None);
    }
    let mut faults = faults::lock(&mut work.tx, &BTreeSet::from([work.visibility.workspace_id])).await?;
    let outcome = fault::apply(&mut faults, &locked.device, operation);
    faults::save(&mut work.tx, &faults).await?;
    Ok(outcome)
}

/// Adds an operation that the lock performs after this ISO 8601 duration, and returns its pending action attempt.
fn delayed(
    work: &mut UnitOfWork,
    device_id: Uuid,
    (door, requested): (Door, RequestedAction),
    delay: &str,
) -> Result<NewActionAttempt> {
    let device = &mut work.codes.device_mut(device_id)?.device;
    if device.lock_operations.len() >= MAX_LOCK_OPERATIONS {
        return Err(Error::TooManyLockOperations { device_id, limit: MAX_LOCK_OPERATIONS });
    }
    // If the due time is out of range, the operation is never due.
    let due_at = duration_from_iso(delay).and_then(|delay| requested.created_at.checked_add_signed(delay));
    let due_at = due_at.filter(|due_at| *due_at <= MAX_TIMESTAMP);
    let action = door.action(requested);
    device.lock_operations.extend(due_at.map(|due_at| LockOperation { due_at, action }));
    Ok(bolt::pending(device, (door.action_type(), requested)))
}

/// Configures the automatic lock and returns the resolved action attempt. It fails if the device is unreachable.
///
/// # Errors
/// [`Error::NotFound`] of the device; [`Error::DeviceTypeNotSupported`] if it cannot be controlled remotely.
pub(crate) async fn configure_auto_lock(
    app: &App,
    visibility: &Visibility,
    device_id: Uuid,
    (is_enabled, delay_seconds): (bool, Option<Value>),
) -> Result<NewActionAttempt> {
    let mut work = begin(app, visibility, device_id).await?;
    let now: Timestamp = work.now;
    let requested = new_attempt(&mut work, device_id)?;
    let device = &mut work.codes.device_mut(device_id)?.device;
    let result = if let Some(error) = bolt::unreachable_error(device) {
        Err(error)
    } else {
        device.configure_auto_lock(is_enabled, delay_seconds, now);
        Ok(json!({}))
    };
    let attempt = bolt::resolved(device, (action_type::CONFIGURE_AUTO_LOCK, requested), result, now);
    work.codes.recorder.record_action_attempt(attempt.clone());
    work.finish(app).await?;
    Ok(attempt)
}

/// Locks the row of a managed device that can be controlled remotely.
async fn begin(app: &App, visibility: &Visibility, device_id: Uuid) -> Result<UnitOfWork> {
    let work = UnitOfWork::begin(app, visibility, Scope::DevicesOnly(&[device_id])).await?;
    let device: &Device = &work.codes.device(device_id)?.device;
    device.check_managed()?;
    if device.can_be_controlled_remotely() {
        return Ok(work);
    }
    let reason = "the lock cannot be locked and unlocked remotely (can_remotely_lock, can_remotely_unlock)";
    Err(Error::DeviceTypeNotSupported { device_type: device.brand.device_type, reason })
}

/// Returns a new action attempt of this device, requested now.
pub(super) fn new_attempt(work: &mut UnitOfWork, device_id: Uuid) -> Result<RequestedAction> {
    let (created_at, machine_now, ids) = (work.now, work.machine_now, work.ids.clone());
    let ordinal = work.codes.device_mut(device_id)?.device.next_child();
    Ok(RequestedAction { action_attempt_id: ids.id("action_attempt", device_id, ordinal, machine_now), created_at })
}
