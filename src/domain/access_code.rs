//! Access code: the stored fields, and the errors and warnings in Seam's JSON shape.

pub(crate) mod lifecycle;

use self::lifecycle::rare_fields::{Condition, Failure};
use self::lifecycle::{CodeState, Status, Window};
use super::daylight_saving;
use super::device::DeviceSummary;
use super::device::brands::Brand;
use super::device::health::warning;
use super::offline::{self, OfflineKind};
use crate::clock::{Timestamp, to_iso};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// One access code.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessCode {
    pub access_code_id: Uuid,
    pub workspace_id: Uuid,
    pub device_id: Uuid,
    /// Position in the order in which codes were created; 0 until the code is inserted into the database.
    pub sequence: i64,
    /// Key of the group of linked codes, which share one PIN; `None` for a single code.
    pub common_code_key: Option<String>,
    /// Key of the group that the code left since it was read from the database. The row of that group is deleted if no
    /// code is left in it.
    pub left_group: Option<String>,
    /// True if changes made at the lock stay; otherwise Seam reverts them.
    pub is_external_modification_allowed: bool,
    /// Device whose backup pool contains the code; `None` if it is not in a pool.
    pub pool_device_id: Option<Uuid>,
    /// Backup code that was pulled to be used in place of this code.
    pub pulled_backup_access_code_id: Option<Uuid>,
    /// Access method that the code carries; `None`: the code belongs to no access grant.
    pub access_method_id: Option<Uuid>,
    /// Lifecycle state.
    pub state: CodeState,
    /// Number of events and action attempts recorded for the code: the ordinal from which the next id is derived.
    pub children: i32,
}

impl AccessCode {
    /// Creates a code that is not stored yet.
    pub fn new((access_code_id, device_id): (Uuid, Uuid), workspace_id: Uuid, state: CodeState) -> Self {
        Self {
            access_code_id,
            workspace_id,
            device_id,
            sequence: 0,
            common_code_key: None,
            left_group: None,
            is_external_modification_allowed: false,
            pool_device_id: None,
            pulled_backup_access_code_id: None,
            access_method_id: None,
            state,
            children: 0,
        }
    }

    /// Returns true if the current transaction created the code. Such a code is ordered after all stored ones.
    pub(crate) fn is_new(&self) -> bool {
        self.sequence == 0
    }

    /// Removes the code from its access grant. Returns the access method that it belonged to.
    pub(crate) fn leave_grant(&mut self) -> Option<Uuid> {
        self.state.rare_fields.issuance = None;
        self.access_method_id.take()
    }

    /// Removes the code from its group of linked codes.
    pub fn leave_group(&mut self) {
        self.left_group = self.common_code_key.take().or_else(|| self.left_group.take());
    }

    /// Returns the ordinal for the next event or action attempt of this code and counts it.
    pub fn next_child(&mut self) -> i64 {
        self.children += 1;
        i64::from(self.children - 1)
    }

    /// Returns true if the code is in a backup pool, stored on the lock and not being deleted.
    pub fn can_be_pulled(&self) -> bool {
        self.pool_device_id.is_some() && self.state.held.is_some() && self.state.deletion_requested_at.is_none()
    }

    /// Returns true if the code is in a backup pool and can be pulled at once: the lock has it, and no operation for it
    /// is due or in progress.
    pub fn is_ready_backup(&self) -> bool {
        self.can_be_pulled() && self.state.gone_at.is_none() && self.state.required_operation().is_none()
    }

    /// Pulls this code from its pool at `now`, to be used in place of `original` until the end of its time frame. The
    /// lock has the PIN already, so no operation is needed.
    pub fn pull_for(&mut self, original: &mut Self, ends_at: Timestamp, now: Timestamp) {
        self.pool_device_id = None;
        self.state.as_of = now;
        let window = Some(Window { starts_at: now, ends_at });
        self.state.requested.window = window;
        if let Some(held) = &mut self.state.held {
            held.window = window;
        }
        original.pulled_backup_access_code_id = Some(self.access_code_id);
        original.state.rare_fields.backup_pulled_at = Some(now);
    }

    /// Returns the device while its memory blocks this code: a duplicate PIN, or no free space.
    pub fn blocked_on(&self) -> Option<Uuid> {
        let is_blocked = self.state.rare_fields.failure.as_ref().is_some_and(Failure::is_blocked);
        is_blocked.then_some(self.device_id)
    }

    /// Returns the PIN; `None` until the provider has assigned it.
    pub fn known_code(&self) -> Option<&str> {
        (!self.state.rare_fields.awaits_code).then_some(&self.state.requested.code)
    }

    /// Rejects a change of a code that an access grant manages.
    pub fn check_not_of_grant(&self) -> Result<()> {
        if self.access_method_id.is_some() { Err(Error::AccessCodeManagedByAccessGrant) } else { Ok(()) }
    }

    /// Returns Seam's `status` of the managed code on `device`.
    pub fn status(&self, device: &DeviceSummary) -> Status {
        if device.health.account_disconnected_at.is_some() {
            return Status::Unknown;
        }
        self.state.status(device.brand.recreates_on_update)
    }

