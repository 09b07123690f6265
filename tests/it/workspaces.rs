//! The list of workspaces, the removal of expired workspaces, and locks that are created in a given state.

use crate::support::{START, TestWorkspace, app, ask, post_as, run};
use latchkey::testing::engine::app::App;
use latchkey::testing::engine::workspaces::remove_expired_workspaces;
use latchkey::testing::postgres::{PoolLimits, Pools};
use serde_json::{Value, json};

const LIST: &str = "/_emulator/workspaces/list";

async fn list(api_key: &str) -> Vec<Value> {
    let listed = post_as(api_key, LIST, json!({})).await.ok();
    listed["workspaces"].as_array().unwrap().clone()
}

fn index(listed: &[Value], workspace: &TestWorkspace) -> Option<usize> {
    listed.iter().position(|entry| entry["workspace_id"] == workspace.workspace_id.as_str())
}

#[test]
fn workspaces_are_listed_in_the_order_of_creation_with_their_contents() {
    run(async {
        let first = TestWorkspace::create_with(json!({ "name": "First", "seed": "listed", "locks": 2 })).await;
        let second = TestWorkspace::create_with(json!({ "ttl": "PT1H", "clock": "live", "locks": 1 })).await;
        let device_id = first.lock(0);
        let code = first.create(json!({ "device_id": device_id })).await;
        first.create(json!({ "device_id": device_id })).await;
        first
            .create(json!({ "device_id": device_id, "starts_at": "2026-05-01T00:00:00Z",
                             "ends_at": "2026-05-02T00:00:00Z", "use_backup_access_code_pool": true }))
            .await;
        first.post("/_emulator/locks/add_code", json!({ "device_id": first.lock(1), "code": "4826" })).await.ok();
        first.advance("PT1S").await;
        first.post("/access_codes/delete", json!({ "access_code_id": code["access_code_id"] })).await.ok();
        first.advance("PT1S").await;
        let listed = list("").await;
        let (one, other) = (index(&listed, &first).unwrap(), index(&listed, &second).unwrap());
        assert!(one < other);
        let expected = json!({
            "workspace_id": first.workspace_id,
            "name": "First",
            "created_at": START,
            "expires_at": null,
            "seed": "listed",
            "clock": { "mode": "held", "now": "2026-03-02T12:00:02.000Z", "rate": null },
            "api_key": first.api_key,
            "publishable_key": listed[one]["publishable_key"],
            "person_id": listed[one]["person_id"],
            "personal_access_token": first.personal_access_token,
            "device_count": 2,
            // Without the deleted code and the unused backup codes.
            "access_code_count": 2,
            "unmanaged_access_code_count": 1,
        });
        assert_eq!(listed[one], expected);
        let found = first.post("/workspaces/get", json!({})).await.ok();
        assert_eq!(found["workspace"]["publishable_key"], listed[one]["publishable_key"]);
        assert!(listed[other]["expires_at"].is_string() && listed[other]["seed"].is_null());
        assert_eq!(listed[other]["clock"]["mode"], "live");
    });
}

#[test]
fn api_key_lists_only_its_own_workspace_and_a_wrong_key_none() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let listed = list(&workspace.api_key).await;
        assert_eq!((listed.len(), index(&listed, &workspace)), (1, Some(0)));
        assert_eq!(workspace.get(LIST).await.ok()["workspaces"], json!(listed));
        let without_key = ask("GET", LIST, &[], "").await.ok();
        assert!(without_key["workspaces"].as_array().unwrap().contains(&listed[0]));
        post_as("seam_test_nobodys", LIST, json!({})).await.error(401, "unauthorized");
        ask("GET", LIST, &[("host", "example.com")], "").await.error(401, "unauthorized");
        ask("DELETE", LIST, &[], "").await.error(405, "method_not_allowed");
        ask("POST", LIST, &[("content-type", "application/json")], "[]").await.error(400, "invalid_input");
        workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
        assert_eq!(index(&list("").await, &workspace), None);
    });
}

