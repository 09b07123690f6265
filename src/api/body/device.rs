//! Seam's `device`.

mod metadata;

use crate::clock::to_iso;
use crate::domain::device::Device;
use crate::domain::device::health::DeviceStats;
use crate::domain::offline;
use serde_json::{Value, json};

/// Returns the device as `/devices/get` shows it. Its warnings depend on `stats`, the numbers of its codes.
pub(crate) fn of(device: &Device, stats: &DeviceStats) -> Value {
    let brand = device.brand;
    let image_url = format!("https://connect.getseam.com/assets/images/devices/{}.png", brand.device_type);
    let battery_level = device.overrides.battery_level.unwrap_or(Some(0.9));
    let offline_codes = device.can_program_offline_access_codes();
    let mut body = json!({
        "device_id": device.device_id,
        "device_type": brand.device_type,
        "workspace_id": device.workspace_id,
        "connected_account_id": device.connected_account_id,
        "display_name": device.name,
        "capabilities_supported": ["access_code", "lock", "battery"],
        "properties": properties(device, battery_level, offline_codes, &image_url),
        "location": { "location_name": "Latchkey" },
        "space_ids": [],
        "device_provider": {
            "device_provider_name": brand.provider,
            "display_name": brand.display_name,
            "provider_category": "stable",
            "image_url": image_url,
        },
        "device_manufacturer": {
            "manufacturer": brand.provider,
            "display_name": brand.display_name,
            "image_url": image_url,
        },
        "errors": device.summary(stats.backups).errors(),
        "warnings": device.warnings(stats),
        "created_at": to_iso(device.created_at),
        "is_managed": true,
        "custom_metadata": device.custom_metadata,
        "can_remotely_unlock": device.can_be_controlled_remotely(),
        "can_remotely_lock": device.can_be_controlled_remotely(),
        "can_configure_auto_lock": device.can_be_controlled_remotely(),
        "can_program_online_access_codes": device.can_program_online_access_codes(),
        "can_unlock_with_code": true,
    });
    for flag in ["removal", "connection", "disconnection", "hub_connection", "hub_disconnection"] {
        body[format!("can_simulate_{flag}")] = Value::Bool(true);
    }
    if offline_codes {
        body["can_program_offline_access_codes"] = Value::Bool(true);
    }
    if let Some(time_zone) = device.time_zone() {
        body["location"]["time_zone"] = json!(time_zone);
        body["location"]["timezone"] = json!(time_zone);
    }
    body
}

fn properties(device: &Device, battery_level: Option<f64>, offline_codes: bool, image_url: &str) -> Value {
    let brand = device.brand;
    let online_codes = device.can_program_online_access_codes();
    let mut properties = json!({
        "online": device.reachable_since.is_some(),
        "name": device.name,
        "appearance": { "name": device.name },
        "manufacturer": brand.provider,
        "image_url": image_url,
        "image_alt_text": format!("{} lock", brand.display_name),
        "serial_number": metadata::serial_number(device),
        "locked": true,
        "model": {
            "display_name": brand.display_name,
            "manufacturer_display_name": brand.display_name,
            "has_built_in_keypad": true,
            "online_access_codes_supported": online_codes,
            "offline_access_codes_supported": offline_codes,
        },
        "online_access_codes_enabled": online_codes,
        "offline_access_codes_enabled": offline_codes,
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
    if let Some(level) = battery_level {
        properties["battery_level"] = json!(level);
        properties["battery"] = json!({ "level": level, "status": battery_status(level) });
    }
    if brand.reports_door_open {
        properties["door_open"] = json!(false);
    }
    if brand.reports_entries {
        properties["has_native_entry_events"] = json!(true);
    }
    if let Some(properties) = properties.as_object_mut() {
        properties.extend(device.overrides.properties.clone());
        metadata::extend(properties, device);
    }
    properties
}

/// Returns Seam's battery status for a level from 0 to 1.
fn battery_status(level: f64) -> &'static str {
    match level {
        level if level < 0.1 => "critical",
        level if level < 0.25 => "low",
        level if level < 0.75 => "good",
        _ => "full",
    }
}
