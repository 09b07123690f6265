//! An access code: the facts that are stored, and its errors and warnings in Seam's shape.

pub(crate) mod lifecycle;

use self::lifecycle::rare_fields::{Condition, Failure};
use self::lifecycle::{CodeState, Window};
use super::daylight;
use super::device::DeviceSummary;
use super::device::brands::Brand;
use super::device::health::warning;
use super::offline::{self, OfflineKind};
use crate::clock::{Timestamp, to_iso};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// One access code.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessCode {
    /// Its id.
    pub access_code_id: Uuid,
    /// The workspace it belongs to.
    pub workspace_id: Uuid,
    /// The lock it is for.
    pub device_id: Uuid,
    /// Its place in the order in which codes were made; 0 before it is written.
    pub sequence: i64,
    /// The key of the group of codes that share its PIN.
    pub common_code_key: Option<String>,
    /// The key of the group that it left since it was read.
    pub left_group: Option<String>,
    /// Whether somebody at the lock may change it without Seam putting it right again.
    pub is_external_modification_allowed: bool,
    /// The device in whose pool it waits to be pulled.
    pub pool_device_id: Option<Uuid>,
    /// The backup that was pulled for it.
    pub pulled_backup_access_code_id: Option<Uuid>,
    /// Its life so far.
    pub state: CodeState,
    /// Events and action attempts so far: the ordinal of the next one's id.
    pub children: i32,
}

impl AccessCode {
    /// A code that nobody has heard of yet.
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
            state,
            children: 0,
        }
    }

    /// Whether it was made by the transaction that has it, and so comes after all others.
    pub(crate) fn is_new(&self) -> bool {
        self.sequence == 0
    }

    /// Takes the code out of the group of codes that share its PIN.
    pub fn leave_group(&mut self) {
        self.left_group = self.common_code_key.take().or_else(|| self.left_group.take());
    }

    /// The ordinal for the next event or action attempt of this code.
    pub fn next_child(&mut self) -> i64 {
        self.children += 1;
        i64::from(self.children - 1)
    }

    /// Whether it is a backup code that the lock holds and nobody has pulled.
    pub fn can_be_pulled(&self) -> bool {
        self.pool_device_id.is_some() && self.state.held.is_some() && self.state.deletion_requested_at.is_none()
    }

    /// The lock, while something in its memory stands in the way of this code.
    pub fn blocked_on(&self) -> Option<Uuid> {
        let is_blocked = self.state.rare_fields.failure.as_ref().is_some_and(Failure::is_blocked);
        is_blocked.then_some(self.device_id)
    }

    /// The PIN, as far as anybody knows it.
    pub fn known_code(&self) -> Option<&str> {
        (!self.state.rare_fields.awaits_code).then_some(&self.state.asked.code)
    }

    /// The code's own errors and those of its device and account.
    pub fn errors(&self, device: &DeviceSummary) -> Vec<Value> {
        let own = self.state.rare_fields.failure.as_ref().map(failure);
        let external = self.state.rare_fields.external.as_ref().filter(|external| !external.is_honoured);
        let external = external.map(|external| {
            let message = "The access code was changed or removed at the device. Seam sets it again.";
            let mut body = own_error("conflicting_external_modification", message, external.since);
            body["change_type"] = json!(if external.is_removed { "removed" } else { "modified" });
            body["modified_fields"] = json!(external.modified_fields);
            body
        });
        let injected = self.state.rare_fields.errors.iter().map(|it| own_error(&it.code, &it.message, it.created_at));
        own.into_iter().chain(external).chain(injected).chain(device.errors()).collect()
    }

    /// The code's warnings.
    pub fn warnings(&self, device: &DeviceSummary) -> Vec<Value> {
        let rare_fields = &self.state.rare_fields;
        let mut all = Vec::new();
        let mut add = |code: &str, message: &str, created_at: Timestamp| {
            all.push(warning(&Condition { code: code.to_owned(), message: message.to_owned(), created_at }));
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
            let message = "The access code was changed or removed at the device, and that is left as it is.";
            add("external_modification_in_effect", message, external.since);
            if let Some(body) = all.last_mut() {
                body["change_type"] = json!(if external.is_removed { "removed" } else { "modified" });
                body["modified_fields"] = json!(external.modified_fields);
            }
        }
        all.extend(rare_fields.warnings.iter().map(warning));
        all.extend(special_warnings(&self.state, device));
        all
    }

    /// Whether Seam cannot take the code over.
    pub fn cannot_be_managed(&self, brand: &Brand) -> bool {
        self.state.rare_fields.cannot_be_managed || !brand.converts_unmanaged_codes
    }
}

/// Warnings that follow from what kind of code and lock they are.
fn special_warnings(state: &CodeState, device: &DeviceSummary) -> Vec<Value> {
    let Some(window) = state.asked.window.filter(|_| state.is_managed) else { return Vec::new() };
    let warn = |code: &str, message: &str| {
        warning(&Condition { code: code.to_owned(), message: message.to_owned(), created_at: state.created_at })
    };
    let mut all = Vec::new();
    if device.needs_daylight_buffer() && daylight::buffered(window).is_some() {
        let message = "The device's time zone is unknown and the clocks change during the access code's time frame: \
                       on the device it is an hour longer. Report the time zone to have it exact.";
        all.push(warn("time_frame_adjusted_for_unknown_time_zone", message));
    }
    let kind = state.rare_fields.offline.as_ref().and_then(|offline| OfflineKind::deserialize(&offline["kind"]).ok());
    if kind.is_some_and(|kind| offline::must_be_used_within_24_hours(kind, window)) {
        let message = "This algoPIN must be entered within 24 hours of its start, else it does not work any more.";
        all.push(warn("igloo_algopin_must_be_used_within_24_hours", message));
    }
    all
}

fn own_error(error_code: &str, message: &str, created_at: Timestamp) -> Value {
    json!({ "error_code": error_code, "is_access_code_error": true, "message": message,
            "created_at": to_iso(created_at) })
}

fn failure(failure: &Failure) -> Value {
    let mut body = own_error(&failure.error_code, &failure.message, failure.since);
    if let Some(other) = failure.duplicate_of {
        let key = if other.is_managed { "managed_access_code_id" } else { "unmanaged_access_code_id" };
        body[key] = json!(other.access_code_id);
    }
    body
}

/// A time frame as mutations and events tell it; nothing but nulls where the code is ongoing.
pub(crate) fn time_frame(window: Option<Window>) -> Value {
    json!({ "starts_at": window.map(|window| to_iso(window.starts_at)),
            "ends_at": window.map(|window| to_iso(window.ends_at)) })
}

#[cfg(test)]
mod tests;
