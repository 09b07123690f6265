//! A device: what it is, what it can do, and how the API shows it.

use super::brands::{self, Brand, CodeConstraint};
use crate::access_codes::lifecycle::Lock;
use crate::access_codes::pin::DigitRule;
use crate::clock::{Instant, iso, to_iso};
use chrono::TimeDelta;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What a device has different from its brand. Absent: as the brand. For those that may also be absent from a
/// device there are two layers: `null` takes the property away.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overrides {
    /// The PIN lengths the lock takes; `null`: it reports none.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub supported_code_lengths: Option<Option<Vec<u8>>>,
    /// How many codes the lock holds; `null`: as many as one likes.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub max_active_codes_supported: Option<Option<u32>>,
    /// Rules on PINs and names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_constraints: Option<Vec<CodeConstraint>>,
    /// Whether the lock keeps a code's schedule itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_scheduling: Option<bool>,
    /// Whether codes can be programmed from afar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_program_online_access_codes: Option<bool>,
    /// Whether the provider computes codes that work without contact to the lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_program_offline_access_codes: Option<bool>,
    /// Whether Seam can keep a pool of backup codes on the lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supports_backup_access_code_pool: Option<bool>,
    /// Battery charge from 0 to 1; `null`: the lock reports none.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub battery_level: Option<Option<f64>>,
    /// The lock's IANA time zone; `null`: unknown.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Option<String>>,
    /// Further device properties, laid over all others.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
}

/// Tells `null` from absent.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<Option<T>, D::Error> {
    T::deserialize(input).map(Some)
}

impl Overrides {
    /// Lays `newer` over these.
    pub fn merge(&mut self, newer: Self) {
        macro_rules! take {
            ($($field:ident),*) => { $(if newer.$field.is_some() { self.$field = newer.$field; })* };
        }
        take!(
            supported_code_lengths,
            max_active_codes_supported,
            code_constraints,
            native_scheduling,
            can_program_online_access_codes,
            can_program_offline_access_codes,
            supports_backup_access_code_pool,
            battery_level,
            time_zone
        );
        self.properties.extend(newer.properties);
    }

    /// Moves those of `properties` that have an override of their own there, so that
    /// `properties.supported_code_lengths` and `supported_code_lengths` are one thing. Errors if one of them has
    /// a type that does not fit.
    pub fn normalise(mut self) -> Result<Self, serde_json::Error> {
        const OWN: [&str; 5] = [
            "supported_code_lengths",
            "max_active_codes_supported",
            "code_constraints",
            "supports_backup_access_code_pool",
            "battery_level",
        ];
        let own: Map<String, Value> = OWN.iter().filter_map(|name| self.properties.shift_remove_entry(*name)).collect();
        let mut normal: Self = serde_json::from_value(Value::Object(own))?;
        normal.merge(self);
        Ok(normal)
    }
}

/// One device, with its brand looked up.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its id.
    pub device_id: Uuid,
    /// The workspace it belongs to.
    pub workspace_id: Uuid,
    /// The account through which it is connected.
    pub connected_account_id: Uuid,
    /// What its maker says it can do.
    pub brand: &'static Brand,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Instant,
    /// Since when it can be reached; `None` while it is offline.
    pub reachable_since: Option<Instant>,
    /// Since when it cannot be reached; `None` while it is online.
    pub unreachable_since: Option<Instant>,
    /// What it has different from its brand.
    pub overrides: Overrides,
    /// What the API's user keeps with it.
    pub custom_metadata: Map<String, Value>,
}

impl Device {
    /// Whether the lock keeps a code's schedule itself.
    pub fn schedules_natively(&self) -> bool {
        self.overrides.native_scheduling.unwrap_or(self.brand.native_scheduling)
    }

    /// The PIN lengths the lock reports, if it does.
    pub fn reported_code_lengths(&self) -> Option<&[u8]> {
        match &self.overrides.supported_code_lengths {
            Some(lengths) => lengths.as_deref(),
            None => self.brand.code_lengths,
        }
    }

