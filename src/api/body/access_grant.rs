//! Seam's `access_grant`, derived from the stored grant, its methods, and their codes.

use super::access_method::{Devices, display_name};
use crate::clock::{Timestamp, iso, to_iso};
use crate::domain::access_code::AccessCode;
use crate::domain::access_grant::{
    AccessMethod, GrantWarning, Label, MethodCode, Mode, Progress, RequestedAccessMethod, WarningKind, difference,
    grant_label,
};
use crate::store::access_grants::Listed;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Seam's `access_grant`.
#[derive(Debug, Serialize)]
pub(crate) struct AccessGrantBody {
    access_grant_id: Uuid,
    workspace_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_grant_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_key: Option<String>,
    user_identity_id: Uuid,
    name: Option<String>,
    display_name: String,
    display_status: Label,
    space_ids: Vec<Uuid>,
    location_ids: Vec<Uuid>,
    requested_access_methods: Vec<RequestedBody>,
    access_method_ids: Vec<Uuid>,
    #[serde(with = "iso")]
    starts_at: Timestamp,
    ends_at: Option<String>,
    #[serde(with = "iso")]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    customization_profile_id: Option<Uuid>,
    errors: Vec<Value>,
    warnings: Vec<Value>,
    pending_mutations: Vec<Value>,
}

/// Entry of `requested_access_methods`.
#[derive(Debug, Serialize)]
struct RequestedBody {
    display_name: &'static str,
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instant_key_max_use_count: Option<i64>,
    #[serde(with = "iso")]
    created_at: Timestamp,
    created_access_method_ids: Vec<Uuid>,
}

impl AccessGrantBody {
    /// Returns the body of a grant at this time of its workspace.
    pub(crate) fn of(listed: &Listed, now: Timestamp) -> Self {
        let Listed { grant, methods, .. } = listed;
        let requested = grant.requested_access_methods.iter().enumerate();
        let by_id = MethodCode::by_id(&listed.codes);
        let change = space_change(listed, &by_id, now).filter(|_| grant.deletion_requested_at.is_none());
        let live = by_id.values().filter(|code| code.progress != Progress::Over);
        let live: BTreeSet<Uuid> = live.map(|code| code.access_method_id).collect();
        let with_locks: Vec<&AccessMethod> =
            methods.iter().filter(|method| live.contains(&method.access_method_id)).collect();
        Self {
            access_grant_id: grant.access_grant_id,
            workspace_id: grant.workspace_id,
            access_grant_key: grant.access_grant_key.clone(),
            reservation_key: grant.reservation_key.clone(),
            user_identity_id: grant.user_identity_id,
            name: grant.name.clone(),
            display_name: grant.name.clone().unwrap_or_else(|| listed.identity_name.clone()),
            display_status: grant_label(grant, &with_locks, now),
            space_ids: grant.space_ids.clone(),
            location_ids: grant.space_ids.clone(),
            requested_access_methods: requested.map(|(index, entry)| requested_body(index, entry, methods)).collect(),
            access_method_ids: methods.iter().map(|method| method.access_method_id).collect(),
            starts_at: grant.starts_at,
            ends_at: grant.ends_at.map(to_iso),
            created_at: grant.created_at,
            customization_profile_id: grant.customization_profile_id,
            errors: errors(listed),
            warnings: warnings(listed, change.as_ref()),
            pending_mutations: pending_mutations(listed, change.as_ref()),
        }
    }
}

fn requested_body(index: usize, entry: &RequestedAccessMethod, methods: &[AccessMethod]) -> RequestedBody {
    let of_entry = methods.iter().filter(|method| method.request == index);
    RequestedBody {
        display_name: display_name(entry.mode),
        mode: entry.mode,
        code: entry.code.clone(),
        instant_key_max_use_count: entry.instant_key_max_use_count,
        created_at: entry.created_at,
        created_access_method_ids: of_entry.map(|method| method.access_method_id).collect(),
    }
}

