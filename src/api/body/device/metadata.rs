//! Provider metadata of a lock: one object per brand, with the fields of Seam's contract.
//!
//! Every lock has the object of its brand, if the contract has one. Ids that a provider would assign are derived from
//! the lock's ordinal in its workspace; the name of the device is the lock's name. A test can set any field through
//! `properties`.

use crate::domain::device::{Device, battery};
use crate::domain::offline::oracode;
use chrono::TimeZone;
use chrono_tz::{OffsetComponents, Tz};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Adds the objects of the lock's brand to its properties. Fields that a test has set in these objects have priority.
pub(super) fn extend(properties: &mut Map<String, Value>, device: &Device) {
    for (name, metadata) in by_brand(device) {
        properties.insert(name.to_owned(), with_overrides(device, name, metadata));
    }
}

/// Returns the serial number, derived from the device id so that it differs between locks.
pub(super) fn serial_number(device: &Device) -> String {
    let hash = Sha256::digest(device.device_id.as_bytes());
    hash[..6].iter().fold(String::new(), |text, byte| text + &format!("{byte:02X}"))
}

fn with_overrides(device: &Device, name: &str, mut metadata: Value) -> Value {
    let overrides = device.overrides.properties.get(name).and_then(Value::as_object);
    if let (Some(metadata), Some(overrides)) = (metadata.as_object_mut(), overrides) {
        metadata.extend(overrides.clone());
    }
    metadata
}

/// Returns the objects of the lock's brand, each with its name. The match over all brands has three parts: this
/// function, [`by_newer_brand`] and [`by_entry_system`].
fn by_brand(device: &Device) -> Vec<(&'static str, Value)> {
    let name = &device.name;
    let number = device.ordinal + 1;
    let id = |prefix: &str| format!("{prefix}-{number}");
    let one = |name, metadata| vec![(name, metadata)];
    match device.brand.device_type {
        "august_lock" | "yale_lock" => one(
            "august_metadata",
            json!({ "lock_id": id("lock"), "house_id": "house-1", "lock_name": name,
                    "has_keypad": device.is_accessory_keypad_connected(),
                    "house_name": "My House", "keypad_battery_level": keypad_battery(device),
                    "model": "AUG-SL05" }),
        ),
        "schlage_lock" => {
            one("schlage_metadata", json!({ "device_id": id("device"), "device_name": name, "model": "Encode" }))
        }
        "kwikset_lock" => {
            one("kwikset_metadata", json!({ "device_id": id("lock"), "device_name": name, "model_number": "HALO-01" }))
        }
        "nuki_lock" => one(
            "nuki_metadata",
            json!({ "device_id": (545_636_387 + number).to_string(), "device_name": name,
                    "keypad_battery_critical": battery::is_low(device.battery_levels().accessory_keypad),
                    "keypad_paired": device.is_accessory_keypad_connected(), "keypad_2_paired": false }),
        ),
        "igloohome_lock" => one(
            "igloohome_metadata",
            json!({ "device_id": id("lock"), "device_name": name, "bridge_id": id("bridge"),
                    "bridge_name": format!("{name} Bridge"), "keypad_id": id("keypad"),
                    "is_accessory_keypad_linked_to_bridge": device.is_accessory_keypad_connected() }),
        ),
        "igloo_lock" => {
            one("igloo_metadata", json!({ "device_id": id("lock"), "bridge_id": id("bridge"), "model": "igloo" }))
        }
        "tedee_lock" => one(
            "tedee_metadata",
            json!({ "device_id": number, "device_name": name, "device_model": "Lock PRO",
                    "serial_number": serial_number(device), "bridge_id": number,
                    "bridge_name": format!("{name} Bridge"), "keypad_id": number }),
        ),
        "salto_lock" => salto(device, &id("lock")),
        "ttlock_lock" => one("ttlock_metadata", ttlock(device)),
        "wyze_lock" => one(
            "wyze_metadata",
            json!({ "device_id": id("lock"), "device_name": name, "device_info_model": "YD_BT1",
                    "product_model": "YD.LO1", "product_name": "Wyze Lock", "product_type": "Lock",
                    "keypad_uuid": id("keypad"), "locker_status_hardlock": i32::from(device.is_reported_locked()) }),
        ),
        _ => by_newer_brand(device),
    }
}

