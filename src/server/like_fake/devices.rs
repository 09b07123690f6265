//! The thermostat and the noise sensor of the seed. They only exist: lists and `get` show them.
//!
//! Latchkey stores each of them as a lock that cannot be programmed, and the layer shows it as what it is. The lock is
//! the only one of its type and manufacturer, so that filters by these find it, on the right page.

use super::ids::{ECOBEE, MINUT};
use super::parameters::Parameters;
use crate::domain::device::brands::BRANDS;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// One of the two devices, and the lock as which it is stored.
pub(super) struct StandIn {
    device_id: Uuid,
    shown_type: &'static str,
    pub(super) stored_type: &'static str,
    shown_manufacturer: &'static str,
    stored_manufacturer: &'static str,
    capability: &'static str,
}

pub(super) const THERMOSTAT: StandIn = StandIn {
    device_id: ECOBEE,
    shown_type: "ecobee_thermostat",
    stored_type: "doorking_lock",
    shown_manufacturer: "ecobee",
    stored_manufacturer: "doorking",
    capability: "thermostat",
};

pub(super) const SENSOR: StandIn = StandIn {
    device_id: MINUT,
    shown_type: "minut_sensor",
    stored_type: "genie_door",
    shown_manufacturer: "minut",
    stored_manufacturer: "genie",
    capability: "noise_detection",
};

const STAND_INS: [StandIn; 2] = [THERMOSTAT, SENSOR];

/// Path that lists devices of all types.
const DEVICES: &str = "/devices/list";

/// Path that lists locks only, without pages.
const LOCKS: &str = "/locks/list";

/// Parameter with several types of devices, as JSON and in a query.
const TYPES: [&str; 2] = ["device_types", "device_types[]"];

/// Parameter with capabilities, as JSON and in a query. Only locks have them.
const INCLUDE_IF: [&str; 2] = ["include_if", "include_if[]"];

/// Members of a lock that other devices do not have, in addition to those whose names begin with [`CAPABILITY`].
const OF_LOCK: [&str; 2] = ["device_provider", "device_manufacturer"];

/// Start of the names of members with a capability.
const CAPABILITY: &str = "can_";

/// Returns the value by which the list of devices finds one of the two devices; `None`: the value itself.
pub(super) fn stored(path: &str, name: &str, value: &str) -> Option<String> {
    if path != DEVICES {
        return None;
    }
    let pairs = STAND_INS.map(|device| match name {
        "device_type" | "device_types" => (device.shown_type, device.stored_type),
        _ => (device.shown_manufacturer, device.stored_manufacturer),
    });
    let has_pairs = ["device_type", "device_types", "manufacturer"].contains(&name);
    pairs.into_iter().find(|(shown, _)| has_pairs && *shown == value).map(|(_, stored)| stored.to_owned())
}

/// Excludes the two devices from a list of devices with capabilities, which only locks have.
pub(super) fn exclude_without_capabilities(path: &str, parameters: &mut Parameters) {
    if path != DEVICES || !INCLUDE_IF.iter().any(|name| parameters.contain(name)) {
        return;
    }
    let has_types = TYPES.iter().any(|name| parameters.contain(name));
    let types = if has_types {
        parameters.take_texts(&TYPES)
    } else {
        BRANDS.iter().map(|brand| brand.device_type.to_owned()).collect()
    };
    let is_lock = |name: &String| !STAND_INS.iter().any(|device| device.stored_type == name);
    parameters.insert(TYPES[0], types.into_iter().filter(is_lock).collect());
}

/// Returns what the layer shows for one of the two devices; `None` for any other object.
pub(super) fn shown(device: &Map<String, Value>) -> Option<Map<String, Value>> {
    let stand_in = of(device.get("device_id")?)?;
    device.get("device_type")?;
    let mut shown = device.clone();
    shown.retain(|name, _| !name.starts_with(CAPABILITY) && !OF_LOCK.contains(&name.as_str()));
    shown.insert("device_type".to_owned(), json!(stand_in.shown_type));
    shown.insert("capabilities_supported".to_owned(), json!([stand_in.capability]));
    let old = device.get("properties").cloned().unwrap_or_default();
    let mut properties = if stand_in.device_id == ECOBEE { thermostat() } else { noise_sensor() };
    for name in ["name", "appearance", "online"] {
        properties[name] = old[name].clone();
    }
    shown.insert("properties".to_owned(), properties);
    Some(shown)
}

/// Returns the one of the two devices that has this id.
fn of(device_id: &Value) -> Option<StandIn> {
    let id = Uuid::try_parse(device_id.as_str()?).ok()?;
    STAND_INS.into_iter().find(|device| device.device_id == id)
}

/// Removes the two devices from the list of locks.
pub(super) fn remove_from_locks(path: &str, body: &mut Value) {
    if path == LOCKS {
        for name in ["devices", "locks"] {
            if let Some(locks) = body.get_mut(name).and_then(Value::as_array_mut) {
                locks.retain(|lock| of(&lock["device_id"]).is_none());
            }
        }
    }
}

fn thermostat() -> Value {
    json!({
        "manufacturer": "ecobee",
        "model": { "display_name": "Thermostat", "manufacturer_display_name": "Ecobee" },
        "is_cooling_available": true,
        "is_heating_available": true,
        "min_heating_cooling_delta_celsius": 2.78,
        "is_fan_running": true,
        "fan_mode_setting": "auto",
        "current_climate_setting": {
            "automatic_heating_enabled": false,
            "automatic_cooling_enabled": true,
            "hvac_mode_setting": "cool",
            "manual_override_allowed": true,
            "cooling_set_point_celsius": 24,
            "heating_set_point_celsius": 18,
        },
    })
}

fn noise_sensor() -> Value {
    json!({
        "manufacturer": "minut",
        "model": { "display_name": "Noise sensor", "manufacturer_display_name": "Minut" },
        "noise_level_decibels": 70,
    })
}
