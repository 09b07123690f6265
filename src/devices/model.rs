//! A device: what it is, what it can do, and how the API shows it.

use super::brands::{
    self, Brand, CANNOT_SPECIFY_PIN_CODE, CodeConstraint, PIN_CODE_MATCHES_EXISTING_SET, START_DATE_IN_FUTURE,
};
use super::metadata;
use crate::access_codes::lifecycle::Lock;
use crate::access_codes::offline;
use crate::access_codes::pin::{CodeLengths, DigitRule};
use crate::clock::{Instant, to_iso};
use crate::devices::trouble::{BackupPool, Census, Trouble};
use crate::workspaces::World;
use chrono::TimeDelta;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use sqlx::types::Json;
use uuid::Uuid;

/// How long after the present a lock with `start_date_in_future` starts a code whose window has begun: Seam's own remedy
/// for Kwikset.
const START_IN_FUTURE_LEAD: TimeDelta = TimeDelta::minutes(3);

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
    /// How many backup codes the lock's pool has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_access_code_pool_size: Option<u32>,
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
            backup_access_code_pool_size,
            battery_level,
            time_zone
        );
        self.properties.extend(newer.properties);
    }

    /// Moves those of `properties` that have an override of their own there, so that
    /// `properties.supported_code_lengths` and `supported_code_lengths` are one thing. Errors if one of them has
    /// a type that does not fit, or there are lengths and no PIN has one of them.
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
        if let Some(Some(lengths)) = &normal.supported_code_lengths
            && CodeLengths::of_report(lengths).is_none()
        {
            return Err(serde_json::Error::custom("supported_code_lengths needs a length from 4 to 12"));
        }
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
    /// Its place in the order in which the workspace's devices were made.
    pub ordinal: i32,
    /// When it was made.
    pub created_at: Instant,
    /// Since when it can be reached; `None` while it cannot.
    pub reachable_since: Option<Instant>,
    /// What is wrong with it.
    pub trouble: Trouble,
    /// Its pool of backup codes, if it ever had one.
    pub backup_pool: Option<BackupPool>,
    /// What it has different from its brand.
    pub overrides: Overrides,
    /// What the API's user keeps with it.
    pub custom_metadata: Map<String, Value>,
    /// How many events of its own it has: the ordinal of the next.
    pub events_made: i64,
}

impl Device {
    /// Whether the lock keeps a code's schedule itself.
    pub fn schedules_natively(&self) -> bool {
        self.overrides.native_scheduling.unwrap_or(self.brand.native_scheduling)
    }

    /// The PIN lengths the lock reports, if it does.
    pub fn reported_code_lengths(&self) -> Option<&[u8]> {
        let reported = match &self.overrides.supported_code_lengths {
            Some(lengths) => lengths.as_deref(),
            None => self.brand.code_lengths,
        };
        // An older version kept reports without a length that a PIN can have: they are none.
        reported.filter(|lengths| CodeLengths::of_report(lengths).is_some())
    }

    /// The PIN lengths the lock takes.
    pub fn code_lengths(&self) -> CodeLengths {
        self.reported_code_lengths().and_then(CodeLengths::of_report).unwrap_or(CodeLengths::Any)
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

    /// Whether the provider chooses PINs: a caller has to leave them out, and learns them later. With Salto's
    /// subscription for custom PINs callers may choose.
    pub fn provider_chooses_codes(&self) -> bool {
        let subscription = self.overrides.properties.get("salto_ks_metadata");
        let has_subscription = subscription.is_some_and(|metadata| metadata["has_custom_pin_subscription"] == true);
        !has_subscription
            && (self.has_constraint(CANNOT_SPECIFY_PIN_CODE) || self.has_constraint(PIN_CODE_MATCHES_EXISTING_SET))
    }

    /// Whether the maker's server computes codes that work without contact to the lock.
    pub fn can_program_offline_access_codes(&self) -> bool {
        self.overrides.can_program_offline_access_codes.unwrap_or(self.brand.offline_codes)
    }

    /// Whether codes can be programmed from afar. Stays true while the lock is merely offline.
    pub fn can_program_online_access_codes(&self) -> bool {
        self.overrides.can_program_online_access_codes.unwrap_or(self.brand.online_codes)
    }

    /// The lock's IANA time zone, if it is known.
    pub fn time_zone(&self) -> Option<&str> {
        self.overrides
            .time_zone
            .as_ref()
            .map_or_else(|| self.brand.default_time_zone(), |time_zone| time_zone.as_deref())
    }

    /// For a lock that takes no start in the past: how long after the present a schedule starts that it is given instead
    /// (lifecycle, 6.1). `None`: it takes any start.
    pub fn begun_start_lead(&self) -> Option<TimeDelta> {
        if self.has_constraint(START_DATE_IN_FUTURE) {
            Some(START_IN_FUTURE_LEAD)
        } else {
            self.brand.starts_not_in_the_past.then(TimeDelta::zero)
        }
    }

    /// What the lock contributes to the life of its codes in this world.
    pub fn lock(&self, world: &World) -> Lock {
        Lock {
            reachable_since: self.reachable_since,
            unreachable_since: self.trouble.unreachable_since(),
            programming: world.programming,
            slow_after: world.slow_after,
            keeps_expired: world.keeps_expired,
            begun_start_lead: self.begun_start_lead(),
        }
    }

    /// Changes what is wrong with the device; it can be reached again from `at` on if nothing keeps it from being.
    pub fn change_trouble(&mut self, at: Instant, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.trouble);
        self.reachable_since = match self.trouble.unreachable_since() {
            None => Some(self.reachable_since.unwrap_or(at)),
            Some(_) => None,
        };
        if self.reachable_since.is_some()
            && let Some(is_locked) = self.trouble.locked_unseen.take()
        {
            self.set_locked(is_locked);
        }
    }

