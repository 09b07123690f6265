//! What goes wrong between an access code and its lock, and how a client sees it.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use crate::support::{START, TestWorkspace};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

mod conditions;
mod connection;
mod obstacles;
mod programming;

pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const DAY: i64 = 24 * HOUR;

/// The instant so many milliseconds after [`START`].
pub(crate) fn after(milliseconds: i64) -> String {
    let start = START.parse::<DateTime<Utc>>().unwrap();
    latchkey::testing::clock::to_iso(start + TimeDelta::milliseconds(milliseconds))
}

/// Moves the clock to so many milliseconds after [`START`].
pub(crate) async fn go_to(workspace: &TestWorkspace, milliseconds: i64) {
    workspace.post("/_emulator/clock/advance", json!({ "to": after(milliseconds) })).await.ok();
}

/// Moves the clock on until there is nothing left but retries. Gives where that is, in milliseconds after [`START`].
pub(crate) async fn until_quiet(workspace: &TestWorkspace) -> i64 {
    let advanced = workspace.post("/_emulator/clock/advance", json!({ "until": "quiet" })).await.ok();
    let [now, start] = [advanced["now"].as_str().unwrap(), START].map(|at| at.parse::<DateTime<Utc>>().unwrap());
    (now - start).num_milliseconds()
}

/// The `error_code`s or `warning_code`s of a list.
pub(crate) fn kinds(issues: &Value) -> Vec<&str> {
    let issues = issues.as_array().unwrap().iter();
    issues.map(|issue| issue["error_code"].as_str().or(issue["warning_code"].as_str()).unwrap()).collect()
}

/// What a client sees of a code, in words: status, pending mutations, errors, warnings; or `gone`.
pub(crate) async fn seen(workspace: &TestWorkspace, access_code_id: &Value) -> String {
    let reply = workspace.post("/access_codes/get", json!({ "access_code_id": access_code_id })).await;
    if reply.status == 404 {
        reply.error(404, "access_code_not_found");
        return "gone".to_owned();
    }
    let code = reply.ok()["access_code"].clone();
    let pending = code["pending_mutations"].as_array().unwrap().iter();
    let pending = pending.map(|mutation| mutation["mutation_code"].as_str().unwrap());
    let status = code["status"].as_str().into_iter();
    status.chain(pending).chain(kinds(&code["errors"])).chain(kinds(&code["warnings"])).collect::<Vec<_>>().join(" ")
}

/// Events of a code as `name@milliseconds after the start`, without what all names have in common.
pub(crate) async fn events(workspace: &TestWorkspace, access_code_id: &Value) -> Vec<String> {
    let start = START.parse::<DateTime<Utc>>().unwrap();
    let at = |at: &str| (at.parse::<DateTime<Utc>>().unwrap() - start).num_milliseconds();
    let events = workspace.events_of(access_code_id).await.into_iter();
    events.map(|(name, when)| format!("{}@{}", name.strip_prefix("access_code.").unwrap(), at(&when))).collect()
}

/// Every event of a type, in order.
pub(crate) async fn told(workspace: &TestWorkspace, event_type: &str) -> Vec<Value> {
    let params = json!({ "since": "2000-01-01T00:00:00Z", "event_type": event_type, "limit": 1000 });
    workspace.post("/events/list", params).await.ok()["events"].as_array().unwrap().clone()
}

/// Arranges a fault and gives its id.
pub(crate) async fn fault(workspace: &TestWorkspace, fault: Value) -> Value {
    workspace.post("/_emulator/faults/create", fault).await.ok()["fault"]["fault_id"].clone()
}

/// The faults of a workspace.
pub(crate) async fn faults(workspace: &TestWorkspace) -> Vec<Value> {
    workspace.get("/_emulator/faults/list").await.ok()["faults"].as_array().unwrap().clone()
}

/// How often each fault struck.
pub(crate) async fn used(workspace: &TestWorkspace) -> Vec<i64> {
    faults(workspace).await.iter().map(|fault| fault["used"].as_i64().unwrap()).collect()
}

/// Takes back a fault.
pub(crate) async fn no_fault(workspace: &TestWorkspace, fault_id: &Value) {
    workspace.post("/_emulator/faults/delete", json!({ "fault_id": fault_id })).await.ok();
}

/// Changes the lock at this place.
pub(crate) async fn change(workspace: &TestWorkspace, index: usize, mut change: Value) -> Value {
    change["device_id"] = json!(workspace.lock(index));
    workspace.post("/_emulator/devices/update", change).await.ok()["device"].clone()
}

/// The lock at this place.
pub(crate) async fn device(workspace: &TestWorkspace, index: usize) -> Value {
    workspace.post("/devices/get", json!({ "device_id": workspace.lock(index) })).await.ok()["device"].clone()
}

/// Changes a code through the API.
pub(crate) async fn update(workspace: &TestWorkspace, access_code_id: &Value, mut change: Value) {
    change["access_code_id"] = access_code_id.clone();
    workspace.post("/access_codes/update", change).await.ok();
}

/// Deletes a code through the API.
pub(crate) async fn delete(workspace: &TestWorkspace, access_code_id: &Value) {
    workspace.post("/access_codes/delete", json!({ "access_code_id": access_code_id })).await.ok();
}

/// PINs and names in the memory of the lock at this place.
pub(crate) async fn memory(workspace: &TestWorkspace, index: usize) -> Vec<(String, Option<String>)> {
    let held = workspace.post("/_emulator/locks/memory", json!({ "device_id": workspace.lock(index) })).await.ok();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let held = held["codes"].as_array().unwrap().iter();
    held.map(|held| (text(&held["code"]).unwrap(), text(&held["name"]))).collect()
}

/// A time frame in milliseconds after [`START`], with the lock at this place.
pub(crate) fn window(workspace: &TestWorkspace, index: usize, starts_at: i64, ends_at: i64) -> Value {
    json!({ "device_id": workspace.lock(index), "starts_at": after(starts_at), "ends_at": after(ends_at) })
}

/// An error of the code itself, as it is shown; its message is taken from what is there.
pub(crate) fn own_error(shown: &Value, error_code: &str, created_at: i64) -> Value {
    json!({ "error_code": error_code, "message": shown["message"], "created_at": after(created_at),
            "is_access_code_error": true })
}

/// The lists of errors and warnings that events of trouble carry, of `of`: account, device, access code.
pub(crate) fn issues<'a>(event: &'a Value, of: &[&str]) -> Vec<(String, Vec<&'a str>)> {
    let lists = of.iter().flat_map(|of| [format!("{of}_errors"), format!("{of}_warnings")]);
    lists.map(|list| (list.clone(), kinds(&event[&list]))).collect()
}
