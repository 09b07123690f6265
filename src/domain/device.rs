//! Devices: properties, capabilities, and overrides of the brand's defaults.

pub(crate) mod battery;
pub(crate) mod brands;
pub(crate) mod health;
pub(crate) mod lock_operation;

use self::brands::{
    Brand, CANNOT_SPECIFY_PIN_CODE, CodeConstraint, PIN_CODE_MATCHES_EXISTING_SET, START_DATE_IN_FUTURE,
};
use self::health::{BackupPool, DeviceHealth};
use self::lock_operation::LockOperation;
use super::access_code::lifecycle::Lock;
use super::pin::{CodeLengths, DigitRule};
use super::workspace::WorkspaceSettings;
use crate::clock::Timestamp;
use crate::error::Error;
use chrono::TimeDelta;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Default number of backup codes in a pool. Seam documents no number; its samples show four and more.
const POOL_SIZE: u32 = 5;

/// Delay after the current time at which a lock with `start_date_in_future` starts a code whose window has begun:
/// Seam's own workaround for Kwikset.
const START_IN_FUTURE_LEAD: TimeDelta = TimeDelta::minutes(3);

/// Overrides of a device's brand defaults. Absent: the brand's value applies. Properties that a device may lack have
/// two layers of `Option`: `null` removes the property from the device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overrides {
    /// PIN lengths that the lock accepts; `null`: it reports none.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub supported_code_lengths: Option<Option<Vec<u8>>>,
    /// Maximum number of codes on the lock; `null`: unlimited.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub max_active_codes_supported: Option<Option<u32>>,
    /// Rules for PINs and names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_constraints: Option<Vec<CodeConstraint>>,
    /// True if the lock enforces the time frame of a code itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_scheduling: Option<bool>,
    /// True if codes can be programmed remotely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_program_online_access_codes: Option<bool>,
    /// True if the provider computes offline codes, which work without a connection to the lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_program_offline_access_codes: Option<bool>,
    /// True if the lock supports a backup pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supports_backup_access_code_pool: Option<bool>,
    /// Battery charge from 0 to 1; `null`: the lock reports none.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub battery_level: Option<Option<f64>>,
    /// Battery charge of the accessory keypad from 0 to 1; `null`: unknown.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub accessory_keypad_battery_level: Option<Option<f64>>,
    /// True if the lock has an accessory keypad, and the keypad is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accessory_keypad_connected: Option<bool>,
    /// Number of backup codes in a full pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_access_code_pool_size: Option<u32>,
    /// IANA time zone of the lock; `null`: unknown.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Option<String>>,
    /// Further device properties; they replace properties of the same name.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
}

/// Deserializes `null` as `Some(None)`, to distinguish it from an absent field.
pub(crate) fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<Option<T>, D::Error> {
    T::deserialize(input).map(Some)
}

