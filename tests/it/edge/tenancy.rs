//! Isolation of workspaces.

use crate::support::{START, TestWorkspace, post_as, run};
use serde_json::json;

#[test]
fn workspace_cannot_read_or_change_anything_in_another() {
    run(async {
        let (own, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        let device_id = other.lock(0);
        let created = other.post("/access_codes/create", json!({ "device_id": device_id, "code": "4821" })).await.ok();
        let code = &created["access_code"]["access_code_id"];
        let attempt = &created["action_attempt"]["action_attempt_id"];
        let since = "2000-01-01T00:00:00Z";
        let events = other.post("/events/list", json!({ "since": since })).await.ok();
        let event = &events["events"][0]["event_id"];
        assert!(event.is_string());
        for (path, params, kind) in [
            ("/devices/get", json!({ "device_id": device_id }), "device_not_found"),
            ("/devices/update", json!({ "device_id": device_id, "name": "mine" }), "device_not_found"),
            ("/devices/delete", json!({ "device_id": device_id }), "device_not_found"),
            ("/devices/unmanaged/get", json!({ "device_id": device_id }), "device_not_found"),
            ("/devices/unmanaged/update", json!({ "device_id": device_id, "is_managed": true }), "device_not_found"),
            ("/devices/simulate/remove", json!({ "device_id": device_id }), "device_not_found"),
            (
                "/devices/report_provider_metadata",
                json!({ "devices": [{ "device_id": device_id, "schlage_metadata": { "time_zone": "Asia/Tokyo" } }] }),
                "device_not_found",
            ),
            ("/access_codes/get", json!({ "access_code_id": code }), "access_code_not_found"),
            ("/access_codes/get", json!({ "device_id": device_id, "code": "4821" }), "access_code_not_found"),
            ("/access_codes/delete", json!({ "access_code_id": code }), "access_code_not_found"),
            ("/access_codes/create", json!({ "device_id": device_id }), "device_not_found"),
            ("/access_codes/create_multiple", json!({ "device_ids": [own.lock(0), device_id] }), "device_not_found"),
            ("/access_codes/generate_code", json!({ "device_id": device_id }), "device_not_found"),
            ("/access_codes/list", json!({ "device_id": device_id }), "device_not_found"),
            ("/access_codes/unmanaged/list", json!({ "device_id": device_id }), "device_not_found"),
            ("/events/get", json!({ "event_id": event }), "event_not_found"),
            ("/events/get", json!({ "device_id": device_id }), "event_not_found"),
            ("/action_attempts/get", json!({ "action_attempt_id": attempt }), "action_attempt_not_found"),
            ("/_emulator/devices/update", json!({ "device_id": device_id, "online": false }), "device_not_found"),
        ] {
            own.post(path, params).await.error(404, kind);
        }
        for (path, params, list) in [
            ("/devices/list", json!({ "device_ids": [device_id] }), "devices"),
            ("/devices/list", json!({ "search": device_id }), "devices"),
            ("/access_codes/list", json!({ "access_code_ids": [code] }), "access_codes"),
            ("/events/list", json!({ "since": since, "device_id": device_id }), "events"),
            ("/events/list", json!({ "event_ids": [event] }), "events"),
            ("/events/list", json!({ "since": since, "access_code_id": code }), "events"),
            ("/action_attempts/list", json!({}), "action_attempts"),
            ("/action_attempts/list", json!({ "action_attempt_ids": [attempt] }), "action_attempts"),
        ] {
            assert_eq!(own.post(path, params).await.ok()[list], json!([]), "{path}");
        }
        let seen = own.post("/events/list", json!({ "since": since })).await.ok();
        assert!(
            seen["events"].as_array().unwrap().iter().all(|event| event["workspace_id"] == own.workspace_id.as_str())
        );
        // Nor can it change anything there: the clock, the lock and the code of the other workspace are unchanged.
        let advance = json!({ "workspace_id": other.workspace_id, "by": "PT1H" });
        own.post("/_emulator/clock/advance", advance).await.invalid("workspace_id");
        assert_eq!(other.get("/_emulator/clock").await.ok()["now"], START);
        assert_eq!(other.access_code(code).await["status"], "setting");
        assert_eq!(
            own.post("/access_codes/list", json!({ "device_id": own.lock(0) })).await.ok()["access_codes"],
            json!([])
        );
    });
}

#[test]
fn common_code_key_is_not_shared_between_workspaces() {
    run(async {
        let (own, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        let params = |workspace: &TestWorkspace, code| json!({ "device_id": workspace.lock(0), "code": code, "common_code_key": "guest" });
        assert_eq!(own.create(params(&own, "1111")).await["code"], "1111");
        assert_eq!(other.create(params(&other, "2222")).await["code"], "2222");
    });
}

#[test]
fn deleted_workspace_loses_its_key_and_leaves_other_workspaces_unchanged() {
    run(async {
        let (own, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        own.create(json!({ "device_id": own.lock(0) })).await;
        own.post("/_emulator/workspaces/delete", json!({})).await.ok();
        let error = own.get("/devices/list").await.error(401, "unauthorized");
        assert_eq!(error["message"], "API Key not found");
        let named = json!({ "workspace_id": own.workspace_id });
        post_as("", "/_emulator/workspaces/delete", named).await.error(404, "workspace_not_found");
        assert_eq!(other.devices_found("").await, other.locks());
    });
}
