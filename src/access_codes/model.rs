//! An access code: the facts that are stored, and what the API shows of them.

use super::daylight;
use super::lifecycle::particulars::{Condition, Failure};
use super::lifecycle::{Entry, Life, PendingMutation, Status, Window};
use super::offline::{self, Kind};
use crate::clock::{Instant, iso, to_iso};
use crate::devices::brands::{Brand, NameStyle};
use crate::devices::model::DeviceSummary;
use crate::devices::trouble::warning;
use serde::{Deserialize, Serialize};
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
    pub life: Life,
    /// Events and action attempts so far: the ordinal of the next one's id.
    pub children: i32,
}

impl AccessCode {
    /// A code that nobody has heard of yet.
    pub fn new((access_code_id, device_id): (Uuid, Uuid), workspace_id: Uuid, life: Life) -> Self {
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
            life,
            children: 0,
        }
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
        self.pool_device_id.is_some() && self.life.held.is_some() && self.life.deletion_requested_at.is_none()
    }

    /// The lock, while something in its memory stands in the way of this code.
    pub fn blocked_on(&self) -> Option<Uuid> {
        let is_blocked = self.life.particulars.failure.as_ref().is_some_and(Failure::is_blocked);
        is_blocked.then_some(self.device_id)
    }

    /// The PIN, as far as anybody knows it.
    pub fn known_code(&self) -> Option<&str> {
        (!self.life.particulars.awaits_code).then_some(&self.life.asked.code)
    }

    /// The code's own errors and those of its device and account.
    pub fn errors(&self, device: &DeviceSummary) -> Vec<Value> {
        let own = self.life.particulars.failure.as_ref().map(failure);
        let external = self.life.particulars.external.as_ref().filter(|external| !external.is_honoured);
        let external = external.map(|external| {
            let message = "The access code was changed or removed at the device. Seam sets it again.";
            let mut body = own_error("conflicting_external_modification", message, external.since);
            body["change_type"] = json!(if external.is_removed { "removed" } else { "modified" });
            body["modified_fields"] = json!(external.modified_fields);
            body
        });
        let injected = self.life.particulars.errors.iter().map(|it| own_error(&it.code, &it.message, it.created_at));
        own.into_iter().chain(external).chain(injected).chain(device.errors()).collect()
    }

    /// The code's warnings.
    pub fn warnings(&self, device: &DeviceSummary) -> Vec<Value> {
        let particulars = &self.life.particulars;
        let mut all = Vec::new();
        let mut add = |code: &str, message: &str, created_at: Instant| {
            all.push(warning(&Condition { code: code.to_owned(), message: message.to_owned(), created_at }));
        };
        if let Some(since) = self.life.removing_since().filter(|_| self.life.is_managed) {
            add("being_deleted", "The access code is being removed from the device.", since);
        }
        if let Some(since) = particulars.slow_since {
            let message = "The device takes unusually long to set the access code. Seam keeps trying.";
            add("delay_in_setting_on_device", message, since);
        }
        if let Some(since) = particulars.backup_pulled_at {
            let message = "A backup access code was pulled to be used in place of this one.";
            add("using_backup_access_code", message, since);
        }
        if let Some(external) = particulars.external.as_ref().filter(|external| external.is_honoured) {
            let message = "The access code was changed or removed at the device, and that is left as it is.";
            add("external_modification_in_effect", message, external.since);
            if let Some(body) = all.last_mut() {
                body["change_type"] = json!(if external.is_removed { "removed" } else { "modified" });
                body["modified_fields"] = json!(external.modified_fields);
            }
        }
        all.extend(particulars.warnings.iter().map(warning));
        all.extend(special_warnings(&self.life, device));
        all
    }

    /// The code as the API shows it on this device.
    pub fn to_body(&self, device: &DeviceSummary) -> AccessCodeBody {
        let life = &self.life;
        let asked = &life.asked;
        let particulars = &life.particulars;
        let offline = particulars.offline.as_ref();
        let is_unknown = device.trouble.account_disconnected_at.is_some();
        let status = if is_unknown { Status::Unknown } else { life.status(device.brand.recreates) };
        AccessCodeBody {
            access_code_id: self.access_code_id,
            device_id: self.device_id,
            workspace_id: self.workspace_id,
            name: asked.name.clone(),
            code: self.known_code().map(str::to_owned),
            common_code_key: self.common_code_key.clone(),
            r#type: kind(asked),
            status,
            display_status: display_status(life, status),
            starts_at: asked.window.map(|window| window.starts_at),
            ends_at: asked.window.map(|window| window.ends_at),
            created_at: life.created_at,
            errors: self.errors(device),
            warnings: self.warnings(device),
            pending_mutations: life.pending_mutations().into_iter().map(pending_mutation).collect(),
            appearance: life.held.as_ref().filter(|_| !life.is_offline).and_then(|held| appearance(held, device)),
            is_managed: true,
            is_backup: life.is_backup,
            is_backup_access_code_available: !life.is_backup && device.has_backups(),
            pulled_backup_access_code_id: self.pulled_backup_access_code_id,
            is_external_modification_allowed: self.is_external_modification_allowed,
            is_offline_access_code: life.is_offline,
            is_one_time_use: offline.is_some_and(|offline| offline["is_one_time_use"] == true),
            is_scheduled_on_device: life.is_scheduled_on_device(),
            is_waiting_for_code_assignment: particulars.awaits_code,
            dormakaba_oracode_metadata: offline
                .and_then(|offline| offline.get("dormakaba_oracode_metadata"))
                .filter(|metadata| !metadata.is_null())
                .cloned(),
        }
    }

    /// The code as the API shows it where it is not ours.
    pub fn to_unmanaged_body(&self, device: &DeviceSummary) -> UnmanagedAccessCodeBody {
        let asked = &self.life.asked;
        UnmanagedAccessCodeBody {
            access_code_id: self.access_code_id,
            device_id: self.device_id,
            workspace_id: self.workspace_id,
            name: asked.name.clone(),
            code: Some(asked.code.clone()).filter(|_| !device.brand.hides_foreign_codes),
            r#type: kind(asked),
            status: self.life.status(false),
            display_status: if self.life.status(false) == Status::Set { ACTIVE } else { NOT_ACTIVE },
            starts_at: asked.window.map(|window| window.starts_at),
            ends_at: asked.window.map(|window| window.ends_at),
            created_at: self.life.created_at,
            errors: self.errors(device),
            warnings: self.warnings(device),
            is_managed: false,
            cannot_be_managed: self.cannot_be_managed(device.brand).then_some(true),
            cannot_delete_unmanaged_access_code: self.life.particulars.cannot_delete.then_some(true),
        }
    }

    /// Whether Seam cannot take the code over.
    pub fn cannot_be_managed(&self, brand: &Brand) -> bool {
        self.life.particulars.cannot_be_managed || !brand.adopts_foreign_codes
    }
}

