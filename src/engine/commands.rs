//! Requests for access codes, after authentication and parsing, and their results. Commands of one workspace that
//! arrive together run in one batch, see [`super::batcher`].

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

/// Requested properties of every access code of a request.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "Seam's request has them")]
pub struct NewAccessCode {
    /// PIN; `None`: Latchkey chooses it.
    pub code: Option<String>,
    /// Name, stored unchanged.
    pub name: Option<String>,
    /// Time frame; `None`: ongoing.
    pub window: Option<Window>,
    /// Key of the group of linked codes, which share one PIN.
    pub common_code_key: Option<String>,
    /// PIN length to try first.
    pub preferred_code_length: Option<u8>,
    /// True to use native scheduling on devices that support it.
    pub prefer_native_scheduling: bool,
    /// True if changes made at the lock stay; otherwise Seam reverts them.
    pub is_external_modification_allowed: bool,
    /// True to accept the request although a device is offline.
    pub attempt_for_offline_device: bool,
    /// True to send the response only after the lock has confirmed.
    pub sync: bool,
    /// True to enable the backup pools of the devices.
    pub use_backup_pool: bool,
    /// Parameters of an offline code; `None`: the code is not an offline code.
    pub offline: Option<OfflineParams>,
}

/// Parameters of an offline code, whose PIN the lock's manufacturer computes.
#[derive(Clone, Copy, Debug)]
pub struct OfflineParams {
    pub starts_at: Timestamp,
    /// `None`: no end was given; only one-time codes of igloohome have none.
    pub ends_at: Option<Timestamp>,
    /// True if the code opens the lock only once.
    pub is_one_time_use: bool,
    /// Maximum difference between the requested and the rounded time frame.
    pub max_time_rounding: MaxTimeRounding,
}

/// Request to read the access code with this id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GetCommand(pub Uuid);

impl Item for GetCommand {
    /// A read changes nothing.
    fn mark_begun(&self) {}
}

/// An access code that was read, and its device.
pub(crate) type CodeWithDevice = (AccessCode, DeviceSummary);

/// Request to create access codes.
#[derive(Clone, Debug)]
pub struct CreateCommand {
    /// Part of the workspace that the caller may read and change.
    pub visibility: Visibility,
    /// Devices, without duplicates.
    pub device_ids: Vec<Uuid>,
    /// Properties of each code.
    pub params: NewAccessCode,
    /// Handling of devices on which linked codes cannot share the PIN; `None`: the request is for a single code.
    pub linking: Option<WhenCodeCannotBeShared>,
    /// Handle of the request, for the events that it causes.
    pub cause: Cause,
}

impl Item for CreateCommand {
    fn mark_begun(&self) {
        self.cause.mark_may_change();
    }
}

/// A created access code.
#[derive(Clone, Debug)]
pub struct Created {
    pub code: AccessCode,
    pub device: DeviceSummary,
    /// Action attempt to program the code. It is stored for a code of `create`. For a code of `create_multiple` it is
    /// stored only if the workspace has rate limits, because these count the stored attempts.
    pub attempt: NewActionAttempt,
}

/// Seam's `type` of an access code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessCodeType {
    Ongoing,
    TimeBound,
}

/// Requested changes of an access code; `None` leaves a property unchanged.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// New name.
    pub name: Option<String>,
    /// New PIN.
    pub code: Option<String>,
    /// New start of the time frame.
    pub starts_at: Option<Timestamp>,
    /// New end of the time frame.
    pub ends_at: Option<Timestamp>,
    /// New type: `Ongoing` removes the time frame, `TimeBound` requires one.
    pub kind: Option<AccessCodeType>,
    /// True if changes made at the lock stay; otherwise Seam reverts them.
    pub is_external_modification_allowed: Option<bool>,
    /// `Some(false)` converts the code to unmanaged; `Some(true)` has no effect.
    pub is_managed: Option<bool>,
    /// True to reject the change if the device is offline.
    pub refuse_if_offline: bool,
}

/// Request to change an access code.
#[derive(Clone, Debug)]
pub struct UpdateCommand {
    /// Part of the workspace that the caller may read and change.
    pub visibility: Visibility,
    /// Access code to change.
    pub access_code_id: Uuid,
    /// Device of the code; `None`: the caller named none.
    pub device_id: Option<Uuid>,
    /// Requested changes.
    pub update: Update,
    /// True to send the response only after the lock has confirmed.
    pub sync: bool,
    /// Handle of the request, for the events that it causes.
    pub cause: Cause,
}

impl Item for UpdateCommand {
    fn mark_begun(&self) {
        self.cause.mark_may_change();
    }
}

/// A changed access code, its device, and the action attempt to change it on the lock.
pub(crate) type Updated = (AccessCode, DeviceSummary, NewActionAttempt);
