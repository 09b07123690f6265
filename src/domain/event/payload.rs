//! Payloads of events: the fields that only some types of events have.

use super::event_type;
use crate::clock::to_iso;
use crate::domain::access_code::lifecycle::{Change, Window};
use crate::domain::access_code::{AccessCode, time_frame};
use crate::domain::connected_account::ConnectedAccount;
use crate::domain::device::DeviceSummary;
use crate::domain::space::Space;
use serde_json::{Map, Value, json};

/// Returns the events for a change, each with its payload: one for the whole change and, if the change is on the lock,
/// one per changed property.
pub(crate) fn change_events(change: &Change) -> Vec<(&'static str, Value)> {
    let mut events = vec![(event_type::CHANGED, json!({ "changed_properties": changed_properties(change) }))];
    if !change.is_on_device {
        return events;
    }
    let mut record_event = |event_type, from: Value, to: Value, property: &str| {
        let description = format!("The {property} of the access code was changed on the device.");
        events.push((event_type, json!({ "from": from, "to": to, "description": description })));
    };
    if let Some((from, to)) = &change.name {
        record_event(event_type::NAME_CHANGED, json!({ "name": from }), json!({ "name": to }), "name");
    }
    if let Some((from, to)) = &change.code {
        record_event(event_type::CODE_CHANGED, json!({ "code": from }), json!({ "code": to }), "code");
    }
    if let Some((from, to)) = change.window {
        record_event(event_type::TIME_FRAME_CHANGED, time_frame(from), time_frame(to), "time frame");
    }
    events
}

/// Returns one of Seam's `changed_properties`.
pub(crate) fn changed_property(property: &str, from: Option<&str>, to: Option<&str>) -> Value {
    json!({ "property": property, "from": from, "to": to })
}

/// Returns the payload of `access_code.changed` for a code that was converted to unmanaged.
pub(crate) fn unmanaged() -> Value {
    json!({ "changed_properties": [changed_property("is_managed", Some("true"), Some("false"))] })
}

fn changed_properties(change: &Change) -> Vec<Value> {
    let mut properties = Vec::new();
    let mut add = |property: &str, from: Option<String>, to: Option<String>| {
        if from != to {
            properties.push(changed_property(property, from.as_deref(), to.as_deref()));
        }
    };
    if let Some((from, to)) = change.name.clone() {
        add("name", from, to);
    }
    if let Some((from, to)) = change.code.clone() {
        add("code", from, to);
    }
    if let Some((from, to)) = change.window {
        let starts_at = |window: Option<Window>| window.map(|window| to_iso(window.starts_at));
        let ends_at = |window: Option<Window>| window.map(|window| to_iso(window.ends_at));
        add("starts_at", starts_at(from), starts_at(to));
        add("ends_at", ends_at(from), ends_at(to));
    }
    properties
}

/// Returns the payload of `access_code.mutations_requested`.
pub(crate) fn requested_mutations(change: &Change) -> Value {
    let mut mutations = Vec::new();
    let mut add = |mutation_code: &str, from: Value, to: Value| {
        mutations.push(json!({ "mutation_code": mutation_code, "from": from, "to": to }));
    };
    if let Some((from, to)) = &change.name {
        add("updating_name", json!({ "name": from }), json!({ "name": to }));
    }
    if let Some((from, to)) = &change.code {
        add("updating_code", json!({ "code": from }), json!({ "code": to }));
    }
    if let Some((from, to)) = change.window {
        add("updating_time_frame", time_frame(from), time_frame(to));
    }
    json!({ "requested_mutations": mutations })
}

/// Returns the errors and warnings of a code, its device and its connected account: the payload of events about a
/// problem with the code.
pub(crate) fn issues(code: &AccessCode, device: &DeviceSummary) -> Value {
    let mut payload = device_issues(device);
    let is_own = |error: &&Value| error["is_access_code_error"] == true;
    payload.insert("access_code_errors".to_owned(), brief(code.errors(device).iter().filter(is_own)));
    payload.insert("access_code_warnings".to_owned(), brief(code.warnings(device).iter()));
    Value::Object(payload)
}

/// Returns the errors and warnings of a device and its connected account: the payload of events about a problem with
/// the device.
pub(crate) fn device_issues(device: &DeviceSummary) -> Map<String, Value> {
    let errors = device.errors();
    let (of_account, of_device): (Vec<&Value>, Vec<&Value>) =
        errors.iter().partition(|error| error["is_connected_account_error"] == true);
    let warnings = device.health.warnings();
    let mut payload = Map::new();
    payload.insert("connected_account_errors".to_owned(), brief(of_account.into_iter()));
    payload.insert("connected_account_warnings".to_owned(), json!([]));
    payload.insert("device_errors".to_owned(), brief(of_device.into_iter()));
    payload.insert("device_warnings".to_owned(), brief(warnings.iter()));
    payload
}

/// Returns the errors and warnings of a connected account: the payload of events about a problem with the account.
pub(crate) fn account_issues(account: &ConnectedAccount) -> Value {
    json!({ "connected_account_errors": brief(account.errors().iter()), "connected_account_warnings": [] })
}

/// Returns the payload of an event of a space: its names and its devices.
pub(crate) fn space(space: &Space) -> Value {
    let mut payload = json!({ "space_id": space.space_id, "device_ids": space.device_ids, "acs_entrance_ids": [] });
    if let Some(key) = &space.space_key {
        payload["space_key"] = json!(key);
    }
    payload
}

/// Returns errors or warnings reduced to their common keys.
fn brief<'a>(issues: impl Iterator<Item = &'a Value>) -> Value {
    const COMMON_KEYS: [&str; 4] = ["error_code", "warning_code", "message", "created_at"];
    let brief = |issue: &Value| -> Value {
        COMMON_KEYS.iter().filter_map(|key| Some(((*key).to_owned(), issue.get(*key)?.clone()))).collect()
    };
    issues.map(brief).collect()
}
