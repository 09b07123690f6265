//! Action attempts: what was asked of a device, and what has become of it.
//!
//! Whether an attempt on an access code is over follows from the life of the code, and its result is the code itself. An
//! outcome is stored only where that is not so: one that is over as soon as it is made, such as a take-over.

use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Seam's names of what is asked of devices.
pub(crate) mod action_type {
    /// Set a new access code.
    pub(crate) const CREATE_ACCESS_CODE: &str = "CREATE_ACCESS_CODE";
    /// Change an access code.
    pub(crate) const UPDATE_ACCESS_CODE: &str = "UPDATE_ACCESS_CODE";
    /// Remove an access code.
    pub(crate) const DELETE_ACCESS_CODE: &str = "DELETE_ACCESS_CODE";
    /// Manage an unmanaged access code.
    pub(crate) const CONVERT_ACCESS_CODE_TO_MANAGED: &str = "CONVERT_ACCESS_CODE_TO_MANAGED";
    /// Lock.
    pub(crate) const LOCK_DOOR: &str = "LOCK_DOOR";
    /// Unlock.
    pub(crate) const UNLOCK_DOOR: &str = "UNLOCK_DOOR";
}

/// An action attempt about to be recorded.
#[derive(Clone, Debug)]
pub struct NewActionAttempt {
    /// Its id.
    pub action_attempt_id: Uuid,
    /// The workspace it was made in.
    pub workspace_id: Uuid,
    /// Seam's `action_type`.
    pub action_type: &'static str,
    /// The device that is to do it.
    pub device_id: Uuid,
    /// The code it is about, if it is about one.
    pub access_code_id: Option<Uuid>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Set where it is over as soon as it is made.
    pub resolved_at: Option<Timestamp>,
    /// What came of it, where that does not follow from the code's life.
    pub outcome: Option<StoredOutcome>,
}

/// The outcome of an attempt, where it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredOutcome {
    /// It succeeded with this result.
    Result(Value),
    /// It failed with this error.
    Error(Value),
}
