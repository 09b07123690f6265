//! Invalid requests to the endpoints for faults, programming and conditions.

use super::create_code;
use crate::failures::{create_fault, delete, fault_uses, faults, move_clock_to, state_of};
use crate::support::{TestWorkspace, UNKNOWN, post_as, run};
use serde_json::{Value, json};

#[test]
fn workspace_create_rejects_invalid_programming_and_settings() {
    run(async {
        for programming in [json!("sometimes"), json!({ "after": "soon" }), json!({ "after": 5 }), json!({}), json!(5)]
        {
            let params = json!({ "programming": programming });
            post_as("", "/_emulator/workspaces/create", params).await.error(400, "invalid_input");
        }
        let params = json!({ "keep_expired_access_codes": "yes" });
        post_as("", "/_emulator/workspaces/create", params).await.invalid("keep_expired_access_codes");
    });
}

#[test]
fn faults_with_invalid_parameters_are_rejected() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let valid = json!({ "operation": "set", "outcome": "never" });
        let with = |name: &str, value: Value| {
            let mut params = valid.clone();
            params[name] = value;
            params
        };
        let invalid = [
            ("operation", json!("open")),
            ("operation", json!(null)),
            ("device_id", json!("front door")),
            ("device_type", json!("door_bell")),
            ("outcome", json!("always")),
            ("outcome", json!({})),
            ("outcome", json!({ "delay": "soon" })),
            ("outcome", json!({ "delay": "-PT5M" })),
            ("outcome", json!({ "delay": 5 })),
            ("outcome", json!({ "fail": {}, "delay": "PT5M" })),
            ("outcome", json!({ "fail": { "error_code": "made_up" } })),
            ("outcome", json!({ "fail": { "error_code": "device_disconnected" } })),
            ("outcome", json!({ "fail": { "message": 5 } })),
            ("times", json!(0)),
            ("times", json!(1.5)),
            ("times", json!(10_000_000_000_i64)),
            ("after", json!(-1)),
            ("after", json!("one")),
        ];
        for (name, value) in invalid {
            let params = with(name, value);
            workspace.post("/_emulator/faults/create", params).await.error(400, "invalid_input");
        }
        for missing in [json!({ "operation": "set" }), json!({ "outcome": "never" }), json!({})] {
            workspace.post("/_emulator/faults/create", missing).await.error(400, "invalid_input");
        }
        assert_eq!(faults(&workspace).await, [Value::Null; 0], "no fault was created");
        workspace.post("/_emulator/faults/delete", json!({})).await.invalid("fault_id");
        workspace.post("/_emulator/faults/delete", json!({ "fault_id": "that one" })).await.invalid("fault_id");
        workspace.post("/_emulator/faults/delete", json!({ "fault_id": UNKNOWN })).await.error(404, "fault_not_found");
        // A fault is visible only in its own workspace.
        let other = TestWorkspace::with_locks(1).await;
        let other_fault = create_fault(&other, valid).await;
        assert_eq!(faults(&workspace).await, [Value::Null; 0]);
        workspace
            .post("/_emulator/faults/delete", json!({ "fault_id": other_fault }))
            .await
            .error(404, "fault_not_found");
        let id = create_code(&workspace, 0).await;
        move_clock_to(&workspace, 250).await;
        assert_eq!((state_of(&workspace, &id).await, fault_uses(&other).await), ("set".to_owned(), vec![0]));
        let other_workspace = json!({ "workspace_id": other.workspace_id });
        workspace.post("/_emulator/faults/list", other_workspace).await.invalid("workspace_id");
        let unknown_workspace = json!({ "workspace_id": UNKNOWN });
        post_as("", "/_emulator/faults/list", unknown_workspace).await.error(404, "workspace_not_found");
    });
}

#[test]
fn programming_and_conditions_with_invalid_parameters_are_rejected() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        let invalid = [
            json!({}),
            json!({ "after": "soon" }),
            json!({ "after": "-PT1S" }),
            json!({ "after": 5 }),
            json!({ "programming": "sometimes" }),
            json!({ "programming": { "after": "soon" } }),
            json!({ "programming": {} }),
            json!({ "programming": "at_once", "after": "PT1S" }),
        ];
        for params in invalid {
            workspace.post("/_emulator/programming/set", params).await.error(400, "invalid_input");
        }
        let id = create_code(&workspace, 0).await;
        let other_id = create_code(&other, 0).await;
        let conditions = [
            ("add_error", json!({ "error_code": "provider_issue" })),
            ("add_warning", json!({ "warning_code": "code_rotates_periodically" })),
            ("clear", json!({})),
            ("step", json!({})),
        ];
        for (route, body) in conditions {
            let path = format!("/_emulator/access_codes/{route}");
            let with = |id: Value| {
                let mut body = body.clone();
                body["access_code_id"] = id;
                body
            };
            workspace.post(&path, body.clone()).await.invalid("access_code_id");
            workspace.post(&path, with(json!("that one"))).await.invalid("access_code_id");
            workspace.post(&path, with(json!(UNKNOWN))).await.error(404, "access_code_not_found");
            workspace.post(&path, with(other_id.clone())).await.error(404, "access_code_not_found");
            post_as("seam_test_wrong", &path, with(id.clone())).await.error(401, "unauthorized");
        }
        for code in [json!("made_up"), json!("device_disconnected"), json!(""), json!(5), Value::Null] {
            let error = json!({ "access_code_id": id, "error_code": code });
            workspace.post("/_emulator/access_codes/add_error", error).await.invalid("error_code");
            let warning = json!({ "access_code_id": id, "warning_code": code });
            workspace.post("/_emulator/access_codes/add_warning", warning).await.invalid("warning_code");
            let on_device = json!({ "device_id": workspace.lock(0), "errors": [{ "error_code": code }] });
            if code != "device_disconnected" {
                workspace.post("/_emulator/devices/update", on_device).await.error(400, "invalid_input");
                let on_device = json!({ "device_id": workspace.lock(0), "warnings": [{ "warning_code": code }] });
                workspace.post("/_emulator/devices/update", on_device).await.error(400, "invalid_input");
            }
        }
        // The rejected requests changed nothing.
        move_clock_to(&workspace, 250).await;
        assert_eq!(state_of(&workspace, &id).await, "set");
        delete(&workspace, &id).await;
        move_clock_to(&workspace, 500).await;
        let late = json!({ "access_code_id": id, "error_code": "provider_issue" });
        workspace.post("/_emulator/access_codes/add_error", late).await.error(404, "access_code_not_found");
    });
}
