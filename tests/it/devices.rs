//! `/devices/get` and `/devices/list`, and the locks of the default sandbox.

use crate::support::{START, TestWorkspace, UNKNOWN, app, post_as, run};
use latchkey::testing::domain::sandbox::{API_KEY, WORKSPACE_ID};
use latchkey::testing::engine::sandbox;
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn list(workspace: &TestWorkspace, params: Value) -> Vec<Value> {
    workspace.post("/devices/list", params).await.ok()["devices"].as_array().unwrap().clone()
}

/// Creates a workspace with locks of four brands: one is offline, and one accepts only offline codes.
async fn house() -> TestWorkspace {
    TestWorkspace::with(json!([
        { "device_type": "august_lock", "name": "Front Door" },
        { "device_type": "yale_lock", "name": "Back Door", "online": false },
        { "device_type": "dormakaba_oracode_door", "name": "Garage 100%" },
        { "device_type": "august_lock", "name": "Attic" },
        { "device_type": "igloohome_lock", "name": "Shed" },
    ]))
    .await
}

#[test]
fn devices_are_listed_in_the_order_of_their_creation() {
    run(async {
        let workspace = TestWorkspace::with_locks(30).await;
        assert_eq!(list(&workspace, json!({})).await, workspace.devices);
        let later = workspace.post("/_emulator/devices/create", json!({ "device_type": "nuki_lock" })).await.ok();
        let listed = list(&workspace, json!({})).await;
        assert_eq!((listed.len(), &listed[30]), (31, &later["device"]));
        assert_eq!(workspace.get("/devices/list").await.ok()["devices"], json!(listed));
    });
}

#[test]
fn devices_list_applies_each_filter_and_combines_them() {
    run(async {
        let workspace = house().await;
        let account = |index: usize| workspace.devices[index]["connected_account_id"].clone();
        assert_eq!(account(0), account(3), "locks of the same brand have the same account");
        assert_ne!(account(0), account(1));
        let ids = |indexes: &[usize]| indexes.iter().map(|index| workspace.lock(*index)).collect::<Vec<_>>();
        for (params, found) in [
            (json!({ "device_ids": [workspace.lock(3), UNKNOWN, workspace.lock(1)] }), vec![1, 3]),
            (json!({ "device_ids": [] }), vec![]),
            (json!({ "device_type": "august_lock" }), vec![0, 3]),
            (json!({ "device_types": ["yale_lock", "igloohome_lock", "ring_camera"] }), vec![1, 4]),
            (json!({ "device_type": "august_lock", "device_types": ["yale_lock", "august_lock"] }), vec![0, 3]),
            (json!({ "device_type": "august_lock", "device_types": ["yale_lock"] }), vec![]),
            (json!({ "manufacturer": "august" }), vec![0, 3]),
            (json!({ "manufacturer": "kwikset" }), vec![]),
            (json!({ "connected_account_id": account(0) }), vec![0, 3]),
            (json!({ "connected_account_ids": [account(1), account(4)] }), vec![1, 4]),
            (json!({ "connected_account_id": account(0), "connected_account_ids": [account(1)] }), vec![]),
            (json!({ "connected_account_id": UNKNOWN }), vec![]),
            (json!({ "search": "door" }), vec![0, 1]),
            (json!({ "search": "0%" }), vec![2]),
            (json!({ "search": "a_t" }), vec![]),
            (json!({ "search": workspace.lock(4)[10..] }), vec![4]),
            (json!({ "include_if": ["can_program_online_access_codes"] }), vec![0, 1, 3, 4]),
            (json!({ "include_if": ["can_program_offline_access_codes"] }), vec![2, 4]),
            (json!({ "include_if": ["can_program_offline_access_codes", "can_program_online_access_codes"] }), vec![4]),
            (json!({ "exclude_if": ["can_program_offline_access_codes"] }), vec![0, 1, 3]),
            (json!({ "exclude_if": ["can_hvac_heat"] }), vec![0, 1, 2, 3, 4]),
            (json!({ "include_if": ["can_hvac_heat"] }), vec![]),
            (json!({ "created_before": START }), vec![]),
            (json!({ "created_before": "2026-03-02T13:00:00.001+01:00" }), vec![0, 1, 2, 3, 4]),
            (json!({ "custom_metadata_has": {} }), vec![0, 1, 2, 3, 4]),
            (json!({ "custom_metadata_has": { "floor": "1" } }), vec![]),
            (json!({ "customer_key": "somebody" }), vec![]),
            (json!({ "space_id": UNKNOWN }), vec![]),
            (json!({ "search": "door", "device_type": "yale_lock" }), vec![1]),
            (json!({ "page_cursor": null }), vec![0, 1, 2, 3, 4]),
        ] {
            let listed = list(&workspace, params.clone()).await;
            let listed: Vec<_> = listed.iter().map(|device| device["device_id"].as_str().unwrap()).collect();
            assert_eq!(listed, ids(&found), "{params}");
        }
        let path =
            format!("/devices/list?device_ids={}&device_ids={}&search=door", workspace.lock(0), workspace.lock(4));
        assert_eq!(workspace.get(&path).await.ok()["devices"], json!([workspace.devices[0]]));
    });
}

