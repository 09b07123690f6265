//! Unmanaged devices, and devices that are changed, converted and deleted through the API.

use crate::support::{START, TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

async fn list(workspace: &TestWorkspace, path: &str, params: Value) -> Vec<Value> {
    workspace.post(path, params).await.ok()["devices"].as_array().unwrap().clone()
}

fn ids(devices: &[Value]) -> Vec<&str> {
    devices.iter().map(|device| device["device_id"].as_str().unwrap()).collect()
}

async fn event_types(workspace: &TestWorkspace, filter: Value) -> Vec<String> {
    let mut params = json!({ "since": "2000-01-01T00:00:00Z", "limit": 10_000 });
    params.as_object_mut().unwrap().extend(filter.as_object().unwrap().clone());
    let listed = workspace.post("/events/list", params).await.ok();
    let events = listed["events"].as_array().unwrap().iter();
    events.map(|event| event["event_type"].as_str().unwrap().to_owned()).collect()
}

async fn make_unmanaged(workspace: &TestWorkspace, index: usize) {
    let params = json!({ "device_id": workspace.lock(index), "is_managed": false });
    workspace.post("/devices/update", params).await.ok();
}

#[test]
fn lists_of_managed_and_unmanaged_devices_exclude_each_other() {
    run(async {
        let workspace = TestWorkspace::with(json!([
            { "device_type": "august_lock" },
            { "device_type": "yale_lock", "is_managed": false, "name": "Side Door" },
            { "device_type": "august_lock", "is_managed": false, "custom_metadata": { "floor": "1" } },
        ]))
        .await;
        let (managed, unmanaged) = ("/devices/list", "/devices/unmanaged/list");
        assert_eq!(ids(&list(&workspace, managed, json!({})).await), [workspace.lock(0)]);
        let listed = list(&workspace, unmanaged, json!({})).await;
        assert_eq!(listed, workspace.devices[1..]);
        for device in &listed {
            assert_eq!(device["is_managed"], false);
            assert!(["space_ids", "nickname", "device_provider"].iter().all(|name| device.get(name).is_none()));
            assert!(device["properties"].get("supported_code_lengths").is_none());
        }
        for (params, found) in [
            (json!({ "device_type": "yale_lock" }), vec![1]),
            (json!({ "manufacturer": "august" }), vec![2]),
            (json!({ "search": "side" }), vec![1]),
            (json!({ "device_ids": workspace.locks() }), vec![1, 2]),
            (json!({ "connected_account_id": workspace.devices[0]["connected_account_id"] }), vec![2]),
            (json!({ "include_if": ["can_simulate_hub_connection"] }), vec![2]),
            (json!({ "created_before": START }), vec![]),
            (json!({ "connect_webview_id": UNKNOWN }), vec![]),
            (json!({ "customer_key": "somebody" }), vec![]),
        ] {
            let listed = list(&workspace, unmanaged, params.clone()).await;
            let expected: Vec<String> = found.into_iter().map(|index| workspace.lock(index)).collect();
            assert_eq!(ids(&listed), expected, "{params}");
        }
        let page = workspace.post(unmanaged, json!({ "limit": 1 })).await.ok();
        let url = page["pagination"]["next_page_url"].as_str().unwrap().strip_prefix("http://localhost").unwrap();
        assert_eq!(ids(workspace.get(url).await.ok()["devices"].as_array().unwrap()), [workspace.lock(2)]);

        let (own, other) = (json!({ "device_id": workspace.lock(1) }), json!({ "device_id": workspace.lock(0) }));
        assert_eq!(workspace.post("/devices/unmanaged/get", own.clone()).await.ok()["device"], workspace.devices[1]);
        let by_name = workspace.post("/devices/unmanaged/get", json!({ "name": "Side Door" })).await.ok();
        assert_eq!(by_name["device"], workspace.devices[1]);
        workspace.post("/devices/get", own).await.error(404, "device_not_found");
        workspace.post("/devices/unmanaged/get", other).await.error(404, "device_not_found");
        workspace.post("/devices/unmanaged/get", json!({})).await.error(400, "invalid_input");
    });
}

#[test]
fn updates_of_a_device_of_the_other_kind_are_rejected() {
    run(async {
        let workspace = TestWorkspace::with(json!([
            { "device_type": "august_lock" },
            { "device_type": "august_lock", "is_managed": false },
        ]))
        .await;
        let of = |index: usize| json!({ "device_id": workspace.lock(index), "custom_metadata": { "a": "b" } });
        let error = workspace.post("/devices/update", of(1)).await.error(400, "device_unmanaged");
        assert_eq!(error["message"], "Device is unmanaged. Use /devices/unmanaged/update");
        let error = workspace.post("/devices/unmanaged/update", of(0)).await.error(400, "device_managed");
        assert_eq!(error["message"], "Device is managed. Use /devices/update");
        workspace.post("/devices/unmanaged/update", of(1)).await.ok();
        let devices = list(&workspace, "/devices/unmanaged/list", json!({})).await;
        assert_eq!((&devices[0]["custom_metadata"], &devices[0]["is_managed"]), (&json!({ "a": "b" }), &json!(false)));
        for path in ["/devices/update", "/devices/unmanaged/update", "/devices/delete"] {
            workspace.post(path, json!({ "device_id": UNKNOWN })).await.error(404, "device_not_found");
        }
        let refused = json!({ "device_id": workspace.lock(1), "is_managed": false });
        workspace.post("/devices/unmanaged/update", refused).await.invalid("is_managed");
    });
}

#[test]
fn device_update_changes_nickname_and_custom_metadata() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "august_lock", "name": "FRONT DOOR" }])).await;
        let device_id = workspace.lock(0);
        let update = async |params: Value| {
            let mut params = params;
            params["device_id"] = json!(device_id);
            workspace.post("/devices/update", params).await
        };
        let get = async || {
            let found = workspace.post("/devices/get", json!({ "device_id": device_id })).await.ok();
            found["device"].clone()
        };
        update(json!({ "name": "Front", "custom_metadata": { "floor": "1", "is_guest": true } })).await.ok();
        let device = get().await;
        assert_eq!((&device["display_name"], &device["nickname"]), (&json!("Front"), &json!("Front")));
        let properties = &device["properties"];
        assert_eq!((&properties["name"], &properties["appearance"]["name"]), (&json!("Front"), &json!("FRONT DOOR")));
        assert_eq!(device["custom_metadata"], json!({ "floor": "1", "is_guest": true }));
        for (params, count) in [
            (json!({ "search": "front door" }), 1),
            (json!({ "custom_metadata_has": { "floor": "1" } }), 1),
            (json!({ "custom_metadata_has": { "floor": "2" } }), 0),
            (json!({ "custom_metadata_has": { "is_guest": true, "other": null } }), 1),
        ] {
            assert_eq!(list(&workspace, "/devices/list", params.clone()).await.len(), count, "{params}");
        }
        assert_eq!(workspace.post("/devices/get", json!({ "name": "Front" })).await.ok()["device"], device);
        workspace.post("/devices/get", json!({ "name": "FRONT DOOR" })).await.error(404, "device_not_found");

        update(json!({ "custom_metadata": { "floor": null, "is_guest": "" } })).await.ok();
        update(json!({ "properties": { "name": "Front" } })).await.ok();
        update(json!({ "name": null })).await.ok();
        let device = get().await;
        assert_eq!((&device["display_name"], device.get("nickname")), (&json!("FRONT DOOR"), None));
        assert_eq!(device["custom_metadata"], json!({}));
        let renamed =
            workspace.post("/events/list", json!({ "since": "2000-01-01", "event_type": "device.name_changed" }));
        let renamed = renamed.await.ok()["events"].as_array().unwrap().clone();
        let names: Vec<_> = renamed.iter().map(|event| &event["device_name"]).collect();
        assert_eq!(names, ["Front", "FRONT DOOR"]);

        for (params, parameter) in [
            (json!({ "name": " " }), "name"),
            (json!({ "name": "a", "properties": { "name": "b" } }), ""),
            (json!({ "custom_metadata": { "a.b": "c" } }), "custom_metadata"),
            (json!({ "custom_metadata": { "a": 1 } }), "custom_metadata"),
        ] {
            let error = update(params.clone()).await.error(400, "invalid_input");
            assert!(parameter.is_empty() || error["validation_errors"].get(parameter).is_some(), "{params}: {error}");
        }
        assert_eq!(get().await, device, "a rejected update changes nothing");
    });
}

