use super::*;
use crate::domain::access_code::lifecycle::rare_fields::Condition;
use crate::domain::samples::{at, device};

/// Change of a device.
type Change = Box<dyn FnOnce(&mut Device)>;

/// Changes a device at hour 1 and returns the events.
fn change(device: &mut Device, change: impl FnOnce(&mut Device)) -> Vec<DeviceEvent> {
    let before = device.clone();
    device.change(at(1), change);
    events(&before, device, 0)
}

fn types(events: &[DeviceEvent]) -> Vec<&'static str> {
    events.iter().map(|(event_type, _)| *event_type).collect()
}

fn lock(level: f64) -> Device {
    device("august_lock", json!({ "battery_level": level }))
}

fn set_level(level: f64) -> impl FnOnce(&mut Device) {
    move |device| device.overrides.battery_level = Some(Some(level))
}

#[test]
fn battery_events_follow_from_the_levels_before_and_after() {
    let (status, low) = ("device.battery_status_changed", "device.low_battery");
    for (from, to, expected) in [
        (0.9, 0.8, vec![]),
        (0.9, 0.5, vec![status]),
        (0.5, 0.3, vec![]),
        (0.9, 0.2, vec![status, low]),
        (0.25, 0.249, vec![status, low]),
        (0.9, 0.05, vec![status, low]),
        (0.2, 0.05, vec![status]),
        (0.2, 0.15, vec![]),
        (0.05, 0.2, vec![status]),
        (0.05, 1.0, vec![status]),
    ] {
        assert_eq!(types(&change(&mut lock(from), set_level(to))), expected, "{from} to {to}");
    }
}

#[test]
fn battery_events_have_the_status_and_all_known_levels() {
    let mut lock = lock(0.9);
    lock.overrides.accessory_keypad_battery_level = Some(Some(0.5));
    let events = change(&mut lock, set_level(0.2));
    assert_eq!(events[0].1, Some(json!({ "battery_status": "low", "battery_level": 0.2 })));
    let both = json!({ "battery_level": 0.2, "device_battery_level": 0.2, "accessory_keypad_battery_level": 0.5 });
    assert_eq!(events[1].1, Some(both));
    let events = change(&mut lock, |device| device.overrides.accessory_keypad_battery_level = Some(Some(0.1)));
    let of_keypad = json!({ "battery_level": 0.1, "device_battery_level": 0.2, "accessory_keypad_battery_level": 0.1 });
    assert_eq!(events, [("device.low_battery", Some(of_keypad))]);
    assert_eq!(lock.health.warnings()[0]["warning_code"], "accessory_keypad_low_battery");
    let events = change(&mut lock, |device| device.overrides.accessory_keypad_battery_level = Some(Some(0.9)));
    assert_eq!((events, lock.health.warnings().len()), (vec![], 0));
}

#[test]
fn unknown_battery_level_is_reported_when_it_becomes_known() {
    let mut lock = lock(0.9);
    assert_eq!(change(&mut lock, |device| device.overrides.battery_level = Some(None)), []);
    assert_eq!(types(&change(&mut lock, set_level(0.2))), ["device.battery_status_changed", "device.low_battery"]);
}

#[test]
fn offline_device_reports_its_battery_when_it_is_online_again() {
    let mut lock = lock(0.9);
    assert_eq!(
        types(&change(&mut lock, |device| device.health.disconnected_at = Some(at(1)))),
        ["device.disconnected"]
    );
    for level in [0.5, 0.05, 0.2] {
        assert_eq!(change(&mut lock, set_level(level)), [], "{level}");
    }
    let events = change(&mut lock, |device| device.health.disconnected_at = None);
    assert_eq!(types(&events), ["device.connected", "device.battery_status_changed", "device.low_battery"]);
    assert_eq!(lock.health.last_reported_battery_levels, None);
    // A level that is as before is not reported again.
    change(&mut lock, |device| device.health.disconnected_at = Some(at(1)));
    change(&mut lock, set_level(0.9));
    change(&mut lock, set_level(0.2));
    assert_eq!(types(&change(&mut lock, |device| device.health.disconnected_at = None)), ["device.connected"]);
}