#[test]
fn workspaces_past_their_ttl_are_removed_once_by_concurrent_servers() {
    run(async {
        let unexpired = TestWorkspace::create_with(json!({ "ttl": "PT1H", "locks": 1 })).await;
        let mut expired = Vec::new();
        for _ in 0..12 {
            let workspace = TestWorkspace::create_with(json!({ "ttl": "PT0S", "locks": 2, "clock": "live" })).await;
            workspace.create(json!({ "device_id": workspace.lock(0) })).await;
            expired.push(workspace);
        }
        let options = app().pool.raw().connect_options().as_ref().clone();
        let pools = Pools::lazy(options, PoolLimits::of(&app().config));
        let other = App::new(app().config.clone(), pools).unwrap();
        let (one, other, third) = (app(), other.clone(), other);
        let (one, other, third) = tokio::join!(
            remove_expired_workspaces(&one),
            remove_expired_workspaces(&other),
            remove_expired_workspaces(&third)
        );
        one.and(other).and(third).unwrap();
        let remaining = list("").await;
        for workspace in &expired {
            assert_eq!(index(&remaining, workspace), None);
            let rows: i64 = sqlx::query_scalar("select count(*) from event where workspace_id = $1::text::uuid")
                .bind(&workspace.workspace_id)
                .fetch_one(app().pool.raw())
                .await
                .unwrap();
            assert_eq!(rows, 0);
        }
        assert!(index(&remaining, &unexpired).is_some());
    });
}

#[test]
fn lock_can_be_created_in_any_state() {
    run(async {
        let workspace = TestWorkspace::with(json!([
            { "device_type": "august_lock", "hub_connected": false },
            { "device_type": "yale_lock", "removed": true },
            { "device_type": "ttlock_lock", "errors": [{ "error_code": "subscription_required" }],
              "warnings": [{ "warning_code": "power_saving_mode", "message": "asleep" }] },
            { "device_type": "wyze_lock", "account_connected": false },
            { "device_type": "wyze_lock" },
            { "device_type": "august_lock" },
        ]))
        .await;
        let errors = |device: &Value| -> Vec<String> {
            let errors = device["errors"].as_array().unwrap().iter();
            errors.map(|error| error["error_code"].as_str().unwrap().to_owned()).collect()
        };
        let found: Vec<Vec<String>> = workspace.devices.iter().map(errors).collect();
        let expected: [&[&str]; 6] = [
            &["hub_disconnected"],
            &["device_removed"],
            &["subscription_required"],
            &["account_disconnected"],
            &["account_disconnected"],
            &[],
        ];
        assert_eq!(found, expected);
        assert_eq!(workspace.devices[2]["warnings"][0]["message"], "asleep");
        assert_eq!(workspace.devices[3]["connected_account_id"], workspace.devices[4]["connected_account_id"]);
        // The response to the creation equals the list of devices.
        let listed = workspace.post("/devices/list", json!({})).await.ok();
        assert_eq!(listed["devices"], json!(workspace.devices));
        // A new lock with a disconnected account disconnects that of the existing lock, and another one reconnects it.
        for (connected, expected) in [(false, vec!["account_disconnected"]), (true, vec![])] {
            let params = json!({ "device_type": "ttlock_lock", "account_connected": connected });
            let created = workspace.post("/_emulator/devices/create", params).await.ok();
            assert_eq!(errors(&created["device"]), expected);
            let found = workspace.post("/devices/get", json!({ "device_id": workspace.lock(2) })).await.ok();
            assert_eq!(errors(&found["device"]).contains(&"account_disconnected".to_owned()), !connected);
        }
    });
}

#[test]
fn workspace_is_created_without_devices_for_the_person_of_the_token() {
    run(async {
        let first = TestWorkspace::with_locks(1).await;
        let create = async |params: Value| post_as(&first.personal_access_token, "/workspaces/create", params).await;
        let customization = json!({ "logo_shape": "circle", "primary_button_color": null, "unknown": "x" });
        let params = json!({
            "name": "Mine", "is_sandbox": true, "connect_partner_name": "Acme", "webview_logo_shape": "square",
            "webview_success_message": "Done", "connect_webview_customization": customization,
        });
        let workspace = create(params).await.ok()["workspace"].clone();
        let expected = json!({
            "workspace_id": workspace["workspace_id"],
            "name": "Mine",
            "company_name": "Acme",
            "connect_partner_name": "Acme",
            "organization_id": workspace["organization_id"],
            "is_sandbox": true,
            "is_suspended": false,
            "publishable_key": workspace["publishable_key"],
            "is_publishable_key_auth_enabled": true,
            "connect_webview_customization": { "logo_shape": "circle", "success_message": "Done" },
        });
        assert_eq!(workspace, expected);
        // The second workspace belongs to the same organization. A production workspace cannot be reset.
        let second = create(json!({ "name": "Production", "company_name": "Old" })).await.ok()["workspace"].clone();
        assert_eq!(second["organization_id"], workspace["organization_id"]);
        assert!(second["organization_id"].is_string());
        assert_eq!((&second["is_sandbox"], &second["company_name"]), (&json!(false), &json!("Old")));
        let bearer = format!("Bearer {}", first.personal_access_token);
        let headers =
            [("authorization", bearer.as_str()), ("seam-workspace", second["workspace_id"].as_str().unwrap())];
        ask("POST", "/workspaces/reset_sandbox", &headers, "").await.error(400, "workspace_not_sandbox");
        create(json!({})).await.invalid("name");
        first.post("/workspaces/create", json!({ "name": "x" })).await.error(401, "unauthorized");
    });
}

