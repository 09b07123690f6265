//! Action attempts: asynchronous requests to a device, and their outcome.
//!
//! The status of an attempt on an access code is derived from the state of the code, and its result is the code itself.
//! An outcome is stored only for other attempts: those that are resolved when they are created, such as a conversion to
//! managed.

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
    pub(crate) const LOCK_DOOR: &str = "LOCK_DOOR";
    pub(crate) const UNLOCK_DOOR: &str = "UNLOCK_DOOR";
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
    /// Instant of the outcome if the attempt is resolved when it is created; `None`: not resolved yet.
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
