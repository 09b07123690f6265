//! Actions of a person at the lock: entering a PIN, and pressing the button that locks the door.

use super::app::App;
use super::lock_operations;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::FaultOutcome;
use crate::domain::action_attempt::{NewActionAttempt, action_type};
use crate::domain::bolt;
use crate::domain::caller::Visibility;
use crate::domain::device::{Device, DeviceSummary};
use crate::domain::event::{NewEvent, event_type};
use crate::domain::keypad::{self, DenialReason};
use crate::error::{Error, Resource, Result};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Result of entering a PIN.
#[derive(Debug)]
pub(crate) struct Entered {
    /// Reason why the lock stayed closed; `None`: it opened.
    pub denial_reason: Option<DenialReason>,
    /// Code with this PIN; `None`: the lock holds none.
    pub code: Option<AccessCode>,
    pub device: DeviceSummary,
    /// Recorded event; `None`: the device did not report one.
    pub event_id: Option<Uuid>,
}

/// Enters a PIN at the keypad.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Device`].
pub(crate) async fn enter_code(app: &App, visibility: &Visibility, device_id: Uuid, pin: &str) -> Result<Entered> {
    let mut work = lock_device(app, visibility, device_id).await?;
    let (denial_reason, code, event_id) = enter(&mut work, device_id, pin).await?;
    let codes = work.finish(app).await?;
    let code = code.map(|id| codes.get(id).cloned()).transpose()?;
    Ok(Entered { denial_reason, code, device: codes.summary(device_id)?, event_id })
}

/// Simulates the entry of a PIN for Seam's API and returns the resolved action attempt. It fails if the lock stays
/// closed; its error then has the reason of the control plane as its `type`.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Device`]; [`Error::DeviceTypeNotSupported`].
pub(crate) async fn simulate_code_entry(
    app: &App,
    visibility: &Visibility,
    device_id: Uuid,
    pin: &str,
) -> Result<NewActionAttempt> {
    let mut work = lock_device(app, visibility, device_id).await?;
    check_simulation(&work.codes.device(device_id)?.device)?;
    let (denial_reason, ..) = enter(&mut work, device_id, pin).await?;
    let error = denial_reason.map(|reason| json!({ "type": reason, "message": reason.message() }));
    finish_simulation(app, work, device_id, (action_type::SIMULATE_KEYPAD_CODE_ENTRY, error)).await
}

/// Reason why the lock stayed closed, code with the entered PIN, and recorded event.
type Entry = (Option<DenialReason>, Option<Uuid>, Option<Uuid>);

/// Enters a PIN at the keypad of a locked device.
async fn enter(work: &mut UnitOfWork, device_id: Uuid, pin: &str) -> Result<Entry> {
    let now = work.now;
    let entered = keypad::enter(work.codes.iter(), &work.codes.device(device_id)?.device, pin, now);
    let (access_code_id, mut denial_reason) = (entered.0.map(|code| code.access_code_id), entered.1);
    let device = &mut work.codes.device_mut(device_id)?.device;
    let mut denied = None;
    if let Some(denial_reason) = denial_reason {
        denied = keypad::count_wrong_code(device, denial_reason, now);
    } else {
        (device.health.wrong_codes, device.health.keypad_locked_until) = (0, None);
        if is_jammed(work, device_id, "unlock").await? {
            denial_reason = Some(DenialReason::Jammed);
        }
    }
    let brand = work.codes.device(device_id)?.device.brand;
    let mut payload = Map::new();
    let mut event_type = None;
    if denial_reason.is_none() {
        work.codes.device_mut(device_id)?.device.move_bolt(false, now);
        event_type = Some(event_type::LOCK_UNLOCKED);
        payload.insert("method".to_owned(), json!("keycode"));
        if let Some(access_code_id) = access_code_id {
            let state = &mut work.codes.get_mut(access_code_id)?.state;
            if state.is_offline {
                state.rare_fields.first_used_at.get_or_insert(now);
            }
        }
    } else if let Some(denied) = denied {
        event_type = Some(event_type::LOCK_ACCESS_DENIED);
        payload.extend(denied.as_reason().map(|reason| ("reason".to_owned(), reason)));
    }
    let code = access_code_id.map(|id| work.codes.get(id)).transpose()?.cloned();
    // The event contains the code only if the brand reports it.
    let known = code.as_ref().filter(|code| code.state.is_managed || brand.shows_unmanaged_codes);
    let known = known.filter(|_| brand.reports_used_code);
    let event_id = match event_type {
        Some(event_type) => record(work, device_id, event_type, known, payload)?,
        None => None,
    };
    Ok((denial_reason, access_code_id, event_id))
}

/// Result of pressing the lock button.
#[derive(Debug)]
pub(crate) struct Pressed {
    /// True if the bolt did not move.
    pub is_jammed: bool,
    /// Recorded event; `None`: the device did not report one.
    pub event_id: Option<Uuid>,
}

/// Presses the button that locks the door.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Device`].
pub(crate) async fn press_lock(app: &App, visibility: &Visibility, device_id: Uuid) -> Result<Pressed> {
    let mut work = lock_device(app, visibility, device_id).await?;
    let pressed = press(&mut work, device_id).await?;
    work.finish(app).await?;
    Ok(pressed)
}