#[test]
fn device_update_enables_and_disables_the_backup_pool() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock" }, { "device_type": "salto_lock" }])).await;
        for (is_enabled, count) in [(true, 5), (false, 0)] {
            let params = json!({ "device_id": workspace.lock(0), "backup_access_code_pool_enabled": is_enabled });
            workspace.post("/devices/update", params).await.ok();
            workspace.advance("PT1M").await;
            assert_eq!(workspace.memory(0).await.len(), count);
        }
        let refused = json!({ "device_id": workspace.lock(1), "backup_access_code_pool_enabled": true });
        workspace.post("/devices/update", refused).await.invalid("backup_access_code_pool_enabled");
    });
}

#[test]
fn codes_of_a_device_that_becomes_unmanaged_become_unmanaged() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let lock = workspace.lock(0);
        let held = workspace.create(json!({ "device_id": lock, "common_code_key": "guests", "code": "1379" })).await;
        let removing = workspace.create(json!({ "device_id": lock })).await;
        let with_pool = json!({ "device_id": lock, "starts_at": "2026-03-02T12:00:00Z",
                                "ends_at": "2026-03-04T12:00:00Z", "use_backup_access_code_pool": true });
        let time_bound = workspace.create(with_pool).await;
        workspace.advance("PT1M").await;
        let deferred =
            json!({ "device_id": lock, "starts_at": "2026-06-01T00:00:00Z", "ends_at": "2026-06-02T00:00:00Z" });
        let reply = workspace.post("/access_codes/create", deferred).await.ok();
        let (deferred, attempt) = (&reply["access_code"], &reply["action_attempt"]["action_attempt_id"]);
        workspace.change_lock(0, json!({ "online": false })).await;
        workspace.post("/access_codes/delete", json!({ "access_code_id": removing["access_code_id"] })).await.ok();
        assert_eq!(workspace.memory(0).await.len(), 8);
        make_unmanaged(&workspace, 0).await;

        let unmanaged = workspace.post("/access_codes/unmanaged/list", json!({ "device_id": lock })).await.ok();
        let mut found: Vec<_> = unmanaged["access_codes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|code| code["access_code_id"].to_string())
            .collect();
        let mut expected: Vec<_> =
            [&held, &removing, &time_bound].iter().map(|code| code["access_code_id"].to_string()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(workspace.memory(0).await.len(), 3, "the backup codes are removed");
        let managed = workspace.post("/access_codes/list", json!({ "device_id": lock })).await.ok();
        assert_eq!(managed["access_codes"], json!([]));
        let of_code = |code: &Value| json!({ "access_code_id": code["access_code_id"] });
        assert_eq!(event_types(&workspace, of_code(&held)).await.last().unwrap(), "access_code.changed");
        assert_eq!(event_types(&workspace, of_code(deferred)).await, ["access_code.created", "access_code.deleted"]);
        workspace.post("/access_codes/get", of_code(deferred)).await.error(404, "access_code_not_found");
        workspace.post("/action_attempts/get", json!({ "action_attempt_id": attempt })).await.ok();

        // The time-bound code ends on the lock. The deletion that was requested before has no effect any more.
        workspace.change_lock(0, json!({ "online": true })).await;
        workspace.advance("P3D").await;
        assert_eq!(workspace.memory(0).await.len(), 2);
        let last = event_types(&workspace, of_code(&time_bound)).await;
        assert_eq!(last.last().unwrap(), "access_code.unmanaged.removed");

        // A device that becomes managed again does not change its codes.
        workspace.post("/devices/unmanaged/update", json!({ "device_id": lock, "is_managed": true })).await.ok();
        let unmanaged = workspace.post("/access_codes/unmanaged/list", json!({ "device_id": lock })).await.ok();
        assert_eq!(unmanaged["access_codes"].as_array().unwrap().len(), 2);
        workspace.post("/access_codes/unmanaged/convert_to_managed", of_code(&held)).await.ok();
        workspace.create(json!({ "device_id": lock, "common_code_key": "guests", "code": "2468" })).await;
        let mut of_device = event_types(&workspace, json!({ "device_id": lock })).await;
        of_device.retain(|event_type| event_type.starts_with("device."));
        assert_eq!(
            of_device,
            [
                "device.added",
                "device.disconnected",
                "device.converted_to_unmanaged",
                "device.unmanaged.connected",
                "device.unmanaged.converted_to_managed",
            ]
        );
    });
}

