//! Error messages as clients read them, under snapshot: a change of a text is a line of a diff.

use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Sends one request and appends it to the text together with its error.
async fn record(workspace: &TestWorkspace, text: &mut String, (path, body): (&str, Value)) {
    let reply = workspace.post(path, body.clone()).await;
    let error = &reply.body["error"];
    let (kind, message) = (error["type"].as_str(), error["message"].as_str());
    writeln!(text, "POST {path} {body}").unwrap();
    writeln!(text, "{} {}: {}\n", reply.status, kind.unwrap(), message.unwrap()).unwrap();
}

/// A workspace whose ids follow from a seed, with an August lock, one that is full, one that is offline and a Kwikset
/// lock.
async fn seeded(seed: &str) -> TestWorkspace {
    let locks = json!([
        { "device_type": "august_lock" },
        { "device_type": "august_lock", "max_active_codes_supported": 0 },
        { "device_type": "august_lock", "online": false },
        { "device_type": "kwikset_lock", "can_program_online_access_codes": false },
    ]);
    TestWorkspace::create_with(json!({ "seed": seed, "locks": locks })).await
}

/// Compares a text with the one that is stored under this name.
pub(crate) fn check_text(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "messages", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

/// Compares the errors of these requests with the stored ones.
async fn check(name: &str, workspace: &TestWorkspace, requests: Vec<(&str, Value)>) {
    let mut text = String::new();
    for request in requests {
        record(workspace, &mut text, request).await;
    }
    check_text(name, &text);
}

#[test]
fn error_messages_of_create() {
    run(async {
        const CREATE: &str = "/access_codes/create";
        let workspace = seeded("messages: create").await;
        let lock = workspace.lock(0);
        workspace.create(json!({ "device_id": lock, "code": "4826", "name": "First" })).await;
        let mut requests = vec![
            (CREATE, json!({})),
            (CREATE, json!([])),
            (CREATE, json!({ "device_id": 7 })),
            (CREATE, json!({ "device_id": "front door" })),
            (CREATE, json!({ "device_id": UNKNOWN })),
            (CREATE, json!({ "device_id": lock, "devcie_id": UNKNOWN, "code": 4826 })),
        ];
        for (name, value) in [
            ("code", json!("12")),
            ("code", json!("12ab")),
            ("code", json!("4826")),
            ("starts_at", json!("tomorrow")),
            ("starts_at", json!("2026-03-02T12:00:00Z")),
            ("ends_at", json!("2020-01-01T00:00:00Z")),
            ("preferred_code_length", json!("six")),
            ("use_offline_access_code", json!(true)),
            ("use_backup_access_code_pool", json!(true)),
            ("common_code_key", json!("")),
            ("max_time_rounding", json!("2d")),
        ] {
            let mut params = json!({ "device_id": lock });
            params[name] = value;
            requests.push((CREATE, params));
        }
        let window =
            json!({ "device_id": lock, "starts_at": "2026-03-03T12:00:00Z", "ends_at": "2026-03-02T12:00:00Z" });
        requests.push((CREATE, window));
        requests.extend(
            (1..4).map(|index| {
                (CREATE, json!({ "device_id": workspace.lock(index), "attempt_for_offline_device": false }))
            }),
        );
        check("create", &workspace, requests).await;
    });
}

#[test]
fn error_messages_of_create_multiple() {
    run(async {
        const CREATE_MULTIPLE: &str = "/access_codes/create_multiple";
        let workspace = seeded("messages: create_multiple").await;
        let (one, other) = (workspace.lock(0), workspace.lock(3));
        let requests = vec![
            (CREATE_MULTIPLE, json!({})),
            (CREATE_MULTIPLE, json!({ "device_ids": [] })),
            (CREATE_MULTIPLE, json!({ "device_ids": [one, one] })),
            (CREATE_MULTIPLE, json!({ "device_ids": [one, UNKNOWN] })),
            (CREATE_MULTIPLE, json!({ "device_ids": [one, other], "behavior_when_code_cannot_be_shared": "shrug" })),
            (CREATE_MULTIPLE, json!({ "device_ids": [one, other], "behavior_when_code_cannot_be_shared": "throw" })),
            (CREATE_MULTIPLE, json!({ "device_ids": [one], "code": "1" })),
            (CREATE_MULTIPLE, json!({ "device_ids": [one], "use_backup_access_code_pool": true })),
        ];
        check("create_multiple", &workspace, requests).await;
    });
}

#[test]
fn error_messages_of_the_other_access_code_endpoints() {
    run(async {
        let workspace = seeded("messages: access codes").await;
        let lock = workspace.lock(0);
        let code = workspace.create(json!({ "device_id": lock, "code": "4826" })).await["access_code_id"].clone();
        workspace.create(json!({ "device_id": lock, "code": "1357" })).await;
        let requests = vec![
            ("/access_codes/get", json!({})),
            ("/access_codes/get", json!({ "access_code_id": UNKNOWN })),
            ("/access_codes/get", json!({ "device_id": lock })),
            ("/access_codes/list", json!({})),
            ("/access_codes/list", json!({ "device_id": lock, "limit": 0 })),
            ("/access_codes/list", json!({ "device_id": lock, "page_cursor": "made up" })),
            ("/access_codes/update", json!({})),
            ("/access_codes/update", json!({ "access_code_id": UNKNOWN, "name": "Guest" })),
            ("/access_codes/update", json!({ "access_code_id": code, "code": "1357" })),
            ("/access_codes/update", json!({ "access_code_id": code, "code": "no PIN" })),
            ("/access_codes/update", json!({ "access_code_id": code, "starts_at": "2026-03-02T12:00:00Z" })),
            ("/access_codes/update", json!({ "access_code_id": code, "type": "time_bound" })),
            ("/access_codes/update", json!({ "access_code_id": code, "type": "weekly" })),
            ("/access_codes/update_multiple", json!({ "common_code_key": "none" })),
            ("/access_codes/delete", json!({ "access_code_id": UNKNOWN })),
            ("/access_codes/delete", json!({ "device_id": lock })),
            ("/access_codes/pull_backup_access_code", json!({ "access_code_id": code })),
            ("/access_codes/generate_code", json!({ "device_id": UNKNOWN })),
            ("/access_codes/report_device_constraints", json!({ "device_id": lock, "min_code_length": 4 })),
            ("/access_codes/report_device_constraints", json!({ "device_id": lock, "supported_code_lengths": [30] })),
            ("/access_codes/get_timeline", json!({ "access_code_id": UNKNOWN })),
            ("/access_codes/unmanaged/get", json!({ "access_code_id": code })),
            ("/access_codes/unmanaged/list", json!({})),
            ("/access_codes/unmanaged/update", json!({ "access_code_id": code, "is_managed": true })),
            ("/access_codes/unmanaged/convert_to_managed", json!({ "access_code_id": code })),
            ("/access_codes/unmanaged/delete", json!({ "access_code_id": UNKNOWN })),
            ("/access_codes/lock", json!({})),
            ("/locks/unlock_door", json!({ "device_id": UNKNOWN })),
            ("/devices/get", json!({ "device_id": UNKNOWN })),
            ("/devices/list", json!({ "device_type": "toaster" })),
            ("/action_attempts/get", json!({ "action_attempt_id": UNKNOWN })),
            ("/events/get", json!({})),
            ("/events/get", json!({ "event_id": UNKNOWN })),
            ("/events/list", json!({})),
            ("/events/list", json!({ "since": "yesterday" })),
            ("/events/list", json!({ "between": ["2026-03-02T12:00:00Z"] })),
        ];
        check("access_codes", &workspace, requests).await;
    });
}

#[test]
fn error_messages_of_the_control_plane() {
    run(async {
        let workspace = seeded("messages: control plane").await;
        let lock = workspace.lock(0);
        workspace.create(json!({ "device_id": lock, "code": "4826", "sync": true })).await;
        let seed = json!({ "seed": "messages: control plane" });
        let requests = vec![
            ("/_emulator/workspaces/create", seed),
            ("/_emulator/workspaces/create", json!({ "ttl": "soon" })),
            ("/_emulator/workspaces/create", json!({ "locks": 1_000_000 })),
            ("/_emulator/workspaces/create", json!({ "locks": [{ "device_type": "toaster" }] })),
            ("/_emulator/workspaces/create", json!({ "api_key": "seam_pk_1" })),
            ("/_emulator/workspaces/create", json!({ "clock": { "held_at": "noon" } })),
            ("/_emulator/workspaces/update", json!({ "workspace_id": UNKNOWN })),
            ("/_emulator/clock/advance", json!({})),
            ("/_emulator/clock/advance", json!({ "by": "PT1H", "to": "2026-03-03T12:00:00Z" })),
            ("/_emulator/clock/advance", json!({ "by": "an hour" })),
            ("/_emulator/clock/advance", json!({ "to": "2020-01-01T00:00:00Z" })),
            ("/_emulator/clock/advance", json!({ "until": "never" })),
            ("/_emulator/clock/hold", json!({ "at": "2020-01-01T00:00:00Z" })),
            ("/_emulator/clock/run", json!({ "rate": -1 })),
            ("/_emulator/devices/create", json!({ "device_type": "toaster" })),
            ("/_emulator/devices/update", json!({ "device_id": UNKNOWN })),
            ("/_emulator/devices/update", json!({ "device_id": lock, "battery_level": 7 })),
            ("/_emulator/locks/add_code", json!({ "device_id": lock, "code": "4826" })),
            ("/_emulator/locks/add_code", json!({ "device_id": lock, "code": "PIN" })),
            ("/_emulator/locks/change_code", json!({ "device_id": lock, "code": "0000", "new_code": "1111" })),
            ("/_emulator/locks/remove_code", json!({ "device_id": lock })),
            ("/_emulator/locks/remove_code", json!({ "device_id": lock, "code": "0000" })),
            ("/_emulator/locks/enter_code", json!({ "device_id": lock })),
            ("/_emulator/faults/create", json!({})),
            ("/_emulator/faults/create", json!({ "operation": "set", "outcome": { "delay": "long" } })),
            ("/_emulator/faults/create", json!({ "operation": "paint", "outcome": "never" })),
            ("/_emulator/faults/create", json!({ "operation": "set", "outcome": "never", "device_type": "toaster" })),
            ("/_emulator/faults/delete", json!({ "fault_id": UNKNOWN })),
            ("/_emulator/http_faults/create", json!({ "outcome": { "status": 200 } })),
            ("/_emulator/http_faults/create", json!({ "outcome": { "delay": "long" } })),
            ("/_emulator/http_faults/create", json!({ "outcome": "reset", "probability": 2 })),
            ("/_emulator/http_faults/create", json!({ "outcome": "reset", "path": "access_codes" })),
            ("/_emulator/http_faults/delete", json!({ "http_fault_id": UNKNOWN })),
            ("/_emulator/programming/set", json!({})),
            ("/_emulator/programming/set", json!({ "programming": "at_once", "after": "PT1S" })),
            ("/_emulator/access_codes/step", json!({ "access_code_id": UNKNOWN })),
            ("/_emulator/rate_limits/set", json!({ "limits": { "per": "PT0S", "create": 1 } })),
            ("/_emulator/strictness/set", json!({ "strictness": "shrug" })),
            ("/_emulator/snapshots/restore", json!({ "snapshot_id": UNKNOWN })),
            ("/_emulator/snapshots/import", json!({ "snapshot": {} })),
            ("/_emulator/requests", json!({ "limit": 0 })),
            ("/_emulator/webhook_deliveries/list", json!({ "webhook_id": "mine" })),
            ("/_emulator/nothing", json!({})),
        ];
        check("control_plane", &workspace, requests).await;
    });
}