#[test]
fn workspace_update_changes_what_is_given_and_is_visible_at_once() {
    run(async {
        let workspace = TestWorkspace::create_with(json!({ "name": "Before" })).await;
        let get = async || workspace.post("/workspaces/get", json!({})).await.ok()["workspace"].clone();
        let mut expected = get().await;
        assert_eq!((&expected["name"], &expected["company_name"]), (&json!("Before"), &json!("Before")));
        let organization_id = "00000000-0000-4000-8000-0000000000aa";
        for (update, changed) in [
            (json!({}), json!({})),
            (
                json!({ "name": "After" }),
                json!({ "name": "After", "company_name": "After", "connect_partner_name": "After" }),
            ),
            (
                json!({ "connect_partner_name": "Acme" }),
                json!({ "company_name": "Acme", "connect_partner_name": "Acme" }),
            ),
            (json!({ "is_suspended": true }), json!({ "is_suspended": true })),
            (json!({ "is_publishable_key_auth_enabled": false }), json!({ "is_publishable_key_auth_enabled": false })),
            (json!({ "organization_id": organization_id }), json!({ "organization_id": organization_id })),
            (
                json!({ "connect_webview_customization": { "success_message": "Hi", "logo_shape": "square" } }),
                json!({ "connect_webview_customization": { "success_message": "Hi", "logo_shape": "square" } }),
            ),
            (
                json!({ "connect_webview_customization": { "logo_shape": null, "unknown": 1 } }),
                json!({ "connect_webview_customization": { "success_message": "Hi" } }),
            ),
        ] {
            workspace.post("/workspaces/update", update.clone()).await.ok();
            expected.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
            assert_eq!(get().await, expected, "{update}");
        }
        workspace.post("/workspaces/update", json!({ "name": 7 })).await.invalid("name");
        workspace.post("/workspaces/reset_sandbox", json!({})).await.ok();
        assert_eq!(get().await["name"], "Before");
    });
}

#[test]
fn reset_sandbox_restores_the_initial_state_and_keeps_the_credentials() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        workspace.advance("PT1H").await;
        let session = workspace.post("/client_sessions/create", json!({})).await.ok()["client_session"].clone();
        for round in 0..2 {
            let reset = workspace.post("/workspaces/reset_sandbox", json!({})).await.ok();
            let attempt = &reset["action_attempt"];
            let expected = json!({ "action_attempt_id": attempt["action_attempt_id"], "error": null, "result": {},
                                   "action_type": "RESET_SANDBOX_WORKSPACE", "status": "success" });
            assert_eq!(*attempt, expected, "{round}");
            let params = json!({ "action_attempt_id": attempt["action_attempt_id"] });
            let found = workspace.post("/action_attempts/get", params).await.ok();
            assert_eq!(found["action_attempt"], expected);
            let listed = workspace.post("/action_attempts/list", json!({})).await.ok();
            assert_eq!(listed["action_attempts"], json!([expected]));
        }
        let codes = workspace.post("/access_codes/list", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(codes["access_codes"], json!([]));
        assert_eq!(workspace.get("/_emulator/clock").await.ok()["now"], START);
        assert_eq!(workspace.post("/devices/list", json!({})).await.ok()["devices"], json!(workspace.devices));
        let token = session["token"].as_str().unwrap();
        post_as(token, "/devices/list", json!({})).await.error(401, "client_session_not_found");
        let bearer = format!("Bearer {}", workspace.personal_access_token);
        let headers = [("authorization", bearer.as_str()), ("seam-workspace", workspace.workspace_id.as_str())];
        ask("POST", "/workspaces/reset_sandbox", &headers, "").await.ok();
        // The attempt belongs to no device, so that client sessions do not see it.
        let account = &workspace.devices[0]["connected_account_id"];
        let session =
            workspace.post("/client_sessions/create", json!({ "connected_account_ids": [account] })).await.ok();
        let attempts = workspace.post("/action_attempts/list", json!({})).await.ok();
        let params = json!({ "action_attempt_id": attempts["action_attempts"][0]["action_attempt_id"] });
        let token = session["client_session"]["token"].as_str().unwrap();
        post_as(token, "/action_attempts/get", params).await.error(404, "action_attempt_not_found");
        // A snapshot with the attempt can be exported and imported.
        let exported = workspace.get("/_emulator/snapshots/export").await.ok()["snapshot"].clone();
        workspace.post("/_emulator/snapshots/import", json!({ "snapshot": exported })).await.ok();
    });
}