#[test]
fn requests_for_codes_of_an_unmanaged_device_are_rejected() {
    run(async {
        let workspace = TestWorkspace::with(json!([
            { "device_type": "august_lock" },
            { "device_type": "august_lock" },
            { "device_type": "smartthings_lock" },
        ]))
        .await;
        let (lock, reporting) = (workspace.lock(0), workspace.lock(2));
        for index in [0, 2] {
            make_unmanaged(&workspace, index).await;
        }
        let added = json!({ "device_id": lock, "code": "1357", "name": "cleaner" });
        let added = workspace.post("/access_codes/simulate/create_unmanaged_access_code", added).await.ok();
        let code = &added["access_code"]["access_code_id"];
        let before = workspace.memory(0).await;
        for (path, params) in [
            ("/access_codes/create", json!({ "device_id": lock })),
            ("/access_codes/create_multiple", json!({ "device_ids": [workspace.lock(1), lock] })),
            ("/access_codes/generate_code", json!({ "device_id": lock })),
            (
                "/access_codes/report_device_constraints",
                json!({ "device_id": reporting, "supported_code_lengths": [4] }),
            ),
            ("/access_codes/unmanaged/convert_to_managed", json!({ "access_code_id": code })),
            ("/access_codes/unmanaged/update", json!({ "access_code_id": code, "is_managed": true })),
            ("/access_codes/unmanaged/delete", json!({ "access_code_id": code })),
            ("/_emulator/devices/update", json!({ "device_id": lock, "backup_access_code_pool_enabled": true })),
        ] {
            let error = workspace.post(path, params).await.error(400, "device_unmanaged");
            assert!([&lock, &reporting].iter().any(|id| error["data"]["device_id"] == id.as_str()), "{path}");
        }
        assert_eq!(workspace.memory(0).await, before);
        assert_eq!(workspace.memory(1).await, Vec::<Value>::new(), "no code of create_multiple was created");
        // A person can still use the lock; Seam is not told.
        let events = event_types(&workspace, json!({})).await.len();
        let opened = workspace.post("/_emulator/locks/enter_code", json!({ "device_id": lock, "code": "1357" })).await;
        assert_eq!(opened.ok()["result"], "unlocked");
        workspace.change_lock(0, json!({ "battery_level": 0.01, "tampered": true })).await;
        assert_eq!(event_types(&workspace, json!({})).await.len(), events);
    });
}