/// Simulates the button that locks the door for Seam's API and returns the resolved action attempt. It fails if the
/// bolt does not move.
///
/// # Errors
/// The errors of [`simulate_code_entry`].
pub(crate) async fn simulate_manual_lock(
    app: &App,
    visibility: &Visibility,
    device_id: Uuid,
) -> Result<NewActionAttempt> {
    let mut work = lock_device(app, visibility, device_id).await?;
    check_simulation(&work.codes.device(device_id)?.device)?;
    let pressed = press(&mut work, device_id).await?;
    let error = pressed.is_jammed.then(|| json!({ "type": "jammed", "message": "A fault blocks the bolt." }));
    finish_simulation(app, work, device_id, (action_type::SIMULATE_MANUAL_LOCK_VIA_KEYPAD, error)).await
}

/// Presses the button that locks the door of a locked device.
async fn press(work: &mut UnitOfWork, device_id: Uuid) -> Result<Pressed> {
    let is_jammed = is_jammed(work, device_id, "lock").await?;
    let mut event_id = None;
    if !is_jammed {
        let now = work.now;
        work.codes.device_mut(device_id)?.device.move_bolt(true, now);
        let payload = Map::from_iter([("method".to_owned(), json!("manual"))]);
        event_id = record(work, device_id, event_type::LOCK_LOCKED, None, payload)?;
    }
    Ok(Pressed { is_jammed, event_id })
}

/// Rejects an unmanaged device, and one whose keypad Seam does not simulate.
///
/// # Errors
/// [`Error::DeviceTypeNotSupported`].
fn check_simulation(device: &Device) -> Result<()> {
    device.check_managed()?;
    if device.brand.simulates_keypad {
        return Ok(());
    }
    let reason = "only the keypads of August locks are simulated. /_emulator/locks/enter_code and press_lock serve all \
                  locks.";
    Err(Error::DeviceTypeNotSupported { device_type: device.brand.device_type, reason })
}

/// Records the resolved action attempt of a simulation with its event, and commits.
async fn finish_simulation(
    app: &App,
    mut work: UnitOfWork,
    device_id: Uuid,
    (action_type, error): (&'static str, Option<Value>),
) -> Result<NewActionAttempt> {
    let (now, machine_now) = (work.now, work.machine_now);
    let requested = lock_operations::new_attempt(&mut work, device_id)?;
    let locked = work.codes.device_mut(device_id)?;
    let result = error.map_or_else(|| Ok(json!({})), Err);
    let attempt = bolt::resolved(&locked.device, (action_type, requested), result, now);
    let event = bolt::event_of(locked, &attempt, (now, machine_now));
    if let Some(event) = event {
        work.codes.recorder.record_event(event);
    }
    work.codes.recorder.record_action_attempt(attempt.clone());
    work.finish(app).await?;
    Ok(attempt)
}

/// Locks the row of a device and runs its due steps. A device that was removed from its account is treated as missing.
async fn lock_device(app: &App, visibility: &Visibility, device_id: Uuid) -> Result<UnitOfWork> {
    let work = UnitOfWork::begin(app, visibility, Scope::Devices(&[device_id])).await?;
    match work.codes.device(device_id)?.device.health.removed_at {
        None => Ok(work),
        Some(_) => Err(Error::NotFound(Resource::Device)),
    }
}

/// Applies the faults of the workspace to a movement of the bolt. Returns true if a fault keeps the bolt from moving. A
/// fault that only delays does not: the person waits.
async fn is_jammed(work: &mut UnitOfWork, device_id: Uuid, operation: &str) -> Result<bool> {
    let outcome = lock_operations::apply_fault(work, device_id, operation).await?;
    Ok(matches!(outcome, Some(FaultOutcome::Fail(_) | FaultOutcome::Never)))
}

/// Records an event of the device and returns its id; `None`: the device reports nothing, because it is unreachable or
/// unmanaged.
fn record(
    work: &mut UnitOfWork,
    device_id: Uuid,
    event_type: &'static str,
    code: Option<&AccessCode>,
    mut payload: Map<String, Value>,
) -> Result<Option<Uuid>> {
    let (now, machine_now) = (work.now, work.machine_now);
    let locked = work.codes.device_mut(device_id)?;
    if !locked.device.reports_events() {
        return Ok(None);
    }
    let unlocked_by = code.filter(|_| event_type == event_type::LOCK_UNLOCKED);
    if let Some(code) = unlocked_by {
        payload.insert("access_code_is_managed".to_owned(), json!(code.state.is_managed));
    }
    let pin = unlocked_by.and_then(|code| code.state.held.as_ref());
    let event = NewEvent {
        access_code_id: code.map(|code| code.access_code_id),
        code: pin.map(|held| held.code.clone()),
        payload: (!payload.is_empty()).then_some(Value::Object(payload)),
        ..NewEvent::of_device(locked, event_type, now, machine_now)
    };
    let event_id = event.event_id;
    work.codes.recorder.record_event(event);
    Ok(Some(event_id))
}
