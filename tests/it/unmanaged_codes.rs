//! Unmanaged codes, which were added at the lock: reading, converting to managed, and deleting.

use crate::access_codes::{on_lock, request_errors, rows};
use crate::support::{Reply, START, TestWorkspace, UNKNOWN, app, ask, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const ADD: &str = "/_emulator/locks/add_code";
const SIMULATE: &str = "/access_codes/simulate/create_unmanaged_access_code";
const GET: &str = "/access_codes/unmanaged/get";
const LIST: &str = "/access_codes/unmanaged/list";
const UPDATE: &str = "/access_codes/unmanaged/update";
const DELETE: &str = "/access_codes/unmanaged/delete";
const CONVERT: &str = "/access_codes/unmanaged/convert_to_managed";
const FAILED: &str = "access_code.unmanaged.failed_to_convert_to_managed";

const DAY: [&str; 2] = ["2026-03-12T12:00:00.000Z", "2026-03-13T12:00:00.000Z"];

/// Adds an unmanaged code to the lock at `index`, as a user of the manufacturer's app does.
async fn add(workspace: &TestWorkspace, index: usize, code: &str, mut further: Value) -> Value {
    further["code"] = json!(code);
    workspace.post(ADD, on_lock(workspace, index, further)).await.ok()["access_code"].clone()
}

/// Adds an unmanaged code for [`DAY`] only.
async fn add_for_a_day(workspace: &TestWorkspace, index: usize, code: &str) -> Value {
    add(workspace, index, code, json!({ "starts_at": DAY[0], "ends_at": DAY[1] })).await
}

fn id(code: &Value) -> &str {
    code["access_code_id"].as_str().unwrap()
}

fn id_params(code: &Value) -> Value {
    json!({ "access_code_id": code["access_code_id"] })
}

fn with(mut params: Value, name: &str, value: Value) -> Value {
    params[name] = value;
    params
}

async fn get(workspace: &TestWorkspace, code: &Value) -> Value {
    workspace.post(GET, id_params(code)).await.ok()["access_code"].clone()
}

/// Returns the ids in a list response.
fn ids(listed: &Value) -> Vec<&str> {
    listed["access_codes"].as_array().unwrap().iter().map(id).collect()
}

async fn listed(workspace: &TestWorkspace, index: usize) -> Value {
    workspace.post(LIST, on_lock(workspace, index, json!({}))).await.ok()
}

/// Returns the codes that the lock at `index` holds.
async fn memory(workspace: &TestWorkspace, index: usize) -> Vec<Value> {
    let held = workspace.get(&format!("/_emulator/locks/memory?device_id={}", workspace.lock(index))).await.ok();
    held["codes"].as_array().unwrap().clone()
}

async fn set(workspace: &TestWorkspace, index: usize, changed: Value) {
    workspace.post("/_emulator/devices/update", on_lock(workspace, index, changed)).await.ok();
}

async fn attempt(workspace: &TestWorkspace, attempt: &Value) -> Value {
    let params = json!({ "action_attempt_id": attempt["action_attempt_id"] });
    workspace.post("/action_attempts/get", params).await.ok()["action_attempt"].clone()
}

/// Returns the events of a code as `name@instant`.
async fn events(workspace: &TestWorkspace, code: &Value) -> Vec<String> {
    let events = workspace.events_of(&code["access_code_id"]).await.into_iter();
    events.map(|(name, at)| format!("{}@{at}", name.strip_prefix("access_code.").unwrap())).collect()
}

/// Returns the last event of a code in full.
async fn last_event(workspace: &TestWorkspace, code: &Value) -> Value {
    let params = json!({ "since": "2000-01-01T00:00:00Z", "access_code_id": code["access_code_id"], "limit": 1000 });
    workspace.post("/events/list", params).await.ok()["events"].as_array().unwrap().last().unwrap().clone()
}

fn error_codes(resource: &Value) -> Vec<&str> {
    resource["errors"].as_array().unwrap().iter().map(|error| error["error_code"].as_str().unwrap()).collect()
}

async fn advance_to(workspace: &TestWorkspace, instant: &str) {
    workspace.post("/_emulator/clock/advance", json!({ "to": instant })).await.ok();
}

#[test]
fn code_added_at_the_lock_is_unmanaged_and_has_only_unmanaged_fields() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(2).await, TestWorkspace::with_locks(1).await);
        let managed = workspace.create(on_lock(&workspace, 0, json!({ "code": "1357" }))).await;
        let simulated = json!({ "code": "4826", "name": "Cleaner" });
        let simulated = workspace.post(SIMULATE, on_lock(&workspace, 0, simulated)).await.ok()["access_code"].clone();
        workspace.advance("PT1H").await;
        let added = add(&workspace, 0, "5937", json!({})).await;
        let flags = json!({ "cannot_be_managed": true, "cannot_delete_unmanaged_access_code": true });
        let flagged = add(&workspace, 0, "6048", flags).await;
        let plain = [
            "access_code_id",
            "workspace_id",
            "device_id",
            "name",
            "code",
            "type",
            "status",
            "display_status",
            "starts_at",
            "ends_at",
            "created_at",
            "errors",
            "warnings",
            "is_managed",
        ];
        let both_flags = ["cannot_be_managed", "cannot_delete_unmanaged_access_code"];
        for (code, pin, name, created_at, flags) in [
            (&simulated, "4826", json!("Cleaner"), START, &[][..]),
            (&added, "5937", Value::Null, "2026-03-02T13:00:00.000Z", &[]),
            (&flagged, "6048", Value::Null, "2026-03-02T13:00:00.000Z", &both_flags),
        ] {
            let properties: BTreeSet<&str> = code.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(properties, plain.iter().chain(flags).copied().collect());
            assert!(flags.iter().all(|flag| code[*flag] == true));
            for (property, expected) in [
                ("code", json!(pin)),
                ("name", name),
                ("device_id", json!(workspace.lock(0))),
                ("workspace_id", json!(workspace.workspace_id)),
                ("type", json!("ongoing")),
                ("status", json!("set")),
                ("is_managed", json!(false)),
                ("created_at", json!(created_at)),
                ("errors", json!([])),
                ("warnings", json!([])),
            ] {
                assert_eq!(code[property], expected, "{property}");
            }
            assert_eq!(get(&workspace, code).await, *code);
            let by_pin = on_lock(&workspace, 0, json!({ "code": pin }));
            assert_eq!(workspace.post(GET, by_pin.clone()).await.ok()["access_code"], *code);
            workspace.post("/access_codes/get", by_pin).await.error(404, "access_code_not_found");
            workspace.post("/access_codes/get", id_params(code)).await.error(404, "access_code_not_found");
            let path = format!("{GET}?access_code_id={}&device_id={}", id(code), workspace.lock(0));
            assert_eq!(workspace.get(&path).await.ok()["access_code"], *code);
            assert_eq!(events(&workspace, code).await, [format!("unmanaged.created@{created_at}")]);
            other.post(GET, id_params(code)).await.error(404, "access_code_not_found");
        }
        assert_eq!(listed(&workspace, 0).await["access_codes"].as_array().unwrap().len(), 3);
        assert_eq!(
            BTreeSet::from_iter(ids(&listed(&workspace, 0).await)),
            [&simulated, &added, &flagged].map(id).into()
        );
        assert_eq!(ids(&listed(&workspace, 1).await), [""; 0]);
        let managed_list = workspace.post("/access_codes/list", on_lock(&workspace, 0, json!({}))).await.ok();
        assert_eq!(ids(&managed_list), [id(&managed)]);
        let by_id = json!({ "access_code_ids": [id(&simulated), id(&added)] });
        assert_eq!(ids(&workspace.post("/access_codes/list", by_id).await.ok()), [""; 0]);
        workspace.post(GET, id_params(&managed)).await.error(404, "access_code_not_found");
        other.post(LIST, on_lock(&workspace, 0, json!({}))).await.error(404, "device_not_found");
        for (path, further) in [(CONVERT, json!({})), (DELETE, json!({})), (UPDATE, json!({ "is_managed": true }))] {
            let params = with(further, "access_code_id", json!(id(&simulated)));
            other.post(path, params).await.error(404, "access_code_not_found");
        }
        assert_eq!(listed(&workspace, 0).await["access_codes"].as_array().unwrap().len(), 3);
        // A lock of another workspace is not found.
        let elsewhere = on_lock(&workspace, 0, json!({ "code": "7159", "name": "x" }));
        for path in [ADD, SIMULATE] {
            other.post(path, elsewhere.clone()).await.error(404, "device_not_found");
        }
    });
}

