//! Problems of a device, and Seam's errors and warnings that report them on the device and on each of its codes.

use super::battery::BatteryLevels;
use super::{Device, DeviceSummary};
use crate::clock::{Timestamp, to_iso};
use crate::domain::access_code::lifecycle::rare_fields::Condition;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Problems of a device. The device is reachable while none of the first four timestamps is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceHealth {
    /// Time since which the device is offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnected_at: Option<Timestamp>,
    /// Time since which its bridge or gateway is offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub_disconnected_at: Option<Timestamp>,
    /// Time at which the device was removed from the manufacturer's account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
    /// Time since which the manufacturer's account is disconnected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_disconnected_at: Option<Timestamp>,
    /// Time since which the subscription that the device needs is expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_expired_at: Option<Timestamp>,
    /// Time since which the battery of the accessory keypad is low.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accessory_keypad_low_battery_since: Option<Timestamp>,
    /// Battery levels before the device became unreachable, if they have changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reported_battery_levels: Option<BatteryLevels>,
    /// Number of consecutive wrong codes at the keypad, for brands that count them.
    #[serde(skip_serializing_if = "is_zero")]
    pub wrong_codes: u32,
    /// End of the lockout of the keypad after too many wrong codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "keypad_dead_until")]
    pub keypad_locked_until: Option<Timestamp>,
    /// New state of the bolt (`true`: locked) if it was moved while the device was unreachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_unseen: Option<bool>,
    /// Errors set by a test.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Condition>,
    /// Warnings set by a test.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Condition>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Backup pool of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPool {
    /// True if the pool is refilled and backup codes can be pulled from it.
    pub is_enabled: bool,
    /// Time at which the pool was enabled or disabled, or at which a backup code was last pulled. For an empty pool:
    /// the time since which it is empty.
    pub since: Timestamp,
}

/// Statistics of the codes on a device. The device's warnings depend on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceStats {
    /// Number of backup codes that can be pulled.
    pub backups: i64,
    /// Number of backup codes that could not be programmed.
    pub failed_refills: i64,
    /// Number of pulled backup codes that are on the lock and whose deletion is not requested.
    pub pulled_backups: i64,
    /// Number of codes in the lock's memory, managed and unmanaged.
    pub held: i64,
    /// Time at which the last of these codes was stored.
    pub held_since: Option<Timestamp>,
}

/// Seam's message for a disconnected account.
pub(crate) const ACCOUNT_DISCONNECTED: &str =
    "Account Disconnected, you may need to reconnect the account with a new webview.";

/// Error codes that concern the account of a device, not the device itself.
const ACCOUNT_ERRORS: [&str; 4] = [
    "account_disconnected",
    "salto_ks_subscription_limit_exceeded",
    "insufficient_permissions",
    "dormakaba_sites_disconnected",
];

impl DeviceHealth {
    /// Returns the time since which the device is unreachable; `None` while it is reachable.
    pub fn unreachable_since(&self) -> Option<Timestamp> {
        [self.disconnected_at, self.hub_disconnected_at, self.removed_at, self.account_disconnected_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Returns the warnings that do not depend on the codes of the device: its own, and those set by a test.
    pub(crate) fn warnings(&self) -> Vec<Value> {
        let low_battery = self.accessory_keypad_low_battery_since.map(|since| Condition {
            code: "accessory_keypad_low_battery".to_owned(),
            message: "The battery of the keypad is low.".to_owned(),
            created_at: since,
        });
        let is_set = |code: &str| self.warnings.iter().any(|warning| warning.code == code);
        let own = low_battery.iter().filter(|condition| !is_set(&condition.code));
        own.chain(&self.warnings).map(warning).collect()
    }

    /// Returns the `error_code` that explains why the device is unreachable. The account takes precedence over the hub,
    /// and the hub over the device.
    pub fn disconnected_by(&self) -> Option<&'static str> {
        if self.account_disconnected_at.is_some() {
            Some("account_disconnected")
        } else if self.hub_disconnected_at.is_some() {
            Some("hub_disconnected")
        } else {
            self.unreachable_since().map(|_| "device_disconnected")
        }
    }
}

impl Device {
    /// Returns the warnings of the device. `stats` are the statistics of its codes.
    pub fn warnings(&self, stats: &DeviceStats) -> Vec<Value> {
        let mut warnings = Vec::new();
        let mut warn = |code: &str, message: &str, created_at: Timestamp| {
            warnings.push(warning(&Condition { code: code.to_owned(), message: message.to_owned(), created_at }));
        };
        if let Some(pool) = self.backup_pool.filter(|pool| pool.is_enabled) {
            if stats.backups > 0 && stats.backups < i64::from(self.pool_size()) && stats.failed_refills > 0 {
                let message = "The pool of backup access codes cannot be filled completely.";
                warn("partial_backup_access_code_pool", message, pool.since);
            }
            if stats.pulled_backups > i64::from(self.pool_size()) {
                warn("many_active_backup_codes", "Many backup access codes were pulled and are active.", pool.since);
            }
        }
        if let Some(capacity) = self.capacity().filter(|capacity| stats.held >= i64::from(*capacity)) {
            let message = "The device cannot store more access codes.";
            warn("max_access_codes_reached", message, stats.held_since.unwrap_or(self.created_at));
            if let Some(body) = warnings.last_mut() {
                body["active_access_code_count"] = json!(stats.held);
                body["max_active_access_code_count"] = json!(capacity);
            }
        }
        warnings.extend(self.health.warnings());
        warnings
    }

