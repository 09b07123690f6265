//! What belongs to a workspace: the one list of its tables.

use crate::clock::duration_from_iso;
use crate::domain::access_code::lifecycle::rare_fields::{FaultOutcome, RareFields};
use crate::domain::action_attempt::StoredOutcome;
use crate::domain::device::health::{BackupPool, DeviceHealth};
use crate::domain::device::{Overrides, brands};
use crate::domain::http_fault::HttpFaultOutcome;
use crate::domain::rate_limit::RateLimits;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Says what is wrong with a value that is not null, for the code that will read it.
pub(crate) type Check = fn(&Value) -> Result<(), String>;

/// A table whose rows belong to a workspace.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The column that tells its rows apart.
    pub key: &'static str,
    /// The columns by which rows stand in a snapshot in the order in which they were made.
    pub order: &'static str,
    /// Rows of the same key are overwritten, not replaced: requests wait for their locks, and go on with them afterwards.
    pub is_locked: bool,
    /// Columns that name a row of another table here.
    pub refers: &'static [(&'static str, &'static str)],
    /// Columns that hold more than their type says; every `jsonb` is among them.
    pub checks: &'static [(&'static str, Check)],
}

/// The workspace's own row.
pub const WORKSPACE: Table = Table {
    name: "workspace",
    key: "workspace_id",
    order: "workspace_id",
    is_locked: true,
    refers: &[],
    checks: &[("rate_limits", is::<RateLimits>)],
};

/// What belongs to a workspace; what others refer to comes first.
pub const TABLES: [Table; 8] = [
    Table {
        name: "connected_account",
        key: "connected_account_id",
        order: "created_at, connected_account_id",
        is_locked: true,
        refers: &[],
        checks: &[],
    },
    Table {
        name: "device",
        key: "device_id",
        order: "ordinal",
        is_locked: true,
        refers: &[("connected_account_id", "connected_account")],
        checks: &[
            ("device_type", is_lock),
            ("trouble", is::<DeviceHealth>),
            ("backup_pool", is::<BackupPool>),
            ("overrides", is::<Overrides>),
            ("custom_metadata", is::<Map<String, Value>>),
        ],
    },
    Table {
        name: "pin_group",
        key: "common_code_key",
        order: "common_code_key collate \"C\"",
        is_locked: false,
        refers: &[],
        checks: &[],
    },
    Table {
        name: "access_code",
        key: "access_code_id",
        order: "sequence",
        is_locked: false,
        refers: &[
            ("device_id", "device"),
            ("pool_device_id", "device"),
            ("blocked_on", "device"),
            ("pulled_backup_access_code_id", "access_code"),
        ],
        checks: &[("particulars", is::<RareFields>)],
    },
    Table {
        name: "action_attempt",
        key: "action_attempt_id",
        order: "created_at, action_attempt_id",
        is_locked: false,
        refers: &[("device_id", "device"), ("access_code_id", "access_code")],
        checks: &[("outcome", is::<StoredOutcome>)],
    },
    Table {
        name: "event",
        key: "event_id",
        order: "sequence",
        is_locked: false,
        refers: &[
            ("device_id", "device"),
            ("connected_account_id", "connected_account"),
            ("access_code_id", "access_code"),
        ],
        checks: &[("payload", is::<Map<String, Value>>)],
    },
    Table {
        name: "fault",
        key: "fault_id",
        order: "sequence",
        is_locked: false,
        // Not its device: that need not be there.
        refers: &[],
        checks: &[("outcome", is_outcome)],
    },
    Table {
        name: "http_fault",
        key: "http_fault_id",
        order: "sequence",
        is_locked: false,
        refers: &[],
        checks: &[("outcome", is_http_outcome)],
    },
];

/// Tables with a `workspace_id` that no snapshot has: keys stay as they are, and snapshots are not in snapshots.
pub const LEFT_OUT: [&str; 2] = ["credential", "snapshot"];

/// Columns that no snapshot has. What the workspace is called by, and for how long it is there, stays as it is. The clock
/// stands in the document by itself. `sequence` and `wake_at` follow from the rest.
pub(crate) const COLUMNS_LEFT_OUT: [&str; 11] = [
    "workspace_id",
    "is_sandbox",
    "publishable_key",
    "expires_at",
    "snapshots_made",
    "clock_mode",
    "clock_at",
    "clock_since",
    "clock_rate",
    "sequence",
    "wake_at",
];

fn is<T: DeserializeOwned>(value: &Value) -> Result<(), String> {
    T::deserialize(value).map(drop).map_err(|error| error.to_string())
}

fn is_lock(value: &Value) -> Result<(), String> {
    let device_type = value.as_str().unwrap_or_default();
    brands::of(device_type).map(drop).ok_or_else(|| format!("{device_type} is no lock"))
}

fn is_outcome(value: &Value) -> Result<(), String> {
    match FaultOutcome::deserialize(value) {
        Ok(FaultOutcome::Delay(delay)) if duration_from_iso(&delay).is_none() => {
            Err(format!("{delay} is no ISO 8601 duration"))
        }
        outcome => outcome.map(drop).map_err(|error| error.to_string()),
    }
}

fn is_http_outcome(value: &Value) -> Result<(), String> {
    match HttpFaultOutcome::deserialize(value) {
        Ok(HttpFaultOutcome::Delay { delay }) if duration_from_iso(&delay).is_none() => {
            Err(format!("{delay} is no ISO 8601 duration"))
        }
        Ok(HttpFaultOutcome::Status { status, .. }) if !(400..600).contains(&status) => {
            Err(format!("{status} is no status of an error"))
        }
        Ok(_) => Ok(()),
        Err(_) => Err("it is neither a status nor a delay nor a reset".to_owned()),
    }
}