const ACTIVE: &str = "Active";
const NOT_ACTIVE: &str = "Not active";

/// Seam's `display_status` of a managed code with this status: a label for people. It says nothing that the other
/// properties do not say (access-code-object, 1.2).
fn display_status(life: &Life, status: Status) -> &'static str {
    let is_inactive = life.particulars.errors.iter().any(|error| error.code == "access_code_inactive");
    let has_started = life.asked.window.is_none_or(|window| life.as_of >= window.starts_at);
    match status {
        _ if life.deletion_requested_at.is_some() => "Being deleted",
        _ if life.removing_since().is_some() || life.particulars.has_expired => "Expired",
        Status::Unknown => "Unknown",
        _ if is_inactive => NOT_ACTIVE,
        Status::Set => ACTIVE,
        // Somebody took it off the lock, and may.
        Status::Unset if has_started => NOT_ACTIVE,
        Status::Unset => "Upcoming",
        Status::Setting | Status::Removing => "Issuing",
    }
}

/// Warnings that follow from what kind of code and lock they are.
fn special_warnings(life: &Life, device: &DeviceSummary) -> Vec<Value> {
    let Some(window) = life.asked.window.filter(|_| life.is_managed) else { return Vec::new() };
    let warn = |code: &str, message: &str| {
        warning(&Condition { code: code.to_owned(), message: message.to_owned(), created_at: life.created_at })
    };
    let mut all = Vec::new();
    if device.needs_daylight_buffer() && daylight::buffered(window).is_some() {
        let message = "The device's time zone is unknown and the clocks change during the access code's time frame: \
                       on the device it is an hour longer. Report the time zone to have it exact.";
        all.push(warn("time_frame_adjusted_for_unknown_time_zone", message));
    }
    let kind = life.particulars.offline.as_ref().and_then(|offline| Kind::deserialize(&offline["kind"]).ok());
    if kind.is_some_and(|kind| offline::must_be_used_within_24_hours(kind, window)) {
        let message = "This algoPIN must be entered within 24 hours of its start, else it does not work any more.";
        all.push(warn("igloo_algopin_must_be_used_within_24_hours", message));
    }
    all
}

fn kind(entry: &Entry) -> &'static str {
    if entry.window.is_some() { "time_bound" } else { "ongoing" }
}