impl Overrides {
    /// Replaces the overrides that are present in `newer`.
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
            accessory_keypad_battery_level,
            accessory_keypad_connected,
            time_zone
        );
        self.properties.extend(newer.properties);
    }

    /// Removes `name` and `online` from `properties` and returns them. They are no overrides: Seam's device shows its
    /// name and its connection there.
    ///
    /// # Errors
    /// One of them has a wrong type.
    pub fn take_name_and_online(&mut self) -> Result<(Option<String>, Option<bool>), serde_json::Error> {
        let mut take = |name: &str| self.properties.shift_remove(name).unwrap_or_default();
        Ok((serde_json::from_value(take("name"))?, serde_json::from_value(take("online"))?))
    }

    /// Moves entries of `properties` that have their own field to that field, so that
    /// `properties.supported_code_lengths` and `supported_code_lengths` are equivalent. If both are present, the field
    /// takes precedence. Only fields for one of Seam's device properties can be given in both places; `battery.level`
    /// and the members of `accessory_keypad` are such properties too.
    ///
    /// # Errors
    /// An entry has a wrong type, `supported_code_lengths` contains no valid PIN length, or a battery level is not from
    /// 0 to 1.
    pub fn normalize(mut self) -> Result<Self, serde_json::Error> {
        const WITH_OWN_FIELD: [&str; 5] = [
            "supported_code_lengths",
            "max_active_codes_supported",
            "code_constraints",
            "supports_backup_access_code_pool",
            "battery_level",
        ];
        let mut moved: Map<String, Value> =
            WITH_OWN_FIELD.iter().filter_map(|name| self.properties.shift_remove_entry(*name)).collect();
        let mut take = |name: &str| self.properties.shift_remove(name).unwrap_or_default();
        let (battery, keypad_battery, keypad) = (take("battery"), take("keypad_battery"), take("accessory_keypad"));
        let nested = [
            ("battery_level", battery.get("level")),
            ("accessory_keypad_battery_level", keypad_battery.get("level")),
            ("accessory_keypad_battery_level", keypad.pointer("/battery/level")),
            ("accessory_keypad_connected", keypad.get("is_connected")),
        ];
        moved.extend(nested.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone()))));
        let mut normalised: Self = serde_json::from_value(Value::Object(moved))?;
        normalised.merge(self);
        if let Some(Some(lengths)) = &normalised.supported_code_lengths
            && CodeLengths::from_report(lengths).is_none()
        {
            return Err(serde_json::Error::custom("supported_code_lengths needs a length from 4 to 12"));
        }
        for (name, level) in [
            ("battery_level", normalised.battery_level),
            ("accessory_keypad_battery_level", normalised.accessory_keypad_battery_level),
        ] {
            if level.flatten().is_some_and(|level| !(0.0..=1.0).contains(&level)) {
                return Err(serde_json::Error::custom(format!("{name} is not from 0 to 1")));
            }
        }
        Ok(normalised)
    }
}

/// A device together with its brand.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Id of the device.
    pub device_id: Uuid,
    /// Workspace of the device.
    pub workspace_id: Uuid,
    /// Account through which the device is connected.
    pub connected_account_id: Uuid,
    /// Documented capabilities of the device's brand.
    pub brand: &'static Brand,
    /// Name of the device in the provider's app.
    pub name: String,
    /// Name that a client of the API gave the device; `None`: none.
    pub nickname: Option<String>,
    /// True if Seam controls the device.
    pub is_managed: bool,
    /// Position in the order in which the workspace's devices were created.
    pub ordinal: i32,
    /// Creation time.
    pub created_at: Timestamp,
    /// Start of the current period in which the device is reachable; `None` while it is not.
    pub reachable_since: Option<Timestamp>,
    /// Connection problems, errors and warnings of the device.
    pub health: DeviceHealth,
    /// Backup pool; `None` if it was never enabled.
    pub backup_pool: Option<BackupPool>,
    /// Differences from the brand.
    pub overrides: Overrides,
    /// Metadata set by clients of the API.
    pub custom_metadata: Map<String, Value>,
    /// Number of events and action attempts of the device itself; used as the ordinal of the next one.
    pub events_made: i64,
    /// Operations that the lock performs later, in the order in which they were requested.
    pub lock_operations: Vec<LockOperation>,
    /// Time of the deletion; `None`: the device exists.
    pub deleted_at: Option<Timestamp>,
    /// Spaces of the device, oldest first. Empty where devices are read to work on their access codes.
    pub space_ids: Vec<Uuid>,
}

impl Device {
    /// Returns the name of the device: the one that a client gave it, or else that in the provider's app.
    pub fn display_name(&self) -> &str {
        self.nickname.as_deref().unwrap_or(&self.name)
    }

    /// Checks that Seam controls the device.
    ///
    /// # Errors
    /// [`Error::DeviceUnmanaged`].
    pub(crate) fn check_managed(&self) -> Result<(), Error> {
        if self.is_managed { Ok(()) } else { Err(Error::DeviceUnmanaged(self.device_id)) }
    }

    /// Returns true if codes are entered at a keypad that is a device of its own, connected to the lock.
    pub(crate) fn has_accessory_keypad(&self) -> bool {
        self.brand.accessory_keypad || self.overrides.accessory_keypad_connected.is_some()
    }

    /// Returns true if the lock has an accessory keypad that is connected to it.
    pub(crate) fn is_accessory_keypad_connected(&self) -> bool {
        self.overrides.accessory_keypad_connected.unwrap_or(self.brand.accessory_keypad)
    }

    /// Returns true if the lock enforces the time frame of a code itself.
    pub fn schedules_natively(&self) -> bool {
        self.overrides.native_scheduling.unwrap_or(self.brand.native_scheduling)
    }

