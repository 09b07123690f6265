//! The locks of the probe: choice among those of the workspace, and the same locks for Latchkey.

use super::script::Variables;
use crate::contract::CONTROL_OPENAPI;
use crate::domain::device::brands;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Maximum number of locks that are chosen.
const MAX_LOCKS: usize = 3;

/// The type of locks for which Seam has the most simulations, such as unmanaged codes.
const SIMULATED: &str = "august_lock";

/// Length of the longest name that the script gives to a code, apart from `{name}`.
const NAME_SUFFIX: usize = 2;

/// Beginnings of PINs that all documented rules accept: no zeros, no runs, at least three digits, not 12 at the start.
const PINS: [&str; 12] =
    ["2461", "3516", "4263", "5314", "6142", "2635", "4152", "3641", "5264", "6315", "3625", "4613"];

/// Number of PINs in a run.
const PINS_OF_RUN: usize = 4;

/// A lock of one side.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    pub(super) device_id: String,
    pub(super) connected_account_id: String,
    pub(super) device_type: String,
    /// Length of the PINs that the script chooses.
    pin_length: usize,
    /// Maximum length of the name of a code; `None`: any.
    max_name: Option<usize>,
    /// Number that selects the PINs of this run.
    run: usize,
    device: Value,
}

impl Lock {
    /// Reads a lock from Seam's device. `None`: it has no id or type.
    pub(super) fn read(device: &Value, run: usize) -> Option<Self> {
        let text = |key: &str| device.get(key).and_then(Value::as_str).map(str::to_owned);
        let lengths = device.pointer("/properties/supported_code_lengths").and_then(Value::as_array);
        let lengths = lengths.into_iter().flatten().filter_map(Value::as_u64);
        let constraints = device.pointer("/properties/code_constraints").and_then(Value::as_array);
        let max_name = constraints.into_iter().flatten().filter_map(|rule| rule.get("max_length")?.as_u64()).min();
        let size = |number: u64| usize::try_from(number).ok();
        Some(Self {
            device_id: text("device_id")?,
            connected_account_id: text("connected_account_id").unwrap_or_default(),
            device_type: text("device_type")?,
            pin_length: lengths.min().and_then(size).unwrap_or(4).clamp(4, 12),
            max_name: max_name.and_then(size),
            run,
            device: device.clone(),
        })
    }

    /// True if codes can be programmed on this lock now, and Latchkey has its type.
    fn is_suitable(&self) -> bool {
        let device = &self.device;
        let has_capability = || {
            let capabilities = device["capabilities_supported"].as_array();
            capabilities.is_some_and(|found| found.iter().any(|name| name == "access_code"))
        };
        let has_codes = device["can_program_online_access_codes"].as_bool().unwrap_or_else(has_capability);
        let has_errors = device["errors"].as_array().is_some_and(|errors| !errors.is_empty());
        has_codes && self.is_online() && !has_errors && self.is_known()
    }

    /// True if Latchkey has locks of this type.
    pub(super) fn is_known(&self) -> bool {
        brands::of(&self.device_type).is_some()
    }

    pub(super) fn is_online(&self) -> bool {
        self.device.pointer("/properties/online") == Some(&Value::Bool(true))
    }

    /// True if the lock keeps backup codes.
    pub(super) fn has_backup_pool(&self) -> bool {
        has_backup_pool(&self.device)
    }

    /// Selects PINs that are none of these, if there are some.
    pub(super) fn avoid_pins(&mut self, used: &[&str]) {
        let groups = PINS.len() / PINS_OF_RUN;
        let is_free = |run: &usize| pins(*run, self.pin_length).iter().all(|pin| !used.contains(&pin.as_str()));
        if let Some(run) = (self.run..self.run + groups).find(is_free) {
            self.run = run;
        }
    }

    /// Returns this lock with the ids of the same lock on the other side.
    pub(super) fn with_ids_of(&self, other: &Self) -> Self {
        let (device_id, connected_account_id) = (other.device_id.clone(), other.connected_account_id.clone());
        Self { device_id, connected_account_id, ..self.clone() }
    }

