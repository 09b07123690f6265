//! Seam's `device`, `unmanaged_device` and `device_provider`.

mod metadata;

use crate::clock::to_iso;
use crate::domain::device::brands::Brand;
use crate::domain::device::health::DeviceStats;
use crate::domain::device::{Device, battery};
use crate::domain::offline;
use serde_json::{Map, Value, json};

/// Members that only a managed device has.
const OF_MANAGED_DEVICE: [&str; 4] = ["space_ids", "nickname", "device_provider", "device_manufacturer"];

/// Properties that an unmanaged device has.
const OF_UNMANAGED_DEVICE: [&str; 11] = [
    "accessory_keypad",
    "battery",
    "battery_level",
    "image_alt_text",
    "image_url",
    "manufacturer",
    "model",
    "name",
    "offline_access_codes_enabled",
    "online",
    "online_access_codes_enabled",
];

/// Properties that follow from the state of the device. An override cannot hide them.
const OF_STATE: [&str; 6] = ["online", "name", "battery", "battery_level", "accessory_keypad", "keypad_battery"];

/// Returns the managed device as `/devices/get` shows it. Its warnings depend on `stats`, the numbers of its codes.
pub(crate) fn of(device: &Device, stats: &DeviceStats) -> Value {
    let brand = device.brand;
    let image_url = image_url(brand);
    let mut body = json!({
        "device_id": device.device_id,
        "device_type": brand.device_type,
        "workspace_id": device.workspace_id,
        "connected_account_id": device.connected_account_id,
        "display_name": device.display_name(),
        "capabilities_supported": ["access_code", "lock", "battery"],
        "properties": properties(device, &image_url),
        "location": { "location_name": "Latchkey" },
        "space_ids": device.space_ids,
        "device_provider": {
            "device_provider_name": brand.provider_name(),
            "display_name": brand.display_name,
            "provider_category": "stable",
            "image_url": image_url,
        },
        "device_manufacturer": {
            "manufacturer": brand.manufacturer(),
            "display_name": brand.display_name,
            "image_url": image_url,
        },
        "errors": device.summary(stats.backups).errors(),
        "warnings": device.warnings(stats),
        "created_at": to_iso(device.created_at),
        "is_managed": device.is_managed,
        "custom_metadata": device.custom_metadata,
        "can_program_online_access_codes": device.can_program_online_access_codes(),
    });
    if let Some(body) = body.as_object_mut() {
        body.extend(flags(brand));
    }
    if device.can_program_offline_access_codes() {
        body["can_program_offline_access_codes"] = Value::Bool(true);
    }
    if let Some(nickname) = &device.nickname {
        body["nickname"] = json!(nickname);
    }
    if let Some(time_zone) = device.time_zone() {
        body["location"]["time_zone"] = json!(time_zone);
        body["location"]["timezone"] = json!(time_zone);
    }
    body
}

/// Returns the unmanaged device as `/devices/unmanaged/get` shows it.
pub(crate) fn unmanaged(device: &Device, stats: &DeviceStats) -> Value {
    let mut body = of(device, stats);
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !OF_MANAGED_DEVICE.contains(&name.as_str()));
    }
    if let Some(properties) = body["properties"].as_object_mut() {
        properties.retain(|name, _| OF_UNMANAGED_DEVICE.contains(&name.as_str()));
    }
    body
}

/// Returns a managed device as [`of`] does, and an unmanaged one as [`unmanaged`] does.
pub(crate) fn managed_or_unmanaged(device: &Device, stats: &DeviceStats) -> Value {
    if device.is_managed { of(device, stats) } else { unmanaged(device, stats) }
}

/// Returns the provider of a brand. Each provider has the locks of one brand.
pub(crate) fn provider(brand: &'static Brand) -> Value {
    let mut body = json!({
        "device_provider_name": brand.provider_name(),
        "display_name": brand.display_name,
        "image_url": image_url(brand),
        "provider_categories": brand.categories(),
        "can_program_online_access_codes": brand.online_codes,
        "can_program_offline_access_codes": brand.offline_codes,
    });
    if let Some(body) = body.as_object_mut() {
        body.extend(flags(brand));
    }
    body
}

fn image_url(brand: &Brand) -> String {
    format!("https://connect.getseam.com/assets/images/devices/{}.png", brand.device_type)
}

