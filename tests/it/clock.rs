//! The control plane: creation, deletion and selection of workspaces, and their clocks.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use crate::support::{START, TestWorkspace, UNKNOWN, app, ask, post_as, run, send};
use axum::body::Body;
use axum::http::{Request, header};
use latchkey::testing::engine::{sandbox, workspaces};
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn create_workspace(params: Value) -> crate::support::Reply {
    post_as("", "/_emulator/workspaces/create", params).await
}

async fn delete_workspace(workspace_id: &str) {
    post_as("", "/_emulator/workspaces/delete", json!({ "workspace_id": workspace_id })).await.ok();
}

async fn advance(workspace: &TestWorkspace, params: Value) -> crate::support::Reply {
    workspace.post("/_emulator/clock/advance", params).await
}

/// Returns the mode, time and rate of the clock of a workspace.
async fn clock(workspace: &TestWorkspace) -> (String, String, Value) {
    let clock = workspace.get("/_emulator/clock").await.ok();
    let text = |name: &str| clock[name].as_str().unwrap().to_owned();
    (text("mode"), text("now"), clock["rate"].clone())
}

fn held(at: &str) -> (String, String, Value) {
    ("held".to_owned(), at.to_owned(), Value::Null)
}

// Creation of workspaces.

#[test]
fn workspace_is_created_with_the_given_parameters() {
    run(async {
        let params = json!({
            "name": "Seaside",
            "seed": "a workspace is made as it was asked for",
            "ttl": "PT1H",
            "workspace_id": "11111111-1111-4111-8111-111111111111",
            "api_key": "seam_test_made_as_asked_for",
            "clock": { "held_at": "2020-02-29T00:00:00+02:00" },
            "locks": 2,
        });
        let created = create_workspace(params).await.ok();
        assert_eq!(created["api_key"], "seam_test_made_as_asked_for");
        assert_eq!(created["workspace"]["name"], "Seaside");
        assert_eq!(created["workspace"]["workspace_id"], "11111111-1111-4111-8111-111111111111");
        assert_eq!(created["workspace"]["is_sandbox"], true);
        assert_eq!(created["workspace"]["publishable_key"], created["publishable_key"]);
        let found = post_as("seam_test_made_as_asked_for", "/workspaces/get", json!({})).await.ok();
        assert_eq!(found["workspace"], created["workspace"]);
        let request = Request::post("/workspaces/get")
            .header(header::AUTHORIZATION, format!("Bearer {}", created["personal_access_token"].as_str().unwrap()))
            .header("seam-workspace", "11111111-1111-4111-8111-111111111111");
        assert_eq!(send(request.body(Body::empty()).unwrap()).await.ok()["workspace"], created["workspace"]);
        let now = post_as("seam_test_made_as_asked_for", "/_emulator/clock/hold", json!({})).await.ok()["now"].clone();
        assert_eq!(now, "2020-02-28T22:00:00.000Z");
        assert_eq!(created["devices"][1]["created_at"], now);
        delete_workspace("11111111-1111-4111-8111-111111111111").await;
    });
}

#[test]
fn workspace_can_be_created_without_parameters() {
    run(async {
        let created = create_workspace(json!({})).await.ok();
        assert_eq!(created["devices"], json!([]));
        let key = created["api_key"].as_str().unwrap();
        let before = latchkey::testing::clock::to_iso(latchkey::testing::clock::machine_now());
        let clock = post_as(key, "/_emulator/clock/hold", json!({})).await.ok();
        assert!(clock["now"].as_str().unwrap() >= before.as_str(), "{clock}");
        let other = create_workspace(json!({})).await.ok();
        for name in ["api_key", "publishable_key", "personal_access_token"] {
            assert_ne!(created[name], other[name], "{name}");
        }
        assert_ne!(created["workspace"]["workspace_id"], other["workspace"]["workspace_id"]);
    });
}

#[test]
fn clock_can_start_live_running_or_held() {
    run(async {
        let live = TestWorkspace::create_with(json!({ "clock": "live" })).await;
        let (mode, _, rate) = clock(&live).await;
        assert_eq!((mode.as_str(), rate), ("live", json!(1.0)));
        let running = TestWorkspace::create_with(json!({ "clock": { "running_from": START, "rate": 0.001 } })).await;
        let (mode, now, rate) = clock(&running).await;
        assert_eq!((mode.as_str(), rate), ("running", json!(0.001)));
        assert!((START.."2026-03-02T12:00:05.000Z").contains(&now.as_str()), "{now}");
        let running = TestWorkspace::create_with(json!({ "clock": { "running_from": START } })).await;
        assert_eq!(clock(&running).await.2, json!(1.0));
        let stopped = TestWorkspace::create_with(json!({ "clock": { "held_at": START } })).await;
        assert_eq!(clock(&stopped).await, held(START));
    });
}

