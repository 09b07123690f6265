//! `/access_codes/delete`.

use super::{on_lock, rows};
use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

const DELETE: &str = "/access_codes/delete";

/// Returns the types of the events of a code, in order.
async fn event_types(workspace: &TestWorkspace, code: &Value) -> Vec<String> {
    workspace.events_of(&code["access_code_id"]).await.into_iter().map(|(event_type, _)| event_type).collect()
}

#[test]
fn delete_keeps_the_code_in_removing_until_the_lock_has_dropped_it() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        let id = &code["access_code_id"];
        workspace.advance("PT1S").await;
        let body = workspace.post(DELETE, json!({ "access_code_id": id })).await.ok();
        let attempt = json!({
            "status": "pending",
            "action_type": "DELETE_ACCESS_CODE",
            "action_attempt_id": body["action_attempt"]["action_attempt_id"],
            "result": null,
            "error": null,
        });
        assert_eq!(body, json!({ "action_attempt": attempt, "ok": true }));
        let removing = workspace.access_code(id).await;
        assert_eq!(removing["status"], "removing");
        assert_eq!(removing["code"], code["code"]);
        assert_eq!(removing["warnings"][0]["warning_code"], "being_deleted");
        assert_eq!(removing["pending_mutations"][0]["mutation_code"], "deleting");
        workspace.advance("PT0.249S").await;
        assert_eq!(workspace.access_code(id).await["status"], "removing");
        workspace.advance("PT0.001S").await;
        workspace.post("/access_codes/get", json!({ "access_code_id": id })).await.error(404, "access_code_not_found");
        let listed = workspace.post("/access_codes/list", on_lock(&workspace, 0, json!({}))).await.ok();
        assert_eq!(listed["access_codes"], json!([]));
    });
}

#[test]
fn delete_accepts_post_and_delete_with_parameters_in_body_or_query() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        let path = format!("{DELETE}?access_code_id={}&_strict=true", code["access_code_id"].as_str().unwrap());
        let attempt = workspace.request("DELETE", &path).await.ok();
        assert_eq!(attempt["action_attempt"]["action_type"], "DELETE_ACCESS_CODE");
        assert_eq!(workspace.access_code(&code["access_code_id"]).await["status"], "removing");
        let code = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        let path = format!(
            "{DELETE}?access_code_id={}&device_id={}&sync=true",
            code["access_code_id"].as_str().unwrap(),
            workspace.lock(0)
        );
        assert_eq!(workspace.request("DELETE", &path).await.ok()["action_attempt"]["status"], "success");
        assert_eq!(
            workspace.request("GET", &path).await.error(405, "method_not_allowed")["message"],
            "only DELETE,POST accepted"
        );
    });
}

#[test]
fn sync_delete_responds_when_the_code_is_gone() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(on_lock(&workspace, 0, json!({ "sync": true }))).await;
        let params = json!({ "access_code_id": code["access_code_id"], "sync": true });
        let attempt = &workspace.post(DELETE, params).await.ok()["action_attempt"];
        assert_eq!((&attempt["status"], &attempt["result"]), (&json!("success"), &json!({})));
        let gone = json!({ "access_code_id": code["access_code_id"] });
        workspace.post("/access_codes/get", gone).await.error(404, "access_code_not_found");
    });
}

#[test]
fn delete_rejects_the_device_id_of_another_lock() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(2).await, TestWorkspace::with_locks(1).await);
        let code = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        let id = &code["access_code_id"];
        let before = rows(&workspace).await;
        for device_id in [workspace.lock(1), other.lock(0), UNKNOWN.to_owned()] {
            let params = json!({ "access_code_id": id, "device_id": device_id });
            let error = workspace.post(DELETE, params.clone()).await.error(404, "access_code_not_found");
            assert_eq!(error["message"], "Could not find an access_code with device_id or access_code_id");
            assert_eq!(error["data"], params);
        }
        let error = other.post(DELETE, json!({ "access_code_id": id })).await.error(404, "access_code_not_found");
        assert_eq!(error["data"], json!({ "access_code_id": id }));
        assert_eq!(rows(&workspace).await, before);
        assert_eq!(workspace.access_code(id).await["status"], "setting");
        let right = json!({ "access_code_id": id, "device_id": workspace.lock(0) });
        workspace.post(DELETE, right).await.ok();
    });
}

#[test]
fn repeated_delete_succeeds_while_removing_and_is_a_404_afterwards() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        workspace.advance("PT1S").await;
        let params = json!({ "access_code_id": code["access_code_id"] });
        let first = workspace.post(DELETE, params.clone()).await.ok();
        workspace.advance("PT0.1S").await;
        let second = workspace.post(DELETE, params.clone()).await.ok();
        assert_ne!(first["action_attempt"]["action_attempt_id"], second["action_attempt"]["action_attempt_id"]);
        workspace.advance("PT0.15S").await;
        let error = workspace.post(DELETE, params.clone()).await.error(404, "access_code_not_found");
        assert_eq!(error["data"], json!({ "access_code_id": code["access_code_id"] }));
        for attempt in [first, second] {
            let id = json!({ "action_attempt_id": attempt["action_attempt"]["action_attempt_id"] });
            assert_eq!(workspace.post("/action_attempts/get", id).await.ok()["action_attempt"]["status"], "success");
        }
        let expected = [
            "access_code.created",
            "access_code.set_on_device",
            "access_code.removed_from_device",
            "access_code.deleted",
        ];
        assert_eq!(event_types(&workspace, &code).await, expected, "removed once although deleted twice");
    });
}