/// Returns the capability flags that depend on the brand only. A flag `can_simulate_*` is missing if the brand does not
/// have this simulation.
fn flags(brand: &Brand) -> Map<String, Value> {
    let simulated = [
        ("can_simulate_removal", brand.simulates_connection),
        ("can_simulate_connection", brand.simulates_connection),
        ("can_simulate_disconnection", brand.simulates_connection),
        ("can_simulate_hub_connection", brand.simulates_hub_connection),
        ("can_simulate_hub_disconnection", brand.simulates_hub_disconnection),
        ("can_simulate_paid_subscription", brand.simulates_subscription),
    ];
    let always = [
        ("can_remotely_unlock", brand.online_codes),
        ("can_remotely_lock", brand.online_codes),
        ("can_configure_auto_lock", brand.online_codes),
        ("can_unlock_with_code", true),
    ];
    let flags = always.into_iter().chain(simulated.into_iter().filter(|(_, is_allowed)| *is_allowed));
    flags.map(|(name, value)| (name.to_owned(), Value::Bool(value))).collect()
}

fn properties(device: &Device, image_url: &str) -> Value {
    let brand = device.brand;
    let (online_codes, offline_codes) =
        (device.can_program_online_access_codes(), device.can_program_offline_access_codes());
    let mut properties = json!({
        "online": device.reachable_since.is_some(),
        "name": device.display_name(),
        "appearance": { "name": device.name },
        "manufacturer": brand.manufacturer(),
        "image_url": image_url,
        "image_alt_text": format!("{} lock", brand.display_name),
        "serial_number": metadata::serial_number(device),
        "locked": true,
        "model": {
            "display_name": brand.display_name,
            "manufacturer_display_name": brand.display_name,
            "has_built_in_keypad": !device.has_accessory_keypad(),
            "can_connect_accessory_keypad": device.has_accessory_keypad(),
            "accessory_keypad_supported": device.has_accessory_keypad(),
            "online_access_codes_supported": online_codes,
            "offline_access_codes_supported": offline_codes,
        },
        "online_access_codes_enabled": online_codes,
        "offline_access_codes_enabled": offline_codes,
        "supports_accessory_keypad": device.has_accessory_keypad(),
        "supports_backup_access_code_pool":
            device.supports_backup_pool(),
        "code_constraints": device.code_constraints(),
    });
    if let Some(pool) = device.backup_pool {
        properties["backup_access_code_pool_enabled"] = json!(pool.is_enabled);
    }
    if let Some(options) = offline::time_frame_options(device) {
        properties["offline_time_frame_options"] = options;
    }
    if let Some(lengths) = device.reported_code_lengths() {
        properties["supported_code_lengths"] = json!(lengths);
    }
    if let Some(capacity) = device.capacity() {
        properties["max_active_codes_supported"] = json!(capacity);
    }
    if brand.reports_door_open {
        properties["door_open"] = json!(false);
    }
    if brand.reports_entries {
        properties["has_native_entry_events"] = json!(true);
    }
    if let Some(properties) = properties.as_object_mut() {
        let overrides = device.overrides.properties.iter().filter(|(name, _)| !OF_STATE.contains(&name.as_str()));
        properties.extend(overrides.map(|(name, value)| (name.clone(), value.clone())));
        properties.extend(batteries(device));
        metadata::extend(properties, device);
    }
    properties
}

/// Returns the properties of the batteries and of the accessory keypad. An unreachable device shows no battery.
fn batteries(device: &Device) -> Map<String, Value> {
    let mut properties = Map::new();
    let is_reachable = device.reachable_since.is_some();
    let levels = device.battery_levels();
    if let Some(level) = levels.device.filter(|_| is_reachable) {
        properties.insert("battery_level".to_owned(), json!(level));
        properties.insert("battery".to_owned(), json!({ "level": level, "status": battery::status(level) }));
    }
    if device.has_accessory_keypad() {
        let mut keypad = json!({ "is_connected": device.is_accessory_keypad_connected() });
        if let Some(level) = levels.accessory_keypad {
            keypad["battery"] = json!({ "level": level });
            properties.insert("keypad_battery".to_owned(), json!({ "level": level }));
        }
        properties.insert("accessory_keypad".to_owned(), keypad);
    }
    properties
}