/// Second part of [`by_brand`]: brands that were added later.
fn by_newer_brand(device: &Device) -> Vec<(&'static str, Value)> {
    let name = &device.name;
    let number = device.ordinal + 1;
    let id = |prefix: &str| format!("{prefix}-{number}");
    let one = |name, metadata| vec![(name, metadata)];
    match device.brand.device_type {
        "smartthings_lock" => one(
            "smartthings_metadata",
            json!({ "device_id": device.device_id, "device_name": name, "location_id": "location-1",
                    "model": "0129-8002-0600" }),
        ),
        "dormakaba_oracode_door" => oracode::device_metadata(device)
            .map(|metadata| ("dormakaba_oracode_metadata", metadata))
            .into_iter()
            .collect(),
        "lockly_lock" => {
            one("lockly_metadata", json!({ "device_id": id("lock"), "device_name": name, "model": "Secure Pro" }))
        }
        "ultraloq_lock" => one(
            "ultraloq_metadata",
            json!({ "device_id": id("lock"), "device_name": name, "device_type": "U-Bolt-Pro-WiFi",
                    "time_zone": device.time_zone() }),
        ),
        "omnitec_lock" => one("omnitec_metadata", omnitec(device)),
        "two_n_intercom" => one("two_n_metadata", json!({ "device_id": number, "device_name": name })),
        "keyincode_lock" => one(
            "korelock_metadata",
            json!({ "device_id": id("lock"), "device_name": name, "model_code": "KIC-1",
                    "serial_number": serial_number(device), "firmware_version": "1.0.0",
                    "location_id": "location-1", "wifi_signal_strength": -55 }),
        ),
        "aqara_lock" => one(
            "aqara_metadata",
            json!({ "did": id("lumi"), "device_name": name, "model": "aqara.lock.acn001", "model_type": 1,
                    "parent_did": "lumi-hub-1", "position_id": null, "firmware_version": "1.0.0",
                    "time_zone": device.time_zone() }),
        ),
        "yacan_lock" => one(
            "yacan_metadata",
            json!({ "device_id": id("lock"), "device_name": name, "device_type": "lock",
                    "serial_number": serial_number(device) }),
        ),
        _ => by_entry_system(device),
    }
}

/// Third part of [`by_brand`]: brands that control doors rather than locks.
fn by_entry_system(device: &Device) -> Vec<(&'static str, Value)> {
    let name = &device.name;
    let number = device.ordinal + 1;
    let one = |name, metadata| vec![(name, metadata)];
    match device.brand.device_type {
        "akiles_lock" => one(
            "akiles_metadata",
            json!({ "gadget_id": format!("gad-{number}"), "gadget_name": name, "product_name": "Akiles Lock" }),
        ),
        "brivo_access_point" => one("brivo_metadata", json!({ "device_name": name, "activation_enabled": true })),
        "four_suites_door" => one(
            "four_suites_metadata",
            json!({ "device_id": number, "device_name": name, "reclose_delay_in_seconds": 5 }),
        ),
        "kisi_lock" => one(
            "kisi_metadata",
            json!({ "lock_id": number, "lock_name": name, "place_name": "My House", "description": null }),
        ),
        "controlbyweb_device" => one(
            "controlbyweb_metadata",
            json!({ "device_id": (9996 + number).to_string(), "device_name": name, "relay_name": "firstRelay" }),
        ),
        "avigilon_alta_entry" => one(
            "avigilon_alta_metadata",
            json!({ "entry_name": name, "entry_relays_total_count": 1, "org_name": "My Company", "site_id": 1,
                    "site_name": "My House", "zone_id": 1, "zone_name": "Zone 1" }),
        ),
        "genie_door" => one("genie_metadata", json!({ "device_name": name, "door_name": name })),
        // The contract has no objects for other brands.
        _ => Vec::new(),
    }
}

/// Returns August's name for the battery level of the keypad.
fn keypad_battery(device: &Device) -> &'static str {
    match device.battery_levels().accessory_keypad.map(battery::status) {
        None => "Not Available",
        Some("critical") => "Critical",
        Some("low") => "Low",
        Some("good") => "Medium",
        Some(_) => "Full",
    }
}

fn salto(device: &Device, lock_id: &str) -> Vec<(&'static str, Value)> {
    let deprecated = json!({
        "lock_id": lock_id,
        "lock_type": "wall_reader_pin",
        "locked_state": if device.is_reported_locked() { "locked" } else { "unlocked" },
        "model": "wall_reader_pin",
        "battery_level": "fresh",
        "customer_reference": device.name,
        "site_id": "site-1",
        "site_name": "My House",
    });
    let mut current = deprecated.clone();
    current["has_custom_pin_subscription"] = json!(false);
    vec![("salto_ks_metadata", current), ("salto_metadata", deprecated)]
}

fn ttlock(device: &Device) -> Value {
    json!({
        "lock_id": device.ordinal + 1,
        "lock_alias": device.name,
        "has_gateway": true,
        "feature_value": "F44354CD5F3",
        "features": {
            "passcode": true,
            "passcode_management": true,
            "incomplete_keyboard_passcode": false,
            "unlock_via_gateway": true,
            "lock_command": true,
            "auto_lock_time_config": true,
            "wifi": false,
        },
        "timezone_raw_offset_ms": raw_offset_ms(device),
        "wireless_keypads": [],
    })
}

fn omnitec(device: &Device) -> Value {
    let mut metadata = json!({
        "lock_id": device.ordinal + 1,
        "lock_name": device.name,
        "lock_alias": device.name,
        "lock_mac": serial_number(device),
        "has_gateway": true,
        "time_zone": device.time_zone(),
    });
    if let Some(offset) = raw_offset_ms(device) {
        metadata["timezone_raw_offset_ms"] = json!(offset);
    }
    metadata
}

/// Returns the offset of the lock's standard time from UTC in milliseconds; `None` if its time zone is unknown.
fn raw_offset_ms(device: &Device) -> Option<i64> {
    let zone: Tz = device.time_zone()?.parse().ok()?;
    Some(zone.offset_from_utc_datetime(&device.created_at.naive_utc()).base_utc_offset().num_milliseconds())
}