#[test]
fn unmanaged_code_is_unset_before_its_start_and_gone_at_its_end() {
    run(async {
        for online in [true, false] {
            let workspace = TestWorkspace::with_locks(1).await;
            let code = add_for_a_day(&workspace, 0, "4826").await;
            set(&workspace, 0, json!({ "online": online })).await;
            assert_eq!((&code["type"], &code["status"]), (&json!("time_bound"), &json!("unset")));
            assert_eq!((&code["starts_at"], &code["ends_at"]), (&json!(DAY[0]), &json!(DAY[1])));
            for (instant, status) in
                [("2026-03-12T11:59:59.999Z", "unset"), (DAY[0], "set"), ("2026-03-13T11:59:59.999Z", "set")]
            {
                advance_to(&workspace, instant).await;
                assert_eq!(get(&workspace, &code).await["status"], status, "at {instant}");
                assert_eq!(memory(&workspace, 0).await.len(), 1);
            }
            advance_to(&workspace, DAY[1]).await;
            workspace.post(GET, id_params(&code)).await.error(404, "access_code_not_found");
            assert_eq!((ids(&listed(&workspace, 0).await).len(), memory(&workspace, 0).await.len()), (0, 0));
            assert_eq!(
                events(&workspace, &code).await,
                ["unmanaged.created@2026-03-02T12:00:00.000Z", "unmanaged.removed@2026-03-13T12:00:00.000Z"]
            );
        }
    });
}

#[test]
fn add_code_sets_a_code_that_has_begun_and_rejects_one_that_has_ended() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let running = json!({ "starts_at": "2026-03-02T11:00:00Z", "ends_at": "2026-03-02T12:00:00.001Z" });
        assert_eq!(add(&workspace, 0, "4826", running).await["status"], "set");
        let before = rows(&workspace).await;
        for ends_at in [START, "2026-03-02T11:30:00Z"] {
            let ended = json!({ "code": "5937", "starts_at": "2026-03-02T11:00:00Z", "ends_at": ends_at });
            let messages = workspace.post(ADD, on_lock(&workspace, 0, ended)).await.invalid("ends_at");
            assert_eq!(messages, ["ends_at must be in the future"]);
        }
        assert_eq!(rows(&workspace).await, before);
    });
}

#[test]
fn convert_to_managed_keeps_the_id_and_the_slot_on_the_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let first = add(&workspace, 0, "4826", json!({ "name": "Cleaner" })).await;
        let second = add(&workspace, 0, "5937", json!({})).await;
        let third = add(&workspace, 0, "6048", json!({})).await;
        let mut before = memory(&workspace, 0).await;
        workspace.advance("PT1H").await;
        let allowed = with(id_params(&first), "is_external_modification_allowed", json!(true));
        let converted = workspace.post(CONVERT, with(allowed, "force", json!(true))).await.ok();
        let keys: Vec<&str> = converted.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["action_attempt", "ok"]);
        let finished = &converted["action_attempt"];
        assert_eq!(finished["action_type"], "CONVERT_ACCESS_CODE_TO_MANAGED");
        assert_eq!((&finished["status"], &finished["error"]), (&json!("success"), &Value::Null));
        assert!(finished["result"].is_object());
        let params = json!({ "action_attempt_id": finished["action_attempt_id"] });
        assert_eq!(&workspace.post("/action_attempts/get", params).await.ok()["action_attempt"], finished);
        let params = json!({ "access_code_id": id(&second), "is_managed": true, "allow_external_modification": true });
        assert_eq!(workspace.post(UPDATE, with(params, "force", json!(false))).await.ok(), json!({ "ok": true }));
        let patch = with(id_params(&third), "sync", json!(true)).to_string();
        let bearer = format!("Bearer {}", workspace.api_key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        ask("PATCH", CONVERT, &headers, patch).await.ok();
        for (unmanaged, allowed) in [(&first, true), (&second, true), (&third, false)] {
            let managed = workspace.access_code(&unmanaged["access_code_id"]).await;
            for (property, expected) in [
                ("is_managed", json!(true)),
                ("status", json!("set")),
                ("is_external_modification_allowed", json!(allowed)),
                ("pending_mutations", json!([])),
                ("created_at", json!(START)),
                ("name", unmanaged["name"].clone()),
                ("code", unmanaged["code"].clone()),
                ("common_code_key", Value::Null),
                ("is_backup", json!(false)),
            ] {
                assert_eq!(managed[property], expected, "{property}");
            }
            workspace.post(GET, id_params(unmanaged)).await.error(404, "access_code_not_found");
            workspace.post(CONVERT, id_params(unmanaged)).await.error(404, "access_code_not_found");
            assert_eq!(
                events(&workspace, unmanaged).await,
                [
                    "unmanaged.created@2026-03-02T12:00:00.000Z",
                    "unmanaged.converted_to_managed@2026-03-02T13:00:00.000Z"
                ]
            );
        }
        for held in &mut before {
            held["is_managed"] = json!(true);
        }
        assert_eq!(memory(&workspace, 0).await, before);
        workspace.advance("P1D").await;
        assert_eq!(memory(&workspace, 0).await, before, "the lock is unchanged");
        assert_eq!(ids(&listed(&workspace, 0).await), [""; 0]);
        // The converted codes can be changed and deleted like any other.
        workspace.post("/access_codes/update", with(id_params(&first), "code", json!("7159"))).await.ok();
        workspace.post("/access_codes/delete", id_params(&second)).await.ok();
        workspace.advance("PT1S").await;
        let held: Vec<Value> = memory(&workspace, 0).await.iter().map(|held| held["code"].clone()).collect();
        assert_eq!(held, ["7159", "6048"]);
    });
}