    /// Returns true if [`Self::errors`] contains an error of the code itself, not only of its device or its account.
    pub fn has_own_errors(&self) -> bool {
        let rare_fields = &self.state.rare_fields;
        let is_reverted = rare_fields.external.as_ref().is_some_and(|external| !external.is_honoured);
        is_reverted || rare_fields.failure.is_some() || !rare_fields.errors.is_empty()
    }

    /// Returns the errors of the code, followed by those of its device and its connected account.
    pub fn errors(&self, device: &DeviceSummary) -> Vec<Value> {
        let failure = self.state.rare_fields.failure.as_ref().map(failure_error);
        let external = self.state.rare_fields.external.as_ref().filter(|external| !external.is_honoured);
        let external = external.map(|external| {
            let message = "The access code was changed or removed at the device. Seam sets it again.";
            let mut body = access_code_error("conflicting_external_modification", message, external.since);
            body["change_type"] = json!(if external.is_removed { "removed" } else { "modified" });
            body["modified_fields"] = json!(external.modified_fields);
            body
        });
        let injected = self
            .state
            .rare_fields
            .errors
            .iter()
            .map(|condition| access_code_error(&condition.code, &condition.message, condition.created_at));
        failure.into_iter().chain(external).chain(injected).chain(device.errors()).collect()
    }

    /// Returns the warnings of the code, without those of its device. `device` is needed for the warning that depends
    /// on the time zone of the lock.
    pub fn warnings(&self, device: &DeviceSummary) -> Vec<Value> {
        let rare_fields = &self.state.rare_fields;
        let mut warnings = Vec::new();
        let mut add = |code: &str, message: &str, created_at: Timestamp| {
            warnings.push(warning(&Condition { code: code.to_owned(), message: message.to_owned(), created_at }));
        };
        if let Some(since) = self.state.removing_since().filter(|_| self.state.is_managed) {
            add("being_deleted", "The access code is being removed from the device.", since);
        }
        if let Some(since) = rare_fields.slow_since {
            let message = "The device takes unusually long to set the access code. Seam keeps trying.";
            add("delay_in_setting_on_device", message, since);
        }
        if let Some(since) = rare_fields.backup_pulled_at {
            let message = "A backup access code was pulled to be used in place of this one.";
            add("using_backup_access_code", message, since);
        }
        if let Some(external) = rare_fields.external.as_ref().filter(|external| external.is_honoured) {
            let message = "The access code was changed or removed at the device, and Seam keeps that.";
            add("external_modification_in_effect", message, external.since);
            if let Some(body) = warnings.last_mut() {
                body["change_type"] = json!(if external.is_removed { "removed" } else { "modified" });
                body["modified_fields"] = json!(external.modified_fields);
            }
        }
        warnings.extend(rare_fields.warnings.iter().map(warning));
        warnings.extend(time_frame_warnings(&self.state, device));
        warnings
    }

    /// Returns true if the unmanaged code cannot be converted to managed.
    pub fn cannot_be_managed(&self, brand: &Brand) -> bool {
        self.state.rare_fields.cannot_be_managed || !brand.converts_unmanaged_codes
    }
}

/// Returns the warnings about the time frame of a managed code: the time zone of the lock is unknown and the clocks
/// change during the time frame, or an algoPIN must be used within 24 hours. None for ongoing and unmanaged codes.
fn time_frame_warnings(state: &CodeState, device: &DeviceSummary) -> Vec<Value> {
    let Some(window) = state.requested.window.filter(|_| state.is_managed) else { return Vec::new() };
    let warn = |code: &str, message: &str| {
        warning(&Condition { code: code.to_owned(), message: message.to_owned(), created_at: state.created_at })
    };
    let mut warnings = Vec::new();
    if device.needs_daylight_buffer() && daylight_saving::buffered(window).is_some() {
        let message = "The time zone of the device is unknown, and the clocks change during the time frame of the \
                       access code: on the device the time frame is an hour longer. Report the time zone to make it \
                       exact.";
        warnings.push(warn("time_frame_adjusted_for_unknown_time_zone", message));
    }
    let kind = state.rare_fields.offline.as_ref().and_then(|offline| OfflineKind::deserialize(&offline["kind"]).ok());
    if kind.is_some_and(|kind| offline::must_be_used_within_24_hours(kind, window)) {
        let message = "Enter this algoPIN within 24 hours of its start. After that it stops working.";
        warnings.push(warn("igloo_algopin_must_be_used_within_24_hours", message));
    }
    warnings
}

fn access_code_error(error_code: &str, message: &str, created_at: Timestamp) -> Value {
    json!({ "error_code": error_code, "is_access_code_error": true, "message": message,
            "created_at": to_iso(created_at) })
}

fn failure_error(failure: &Failure) -> Value {
    let mut body = access_code_error(&failure.error_code, &failure.message, failure.since);
    if let Some(duplicate) = failure.duplicate_of {
        let key = if duplicate.is_managed { "managed_access_code_id" } else { "unmanaged_access_code_id" };
        body[key] = json!(duplicate.access_code_id);
    }
    body
}

/// Returns the time frame as JSON for pending mutations and events; both values are null for an ongoing code.
pub(crate) fn time_frame(window: Option<Window>) -> Value {
    json!({ "starts_at": window.map(|window| to_iso(window.starts_at)),
            "ends_at": window.map(|window| to_iso(window.ends_at)) })
}

#[cfg(test)]
mod tests;