#[test]
fn devices_list_rejects_invalid_filters() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for (name, value) in [
            ("device_ids", json!(["front"])),
            ("device_type", json!("cat_flap")),
            ("device_types", json!(["cat_flap"])),
            ("manufacturer", json!("nobody")),
            ("include_if", json!(["can_fly"])),
            ("created_before", json!("yesterday")),
            ("search", json!("")),
            ("custom_metadata_has", json!({ "a\u{0}": "b" })),
            ("limit", json!(0)),
        ] {
            let error = workspace.post("/devices/list", json!({ name: value })).await.error(400, "invalid_input");
            assert!(error["validation_errors"].get(name).is_some(), "{name}: {error}");
        }
    });
}

#[test]
fn devices_list_pages_are_consecutive_with_a_capability_filter() {
    run(async {
        let workspace = house().await;
        let (mut seen, mut cursor) = (Vec::new(), Value::Null);
        for size in [2, 2] {
            let params =
                json!({ "limit": 2, "include_if": ["can_program_online_access_codes"], "page_cursor": cursor });
            let page = workspace.post("/devices/list", params).await.ok();
            assert_eq!(page["devices"].as_array().unwrap().len(), size);
            seen.extend(page["devices"].as_array().unwrap().iter().map(|device| device["device_id"].clone()));
            cursor = page["pagination"]["next_page_cursor"].clone();
            assert_eq!(page["pagination"]["has_next_page"], !cursor.is_null());
        }
        assert_eq!(cursor, Value::Null);
        assert_eq!(json!(seen), json!([workspace.lock(0), workspace.lock(1), workspace.lock(3), workspace.lock(4)]));
        let first = workspace.post("/devices/list", json!({ "limit": 4 })).await.ok();
        let url = first["pagination"]["next_page_url"].as_str().unwrap();
        let second = workspace.get(url.strip_prefix("http://localhost").unwrap()).await.ok();
        assert_eq!(second["devices"], json!([workspace.devices[4]]));
        let invalid_cursor = json!({ "page_cursor": "made up" });
        workspace.post("/devices/list", invalid_cursor).await.error(400, "mismatched_page_parameters");
    });
}

#[test]
fn devices_get_finds_a_device_by_id_or_name() {
    run(async {
        let (workspace, other) = (house().await, TestWorkspace::with_locks(1).await);
        for (params, index) in [
            (json!({ "device_id": workspace.lock(1) }), 1),
            (json!({ "name": "Garage 100%" }), 2),
            (json!({ "device_id": workspace.lock(3), "name": "Attic" }), 3),
        ] {
            let body = workspace.post("/devices/get", params).await.ok();
            assert_eq!(body, json!({ "device": workspace.devices[index], "ok": true }));
        }
        let path = format!("/devices/get?device_id={}", workspace.lock(0));
        assert_eq!(workspace.get(&path).await.ok()["device"], workspace.devices[0]);
        for params in [
            json!({ "device_id": UNKNOWN }),
            json!({ "device_id": other.lock(0) }),
            json!({ "name": "front door" }),
            json!({ "device_id": workspace.lock(0), "name": "Attic" }),
        ] {
            let error = workspace.post("/devices/get", params).await.error(404, "device_not_found");
            assert_eq!(error["message"], "Device not found");
        }
        workspace.post("/devices/get", json!({})).await.error(400, "invalid_input");
    });
}

