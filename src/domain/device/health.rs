//! What can be wrong with a device, and how Seam tells of it: on the device, and on each of its codes.

use super::{Device, DeviceSummary};
use crate::clock::{Timestamp, to_iso};
use crate::domain::access_code::lifecycle::rare_fields::Condition;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is wrong with a device. It can be reached while none of the first four is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceHealth {
    /// Since when it is offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnected_at: Option<Timestamp>,
    /// Since when its bridge or gateway is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub_disconnected_at: Option<Timestamp>,
    /// Since when it is no longer in the account of its maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
    /// Since when that account cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_disconnected_at: Option<Timestamp>,
    /// How many codes in a row were wrong at its keypad, for brands that count them.
    #[serde(skip_serializing_if = "is_zero")]
    pub wrong_codes: u32,
    /// Until when its keypad takes nothing after too many of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keypad_dead_until: Option<Timestamp>,
    /// Whether somebody locked or unlocked it while it could not be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_unseen: Option<bool>,
    /// Errors that a tester put on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Condition>,
    /// Warnings that a tester put on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Condition>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The pool of backup codes of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPool {
    /// Whether it is filled and can be pulled from.
    pub is_enabled: bool,
    /// Since when it is enabled, or when it was pulled from last: if it is empty, since when.
    pub since: Timestamp,
}

/// What the codes on a device make of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceStats {
    /// Backup codes that can be pulled.
    pub backups: i64,
    /// Backup codes that could not be put on the lock.
    pub failed_refills: i64,
    /// Backup codes that were pulled and still work.
    pub pulled_backups: i64,
    /// Codes in the lock's memory, whoever put them there.
    pub held: i64,
    /// When the last of these came there.
    pub held_since: Option<Timestamp>,
}

/// What Seam says of a disconnected account.
pub(crate) const ACCOUNT_DISCONNECTED: &str =
    "Account Disconnected, you may need to reconnect the account with a new webview.";

/// Errors that belong to the account of a device rather than to the device.
const OF_THE_ACCOUNT: [&str; 4] = [
    "account_disconnected",
    "salto_ks_subscription_limit_exceeded",
    "insufficient_permissions",
    "dormakaba_sites_disconnected",
];

impl DeviceHealth {
    /// Since when the device cannot be reached; `None` while it can.
    pub fn unreachable_since(&self) -> Option<Timestamp> {
        [self.disconnected_at, self.hub_disconnected_at, self.removed_at, self.account_disconnected_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// The `error_code` with which the device counts as disconnected, the account's first.
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
    /// The device's warnings; `stats` is what its codes make of it.
    pub fn warnings(&self, stats: &DeviceStats) -> Vec<Value> {
        let mut all = Vec::new();
        let mut warn = |code: &str, message: &str, created_at: Timestamp| {
            all.push(warning(&Condition { code: code.to_owned(), message: message.to_owned(), created_at }));
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
            let message = "The device holds as many access codes as it can.";
            warn("max_access_codes_reached", message, stats.held_since.unwrap_or(self.created_at));
            if let Some(body) = all.last_mut() {
                body["active_access_code_count"] = json!(stats.held);
                body["max_active_access_code_count"] = json!(capacity);
            }
        }
        all.extend(self.health.warnings.iter().map(warning));
        all
    }

    /// Whether its warnings depend on its codes.
    pub fn needs_stats(&self) -> bool {
        self.backup_pool.is_some() || self.capacity().is_some()
    }
}

impl DeviceSummary {
    /// The errors of the device and of its account; each of its codes has them too.
    pub fn errors(&self) -> Vec<Value> {
        let DeviceHealth { disconnected_at, hub_disconnected_at, removed_at, account_disconnected_at, errors, .. } =
            &self.health;
        let name = &self.name;
        let mut all = Vec::new();
        let mut add = |since: &Option<Timestamp>, error_code: &str, message: String| {
            if let Some(since) = since {
                all.push(error(error_code, &message, *since));
            }
        };
        add(account_disconnected_at, "account_disconnected", ACCOUNT_DISCONNECTED.to_owned());
        add(removed_at, "device_removed", format!("{name} was removed from the account of its maker."));
        let offline = format!("{name} is offline. Access codes are put on it when it is back.");
        add(disconnected_at, "device_disconnected", offline);
        add(hub_disconnected_at, "hub_disconnected", format!("The bridge or gateway of {name} is offline."));
        let empty_since = self.backup_pool.filter(|pool| pool.is_enabled && self.backups == 0).map(|pool| pool.since);
        let empty = "No backup access code is left that could be pulled.";
        add(&empty_since, "empty_backup_access_code_pool", empty.to_owned());
        all.extend(errors.iter().map(|it| error(&it.code, &it.message, it.created_at)));
        all
    }

    /// Whether a backup code can be pulled.
    pub fn has_backups(&self) -> bool {
        self.backups > 0 && self.backup_pool.is_some_and(|pool| pool.is_enabled)
    }
}

fn error(error_code: &str, message: &str, created_at: Timestamp) -> Value {
    let is_of_account = OF_THE_ACCOUNT.contains(&error_code);
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

/// One of Seam's `warnings`.
pub(crate) fn warning(warning: &Condition) -> Value {
    json!({ "warning_code": warning.code, "message": warning.message, "created_at": to_iso(warning.created_at) })
}

#[cfg(test)]
mod tests;
