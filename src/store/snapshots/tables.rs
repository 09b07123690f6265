//! List of the tables whose rows belong to a workspace.

use crate::clock::duration_from_iso;
use crate::domain::access_code::lifecycle::rare_fields::{FaultOutcome, RareFields};
use crate::domain::access_grant::{Conditions, RequestedAccessMethod, TimesChange};
use crate::domain::action_attempt::StoredOutcome;
use crate::domain::connect_webview::WebviewStatus;
use crate::domain::device::health::{BackupPool, DeviceHealth};
use crate::domain::device::lock_operation::LockOperation;
use crate::domain::device::{Overrides, brands};
use crate::domain::http_fault::HttpFaultOutcome;
use crate::domain::rate_limit::RateLimits;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Checks that a value other than null can be read later. The error says what is wrong with it.
pub(crate) type Check = fn(&Value) -> Result<(), String>;

/// Table whose rows belong to a workspace.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// Column that identifies a row.
    pub key: &'static str,
    /// Columns by which the rows are ordered in a snapshot: the order of creation, or for `pin_group` the order of the
    /// keys.
    pub order: &'static str,
    /// True if a restore updates rows that exist already, instead of deleting all rows and inserting them again. This
    /// is for the workspace, its devices, its accounts, and its webhooks. Requests may wait for the lock of a device,
    /// and then continue with this row; deleting an account would also delete its devices; webhooks have secrets, which
    /// snapshots do not contain.
    pub updates_in_place: bool,
    /// Columns that refer to a row of another table, with that table.
    pub references: &'static [(&'static str, &'static str)],
    /// Columns with more requirements than their type, with the check; every `jsonb` column is among them.
    pub checks: &'static [(&'static str, Check)],
}

/// Table of the workspace itself.
pub const WORKSPACE: Table = Table {
    name: "workspace",
    key: "workspace_id",
    order: "workspace_id",
    updates_in_place: true,
    references: &[],
    checks: &[("rate_limits", is::<RateLimits>), ("connect_webview_customization", is::<Map<String, Value>>)],
};

