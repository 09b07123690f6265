//! Movements of a lock's bolt that are not made at the keypad: their events and the outcomes of their action attempts.

use super::access_code::lifecycle::rare_fields::OperationError;
use super::action_attempt::{NewActionAttempt, StoredOutcome, action_type};
use super::device::Device;
use super::device::lock_operation::{LockAction, RequestedAction};
use super::event::{NewEvent, event_type};
use super::locked_device::LockedDevice;
use crate::clock::Timestamp;
use serde_json::{Map, Value, json};

/// Effect of an action of a lock.
#[derive(Debug, Default)]
pub(crate) struct Performed {
    pub events: Vec<NewEvent>,
    /// Resolved action attempt; `None` for an automatic lock.
    pub action_attempt: Option<NewActionAttempt>,
}

/// Performs an action. `fault` is the error that a fault of the workspace gives to it, if any. A requested action also
/// fails if the device is unreachable. An automatic lock does not need a connection, but then it is not reported.
/// Seam reports nothing about an unmanaged device.
pub(crate) fn perform(
    locked: &mut LockedDevice,
    action: LockAction,
    fault: Option<&OperationError>,
    (at, machine_now): (Timestamp, Timestamp),
) -> Performed {
    let (action_type, requested, is_locked, method) = match action {
        LockAction::LockDoor(requested) => (action_type::LOCK_DOOR, Some(requested), true, "remote"),
        LockAction::UnlockDoor(requested) => (action_type::UNLOCK_DOOR, Some(requested), false, "remote"),
        LockAction::AutoLock => (action_type::LOCK_DOOR, None, true, "automatic"),
    };
    let unreachable = || unreachable_error(&locked.device).filter(|_| requested.is_some());
    let error = fault.map(|fault| fault_error(fault, is_locked)).or_else(unreachable);
    let mut performed = Performed::default();
    if error.is_none() {
        locked.device.move_bolt(is_locked, at);
        let mut payload = Map::from_iter([("method".to_owned(), json!(method))]);
        if let Some(requested) = requested {
            payload.insert("action_attempt_id".to_owned(), json!(requested.action_attempt_id));
        }
        let event_type = if is_locked { event_type::LOCK_LOCKED } else { event_type::LOCK_UNLOCKED };
        if locked.device.reports_events() {
            let event = NewEvent::of_device(locked, event_type, at, machine_now);
            performed.events.push(NewEvent { payload: Some(Value::Object(payload)), ..event });
        }
    }
    if let Some(requested) = requested {
        let result = error.map_or_else(|| Ok(json!({ "was_confirmed_by_device": true })), Err);
        let attempt = resolved(&locked.device, (action_type, requested), result, at);
        performed.events.extend(event_of(locked, &attempt, (at, machine_now)));
        performed.action_attempt = Some(attempt);
    }
    performed
}

/// Returns an action attempt on this device that is resolved at `at`, with its result or error.
pub(crate) fn resolved(
    device: &Device,
    (action_type, requested): (&'static str, RequestedAction),
    result: Result<Value, Value>,
    at: Timestamp,
) -> NewActionAttempt {
    let outcome = result.map_or_else(StoredOutcome::Error, StoredOutcome::Result);
    NewActionAttempt { resolved_at: Some(at), outcome: Some(outcome), ..pending(device, (action_type, requested)) }
}

/// Returns an action attempt on this device that is not resolved yet.
pub(crate) fn pending(device: &Device, (action_type, requested): (&'static str, RequestedAction)) -> NewActionAttempt {
    NewActionAttempt {
        action_attempt_id: requested.action_attempt_id,
        workspace_id: device.workspace_id,
        action_type,
        device_id: device.device_id,
        access_code_id: None,
        created_at: requested.created_at,
        resolved_at: None,
        outcome: None,
    }
}

/// Returns the event that reports a resolved action attempt; `None` for action types without such an event, and for
/// unmanaged devices.
pub(crate) fn event_of(
    locked: &mut LockedDevice,
    attempt: &NewActionAttempt,
    (at, machine_now): (Timestamp, Timestamp),
) -> Option<NewEvent> {
    // The device may have become unmanaged since the request.
    if !locked.device.is_managed {
        return None;
    }
    let is_success = matches!(attempt.outcome, Some(StoredOutcome::Result(_)));
    let event_type = event_type::of_action_attempt(attempt.action_type, is_success)?;
    let payload = json!({
        "action_attempt_id": attempt.action_attempt_id,
        "action_type": attempt.action_type,
        "status": if is_success { "success" } else { "error" },
    });
    // Seam's events of action attempts have no metadata.
    let event = NewEvent::of_device(locked, event_type, at, machine_now);
    Some(NewEvent { payload: Some(payload), metadata: Map::new(), ..event })
}

/// Returns the error of a request to a device that cannot be reached; `None`: it can be reached. Its `type` is the
/// `error_code` of the device.
pub(crate) fn unreachable_error(device: &Device) -> Option<Value> {
    let error_code = match device.health.removed_at {
        Some(_) => "device_removed",
        None => device.health.disconnected_by()?,
    };
    let name = device.display_name();
    let message = match error_code {
        "account_disconnected" => format!("The account of {name} is disconnected."),
        "hub_disconnected" => format!("The bridge or gateway of {name} is offline."),
        "device_removed" => format!("{name} was removed from its provider account."),
        _ => format!("{name} is offline."),
    };
    Some(json!({ "type": error_code, "message": message }))
}

/// Returns the error that a fault gives to a request. Without an error code of its own, its `type` is Seam's general
/// one.
fn fault_error(fault: &OperationError, is_locked: bool) -> Value {
    let error_code = fault.error_code.as_deref().unwrap_or("uncategorized_error");
    let default = || format!("The door could not be {}.", if is_locked { "locked" } else { "unlocked" });
    json!({ "type": error_code, "message": fault.message.clone().unwrap_or_else(default) })
}

#[cfg(test)]
mod tests;