    /// Sets the PINs and names of a part that runs with this lock.
    pub(super) fn set_pins(&self, variables: &mut Variables) {
        for (number, pin) in pins(self.run, self.pin_length).into_iter().enumerate() {
            variables.set(&format!("pin_{}", number + 1), pin);
        }
    }

    /// True if a name and the suffixes of the script fit on this lock.
    pub(super) fn accepts_name(&self, name: &str) -> bool {
        self.max_name.is_none_or(|max| name.len() + NAME_SUFFIX <= max)
    }

    /// Returns the specification of the same lock for Latchkey's control plane. Nothing private is copied.
    pub(super) fn specification(&self, number: usize) -> Value {
        let device = &self.device;
        let property = |key: &str| device.pointer(&format!("/properties/{key}")).filter(|value| !value.is_null());
        let mut spec = Map::new();
        spec.insert("device_type".to_owned(), json!(self.device_type));
        spec.insert("name".to_owned(), json!(format!("Lock {}", number + 1)));
        spec.insert("online".to_owned(), json!(property("online") != Some(&Value::Bool(false))));
        for key in ["can_program_online_access_codes", "can_program_offline_access_codes"] {
            if let Some(flag) = device.get(key).filter(|flag| flag.is_boolean()) {
                spec.insert(key.to_owned(), flag.clone());
            }
        }
        for key in ["max_active_codes_supported", "supports_backup_access_code_pool", "battery_level"] {
            if let Some(value) = property(key) {
                spec.insert(key.to_owned(), value.clone());
            }
        }
        let lengths = property("supported_code_lengths").and_then(Value::as_array);
        if let Some(lengths) = lengths.filter(|lengths| !lengths.is_empty()) {
            let accepted =
                lengths.iter().filter(|length| length.as_u64().is_some_and(|length| (4..=12).contains(&length)));
            spec.insert("supported_code_lengths".to_owned(), accepted.cloned().collect());
        }
        if let Some(constraints) = property("code_constraints").and_then(Value::as_array) {
            let known = constraint_types();
            let copied = constraints.iter().filter_map(|rule| constraint(rule, &known));
            spec.insert("code_constraints".to_owned(), copied.collect());
        }
        if let Some(is_connected) = device.pointer("/properties/accessory_keypad/is_connected").and_then(Value::as_bool)
        {
            spec.insert("accessory_keypad_connected".to_owned(), json!(is_connected));
        }
        let zone = device.pointer("/location/time_zone").or_else(|| device.pointer("/location/timezone"));
        spec.insert("time_zone".to_owned(), zone.cloned().unwrap_or_default());
        if let Some(metadata) = device["custom_metadata"].as_object() {
            let keys = metadata.keys().map(|key| (key.clone(), json!("text")));
            spec.insert("custom_metadata".to_owned(), Value::Object(keys.collect()));
        }
        Value::Object(spec)
    }
}

/// True if Seam's device keeps backup codes.
pub(super) fn has_backup_pool(device: &Value) -> bool {
    device.pointer("/properties/backup_access_code_pool_enabled") == Some(&Value::Bool(true))
}

/// Returns the PINs of a run, of this length.
fn pins(run: usize, length: usize) -> Vec<String> {
    let begins = PINS.iter().cycle().skip(run % PINS.len() * PINS_OF_RUN).take(PINS_OF_RUN);
    begins.map(|begin| begin.chars().cycle().take(length).collect()).collect()
}

