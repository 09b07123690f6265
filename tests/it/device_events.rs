//! Events of devices and accounts: of a new workspace, and of changes of a device.

use crate::support::{START, TestWorkspace, UNKNOWN, post_as, run, types};
use serde_json::{Value, json};

/// Returns the events after the first `count`.
async fn events_after(workspace: &TestWorkspace, count: usize) -> Vec<Value> {
    workspace.events(json!({})).await.split_off(count)
}

/// Changes the first lock and returns the types of the events that this adds.
async fn types_of_change(workspace: &TestWorkspace, changes: Value) -> Vec<String> {
    let before = workspace.events(json!({})).await.len();
    workspace.change_lock(0, changes).await;
    types(&events_after(workspace, before).await).into_iter().map(str::to_owned).collect()
}

#[test]
fn new_workspace_reports_each_account_before_its_devices() {
    run(async {
        let workspace = TestWorkspace::with(json!([
            { "device_type": "august_lock" },
            { "device_type": "nuki_lock", "account_connected": false },
            { "device_type": "august_lock", "is_managed": false },
            { "device_type": "august_lock", "online": false },
        ]))
        .await;
        let listed = workspace.events(json!({})).await;
        let [account, created] = ["connected_account.created", "device.added"];
        assert_eq!(types(&listed), [account, account, created, created, created]);
        let device =
            |index: usize| (&workspace.devices[index]["device_id"], &workspace.devices[index]["connected_account_id"]);
        for (event, index) in listed[2..].iter().zip([0, 1, 3]) {
            assert_eq!((&event["device_id"], &event["connected_account_id"]), device(index));
        }
        for (event, index) in listed[..2].iter().zip([0, 1]) {
            assert_eq!(&event["connected_account_id"], device(index).1);
            assert!(event.get("device_id").is_none() && event["connect_webview_id"].is_string());
        }
        for event in &listed {
            assert_eq!((&event["occurred_at"], &event["created_at"]), (&json!(START), &json!(START)));
        }
    });
}

#[test]
fn events_of_a_new_workspace_are_in_its_initial_state() {
    run(async {
        let params = json!({ "seed": "told at the start", "locks": 2 });
        let workspace = TestWorkspace::create_with(params).await;
        let first = workspace.events(json!({})).await;
        assert_eq!(first.len(), 3);
        workspace.change_lock(0, json!({ "battery_level": 0.1 })).await;
        assert_eq!(workspace.events(json!({})).await.len(), 5);
        workspace.post("/_emulator/workspaces/reset", json!({})).await.ok();
        assert_eq!(workspace.events(json!({})).await, first);
        // The ids of later events continue after those of the initial state.
        workspace.change_lock(0, json!({ "battery_level": 0.1 })).await;
        let ids: std::collections::BTreeSet<_> =
            workspace.events(json!({})).await.iter().map(|event| event["event_id"].to_string()).collect();
        assert_eq!(ids.len(), 5);
    });
}

#[test]
fn lock_that_is_added_later_reports_itself_and_a_new_account() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.advance("PT1H").await;
        for (spec, expected) in [
            (json!({ "device_type": "august_lock" }), vec!["device.added"]),
            (json!({ "device_type": "nuki_lock" }), vec!["connected_account.created", "device.added"]),
            (json!({ "device_type": "nuki_lock", "is_managed": false }), vec![]),
            (
                json!({ "device_type": "nuki_lock", "account_connected": false }),
                vec![
                    "device.added",
                    "connected_account.disconnected",
                    "device.disconnected",
                    "device.disconnected",
                    "device.unmanaged.disconnected",
                ],
            ),
        ] {
            let before = workspace.events(json!({})).await.len();
            let created = workspace.post("/_emulator/devices/create", spec.clone()).await.ok();
            let added = events_after(&workspace, before).await;
            let mut found = types(&added);
            found.sort_by_key(|event_type| expected.iter().position(|expected| expected == event_type));
            assert_eq!(found, expected, "{spec}");
            if let Some(event) = added.iter().find(|event| event["event_type"] == "device.added") {
                assert_eq!(event["device_id"], created["device"]["device_id"]);
                assert_eq!(event["occurred_at"], "2026-03-02T13:00:00.000Z");
            }
        }
    });
}

