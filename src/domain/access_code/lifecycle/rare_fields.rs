//! Optional fields that few codes use: pending updates, failures, changes made at the lock, and others.

use super::{LockCode, Window};
use crate::clock::{Timestamp, to_iso};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The PIN violates the rules of the lock. No retry until the PIN is changed.
pub(crate) const CODE_CONSTRAINTS_VIOLATED: &str = "code_constraints_violated";
/// The lock already stores the PIN.
pub(crate) const DUPLICATE_CODE_ON_DEVICE: &str = "duplicate_code_on_device";
/// The lock's memory is full.
pub(crate) const NO_SPACE_ON_DEVICE: &str = "no_space_for_access_code_on_device";
/// An attempt to set or update the code on the lock failed.
pub(crate) const FAILED_TO_SET: &str = "failed_to_set_on_device";
/// An attempt to remove the code from the lock failed or takes too long.
pub(crate) const FAILED_TO_REMOVE: &str = "failed_to_remove_from_device";

/// Optional fields of a code. Fields with their default value are not serialized.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct RareFields {
    /// Start that the lock gets instead of the requested one, which was in the past when the lock was programmed.
    #[serde(skip_serializing_if = "is_default")]
    pub lock_starts_at: Option<Timestamp>,
    /// Request to convert the code to unmanaged as soon as the lock stores it.
    #[serde(skip_serializing_if = "is_default")]
    pub unmanage: Option<Unmanage>,
    /// Changes that the lock does not have yet, each with the instant since which it is pending.
    #[serde(skip_serializing_if = "is_default")]
    pub updating: Updating,
    /// Outcome of the operation in progress if a fault determines it.
    #[serde(skip_serializing_if = "is_default")]
    #[serde(rename = "fate")]
    pub injected_outcome: Option<FaultOutcome>,
    /// Current problem with setting, updating or removing the code.
    #[serde(skip_serializing_if = "is_default")]
    pub failure: Option<Failure>,
    /// Instant at which setting or updating the code was reported as slow.
    #[serde(skip_serializing_if = "is_default")]
    pub slow_since: Option<Timestamp>,
    /// Change made to the code at the lock.
    #[serde(skip_serializing_if = "is_default")]
    pub external: Option<ExternalChange>,
    /// True if the code has ended and was removed from the lock, in a workspace that keeps expired codes visible.
    #[serde(skip_serializing_if = "is_default")]
    pub has_expired: bool,
    /// True while the provider has not assigned the PIN yet.
    #[serde(skip_serializing_if = "is_default")]
    pub awaits_code: bool,
    /// Instant at which a backup code was pulled for this code.
    #[serde(skip_serializing_if = "is_default")]
    pub backup_pulled_at: Option<Timestamp>,
    /// Progress towards the issuance of the access method of the code; `None`: the code belongs to no access grant.
    #[serde(skip_serializing_if = "is_default")]
    pub issuance: Option<Issuance>,
    /// Data of an offline code: its kind and further manufacturer data.
    #[serde(skip_serializing_if = "is_default")]
    pub offline: Option<Value>,
    /// Instant at which an offline code first opened its lock.
    #[serde(skip_serializing_if = "is_default")]
    pub first_used_at: Option<Timestamp>,
    /// True for an unmanaged code that cannot be converted to managed.
    #[serde(skip_serializing_if = "is_default")]
    pub cannot_be_managed: bool,
    /// True for an unmanaged code that can be deleted only in the manufacturer's app.
    #[serde(skip_serializing_if = "is_default")]
    pub cannot_delete: bool,
    /// Errors that a tester added to the code.
    #[serde(skip_serializing_if = "is_default")]
    pub errors: Vec<Condition>,
    /// Warnings that a tester added to the code.
    #[serde(skip_serializing_if = "is_default")]
    pub warnings: Vec<Condition>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Requests to convert a code to unmanaged that arrived before the lock stored it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmanage {
    /// Action attempts of the requests. Their status is derived from the state of the code.
    pub action_attempt_ids: Vec<Uuid>,
}

/// For each property, the instant since which the lock lacks the requested value; `None` if it has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Updating {
    pub name: Option<Timestamp>,
    /// PIN.
    pub code: Option<Timestamp>,
    /// Time frame.
    pub window: Option<Timestamp>,
}

impl Updating {
    /// Returns the earliest of the instants.
    pub fn since(&self) -> Option<Timestamp> {
        [self.name, self.code, self.window].into_iter().flatten().min()
    }
}