#[test]
fn convert_to_managed_before_the_start_keeps_the_code_unset_until_then() {
    run(async {
        // Only the first lock schedules managed codes natively, but both keep the schedule of a code added at the lock.
        for (device_type, pin) in [("august_lock", "4826"), ("lockly_lock", "482615")] {
            let workspace = TestWorkspace::with(json!([{ "device_type": device_type }])).await;
            let code = add_for_a_day(&workspace, 0, pin).await;
            workspace.post(CONVERT, id_params(&code)).await.ok();
            for (instant, status) in [(START, "unset"), ("2026-03-12T11:59:59.999Z", "unset"), (DAY[0], "set")] {
                advance_to(&workspace, instant).await;
                let managed = workspace.access_code(&code["access_code_id"]).await;
                assert_eq!((&managed["status"], &managed["pending_mutations"]), (&json!(status), &json!([])));
                assert_eq!(managed["is_scheduled_on_device"], true, "{device_type}");
                assert_eq!(memory(&workspace, 0).await.len(), 1);
            }
            advance_to(&workspace, "2026-03-13T12:00:00.250Z").await;
            assert_eq!(
                events(&workspace, &code).await,
                [
                    "unmanaged.created@2026-03-02T12:00:00.000Z",
                    "unmanaged.converted_to_managed@2026-03-02T12:00:00.000Z",
                    "set_on_device@2026-03-12T12:00:00.000Z",
                    "removed_from_device@2026-03-13T12:00:00.250Z",
                    "deleted@2026-03-13T12:00:00.250Z",
                ],
                "{device_type}"
            );
        }
    });
}

#[test]
fn convert_to_managed_fails_with_an_event_if_a_code_cannot_be_managed() {
    run(async {
        let types = ["igloohome_lock", "kwikset_lock", "smartthings_lock", "august_lock"];
        let workspace =
            TestWorkspace::with(types.map(|device_type| json!({ "device_type": device_type })).into()).await;
        let mut rejected = Vec::new();
        for (index, device_type) in types.into_iter().enumerate().take(3) {
            let code = add(&workspace, index, "4826", json!({})).await;
            assert_eq!(code["cannot_be_managed"], true, "{device_type}");
            rejected.push((code, "cannot_be_managed"));
        }
        rejected.push((add(&workspace, 3, "4826", json!({ "cannot_be_managed": true })).await, "cannot_be_managed"));
        // The managed code is not on the lock yet, so its PIN can still be added there.
        let managed = json!({ "code": "5937", "starts_at": DAY[0], "ends_at": DAY[1] });
        workspace.create(on_lock(&workspace, 3, managed)).await;
        rejected.push((add(&workspace, 3, "5937", json!({})).await, "duplicate_access_code"));
        workspace.advance("PT1M").await;
        for (code, reason) in &rejected {
            let failed = workspace.post(CONVERT, id_params(code)).await.ok()["action_attempt"].clone();
            assert_eq!(failed["action_type"], "CONVERT_ACCESS_CODE_TO_MANAGED");
            assert_eq!((&failed["status"], &failed["result"]), (&json!("error"), &Value::Null));
            assert_eq!(failed["error"]["type"], *reason);
            assert!(failed["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
            let event = last_event(&workspace, code).await;
            assert_eq!(
                (&event["event_type"], &event["occurred_at"]),
                (&json!(FAILED), &json!("2026-03-02T12:01:00.000Z"))
            );
            for issues in ["access_code", "device", "connected_account"] {
                assert!(event[format!("{issues}_errors")].is_array() && event[format!("{issues}_warnings")].is_array());
            }
            workspace.post(UPDATE, with(id_params(code), "is_managed", json!(true))).await.ok();
            let types: Vec<String> =
                workspace.events_of(&code["access_code_id"]).await.into_iter().map(|entry| entry.0).collect();
            assert_eq!(types, ["access_code.unmanaged.created", FAILED, FAILED]);
            workspace.post("/access_codes/get", id_params(code)).await.error(404, "access_code_not_found");
        }
        for (code, _) in [&rejected[0], &rejected[2], &rejected[3], &rejected[4]] {
            assert_eq!(get(&workspace, code).await["is_managed"], false);
        }
        // The PIN of a managed code is taken for all time frames. The setting allows it for codes that are never on the
        // lock together.
        let other_day = add_for_a_day(&workspace, 3, "6048").await;
        let next = json!({ "code": "6048", "starts_at": "2026-03-20T12:00:00Z", "ends_at": "2026-03-21T12:00:00Z" });
        workspace.create(on_lock(&workspace, 3, next)).await;
        let refused = workspace.post(CONVERT, id_params(&other_day)).await.ok();
        assert_eq!(refused["action_attempt"]["status"], "error");
        let allowed = json!({ "allow_same_code_in_disjoint_windows": true });
        workspace.post("/_emulator/workspaces/update", allowed).await.ok();
        let converted = workspace.post(CONVERT, id_params(&other_day)).await.ok();
        assert_eq!(converted["action_attempt"]["status"], "success");
    });
}

#[test]
fn unmanaged_delete_removes_the_code_from_the_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = add(&workspace, 0, "4826", json!({})).await;
        let managed = workspace.create(on_lock(&workspace, 0, json!({ "code": "1357" }))).await;
        workspace.advance("PT1S").await;
        let pending = workspace.post(DELETE, id_params(&code)).await.ok()["action_attempt"].clone();
        assert_eq!((&pending["action_type"], &pending["status"]), (&json!("DELETE_ACCESS_CODE"), &json!("pending")));
        workspace.advance("PT0.249S").await;
        assert_eq!(attempt(&workspace, &pending).await, pending);
        assert_eq!((ids(&listed(&workspace, 0).await), memory(&workspace, 0).await.len()), (vec![id(&code)], 2));
        assert_eq!(get(&workspace, &code).await["status"], "set");
        workspace.advance("PT0.001S").await;
        let finished = attempt(&workspace, &pending).await;
        assert_eq!((&finished["status"], &finished["result"]), (&json!("success"), &json!({})));
        assert_eq!((ids(&listed(&workspace, 0).await).len(), memory(&workspace, 0).await.len()), (0, 1));
        assert_eq!(
            events(&workspace, &code).await,
            ["unmanaged.created@2026-03-02T12:00:00.000Z", "unmanaged.removed@2026-03-02T12:00:01.250Z"]
        );
        workspace.post(DELETE, id_params(&code)).await.error(404, "access_code_not_found");
        // Managed and unmanaged codes have separate routes.
        let unmanaged = add(&workspace, 0, "5937", json!({})).await;
        let before = rows(&workspace).await;
        for path in [DELETE, CONVERT] {
            workspace.post(path, id_params(&managed)).await.error(404, "access_code_not_found");
        }
        let update = with(id_params(&managed), "is_managed", json!(true));
        workspace.post(UPDATE, update).await.error(404, "access_code_not_found");
        for path in ["/access_codes/update", "/access_codes/delete", "/access_codes/pull_backup_access_code"] {
            workspace
                .post(path, with(id_params(&unmanaged), "name", json!("x")))
                .await
                .error(404, "access_code_not_found");
        }
        assert_eq!(rows(&workspace).await, before);
        let deleted = workspace.post(DELETE, with(id_params(&unmanaged), "sync", json!(true))).await.ok();
        assert_eq!(deleted["action_attempt"]["status"], "success");
        assert_eq!((ids(&listed(&workspace, 0).await).len(), memory(&workspace, 0).await.len()), (0, 1));
    });
}