#[test]
fn change_of_a_managed_device_has_its_events() {
    let warn = |code: &str| {
        vec![Condition { code: code.to_owned(), message: "As a tester has it.".to_owned(), created_at: at(0) }]
    };
    let set = |warnings: Vec<Condition>| -> Change { Box::new(move |device| device.health.warnings = warnings) };
    let expire = |since| -> Change { Box::new(move |device| device.health.subscription_expired_at = since) };
    let keypad =
        |connected| -> Change { Box::new(move |device| device.overrides.accessory_keypad_connected = Some(connected)) };
    let remove = |since| -> Change { Box::new(move |device| device.health.removed_at = since) };
    let rename = |name: Option<&str>| -> Change {
        let name = name.map(str::to_owned);
        Box::new(move |device| device.nickname = name)
    };
    let mut salto = device("salto_lock", json!({ "accessory_keypad_connected": true }));
    for (change_device, expected) in [
        (set(warn("device_has_flaky_connection")), vec!["device.connection_became_flaky"]),
        (set(warn("device_has_flaky_connection")), vec![]),
        (
            set(warn("third_party_integration_detected")),
            vec!["device.connection_stabilized", "device.third_party_integration_detected"],
        ),
        (
            set(warn("privacy_mode")),
            vec!["device.third_party_integration_no_longer_detected", "device.salto.privacy_mode_activated"],
        ),
        (set(warn("salto_ks_privacy_mode")), vec![]),
        (set(Vec::new()), vec!["device.salto.privacy_mode_deactivated"]),
        (expire(Some(at(1))), vec!["device.error.subscription_required"]),
        (expire(None), vec!["device.error.subscription_required.resolved"]),
        (keypad(false), vec!["device.accessory_keypad_disconnected"]),
        (keypad(true), vec!["device.accessory_keypad_connected"]),
        (remove(Some(at(1))), vec!["device.removed", "device.disconnected"]),
        (remove(None), vec!["device.added", "device.connected"]),
        (rename(Some("Front Door")), vec![]),
        (rename(Some("Gate")), vec!["device.name_changed"]),
        (rename(None), vec!["device.name_changed"]),
    ] {
        let events = change(&mut salto, change_device);
        assert_eq!(types(&events), expected);
        for (event_type, payload) in events {
            let has_issues = [
                "device.connection_became_flaky",
                "device.error.subscription_required",
                "device.accessory_keypad_disconnected",
                "device.disconnected",
            ];
            let issues = payload.is_some_and(|payload| payload["device_errors"].is_array());
            assert_eq!(issues, has_issues.contains(&event_type), "{event_type}");
        }
    }
    let mut august = lock(0.9);
    assert_eq!(change(&mut august, set(warn("privacy_mode"))), [], "the event is Salto's");
}

#[test]
fn unmanaged_device_has_events_of_its_connection_only() {
    let mut lock = lock(0.9);
    assert_eq!(types(&change(&mut lock, |device| device.is_managed = false)), ["device.converted_to_unmanaged"]);
    let events = change(&mut lock, |device| {
        device.name = "Gate".to_owned();
        device.overrides.battery_level = Some(Some(0.05));
        device.overrides.accessory_keypad_connected = Some(false);
        device.health.subscription_expired_at = Some(at(1));
        device.health.removed_at = Some(at(1));
    });
    assert_eq!(types(&events), ["device.unmanaged.disconnected"]);
    assert_eq!(events[0].1.as_ref().unwrap()["error_code"], "device_disconnected");
    let events = change(&mut lock, |device| device.health.removed_at = None);
    assert_eq!(types(&events), ["device.unmanaged.connected"]);
    assert_eq!(types(&change(&mut lock, |device| device.is_managed = true)), ["device.unmanaged.converted_to_managed"]);
}
