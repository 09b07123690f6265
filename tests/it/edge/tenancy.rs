//! The walls between workspaces.

use crate::support::{START, TestWorkspace, post_as, run};
use serde_json::json;

#[test]
fn one_workspace_never_sees_or_touches_what_is_in_another() {
    run(async {
        let (mine, theirs) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        let device_id = theirs.lock(0);
        let made = theirs.post("/access_codes/create", json!({ "device_id": device_id, "code": "4821" })).await.ok();
        let code = &made["access_code"]["access_code_id"];
        let attempt = &made["action_attempt"]["action_attempt_id"];
        let since = "2000-01-01T00:00:00Z";
        let events = theirs.post("/events/list", json!({ "since": since })).await.ok();
        let event = &events["events"][0]["event_id"];
        assert!(event.is_string());
        for (path, params, kind) in [
            ("/devices/get", json!({ "device_id": device_id }), "device_not_found"),
            ("/access_codes/get", json!({ "access_code_id": code }), "access_code_not_found"),
            ("/access_codes/get", json!({ "device_id": device_id, "code": "4821" }), "access_code_not_found"),
            ("/access_codes/delete", json!({ "access_code_id": code }), "access_code_not_found"),
            ("/access_codes/create", json!({ "device_id": device_id }), "device_not_found"),
            ("/access_codes/create_multiple", json!({ "device_ids": [mine.lock(0), device_id] }), "device_not_found"),
            ("/access_codes/generate_code", json!({ "device_id": device_id }), "device_not_found"),
            ("/access_codes/list", json!({ "device_id": device_id }), "device_not_found"),
            ("/access_codes/unmanaged/list", json!({ "device_id": device_id }), "device_not_found"),
            ("/events/get", json!({ "event_id": event }), "event_not_found"),
            ("/events/get", json!({ "device_id": device_id }), "event_not_found"),
            ("/action_attempts/get", json!({ "action_attempt_id": attempt }), "action_attempt_not_found"),
            ("/_emulator/devices/update", json!({ "device_id": device_id, "online": false }), "device_not_found"),
        ] {
            mine.post(path, params).await.error(404, kind);
        }
        for (path, params, list) in [
            ("/devices/list", json!({ "device_ids": [device_id] }), "devices"),
            ("/devices/list", json!({ "search": device_id }), "devices"),
            ("/access_codes/list", json!({ "access_code_ids": [code] }), "access_codes"),
            ("/events/list", json!({ "since": since }), "events"),
            ("/events/list", json!({ "event_ids": [event] }), "events"),
            ("/events/list", json!({ "since": since, "access_code_id": code }), "events"),
            ("/action_attempts/list", json!({}), "action_attempts"),
            ("/action_attempts/list", json!({ "action_attempt_ids": [attempt] }), "action_attempts"),
        ] {
            assert_eq!(mine.post(path, params).await.ok()[list], json!([]), "{path}");
        }
        // Nor is any of it theirs to move: their clock, their lock and their code are as they were.
        let meddling = json!({ "workspace_id": theirs.workspace_id, "by": "PT1H" });
        mine.post("/_emulator/clock/advance", meddling).await.invalid("workspace_id");
        assert_eq!(theirs.get("/_emulator/clock").await.ok()["now"], START);
        assert_eq!(theirs.access_code(code).await["status"], "setting");
        assert_eq!(
            mine.post("/access_codes/list", json!({ "device_id": mine.lock(0) })).await.ok()["access_codes"],
            json!([])
        );
    });
}

#[test]
fn a_key_shares_nothing_with_the_same_key_in_another_workspace() {
    run(async {
        let (mine, theirs) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        let params = |workspace: &TestWorkspace, code| json!({ "device_id": workspace.lock(0), "code": code, "common_code_key": "guest" });
        assert_eq!(mine.create(params(&mine, "1111")).await["code"], "1111");
        assert_eq!(theirs.create(params(&theirs, "2222")).await["code"], "2222");
    });
}

#[test]
fn a_deleted_workspace_is_gone_with_its_key_and_takes_nothing_else_along() {
    run(async {
        let (mine, theirs) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        mine.create(json!({ "device_id": mine.lock(0) })).await;
        mine.post("/_emulator/workspaces/delete", json!({})).await.ok();
        let error = mine.get("/devices/list").await.error(401, "unauthorized");
        assert_eq!(error["message"], "API Key not found");
        let named = json!({ "workspace_id": mine.workspace_id });
        post_as("", "/_emulator/workspaces/delete", named).await.error(404, "workspace_not_found");
        assert_eq!(theirs.devices_found("").await, theirs.locks());
    });
}
