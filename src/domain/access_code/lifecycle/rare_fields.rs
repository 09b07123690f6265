//! Facts that few codes have: what is being changed, what went wrong, what somebody else did.

use super::{LockCode, Window};
use crate::clock::{Timestamp, to_iso};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The PIN breaks the lock's rules: not tried again until it is changed.
pub(crate) const CODE_CONSTRAINTS_VIOLATED: &str = "code_constraints_violated";
/// The lock holds the PIN already.
pub(crate) const DUPLICATE_CODE_ON_DEVICE: &str = "duplicate_code_on_device";
/// The lock's memory is full.
pub(crate) const NO_SPACE_ON_DEVICE: &str = "no_space_for_access_code_on_device";
/// An attempt to put the code on the lock, or to change it there, failed.
pub(crate) const FAILED_TO_SET: &str = "failed_to_set_on_device";
/// An attempt to take the code off the lock failed, or takes too long.
pub(crate) const FAILED_TO_REMOVE: &str = "failed_to_remove_from_device";

/// What few codes have. What is empty is not written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct RareFields {
    /// The start that the lock is given in place of one that had begun when it was programmed.
    #[serde(skip_serializing_if = "is_default")]
    pub lock_starts_at: Option<Timestamp>,
    /// That the code is to become unmanaged as soon as the lock holds it.
    #[serde(skip_serializing_if = "is_default")]
    pub unmanage: Option<Unmanage>,
    /// Which changes the lock does not have yet, and since when.
    #[serde(skip_serializing_if = "is_default")]
    pub updating: Updating,
    /// What is to become of the operation in flight, where that is not the usual.
    #[serde(skip_serializing_if = "is_default")]
    #[serde(rename = "fate")]
    pub injected_outcome: Option<FaultOutcome>,
    /// What is wrong on the way to the lock or off it.
    #[serde(skip_serializing_if = "is_default")]
    pub failure: Option<Failure>,
    /// Since when the lock takes unusually long to have the code.
    #[serde(skip_serializing_if = "is_default")]
    pub slow_since: Option<Timestamp>,
    /// What somebody did to the code at the lock.
    #[serde(skip_serializing_if = "is_default")]
    pub external: Option<ExternalChange>,
    /// The code has ended and left the lock, in a workspace that keeps such codes to be seen.
    #[serde(skip_serializing_if = "is_default")]
    pub has_expired: bool,
    /// The provider has not told the PIN yet.
    #[serde(skip_serializing_if = "is_default")]
    pub awaits_code: bool,
    /// When a backup was pulled for the code.
    #[serde(skip_serializing_if = "is_default")]
    pub backup_pulled_at: Option<Timestamp>,
    /// What an offline code is: its kind and whatever its maker tells of it.
    #[serde(skip_serializing_if = "is_default")]
    pub offline: Option<Value>,
    /// When an offline code first opened its lock.
    #[serde(skip_serializing_if = "is_default")]
    pub first_used_at: Option<Timestamp>,
    /// A foreign code that Seam cannot take over.
    #[serde(skip_serializing_if = "is_default")]
    pub cannot_be_managed: bool,
    /// A foreign code that only its maker's app can delete.
    #[serde(skip_serializing_if = "is_default")]
    pub cannot_delete: bool,
    /// Errors that a tester put on the code.
    #[serde(skip_serializing_if = "is_default")]
    pub errors: Vec<Condition>,
    /// Warnings that a tester, or another workspace, put on the code.
    #[serde(skip_serializing_if = "is_default")]
    pub warnings: Vec<Condition>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Requests for a code to become unmanaged that came before its lock held it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmanage {
    /// Their action attempts, whose outcome follows from what becomes of the code.
    pub action_attempt_ids: Vec<Uuid>,
}

/// Since when each property waits for the lock to have it as asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Updating {
    /// The name.
    pub name: Option<Timestamp>,
    /// The PIN.
    pub code: Option<Timestamp>,
    /// The time frame.
    pub window: Option<Timestamp>,
}

impl Updating {
    /// The first of them.
    pub fn since(&self) -> Option<Timestamp> {
        [self.name, self.code, self.window].into_iter().flatten().min()
    }
}

/// What a fault makes of an operation, in the shape in which testers ask for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultOutcome {
    /// It fails.
    Fail(Fail),
    /// It takes this long, an ISO 8601 duration.
    Delay(String),
    /// It is never done.
    Never,
}

/// How an operation fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fail {
    /// Seam's `error_code`; absent: that of a failed operation of its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The message; absent: ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// For a duplicate: the code that has the PIN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<Duplicate>,
}

/// The code on the lock that has the same PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicate {
    /// Its id.
    pub access_code_id: Uuid,
    /// Whether it is ours.
    pub is_managed: bool,
}

/// Something wrong on the way to the lock or off it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Seam's `error_code`.
    pub error_code: String,
    /// What went wrong.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
    /// How many attempts failed in a row.
    pub attempts: u32,
    /// When the next attempt begins; `None`: the one under way is only slow, or there is none.
    pub retry_at: Option<Timestamp>,
    /// No further attempt is made until the code is changed.
    pub is_final: bool,
    /// For a duplicate: the code that has the PIN.
    pub duplicate_of: Option<Duplicate>,
}

impl Failure {
    /// Whether something else in the lock's memory stands in the way, and may go away.
    pub fn is_blocked(&self) -> bool {
        self.error_code == DUPLICATE_CODE_ON_DEVICE || self.error_code == NO_SPACE_ON_DEVICE
    }
}

/// What somebody did to a code at the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalChange {
    /// When it was first noticed.
    pub since: Timestamp,
    /// Whether the code is gone from the lock.
    pub is_removed: bool,
    /// Which of its properties are not as they were asked for.
    pub modified_fields: Vec<ModifiedField>,
    /// Whether it stays as it is now, or is put right.
    pub is_honoured: bool,
}

/// One of Seam's `modified_fields`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModifiedField {
    /// The property.
    pub field: String,
    /// What it was.
    pub from: Option<String>,
    /// What it is at the lock.
    pub to: Option<String>,
}

/// An error or warning that a tester put on a code or a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Seam's `error_code` or `warning_code`.
    pub code: String,
    /// What it says.
    pub message: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// The properties in which two entries differ, in Seam's names.
pub(crate) fn modified_fields(from: &LockCode, to: &LockCode) -> Vec<ModifiedField> {
    let starts_at = |window: Option<Window>| window.map(|window| to_iso(window.starts_at));
    let ends_at = |window: Option<Window>| window.map(|window| to_iso(window.ends_at));
    let pairs = [
        ("name", from.name.clone(), to.name.clone()),
        ("code", Some(from.code.clone()), Some(to.code.clone())),
        ("starts_at", starts_at(from.window), starts_at(to.window)),
        ("ends_at", ends_at(from.window), ends_at(to.window)),
    ];
    let differing = pairs.into_iter().filter(|(_, from, to)| from != to);
    differing.map(|(field, from, to)| ModifiedField { field: field.to_owned(), from, to }).collect()
}
