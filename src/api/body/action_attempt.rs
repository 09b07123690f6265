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
    /// The attempt with this id and type, and what has become of it.
    pub(crate) fn new(action_attempt_id: Uuid, action_type: &str, outcome: AttemptStatus) -> Self {
        let (status, result, error) = match outcome {
            AttemptStatus::Pending => ("pending", None, None),
            AttemptStatus::Success(result) => ("success", Some(result), None),
            AttemptStatus::Error(error) => ("error", None, Some(error)),
        };
        Self { status, action_type: action_type.to_owned(), action_attempt_id, result, error }
    }

    /// The attempt that comes with a new code. It is pending at first, also where the code only has to be
    /// accepted, unless the lock has the code already or the caller `waited` for what became of the attempt.
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

    /// The attempt that comes with a change. It is pending at first unless nothing changed, the lock has the change
    /// already, or the caller `waited` for what became of it.
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

    /// An attempt whose outcome is known.
    pub(crate) fn resolved(attempt: &NewActionAttempt) -> Self {
        let outcome = attempt.outcome.as_ref().map_or(AttemptStatus::Pending, |outcome| outcome.clone().into());
        Self::new(attempt.action_attempt_id, attempt.action_type, outcome)
    }

    /// The attempt that comes with a deletion.
    pub(crate) fn of_deletion(attempt: &NewActionAttempt) -> Self {
        let outcome = attempt.resolved_at.map_or(AttemptStatus::Pending, |_| AttemptStatus::Success(json!({})));
        Self::new(attempt.action_attempt_id, attempt.action_type, outcome)
    }
}

/// What has become of an attempt.
pub(crate) enum AttemptStatus {
    /// Nothing yet.
    Pending,
    /// It succeeded with this result.
    Success(Value),
    /// It failed with this error.
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
