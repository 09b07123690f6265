//! Seam's `access_code` and `unmanaged_access_code`.

use crate::clock::{Timestamp, iso, to_iso};
use crate::domain::access_code::lifecycle::{CodeState, LockCode, PendingMutation, Status};
use crate::domain::access_code::{AccessCode, time_frame};
use crate::domain::device::DeviceSummary;
use crate::domain::device::brands::NameStyle;
use crate::error::Result;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// Seam's `access_code`.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "Seam's object has them")]
pub(crate) struct AccessCodeBody {
    access_code_id: Uuid,
    device_id: Uuid,
    workspace_id: Uuid,
    name: Option<String>,
    code: Option<String>,
    common_code_key: Option<String>,
    r#type: &'static str,
    status: Status,
    display_status: &'static str,
    #[serde(with = "iso::option")]
    starts_at: Option<Timestamp>,
    #[serde(with = "iso::option")]
    ends_at: Option<Timestamp>,
    #[serde(with = "iso")]
    created_at: Timestamp,
    errors: Vec<Value>,
    warnings: Vec<Value>,
    pending_mutations: Vec<Value>,
    appearance: Option<Appearance>,
    is_managed: bool,
    is_backup: bool,
    is_backup_access_code_available: bool,
    pulled_backup_access_code_id: Option<Uuid>,
    is_external_modification_allowed: bool,
    is_offline_access_code: bool,
    is_one_time_use: bool,
    is_scheduled_on_device: bool,
    is_waiting_for_code_assignment: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dormakaba_oracode_metadata: Option<Value>,
}

impl AccessCodeBody {
    /// Creates the body of a managed code on `device`.
    pub(crate) fn of(code: &AccessCode, device: &DeviceSummary) -> Self {
        let state = &code.state;
        let requested = &state.requested;
        let rare_fields = &state.rare_fields;
        let offline = rare_fields.offline.as_ref();
        let status = code.status(device);
        Self {
            access_code_id: code.access_code_id,
            device_id: code.device_id,
            workspace_id: code.workspace_id,
            name: requested.name.clone(),
            code: code.known_code().map(str::to_owned),
            common_code_key: code.common_code_key.clone(),
            r#type: kind(requested),
            status,
            display_status: display_status(state, status),
            starts_at: requested.window.map(|window| window.starts_at),
            ends_at: requested.window.map(|window| window.ends_at),
            created_at: state.created_at,
            errors: code.errors(device),
            warnings: code.warnings(device),
            pending_mutations: state.pending_mutations().into_iter().map(pending_mutation).collect(),
            appearance: state.held.as_ref().filter(|_| !state.is_offline).and_then(|held| appearance(held, device)),
            is_managed: true,
            is_backup: state.is_backup,
            is_backup_access_code_available: !state.is_backup && device.has_backups(),
            pulled_backup_access_code_id: code.pulled_backup_access_code_id,
            is_external_modification_allowed: code.is_external_modification_allowed,
            is_offline_access_code: state.is_offline,
            is_one_time_use: offline.is_some_and(|offline| offline["is_one_time_use"] == true),
            is_scheduled_on_device: state.is_scheduled_on_device(),
            is_waiting_for_code_assignment: rare_fields.awaits_code,
            dormakaba_oracode_metadata: offline
                .and_then(|offline| offline.get("dormakaba_oracode_metadata"))
                .filter(|metadata| !metadata.is_null())
                .cloned(),
        }
    }
}

/// Seam's `unmanaged_access_code`.
#[derive(Debug, Serialize)]
pub(crate) struct UnmanagedAccessCodeBody {
    access_code_id: Uuid,
    device_id: Uuid,
    workspace_id: Uuid,
    name: Option<String>,
    code: Option<String>,
    r#type: &'static str,
    status: Status,
    display_status: &'static str,
    #[serde(with = "iso::option")]
    starts_at: Option<Timestamp>,
    #[serde(with = "iso::option")]
    ends_at: Option<Timestamp>,
    #[serde(with = "iso")]
    created_at: Timestamp,
    errors: Vec<Value>,
    warnings: Vec<Value>,
    is_managed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cannot_be_managed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cannot_delete_unmanaged_access_code: Option<bool>,
}