    /// Returns the PIN lengths that the lock reports; `None` if it reports none.
    pub fn reported_code_lengths(&self) -> Option<&[u8]> {
        let reported = match &self.overrides.supported_code_lengths {
            Some(lengths) => lengths.as_deref(),
            None => self.brand.code_lengths,
        };
        // An older version stored reports without a valid PIN length. They are treated as missing.
        reported.filter(|lengths| CodeLengths::from_report(lengths).is_some())
    }

    /// Returns the PIN lengths that the lock accepts.
    pub fn code_lengths(&self) -> CodeLengths {
        self.reported_code_lengths().and_then(CodeLengths::from_report).unwrap_or(CodeLengths::Any)
    }

    /// Returns the maximum number of codes on the lock; `None`: unlimited.
    pub fn capacity(&self) -> Option<u32> {
        self.overrides.max_active_codes_supported.unwrap_or(self.brand.capacity)
    }

    /// Returns the rules for PINs and names, in Seam's format.
    pub fn code_constraints(&self) -> Vec<CodeConstraint> {
        self.overrides.code_constraints.clone().unwrap_or_else(|| self.brand.code_constraints())
    }

    /// Returns the rules for the digits of a PIN.
    pub fn digit_rules(&self) -> Vec<DigitRule> {
        match &self.overrides.code_constraints {
            None => self.brand.digit_rules.to_vec(),
            Some(constraints) => {
                constraints.iter().filter_map(|rule| DigitRule::from_constraint_type(&rule.constraint_type)).collect()
            }
        }
    }

    /// Returns true if the lock has this constraint. Of the brand's constraints, digit rules and `name_length` are not
    /// considered.
    pub fn has_constraint(&self, constraint_type: &str) -> bool {
        match &self.overrides.code_constraints {
            None => self.brand.other_rules.contains(&constraint_type),
            Some(constraints) => constraints.iter().any(|rule| rule.constraint_type == constraint_type),
        }
    }

    /// Returns true if the provider chooses PINs. A caller then has to omit the PIN, and can read it later. Latchkey
    /// does not store the PINs of a provider's account, so the constraint `pin_code_matches_existing_set` has this
    /// effect too. With Salto's subscription for custom PINs the caller may choose the PIN.
    pub fn provider_chooses_codes(&self) -> bool {
        let subscription = self.overrides.properties.get("salto_ks_metadata");
        let has_subscription = subscription.is_some_and(|metadata| metadata["has_custom_pin_subscription"] == true);
        !has_subscription
            && (self.has_constraint(CANNOT_SPECIFY_PIN_CODE) || self.has_constraint(PIN_CODE_MATCHES_EXISTING_SET))
    }

    /// Returns true if the manufacturer's server computes offline codes, which work without a connection to the lock.
    pub fn can_program_offline_access_codes(&self) -> bool {
        self.overrides.can_program_offline_access_codes.unwrap_or(self.brand.offline_codes)
    }

    /// Returns true if codes can be programmed remotely. Does not depend on whether the lock is reachable. A lock whose
    /// accessory keypad is disconnected accepts no codes.
    pub fn can_program_online_access_codes(&self) -> bool {
        let has_disconnected_keypad = self.overrides.accessory_keypad_connected == Some(false);
        self.overrides.can_program_online_access_codes.unwrap_or(self.brand.online_codes) && !has_disconnected_keypad
    }

    /// Returns true if the door can be locked and unlocked through the API. Does not depend on whether the lock is
    /// reachable. Locks without a connection cannot; they accept offline codes only.
    pub(crate) fn can_be_controlled_remotely(&self) -> bool {
        self.brand.online_codes
    }

    /// Returns the IANA time zone of the lock, if it is known.
    pub fn time_zone(&self) -> Option<&str> {
        self.overrides
            .time_zone
            .as_ref()
            .map_or_else(|| self.brand.default_time_zone(), |time_zone| time_zone.as_deref())
    }

    /// Returns, for a lock that rejects a start in the past, the delay after the current time that replaces such a
    /// start (`tests/it/ledger.md`, lifecycle §6.1). `None`: the lock accepts any start.
    pub fn past_start_lead(&self) -> Option<TimeDelta> {
        if self.has_constraint(START_DATE_IN_FUTURE) {
            Some(START_IN_FUTURE_LEAD)
        } else {
            self.brand.starts_not_in_the_past.then(TimeDelta::zero)
        }
    }