#[test]
fn deleted_device_takes_its_codes_with_it_and_keeps_its_ordinal() {
    run(async {
        let params = json!({ "seed": "deleted device", "locks": 2 });
        let workspace = TestWorkspace::create_with(params).await;
        let lock = workspace.lock(1);
        let created =
            workspace.post("/access_codes/create", json!({ "device_id": lock, "common_code_key": "key" })).await.ok();
        let code = json!({ "access_code_id": created["access_code"]["access_code_id"] });
        workspace.advance("PT1M").await;
        workspace.post("/_emulator/locks/add_code", json!({ "device_id": lock, "code": "4826" })).await.ok();
        workspace.post("/devices/update", json!({ "device_id": lock, "name": "Cellar" })).await.ok();
        let before = event_types(&workspace, json!({})).await.len();
        assert_eq!(
            workspace.request("DELETE", &format!("/devices/delete?device_id={lock}")).await.ok(),
            json!({ "ok": true })
        );

        let listed = workspace.post("/events/list", json!({ "since": "2000-01-01", "limit": 10_000 })).await.ok();
        let events = &listed["events"].as_array().unwrap()[before..];
        let types: Vec<_> = events.iter().map(|event| event["event_type"].as_str().unwrap()).collect();
        assert_eq!(types, ["device.deleted", "access_code.deleted", "access_code.unmanaged.removed"]);
        assert_eq!(events[0]["device_name"], "Cellar");
        for (path, params) in [
            ("/devices/get", json!({ "device_id": lock })),
            ("/devices/delete", json!({ "device_id": lock })),
            ("/devices/update", json!({ "device_id": lock })),
            ("/devices/simulate/disconnect", json!({ "device_id": lock })),
            ("/access_codes/create", json!({ "device_id": lock })),
            ("/access_codes/list", json!({ "device_id": lock })),
            ("/access_codes/generate_code", json!({ "device_id": lock })),
            ("/_emulator/devices/update", json!({ "device_id": lock })),
            ("/_emulator/locks/memory", json!({ "device_id": lock })),
            ("/_emulator/locks/press_lock", json!({ "device_id": lock })),
        ] {
            workspace.post(path, params).await.error(404, "device_not_found");
        }
        workspace.post("/access_codes/get", code.clone()).await.error(404, "access_code_not_found");
        assert_eq!(ids(&list(&workspace, "/devices/list", json!({})).await), [workspace.lock(0)]);
        let attempt = json!({ "action_attempt_id": created["action_attempt"]["action_attempt_id"] });
        workspace.post("/action_attempts/get", attempt).await.ok();
        let counted = workspace.post("/_emulator/workspaces/list", json!({})).await.ok();
        assert_eq!(counted["workspaces"][0]["device_count"], 1);

        // A later device has an id and events of its own, and the group of the deleted code is free again.
        let added = workspace.post("/_emulator/devices/create", json!({ "device_type": "august_lock" })).await.ok();
        assert_ne!(added["device"]["device_id"], lock);
        workspace.create(json!({ "device_id": workspace.lock(0), "common_code_key": "key", "code": "9753" })).await;
        // The deletion is part of snapshots, and a reset brings the device back.
        let snapshot = workspace.post("/_emulator/snapshots/create", json!({})).await.ok();
        workspace.post("/_emulator/workspaces/reset", json!({})).await.ok();
        assert_eq!(ids(&list(&workspace, "/devices/list", json!({})).await), workspace.locks());
        let restored = json!({ "snapshot_id": snapshot["snapshot_id"] });
        workspace.post("/_emulator/snapshots/restore", restored).await.ok();
        assert_eq!(list(&workspace, "/devices/list", json!({})).await.len(), 2);
        workspace.post("/devices/get", json!({ "device_id": lock })).await.error(404, "device_not_found");
        workspace.advance("P30D").await;
    });
}