    /// The PIN lengths the lock takes: what it reports, else 4 to 12; never more than 12.
    pub fn code_lengths(&self) -> Vec<u8> {
        let reported = self.reported_code_lengths().filter(|lengths| !lengths.is_empty());
        let mut lengths: Vec<u8> = reported.map_or_else(|| (4..=12).collect(), <[u8]>::to_vec);
        lengths.retain(|length| (4..=12).contains(length));
        lengths.sort_unstable();
        lengths.dedup();
        lengths
    }

    /// How many codes the lock holds; `None`: as many as one likes.
    pub fn capacity(&self) -> Option<u32> {
        self.overrides.max_active_codes_supported.unwrap_or(self.brand.capacity)
    }

    /// The rules on PINs and names, in Seam's shape.
    pub fn code_constraints(&self) -> Vec<CodeConstraint> {
        self.overrides.code_constraints.clone().unwrap_or_else(|| self.brand.code_constraints())
    }

    /// The rules on the digits of a PIN.
    pub fn digit_rules(&self) -> Vec<DigitRule> {
        match &self.overrides.code_constraints {
            None => self.brand.digit_rules.to_vec(),
            Some(constraints) => {
                constraints.iter().filter_map(|rule| DigitRule::from_constraint_type(&rule.constraint_type)).collect()
            }
        }
    }

    /// Whether the lock has this constraint.
    pub fn has_constraint(&self, constraint_type: &str) -> bool {
        match &self.overrides.code_constraints {
            None => self.brand.other_rules.contains(&constraint_type),
            Some(constraints) => constraints.iter().any(|rule| rule.constraint_type == constraint_type),
        }
    }

    /// Whether codes can be programmed from afar. Stays true while the lock is merely offline.
    pub fn can_program_online_access_codes(&self) -> bool {
        self.overrides.can_program_online_access_codes.unwrap_or(self.brand.online_codes)
    }

    /// The lock's IANA time zone, if it is known.
    pub fn time_zone(&self) -> Option<&str> {
        self.overrides.time_zone.as_ref().map_or_else(
            || (!self.brand.needs_time_zone).then_some("America/Los_Angeles"),
            |time_zone| time_zone.as_deref(),
        )
    }

    /// What the lock contributes to the life of its codes, where one operation takes `programming`.
    pub fn lock(&self, programming: TimeDelta) -> Lock {
        Lock { reachable_since: self.reachable_since, programming }
    }

    /// What answers about its codes need to know of it.
    pub fn summary(&self) -> DeviceSummary {
        DeviceSummary { brand: self.brand, name: self.name.clone(), unreachable_since: self.unreachable_since }
    }

    /// The device as `/devices/get` shows it.
    pub fn to_json(&self) -> Value {
        let brand = self.brand;
        let image_url = format!("https://connect.getseam.com/assets/images/devices/{}.png", brand.device_type);
        let battery_level = self.overrides.battery_level.unwrap_or(Some(0.9));
        let offline_codes = self.overrides.can_program_offline_access_codes.unwrap_or(brand.offline_codes);
        let mut device = json!({
            "device_id": self.device_id,
            "device_type": brand.device_type,
            "workspace_id": self.workspace_id,
            "connected_account_id": self.connected_account_id,
            "display_name": self.name,
            "capabilities_supported": ["access_code", "lock", "battery"],
            "properties": self.properties(battery_level, offline_codes, &image_url),
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
            "errors": self.summary().errors(),
            "warnings": [],
            "created_at": to_iso(self.created_at),
            "is_managed": true,
            "custom_metadata": self.custom_metadata,
            "can_remotely_unlock": brand.online_codes,
            "can_remotely_lock": brand.online_codes,
            "can_program_online_access_codes": self.can_program_online_access_codes(),
            "can_unlock_with_code": true,
        });
        if offline_codes {
            device["can_program_offline_access_codes"] = Value::Bool(true);
        }
        if let Some(time_zone) = self.time_zone() {
            device["location"]["time_zone"] = json!(time_zone);
            device["location"]["timezone"] = json!(time_zone);
        }
        device
    }