#[test]
fn battery_of_a_lock_reports_its_status_and_a_low_level_once() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let (status, low) = ("device.battery_status_changed", "device.low_battery");
        for (level, expected) in
            [(0.8, vec![]), (0.5, vec![status]), (0.2, vec![status, low]), (0.05, vec![status]), (0.9, vec![status])]
        {
            let found = types_of_change(&workspace, json!({ "battery_level": level })).await;
            assert_eq!(found, expected, "{level}");
        }
        let low = workspace.events(json!({})).await.into_iter().find(|event| event["event_type"] == low).unwrap();
        assert_eq!((&low["battery_level"], &low["device_battery_level"]), (&json!(0.2), &json!(0.2)));
        let nested = json!({ "properties": { "battery": { "level": 0.3 }, "battery_level": 0.9 } });
        assert_eq!(types_of_change(&workspace, nested).await, [status], "the level in battery counts");
        let found = workspace.post("/devices/get", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(found["device"]["properties"]["battery"], json!({ "level": 0.3, "status": "good" }));
    });
}

#[test]
fn battery_of_an_offline_lock_is_hidden_and_reported_later() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.change_lock(0, json!({ "online": false })).await;
        assert_eq!(types_of_change(&workspace, json!({ "battery_level": 0.05 })).await, Vec::<String>::new());
        let hidden = workspace.change_lock(0, json!({})).await;
        for missing in ["battery", "battery_level"] {
            assert_eq!(hidden["properties"].get(missing), None);
        }
        let expected = ["device.connected", "device.battery_status_changed", "device.low_battery"];
        assert_eq!(types_of_change(&workspace, json!({ "online": true })).await, expected);
    });
}

#[test]
fn accessory_keypad_reports_its_connection_and_its_low_battery() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "nuki_lock" }])).await;
        let found = types_of_change(&workspace, json!({ "accessory_keypad_battery_level": 0.2 })).await;
        assert_eq!(found, ["device.low_battery"]);
        let low = workspace.events(json!({})).await.pop().unwrap();
        assert_eq!(
            (&low["battery_level"], &low["device_battery_level"], &low["accessory_keypad_battery_level"]),
            (&json!(0.2), &json!(0.9), &json!(0.2))
        );
        let lock = workspace.change_lock(0, json!({})).await;
        let properties = &lock["properties"];
        assert_eq!(properties["accessory_keypad"], json!({ "is_connected": true, "battery": { "level": 0.2 } }));
        assert_eq!(properties["keypad_battery"], json!({ "level": 0.2 }));
        assert_eq!(properties["nuki_metadata"]["keypad_battery_critical"], true);
        assert_eq!(lock["warnings"][0]["warning_code"], "accessory_keypad_low_battery");
        assert_eq!(lock["warnings"][0]["created_at"], START);
        let renewed = json!({ "properties": { "accessory_keypad": { "battery": { "level": 1 } } } });
        assert_eq!(types_of_change(&workspace, renewed).await, Vec::<String>::new());

        let disconnected = ["device.accessory_keypad_disconnected"];
        assert_eq!(types_of_change(&workspace, json!({ "accessory_keypad_connected": false })).await, disconnected);
        let lock = workspace.change_lock(0, json!({})).await;
        assert_eq!((&lock["warnings"], &lock["can_program_online_access_codes"]), (&json!([]), &json!(false)));
        let refused = workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(0) })).await;
        refused.error(400, "device_cannot_program_online_access_codes");
        let connected = ["device.accessory_keypad_connected"];
        assert_eq!(types_of_change(&workspace, json!({ "accessory_keypad_connected": true })).await, connected);
    });
}

#[test]
fn errors_and_warnings_of_a_device_have_events() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "salto_lock" }])).await;
        for (changes, expected) in [
            (
                json!({ "warnings": [{ "warning_code": "device_has_flaky_connection" }] }),
                vec!["device.connection_became_flaky"],
            ),
            (json!({ "warnings": [] }), vec!["device.connection_stabilized"]),
            (
                json!({ "warnings": [{ "warning_code": "third_party_integration_detected" }] }),
                vec!["device.third_party_integration_detected"],
            ),
            (
                json!({ "warnings": [{ "warning_code": "privacy_mode" }] }),
                vec!["device.third_party_integration_no_longer_detected", "device.salto.privacy_mode_activated"],
            ),
            (json!({ "warnings": [] }), vec!["device.salto.privacy_mode_deactivated"]),
            (
                json!({ "errors": [{ "error_code": "subscription_required" }] }),
                vec!["device.error.subscription_required"],
            ),
            (json!({ "errors": [] }), vec!["device.error.subscription_required.resolved"]),
            (json!({ "subscription_expired": true }), vec!["device.error.subscription_required"]),
            (json!({ "subscription_expired": true }), vec![]),
            (json!({ "removed": true }), vec!["device.removed", "device.disconnected"]),
            (json!({ "removed": false }), vec!["device.added", "device.connected"]),
            (json!({ "tampered": true, "doorbell_rang": true }), vec!["device.tampered", "device.doorbell_rang"]),
            (json!({ "tampered": false }), vec![]),
            (json!({ "name": "Gate" }), vec!["device.name_changed"]),
            (json!({ "properties": { "name": "Gate" } }), vec![]),
            (json!({ "properties": { "name": "Door" } }), vec!["device.name_changed"]),
            (json!({ "online": false, "tampered": true }), vec!["device.disconnected"]),
        ] {
            assert_eq!(types_of_change(&workspace, changes.clone()).await, expected, "{changes}");
        }
    });
}