/// Returns the values of `constraint_type` that Latchkey has.
fn constraint_types() -> Vec<Value> {
    const TYPES: &str =
        "/components/schemas/lock_overrides/properties/code_constraints/items/properties/constraint_type/enum";
    // A test uses one of them, so the place in the contract is right.
    let contract: Value = serde_json::from_str(CONTROL_OPENAPI.requests()).unwrap_or_default();
    contract.pointer(TYPES).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Copies the documented fields of a rule for codes. `None`: it is of none of the known types.
fn constraint(rule: &Value, known: &[Value]) -> Option<Value> {
    let is_known = known.contains(rule.get("constraint_type")?);
    let keys = ["constraint_type", "min_length", "max_length"];
    let fields = keys.iter().filter_map(|key| Some(((*key).to_owned(), rule.get(*key)?.clone())));
    is_known.then(|| Value::Object(fields.collect()))
}

/// Chooses locks: one of each brand, and a second one of a brand if there is only one. The first one is of the brand for
/// which Seam has the most simulations, if there is one.
pub(super) fn choose(locks: Vec<Lock>) -> Vec<Lock> {
    let mut types = BTreeSet::new();
    let mut suitable: Vec<Lock> = locks.into_iter().filter(Lock::is_suitable).collect();
    suitable.sort_by_key(|lock| lock.device_type != SIMULATED);
    let (mut chosen, others): (Vec<Lock>, Vec<Lock>) =
        suitable.into_iter().partition(|lock| types.insert(lock.device_type.clone()));
    chosen.truncate(MAX_LOCKS);
    if chosen.len() == 1 {
        chosen.extend(others.into_iter().take(1));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str, device_type: &str, is_online: bool) -> Value {
        json!({
            "device_id": id, "device_type": device_type, "connected_account_id": "a", "display_name": "Ann's door",
            "can_program_online_access_codes": true, "errors": [],
            "properties": {
                "online": is_online, "name": "Ann's door", "supported_code_lengths": [6, 7],
                "code_constraints": [
                    {"constraint_type": "name_length", "max_length": 14, "more": "x"},
                    {"constraint_type": "brand_new"},
                ],
            },
            "location": {"time_zone": "Europe/Berlin", "location_name": "Ann's home"},
            "custom_metadata": {"internal": "Ann"},
        })
    }

    fn chosen(devices: &[Value]) -> Vec<String> {
        let locks = devices.iter().map(|device| Lock::read(device, 0).unwrap()).collect();
        choose(locks).into_iter().map(|lock| lock.device_id).collect()
    }

    #[test]
    fn locks_of_several_brands_are_chosen_that_can_have_codes_now() {
        let (august, other) = (device("1", "august_lock", true), device("2", "august_lock", true));
        let schlage = device("3", "schlage_lock", true);
        assert_eq!(chosen(&[august.clone(), other.clone()]), ["1", "2"]);
        assert_eq!(chosen(&[schlage, august.clone(), other]), ["1", "3"]);
        let (offline, unknown) = (device("4", "yale_lock", false), device("5", "minut_sensor", true));
        assert_eq!(chosen(&[august, offline, unknown]), ["1"]);
    }

    #[test]
    fn pins_are_none_of_those_on_the_lock() {
        let pins = |used: &[&str]| {
            let mut lock = Lock::read(&device("1", "august_lock", true), 1).unwrap();
            lock.avoid_pins(used);
            pins(lock.run, lock.pin_length)
        };
        assert_eq!(pins(&[]), ["614261", "263526", "415241", "364136"]);
        assert_eq!(pins(&["415241"]), ["526452", "631563", "362536", "461346"]);
        assert_eq!(pins(&["415241", "526452"]), ["246124", "351635", "426342", "531453"]);
        assert_eq!(pins(&["415241", "526452", "246124"]), pins(&[]));
    }

    #[test]
    fn specification_has_what_matters_for_codes_and_nothing_private() {
        let lock = Lock::read(&device("1", "august_lock", true), 0).unwrap();
        let spec = lock.specification(0);
        assert_eq!(spec["supported_code_lengths"], json!([6, 7]));
        assert_eq!(spec["code_constraints"], json!([{"constraint_type": "name_length", "max_length": 14}]));
        assert_eq!((&spec["time_zone"], &spec["name"]), (&json!("Europe/Berlin"), &json!("Lock 1")));
        assert!(!spec.to_string().contains("Ann"), "{spec}");
        assert!(lock.accepts_name("123456789012") && !lock.accepts_name("1234567890123"));
    }
}
