//! The thermostat and the noise sensor of the seed. They only exist: lists and `get` show them.
//!
//! Latchkey stores each of them as a lock that cannot be programmed, and the layer shows it as what it is.

use super::ids::{ECOBEE, MINUT};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Seam's types of the two devices.
const TYPES: [&str; 2] = ["ecobee_thermostat", "minut_sensor"];

/// Path that lists devices of all types.
const DEVICES: &str = "/devices/list";

/// Path that lists locks only.
const LOCKS: &str = "/locks/list";

/// Parameters with the types of devices.
const TYPE_PARAMETERS: [&str; 3] = ["device_type", "device_types", "device_types[]"];

/// Members of a lock that other devices do not have, in addition to those whose names begin with [`CAPABILITY`].
const OF_LOCK: [&str; 2] = ["device_provider", "device_manufacturer"];

/// Start of the names of members with a capability.
const CAPABILITY: &str = "can_";

/// Filter of a list of devices.
#[derive(Debug, Default)]
pub(super) struct TypeFilter {
    /// Only devices of these types; `None`: of all types.
    types: Option<Vec<String>>,
    /// Only devices of this manufacturer; `None`: of all.
    manufacturer: Option<String>,
}

impl TypeFilter {
    /// Reads the filter of a request. If it names one of the two types, it is removed from the request, because the
    /// endpoint would not find the device. Each flag is set if its part of the request changes.
    pub(super) fn take(
        path: &str,
        (query, has_new_query): (&mut Vec<(String, String)>, &mut bool),
        (members, has_new_body): (&mut Map<String, Value>, &mut bool),
    ) -> Self {
        if path != DEVICES {
            return Self::default();
        }
        let in_query = |names: &[&str]| -> Vec<String> {
            let values = query.iter().filter(|(name, _)| names.contains(&name.as_str()));
            values.flat_map(|(_, value)| value.split(',')).map(str::to_owned).collect()
        };
        let in_body = |name: &&str| match members.get(*name) {
            Some(Value::Array(items)) => items.clone(),
            Some(item) => vec![item.clone()],
            None => Vec::new(),
        };
        let text = |value: Value| value.as_str().map(str::to_owned);
        let mut types = in_query(&TYPE_PARAMETERS);
        types.extend(TYPE_PARAMETERS.iter().flat_map(in_body).filter_map(text));
        let manufacturer = in_query(&["manufacturer"]).pop().or_else(|| in_body(&"manufacturer").pop().and_then(text));
        if types.iter().any(|name| TYPES.contains(&name.as_str())) {
            let before = (query.len(), members.len());
            query.retain(|(name, _)| !TYPE_PARAMETERS.contains(&name.as_str()));
            members.retain(|name, _| !TYPE_PARAMETERS.contains(&name.as_str()));
            *has_new_query |= query.len() != before.0;
            *has_new_body |= members.len() != before.1;
        }
        Self { types: (!types.is_empty()).then_some(types), manufacturer }
    }

    /// Returns true if a device, as the layer shows it, passes the filter.
    fn passes(&self, device: &Value) -> bool {
        let device_type = &device["device_type"];
        let has_type = self.types.as_ref().is_none_or(|types| types.iter().any(|name| device_type == name.as_str()));
        // The endpoint has filtered the locks by their manufacturer.
        let is_lock = !TYPES.iter().any(|name| device_type == *name);
        let found = &device["properties"]["manufacturer"];
        has_type && (is_lock || self.manufacturer.as_ref().is_none_or(|manufacturer| found == manufacturer.as_str()))
    }
}

/// Returns what the layer shows for one of the two devices; `None` for any other object.
pub(super) fn shown(device: &Map<String, Value>) -> Option<Map<String, Value>> {
    let id = device.get("device_id").and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok())?;
    device.get("device_type").filter(|_| [ECOBEE, MINUT].contains(&id))?;
    let mut shown = device.clone();
    shown.retain(|name, _| !name.starts_with(CAPABILITY) && !OF_LOCK.contains(&name.as_str()));
    let (device_type, capability) = if id == ECOBEE { (TYPES[0], "thermostat") } else { (TYPES[1], "noise_detection") };
    shown.insert("device_type".to_owned(), json!(device_type));
    shown.insert("capabilities_supported".to_owned(), json!([capability]));
    let old = device.get("properties").cloned().unwrap_or_default();
    let mut properties = if id == ECOBEE { thermostat() } else { noise_sensor() };
    for name in ["name", "appearance", "online"] {
        properties[name] = old[name].clone();
    }
    shown.insert("properties".to_owned(), properties);
    Some(shown)
}

/// Removes devices from the lists that would not have them.
pub(super) fn filter(path: &str, filter: &TypeFilter, body: &mut Value) {
    let is_lock = |device: &Value| !TYPES.iter().any(|name| device["device_type"] == *name);
    for list in ["devices", "locks"] {
        let Some(devices) = body.get_mut(list).and_then(Value::as_array_mut) else { continue };
        match path {
            DEVICES => devices.retain(|device| filter.passes(device)),
            LOCKS => devices.retain(is_lock),
            _ => {}
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
