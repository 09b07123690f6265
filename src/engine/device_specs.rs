//! Specifications of devices and accounts to create, as fixtures and the control plane give them.

use crate::clock::Timestamp;
use crate::contract::quoted;
use crate::domain::access_code::lifecycle::rare_fields::Condition;
use crate::domain::custom_metadata;
use crate::domain::device::brands::Brand;
use crate::domain::device::health::DeviceHealth;
use crate::domain::device::{Device, Overrides};
use crate::error::{Error, Result};
use crate::ids::Ids;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Specification of a device to create.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LockSpec {
    pub device_type: String,
    /// `None`: brand and number.
    pub name: Option<String>,
    /// `None`: derived from the seed, or random.
    pub device_id: Option<Uuid>,
    /// `None`: true.
    pub online: Option<bool>,
    /// `None`: true.
    pub hub_connected: Option<bool>,
    /// Connection of the manufacturer's account; `None`: connected, or unchanged if the account exists.
    pub account_connected: Option<bool>,
    /// True if the device was removed from its account; `None`: false.
    pub removed: Option<bool>,
    /// True if the subscription that the device needs is expired; `None`: false.
    pub subscription_expired: Option<bool>,
    /// True if Seam controls the device; `None`: true.
    pub is_managed: Option<bool>,
    /// Metadata as set by clients of the API; `None`: none.
    pub custom_metadata: Option<Map<String, Value>>,
    /// Errors injected by a tester.
    #[serde(default)]
    pub(crate) errors: Vec<InjectedCondition>,
    /// Warnings injected by a tester.
    #[serde(default)]
    pub(crate) warnings: Vec<InjectedCondition>,
    /// Properties that differ from those of the brand.
    #[serde(flatten)]
    pub overrides: Overrides,
}

/// Specification of an account with a chosen id or connection.
#[derive(Debug, Deserialize)]
pub(crate) struct AccountSpec {
    /// Seam's name for the manufacturer.
    pub(crate) provider: String,
    /// `None`: derived from the seed, or random.
    pub(crate) connected_account_id: Option<Uuid>,
    #[serde(default = "yes")]
    pub(crate) connected: bool,
}

fn yes() -> bool {
    true
}

/// An error or a warning that a tester injects into a device.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct InjectedCondition {
    #[serde(alias = "error_code", alias = "warning_code")]
    code: String,
    message: Option<String>,
}

impl InjectedCondition {
    /// Returns the condition, created at this instant.
    pub(crate) fn into_condition(self, created_at: Timestamp) -> Condition {
        let message = self.message.unwrap_or_else(|| format!("{}, added by a tester.", self.code));
        Condition { code: self.code, message, created_at }
    }
}

impl LockSpec {
    /// Returns the device, with this brand and ordinal, connected through this account.
    pub(crate) fn device(
        self,
        (workspace_id, ids): (Uuid, &Ids),
        (brand, ordinal): (&'static Brand, i32),
        (connected_account_id, account_disconnected_at): (Uuid, Option<Timestamp>),
        (now, machine_now): (Timestamp, Timestamp),
    ) -> Result<Device> {
        let health = self.health(now, account_disconnected_at);
        let own_id = || ids.id("device", workspace_id, i64::from(ordinal), machine_now);
        let mut device = Device {
            device_id: self.device_id.unwrap_or_else(own_id),
            workspace_id,
            connected_account_id,
            brand,
            name: self.name.unwrap_or_else(|| format!("{} {}", brand.display_name, ordinal + 1)),
            nickname: None,
            is_managed: self.is_managed.unwrap_or(true),
            ordinal,
            created_at: now,
            reachable_since: health.unreachable_since().is_none().then_some(now),
            health,
            backup_pool: None,
            overrides: self.overrides,
            custom_metadata: custom_metadata::new(self.custom_metadata)?,
            events_made: 0,
            lock_operations: Vec::new(),
            deleted_at: None,
            space_ids: Vec::new(),
        };
        // Sets what follows from the levels of the batteries.
        device.change(now, |_| ());
        Ok(device)
    }

    /// Returns the default specification of a device type.
    pub(crate) fn of_type(device_type: &str) -> Self {
        Self {
            device_type: device_type.to_owned(),
            name: None,
            device_id: None,
            online: None,
            hub_connected: None,
            account_connected: None,
            removed: None,
            subscription_expired: None,
            is_managed: None,
            custom_metadata: None,
            errors: Vec::new(),
            warnings: Vec::new(),
            overrides: Overrides::default(),
        }
    }

    /// Returns the initial health of the device.
    fn health(&self, now: Timestamp, account_disconnected_at: Option<Timestamp>) -> DeviceHealth {
        let since = |is_wrong: bool| is_wrong.then_some(now);
        let injected = |conditions: &[InjectedCondition]| {
            conditions.iter().cloned().map(|condition| condition.into_condition(now)).collect()
        };
        DeviceHealth {
            disconnected_at: since(self.online == Some(false)),
            hub_disconnected_at: since(self.hub_connected == Some(false)),
            removed_at: since(self.removed == Some(true)),
            account_disconnected_at,
            subscription_expired_at: since(self.subscription_expired == Some(true)),
            errors: injected(&self.errors),
            warnings: injected(&self.warnings),
            ..DeviceHealth::default()
        }
    }

    /// Reads a specification that passed the contract. `index` is its position in the request. `online` and `name` are
    /// also accepted in `properties`, where Seam's device has them.
    pub(crate) fn read(spec: Map<String, Value>, index: usize) -> Result<Self> {
        let invalid = |error: serde_json::Error| {
            Error::invalid("locks", format!("The lock at {index} is invalid: {}", quoted(&error.to_string())))
        };
        let mut read = Self::deserialize(Value::Object(spec)).map_err(invalid)?;
        let (name, online) = read.overrides.take_name_and_online().map_err(invalid)?;
        (read.name, read.online) = (read.name.or(name), read.online.or(online));
        read.overrides = read.overrides.normalize().map_err(invalid)?;
        Ok(read)
    }
}