fn errors(listed: &Listed) -> Vec<Value> {
    let conditions = &listed.grant.conditions;
    let Some(since) = conditions.not_created_since else { return Vec::new() };
    let mut error = json!({
        "error_code": "cannot_create_requested_access_methods",
        "message": "Some of the requested access methods could not be created.",
        "created_at": to_iso(since),
    });
    let full = listed.codes.iter().map(|(code, _)| code).filter(|code| code.state.awaits_place());
    let full = full.map(|code| code.device_id);
    let missing: BTreeSet<Uuid> = conditions.missing_device_ids.iter().copied().chain(full).collect();
    if !missing.is_empty() {
        error["missing_device_ids"] = json!(missing);
    }
    vec![error]
}

fn warnings(listed: &Listed, change: Option<&SpaceChange>) -> Vec<Value> {
    let Listed { grant, methods, .. } = listed;
    let mut warnings = Vec::new();
    if let Some(since) = grant.deletion_requested_at {
        warnings.push(warning("being_deleted", "The access grant is being deleted.", since));
    } else if let Some(change) = change {
        if change.lacks_access {
            let message = "The access grant covers more devices than it has access to.";
            warnings.push(warning("underprovisioned_access", message, change.since));
        }
        if change.has_too_much {
            let message = "The access grant still has access that it does not cover any more.";
            let mut body = warning("overprovisioned_access", message, change.since);
            if !change.irrevocable.is_empty() {
                body["failed_devices"] = json!(change.irrevocable.iter().map(failed_device).collect::<Vec<_>>());
            }
            warnings.push(body);
        }
    }
    if let Some(times) = grant.changing_times {
        let mut body = warning("updating_access_times", "The access times are being updated.", times.since);
        body["access_method_ids"] = json!(changing_methods(methods));
        warnings.push(body);
    }
    warnings.extend(grant.conditions.warnings.iter().map(grant_warning));
    warnings
}

fn warning(code: &str, message: &str, since: Timestamp) -> Value {
    json!({ "warning_code": code, "message": message, "created_at": to_iso(since) })
}

/// Returns an entry of `failed_devices`.
fn failed_device(device_id: &Uuid) -> Value {
    json!({
        "device_id": device_id,
        "error_code": "offline_access_code_not_revocable",
        "message": "An offline access code cannot be taken back. It ends by itself.",
    })
}

fn changing_methods(methods: &[AccessMethod]) -> Vec<Uuid> {
    let changing = methods.iter().filter(|method| method.changing_times.is_some());
    changing.map(|method| method.access_method_id).collect()
}

fn grant_warning(warning: &GrantWarning) -> Value {
    let message = match &warning.kind {
        WarningKind::DeviceDoesNotSupportAccessCodes => "The device does not support access codes.",
        WarningKind::DeviceTimeConstraintsViolated { .. } => "The device cannot have the times of the access grant.",
        WarningKind::RequestedCodeUnavailable { .. } => {
            "The requested code cannot be used on the device. Another one was assigned."
        }
    };
    let mut body = json!(warning.kind);
    body["message"] = json!(message);
    body["created_at"] = json!(to_iso(warning.created_at));
    body["device_id"] = json!(warning.device_id);
    body
}

fn pending_mutations(listed: &Listed, change: Option<&SpaceChange>) -> Vec<Value> {
    let Listed { grant, methods, covered, .. } = listed;
    let mut mutations = Vec::new();
    if let Some(change) = change.filter(|change| change.is_pending) {
        let key = methods.iter().find_map(|method| method.common_code_key.as_ref());
        mutations.push(json!({
            "mutation_code": "updating_spaces",
            "message": "The devices of the access grant are being updated.",
            "created_at": to_iso(change.since),
            "from": { "device_ids": change.with_access },
            "to": { "device_ids": covered, "common_code_key": key },
        }));
    }
    if let Some(times) = grant.changing_times {
        mutations.push(json!({
            "mutation_code": "updating_access_times",
            "message": "The access times are being updated.",
            "created_at": to_iso(times.since),
            "access_method_ids": changing_methods(methods),
            "from": { "starts_at": to_iso(times.starts_at), "ends_at": times.ends_at.map(to_iso) },
            "to": { "starts_at": to_iso(grant.starts_at), "ends_at": grant.ends_at.map(to_iso) },
        }));
    }
    mutations
}

