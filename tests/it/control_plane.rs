//! The control plane as a whole: credentials, limits, and rejected requests that change nothing.

use crate::support::{START, TestWorkspace, UNKNOWN, app, run};
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use latchkey::testing::config::ControlPlane;
use latchkey::testing::engine::app::App;
use latchkey::testing::server;
use serde_json::{Value, json};
use tower::ServiceExt as _;

const ADMIN: &str = "an admin token of this test";

/// Creates a server on the tests' database with these settings of its control plane.
fn server_with(admin_token: Option<&str>, control_plane: ControlPlane) -> App {
    let mut config = app().config.clone();
    config.admin_token = admin_token.map(str::to_owned);
    config.control_plane = control_plane;
    App::new(config, app().pools()).unwrap()
}

/// Sends a request with `host` as its `Host` header. Returns the status and the error message.
async fn send(server: &App, host: &str, token: &str, path: &str, body: Value) -> (u16, String) {
    let mut request = Request::post(path).header(header::HOST, host).header(header::CONTENT_TYPE, "application/json");
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = server::router(server.clone()).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1 << 24).await.unwrap()).unwrap();
    (status, body["error"]["message"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn api_key_is_valid_for_the_control_plane_of_its_workspace_at_any_address() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        for (server, host) in [
            (server_with(Some(ADMIN), ControlPlane::Guarded), "locks.example.com:7326"),
            (server_with(Some(ADMIN), ControlPlane::Guarded), "localhost:7326"),
        ] {
            let key = workspace.api_key.as_str();
            let advance = json!({ "by": "PT1M" });
            assert_eq!(send(&server, host, key, "/_emulator/clock/advance", advance.clone()).await.0, 200);
            assert_eq!(send(&server, host, key, "/_emulator/workspaces/list", json!({})).await.0, 200);
            let memory = json!({ "device_id": workspace.lock(0) });
            assert_eq!(send(&server, host, key, "/_emulator/locks/memory", memory.clone()).await.0, 200);
            // The key is not valid for another workspace.
            let of_other = json!({ "by": "PT1M", "workspace_id": other.workspace_id });
            assert_eq!(send(&server, host, key, "/_emulator/clock/advance", of_other).await.0, 400);
            assert_eq!(send(&server, host, &other.api_key, "/_emulator/locks/memory", memory).await.0, 404);
            let (status, message) = send(&server, host, key, "/_emulator/workspaces/create", json!({})).await;
            assert_eq!(status, 401);
            assert!(message.contains("needs the admin token"), "{message}");
            // Without a credential the message names the missing one.
            let (status, message) = send(&server, host, "", "/_emulator/clock/advance", advance.clone()).await;
            assert_eq!(status, 401);
            assert!(message.contains("the admin token, or the API key"), "{message}");
            assert_eq!(send(&server, host, "seam_testwrong_key", "/_emulator/clock/advance", advance).await.0, 401);
        }
    });
}

#[test]
fn admin_token_is_valid_for_the_whole_control_plane() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let server = server_with(Some(ADMIN), ControlPlane::Guarded);
        let ask = async |path, body| send(&server, "locks.example.com", ADMIN, path, body).await.0;
        let advance = json!({ "by": "PT1M", "workspace_id": workspace.workspace_id });
        assert_eq!(ask("/_emulator/clock/advance", advance).await, 200);
        assert_eq!(ask("/_emulator/workspaces/create", json!({ "ttl": "PT1H" })).await, 200);
        assert_eq!(ask("/_emulator/workspaces/list", json!({})).await, 200);
        let named = json!({ "workspace_id": workspace.workspace_id });
        assert_eq!(ask("/_emulator/workspaces/delete", named).await, 200);
    });
}

#[test]
fn open_control_plane_needs_no_credential_but_rejects_a_wrong_one() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let server = server_with(None, ControlPlane::Open);
        let ask = async |token, path, body| send(&server, "locks.example.com", token, path, body).await.0;
        assert_eq!(ask("", "/_emulator/workspaces/create", json!({ "ttl": "PT1H" })).await, 200);
        let advance = json!({ "by": "PT1M", "workspace_id": workspace.workspace_id });
        assert_eq!(ask("", "/_emulator/clock/advance", advance).await, 200);
        assert_eq!(ask(&workspace.api_key, "/_emulator/clock/advance", json!({ "by": "PT1M" })).await, 200);
        assert_eq!(ask("wrong", "/_emulator/clock/advance", json!({ "by": "PT1M" })).await, 401);
    });
}

/// Exports all rows of a workspace, without its keys.
async fn tables(workspace: &TestWorkspace) -> Value {
    workspace.get("/_emulator/snapshots/export").await.ok()["snapshot"]["tables"].clone()
}