impl UnmanagedAccessCodeBody {
    /// Creates the body of an unmanaged code on `device`.
    pub(crate) fn of(code: &AccessCode, device: &DeviceSummary) -> Self {
        let requested = &code.state.requested;
        Self {
            access_code_id: code.access_code_id,
            device_id: code.device_id,
            workspace_id: code.workspace_id,
            name: requested.name.clone(),
            code: Some(requested.code.clone()).filter(|_| !device.brand.hides_unmanaged_pins),
            r#type: kind(requested),
            status: code.state.status(false),
            display_status: if code.state.status(false) == Status::Set { ACTIVE } else { NOT_ACTIVE },
            starts_at: requested.window.map(|window| window.starts_at),
            ends_at: requested.window.map(|window| window.ends_at),
            created_at: code.state.created_at,
            errors: code.errors(device),
            warnings: code.warnings(device),
            is_managed: false,
            cannot_be_managed: code.cannot_be_managed(device.brand).then_some(true),
            cannot_delete_unmanaged_access_code: code.state.rare_fields.cannot_delete.then_some(true),
        }
    }
}

const ACTIVE: &str = "Active";
const NOT_ACTIVE: &str = "Not active";

/// Returns Seam's `display_status` of a managed code, a label for people, from its state and its `status`. It adds no
/// information to the other properties.
fn display_status(state: &CodeState, status: Status) -> &'static str {
    let is_inactive = state.rare_fields.errors.iter().any(|error| error.code == "access_code_inactive");
    let has_started = state.requested.window.is_none_or(|window| state.as_of >= window.starts_at);
    match status {
        _ if state.deletion_requested_at.is_some() => "Being deleted",
        _ if state.removing_since().is_some() || state.rare_fields.has_expired => "Expired",
        Status::Unknown => "Unknown",
        _ if is_inactive => NOT_ACTIVE,
        Status::Set => ACTIVE,
        // The code was removed from the lock outside Seam, and external modification is allowed.
        Status::Unset if has_started => NOT_ACTIVE,
        Status::Unset => "Upcoming",
        Status::Setting | Status::Removing => "Issuing",
    }
}

fn kind(entry: &LockCode) -> &'static str {
    if entry.window.is_some() { "time_bound" } else { "ongoing" }
}

/// Returns one of Seam's `pending_mutations`.
fn pending_mutation((created_at, mutation): (Timestamp, PendingMutation)) -> Value {
    let updating = "The change is being made on the device.";
    let (mutation_code, message) = match &mutation {
        PendingMutation::Creating => ("creating", "The access code is being set on the device."),
        PendingMutation::DeferringCreation { .. } => {
            ("deferring_creation", "The access code will be set on the device closer to its start.")
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

/// Name of a code as the lock shows it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Appearance {
    name: String,
    first_name: Option<String>,
    last_name: Option<String>,
}

/// Padding at the end of a name that is too short for the lock.
const FILLER: char = '_';

fn appearance(held: &LockCode, device: &DeviceSummary) -> Option<Appearance> {
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

/// Returns the body of a code of either kind: `access_code` for a managed code, `unmanaged_access_code` for an
/// unmanaged one.
///
/// # Errors
/// The body cannot be serialized as JSON.
pub(crate) fn managed_or_unmanaged(code: &AccessCode, device: &DeviceSummary) -> Result<Value> {
    Ok(if code.state.is_managed {
        serde_json::to_value(AccessCodeBody::of(code, device))?
    } else {
        serde_json::to_value(UnmanagedAccessCodeBody::of(code, device))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::Overrides;
    use crate::domain::device::brands;
    use crate::domain::device::health::DeviceHealth;

    #[test]
    fn appearance_has_the_name_as_the_lock_shows_it() {
        let appearance_on = |device_type, name: &str| {
            let held = LockCode { name: Some(name.to_owned()), code: "1357".to_owned(), window: None };
            let device = DeviceSummary {
                brand: brands::of(device_type).unwrap(),
                name: String::new(),
                health: DeviceHealth::default(),
                overrides: Overrides::default(),
                backup_pool: None,
                backups: 0,
            };
            serde_json::to_value(appearance(&held, &device)).unwrap()
        };
        assert_eq!(
            appearance_on("august_lock", "my ongoing code"),
            json!({ "name": "my ongoing code", "first_name": "my", "last_name": "ongoing code" })
        );
        assert_eq!(
            appearance_on("schlage_lock", "my ongoing code"),
            json!({ "name": "my ongoin", "first_name": null, "last_name": null })
        );
        assert_eq!(appearance_on("kwikset_lock", "A"), json!({ "name": "A_", "first_name": null, "last_name": null }));
    }
}
