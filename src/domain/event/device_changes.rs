//! Events of changes of a device. They follow from the difference between its states before and after the change.

use super::event_type;
use super::payload::device_issues;
use crate::domain::device::health::DeviceHealth;
use crate::domain::device::{Device, battery};
use serde_json::{Map, Value, json};

/// Event of a device, with its payload.
type DeviceEvent = (&'static str, Option<Value>);

/// Returns the events of a change, in order. `backups` is the number of backup codes of the device that can be pulled.
///
/// An unmanaged device has no events except those of its connection and of its conversion to managed.
pub(crate) fn events(before: &Device, after: &Device, backups: i64) -> Vec<DeviceEvent> {
    let issues = || device_issues(&after.summary(backups));
    let mut events: Vec<DeviceEvent> = Vec::new();
    match (before.is_managed, after.is_managed) {
        (true, false) => events.push((event_type::DEVICE_CONVERTED_TO_UNMANAGED, None)),
        (false, true) => events.push((event_type::DEVICE_CONVERTED_TO_MANAGED, None)),
        _ => {}
    }
    if after.is_managed {
        let was_removed = before.health.removed_at.is_some();
        match (was_removed, after.health.removed_at.is_some()) {
            (false, true) => events.push((event_type::DEVICE_REMOVED, None)),
            (true, false) => events.push((event_type::DEVICE_ADDED, None)),
            _ => {}
        }
    }
    events.extend(connection(before, after, issues));
    if after.is_managed {
        if before.display_name() != after.display_name() {
            events.push((event_type::DEVICE_NAME_CHANGED, Some(json!({ "device_name": after.display_name() }))));
        }
        events.extend(keypad(before, after, issues));
        events.extend(batteries(before, after));
        events.extend(conditions(before, after, issues));
    }
    events
}

/// Returns the event of a device that became reachable or unreachable.
fn connection(before: &Device, after: &Device, issues: impl Fn() -> Map<String, Value>) -> Option<DeviceEvent> {
    match (before.health.unreachable_since(), after.health.unreachable_since()) {
        (None, Some(_)) => {
            let mut fields = Map::from_iter([("error_code".to_owned(), json!(after.health.disconnected_by()))]);
            fields.extend(issues());
            let managed = event_type::DEVICE_DISCONNECTED;
            let event_type = if after.is_managed { managed } else { event_type::UNMANAGED_DEVICE_DISCONNECTED };
            Some((event_type, Some(Value::Object(fields))))
        }
        (Some(_), None) => {
            let managed = event_type::DEVICE_CONNECTED;
            Some((if after.is_managed { managed } else { event_type::UNMANAGED_DEVICE_CONNECTED }, None))
        }
        _ => None,
    }
}

fn keypad(before: &Device, after: &Device, issues: impl Fn() -> Map<String, Value>) -> Option<DeviceEvent> {
    match (before.is_accessory_keypad_connected(), after.is_accessory_keypad_connected()) {
        (false, true) => Some((event_type::ACCESSORY_KEYPAD_CONNECTED, None)),
        (true, false) => Some((event_type::ACCESSORY_KEYPAD_DISCONNECTED, Some(Value::Object(issues())))),
        _ => None,
    }
}

/// Returns the events of changed battery levels. An unreachable device reports them when it is reachable again.
fn batteries(before: &Device, after: &Device) -> Vec<DeviceEvent> {
    if after.reachable_since.is_none() {
        return Vec::new();
    }
    let (old, new) = (before.reported_battery_levels(), after.battery_levels());
    let mut events = Vec::new();
    if let Some(level) = new.device.filter(|level| old.device.map(battery::status) != Some(battery::status(*level))) {
        let payload = json!({ "battery_status": battery::status(level), "battery_level": level });
        events.push((event_type::BATTERY_STATUS_CHANGED, Some(payload)));
    }
    for (old, dropped) in [(old.device, new.device), (old.accessory_keypad, new.accessory_keypad)] {
        if battery::is_low(dropped) && !battery::is_low(old) {
            let known = [
                ("battery_level", dropped),
                ("device_battery_level", new.device),
                ("accessory_keypad_battery_level", new.accessory_keypad),
            ];
            let known = known.into_iter().filter_map(|(name, level)| Some((name.to_owned(), json!(level?))));
            events.push((event_type::LOW_BATTERY, Some(Value::Object(known.collect()))));
        }
    }
    events
}

/// Returns the events of errors and warnings that appeared or disappeared.
fn conditions(before: &Device, after: &Device, issues: impl Fn() -> Map<String, Value>) -> Vec<DeviceEvent> {
    let has_warning = |device: &Device, code: &str| device.health.warnings.iter().any(|warning| warning.code == code);
    let is_salto = after.brand.provider == "salto_ks";
    let privacy = |device: &Device| {
        is_salto && (has_warning(device, "privacy_mode") || has_warning(device, "salto_ks_privacy_mode"))
    };
    let flaky = |device: &Device| has_warning(device, "device_has_flaky_connection");
    let integration = |device: &Device| has_warning(device, "third_party_integration_detected");
    let subscription = |device: &Device| needs_subscription(&device.health);
    // The flag is true if the payload of the first event contains the errors and warnings of the device.
    let pairs = [
        ((flaky(before), flaky(after)), (event_type::CONNECTION_BECAME_FLAKY, true), event_type::CONNECTION_STABILIZED),
        (
            (integration(before), integration(after)),
            (event_type::THIRD_PARTY_INTEGRATION_DETECTED, false),
            event_type::THIRD_PARTY_INTEGRATION_NO_LONGER_DETECTED,
        ),
        (
            (privacy(before), privacy(after)),
            (event_type::PRIVACY_MODE_ACTIVATED, false),
            event_type::PRIVACY_MODE_DEACTIVATED,
        ),
        (
            (subscription(before), subscription(after)),
            (event_type::SUBSCRIPTION_REQUIRED, true),
            event_type::SUBSCRIPTION_REQUIRED_RESOLVED,
        ),
    ];
    let event = |(change, (appeared, has_issues), disappeared): ((bool, bool), (&'static str, bool), &'static str)| {
        match change {
            (false, true) => Some((appeared, has_issues.then(|| Value::Object(issues())))),
            (true, false) => Some((disappeared, None)),
            _ => None,
        }
    };
    pairs.into_iter().filter_map(event).collect()
}

fn needs_subscription(health: &DeviceHealth) -> bool {
    health.subscription_expired_at.is_some() || health.errors.iter().any(|error| error.code == "subscription_required")
}

#[cfg(test)]
mod tests;