#[test]
fn unmanaged_delete_can_be_repeated_and_prevents_conversion() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = add(&workspace, 0, "4826", json!({})).await;
        set(&workspace, 0, json!({ "online": false })).await;
        let first = workspace.post(DELETE, id_params(&code)).await.ok()["action_attempt"].clone();
        workspace.advance("P1D").await;
        assert_eq!(attempt(&workspace, &first).await["status"], "pending");
        let waiting = get(&workspace, &code).await;
        assert_eq!((&waiting["status"], &waiting["warnings"]), (&json!("set"), &json!([])));
        assert_eq!(error_codes(&waiting), ["failed_to_remove_from_device", "device_disconnected"]);
        workspace.post(CONVERT, id_params(&code)).await.error(404, "access_code_not_found");
        workspace
            .post(UPDATE, with(id_params(&code), "is_managed", json!(true)))
            .await
            .error(404, "access_code_not_found");
        let path = format!("{DELETE}?access_code_id={}", id(&code));
        let second = workspace.request("DELETE", &path).await.ok()["action_attempt"].clone();
        assert_eq!(memory(&workspace, 0).await.len(), 1);
        set(&workspace, 0, json!({ "online": true })).await;
        workspace.advance("PT0.25S").await;
        for deletion in [&first, &second] {
            assert_eq!(attempt(&workspace, deletion).await["status"], "success");
        }
        assert_eq!(memory(&workspace, 0).await.len(), 0);
        assert_eq!(events(&workspace, &code).await.last().unwrap(), "unmanaged.removed@2026-03-03T12:00:00.250Z");
    });
}

#[test]
fn unmanaged_code_that_cannot_be_deleted_can_be_converted_and_deleted() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = add(&workspace, 0, "4826", json!({ "cannot_delete_unmanaged_access_code": true })).await;
        let before = rows(&workspace).await;
        for sync in [false, true] {
            let params = with(id_params(&code), "sync", json!(sync));
            workspace.post(DELETE, params).await.error(400, "cannot_delete_unmanaged_access_code");
        }
        workspace.advance("PT1H").await;
        assert_eq!(
            (rows(&workspace).await, get(&workspace, &code).await, memory(&workspace, 0).await.len()),
            (before, code.clone(), 1)
        );
        workspace.post(CONVERT, id_params(&code)).await.ok();
        workspace.post("/access_codes/delete", id_params(&code)).await.ok();
        workspace.advance("PT0.25S").await;
        assert_eq!(memory(&workspace, 0).await.len(), 0);
    });
}

#[test]
fn unmanaged_code_follows_changes_and_removal_at_the_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = add(&workspace, 0, "4826", json!({ "name": "Cleaner" })).await;
        workspace.advance("PT1H").await;
        let changed =
            json!({ "code": "4826", "new_code": "5937", "name": "Plumber", "starts_at": DAY[0], "ends_at": DAY[1] });
        let changed =
            workspace.post("/_emulator/locks/change_code", on_lock(&workspace, 0, changed)).await.ok()["access_code"]
                .clone();
        assert_eq!(get(&workspace, &code).await, changed);
        for (property, expected) in [
            ("access_code_id", code["access_code_id"].clone()),
            ("code", json!("5937")),
            ("name", json!("Plumber")),
            ("type", json!("time_bound")),
            ("status", json!("unset")),
            ("starts_at", json!(DAY[0])),
            ("ends_at", json!(DAY[1])),
            ("created_at", json!(START)),
            ("is_managed", json!(false)),
            ("errors", json!([])),
            ("warnings", json!([])),
        ] {
            assert_eq!(changed[property], expected, "{property}");
        }
        let held = memory(&workspace, 0).await;
        assert_eq!((held.len(), &held[0]["code"], &held[0]["starts_at"]), (1, &json!("5937"), &json!(DAY[0])));
        let ended = json!({ "access_code_id": id(&code), "starts_at": "2026-03-02T10:00:00Z", "ends_at": "2026-03-02T13:00:00Z" });
        let reply = workspace.post("/_emulator/locks/change_code", on_lock(&workspace, 0, ended)).await;
        assert_eq!(reply.invalid("ends_at"), ["ends_at must be in the future"]);
        advance_to(&workspace, DAY[0]).await;
        assert_eq!(get(&workspace, &code).await["status"], "set");
        workspace.post("/_emulator/locks/remove_code", on_lock(&workspace, 0, id_params(&code))).await.ok();
        workspace.post(GET, id_params(&code)).await.error(404, "access_code_not_found");
        assert_eq!((ids(&listed(&workspace, 0).await).len(), memory(&workspace, 0).await.len()), (0, 0));
        workspace.advance("P10D").await;
        assert_eq!(
            events(&workspace, &code).await,
            [format!("unmanaged.created@{START}"), format!("unmanaged.removed@{}", DAY[0])]
        );
        let again = workspace.post("/_emulator/locks/remove_code", on_lock(&workspace, 0, id_params(&code))).await;
        again.error(404, "access_code_not_found");
    });
}

#[test]
fn smartthings_and_wyze_hide_an_unmanaged_pin_and_kwikset_the_code() {
    run(async {
        let types = ["smartthings_lock", "wyze_lock", "kwikset_lock", "august_lock"];
        let locks: Value = types.map(|device_type| json!({ "device_type": device_type })).into();
        let workspace = TestWorkspace::create_with(json!({ "locks": locks, "seed": "what is hidden" })).await;
        for (index, device_type) in types.into_iter().enumerate() {
            let code = add(&workspace, index, "4826", json!({ "name": "Cleaner" })).await;
            let by_pin = workspace.post(GET, on_lock(&workspace, index, json!({ "code": "4826" }))).await;
            let search = async |text: &str| {
                workspace.post(LIST, on_lock(&workspace, index, json!({ "search": text }))).await.ok()
            };
            let listed = listed(&workspace, index).await;
            match device_type {
                "kwikset_lock" => {
                    assert_eq!(ids(&listed), [""; 0]);
                    workspace.post(GET, id_params(&code)).await.error(404, "access_code_not_found");
                    by_pin.error(404, "access_code_not_found");
                }
                "august_lock" => {
                    assert_eq!(listed["access_codes"][0]["code"], "4826");
                    assert_eq!(by_pin.ok()["access_code"], listed["access_codes"][0]);
                    assert_eq!(ids(&search("482").await), [id(&code)]);
                }
                _ => {
                    assert_eq!((&listed["access_codes"][0], &code["code"]), (&code, &Value::Null), "{device_type}");
                    assert_eq!(get(&workspace, &code).await, code);
                    by_pin.error(404, "access_code_not_found");
                    assert_eq!(ids(&search("clean").await), [id(&code)]);
                    assert_eq!(ids(&search("4826").await), [""; 0], "{device_type}: a hidden PIN is not found");
                }
            }
            assert_eq!(memory(&workspace, index).await[0]["code"], "4826", "{device_type}");
        }
        // The PIN of a managed code is shown.
        let managed = workspace.create(on_lock(&workspace, 1, json!({ "code": "5937" }))).await;
        let found = workspace.post("/access_codes/list", on_lock(&workspace, 1, json!({ "search": "593" }))).await.ok();
        assert_eq!((ids(&found), &found["access_codes"][0]["code"]), (vec![id(&managed)], &json!("5937")));
    });
}