/// Difference between the locks that a grant covers and those to which it gives access.
struct SpaceChange {
    /// Instant since which the difference exists.
    since: Timestamp,
    /// Locks that have a code.
    with_access: BTreeSet<Uuid>,
    /// True if a lock that the grant covers gets its code later than the others, or has none.
    lacks_access: bool,
    /// True if a lock that the grant does not cover still has a code.
    has_too_much: bool,
    /// Locks whose offline code cannot be taken back.
    irrevocable: BTreeSet<Uuid>,
    /// True if the difference is being worked off; false if locks were lost.
    is_pending: bool,
}

/// Returns the difference between the locks that a grant covers and those to which it gives access; `None` if there is
/// none. Codes of a new grant and of one that is over are no difference. `by_id` are the codes of the methods.
fn space_change(listed: &Listed, by_id: &BTreeMap<Uuid, MethodCode>, now: Timestamp) -> Option<SpaceChange> {
    let Listed { grant, methods, codes, covered, .. } = listed;
    let method_of =
        |code: &AccessCode| methods.iter().find(|method| Some(method.access_method_id) == code.access_method_id);
    let devices = Devices::of(codes.iter());
    let is_covered: BTreeSet<Uuid> = covered.iter().copied().collect();
    let joining = codes.iter().map(|(code, _)| code).filter(|code| {
        let is_later = method_of(code).is_some_and(|method| {
            // A code that is new because of new times is part of that change.
            method.created_at < code.state.created_at && method.changing_times.is_none()
        });
        // A full lock is reported as an error. Codes of two methods on one lock can differ in this.
        let method_code = by_id.get(&code.access_code_id).filter(|_| !code.state.is_backup);
        let is_being_set = method_code.is_some_and(|method_code| method_code.progress == Progress::Pending);
        is_later && is_being_set && code.state.held.is_none()
    });
    let leaving = codes
        .iter()
        .map(|(code, _)| code)
        .filter(|code| !is_covered.contains(&code.device_id) && !code.state.is_backup)
        .filter(|code| !code.state.has_only_expired());
    let is_over = grant.ends_at.is_some_and(|ends_at| ends_at <= now);
    let missing = difference(grant, methods, covered, by_id, now).missing;
    let known_missing = &grant.conditions.missing_device_ids;
    let is_missing = missing.values().flatten().any(|device_id| !known_missing.contains(device_id));
    let joined_since = joining.clone().map(|code| code.state.created_at).min();
    let is_leaving = leaving.clone().any(|code| !code.state.is_offline);
    let left_since = leaving.clone().map(|code| code.state.deletion_requested_at.unwrap_or(code.state.as_of)).min();
    let lacks_access = joined_since.is_some() || is_missing || (listed.has_lost_locks && !is_over);
    let since = joined_since.into_iter().chain(left_since).min();
    let irrevocable = codes.iter().map(|(code, _)| code).filter(|code| {
        let times = code.state.rare_fields.issuance.and_then(|issuance| issuance.computed_for);
        let exceeds_times = times.is_some_and(|times| !grant.covers(times));
        let is_valid = code.state.is_offline && !code.state.has_only_expired();
        is_valid && (!is_covered.contains(&code.device_id) || exceeds_times)
    });
    let irrevocable: BTreeSet<Uuid> = irrevocable.map(|code| code.device_id).collect();
    let has_too_much = left_since.is_some() || !irrevocable.is_empty();
    (lacks_access || has_too_much).then(|| SpaceChange {
        since: since.unwrap_or(grant.created_at),
        with_access: devices.done.union(&devices.removing).copied().collect(),
        lacks_access,
        has_too_much,
        irrevocable,
        is_pending: joined_since.is_some() || is_leaving || is_missing,
    })
}