#[test]
fn clock_settings_that_are_invalid_are_rejected() {
    run(async {
        for setting in [
            json!("held"),
            json!({}),
            json!({ "held_at": "tomorrow" }),
            json!({ "held_at": "2026-02-30T00:00:00Z" }),
            json!({ "held_at": 5 }),
            json!({ "rate": 2 }),
            json!({ "held_at": START, "rate": 2 }),
            json!({ "held_at": START, "running_from": START }),
            json!({ "running_from": START, "rate": 0 }),
            json!({ "running_from": START, "rate": -1 }),
            json!({ "running_from": START, "rate": "fast" }),
            json!({ "running_from": "2026-03-32" }),
        ] {
            let reply = create_workspace(json!({ "clock": setting })).await;
            assert_eq!(reply.status, 400, "{setting}: {}", reply.body);
            reply.invalid("clock");
        }
    });
}

#[test]
fn values_in_use_are_rejected_by_name_and_nothing_is_created() {
    run(async {
        let device_id = "22222222-2222-4222-8222-222222222222";
        let first = json!({
            "seed": "in use",
            "workspace_id": "22222222-2222-4222-8222-000000000000",
            "api_key": "seam_test_in_use",
            "locks": [{ "device_type": "august_lock", "device_id": device_id }],
        });
        create_workspace(first.clone()).await.ok();
        let lock = json!([{ "device_type": "yale_lock" }, { "device_type": "yale_lock", "device_id": device_id }]);
        for (field, value, named) in [
            ("seed", json!("in use"), "seed"),
            ("workspace_id", first["workspace_id"].clone(), "workspace_id"),
            ("api_key", first["api_key"].clone(), "api_key"),
            ("locks", lock, "device_id"),
        ] {
            let mut second = json!({ "seed": "not in use", "api_key": "seam_test_not_in_use" });
            second[field] = value;
            let error = create_workspace(second).await.error(409, "conflict");
            assert!(error["message"].as_str().unwrap().contains(named), "{field}: {error}");
            let key = "seam_test_not_in_use";
            post_as(key, "/devices/list", json!({})).await.error(401, "unauthorized");
        }
        let twice = json!({ "device_type": "august_lock", "device_id": UNKNOWN });
        create_workspace(json!({ "locks": [twice, twice] })).await.error(409, "conflict");
        // After the deletion all values are free again, and the rejected requests have reserved none.
        delete_workspace("22222222-2222-4222-8222-000000000000").await;
        create_workspace(first).await.ok();
        delete_workspace("22222222-2222-4222-8222-000000000000").await;
        let free = json!({ "seed": "not in use", "api_key": "seam_test_not_in_use" });
        let created = create_workspace(free).await.ok();
        delete_workspace(created["workspace"]["workspace_id"].as_str().unwrap()).await;
    });
}

#[test]
fn seed_may_be_a_number_and_equals_its_digits() {
    run(async {
        let created = create_workspace(json!({ "seed": 7_171_717 })).await.ok();
        create_workspace(json!({ "seed": "7171717" })).await.error(409, "conflict");
        delete_workspace(created["workspace"]["workspace_id"].as_str().unwrap()).await;
    });
}

#[test]
fn workspace_parameters_that_are_invalid_are_rejected_by_name() {
    run(async {
        for (field, value) in [
            ("name", json!("")),
            ("seed", json!("")),
            ("seed", json!(1.5)),
            ("ttl", json!("1h")),
            ("ttl", json!("-PT1H")),
            ("ttl", json!(60)),
            ("workspace_id", json!("main")),
            ("api_key", json!("my key")),
            ("api_key", json!("seam_cst_key")),
            ("api_key", json!("seam_at_key")),
            ("locks", json!(-1)),
            ("locks", json!(10_001)),
            ("locks", json!("two")),
            ("locks", json!(["august_lock"])),
            ("locks", json!([{ "name": "Front Door" }])),
            ("locks", json!([{ "device_type": "flying_lock" }])),
            ("locks", json!([{ "device_type": "august_lock", "supported_code_lengths": [3] }])),
            ("locks", json!([{ "device_type": "august_lock", "properties": { "battery_level": "full" } }])),
        ] {
            let reply = create_workspace(json!({ (field): value })).await;
            assert_eq!(reply.status, 400, "{field} {value}: {}", reply.body);
            let error = reply.error(400, "invalid_input");
            assert!(error["validation_errors"].get(field).is_some(), "{field} {value}: {error}");
        }
    });
}

#[test]
fn numbers_too_large_or_written_unusually_cause_no_server_error() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for capacity in [json!(5_000_000_000_u64), json!(5.0)] {
            let update = json!({ "device_id": workspace.lock(0), "max_active_codes_supported": capacity });
            assert!(workspace.post("/_emulator/devices/update", update).await.status < 500, "{capacity}");
            let params = json!({ "locks": [{ "device_type": "august_lock", "max_active_codes_supported": capacity }] });
            assert!(create_workspace(params).await.status < 500, "{capacity}");
        }
        assert!(create_workspace(json!({ "locks": 3.0 })).await.status < 500);
        assert!(create_workspace(json!({ "ttl": "P400000000D" })).await.status < 500);
    });
}