#[test]
fn device_shows_its_capabilities_and_whether_it_is_online() {
    run(async {
        let workspace = TestWorkspace::with(json!([
            { "device_type": "august_lock" },
            {
                "device_type": "august_lock",
                "name": "Odd one",
                "hub_connected": false,
                "supported_code_lengths": [7],
                "max_active_codes_supported": 3,
                "code_constraints": [{ "constraint_type": "name_length", "min_length": 1, "max_length": 5 }],
                "battery_level": 0.05,
                "time_zone": "Europe/Berlin",
                "properties": { "serial_number": "X1", "door_open": true },
            },
            { "device_type": "august_lock", "battery_level": null, "supported_code_lengths": null, "time_zone": null },
        ]))
        .await;
        let [usual, odd, bare] = &workspace.devices[..] else { panic!("three locks") };
        assert_eq!(usual["properties"]["online"], true);
        assert_eq!(
            (&usual["errors"], &usual["is_managed"], &usual["created_at"]),
            (&json!([]), &json!(true), &json!(START))
        );
        assert_eq!(usual["properties"]["supported_code_lengths"], json!([4, 5, 6, 7, 8]));
        assert_eq!(usual["properties"].get("max_active_codes_supported"), None);

        let properties = &odd["properties"];
        assert_eq!((&odd["display_name"], &properties["online"]), (&json!("Odd one"), &json!(false)));
        assert_eq!(odd["errors"][0]["error_code"], "hub_disconnected");
        assert_eq!(odd["can_program_online_access_codes"], true, "an offline lock accepts codes");
        assert_eq!(properties["supported_code_lengths"], json!([7]));
        assert_eq!(properties["max_active_codes_supported"], 3);
        assert_eq!(
            properties["code_constraints"],
            json!([{ "constraint_type": "name_length", "min_length": 1, "max_length": 5 }])
        );
        for missing in ["battery", "battery_level"] {
            assert_eq!(properties.get(missing), None, "an unreachable lock reports no battery: {missing}");
        }
        assert_eq!((&properties["serial_number"], &properties["door_open"]), (&json!("X1"), &json!(true)));
        assert_eq!(odd["location"]["time_zone"], "Europe/Berlin");

        for missing in ["battery", "battery_level", "supported_code_lengths"] {
            assert_eq!(bare["properties"].get(missing), None, "{missing}");
        }
        assert_eq!(bare["location"].get("time_zone"), None);
    });
}

#[test]
fn default_sandbox_has_ten_locks_that_suit_the_examples_of_clients() {
    run(async {
        let app = app();
        let initial = sandbox::ensure(&app).await.unwrap();
        let again = sandbox::ensure(&app).await.unwrap();
        let ids = |devices: &[latchkey::testing::domain::device::Device]| -> Vec<String> {
            devices.iter().map(|device| device.device_id.to_string()).collect()
        };
        assert_eq!((initial.len(), ids(&again)), (10, ids(&initial)), "the sandbox is created once");

        let listed = post_as(API_KEY, "/devices/list", json!({})).await.ok();
        let locks = listed["devices"].as_array().unwrap();
        let listed_ids: Vec<_> = locks.iter().map(|lock| lock["device_id"].as_str().unwrap()).collect();
        assert_eq!(listed_ids, ids(&initial));
        assert_eq!(locks[0]["device_type"], "august_lock");
        assert_eq!(locks[1]["device_type"], "august_lock");
        assert!(locks.iter().all(|lock| lock["workspace_id"] == WORKSPACE_ID.to_string()));

        // Find the online locks that accept any six-digit PIN. The PINs below are extreme cases of the rules on digits.
        let mut accepting = Vec::new();
        for lock in locks.iter().filter(|lock| lock["properties"]["online"] == true) {
            let properties = &lock["properties"];
            let lengths = properties.get("supported_code_lengths").and_then(Value::as_array);
            let accepts_six_digits = lengths.is_none_or(|lengths| lengths.contains(&json!(6)));
            if accepts_six_digits
                && properties["code_constraints"] == json!([])
                && properties.get("max_active_codes_supported").is_none()
            {
                accepting.push(lock);
            }
        }
        let brands: BTreeSet<_> = accepting.iter().map(|lock| lock["device_type"].as_str().unwrap()).collect();
        assert!(accepting.len() >= 8 && brands.len() >= 6, "{brands:?}");
        let device_ids: Vec<_> = accepting.iter().map(|lock| &lock["device_id"]).collect();
        for code in ["000000", "123456", "999999", "120890", "112233"] {
            let params = json!({ "device_ids": device_ids, "code": code });
            let codes = post_as(API_KEY, "/access_codes/create_multiple", params).await.ok();
            for created in codes["access_codes"].as_array().unwrap() {
                assert_eq!(created["code"], code);
                let deletion = json!({ "access_code_id": created["access_code_id"], "sync": true });
                post_as(API_KEY, "/access_codes/delete", deletion).await.ok();
            }
        }
    });
}