#[test]
fn device_is_deleted_once_by_concurrent_requests() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({ "device_id": workspace.lock(0) });
        let delete = || workspace.post("/devices/delete", params.clone());
        let (one, other) = tokio::join!(delete(), delete());
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 404]);
        let deleted = event_types(&workspace, json!({ "event_type": "device.deleted" })).await;
        assert_eq!(deleted.len(), 1);
    });
}

#[test]
fn reported_provider_metadata_sets_the_time_zones_of_devices() {
    run(async {
        let workspace = TestWorkspace::with(json!([
            { "device_type": "schlage_lock" },
            { "device_type": "ultraloq_lock" },
            { "device_type": "omnitec_lock" },
            { "device_type": "august_lock" },
        ]))
        .await;
        let path = "/devices/report_provider_metadata";
        let zone = |zone: &str| json!({ "time_zone": zone });
        let window = json!({ "device_id": workspace.lock(1), "starts_at": "2026-03-05T00:00:00Z",
                             "ends_at": "2026-03-06T00:00:00Z" });
        workspace.post("/access_codes/create", window.clone()).await.error(400, "invalid_input");
        let reports = json!({ "devices": [
            { "device_id": workspace.lock(0), "schlage_metadata": zone("Europe/Berlin") },
            { "device_id": workspace.lock(1), "ultraloq_metadata": zone("Asia/Tokyo") },
            { "device_id": workspace.lock(2), "omnitec_metadata": zone("America/New_York") },
        ] });
        workspace.post(path, reports).await.ok();
        let zones = async || {
            let listed = list(&workspace, "/devices/list", json!({})).await;
            listed.iter().map(|device| device["location"]["time_zone"].clone()).collect::<Vec<_>>()
        };
        let reported = zones().await;
        assert_eq!(reported[..3], ["Europe/Berlin", "Asia/Tokyo", "America/New_York"]);
        workspace.post("/access_codes/create", window).await.ok();
        let first = json!({ "device_id": workspace.lock(0), "schlage_metadata": zone("Europe/Paris") });
        for other in [
            json!({ "device_id": workspace.lock(3), "schlage_metadata": zone("Europe/Paris") }),
            json!({ "device_id": workspace.lock(1), "ultraloq_metadata": zone("Mars/Base") }),
            json!({ "device_id": workspace.lock(1) }),
            json!({ "device_id": workspace.lock(1), "ultraloq_metadata": zone("Asia/Tokyo"),
                    "omnitec_metadata": zone("Asia/Tokyo") }),
            first.clone(),
        ] {
            let error = workspace.post(path, json!({ "devices": [first, other] })).await.error(400, "invalid_input");
            assert!(error["validation_errors"].get("devices").is_some(), "{error}");
        }
        let unknown = json!({ "device_id": UNKNOWN, "schlage_metadata": zone("Europe/Paris") });
        workspace.post(path, json!({ "devices": [first, unknown] })).await.error(404, "device_not_found");
        workspace.post(path, json!({ "devices": [] })).await.invalid("devices");
        let many = vec![unknown; 501];
        workspace.post(path, json!({ "devices": many })).await.invalid("devices");
        assert_eq!(zones().await, reported, "rejected reports change nothing");
    });
}

#[test]
fn device_providers_are_listed_with_their_flags_by_category() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let path = "/devices/list_device_providers";
        let providers = async |params: Value| {
            workspace.post(path, params).await.ok()["device_providers"].as_array().unwrap().clone()
        };
        let all = providers(json!({})).await;
        assert_eq!(all.len(), latchkey::testing::domain::device::brands::BRANDS.len());
        let august = all.iter().find(|provider| provider["device_provider_name"] == "august").unwrap();
        assert_eq!(august["can_simulate_removal"], true);
        assert_eq!(august["provider_categories"], json!(["stable", "consumer_smartlocks"]));
        assert!(all.iter().any(|provider| provider["device_provider_name"] == "my_2n"));
        let count = async |category: &str| providers(json!({ "provider_category": category })).await.len();
        assert_eq!(count("stable").await, all.len());
        assert_eq!(count("consumer_smartlocks").await + count("access_control_systems").await, all.len());
        assert_eq!(count("thermostats").await, 0);
        workspace.post(path, json!({ "provider_category": "bicycles" })).await.invalid("provider_category");
        assert_eq!(
            workspace.get(&format!("{path}?provider_category=stable")).await.ok()["device_providers"],
            json!(all)
        );
    });
}