/// Inserts unmanaged codes into the database, as if the lock held all four-digit PINs except one.
async fn fill(workspace: &TestWorkspace, index: usize, except: &str) {
    let statement = "insert into access_code (access_code_id, workspace_id, device_id, created_at, code, is_natively_scheduled,
                                              is_external_modification_allowed, held_code, first_held_at, as_of, children,
                                              is_managed)
         select gen_random_uuid(), $1, $2, at, pin, false, false, pin, at, at, 0, false
         from generate_series(0, 9999) as number, lpad(number::text, 4, '0') as pin, cast($3 as timestamptz) as at
         where pin <> $4";
    sqlx::query(statement)
        .bind(workspace.workspace_id.parse::<Uuid>().unwrap())
        .bind(workspace.lock(index).parse::<Uuid>().unwrap())
        .bind(START.parse::<latchkey::testing::clock::Timestamp>().unwrap())
        .bind(except)
        .execute(app().pool.raw())
        .await
        .unwrap();
}

#[test]
fn chosen_pin_is_never_that_of_an_unmanaged_code() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock", "supported_code_lengths": [4] }])).await;
        fill(&workspace, 0, "4826").await;
        let generated = workspace.post("/access_codes/generate_code", on_lock(&workspace, 0, json!({}))).await.ok();
        assert_eq!(generated["generated_code"]["code"], "4826");
        assert_eq!(workspace.create(on_lock(&workspace, 0, json!({}))).await["code"], "4826");
        let before = rows(&workspace).await;
        workspace.post("/access_codes/create", on_lock(&workspace, 0, json!({}))).await.error(400, "no_code_left");
        assert_eq!(rows(&workspace).await, before);
    });
}

#[test]
fn unmanaged_pin_blocks_a_managed_code_until_it_is_deleted() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let unmanaged = add(&workspace, 0, "4826", json!({})).await;
        let params = on_lock(&workspace, 0, json!({ "code": "4826" }));
        let managed = workspace.create(params.clone()).await;
        assert_eq!((&managed["status"], &managed["errors"]), (&json!("setting"), &json!([])));
        workspace.advance("PT0.25S").await;
        let blocked = workspace.access_code(&managed["access_code_id"]).await;
        assert_eq!((&blocked["status"], error_codes(&blocked)), (&json!("setting"), vec!["duplicate_code_on_device"]));
        let error = &blocked["errors"][0];
        assert_eq!(error["unmanaged_access_code_id"], unmanaged["access_code_id"]);
        assert_eq!((error.get("managed_access_code_id"), &error["is_access_code_error"]), (None, &json!(true)));
        assert_eq!(error["created_at"], "2026-03-02T12:00:00.250Z");
        assert_eq!(events(&workspace, &managed).await[1..], ["failed_to_set_on_device@2026-03-02T12:00:00.250Z"]);
        workspace.advance("PT1H").await;
        assert_eq!(workspace.access_code(&managed["access_code_id"]).await["errors"], blocked["errors"]);
        assert_eq!(get(&workspace, &unmanaged).await["errors"], json!([]));
        // The unmanaged code cannot be converted while a managed code has the same PIN.
        let failed = workspace.post(CONVERT, id_params(&unmanaged)).await.ok();
        assert_eq!(failed["action_attempt"]["error"]["type"], "duplicate_access_code");
        workspace.post(DELETE, id_params(&unmanaged)).await.ok();
        workspace.advance("PT0.25S").await;
        workspace.advance("PT0.249S").await;
        assert_eq!(error_codes(&workspace.access_code(&managed["access_code_id"]).await), ["duplicate_code_on_device"]);
        workspace.advance("PT0.001S").await;
        let managed = workspace.access_code(&managed["access_code_id"]).await;
        assert_eq!((&managed["status"], &managed["errors"]), (&json!("set"), &json!([])));
        assert_eq!(
            events(&workspace, &managed).await[1..],
            ["failed_to_set_on_device@2026-03-02T12:00:00.250Z", "set_on_device@2026-03-02T13:00:00.750Z"]
        );
        // A code that is removed at the lock frees its PIN, too.
        let unmanaged = add(&workspace, 0, "5937", json!({})).await;
        let params = workspace.create(on_lock(&workspace, 0, json!({ "code": "5937" }))).await;
        workspace.advance("PT1M").await;
        workspace.post("/_emulator/locks/remove_code", on_lock(&workspace, 0, id_params(&unmanaged))).await.ok();
        workspace.advance("PT0.25S").await;
        assert_eq!(workspace.access_code(&params["access_code_id"]).await["status"], "set");
        // A converted code is managed, so its PIN is then a duplicate for other codes.
        let unmanaged = add(&workspace, 0, "6048", json!({})).await;
        let blocked = workspace.create(on_lock(&workspace, 0, json!({ "code": "6048" }))).await;
        workspace.advance("PT1M").await;
        workspace.post("/access_codes/update", with(id_params(&blocked), "code", json!("7159"))).await.ok();
        let converted = workspace.post(CONVERT, id_params(&unmanaged)).await.ok();
        assert_eq!(converted["action_attempt"]["status"], "success");
        workspace.advance("PT1M").await;
        for code in [&unmanaged, &blocked] {
            let code = workspace.access_code(&code["access_code_id"]).await;
            assert_eq!((&code["status"], &code["errors"]), (&json!("set"), &json!([])));
        }
        let refused = on_lock(&workspace, 0, json!({ "code": "6048" }));
        workspace.post("/access_codes/create", refused).await.error(409, "duplicate_access_code");
    });
}

#[test]
fn sync_delete_of_an_unmanaged_code_unblocks_a_managed_code() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let unmanaged = add(&workspace, 0, "4826", json!({})).await;
        let managed = workspace.create(on_lock(&workspace, 0, json!({ "code": "4826" }))).await;
        // After an hour the next automatic retry is minutes away.
        workspace.advance("PT1H").await;
        assert_eq!(error_codes(&workspace.access_code(&managed["access_code_id"]).await), ["duplicate_code_on_device"]);
        workspace.post(DELETE, with(id_params(&unmanaged), "sync", json!(true))).await.ok();
        workspace.advance("PT0.25S").await;
        let managed = workspace.access_code(&managed["access_code_id"]).await;
        assert_eq!((&managed["status"], &managed["errors"]), (&json!("set"), &json!([])));
        assert_eq!(events(&workspace, &managed).await.last().unwrap(), "set_on_device@2026-03-02T13:00:00.000Z");
    });
}

#[test]
fn unmanaged_pin_blocks_while_the_lock_holds_it_for_any_time_frame() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        add_for_a_day(&workspace, 0, "4826").await;
        let after = json!({ "code": "4826", "starts_at": "2026-03-13T11:00:00Z", "ends_at": "2026-03-14T12:00:00Z" });
        let after = workspace.create(on_lock(&workspace, 0, after)).await;
        advance_to(&workspace, "2026-03-11T12:00:00.000Z").await;
        let blocked = workspace.access_code(&after["access_code_id"]).await;
        assert_eq!((&blocked["status"], error_codes(&blocked)), (&json!("unset"), vec!["duplicate_code_on_device"]));
        advance_to(&workspace, "2026-03-13T11:59:59.999Z").await;
        let blocked = workspace.access_code(&after["access_code_id"]).await;
        assert_eq!((&blocked["status"], error_codes(&blocked)), (&json!("setting"), vec!["duplicate_code_on_device"]));
        // The lock drops the unmanaged code at its end.
        advance_to(&workspace, "2026-03-13T12:00:00.250Z").await;
        let code = workspace.access_code(&after["access_code_id"]).await;
        assert_eq!((&code["status"], &code["errors"]), (&json!("set"), &json!([])));
    });
}