#[test]
fn locks_are_created_by_count_or_by_list_in_the_order_of_the_request() {
    run(async {
        let many = TestWorkspace::with_locks(300).await;
        let listed = many.post("/devices/list", json!({ "limit": 300 })).await.ok();
        assert_eq!(listed["devices"].as_array().unwrap(), &many.devices);
        assert!(many.devices.iter().all(|device| device["device_type"] == "august_lock"));
        assert_eq!(many.locks().into_iter().collect::<BTreeSet<_>>().len(), 300);

        let types = ["yale_lock", "august_lock", "nuki_lock", "august_lock", "smartthings_lock"];
        let specs: Vec<_> = types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
        let workspace = TestWorkspace::with(json!(specs)).await;
        let created_types: Vec<_> =
            workspace.devices.iter().map(|device| device["device_type"].as_str().unwrap()).collect();
        assert_eq!(created_types, types);
        assert_eq!(workspace.post("/devices/list", json!({})).await.ok()["devices"], json!(workspace.devices));
        let account = |index: usize| &workspace.devices[index]["connected_account_id"];
        assert_eq!(account(1), account(3), "locks of the same manufacturer have the same account");
        assert_ne!(account(0), account(1));
        let created = workspace.post("/_emulator/devices/create", json!({ "device_type": "august_lock" })).await.ok();
        assert_eq!(created["device"]["connected_account_id"], *account(1));
        let listed = workspace.post("/devices/list", json!({})).await.ok();
        assert_eq!(listed["devices"].as_array().unwrap().last().unwrap(), &created["device"]);
    });
}

#[test]
fn lock_spec_that_differs_from_the_brand_is_visible_on_the_device() {
    run(async {
        let spec = json!({
            "device_type": "nuki_lock",
            "device_id": "33333333-3333-4333-8333-333333333333",
            "name": "Vault",
            "online": false,
            "supported_code_lengths": [5, 7],
            "max_active_codes_supported": 3,
            "code_constraints": [
                { "constraint_type": "no_zeros" },
                { "constraint_type": "name_length", "min_length": 2, "max_length": 5 },
            ],
            "can_program_online_access_codes": false,
            "can_program_offline_access_codes": true,
            "supports_backup_access_code_pool": false,
            "battery_level": 0.05,
            "time_zone": "Europe/Vienna",
            "properties": { "door_open": true },
        });
        let workspace = TestWorkspace::with(json!([spec])).await;
        let device =
            workspace.post("/devices/get", json!({ "device_id": workspace.lock(0) })).await.ok()["device"].clone();
        assert_eq!(device, workspace.devices[0]);
        let online = workspace.change_lock(0, json!({ "online": true })).await;
        assert_eq!(online["properties"]["battery"], json!({ "level": 0.05, "status": "critical" }));
        let properties = &device["properties"];
        for (found, expected) in [
            (&device["device_id"], &spec["device_id"]),
            (&device["display_name"], &spec["name"]),
            (&properties["name"], &spec["name"]),
            (&properties["online"], &spec["online"]),
            (&device["errors"][0]["error_code"], &json!("device_disconnected")),
            (&properties["supported_code_lengths"], &spec["supported_code_lengths"]),
            (&properties["max_active_codes_supported"], &spec["max_active_codes_supported"]),
            (&properties["code_constraints"], &spec["code_constraints"]),
            (&device["can_program_online_access_codes"], &json!(false)),
            (&properties["online_access_codes_enabled"], &json!(false)),
            (&device["can_program_offline_access_codes"], &json!(true)),
            (&properties["supports_backup_access_code_pool"], &json!(false)),
            (&device["location"]["time_zone"], &spec["time_zone"]),
            (&properties["door_open"], &json!(true)),
        ] {
            assert_eq!(found, expected, "{device}");
        }
        delete_workspace(&workspace.workspace_id).await;
    });
}

#[test]
fn null_removes_what_the_brand_reports_and_properties_equal_overrides() {
    run(async {
        let spec = json!({
            "device_type": "nuki_lock",
            "supported_code_lengths": null,
            "max_active_codes_supported": null,
            "battery_level": null,
            "time_zone": null,
        });
        let in_properties = json!({ "device_type": "nuki_lock", "properties": {
            "online": false, "supported_code_lengths": [8], "max_active_codes_supported": 2, "battery_level": 0.5,
        } });
        let workspace = TestWorkspace::with(json!([spec, in_properties])).await;
        let properties = &workspace.devices[0]["properties"];
        for name in ["supported_code_lengths", "max_active_codes_supported", "battery_level", "battery"] {
            assert!(properties.get(name).is_none(), "{name}: {properties}");
        }
        assert!(workspace.devices[0]["location"].get("time_zone").is_none());
        let properties = &workspace.devices[1]["properties"];
        assert_eq!((&properties["online"], properties.get("battery")), (&json!(false), None));
        let online = workspace.change_lock(1, json!({ "properties": { "online": true } })).await;
        assert_eq!(online["properties"]["battery"]["level"], 0.5);
        workspace.change_lock(1, json!({ "online": false })).await;
        let params = json!({ "device_id": workspace.lock(1), "attempt_for_offline_device": true });
        assert_eq!(workspace.create(params.clone()).await["code"].as_str().unwrap().len(), 8);
        workspace.create(params.clone()).await;
        workspace.post("/access_codes/create", params).await.error(400, "no_space_for_access_code_on_device");
    });
}

