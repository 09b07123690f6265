//! Action attempts: what was asked of a device, and what has become of it.
//!
//! Whether an attempt on an access code is over follows from the life of the code, and its result is the code itself. An
//! outcome is stored only where that is not so: one that is over as soon as it is made, such as a take-over.

use crate::clock::Instant;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// An action attempt that comes with a code.
#[derive(Clone, Debug)]
pub struct NewActionAttempt {
    /// Its id.
    pub action_attempt_id: Uuid,
    /// Seam's `action_type`.
    pub action_type: &'static str,
    /// The code it is about.
    pub access_code_id: Uuid,
    /// That code's lock.
    pub device_id: Uuid,
    /// When it was made.
    pub created_at: Instant,
    /// Set where it is over as soon as it is made.
    pub resolved_at: Option<Instant>,
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