#[test]
fn simulated_subscription_of_a_nuki_lock_expires_and_is_renewed() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "nuki_lock" }])).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        for (is_expired, error_code) in [(true, Some("subscription_required")), (false, None)] {
            let params = json!({ "device_id": workspace.lock(0), "is_expired": is_expired });
            for _ in 0..2 {
                workspace.post("/devices/simulate/paid_subscription", params.clone()).await.ok();
            }
            let lock = workspace.post("/devices/get", json!({ "device_id": workspace.lock(0) })).await.ok();
            let code = workspace.access_code(&code["access_code_id"]).await;
            for errors in [&lock["device"]["errors"], &code["errors"]] {
                assert_eq!(errors[0]["error_code"].as_str(), error_code);
            }
        }
        let listed = workspace.events(json!({})).await;
        let mut found = types(&listed);
        found.retain(|event_type| event_type.starts_with("device.error."));
        assert_eq!(found, ["device.error.subscription_required", "device.error.subscription_required.resolved"]);
    });
}

#[test]
fn simulation_is_refused_for_brands_whose_flag_is_missing() {
    run(async {
        let types: Vec<_> =
            latchkey::testing::domain::device::brands::BRANDS.iter().map(|brand| brand.device_type).collect();
        let locks: Value = types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
        let workspace = TestWorkspace::with(locks).await;
        let mut allowed = Vec::new();
        for (path, flag) in [
            ("disconnect", "can_simulate_disconnection"),
            ("connect", "can_simulate_connection"),
            ("disconnect_from_hub", "can_simulate_hub_disconnection"),
            ("connect_to_hub", "can_simulate_hub_connection"),
            ("paid_subscription", "can_simulate_paid_subscription"),
            ("remove", "can_simulate_removal"),
        ] {
            for device in &workspace.devices {
                let mut params = json!({ "device_id": device["device_id"] });
                if path == "paid_subscription" {
                    params["is_expired"] = json!(false);
                }
                let reply = workspace.post(&format!("/devices/simulate/{path}"), params).await;
                if device[flag] == true {
                    reply.ok();
                    allowed.push(format!("{path} {}", device["device_type"].as_str().unwrap()));
                } else {
                    let error = reply.error(400, "device_type_not_supported");
                    assert!(error["message"].as_str().unwrap().contains(device["device_type"].as_str().unwrap()));
                }
            }
        }
        assert_eq!(
            allowed,
            [
                "disconnect august_lock",
                "disconnect yale_lock",
                "connect august_lock",
                "connect yale_lock",
                "disconnect_from_hub august_lock",
                "disconnect_from_hub igloohome_lock",
                "disconnect_from_hub ttlock_lock",
                "connect_to_hub august_lock",
                "connect_to_hub ttlock_lock",
                "paid_subscription nuki_lock",
                "remove august_lock",
                "remove yale_lock",
            ]
        );
    });
}

#[test]
fn events_list_filters_by_connect_webview_and_customer() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let webview = workspace.events(json!({})).await[0]["connect_webview_id"].clone();
        for (name, value, count) in [
            ("connect_webview_id", webview, 1),
            ("connect_webview_id", json!(UNKNOWN), 0),
            ("customer_key", json!("somebody"), 0),
            ("connected_account_id", workspace.devices[0]["connected_account_id"].clone(), 2),
            ("device_id", json!(workspace.lock(0)), 1),
            ("event_type", json!("device.added"), 1),
            ("space_id", json!(UNKNOWN), 0),
        ] {
            let params = json!({ "since": "2000-01-01", name: value });
            let listed = workspace.post("/events/list", params).await.ok();
            assert_eq!(listed["events"].as_array().unwrap().len(), count, "{name}");
        }
    });
}

#[test]
fn events_of_a_created_lock_are_attributed_to_its_request() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let created = workspace.post("/_emulator/devices/create", json!({ "device_type": "yale_lock" })).await.ok();
        let found = post_as(&workspace.api_key, "/events/get", json!({ "device_id": created["device"]["device_id"] }));
        assert_eq!(found.await.ok()["event"]["event_type"], "device.added");
    });
}