#[test]
fn native_scheduling_can_be_given_to_any_lock_and_taken_from_it() {
    run(async {
        let workspace = TestWorkspace::with(json!([
            { "device_type": "august_lock", "native_scheduling": false },
            { "device_type": "smartthings_lock", "native_scheduling": true },
        ]))
        .await;
        for (index, scheduled_at) in [(0, "2026-04-01T11:00:00.000Z"), (1, "2026-03-29T12:00:00.000Z")] {
            let window = ("2026-04-01T12:00:00Z", "2026-04-02T12:00:00Z");
            let params = json!({ "device_id": workspace.lock(index), "starts_at": window.0, "ends_at": window.1 });
            assert_eq!(workspace.create(params).await["pending_mutations"][0]["scheduled_at"], scheduled_at);
        }
    });
}

#[test]
fn deleted_workspace_leaves_no_rows_and_its_keys_stop_working() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let bystander = TestWorkspace::with_locks(1).await;
        bystander.create(json!({ "device_id": bystander.lock(0) })).await;
        workspace.post("/access_codes/create_multiple", json!({ "device_ids": workspace.locks() })).await.ok();
        let key = json!({ "device_id": workspace.lock(0), "common_code_key": "guests" });
        let code = workspace.create(key).await;
        workspace.post("/access_codes/delete", json!({ "access_code_id": code["access_code_id"] })).await.ok();
        workspace.advance("PT1S").await;
        let tables = tables_of_workspaces().await;
        for table in ["workspace", "device", "access_code", "event", "action_attempt", "credential", "pin_group"] {
            assert!(rows_of(table, &workspace).await > 0, "{table}");
            assert!(tables.iter().any(|name| name == table), "{table}");
        }
        workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
        for table in tables {
            assert_eq!(rows_of(&table, &workspace).await, 0, "{table}");
        }
        for path in ["/devices/list", "/workspaces/get", "/_emulator/clock/hold", "/_emulator/workspaces/delete"] {
            workspace.post(path, json!({})).await.error(401, "unauthorized");
        }
        let named = json!({ "workspace_id": workspace.workspace_id });
        post_as("", "/_emulator/workspaces/delete", named).await.error(404, "workspace_not_found");
        let listed = bystander.post("/access_codes/list", json!({ "device_id": bystander.lock(0) })).await.ok();
        assert_eq!(listed["access_codes"].as_array().unwrap().len(), 1);
    });
}

/// Returns the names of all tables with a `workspace_id` column.
async fn tables_of_workspaces() -> Vec<String> {
    let columns = "select table_name::text from information_schema.columns
                   where column_name = 'workspace_id' and table_schema = 'public'";
    sqlx::query_scalar(columns).fetch_all(app().pool.raw()).await.unwrap()
}

async fn rows_of(table: &str, workspace: &TestWorkspace) -> i64 {
    let count = format!("select count(*) from {table} where workspace_id::text = $1");
    sqlx::query_scalar(sqlx::AssertSqlSafe(count))
        .bind(&workspace.workspace_id)
        .fetch_one(app().pool.raw())
        .await
        .unwrap()
}

#[test]
fn workspace_past_its_ttl_is_removed_and_others_are_not() {
    run(async {
        let expired = TestWorkspace::create_with(json!({ "ttl": "PT0S", "locks": 1 })).await;
        let unexpired = TestWorkspace::create_with(json!({ "ttl": "PT1H", "locks": 1 })).await;
        workspaces::remove_expired_workspaces(&app()).await.unwrap();
        expired.post("/devices/list", json!({})).await.error(401, "unauthorized");
        assert_eq!(rows_of("device", &expired).await, 0);
        unexpired.post("/devices/list", json!({})).await.ok();
    });
}

// Selection of the workspace.

#[test]
fn wrong_credential_never_selects_the_default_workspace() {
    run(async {
        sandbox::ensure(&app()).await.unwrap();
        let workspace = TestWorkspace::with_locks(0).await;
        let bearer = format!("Bearer {}", workspace.personal_access_token);
        // A personal access token that was just accepted is still no API key.
        let headers = [("authorization", bearer.as_str()), ("seam-workspace", workspace.workspace_id.as_str())];
        ask("GET", "/devices/list", &headers, "").await.ok();
        for credential in
            ["Bearer seam_test_wrong", "Bearer seam_käse", "Basic c2VhbQ==", "seam_test_wrong", "Bearer ", &bearer]
        {
            for path in ["/_emulator/clock/hold", "/_emulator/workspaces/create", "/_emulator/devices/update"] {
                let request = Request::post(path)
                    .header(header::HOST, "localhost")
                    .header(header::CONTENT_TYPE, "application/json")
                    .header(header::AUTHORIZATION, credential);
                let reply = send(request.body(Body::from("{}")).unwrap()).await;
                assert_eq!(reply.status, 401, "{credential} {path}: {}", reply.body);
            }
        }
    });
}

