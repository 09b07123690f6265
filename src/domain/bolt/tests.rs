use super::*;
use crate::domain::samples::{at, device, locked};
use uuid::Uuid;

fn requested() -> RequestedAction {
    RequestedAction { action_attempt_id: Uuid::from_u128(9), created_at: at(0) }
}

fn lock() -> LockedDevice {
    locked(device("august_lock", json!({})))
}

/// Returns the types of the events, each with its payload.
fn events_of(performed: &Performed) -> Vec<(&'static str, Value)> {
    performed.events.iter().map(|event| (event.event_type, event.payload.clone().unwrap())).collect()
}

#[test]
fn bolt_moves_for_a_request_and_both_events_name_the_attempt() {
    for (action, is_locked, action_type, name) in [
        (LockAction::UnlockDoor(requested()), false, "UNLOCK_DOOR", "unlock"),
        (LockAction::LockDoor(requested()), true, "LOCK_DOOR", "lock"),
    ] {
        let mut locked = lock();
        let performed = perform(&mut locked, action, None, (at(1), at(2)));
        assert_eq!(locked.device.overrides.properties["locked"], is_locked);
        let id = requested().action_attempt_id;
        assert_eq!(
            events_of(&performed),
            [
                (&*format!("lock.{name}ed"), json!({ "method": "remote", "action_attempt_id": id })),
                (
                    &*format!("action_attempt.{name}_door.succeeded"),
                    json!({ "action_attempt_id": id, "action_type": action_type, "status": "success" })
                ),
            ]
        );
        assert!(performed.events.iter().all(|event| event.occurred_at == at(1)));
        let attempt = performed.action_attempt.unwrap();
        assert_eq!((attempt.action_type, attempt.created_at, attempt.resolved_at), (action_type, at(0), Some(at(1))));
        assert_eq!(attempt.outcome, Some(StoredOutcome::Result(json!({ "was_confirmed_by_device": true }))));
    }
}

#[test]
fn request_fails_by_a_fault_and_the_bolt_does_not_move() {
    let message = |text: &str| Some(text.to_owned());
    for (fault, expected) in [
        (
            OperationError::default(),
            json!({ "type": "uncategorized_error", "message": "The door could not be unlocked." }),
        ),
        (
            OperationError { error_code: message("jammed"), message: message("Stuck."), ..OperationError::default() },
            json!({ "type": "jammed", "message": "Stuck." }),
        ),
    ] {
        let mut locked = lock();
        let performed = perform(&mut locked, LockAction::UnlockDoor(requested()), Some(&fault), (at(1), at(2)));
        assert!(!locked.device.overrides.properties.contains_key("locked"));
        let [(event_type, payload)] = &events_of(&performed)[..] else { panic!("one event") };
        assert_eq!((*event_type, &payload["status"]), ("action_attempt.unlock_door.failed", &json!("error")));
        assert_eq!(performed.action_attempt.unwrap().outcome, Some(StoredOutcome::Error(expected)));
    }
}

#[test]
fn request_to_an_unreachable_device_fails_with_the_error_code_of_the_device() {
    type Change = fn(&mut crate::domain::device::health::DeviceHealth);
    let cases: [(Change, &str); 4] = [
        (|health| health.disconnected_at = Some(at(0)), "device_disconnected"),
        (|health| health.hub_disconnected_at = Some(at(0)), "hub_disconnected"),
        (|health| health.account_disconnected_at = Some(at(0)), "account_disconnected"),
        (|health| health.removed_at = Some(at(0)), "device_removed"),
    ];
    for (change, error_code) in cases {
        let mut locked = lock();
        locked.device.change(at(0), |device| change(&mut device.health));
        let performed = perform(&mut locked, LockAction::LockDoor(requested()), None, (at(1), at(2)));
        assert_eq!(locked.device.health.locked_unseen, None, "the bolt does not move");
        assert_eq!(events_of(&performed)[0].0, "action_attempt.lock_door.failed");
        let Some(StoredOutcome::Error(error)) = performed.action_attempt.unwrap().outcome else { panic!("an error") };
        assert_eq!(error["type"], error_code);
        assert!(error["message"].as_str().unwrap().contains("Front Door"), "{error}");
    }
}

#[test]
fn automatic_lock_is_reported_while_the_device_is_reachable() {
    let mut locked = lock();
    locked.device.move_bolt(false, at(0));
    let performed = perform(&mut locked, LockAction::AutoLock, None, (at(1), at(2)));
    assert_eq!(events_of(&performed), [("lock.locked", json!({ "method": "automatic" }))]);
    assert!(performed.action_attempt.is_none());
    locked.device.change(at(1), |device| device.health.disconnected_at = Some(at(1)));
    locked.device.move_bolt(false, at(2));
    let performed = perform(&mut locked, LockAction::AutoLock, None, (at(3), at(4)));
    assert!(performed.events.is_empty());
    assert_eq!(locked.device.health.locked_unseen, Some(true), "it locks without a connection");
}

#[test]
fn resolved_attempt_has_an_event_only_if_seam_has_its_type() {
    let mut locked = lock();
    for (action_type, event_type) in [
        ("LOCK_DOOR", Some("action_attempt.lock_door.succeeded")),
        ("SIMULATE_KEYPAD_CODE_ENTRY", Some("action_attempt.simulate_keypad_code_entry.succeeded")),
        ("SIMULATE_MANUAL_LOCK_VIA_KEYPAD", Some("action_attempt.simulate_manual_lock_via_keypad.succeeded")),
        ("CONFIGURE_AUTO_LOCK", None),
        ("CREATE_ACCESS_CODE", None),
    ] {
        let attempt = resolved(&locked.device, (action_type, requested()), Ok(json!({})), at(1));
        let event = event_of(&mut locked, &attempt, (at(1), at(2)));
        assert_eq!(event.map(|event| event.event_type), event_type);
    }
}
