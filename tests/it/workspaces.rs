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