#[test]
fn request_without_a_key_uses_the_named_or_else_the_default_workspace() {
    run(async {
        let locks = sandbox::ensure(&app()).await.unwrap();
        let workspace = TestWorkspace::with_locks(1).await;
        let named = json!({ "workspace_id": workspace.workspace_id, "by": "PT1H" });
        let advanced = post_as("", "/_emulator/clock/advance", named).await.ok();
        assert_eq!(
            (&advanced["now"], clock(&workspace).await.1),
            (&json!("2026-03-02T13:00:00.000Z"), advanced["now"].as_str().unwrap().to_owned())
        );
        let by_query = Request::get(format!("/_emulator/clock?workspace_id={}", workspace.workspace_id))
            .header(header::HOST, "[::1]:1");
        assert_eq!(send(by_query.body(Body::empty()).unwrap()).await.ok()["mode"], "held");
        let default = Request::get("/_emulator/clock").header(header::HOST, "127.0.0.1");
        assert_eq!(send(default.body(Body::empty()).unwrap()).await.ok()["mode"], "live");
        let update = json!({ "device_id": locks[0].device_id, "online": true });
        post_as("", "/_emulator/devices/update", update.clone()).await.ok();
        // An API key selects its own workspace, which does not have that lock.
        workspace.post("/_emulator/devices/update", update).await.error(404, "device_not_found");
    });
}

#[test]
fn workspace_id_that_is_unknown_or_not_that_of_the_key_is_rejected() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(0).await, TestWorkspace::with_locks(0).await);
        for path in ["/_emulator/clock/hold", "/_emulator/clock/run", "/_emulator/workspaces/delete"] {
            post_as("", path, json!({ "workspace_id": UNKNOWN })).await.error(404, "workspace_not_found");
            post_as("", path, json!({ "workspace_id": "mine" })).await.invalid("workspace_id");
            workspace.post(path, json!({ "workspace_id": other.workspace_id })).await.invalid("workspace_id");
        }
        workspace.post("/_emulator/clock/hold", json!({ "workspace_id": workspace.workspace_id })).await.ok();
        assert_eq!(clock(&other).await, held(START), "the clock of the other workspace is unchanged");
    });
}

#[test]
fn web_pages_cannot_reach_the_control_plane() {
    run(async {
        for host in ["example.com", "localhost.example.com", "192.168.1.1:7326", ""] {
            let request = Request::get("/_emulator/clock").header(header::HOST, host);
            send(request.body(Body::empty()).unwrap()).await.error(401, "unauthorized");
        }
        for method in ["OPTIONS", "GET"] {
            let request = Request::builder()
                .method(method)
                .uri("/_emulator/clock")
                .header(header::HOST, "localhost")
                .header(header::ORIGIN, "https://example.com")
                .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET");
            let reply = send(request.body(Body::empty()).unwrap()).await;
            let cors = reply.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
            assert_eq!(cors, None, "{method}");
        }
    });
}

// Movement of clocks.

#[test]
fn held_clock_is_advanced_by_a_duration_or_to_an_instant() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let response = |now: &str, transitions: u64, events: u64| json!({ "now": now, "transitions": transitions, "events": events, "ok": true });
        for (params, expected) in [
            (json!({ "by": "PT0S" }), response(START, 0, 0)),
            (json!({ "to": START }), response(START, 0, 0)),
            (json!({ "by": "PT0.249S" }), response("2026-03-02T12:00:00.249Z", 0, 0)),
            (json!({ "by": "PT0,001S" }), response("2026-03-02T12:00:00.250Z", 1, 1)),
            (json!({ "by": "P1W1DT1H1M1S" }), response("2026-03-10T13:01:01.250Z", 0, 0)),
            (json!({ "to": "2026-03-10T15:01:01.25+02:00" }), response("2026-03-10T13:01:01.250Z", 0, 0)),
            (json!({ "to": "2026-03-11T00:00:00Z" }), response("2026-03-11T00:00:00.000Z", 0, 0)),
            (json!({ "to": "9999-12-31T23:59:59.999Z" }), response("9999-12-31T23:59:59.999Z", 0, 0)),
        ] {
            assert_eq!(advance(&workspace, params.clone()).await.ok(), expected, "{params}");
            assert_eq!(clock(&workspace).await, held(expected["now"].as_str().unwrap()));
        }
    });
}

#[test]
fn until_next_moves_to_the_next_due_instant_and_until_quiet_to_the_last() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let next = json!({ "until": "next" });
        assert_eq!(advance(&workspace, next.clone()).await.ok()["now"], START, "nothing is due");
        let window = ("2026-03-12T12:00:00Z", "2026-03-14T12:00:00Z");
        let code = workspace
            .create(json!({ "device_id": workspace.lock(0), "starts_at": window.0, "ends_at": window.1 }))
            .await;
        let mut counted = (0, 0);
        for expected in [
            "2026-03-09T12:00:00.000Z",
            "2026-03-09T12:00:00.250Z",
            "2026-03-12T12:00:00.000Z",
            "2026-03-14T12:00:00.000Z",
            "2026-03-14T12:00:00.250Z",
        ] {
            let advanced = advance(&workspace, next.clone()).await.ok();
            assert_eq!(advanced["now"], expected);
            assert!(advanced["transitions"].as_u64().unwrap() > 0, "{advanced}");
            counted.0 += advanced["transitions"].as_u64().unwrap();
            counted.1 += advanced["events"].as_u64().unwrap();
        }
        assert_eq!(advance(&workspace, next).await.ok()["transitions"], 0);
        assert_eq!(workspace.events_of(&code["access_code_id"]).await.len() as u64, 1 + counted.1);

        let other = TestWorkspace::with_locks(1).await;
        other.create(json!({ "device_id": other.lock(0), "starts_at": window.0, "ends_at": window.1 })).await;
        let quiet = advance(&other, json!({ "until": "quiet" })).await.ok();
        assert_eq!(quiet["now"], "2026-03-14T12:00:00.250Z");
        assert_eq!((quiet["transitions"].as_u64(), quiet["events"].as_u64()), (Some(counted.0), Some(counted.1)));
        let again = advance(&other, json!({ "until": "quiet" })).await.ok();
        assert_eq!((&again["now"], &again["transitions"]), (&quiet["now"], &json!(0)));
    });
}