/// Progress of a code towards the issuance of its access method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuance {
    /// Creation of the code, or the last change of the times of its access grant.
    pub since: Timestamp,
    /// Latest report that the code is not ready for its guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported: Option<LateIssuance>,
    /// For an offline code: times of the access grant for which it was computed. Those of the code are rounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub computed_for: Option<Window>,
    /// True if the lock was full when the code was created or its times were changed, and has not stored it since.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lock_was_full: bool,
}

impl Issuance {
    /// Creates the progress of a code that was created or changed at this instant.
    pub fn since(since: Timestamp) -> Self {
        Self { since, reported: None, computed_for: None, lock_was_full: false }
    }

    /// Returns the progress after a change of times at this instant. The lock has a place for the code in the new times.
    pub fn restarted(self, since: Timestamp) -> Self {
        Self { since, reported: None, lock_was_full: false, ..self }
    }
}

/// Report that a code of an access method is not ready for its guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LateIssuance {
    /// Not ready shortly before the start.
    Delayed,
    /// Not ready at the start.
    Failed,
}

/// Effect of a fault on an operation, in the JSON shape of the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultOutcome {
    /// The operation fails.
    Fail(OperationError),
    /// The operation takes this long, as an ISO 8601 duration.
    Delay(String),
    /// The operation never finishes.
    Never,
}

/// Error of a failing operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OperationError {
    /// Seam's `error_code`; `None`: the usual one for the operation, [`FAILED_TO_SET`] or [`FAILED_TO_REMOVE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Error message; `None`: the default message for the operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// For a duplicate PIN: the code that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<Duplicate>,
}

/// Code on the same lock with the same PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicate {
    pub access_code_id: Uuid,
    pub is_managed: bool,
}

/// Problem with setting, updating or removing a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Seam's `error_code`.
    pub error_code: String,
    pub message: String,
    /// Instant since which the code has this `error_code`.
    pub since: Timestamp,
    /// Number of consecutive failed attempts; [`CodeState::retry_now`](super::CodeState::retry_now) resets it.
    pub attempts: u32,
    /// Start of the next attempt, ignored if `is_final`; `None`: no attempt has failed, the current one is only slow.
    pub retry_at: Option<Timestamp>,
    /// True if the operation is not retried until the code is changed.
    pub is_final: bool,
    /// For a duplicate PIN: the code that has it.
    pub duplicate_of: Option<Duplicate>,
}

impl Failure {
    /// Returns true if the memory of the lock blocks the code: a duplicate PIN, or no free space. Both can change.
    pub fn is_blocked(&self) -> bool {
        self.error_code == DUPLICATE_CODE_ON_DEVICE || self.error_code == NO_SPACE_ON_DEVICE
    }
}

/// Change made to a code at the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalChange {
    /// Instant of the first change that is still in effect.
    pub since: Timestamp,
    /// True if the code was removed from the lock, false if it was modified.
    pub is_removed: bool,
    /// Properties that differ from the state before the change.
    pub modified_fields: Vec<ModifiedField>,
    /// True if the change stays, false if Seam reverts it.
    pub is_honoured: bool,
}

/// One of Seam's `modified_fields`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModifiedField {
    pub field: String,
    /// Value before the change.
    pub from: Option<String>,
    /// Value on the lock.
    pub to: Option<String>,
}

/// Error or warning that a tester added to a code or a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Seam's `error_code` or `warning_code`.
    pub code: String,
    pub message: String,
    pub created_at: Timestamp,
}

/// Returns the properties that differ between two entries, by Seam's names.
pub(crate) fn modified_fields(from: &LockCode, to: &LockCode) -> Vec<ModifiedField> {
    let starts_at = |window: Option<Window>| window.map(|window| to_iso(window.starts_at));
    let ends_at = |window: Option<Window>| window.map(|window| to_iso(window.ends_at));
    let pairs = [
        ("name", from.name.clone(), to.name.clone()),
        ("code", Some(from.code.clone()), Some(to.code.clone())),
        ("starts_at", starts_at(from.window), starts_at(to.window)),
        ("ends_at", ends_at(from.window), ends_at(to.window)),
    ];
    let differences = pairs.into_iter().filter(|(_, from, to)| from != to);
    differences.map(|(field, from, to)| ModifiedField { field: field.to_owned(), from, to }).collect()
}