    /// Returns the properties of the lock and the settings that the lifecycle of its codes depends on.
    pub fn lock(&self, settings: &WorkspaceSettings) -> Lock {
        Lock {
            reachable_since: self.reachable_since,
            unreachable_since: self.health.unreachable_since(),
            programming: settings.programming,
            slow_after: settings.slow_after,
            keeps_expired: settings.keeps_expired,
            past_start_lead: self.past_start_lead(),
            late_issuance: settings.late_issuance,
        }
    }

    /// Applies `change` to the device, and then updates what follows from its health and the levels of its batteries. If
    /// no problem is left that makes the device unreachable, it is reachable from `at` on, and `properties.locked` gets
    /// the state of the bolt that was not reported before.
    pub(crate) fn change(&mut self, at: Timestamp, change: impl FnOnce(&mut Self)) {
        let reported = self.reported_battery_levels();
        change(self);
        let levels = self.battery_levels();
        let is_low = battery::is_low(levels.accessory_keypad);
        let low_since = self.health.accessory_keypad_low_battery_since;
        self.health.accessory_keypad_low_battery_since = is_low.then(|| low_since.unwrap_or(at));
        let is_unreported = self.health.unreachable_since().is_some() && levels != reported;
        self.health.last_reported_battery_levels = is_unreported.then_some(reported);
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

    /// True if the device reports events: it is managed and reachable.
    pub(crate) fn reports_events(&self) -> bool {
        self.is_managed && self.reachable_since.is_some()
    }

    /// Returns the number of backup codes in a full pool.
    pub fn pool_size(&self) -> u32 {
        self.overrides.backup_access_code_pool_size.unwrap_or(POOL_SIZE)
    }

    /// Sets the state of the bolt. While the lock is unreachable, `properties.locked` does not change; it is updated
    /// when the lock is reachable again.
    fn set_locked(&mut self, is_locked: bool) {
        if self.reachable_since.is_some() {
            self.overrides.properties.insert("locked".to_owned(), Value::Bool(is_locked));
        } else {
            self.health.locked_unseen = Some(is_locked);
        }
    }

    /// Returns the ordinal of the next event or action attempt of the device itself, and counts it.
    pub(crate) fn next_child(&mut self) -> i64 {
        let ordinal = self.events_made;
        self.events_made += 1;
        ordinal
    }

    /// Returns true if time frames that cross a change to or from summer time are extended by an hour, as
    /// [`DeviceSummary::needs_daylight_buffer`] does.
    pub fn needs_daylight_buffer(&self) -> bool {
        self.summary(0).needs_daylight_buffer()
    }

    /// Returns true if the lock supports a backup pool.
    pub fn supports_backup_pool(&self) -> bool {
        self.overrides.supports_backup_access_code_pool.unwrap_or(self.brand.backup_pool)
    }

    /// Returns the data that responses about the device's codes need. `backups` is the number of backup codes that can
    /// be pulled.
    pub fn summary(&self, backups: i64) -> DeviceSummary {
        DeviceSummary {
            brand: self.brand,
            name: self.display_name().to_owned(),
            health: self.health.clone(),
            overrides: self.overrides.clone(),
            backup_pool: self.backup_pool,
            backups,
        }
    }
}

/// Data of a device that responses about its codes need.
#[derive(Clone, Debug)]
pub struct DeviceSummary {
    pub brand: &'static Brand,
    pub name: String,
    pub health: DeviceHealth,
    /// Differences from the brand.
    pub overrides: Overrides,
    /// Backup pool; `None` if it was never enabled.
    pub backup_pool: Option<BackupPool>,
    /// Number of backup codes that can be pulled.
    pub backups: i64,
}

impl DeviceSummary {
    /// Returns true if time frames that cross a change to or from summer time are extended by an hour, because the lock
    /// does not report its time zone and no override sets one.
    pub fn needs_daylight_buffer(&self) -> bool {
        self.brand.hides_time_zone && !matches!(self.overrides.time_zone, Some(Some(_)))
    }

    /// Returns the minimum and maximum length of a name on the lock.
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
