//! Action attempts: asynchronous requests to a device, and their outcome.
//!
//! The status and the result of most attempts are derived from the state of their access code. An outcome is stored if
//! it does not follow from that state: for a conversion to managed, for an update that changes nothing or converts the
//! code to unmanaged at once, and for actions of the lock itself, such as unlocking the door.

use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Values of Seam's `action_type`.
pub(crate) mod action_type {
    pub(crate) const CREATE_ACCESS_CODE: &str = "CREATE_ACCESS_CODE";
    pub(crate) const UPDATE_ACCESS_CODE: &str = "UPDATE_ACCESS_CODE";
    pub(crate) const DELETE_ACCESS_CODE: &str = "DELETE_ACCESS_CODE";
    pub(crate) const CONVERT_ACCESS_CODE_TO_MANAGED: &str = "CONVERT_ACCESS_CODE_TO_MANAGED";
    pub(crate) const RESET_SANDBOX_WORKSPACE: &str = "RESET_SANDBOX_WORKSPACE";
    pub(crate) const LOCK_DOOR: &str = "LOCK_DOOR";
    pub(crate) const UNLOCK_DOOR: &str = "UNLOCK_DOOR";
    pub(crate) const CONFIGURE_AUTO_LOCK: &str = "CONFIGURE_AUTO_LOCK";
    pub(crate) const SIMULATE_KEYPAD_CODE_ENTRY: &str = "SIMULATE_KEYPAD_CODE_ENTRY";
    pub(crate) const SIMULATE_MANUAL_LOCK_VIA_KEYPAD: &str = "SIMULATE_MANUAL_LOCK_VIA_KEYPAD";
}

/// Action attempt that is not recorded yet.
#[derive(Clone, Debug)]
pub struct NewActionAttempt {
    pub action_attempt_id: Uuid,
    pub workspace_id: Uuid,
    /// Seam's `action_type`.
    pub action_type: &'static str,
    /// Device that performs the action.
    pub device_id: Uuid,
    /// Access code of the action; `None` for an action of the lock itself.
    pub access_code_id: Option<Uuid>,
    pub created_at: Timestamp,
    /// Instant of the resolution if the attempt is already resolved when it is created, for example because its code
    /// waits for its time frame or has no change. `None`: the state of the code decides, or the lock has not performed
    /// the action yet.
    pub resolved_at: Option<Timestamp>,
    /// Outcome, if it cannot be derived from the state of the code.
    pub outcome: Option<StoredOutcome>,
}

/// Stored outcome of an action attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredOutcome {
    /// Result of a successful attempt.
    Result(Value),
    /// Error of a failed attempt.
    Error(Value),
}