#[test]
fn until_quiet_does_not_wait_for_a_lock_that_is_offline() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        workspace.create(json!({ "device_id": workspace.lock(1) })).await;
        workspace
            .post("/_emulator/devices/update", json!({ "device_id": workspace.lock(0), "online": false }))
            .await
            .ok();
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        assert_eq!(advance(&workspace, json!({ "until": "quiet" })).await.ok()["now"], "2026-03-02T12:00:00.250Z");
    });
}

#[test]
fn live_or_running_clock_cannot_be_advanced_until_it_is_held() {
    run(async {
        for setting in [json!("live"), json!({ "running_from": START })] {
            let workspace = TestWorkspace::create_with(json!({ "clock": setting })).await;
            for params in [json!({ "by": "PT1S" }), json!({ "to": "9000-01-01T00:00:00Z" }), json!({ "until": "next" })]
            {
                let error = advance(&workspace, params).await.error(409, "conflict");
                assert!(error["message"].as_str().unwrap().contains("POST /_emulator/clock/hold"), "{error}");
            }
            workspace.post("/_emulator/clock/hold", json!({})).await.ok();
            advance(&workspace, json!({ "by": "PT1S" })).await.ok();
        }
    });
}

#[test]
fn time_never_goes_backwards() {
    run(async {
        let earlier = "2026-03-02T11:59:59.999Z";
        let workspace = TestWorkspace::with_locks(0).await;
        for (path, params) in [
            ("/_emulator/clock/advance", json!({ "to": earlier })),
            ("/_emulator/clock/hold", json!({ "at": earlier })),
            ("/_emulator/clock/run", json!({ "from": earlier })),
        ] {
            let error = workspace.post(path, params).await.error(409, "conflict");
            assert!(error["message"].as_str().unwrap().contains("never moves backwards"), "{error}");
            assert_eq!(clock(&workspace).await, held(START));
        }
        for setting in [json!("live"), json!({ "running_from": START })] {
            let workspace = TestWorkspace::create_with(json!({ "clock": setting })).await;
            workspace.post("/_emulator/clock/hold", json!({ "at": earlier })).await.error(409, "conflict");
            workspace.post("/_emulator/clock/run", json!({ "from": earlier })).await.error(409, "conflict");
        }
    });
}

#[test]
fn time_input_that_is_invalid_is_rejected_and_moves_no_clock() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        for by in
            ["", "P", "PT", "72H", "1h", "-PT1H", "PT-1H", "P1M", "P1Y", "PT1H1H", "PT1S1M", "PT1e3S", "P99999999999W"]
        {
            advance(&workspace, json!({ "by": by })).await.invalid("by");
        }
        for by in [json!(72), json!(["PT1H"]), json!({})] {
            advance(&workspace, json!({ "by": by })).await.invalid("by");
        }
        advance(&workspace, json!({ "by": "P2913000D" })).await.invalid("by");
        for to in ["", "tomorrow", "2026-03-32", "2026-03-03T00:60:00", "2026-02-30T00:00:00Z", "10000-01-01T00:00:00Z"]
        {
            advance(&workspace, json!({ "to": to })).await.invalid("to");
            workspace.post("/_emulator/clock/hold", json!({ "at": to })).await.invalid("at");
            workspace.post("/_emulator/clock/run", json!({ "from": to })).await.invalid("from");
        }
        advance(&workspace, json!({ "until": "doomsday" })).await.invalid("until");
        for several in
            [json!({}), json!({ "by": "PT1H", "to": "2026-03-03T00:00:00Z" }), json!({ "by": "PT1H", "until": "next" })]
        {
            advance(&workspace, several).await.error(400, "invalid_input");
        }
        for rate in [json!(0), json!(-1), json!("fast")] {
            workspace.post("/_emulator/clock/run", json!({ "rate": rate })).await.invalid("rate");
        }
        assert_eq!(clock(&workspace).await, held(START));
    });
}

#[test]
fn clock_of_any_rate_works() {
    run(async {
        for rate in [f64::MIN_POSITIVE, 1e-300, 1e-9, 999_999.5, 1e9] {
            let workspace =
                TestWorkspace::create_with(json!({ "clock": { "running_from": START, "rate": rate }, "locks": 1 }))
                    .await;
            let code = workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(0) })).await;
            assert_eq!(code.status, 200, "rate {rate}: {}", code.body);
            workspace.tick().await;
            let mut before = START.to_owned();
            for _ in 0..20 {
                let (_, now, _) = clock(&workspace).await;
                assert!((before.as_str()..="9999-12-31T23:59:59.999Z").contains(&now.as_str()), "rate {rate}: {now}");
                before = now;
            }
            workspace.post("/_emulator/clock/hold", json!({})).await.ok();
        }
    });
}