    /// Whether Seam can keep a pool of backup codes on the lock.
    pub fn supports_backup_pool(&self) -> bool {
        self.overrides.supports_backup_access_code_pool.unwrap_or(self.brand.backup_pool)
    }

    /// What answers about its codes need to know of it; `backups` is how many of its pool can be pulled.
    pub fn summary(&self, backups: i64) -> DeviceSummary {
        DeviceSummary {
            brand: self.brand,
            name: self.name.clone(),
            trouble: self.trouble.clone(),
            overrides: self.overrides.clone(),
            backup_pool: self.backup_pool,
            backups,
        }
    }

    /// The device as `/devices/get` shows it, with what its codes make of it.
    pub fn to_json(&self, census: &Census) -> Value {
        let brand = self.brand;
        let image_url = format!("https://connect.getseam.com/assets/images/devices/{}.png", brand.device_type);
        let battery_level = self.overrides.battery_level.unwrap_or(Some(0.9));
        let offline_codes = self.can_program_offline_access_codes();
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
            "errors": self.summary(census.backups).errors(),
            "warnings": self.warnings(census),
            "created_at": to_iso(self.created_at),
            "is_managed": true,
            "custom_metadata": self.custom_metadata,
            "can_remotely_unlock": brand.online_codes,
            "can_remotely_lock": brand.online_codes,
            "can_program_online_access_codes": self.can_program_online_access_codes(),
            "can_unlock_with_code": true,
        });
        for flag in ["removal", "connection", "disconnection", "hub_connection", "hub_disconnection"] {
            device[format!("can_simulate_{flag}")] = Value::Bool(true);
        }
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
            "serial_number": metadata::serial_number(self),
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
                self.supports_backup_pool(),
            "code_constraints": self.code_constraints(),
        });
        if let Some(pool) = self.backup_pool {
            properties["backup_access_code_pool_enabled"] = json!(pool.is_enabled);
        }
        if let Some(options) = offline::time_frame_options(self) {
            properties["offline_time_frame_options"] = options;
        }
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
        if brand.tells_door_open {
            properties["door_open"] = json!(false);
        }
        if brand.tells_entries {
            properties["has_native_entry_events"] = json!(true);
        }
        if let Some(properties) = properties.as_object_mut() {
            properties.extend(self.overrides.properties.clone());
            metadata::extend(properties, self);
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
    /// What is wrong with it.
    pub trouble: Trouble,
    /// What it has different from its brand.
    pub overrides: Overrides,
    /// Its pool of backup codes, if it ever had one.
    pub backup_pool: Option<BackupPool>,
    /// How many backup codes can be pulled.
    pub backups: i64,
}

impl DeviceSummary {
    /// Whether time-bound codes are given an hour more over a change of the clocks: the lock tells nobody its time
    /// zone, and nobody told us.
    pub fn needs_daylight_buffer(&self) -> bool {
        self.brand.tells_no_time_zone && !matches!(self.overrides.time_zone, Some(Some(_)))
    }

    /// Shortest and longest name the lock takes.
    pub fn name_length(&self) -> (Option<u32>, Option<u32>) {
        let Some(constraints) = &self.overrides.code_constraints else {
            return self.brand.name_length;
        };
        let limits = constraints.iter().find(|rule| rule.constraint_type == "name_length");
        limits.map_or((None, None), |rule| (rule.min_length, rule.max_length))
    }
}

/// Seam's word for a charge from 0 to 1 (devices, 2.1).
fn battery_status(level: f64) -> &'static str {
    match level {
        level if level < 0.1 => "critical",
        level if level < 0.25 => "low",
        level if level < 0.75 => "good",
        _ => "full",
    }
}

/// The API user's own data on a device, as its column has it.
pub type CustomMetadata = Json<Map<String, Value>>;

/// A device as its row has it.
#[derive(Debug, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns are documented in the migration")]
pub struct DeviceRow {
    pub device_id: Uuid,
    pub workspace_id: Uuid,
    pub connected_account_id: Uuid,
    pub device_type: String,
    pub name: String,
    pub ordinal: i32,
    pub created_at: Instant,
    pub reachable_since: Option<Instant>,
    pub trouble: Option<Json<Trouble>>,
    pub backup_pool: Option<Json<BackupPool>>,
    pub overrides: Json<Overrides>,
    pub custom_metadata: CustomMetadata,
    pub events_made: i64,
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
            ordinal: row.ordinal,
            created_at: row.created_at,
            reachable_since: row.reachable_since,
            trouble: row.trouble.map(|trouble| trouble.0).unwrap_or_default(),
            backup_pool: row.backup_pool.map(|pool| pool.0),
            overrides: row.overrides.0,
            custom_metadata: row.custom_metadata.0,
            events_made: row.events_made,
        })
    }
}