    /// Returns true if the warnings depend on the statistics of the device's codes.
    pub fn needs_stats(&self) -> bool {
        self.backup_pool.is_some() || self.capacity().is_some()
    }
}

impl DeviceSummary {
    /// Returns the errors of the device and of its account. They are reported on each of its codes too.
    pub fn errors(&self) -> Vec<Value> {
        let DeviceHealth { disconnected_at, hub_disconnected_at, removed_at, account_disconnected_at, errors, .. } =
            &self.health;
        let subscription_expired_at = &self.health.subscription_expired_at;
        let name = &self.name;
        let mut bodies = Vec::new();
        let mut add = |since: &Option<Timestamp>, error_code: &str, message: String| {
            if let Some(since) = since {
                bodies.push(error(error_code, &message, *since));
            }
        };
        add(account_disconnected_at, "account_disconnected", ACCOUNT_DISCONNECTED.to_owned());
        add(removed_at, "device_removed", format!("{name} was removed from its provider account."));
        let offline = format!("{name} is offline. Access codes are set on it when it is online again.");
        add(disconnected_at, "device_disconnected", offline);
        add(hub_disconnected_at, "hub_disconnected", format!("The bridge or gateway of {name} is offline."));
        let expired = format!("The subscription that {name} needs at its manufacturer is expired.");
        add(subscription_expired_at, "subscription_required", expired);
        let empty_since = self.backup_pool.filter(|pool| pool.is_enabled && self.backups == 0).map(|pool| pool.since);
        let empty = "No backup access code is available to pull.";
        add(&empty_since, "empty_backup_access_code_pool", empty.to_owned());
        bodies.extend(errors.iter().map(|condition| error(&condition.code, &condition.message, condition.created_at)));
        bodies
    }

    /// Returns true if a backup code can be pulled.
    pub fn has_backups(&self) -> bool {
        self.backups > 0 && self.backup_pool.is_some_and(|pool| pool.is_enabled)
    }
}

/// Returns an entry of Seam's `errors`. Each has flags that name the object with the problem: the account, the device,
/// or the bridge alone.
fn error(error_code: &str, message: &str, created_at: Timestamp) -> Value {
    let is_of_account = ACCOUNT_ERRORS.contains(&error_code);
    let mut body = json!({ "error_code": error_code, "message": message, "created_at": to_iso(created_at) });
    if is_of_account {
        body["is_connected_account_error"] = json!(true);
    }
    body["is_device_error"] = json!(!is_of_account);
    if error_code == "bridge_disconnected" {
        body = json!({ "error_code": error_code, "message": message, "created_at": to_iso(created_at),
                       "is_bridge_error": true });
    }
    body
}

/// Returns an entry of Seam's `warnings`.
pub(crate) fn warning(warning: &Condition) -> Value {
    json!({ "warning_code": warning.code, "message": warning.message, "created_at": to_iso(warning.created_at) })
}

#[cfg(test)]
mod tests;
