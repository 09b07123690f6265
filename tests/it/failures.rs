//! Problems with access codes on locks, as clients see them: helpers of the tests in the modules below.

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

/// Returns the instant this number of milliseconds after [`START`].
pub(crate) fn after(milliseconds: i64) -> String {
    let start = START.parse::<DateTime<Utc>>().unwrap();
    latchkey::testing::clock::to_iso(start + TimeDelta::milliseconds(milliseconds))
}

/// Moves the clock to this number of milliseconds after [`START`].
pub(crate) async fn move_clock_to(workspace: &TestWorkspace, milliseconds: i64) {
    workspace.post("/_emulator/clock/advance", json!({ "to": after(milliseconds) })).await.ok();
}

/// Moves the clock until only retries are left. Returns its time in milliseconds after [`START`].
pub(crate) async fn advance_until_idle(workspace: &TestWorkspace) -> i64 {
    let advanced = workspace.post("/_emulator/clock/advance", json!({ "until": "quiet" })).await.ok();
    let [now, start] = [advanced["now"].as_str().unwrap(), START].map(|at| at.parse::<DateTime<Utc>>().unwrap());
    (now - start).num_milliseconds()
}

/// Returns the `error_code`s or `warning_code`s of a list.
pub(crate) fn issue_codes(issues: &Value) -> Vec<&str> {
    let issues = issues.as_array().unwrap().iter();
    issues.map(|issue| issue["error_code"].as_str().or(issue["warning_code"].as_str()).unwrap()).collect()
}

/// Returns the state of a code as one line: status, pending mutations, errors, warnings; or `gone`.
pub(crate) async fn state_of(workspace: &TestWorkspace, access_code_id: &Value) -> String {
    let reply = workspace.post("/access_codes/get", json!({ "access_code_id": access_code_id })).await;
    if reply.status == 404 {
        reply.error(404, "access_code_not_found");
        return "gone".to_owned();
    }
    let code = reply.ok()["access_code"].clone();
    let pending = code["pending_mutations"].as_array().unwrap().iter();
    let pending = pending.map(|mutation| mutation["mutation_code"].as_str().unwrap());
    let status = code["status"].as_str().into_iter();
    status
        .chain(pending)
        .chain(issue_codes(&code["errors"]))
        .chain(issue_codes(&code["warnings"]))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Returns the events of a code as `name@milliseconds after START`; the names are without their prefix `access_code.`.
pub(crate) async fn events(workspace: &TestWorkspace, access_code_id: &Value) -> Vec<String> {
    let start = START.parse::<DateTime<Utc>>().unwrap();
    let at = |at: &str| (at.parse::<DateTime<Utc>>().unwrap() - start).num_milliseconds();
    let events = workspace.events_of(access_code_id).await.into_iter();
    events.map(|(name, when)| format!("{}@{}", name.strip_prefix("access_code.").unwrap(), at(&when))).collect()
}

/// Returns all events of a type, in order.
pub(crate) async fn events_of_type(workspace: &TestWorkspace, event_type: &str) -> Vec<Value> {
    let params = json!({ "since": "2000-01-01T00:00:00Z", "event_type": event_type, "limit": 1000 });
    workspace.post("/events/list", params).await.ok()["events"].as_array().unwrap().clone()
}

/// Creates a fault and returns its id.
pub(crate) async fn create_fault(workspace: &TestWorkspace, fault: Value) -> Value {
    workspace.post("/_emulator/faults/create", fault).await.ok()["fault"]["fault_id"].clone()
}

/// Returns the faults of a workspace.
pub(crate) async fn faults(workspace: &TestWorkspace) -> Vec<Value> {
    workspace.get("/_emulator/faults/list").await.ok()["faults"].as_array().unwrap().clone()
}

/// Returns how often each fault was applied.
pub(crate) async fn fault_uses(workspace: &TestWorkspace) -> Vec<i64> {
    faults(workspace).await.iter().map(|fault| fault["used"].as_i64().unwrap()).collect()
}

/// Deletes a fault.
pub(crate) async fn delete_fault(workspace: &TestWorkspace, fault_id: &Value) {
    workspace.post("/_emulator/faults/delete", json!({ "fault_id": fault_id })).await.ok();
}

/// Changes the lock at this index, and returns it.
pub(crate) async fn change(workspace: &TestWorkspace, index: usize, mut change: Value) -> Value {
    change["device_id"] = json!(workspace.lock(index));
    workspace.post("/_emulator/devices/update", change).await.ok()["device"].clone()
}

/// Returns the lock at this index.
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

/// Returns the PINs and names in the memory of the lock at this index.
pub(crate) async fn memory(workspace: &TestWorkspace, index: usize) -> Vec<(String, Option<String>)> {
    let memory = workspace.post("/_emulator/locks/memory", json!({ "device_id": workspace.lock(index) })).await.ok();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let codes = memory["codes"].as_array().unwrap().iter();
    codes.map(|code| (text(&code["code"]).unwrap(), text(&code["name"]))).collect()
}

/// Returns parameters with the lock at this index and a time frame, in milliseconds after [`START`].
pub(crate) fn window(workspace: &TestWorkspace, index: usize, starts_at: i64, ends_at: i64) -> Value {
    json!({ "device_id": workspace.lock(index), "starts_at": after(starts_at), "ends_at": after(ends_at) })
}

/// Returns the expected JSON of an error of the code itself. The message is that of the actual error, `shown`.
pub(crate) fn access_code_error(shown: &Value, error_code: &str, created_at: i64) -> Value {
    json!({ "error_code": error_code, "message": shown["message"], "created_at": after(created_at),
            "is_access_code_error": true })
}

/// Returns the lists of errors and warnings in an event. `of` selects them: account, device, access code.
pub(crate) fn issues<'a>(event: &'a Value, of: &[&str]) -> Vec<(String, Vec<&'a str>)> {
    let lists = of.iter().flat_map(|of| [format!("{of}_errors"), format!("{of}_warnings")]);
    lists.map(|list| (list.clone(), issue_codes(&event[&list]))).collect()
}
