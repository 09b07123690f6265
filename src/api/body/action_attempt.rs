//! Seam's `action_attempt`.

use super::access_code::AccessCodeBody;
use crate::domain::access_code::AccessCode;
use crate::domain::action_attempt::{NewActionAttempt, StoredOutcome};
use crate::domain::device::DeviceSummary;
use crate::error::Result;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// Seam's `action_attempt`.
#[derive(Debug, Serialize)]
pub(crate) struct ActionAttemptBody {
    status: &'static str,
    action_type: String,
    action_attempt_id: Uuid,
    result: Option<Value>,
    error: Option<Value>,
}

impl ActionAttemptBody {
    /// Creates the body of an action attempt with the given status.
    pub(crate) fn new(action_attempt_id: Uuid, action_type: &str, outcome: AttemptStatus) -> Self {
        let (status, result, error) = match outcome {
            AttemptStatus::Pending => ("pending", None, None),
            AttemptStatus::Success(result) => ("success", Some(result), None),
            AttemptStatus::Error(error) => ("error", None, Some(error)),
        };
        Self { status, action_type: action_type.to_owned(), action_attempt_id, result, error }
    }

    /// Creates the body of the attempt for a new code, for the response to the request that created it. `waited`: the
    /// request had `sync`.
    ///
    /// The attempt is successful if the lock already has the code, or if the caller waited and the attempt is resolved.
    /// Otherwise it is pending. So without `sync` it is also pending for a code that waits for its time frame, although
    /// that attempt is stored as resolved.
    pub(crate) fn of_access_code(
        attempt: &NewActionAttempt,
        code: &AccessCode,
        body: &AccessCodeBody,
        waited: bool,
    ) -> Result<Self> {
        let is_over = code.state.held.is_some() || (waited && attempt.resolved_at.is_some());
        let outcome = if is_over {
            AttemptStatus::Success(json!({ "access_code": serde_json::to_value(body)? }))
        } else {
            AttemptStatus::Pending
        };
        Ok(Self::new(attempt.action_attempt_id, attempt.action_type, outcome))
    }

    /// Creates the body of the attempt for an update, for the response to that update. `waited`: the request had
    /// `sync`.
    ///
    /// The attempt is successful if nothing changed, if the code became unmanaged, or if it is resolved and the caller
    /// waited or the lock has the code. Otherwise it is pending.
    pub(crate) fn of_update(
        attempt: &NewActionAttempt,
        code: &AccessCode,
        device: &DeviceSummary,
        waited: bool,
    ) -> Result<Self> {
        if attempt.outcome.is_some() {
            return Ok(Self::resolved(attempt));
        }
        let is_over = attempt.resolved_at.is_some() && (waited || code.state.held.is_some());
        let outcome = if is_over {
            AttemptStatus::Success(json!({ "access_code": serde_json::to_value(AccessCodeBody::of(code, device))? }))
        } else {
            AttemptStatus::Pending
        };
        Ok(Self::new(attempt.action_attempt_id, attempt.action_type, outcome))
    }

    /// Creates the body of an attempt with a known outcome.
    pub(crate) fn resolved(attempt: &NewActionAttempt) -> Self {
        let outcome = attempt.outcome.as_ref().map_or(AttemptStatus::Pending, |outcome| outcome.clone().into());
        Self::new(attempt.action_attempt_id, attempt.action_type, outcome)
    }

    /// Creates the body of the attempt for a deletion.
    pub(crate) fn of_deletion(attempt: &NewActionAttempt) -> Self {
        let outcome = attempt.resolved_at.map_or(AttemptStatus::Pending, |_| AttemptStatus::Success(json!({})));
        Self::new(attempt.action_attempt_id, attempt.action_type, outcome)
    }
}

/// Status of an action attempt.
pub(crate) enum AttemptStatus {
    Pending,
    /// Holds the result.
    Success(Value),
    /// Holds the error.
    Error(Value),
}

impl From<StoredOutcome> for AttemptStatus {
    fn from(stored: StoredOutcome) -> Self {
        match stored {
            StoredOutcome::Result(result) => Self::Success(result),
            StoredOutcome::Error(error) => Self::Error(error),
        }
    }
}