#[test]
fn lock_has_a_unique_serial_number_and_the_metadata_of_its_provider() {
    run(async {
        let types: Vec<_> =
            latchkey::testing::domain::device::brands::BRANDS.iter().map(|brand| brand.device_type).collect();
        let locks: Value = types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
        let workspace = TestWorkspace::with(locks).await;
        let other_workspace = TestWorkspace::with_locks(2).await;
        let serial_numbers: BTreeSet<_> = workspace
            .devices
            .iter()
            .chain(&other_workspace.devices)
            .map(|device| device["properties"]["serial_number"].to_string())
            .collect();
        assert_eq!(serial_numbers.len(), types.len() + 2, "{serial_numbers:?}");
        for (device_type, metadata) in [
            ("august_lock", "august_metadata"),
            ("yale_lock", "august_metadata"),
            ("schlage_lock", "schlage_metadata"),
            ("kwikset_lock", "kwikset_metadata"),
            ("nuki_lock", "nuki_metadata"),
            ("igloohome_lock", "igloohome_metadata"),
            ("ttlock_lock", "ttlock_metadata"),
            ("smartthings_lock", "smartthings_metadata"),
            ("wyze_lock", "wyze_metadata"),
            ("tedee_lock", "tedee_metadata"),
            ("salto_lock", "salto_ks_metadata"),
            ("two_n_intercom", "two_n_metadata"),
            ("dormakaba_oracode_door", "dormakaba_oracode_metadata"),
        ] {
            let device = workspace.devices.iter().find(|device| device["device_type"] == device_type).unwrap();
            let found = device["properties"][metadata].as_object();
            assert!(found.is_some_and(|metadata| metadata.len() > 1), "{device_type}: {device}");
        }
        let august = workspace.devices.iter().find(|device| device["device_type"] == "august_lock").unwrap();
        assert_eq!(august["properties"]["august_metadata"]["lock_name"], august["properties"]["name"]);
        assert_eq!(august["properties"]["door_open"], false);
        assert_eq!(august["properties"]["has_native_entry_events"], true);
        let names =
            json!({ "device_id": august["device_id"], "properties": { "august_metadata": { "house_name": "Inn" } } });
        let changed = workspace.post("/_emulator/devices/update", names).await.ok()["device"]["properties"].clone();
        assert_eq!(changed["august_metadata"]["house_name"], "Inn");
        assert_eq!(changed["august_metadata"]["lock_id"], august["properties"]["august_metadata"]["lock_id"]);
    });
}

#[test]
fn battery_status_is_full_from_a_level_of_three_quarters() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for (level, status) in [(1.0, "full"), (0.75, "full"), (0.749, "good"), (0.05, "critical")] {
            let device = workspace.change_lock(0, json!({ "battery_level": level })).await;
            assert_eq!(device["properties"]["battery"], json!({ "level": level, "status": status }));
        }
    });
}

#[test]
fn connected_account_without_devices_disconnects_at_the_workspace_time() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        // The account remains when its only lock is deleted.
        let account = workspace.devices[0]["connected_account_id"].clone();
        workspace.post("/devices/delete", json!({ "device_id": workspace.lock(0) })).await.ok();
        let params = json!({ "connected_account_id": account });
        workspace.post("/connected_accounts/simulate/disconnect", params).await.ok();
        let events = workspace.post("/events/list", json!({ "since": "2000-01-01" })).await.ok();
        let event = events["events"].as_array().unwrap().last().unwrap();
        assert_eq!(event["event_type"], "connected_account.disconnected");
        assert_eq!((&event["occurred_at"], &event["created_at"]), (&json!(START), &json!(START)));
        assert_eq!(event["connected_account_errors"][0]["created_at"], START);
    });
}