#[test]
fn clock_continues_from_its_time_when_it_is_held_and_run_again() {
    run(async {
        let workspace = TestWorkspace::create_with(json!({ "clock": "live", "locks": 1 })).await;
        let mut seen = vec![clock(&workspace).await.1];
        let first = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        seen.push(workspace.post("/_emulator/clock/hold", json!({})).await.ok()["now"].as_str().unwrap().to_owned());
        seen.push(clock(&workspace).await.1);
        assert_eq!(seen[1], seen[2], "held");
        // The scheduler skips workspaces with a held clock: the advance sets the code instead.
        advance(&workspace, json!({ "by": "PT1H" })).await.ok();
        assert_eq!(workspace.access_code(&first["access_code_id"]).await["status"], "set");
        let second = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        seen.push(clock(&workspace).await.1);
        let clock_now = workspace.post("/_emulator/clock/run", json!({ "rate": 1e6 })).await.ok();
        assert_eq!((&clock_now["mode"], &clock_now["rate"]), (&json!("running"), &json!(1e6)));
        seen.push(clock_now["now"].as_str().unwrap().to_owned());
        // At this rate 0.25 seconds of the workspace are less than a millisecond of the machine.
        let from = seen.last().unwrap().clone();
        while clock(&workspace).await.1 == from {}
        workspace.tick().await;
        assert_eq!(workspace.access_code(&second["access_code_id"]).await["status"], "set", "programmed by the tick");
        seen.push(clock(&workspace).await.1);
        seen.push(workspace.post("/_emulator/clock/hold", json!({})).await.ok()["now"].as_str().unwrap().to_owned());
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!(workspace.code_events().await.len(), 4);
        for code in [first, second] {
            let events = workspace.events_of(&code["access_code_id"]).await;
            assert_eq!(events[1].1, later(&events[0].1, 250));
        }
    });
}

#[test]
fn hold_or_run_at_a_later_instant_processes_what_falls_due_until_then() {
    run(async {
        for (path, name) in [("/_emulator/clock/hold", "at"), ("/_emulator/clock/run", "from")] {
            for setting in [json!({ "held_at": START }), json!({ "running_from": START, "rate": 1e-9 })] {
                let workspace = TestWorkspace::create_with(json!({ "clock": setting, "locks": 1 })).await;
                let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
                let id = &code["access_code_id"];
                let params = |instant: &str| match name {
                    // At the default rate, the code would be set a millisecond after the first instant.
                    "from" => json!({ "from": instant, "rate": 1e-9 }),
                    _ => json!({ "at": instant }),
                };
                workspace.post(path, params("2026-03-02T12:00:00.249Z")).await.ok();
                assert_eq!(workspace.access_code(id).await["status"], "setting");
                workspace.post(path, params("2026-03-02T13:00:00.000Z")).await.ok();
                assert_eq!(workspace.access_code(id).await["status"], "set");
                assert_eq!(workspace.events_of(id).await[1].1, "2026-03-02T12:00:00.250Z");
                assert_eq!(clock(&workspace).await.1, "2026-03-02T13:00:00.000Z");
            }
        }
    });
}

fn later(instant: &str, milliseconds: i64) -> String {
    let instant = latchkey::testing::clock::from_iso(instant).unwrap();
    latchkey::testing::clock::to_iso(instant + chrono::TimeDelta::milliseconds(milliseconds))
}

#[test]
fn creation_during_an_advance_happens_wholly_before_or_after_it() {
    run(async {
        let workspace = std::sync::Arc::new(TestWorkspace::with_locks(4).await);
        let makers = (0..4).map(|index| {
            let workspace = workspace.clone();
            tokio::spawn(async move {
                for _ in 0..25 {
                    workspace.create(json!({ "device_id": workspace.lock(index) })).await;
                }
            })
        });
        let makers: Vec<_> = makers.collect();
        while !makers.iter().all(tokio::task::JoinHandle::is_finished) {
            let now = workspace.advance("PT1S").await["now"].as_str().unwrap().to_owned();
            for code in codes(&workspace).await {
                let due = later(code["created_at"].as_str().unwrap(), 250);
                assert!(due > now || code["status"] == "set", "at {now}: {code}");
            }
        }
        for maker in makers {
            maker.await.unwrap();
        }
        workspace.advance("PT0.25S").await;
        assert_eq!(workspace.code_events().await.len(), 2 * 100);
        for code in codes(&workspace).await {
            let events = workspace.events_of(&code["access_code_id"]).await;
            assert_eq!((&code["status"], &events[1].1), (&json!("set"), &later(&events[0].1, 250)));
        }
    });
}