    fn properties(&self, battery_level: Option<f64>, offline_codes: bool, image_url: &str) -> Value {
        let brand = self.brand;
        let online_codes = self.can_program_online_access_codes();
        let mut properties = json!({
            "online": self.reachable_since.is_some(),
            "name": self.name,
            "appearance": { "name": self.name },
            "manufacturer": brand.provider,
            "image_url": image_url,
            "image_alt_text": format!("{} lock", brand.display_name),
            "serial_number": self.device_id.simple().to_string()[..12].to_uppercase(),
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
                self.overrides.supports_backup_access_code_pool.unwrap_or(brand.backup_pool),
            "code_constraints": self.code_constraints(),
        });
        if let Some(lengths) = self.reported_code_lengths() {
            properties["supported_code_lengths"] = json!(lengths);
        }
        if let Some(capacity) = self.capacity() {
            properties["max_active_codes_supported"] = json!(capacity);
        }
        if let Some(level) = battery_level {
            properties["battery_level"] = json!(level);
            properties["battery"] = json!({ "level": level, "status": battery_status(level) });
        }
        if let Some(properties) = properties.as_object_mut() {
            properties.extend(self.overrides.properties.clone());
        }
        properties
    }
}

/// What answers about a device's codes need to know of it.
#[derive(Clone, Debug)]
pub struct DeviceSummary {
    /// What its maker says it can do.
    pub brand: &'static Brand,
    /// Its name.
    pub name: String,
    /// Since when it cannot be reached; `None` while it is online.
    pub unreachable_since: Option<Instant>,
}

impl DeviceSummary {
    /// The device's errors; each of its codes has them too.
    pub fn errors(&self) -> Vec<DeviceError> {
        let offline = self.unreachable_since.map(|created_at| DeviceError {
            error_code: "device_disconnected",
            is_device_error: true,
            message: format!("{} is offline. Access codes are put on it when it is back.", self.name),
            created_at,
        });
        offline.into_iter().collect()
    }
}

/// One of Seam's `errors` that come from a device.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the properties are documented in openapi.json")]
pub struct DeviceError {
    pub error_code: &'static str,
    pub is_device_error: bool,
    pub message: String,
    #[serde(with = "iso")]
    pub created_at: Instant,
}

/// Seam's word for a charge from 0 to 1.
fn battery_status(level: f64) -> &'static str {
    match level {
        level if level < 0.1 => "critical",
        level if level < 0.25 => "low",
        level if level < 0.9 => "good",
        _ => "full",
    }
}

/// The API user's own data on a device, as its column has it.
pub type CustomMetadata = sqlx::types::Json<Map<String, Value>>;

/// A device as its row has it.
#[derive(Debug, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns are documented in the migration")]
pub struct DeviceRow {
    pub device_id: Uuid,
    pub workspace_id: Uuid,
    pub connected_account_id: Uuid,
    pub device_type: String,
    pub name: String,
    pub created_at: Instant,
    pub reachable_since: Option<Instant>,
    pub unreachable_since: Option<Instant>,
    pub overrides: sqlx::types::Json<Overrides>,
    pub custom_metadata: CustomMetadata,
}

impl TryFrom<DeviceRow> for Device {
    type Error = crate::error::Error;

    fn try_from(row: DeviceRow) -> Result<Self, Self::Error> {
        let brand = brands::of(&row.device_type)
            .ok_or_else(|| crate::error::Error::inconsistent("device", row.device_id, "device_type"))?;
        Ok(Self {
            device_id: row.device_id,
            workspace_id: row.workspace_id,
            connected_account_id: row.connected_account_id,
            brand,
            name: row.name,
            created_at: row.created_at,
            reachable_since: row.reachable_since,
            unreachable_since: row.unreachable_since,
            overrides: row.overrides.0,
            custom_metadata: row.custom_metadata.0,
        })
    }
}