#[test]
fn unmanaged_code_shows_the_errors_of_its_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let (now, later) = (add(&workspace, 0, "4826", json!({})).await, add_for_a_day(&workspace, 0, "5937").await);
        let elsewhere = add(&workspace, 1, "4826", json!({})).await;
        let managed = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        workspace.advance("PT1H").await;
        for (broken, repaired, error_code) in [
            (json!({ "online": false }), json!({ "online": true }), "device_disconnected"),
            (json!({ "hub_connected": false }), json!({ "hub_connected": true }), "hub_disconnected"),
            (json!({ "removed": true }), json!({ "removed": false }), "device_removed"),
            (json!({ "account_connected": false }), json!({ "account_connected": true }), "account_disconnected"),
        ] {
            set(&workspace, 0, broken).await;
            let errors = workspace.access_code(&managed["access_code_id"]).await["errors"].clone();
            assert_eq!(errors[0]["error_code"], error_code);
            for (code, status) in [(&now, "set"), (&later, "unset")] {
                let code = get(&workspace, code).await;
                assert_eq!((&code["errors"], &code["status"]), (&errors, &json!(status)), "{error_code}");
            }
            set(&workspace, 0, repaired).await;
            assert_eq!(get(&workspace, &now).await, now);
        }
        assert_eq!(get(&workspace, &elsewhere).await["errors"], json!([]));
    });
}

#[test]
fn unmanaged_list_pages_contain_each_code_once_newest_first() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let mut added = Vec::new();
        for index in 0..7 {
            let code = add(&workspace, 0, &format!("48{index}6"), json!({ "name": format!("Nº {index} & co") })).await;
            added.push(id(&code).to_owned());
            workspace.create(on_lock(&workspace, 0, json!({}))).await;
            if index % 3 == 2 {
                workspace.advance("PT1H").await;
            }
        }
        let complete = listed(&workspace, 0).await;
        let last_page = json!({ "next_page_cursor": null, "has_next_page": false, "next_page_url": null });
        assert_eq!(complete["pagination"], last_page);
        let complete: Vec<String> = ids(&complete).into_iter().map(str::to_owned).collect();
        assert_eq!((complete.len(), BTreeSet::from_iter(&complete)), (7, added.iter().collect()));
        // Codes that were added at the same instant are in any order, after those that were added later.
        assert_eq!(complete[0], added[6]);
        assert_eq!(BTreeSet::from_iter(&complete[1..4]), added[3..6].iter().collect());
        let (mut seen, mut sizes, mut cursor) = (Vec::new(), Vec::new(), Value::Null);
        let first = on_lock(&workspace, 0, json!({ "limit": 3 }));
        loop {
            let page = workspace.post(LIST, with(first.clone(), "page_cursor", cursor)).await.ok();
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            sizes.push(ids(&page).len());
            cursor = page["pagination"]["next_page_cursor"].clone();
            assert_eq!(page["pagination"]["has_next_page"], !cursor.is_null());
            if cursor.is_null() {
                break;
            }
        }
        assert_eq!((&seen, sizes), (&complete, vec![3, 3, 1]));
        let mut followed = Vec::new();
        let mut path = format!("{LIST}?device_id={}&limit=2&search=%26", workspace.lock(0));
        loop {
            let page = workspace.get(&path).await.ok();
            followed.extend(ids(&page).into_iter().map(str::to_owned));
            let Some(next) = page["pagination"]["next_page_url"].as_str() else { break };
            next.strip_prefix("http://localhost").unwrap().clone_into(&mut path);
        }
        assert_eq!(followed, complete);
        let page = workspace.post(LIST, first).await.ok();
        let cursor = &page["pagination"]["next_page_cursor"];
        for params in [
            on_lock(&workspace, 0, json!({ "limit": 2, "page_cursor": cursor })),
            on_lock(&workspace, 1, json!({ "limit": 3, "page_cursor": cursor })),
            on_lock(&workspace, 0, json!({ "limit": 3, "page_cursor": "made up" })),
            on_lock(&workspace, 0, json!({ "limit": 3, "page_cursor": "" })),
        ] {
            workspace.post(LIST, params).await.error(400, "mismatched_page_parameters");
        }
        let whole = workspace.post(LIST, on_lock(&workspace, 0, json!({ "limit": 7 }))).await.ok();
        assert_eq!((ids(&whole).len(), &whole["pagination"]), (7, &last_page));
    });
}

#[test]
fn unmanaged_list_searches_name_pin_and_id_and_matches_no_user() {
    run(async {
        // The seed fixes the ids, so that none contains a search text by chance.
        let workspace =
            TestWorkspace::create_with(json!({ "locks": 1, "seed": "parts of foreign names, PINs and ids" })).await;
        let anna = add(&workspace, 0, "482615", json!({ "name": "Anna 100%_sure" })).await;
        let unnamed = add(&workspace, 0, "937261", json!({})).await;
        workspace.create(on_lock(&workspace, 0, json!({ "code": "261626", "name": "Anna" }))).await;
        for (search, found) in [
            ("NNA 1", vec![&anna]),
            ("261", vec![&anna, &unnamed]),
            (&id(&unnamed)[20..], vec![&unnamed]),
            ("%", vec![&anna]),
            ("A_n", vec![]),
            ("'", vec![]),
        ] {
            let listed = workspace.post(LIST, on_lock(&workspace, 0, json!({ "search": search }))).await.ok();
            assert_eq!(BTreeSet::from_iter(ids(&listed)), found.into_iter().map(id).collect(), "{search}");
        }
        let of_user = on_lock(&workspace, 0, json!({ "user_identifier_key": "anna" }));
        assert_eq!(ids(&workspace.post(LIST, of_user).await.ok()), [""; 0]);
    });
}

/// A parameter, an invalid value for it, and the start of the error message.
type Malformed = (&'static str, Value, &'static str);

fn uuid(name: &'static str) -> Vec<Malformed> {
    vec![
        (name, json!(null), "Expected string, received null"),
        (name, json!(7), "Expected string, received number"),
        (name, json!({}), "Expected string, received object"),
        (name, json!("front"), "Invalid uuid"),
        (name, json!(""), "Invalid uuid"),
    ]
}

fn text(name: &'static str) -> Vec<Malformed> {
    vec![
        (name, json!(null), "Expected string, received null"),
        (name, json!(4826), "Expected string, received number"),
        (name, json!(["4826"]), "Expected string, received array"),
        (name, json!("a\u{0}b"), "String must not contain the character U+0000"),
    ]
}

fn empty_text(name: &'static str) -> Malformed {
    (name, json!(""), "String must contain at least 1 character(s)")
}

fn flag(name: &'static str) -> Vec<Malformed> {
    vec![
        (name, json!(null), "Expected boolean, received null"),
        (name, json!("true"), "Expected boolean, received string"),
        (name, json!(1), "Expected boolean, received number"),
    ]
}

