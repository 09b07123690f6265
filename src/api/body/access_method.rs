//! Seam's `access_method`, derived from the stored method and its codes.

use crate::clock::{Timestamp, iso, to_iso};
use crate::domain::access_code::AccessCode;
use crate::domain::access_grant::{AccessMethod, Label, MethodCode, Mode, Progress, method_label};
use crate::store::access_grants::Listed;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Seam's `access_method`.
#[derive(Debug, Serialize)]
pub(crate) struct AccessMethodBody {
    access_method_id: Uuid,
    workspace_id: Uuid,
    display_name: &'static str,
    mode: Mode,
    code: Option<String>,
    is_issued: bool,
    issued_at: Option<String>,
    display_status: Label,
    #[serde(with = "iso")]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    customization_profile_id: Option<Uuid>,
    errors: Vec<Value>,
    warnings: Vec<Value>,
    pending_mutations: Vec<Value>,
}

/// Locks with codes, by the progress of the code.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    /// The guest can rely on the code.
    pub(crate) done: BTreeSet<Uuid>,
    /// The code is being made or changed.
    pub(crate) pending: BTreeSet<Uuid>,
    /// The code is being taken off the lock.
    pub(crate) removing: BTreeSet<Uuid>,
}

impl Devices {
    /// Sorts the locks of these codes, each given with true if its lock is reachable.
    pub(crate) fn of<'a>(codes: impl Iterator<Item = &'a (AccessCode, bool)>) -> Self {
        let mut devices = Self::default();
        for (code, is_reachable) in codes.filter(|(code, _)| !code.state.is_backup) {
            let Some(method_code) = MethodCode::of(code, *is_reachable) else { continue };
            let set = match method_code.progress {
                Progress::Ready => &mut devices.done,
                Progress::Pending | Progress::WithoutPlace => &mut devices.pending,
                Progress::Over => &mut devices.removing,
            };
            set.insert(code.device_id);
        }
        devices
    }
}

/// Returns the name that Seam shows for methods of this mode.
pub(crate) fn display_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Code => "PIN Code",
        Mode::Card => "Card",
        Mode::MobileKey => "Mobile Key",
        Mode::CloudKey => "Cloud Key",
    }
}

impl AccessMethodBody {
    /// Returns the body of a method of this grant at this time of its workspace.
    pub(crate) fn of(listed: &Listed, method: &AccessMethod, now: Timestamp) -> Self {
        Self {
            access_method_id: method.access_method_id,
            workspace_id: method.workspace_id,
            display_name: display_name(Mode::Code),
            mode: Mode::Code,
            code: method.code.clone(),
            is_issued: method.issued_at.is_some(),
            issued_at: method.issued_at.map(to_iso),
            display_status: method_label(&listed.grant, method, now),
            created_at: method.created_at,
            customization_profile_id: listed.grant.customization_profile_id,
            errors: errors(method),
            warnings: warnings(method),
            pending_mutations: pending_mutations(listed, method),
        }
    }
}

fn errors(method: &AccessMethod) -> Vec<Value> {
    let failed = method.failed_at.map(|since| {
        json!({
            "error_code": "failed_to_issue",
            "message": "The access method was not issued before its start. Seam keeps trying.",
            "created_at": to_iso(since),
        })
    });
    failed.into_iter().collect()
}

fn warnings(method: &AccessMethod) -> Vec<Value> {
    let mut warnings = Vec::new();
    let mut add = |code: &str, message: &str, since: Option<Timestamp>| {
        if let Some(since) = since {
            warnings.push(json!({ "warning_code": code, "message": message, "created_at": to_iso(since) }));
        }
    };
    add("being_deleted", "The access method is being deleted.", method.deletion_requested_at);
    let changing = method.changing_times.map(|times| times.since);
    add("updating_access_times", "The access times are being updated.", changing);
    add("delay_in_issuing", "Issuing the access method takes unusually long.", method.delayed_at);
    if let Some(since) = method.backup_pulled_at {
        add("pulled_backup_access_code", "A backup access code is used.", Some(since));
        if let (Some(original), Some(warning)) = (method.original_access_method_id, warnings.last_mut()) {
            warning["original_access_method_id"] = json!(original);
        }
    }
    warnings
}

fn pending_mutations(listed: &Listed, method: &AccessMethod) -> Vec<Value> {
    let of_method = |code: &&(AccessCode, bool)| code.0.access_method_id == Some(method.access_method_id);
    let codes: Vec<&(AccessCode, bool)> = listed.codes.iter().filter(of_method).collect();
    let devices = Devices::of(codes.iter().copied());
    let wanted: BTreeSet<Uuid> = devices.done.union(&devices.pending).copied().collect();
    let mut mutations = Vec::new();
    if let Some(times) = method.changing_times {
        mutations.push(json!({
            "mutation_code": "updating_access_times",
            "message": "The access times are being updated.",
            "created_at": to_iso(times.since),
            "from": { "starts_at": to_iso(times.starts_at), "ends_at": times.ends_at.map(to_iso) },
            "to": { "starts_at": to_iso(listed.grant.starts_at), "ends_at": listed.grant.ends_at.map(to_iso) },
        }));
    } else if !devices.pending.is_empty() {
        let pending = codes.iter().map(|(code, _)| code).filter(|code| devices.pending.contains(&code.device_id));
        let since = pending.map(|code| code.state.created_at).min().unwrap_or(method.created_at);
        mutations.push(json!({
            "mutation_code": "provisioning_access",
            "message": "Access to devices is being provisioned.",
            "created_at": to_iso(since),
            "from": { "device_ids": devices.done },
            "to": { "device_ids": wanted },
        }));
    }
    if !devices.removing.is_empty() {
        let removing = codes.iter().map(|(code, _)| code).filter(|code| devices.removing.contains(&code.device_id));
        let since = removing.filter_map(|code| code.state.removing_since()).min().unwrap_or(method.created_at);
        let with_access: BTreeSet<Uuid> = wanted.union(&devices.removing).copied().collect();
        mutations.push(json!({
            "mutation_code": "revoking_access",
            "message": "Access to devices is being revoked.",
            "created_at": to_iso(since),
            "from": { "device_ids": with_access },
            "to": { "device_ids": wanted },
        }));
    }
    mutations
}