#[test]
fn rejected_control_plane_request_changes_no_table() {
    run(async {
        let locks =
            json!([{ "device_type": "salto_lock" }, { "device_type": "salto_lock" }, { "device_type": "wyze_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        let code =
            workspace.create(json!({ "device_id": workspace.lock(2), "code": "4826" })).await["access_code_id"].clone();
        workspace.advance("PT1S").await;
        let (salto, wyze) = (workspace.lock(0), workspace.lock(2));
        let device = "/_emulator/devices/update";
        let before = tables(&workspace).await;
        let invalid_requests = [
            (
                device,
                json!({ "device_id": salto, "account_connected": false, "backup_access_code_pool_enabled": true }),
            ),
            (
                device,
                json!({ "device_id": salto, "account_connected": false, "properties": { "code_constraints": 7 } }),
            ),
            (device, json!({ "device_id": wyze, "online": false, "supported_code_lengths": [20] })),
            (device, json!({ "device_id": wyze, "account_connected": false, "battery_level": 2 })),
            (device, json!({ "device_id": UNKNOWN, "account_connected": false })),
            (device, json!({ "device_id": wyze, "name": "New", "nmae": "New" })),
            (
                "/_emulator/devices/create",
                json!({ "device_type": "wyze_lock", "account_connected": false, "device_id": wyze }),
            ),
            ("/_emulator/devices/create", json!({ "device_type": "no_lock" })),
            ("/_emulator/locks/add_code", json!({ "device_id": wyze, "code": "4826" })),
            ("/_emulator/locks/change_code", json!({ "device_id": wyze, "code": "4826", "new_code": "1" })),
            ("/_emulator/locks/remove_code", json!({ "device_id": wyze, "code": "9999" })),
            ("/_emulator/locks/enter_code", json!({ "device_id": UNKNOWN, "code": "4826" })),
            ("/_emulator/programming/set", json!({ "after": "P99999D" })),
            ("/_emulator/programming/set", json!({})),
            ("/_emulator/faults/create", json!({ "operation": "set", "outcome": { "delay": "soon" } })),
            ("/_emulator/faults/create", json!({ "operation": "set", "device_id": wyze, "outcome": "sometimes" })),
            ("/_emulator/faults/delete", json!({ "fault_id": UNKNOWN })),
            ("/_emulator/http_faults/create", json!({ "outcome": { "status": 200 } })),
            ("/_emulator/http_faults/delete", json!({ "http_fault_id": UNKNOWN })),
            ("/_emulator/rate_limits/set", json!({ "per": "PT1M" })),
            ("/_emulator/rate_limits/set", json!({ "create": 1, "per": "P3000000D" })),
            ("/_emulator/strictness/set", json!("harsh")),
            ("/_emulator/access_codes/add_error", json!({ "access_code_id": code, "error_code": "bad_mood" })),
            (
                "/_emulator/access_codes/add_warning",
                json!({ "access_code_id": UNKNOWN, "warning_code": "provider_issue" }),
            ),
            ("/_emulator/access_codes/step", json!({ "access_code_id": code })),
            ("/_emulator/clock/advance", json!({ "by": "PT1H", "until": "next" })),
            ("/_emulator/clock/run", json!({ "rate": 1e300 })),
            ("/_emulator/clock/hold", json!({ "at": "2020-01-01T00:00:00Z" })),
            ("/_emulator/snapshots/restore", json!({ "snapshot_id": UNKNOWN })),
            ("/_emulator/snapshots/import", json!({ "snapshot": {} })),
            (
                "/_emulator/workspaces/update",
                json!({ "refuse_begun_windows": true, "allow_same_code_in_disjoint_windows": 1 }),
            ),
            ("/_emulator/workspaces/delete", json!({ "workspace_id": UNKNOWN })),
        ];
        for (path, params) in invalid_requests {
            let reply = workspace.post(path, params.clone()).await;
            assert!((400..500).contains(&reply.status), "{path} {params}: {} {}", reply.status, reply.body);
            assert_eq!(tables(&workspace).await, before, "{path} {params}");
        }
    });
}

#[test]
fn durations_and_rates_of_the_control_plane_have_limits() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let too_long = ["P36526D", "P3000000D", "P5219W", "PT9999999999S", "P99999999999W"];
        for duration in too_long {
            for (path, params, parameter) in [
                ("/_emulator/rate_limits/set", json!({ "create": 5, "per": duration }), "per"),
                ("/_emulator/programming/set", json!({ "after": duration }), "after"),
                (
                    "/_emulator/faults/create",
                    json!({ "operation": "set", "outcome": { "delay": duration } }),
                    "outcome",
                ),
                ("/_emulator/http_faults/create", json!({ "outcome": { "delay": duration } }), "outcome"),
                ("/_emulator/webhook_deliveries/wait", json!({ "timeout": duration }), "timeout"),
                ("/_emulator/clock/advance", json!({ "by": duration }), "by"),
            ] {
                let error = workspace.post(path, params).await.error(400, "invalid_input");
                assert!(error["validation_errors"].get(parameter).is_some(), "{path} {duration}: {error}");
            }
            let created = crate::support::post_as("", "/_emulator/workspaces/create", json!({ "ttl": duration })).await;
            created.invalid("ttl");
        }
        for rate in [json!(0), json!(-1), json!(1e300), json!(1_000_000_001)] {
            let error =
                workspace.post("/_emulator/clock/run", json!({ "rate": rate })).await.error(400, "invalid_input");
            assert!(error["validation_errors"].get("rate").is_some(), "{error}");
        }
        // Values at the limits work, also together.
        let longest = "P36525D";
        workspace.post("/_emulator/rate_limits/set", json!({ "create": 1_000_000, "per": longest })).await.ok();
        let slow = json!({ "operation": "set", "outcome": { "delay": longest } });
        workspace.post("/_emulator/faults/create", slow).await.ok();
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        workspace.post("/_emulator/programming/set", json!({ "after": longest })).await.ok();
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let window = json!({ "device_id": workspace.lock(0), "starts_at": START, "ends_at": "9999-12-31T00:00:00Z" });
        workspace.create(window).await;
        workspace.advance(longest).await;
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        workspace.post("/_emulator/clock/run", json!({ "rate": 1_000_000_000 })).await.ok();
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        workspace.get("/devices/list").await.ok();
    });
}