fn pin(too_long: &'static str, message: &'static str) -> Vec<Malformed> {
    vec![
        ("code", json!(null), "Expected string, received null"),
        ("code", json!(4826), "Expected string, received number"),
        ("code", json!("482"), "String must contain at least 4 character(s)"),
        ("code", json!("48 26"), "Invalid"),
        ("code", json!("٤٨٢٦"), "Invalid"),
        ("code", json!("-4826"), "Invalid"),
        ("code", json!(too_long), message),
    ]
}

fn limit() -> Vec<Malformed> {
    vec![
        ("limit", json!(null), "Expected number, received null"),
        ("limit", json!("3"), "Expected number, received string"),
        ("limit", json!(0), "Number must be greater than 0"),
        ("limit", json!(-1), "Number must be greater than 0"),
        ("limit", json!(1.5), "Expected integer, received float"),
    ]
}

fn time(name: &'static str) -> Vec<Malformed> {
    let mut cases = vec![
        (name, json!(null), "Expected string, received null"),
        (name, json!(1_772_452_800), "Expected string, received number"),
    ];
    let texts = ["tomorrow", "2026", "2026-03-12T12", "2026-02-30", ""];
    cases.extend(texts.map(|text| (name, json!(text), "Invalid datetime")));
    cases
}

/// Returns routes with valid parameters and invalid values for each parameter. The caller fills in `device_id`.
fn malformed() -> Vec<(&'static str, Value, Vec<Malformed>)> {
    let by_id = json!({ "access_code_id": UNKNOWN });
    let times = json!({ "device_id": "", "code": "4826", "starts_at": DAY[0], "ends_at": DAY[1] });
    let external = [flag("is_external_modification_allowed"), flag("allow_external_modification"), flag("force")];
    let external = external.concat();
    vec![
        (
            SIMULATE,
            json!({ "device_id": "", "code": "4826", "name": "x" }),
            [uuid("device_id"), text("name"), pin("482604826", "String must contain at most 8 character(s)")].concat(),
        ),
        (GET, json!({}), [uuid("access_code_id"), uuid("device_id"), text("code"), vec![empty_text("code")]].concat()),
        (
            LIST,
            json!({ "device_id": "" }),
            [
                uuid("device_id"),
                text("search"),
                text("user_identifier_key"),
                vec![empty_text("search"), empty_text("user_identifier_key")],
                limit(),
                vec![("page_cursor", json!(7), "Expected string, received number")],
            ]
            .concat(),
        ),
        (
            UPDATE,
            json!({ "access_code_id": UNKNOWN, "is_managed": true }),
            [uuid("access_code_id"), flag("is_managed"), external.clone()].concat(),
        ),
        (DELETE, by_id.clone(), [uuid("access_code_id"), flag("sync")].concat()),
        (CONVERT, by_id, [uuid("access_code_id"), flag("sync"), external].concat()),
        (
            ADD,
            times,
            [
                uuid("device_id"),
                pin("4826048260482", "String must contain at most 12 character(s)"),
                text("name"),
                time("starts_at"),
                time("ends_at"),
                flag("cannot_be_managed"),
                flag("cannot_delete_unmanaged_access_code"),
            ]
            .concat(),
        ),
        ("/_emulator/locks/memory", json!({ "device_id": "" }), uuid("device_id")),
    ]
}

#[test]
fn unmanaged_routes_reject_invalid_values_by_parameter_name() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = add(&workspace, 0, "1357", json!({})).await;
        let before = rows(&workspace).await;
        for (path, mut params, malformed) in malformed() {
            if params.get("device_id").is_some() {
                params["device_id"] = json!(workspace.lock(0));
            }
            for required in ["access_code_id", "device_id", "code", "name", "is_managed"] {
                let is_required = params.get(required).is_some();
                let mut without = params.clone();
                without.as_object_mut().unwrap().remove(required);
                if is_required {
                    assert_eq!(
                        workspace.post(path, without).await.invalid(required),
                        ["Required"],
                        "{path} {required}"
                    );
                }
            }
            for (name, value, message) in malformed {
                let reply = workspace.post(path, with(params.clone(), name, value.clone())).await;
                let messages = reply.invalid(name);
                assert!(messages.iter().any(|found| found.starts_with(message)), "{path} {name} {value}: {messages:?}");
            }
        }
        assert_eq!((rows(&workspace).await, get(&workspace, &code).await), (before, code));
    });
}

/// Returns the messages about the whole request from an `invalid_input` response.
fn invalid_request(reply: Reply) -> Vec<String> {
    request_errors(&reply.error(400, "invalid_input"))
}

#[test]
fn unmanaged_routes_reject_contradictory_parameters() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let code = add(&workspace, 0, "4826", json!({})).await;
        let before = rows(&workspace).await;
        let required = ["Either access_code_id, or device_id and code, are required"];
        for params in [json!({}), json!({ "code": "4826" }), on_lock(&workspace, 0, json!({})), json!({ "limit": 1 })] {
            assert_eq!(invalid_request(workspace.post(GET, params).await), required);
        }
        assert_eq!(invalid_request(workspace.get(GET).await), required);
        let exclusive = ["Give access_code_id, or device_id and code, not both"];
        for params in [
            with(id_params(&code), "code", json!("4826")),
            on_lock(&workspace, 0, with(id_params(&code), "code", json!("4826"))),
        ] {
            assert_eq!(invalid_request(workspace.post(GET, params).await), exclusive);
        }
        workspace.post(GET, on_lock(&workspace, 0, json!({ "code": "482" }))).await.error(404, "access_code_not_found");
        workspace
            .post(GET, on_lock(&workspace, 1, json!({ "code": "4826" })))
            .await
            .error(404, "access_code_not_found");
        workspace.post(GET, on_lock(&workspace, 1, id_params(&code))).await.error(404, "access_code_not_found");
        workspace.post(GET, json!({ "access_code_id": UNKNOWN })).await.error(404, "access_code_not_found");
        for path in [UPDATE, CONVERT, DELETE] {
            let params = json!({ "access_code_id": UNKNOWN, "is_managed": true });
            let error = workspace.post(path, params).await.error(404, "access_code_not_found");
            assert_eq!(error["data"]["access_code_id"], UNKNOWN);
        }
        let unmanage = with(id_params(&code), "is_managed", json!(false));
        assert_eq!(
            workspace.post(UPDATE, unmanage).await.invalid("is_managed"),
            ["is_managed must be true. Use /access_codes/update to convert access codes to unmanaged"]
        );
        for path in [UPDATE, CONVERT] {
            let mut differing = with(id_params(&code), "is_managed", json!(true));
            differing["is_external_modification_allowed"] = json!(true);
            differing["allow_external_modification"] = json!(false);
            assert_eq!(
                invalid_request(workspace.post(path, differing).await),
                ["is_external_modification_allowed and allow_external_modification mean the same and must not differ"]
            );
        }
        let together = ["Both starts_at and ends_at must be provided if one is"];
        for name in ["starts_at", "ends_at"] {
            let params = on_lock(&workspace, 0, json!({ "code": "5937", name: DAY[0] }));
            assert_eq!(invalid_request(workspace.post(ADD, params).await), together);
        }
        for ends_at in [DAY[0], "2026-03-12T13:00:00+02:00"] {
            let params = on_lock(&workspace, 0, json!({ "code": "5937", "starts_at": DAY[0], "ends_at": ends_at }));
            assert_eq!(invalid_request(workspace.post(ADD, params).await), ["ends_at must be after starts_at"]);
        }
        for (path, method) in [
            (SIMULATE, "GET"),
            (SIMULATE, "PUT"),
            (GET, "PUT"),
            (LIST, "DELETE"),
            (UPDATE, "PUT"),
            (UPDATE, "DELETE"),
            (DELETE, "GET"),
            (DELETE, "PATCH"),
            (CONVERT, "PUT"),
            (CONVERT, "GET"),
        ] {
            let query = format!("{path}?access_code_id={}", id(&code));
            workspace.request(method, &query).await.error(405, "method_not_allowed");
        }
        let json = ("content-type", "application/json");
        for path in [SIMULATE, GET, LIST, UPDATE, DELETE, CONVERT] {
            ask("POST", path, &[json], id_params(&code).to_string()).await.error(401, "unauthorized");
        }
        assert_eq!((rows(&workspace).await, get(&workspace, &code).await), (before, code));
    });
}