/// Tables of a workspace. A table comes after the tables that it refers to.
pub const TABLES: [Table; 15] = [
    Table {
        name: "connected_account",
        key: "connected_account_id",
        order: "created_at, connected_account_id",
        updates_in_place: true,
        references: &[],
        checks: &[("custom_metadata", is::<Map<String, Value>>), ("accepted_capabilities", is::<Vec<String>>)],
    },
    Table {
        name: "device",
        key: "device_id",
        order: "ordinal",
        updates_in_place: true,
        references: &[("connected_account_id", "connected_account")],
        checks: &[
            ("device_type", is_lock),
            ("trouble", is::<DeviceHealth>),
            ("backup_pool", is::<BackupPool>),
            ("overrides", is::<Overrides>),
            ("custom_metadata", is::<Map<String, Value>>),
            ("lock_operations", is::<Vec<LockOperation>>),
        ],
    },
    Table {
        name: "pin_group",
        key: "common_code_key",
        order: "common_code_key collate \"C\"",
        updates_in_place: false,
        references: &[],
        checks: &[],
    },
    Table {
        name: "access_code",
        key: "access_code_id",
        order: "sequence",
        updates_in_place: false,
        references: &[
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
        updates_in_place: false,
        references: &[("device_id", "device"), ("access_code_id", "access_code")],
        checks: &[("outcome", is::<StoredOutcome>)],
    },
    Table {
        name: "event",
        key: "event_id",
        order: "sequence",
        updates_in_place: false,
        // The connect webview is not checked: it may have been deleted since.
        references: &[
            ("device_id", "device"),
            ("connected_account_id", "connected_account"),
            ("access_code_id", "access_code"),
        ],
        checks: &[("payload", is::<Map<String, Value>>)],
    },
    Table {
        name: "connect_webview",
        key: "connect_webview_id",
        order: "sequence",
        updates_in_place: false,
        // The account is not checked: it may have been deleted since.
        references: &[],
        checks: &[
            ("accepted_providers", is::<Vec<String>>),
            ("accepted_capabilities", is::<Vec<String>>),
            ("custom_metadata", is::<Map<String, Value>>),
            ("status", is::<WebviewStatus>),
        ],
    },
    Table {
        name: "fault",
        key: "fault_id",
        order: "sequence",
        updates_in_place: false,
        // The device is not checked: a fault may refer to a device that does not exist.
        references: &[],
        checks: &[("outcome", is_outcome)],
    },
    Table {
        name: "http_fault",
        key: "http_fault_id",
        order: "sequence",
        updates_in_place: false,
        references: &[],
        checks: &[("outcome", is_http_outcome)],
    },
    Table {
        name: "webhook",
        key: "webhook_id",
        order: "sequence",
        // Existing webhooks keep their secret and their lease.
        updates_in_place: true,
        references: &[],
        checks: &[],
    },
    Table {
        name: "user_identity",
        key: "user_identity_id",
        order: "sequence",
        updates_in_place: false,
        // The devices are not checked: those that do not exist are not shown. The same applies to spaces.
        references: &[("merged_into", "user_identity")],
        checks: &[],
    },
    Table {
        name: "space",
        key: "space_id",
        order: "sequence",
        updates_in_place: false,
        references: &[],
        checks: &[("customer_data", is::<Map<String, Value>>)],
    },
    Table {
        name: "access_grant",
        key: "access_grant_id",
        order: "sequence",
        updates_in_place: false,
        // The identity, the devices and the spaces are not checked: they may have been deleted since.
        references: &[],
        checks: &[
            ("device_ids", is::<Vec<Uuid>>),
            ("space_ids", is::<Vec<Uuid>>),
            ("requested_access_methods", is::<Vec<RequestedAccessMethod>>),
            ("conditions", is::<Conditions>),
            ("changing_times", is::<TimesChange>),
        ],
    },
    Table {
        name: "access_method",
        key: "access_method_id",
        order: "sequence",
        updates_in_place: false,
        references: &[("access_grant_id", "access_grant")],
        checks: &[("changing_times", is::<TimesChange>)],
    },
    Table {
        name: "client_session",
        key: "client_session_id",
        order: "sequence",
        updates_in_place: false,
        // The accounts are not checked: a session may have access to an account that was deleted. Nor are the user
        // identities.
        references: &[],
        checks: &[],
    },
];

/// Tables with a `workspace_id` that are not part of a snapshot: credentials do not change, a snapshot does not contain
/// snapshots, and a restore deletes all webhook deliveries, so that no event is sent again.
pub const LEFT_OUT: [&str; 3] = ["credential", "snapshot", "webhook_delivery"];

/// Columns that are not part of a snapshot, in any table. `sequence` is generated again, in the order of the rows.
/// `wake_at` is computed from `due_at` and the clock.
const COLUMNS_LEFT_OUT: [&str; 3] = ["workspace_id", "sequence", "wake_at"];

/// Further columns of the workspace that are not part of a snapshot. A restore does not change the identity, the owner
/// and the lifetime of the workspace, nor the number of its snapshots and resets. The clock is a separate member of the
/// document.
const WORKSPACE_COLUMNS_LEFT_OUT: [&str; 10] = [
    "is_sandbox",
    "publishable_key",
    "person_id",
    "expires_at",
    "snapshots_made",
    "resets_made",
    "clock_mode",
    "clock_at",
    "clock_since",
    "clock_rate",
];

/// Further columns of a webhook that are not part of a snapshot. The secret is a credential, and the state of the
/// receiver and the lease belong to the machine's time.
const WEBHOOK_COLUMNS_LEFT_OUT: [&str; 5] = ["secret", "failing_since", "disabled_at", "leased_by", "leased_until"];

/// Returns the columns of a table that are not part of a snapshot.
pub(crate) fn columns_left_out(table: &str) -> impl Iterator<Item = &'static str> {
    let further: &[&str] = match table {
        "workspace" => &WORKSPACE_COLUMNS_LEFT_OUT,
        "webhook" => &WEBHOOK_COLUMNS_LEFT_OUT,
        _ => &[],
    };
    COLUMNS_LEFT_OUT.iter().chain(further).copied()
}

fn is<T: DeserializeOwned>(value: &Value) -> Result<(), String> {
    T::deserialize(value).map(drop).map_err(|error| error.to_string())
}

fn is_lock(value: &Value) -> Result<(), String> {
    let device_type = value.as_str().unwrap_or_default();
    brands::of(device_type).map(drop).ok_or_else(|| format!("{device_type} is not a lock"))
}

fn is_outcome(value: &Value) -> Result<(), String> {
    match FaultOutcome::deserialize(value) {
        Ok(FaultOutcome::Delay(delay)) if duration_from_iso(&delay).is_none() => {
            Err(format!("{delay} is not an ISO 8601 duration"))
        }
        outcome => outcome.map(drop).map_err(|error| error.to_string()),
    }
}

fn is_http_outcome(value: &Value) -> Result<(), String> {
    match HttpFaultOutcome::deserialize(value) {
        Ok(HttpFaultOutcome::Delay { delay }) if duration_from_iso(&delay).is_none() => {
            Err(format!("{delay} is not an ISO 8601 duration"))
        }
        Ok(HttpFaultOutcome::Status { status, .. }) if !(400..600).contains(&status) => {
            Err(format!("{status} is not an error status"))
        }
        Ok(_) => Ok(()),
        Err(_) => Err("it is neither a status nor a delay nor a reset".to_owned()),
    }
}