#[test]
fn delete_of_a_code_that_never_was_on_the_lock_emits_no_removed_event() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let later = json!({ "starts_at": "2026-06-01T00:00:00Z", "ends_at": "2026-06-02T00:00:00Z" });
        let deferred = workspace.create(on_lock(&workspace, 0, later)).await;
        let programming = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        workspace.advance("PT0.1S").await;
        for code in [&deferred, &programming] {
            workspace.post(DELETE, json!({ "access_code_id": code["access_code_id"] })).await.ok();
        }
        workspace.advance("P200D").await;
        for code in [&deferred, &programming] {
            assert_eq!(event_types(&workspace, code).await, ["access_code.created", "access_code.deleted"]);
        }
    });
}

#[test]
fn delete_on_an_offline_lock_waits_until_the_lock_is_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(on_lock(&workspace, 0, json!({ "sync": true }))).await;
        let online = |online: bool| on_lock(&workspace, 0, json!({ "online": online }));
        workspace.post("/_emulator/devices/update", online(false)).await.ok();
        let params = json!({ "access_code_id": code["access_code_id"], "sync": true });
        assert_eq!(workspace.post(DELETE, params).await.ok()["action_attempt"]["status"], "pending");
        workspace.advance("P3D").await;
        let removing = workspace.access_code(&code["access_code_id"]).await;
        assert_eq!(
            (&removing["status"], &removing["errors"][1]["error_code"]),
            (&json!("removing"), &json!("device_disconnected"))
        );
        workspace.post("/_emulator/devices/update", online(true)).await.ok();
        workspace.advance("PT0.25S").await;
        let gone = json!({ "access_code_id": code["access_code_id"] });
        workspace.post("/access_codes/get", gone).await.error(404, "access_code_not_found");
    });
}

#[test]
fn delete_rejects_a_missing_malformed_or_unknown_id() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        assert_eq!(workspace.post(DELETE, json!({})).await.invalid("access_code_id"), ["Required"]);
        let malformed = json!({ "access_code_id": "first" });
        assert_eq!(workspace.post(DELETE, malformed).await.invalid("access_code_id"), ["Invalid uuid"]);
        workspace.post(DELETE, json!({ "access_code_id": UNKNOWN })).await.error(404, "access_code_not_found");
    });
}

#[test]
fn sync_delete_of_an_unmanaged_code_retries_a_blocked_code_at_once() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "ttlock_lock" }])).await;
        let unmanaged = on_lock(&workspace, 0, json!({ "code": "4826" }));
        let unmanaged = workspace.post("/_emulator/locks/add_code", unmanaged).await.ok()["access_code"].clone();
        let blocked = workspace.create(on_lock(&workspace, 0, json!({ "code": "4826" }))).await;
        workspace.advance("PT0.25S").await;
        let error = &workspace.access_code(&blocked["access_code_id"]).await["errors"][0];
        assert_eq!(error["error_code"], "duplicate_code_on_device");
        let params = json!({ "access_code_id": unmanaged["access_code_id"], "sync": true });
        workspace.post("/access_codes/unmanaged/delete", params).await.ok();
        let set = workspace.access_code(&blocked["access_code_id"]).await;
        assert_eq!((&set["status"], &set["errors"]), (&json!("set"), &json!([])));
    });
}

#[test]
fn delete_of_an_ended_code_on_its_lock_is_final_with_keep_expired() {
    run(async {
        let params = json!({ "locks": 1, "keep_expired_access_codes": true });
        let workspace = TestWorkspace::create_with(params).await;
        let window = json!({ "starts_at": "2026-03-02T12:00:00Z", "ends_at": "2026-03-02T14:00:00Z" });
        let code = workspace.create(on_lock(&workspace, 0, window)).await;
        let id = &code["access_code_id"];
        workspace.advance_to("2026-03-02T14:00:00Z").await;
        assert_eq!(workspace.access_code(id).await["status"], "removing", "the lock has not removed it yet");
        let deleted = workspace.post(DELETE, json!({ "access_code_id": id })).await.ok();
        let attempt = json!({ "action_attempt_id": deleted["action_attempt"]["action_attempt_id"] });
        assert_eq!(deleted["action_attempt"]["status"], "pending");
        workspace.advance("PT1S").await;
        workspace.post("/access_codes/get", json!({ "access_code_id": id })).await.error(404, "access_code_not_found");
        let attempt = workspace.post("/action_attempts/get", attempt).await.ok();
        assert_eq!(attempt["action_attempt"]["status"], "success");
    });
}