#[test]
fn deletion_during_an_advance_happens_wholly_before_or_after_it() {
    run(async {
        let workspace = std::sync::Arc::new(TestWorkspace::with_locks(4).await);
        for _ in 0..25 {
            workspace.post("/access_codes/create_multiple", json!({ "device_ids": workspace.locks() })).await.ok();
        }
        workspace.advance("PT1S").await;
        let all_codes = codes(&workspace).await;
        let deleters = all_codes.chunks(25).map(|codes| {
            let (workspace, codes) = (workspace.clone(), codes.to_vec());
            tokio::spawn(async move {
                for code in codes {
                    let id = &code["access_code_id"];
                    workspace.post("/access_codes/delete", json!({ "access_code_id": id })).await.ok();
                }
            })
        });
        let deleters: Vec<_> = deleters.collect();
        while !deleters.iter().all(tokio::task::JoinHandle::is_finished) {
            let now = workspace.advance("PT1S").await["now"].as_str().unwrap().to_owned();
            for code in codes(&workspace).await.iter().filter(|code| code["status"] == "removing") {
                let due = later(code["warnings"][0]["created_at"].as_str().unwrap(), 250);
                assert!(due > now, "at {now}: {code}");
            }
        }
        for deleter in deleters {
            deleter.await.unwrap();
        }
        workspace.advance("PT0.25S").await;
        assert_eq!(codes(&workspace).await, [Value::Null; 0]);
    });
}

/// Lists the codes on all locks.
async fn codes(workspace: &TestWorkspace) -> Vec<Value> {
    let mut codes = Vec::new();
    for lock in workspace.locks() {
        let listed = workspace.post("/access_codes/list", json!({ "device_id": lock })).await.ok();
        codes.extend(listed["access_codes"].as_array().unwrap().iter().cloned());
    }
    codes
}

#[test]
fn clock_can_reach_the_end_of_the_year_9999() {
    run(async {
        const LAST: &str = "9999-12-31T23:59:59.999Z";
        let workspace = TestWorkspace::create_with(
            json!({ "locks": [{ "device_type": "nuki_lock" }, { "device_type": "igloohome_lock" }] ,
                                        "clock": { "held_at": "9999-12-31T20:00:00Z" } }),
        )
        .await;
        let [native, offline] = [0, 1].map(|index| {
            json!({ "device_id": workspace.lock(index), "ends_at": LAST,
                                                           "starts_at": "9999-12-31T22:00:00Z" })
        });
        workspace.post("/access_codes/create", native).await.ok();
        let offline = json!({ "is_offline_access_code": true, "device_id": offline["device_id"], "max_time_rounding": "1d",
                              "starts_at": offline["starts_at"], "ends_at": offline["ends_at"] });
        let messages = workspace.post("/access_codes/create", offline).await.invalid("ends_at");
        assert!(messages[0].contains("after the year 9999"), "{messages:?}");
        for outcome in [json!({ "delay": "P9999D" }), json!({ "delay": "P36525D" }), json!({ "fail": {} })] {
            let fault = json!({ "operation": "set", "outcome": outcome, "times": 1 });
            workspace.post("/_emulator/faults/create", fault).await.ok();
        }
        for _ in 0..4 {
            workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        }
        workspace.advance_to("9999-12-31T23:59:59.998Z").await;
        let fault = json!({ "operation": "set", "outcome": { "fail": {} } });
        workspace.post("/_emulator/faults/create", fault).await.ok();
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        for _ in 0..4 {
            workspace.post("/_emulator/clock/advance", json!({ "until": "next" })).await.ok();
        }
        for until in ["quiet", "next"] {
            let moved = workspace.post("/_emulator/clock/advance", json!({ "until": until })).await.ok();
            assert!(moved["now"].as_str().unwrap() <= LAST, "{moved}");
        }
        workspace.advance_to(LAST).await;
        let list = workspace.post("/access_codes/list", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(list["access_codes"].as_array().unwrap().len(), 6, "the code that has ended is still being removed");
        workspace.post("/_emulator/clock/advance", json!({ "by": "PT0.001S" })).await.invalid("by");
    });
}

#[test]
fn until_next_stops_at_retries_and_a_year_of_retries_can_be_advanced() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.post("/_emulator/faults/create", json!({ "operation": "set", "outcome": { "fail": {} } })).await.ok();
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"].clone();
        let mut seen = Vec::new();
        for _ in 0..4 {
            let moved = workspace.post("/_emulator/clock/advance", json!({ "until": "next" })).await.ok();
            seen.push(moved["now"].as_str().unwrap().strip_prefix("2026-03-02T12:00:").unwrap().to_owned());
        }
        assert_eq!(seen, ["00.250Z", "10.250Z", "10.500Z", "30.500Z"]);
        let year = workspace.advance("P365D").await;
        assert!(year["transitions"].as_u64().unwrap() > 100_000, "{year}");
        assert_eq!(year["events"], 0);
        assert_eq!(workspace.events_of(&code).await.len(), 2);
        let faults = workspace.get("/_emulator/faults/list").await.ok();
        let used = faults["faults"][0]["used"].as_u64().unwrap();
        assert!(used > 50_000, "{faults}");
        // An advance over eight thousand years has too many steps.
        let end = json!({ "to": "9999-01-01T00:00:00Z" });
        let error = workspace.post("/_emulator/clock/advance", end).await.error(400, "too_many_steps");
        assert!(error["message"].as_str().unwrap().contains("smaller steps"), "{error}");
        assert_eq!(error["data"], json!({ "steps": 640_000, "limit": 640_000 }));
        assert_eq!(
            workspace.get("/_emulator/faults/list").await.ok()["faults"][0]["used"],
            used,
            "the fault was not applied"
        );
    });
}
