//! What requests ask of access codes, and what they are answered from. Commands of one workspace that arrive together are
//! carried out together, see [`super::batcher`].

use super::batcher::Item;
use crate::cause::Cause;
use crate::clock::Timestamp;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::Window;
use crate::domain::action_attempt::NewActionAttempt;
use crate::domain::caller::Visibility;
use crate::domain::device::DeviceSummary;
use crate::domain::linked::WhenCodeCannotBeShared;
use crate::domain::offline::MaxTimeRounding;
use serde::Deserialize;
use uuid::Uuid;

/// What is asked of every code of a request.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "Seam's request has them")]
pub struct NewAccessCode {
    /// The PIN; `None`: Latchkey chooses.
    pub code: Option<String>,
    /// The name, kept as it is.
    pub name: Option<String>,
    /// The time frame; `None`: ongoing.
    pub window: Option<Window>,
    /// Codes with one key have one PIN.
    pub common_code_key: Option<String>,
    /// The length to try first.
    pub preferred_code_length: Option<u8>,
    /// Whether locks that keep schedules themselves should do so.
    pub prefer_native_scheduling: bool,
    /// Whether somebody at the lock may change the code.
    pub is_external_modification_allowed: bool,
    /// Whether to take the request although a lock is offline.
    pub attempt_for_offline_device: bool,
    /// Whether the locks confirm before the request is answered.
    pub sync: bool,
    /// Whether the locks are to keep backup codes from now on.
    pub use_backup_pool: bool,
    /// What is asked of a code that the lock's maker is to compute.
    pub offline: Option<OfflineParams>,
}

/// What is asked of a code that the lock's maker is to compute.
#[derive(Clone, Copy, Debug)]
pub struct OfflineParams {
    /// Its start.
    pub starts_at: Timestamp,
    /// Its end, where it has one.
    pub ends_at: Option<Timestamp>,
    /// Whether it is to open once only.
    pub is_one_time_use: bool,
    /// How far its ends may be moved.
    pub max_time_rounding: MaxTimeRounding,
}

/// One request for codes.
#[derive(Clone, Debug)]
pub struct CreateCommand {
    /// What the caller may see and change.
    pub visibility: Visibility,
    /// The locks, each once.
    pub device_ids: Vec<Uuid>,
    /// What is asked of each code.
    pub params: NewAccessCode,
    /// For codes that are to share a PIN: what to do where they cannot. `None`: it is a single code.
    pub linking: Option<WhenCodeCannotBeShared>,
    /// The request itself.
    pub cause: Cause,
}

impl Item for CreateCommand {
    fn begins(&self) {
        self.cause.begins_to_change();
    }
}

/// A code that was made.
#[derive(Clone, Debug)]
pub struct Created {
    /// The code.
    pub code: AccessCode,
    /// Its lock.
    pub device: DeviceSummary,
    /// The attempt to put it there; only that of a single code is kept.
    pub attempt: NewActionAttempt,
}

/// Seam's `type` of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessCodeType {
    /// For ever.
    Ongoing,
    /// For a time frame.
    TimeBound,
}

/// What is to change; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// The name.
    pub name: Option<String>,
    /// The PIN.
    pub code: Option<String>,
    /// The start of the time frame.
    pub starts_at: Option<Timestamp>,
    /// Its end.
    pub ends_at: Option<Timestamp>,
    /// Whether it has one.
    pub kind: Option<AccessCodeType>,
    /// Whether somebody at the lock may change the code.
    pub is_external_modification_allowed: Option<bool>,
    /// `Some(false)`: let go of the code.
    pub is_managed: Option<bool>,
    /// Whether to refuse where the lock is offline.
    pub refuse_if_offline: bool,
}

/// One request to change a code.
#[derive(Clone, Debug)]
pub struct UpdateCommand {
    /// What the caller may see and change.
    pub visibility: Visibility,
    /// The code.
    pub access_code_id: Uuid,
    /// Its lock, where the caller named one.
    pub device_id: Option<Uuid>,
    /// What is to change.
    pub update: Update,
    /// Whether the lock confirms before the request is answered.
    pub sync: bool,
    /// The request itself.
    pub cause: Cause,
}

impl Item for UpdateCommand {
    fn begins(&self) {
        self.cause.begins_to_change();
    }
}

/// A code that was changed, its lock, and the attempt to change it there.
pub(crate) type Updated = (AccessCode, DeviceSummary, NewActionAttempt);
