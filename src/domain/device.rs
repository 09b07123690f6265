//! A device: what it is and what it can do.

pub(crate) mod brands;
pub(crate) mod health;

use self::brands::{
    Brand, CANNOT_SPECIFY_PIN_CODE, CodeConstraint, PIN_CODE_MATCHES_EXISTING_SET, START_DATE_IN_FUTURE,
};
use self::health::{BackupPool, DeviceHealth};
use super::access_code::lifecycle::Lock;
use super::pin::{CodeLengths, DigitRule};
use super::workspace::WorkspaceSettings;
use crate::clock::Timestamp;
use chrono::TimeDelta;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// How many backup codes a pool has unless the device says otherwise; Seam names no number, its samples show four and
/// more.
const POOL_SIZE: u32 = 5;

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
        const WITH_OWN_FIELD: [&str; 5] = [
            "supported_code_lengths",
            "max_active_codes_supported",
            "code_constraints",
            "supports_backup_access_code_pool",
            "battery_level",
        ];
        let own: Map<String, Value> =
            WITH_OWN_FIELD.iter().filter_map(|name| self.properties.shift_remove_entry(*name)).collect();
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
#[derive(Clone, Debug, PartialEq)]
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
    pub created_at: Timestamp,
    /// Since when it can be reached; `None` while it cannot.
    pub reachable_since: Option<Timestamp>,
    /// What is wrong with it.
    pub health: DeviceHealth,
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

    /// What the lock contributes to the life of its codes with these settings.
    pub fn lock(&self, settings: &WorkspaceSettings) -> Lock {
        Lock {
            reachable_since: self.reachable_since,
            unreachable_since: self.health.unreachable_since(),
            programming: settings.programming,
            slow_after: settings.slow_after,
            keeps_expired: settings.keeps_expired,
            begun_start_lead: self.begun_start_lead(),
        }
    }

    /// Changes what is wrong with the device; it can be reached again from `at` on if nothing keeps it from being.
    pub fn change_health(&mut self, at: Timestamp, change: impl FnOnce(&mut DeviceHealth)) {
        change(&mut self.health);
        self.reachable_since = match self.health.unreachable_since() {
            None => Some(self.reachable_since.unwrap_or(at)),
            Some(_) => None,
        };
        if self.reachable_since.is_some()
            && let Some(is_locked) = self.health.locked_unseen.take()
        {
            self.set_locked(is_locked);
        }
    }

    /// How many backup codes its pool has when it is full.
    pub fn pool_size(&self) -> u32 {
        self.overrides.backup_access_code_pool_size.unwrap_or(POOL_SIZE)
    }

    /// Moves the bolt. While nobody can reach the lock nobody knows; `properties.locked` shows it when it is back.
    pub fn set_locked(&mut self, is_locked: bool) {
        if self.reachable_since.is_some() {
            self.overrides.properties.insert("locked".to_owned(), Value::Bool(is_locked));
        } else {
            self.health.locked_unseen = Some(is_locked);
        }
    }

    /// Whether the lock tells its own time zone to nobody, and windows over a change of the clocks are longer there.
    pub fn needs_daylight_buffer(&self) -> bool {
        self.summary(0).needs_daylight_buffer()
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
            health: self.health.clone(),
            overrides: self.overrides.clone(),
            backup_pool: self.backup_pool,
            backups,
        }
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
    pub health: DeviceHealth,
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

#[cfg(test)]
mod tests;