#[test]
fn add_code_rejects_codes_that_the_lock_cannot_hold() {
    run(async {
        let workspace = TestWorkspace::with(json!([
            { "device_type": "august_lock", "max_active_codes_supported": 2 },
            { "device_type": "nuki_lock" },
        ]))
        .await;
        add(&workspace, 0, "4826", json!({ "starts_at": DAY[0], "ends_at": DAY[1] })).await;
        let managed = workspace.create(on_lock(&workspace, 0, json!({ "code": "5937" }))).await;
        workspace.advance("PT1S").await;
        let before = rows(&workspace).await;
        for path in [SIMULATE, ADD] {
            let params = |index, code: &str| on_lock(&workspace, index, json!({ "code": code, "name": "Cleaner" }));
            for held in ["4826", "5937"] {
                let error = workspace.post(path, params(0, held)).await.error(409, "duplicate_access_code");
                assert_eq!(error["message"], format!("Cannot set duplicate access code {held} named Cleaner"));
                assert!(error["data"]["access_code_id"].is_string(), "{error}");
            }
            let error = workspace.post(path, params(0, "6048")).await.error(400, "no_space_for_access_code_on_device");
            assert_eq!(error["data"], json!({ "device_id": workspace.lock(0) }));
            for (code, reason) in [("4826", "it accepts codes of 6 digits"), ("482610", ""), ("124826", "")] {
                let messages = workspace.post(path, params(1, code)).await.invalid("code");
                assert!(messages[0].starts_with("The device cannot hold this code: "), "{code}: {messages:?}");
                assert!(messages[0].contains(reason), "{code}: {messages:?}");
            }
            let nowhere = json!({ "device_id": UNKNOWN, "code": "4826", "name": "Cleaner" });
            workspace.post(path, nowhere).await.error(404, "device_not_found");
        }
        assert_eq!(rows(&workspace).await, before);
        // A lock never holds a PIN twice, whatever the time frames are.
        let earlier = json!({ "code": "4826", "starts_at": START, "ends_at": DAY[0] });
        workspace.post(ADD, on_lock(&workspace, 0, earlier.clone())).await.error(409, "duplicate_access_code");
        let mut another = earlier;
        another["code"] = json!("6048");
        let full = workspace.post(ADD, on_lock(&workspace, 0, another.clone())).await;
        full.error(400, "no_space_for_access_code_on_device");
        workspace.post("/access_codes/delete", id_params(&managed)).await.ok();
        workspace.advance("PT1S").await;
        workspace.post(ADD, on_lock(&workspace, 0, another)).await.ok();
        assert_eq!(memory(&workspace, 0).await.len(), 2);
    });
}

#[test]
fn lock_memory_shows_its_codes_to_its_own_workspace_only() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "nuki_lock" }, { "device_type": "august_lock" }])).await;
        let other = TestWorkspace::with_locks(1).await;
        let path = "/_emulator/locks/memory";
        let empty = workspace.post(path, on_lock(&workspace, 1, json!({}))).await.ok();
        assert_eq!(empty, json!({ "device_id": workspace.lock(1), "capacity": null, "codes": [], "ok": true }));
        let unmanaged =
            add(&workspace, 0, "482615", json!({ "name": "Cleaner", "starts_at": DAY[0], "ends_at": DAY[1] })).await;
        let managed = workspace.create(on_lock(&workspace, 0, json!({ "code": "593726" }))).await;
        workspace.advance("PT0.249S").await;
        assert_eq!(memory(&workspace, 0).await.len(), 1, "a new code is not in the memory before the lock confirms");
        workspace.advance("PT0.001S").await;
        let held = workspace.post(path, on_lock(&workspace, 0, json!({}))).await.ok();
        assert_eq!(held["capacity"], 100);
        assert_eq!(
            held["codes"],
            json!([
                { "slot": 1, "access_code_id": id(&unmanaged), "code": "482615", "name": "Cleaner", "starts_at": DAY[0],
                  "ends_at": DAY[1], "is_managed": false, "is_backup": false },
                { "slot": 2, "access_code_id": id(&managed), "code": "593726", "name": null, "starts_at": null,
                  "ends_at": null, "is_managed": true, "is_backup": false },
            ])
        );
        let query = format!("{path}?device_id={}", workspace.lock(0));
        assert_eq!(workspace.get(&query).await.ok(), held);
        other.get(&query).await.error(404, "device_not_found");
        workspace.get(&format!("{path}?device_id={UNKNOWN}")).await.error(404, "device_not_found");
        let by_workspace = format!("{query}&workspace_id={}", workspace.workspace_id);
        assert_eq!(ask("GET", &by_workspace, &[], "").await.ok(), held);
        assert_eq!(
            other.get(&by_workspace).await.invalid("workspace_id"),
            ["The API key of the request belongs to another workspace: omit workspace_id, or use the API key of that \
              workspace"]
        );
        let nowhere = format!("{query}&workspace_id={UNKNOWN}");
        ask("GET", &nowhere, &[], "").await.error(404, "workspace_not_found");
        for method in ["PUT", "DELETE"] {
            workspace.request(method, &query).await.error(405, "method_not_allowed");
        }
        workspace.request("GET", &query.replace("memory", "add_code")).await.error(405, "method_not_allowed");
    });
}

#[test]
fn unmanaged_code_on_an_offline_lock_still_ends_when_its_time_is_over() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = add_for_a_day(&workspace, 0, "135790").await;
        set(&workspace, 0, json!({ "online": false })).await;
        workspace.post(DELETE, id_params(&code)).await.ok();
        advance_to(&workspace, "2026-03-13T11:59:59.999Z").await;
        assert_eq!(memory(&workspace, 0).await.len(), 1);
        advance_to(&workspace, DAY[1]).await;
        assert_eq!(memory(&workspace, 0).await.len(), 0);
        workspace.post(GET, id_params(&code)).await.error(404, "access_code_not_found");
        let last = last_event(&workspace, &code).await;
        assert_eq!(
            (&last["event_type"], &last["occurred_at"]),
            (&json!("access_code.unmanaged.removed"), &json!(DAY[1]))
        );
        set(&workspace, 0, json!({ "online": true })).await;
        let events = events(&workspace, &code).await;
        assert_eq!(events.iter().filter(|event| event.contains("unmanaged.removed")).count(), 1, "{events:?}");
    });
}