fn own_error(error_code: &str, message: &str, created_at: Instant) -> Value {
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

/// Seam's `access_code`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the properties are documented in openapi.json")]
#[expect(clippy::struct_excessive_bools, reason = "Seam's object has them")]
pub struct AccessCodeBody {
    pub access_code_id: Uuid,
    pub device_id: Uuid,
    pub workspace_id: Uuid,
    pub name: Option<String>,
    pub code: Option<String>,
    pub common_code_key: Option<String>,
    pub r#type: &'static str,
    pub status: Status,
    pub display_status: &'static str,
    #[serde(with = "iso::option")]
    pub starts_at: Option<Instant>,
    #[serde(with = "iso::option")]
    pub ends_at: Option<Instant>,
    #[serde(with = "iso")]
    pub created_at: Instant,
    pub errors: Vec<Value>,
    pub warnings: Vec<Value>,
    pub pending_mutations: Vec<Value>,
    pub appearance: Option<Appearance>,
    pub is_managed: bool,
    pub is_backup: bool,
    pub is_backup_access_code_available: bool,
    pub pulled_backup_access_code_id: Option<Uuid>,
    pub is_external_modification_allowed: bool,
    pub is_offline_access_code: bool,
    pub is_one_time_use: bool,
    pub is_scheduled_on_device: bool,
    pub is_waiting_for_code_assignment: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dormakaba_oracode_metadata: Option<Value>,
}

/// Seam's `unmanaged_access_code`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the properties are documented in openapi.json")]
pub struct UnmanagedAccessCodeBody {
    pub access_code_id: Uuid,
    pub device_id: Uuid,
    pub workspace_id: Uuid,
    pub name: Option<String>,
    pub code: Option<String>,
    pub r#type: &'static str,
    pub status: Status,
    pub display_status: &'static str,
    #[serde(with = "iso::option")]
    pub starts_at: Option<Instant>,
    #[serde(with = "iso::option")]
    pub ends_at: Option<Instant>,
    #[serde(with = "iso")]
    pub created_at: Instant,
    pub errors: Vec<Value>,
    pub warnings: Vec<Value>,
    pub is_managed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cannot_be_managed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cannot_delete_unmanaged_access_code: Option<bool>,
}

/// One of Seam's `pending_mutations`.
fn pending_mutation((created_at, mutation): (Instant, PendingMutation)) -> Value {
    let updating = "The change is being made on the device.";
    let (mutation_code, message) = match &mutation {
        PendingMutation::Creating => ("creating", "The access code is being put on the device."),
        PendingMutation::DeferringCreation { .. } => {
            ("deferring_creation", "The access code will be put on the device nearer its start.")
        }
        PendingMutation::UpdatingName { .. } => ("updating_name", updating),
        PendingMutation::UpdatingCode { .. } => ("updating_code", updating),
        PendingMutation::UpdatingTimeFrame { .. } => ("updating_time_frame", updating),
        PendingMutation::Deleting => ("deleting", "The access code is being removed from the device."),
    };
    let mut body = json!({ "mutation_code": mutation_code, "message": message, "created_at": to_iso(created_at) });
    let (from, to) = match mutation {
        PendingMutation::DeferringCreation { scheduled_at } => {
            body["scheduled_at"] = json!(to_iso(scheduled_at));
            return body;
        }
        PendingMutation::UpdatingName { from, to } => (json!({ "name": from }), json!({ "name": to })),
        PendingMutation::UpdatingCode { from, to } => (json!({ "code": from }), json!({ "code": to })),
        PendingMutation::UpdatingTimeFrame { from, to } => (time_frame(from), time_frame(to)),
        PendingMutation::Creating | PendingMutation::Deleting => return body,
    };
    body["from"] = from;
    body["to"] = to;
    body
}

/// A time frame as mutations and events tell it; nothing but nulls where the code is ongoing.
pub fn time_frame(window: Option<Window>) -> Value {
    json!({ "starts_at": window.map(|window| to_iso(window.starts_at)),
            "ends_at": window.map(|window| to_iso(window.ends_at)) })
}

/// How the lock shows the name of a code on it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Appearance {
    name: String,
    first_name: Option<String>,
    last_name: Option<String>,
}

/// What stands behind a name that is too short for the lock.
const FILLER: char = '_';

fn appearance(held: &Entry, device: &DeviceSummary) -> Option<Appearance> {
    let full = held.name.as_deref()?;
    let (shortest, longest) = device.name_length();
    let length = |length: Option<u32>| length.and_then(|length| usize::try_from(length).ok());
    let mut name: String = full.chars().take(length(longest).unwrap_or(usize::MAX)).collect();
    let missing = length(shortest).unwrap_or(0).saturating_sub(name.chars().count());
    name.extend(std::iter::repeat_n(FILLER, missing));
    let (first_name, last_name) = match device.brand.name_style {
        NameStyle::Whole => (None, None),
        NameStyle::FirstAndLast => {
            let (first, last) = name.split_once(' ').unwrap_or((&name, ""));
            (Some(first.to_owned()), Some(last.to_owned()))
        }
    };
    Some(Appearance { name, first_name, last_name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::brands;
    use crate::devices::model::Overrides;
    use crate::devices::trouble::Trouble;

    #[test]
    fn a_name_appears_as_the_lock_shows_it() {
        let shown = |device_type, name: &str| {
            let held = Entry { name: Some(name.to_owned()), code: "1357".to_owned(), window: None };
            let device = DeviceSummary {
                brand: brands::of(device_type).unwrap(),
                name: String::new(),
                trouble: Trouble::default(),
                overrides: Overrides::default(),
                backup_pool: None,
                backups: 0,
            };
            serde_json::to_value(appearance(&held, &device)).unwrap()
        };
        assert_eq!(
            shown("august_lock", "my ongoing code"),
            json!({ "name": "my ongoing code", "first_name": "my", "last_name": "ongoing code" })
        );
        assert_eq!(
            shown("schlage_lock", "my ongoing code"),
            json!({ "name": "my ongoin", "first_name": null, "last_name": null })
        );
        assert_eq!(shown("kwikset_lock", "A"), json!({ "name": "A_", "first_name": null, "last_name": null }));
    }
}
