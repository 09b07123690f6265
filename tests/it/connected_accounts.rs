//! Connected accounts: reading, changing, synchronizing and deleting them. Logins are in `connect_webviews`.

use crate::support::{START, TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

async fn account(workspace: &TestWorkspace, connected_account_id: &Value) -> Value {
    let params = json!({ "connected_account_id": connected_account_id });
    workspace.post("/connected_accounts/get", params).await.ok()["connected_account"].clone()
}

async fn list(workspace: &TestWorkspace, filter: Value) -> Vec<Value> {
    let listed = workspace.post("/connected_accounts/list", filter).await.ok();
    listed["connected_accounts"].as_array().unwrap().iter().map(|row| row["connected_account_id"].clone()).collect()
}

/// Returns a workspace with two August locks and a Schlage lock, and the ids of the two accounts.
async fn two_accounts() -> (TestWorkspace, [Value; 2]) {
    let locks =
        json!([{ "device_type": "august_lock" }, { "device_type": "schlage_lock" }, { "device_type": "august_lock" }]);
    let workspace = TestWorkspace::with(locks).await;
    let ids = [0, 1].map(|index| workspace.devices[index]["connected_account_id"].clone());
    (workspace, ids)
}

#[test]
fn account_of_locks_has_every_property() {
    run(async {
        let (workspace, [august, schlage]) = two_accounts().await;
        let shown = account(&workspace, &august).await;
        for (name, value) in [
            ("account_type", json!("august")),
            ("account_type_display_name", json!("August")),
            ("display_name", json!("sandbox@example.com")),
            ("user_identifier", json!({ "email": "sandbox@example.com" })),
            ("created_at", json!(START)),
            ("errors", json!([])),
            ("warnings", json!([])),
            ("custom_metadata", json!({})),
            ("automatically_manage_new_devices", json!(true)),
            ("accepted_capabilities", json!(["lock"])),
        ] {
            assert_eq!(shown[name], value, "{name}");
        }
        assert_eq!(workspace.devices[2]["connected_account_id"], august, "locks of a brand share an account");
        let by_email = workspace.post("/connected_accounts/get", json!({ "email": "Sandbox@example.com" })).await.ok();
        let found = &by_email["connected_account"]["connected_account_id"];
        assert!([&august, &schlage].contains(&found));
        workspace
            .post("/connected_accounts/get", json!({ "email": "a@example.com" }))
            .await
            .error(404, "connected_account_not_found");
        workspace.post("/connected_accounts/simulate/disconnect", json!({ "connected_account_id": august })).await.ok();
        let shown = account(&workspace, &august).await;
        assert_eq!(shown["errors"][0]["error_code"], "account_disconnected");
        assert_eq!(account(&workspace, &schlage).await["errors"], json!([]));
    });
}

#[test]
fn update_changes_what_is_given_and_events_have_the_metadata() {
    run(async {
        let (workspace, [august, schlage]) = two_accounts().await;
        let update = json!({
            "connected_account_id": august, "display_name": "Building 1", "customer_key": "c1",
            "custom_metadata": { "a": "1", "b": true }, "automatically_manage_new_devices": false,
            "accepted_capabilities": ["lock", "camera", "lock"],
        });
        let updated = workspace.post("/connected_accounts/update", update).await.ok()["connected_account"].clone();
        assert_eq!(updated, account(&workspace, &august).await);
        assert_eq!((&updated["display_name"], &updated["customer_key"]), (&json!("Building 1"), &json!("c1")));
        assert_eq!(updated["automatically_manage_new_devices"], false);
        assert_eq!(updated["accepted_capabilities"], json!(["lock", "camera"]));
        let more = json!({ "connected_account_id": august, "custom_metadata": { "a": null, "c": "3" } });
        let updated = workspace.post("/connected_accounts/update", more).await.ok()["connected_account"].clone();
        assert_eq!(updated["custom_metadata"], json!({ "b": true, "c": "3" }));
        assert_eq!(updated["display_name"], "Building 1");

        for (index, is_of_customer) in [(0, true), (1, false)] {
            let code = workspace.create(json!({ "device_id": workspace.lock(index), "code": "4826" })).await;
            workspace.advance("PT1M").await;
            for event in workspace.events(json!({ "access_code_id": code["access_code_id"] })).await {
                let metadata = if is_of_customer { json!({ "b": true, "c": "3" }) } else { Value::Null };
                assert_eq!(event["connected_account_custom_metadata"], metadata, "{event}");
                assert_eq!(event["customer_key"], Value::Null, "no event of a code has it: {event}");
            }
        }
        for (filter, count) in [
            (json!({ "customer_key": "c1" }), 1),
            (json!({ "customer_key": "c2" }), 0),
            (json!({ "customer_key": "c1", "device_id": workspace.lock(0) }), 1),
            (json!({ "customer_key": "c1", "device_id": workspace.lock(1) }), 0),
        ] {
            let listed = workspace.post("/access_codes/list", filter.clone()).await.ok();
            assert_eq!(listed["access_codes"].as_array().unwrap().len(), count, "{filter}");
        }
        workspace.post("/devices/simulate/disconnect", json!({ "device_id": workspace.lock(0) })).await.ok();
        let events = workspace.events(json!({ "customer_key": "c1" })).await;
        assert_eq!((events.len(), &events[0]["event_type"]), (1, &json!("device.disconnected")));
        assert_eq!(account(&workspace, &schlage).await["custom_metadata"], json!({}));
    });
}

#[test]
fn update_rejects_invalid_values_and_changes_nothing() {
    run(async {
        let (workspace, [august, _]) = two_accounts().await;
        let before = account(&workspace, &august).await;
        let fifty_one: serde_json::Map<String, Value> = (0..51).map(|n| (format!("k{n}"), json!("v"))).collect();
        for (parameter, value) in [
            ("custom_metadata", json!(fifty_one)),
            ("custom_metadata", json!({ "a.b": "1" })),
            ("custom_metadata", json!({ "a".repeat(41): "1" })),
            ("custom_metadata", json!({ "a": "x".repeat(501) })),
            ("customer_key", json!(" \t")),
            ("customer_key", json!("x".repeat(501))),
            ("display_name", json!("")),
            ("display_name", json!("x".repeat(256))),
            ("accepted_capabilities", json!(["door"])),
        ] {
            let mut update = json!({ "connected_account_id": august, "automatically_manage_new_devices": false });
            update[parameter] = value;
            let error = workspace.post("/connected_accounts/update", update).await.error(400, "invalid_input");
            assert!(
                error["message"].as_str().unwrap().contains(parameter) || parameter == "custom_metadata",
                "{error}"
            );
        }
        assert_eq!(account(&workspace, &august).await, before);
    });
}

#[test]
fn lists_filter_search_and_page() {
    run(async {
        let locks: Vec<Value> = ["august_lock", "schlage_lock", "yale_lock", "nuki_lock"]
            .iter()
            .map(|device_type| json!({ "device_type": device_type }))
            .collect();
        let workspace = TestWorkspace::with(json!(locks)).await;
        let ids: Vec<Value> = workspace.devices.iter().map(|device| device["connected_account_id"].clone()).collect();
        for (index, update) in [
            (0, json!({ "custom_metadata": { "a": "1" }, "customer_key": "c1" })),
            (1, json!({ "custom_metadata": { "a": "2" }, "display_name": "Second House" })),
        ] {
            let mut update = update;
            update["connected_account_id"] = ids[index].clone();
            workspace.post("/connected_accounts/update", update).await.ok();
        }
        let sorted = |mut ids: Vec<Value>| {
            ids.sort_by_key(|id| id.as_str().unwrap().to_owned());
            ids
        };
        let pick = |numbers: &[usize]| sorted(numbers.iter().map(|number| ids[*number].clone()).collect());
        for (filter, expected) in [
            (json!({}), pick(&[0, 1, 2, 3])),
            (json!({ "customer_key": "c1" }), pick(&[0])),
            (json!({ "custom_metadata_has": { "a": "2" } }), pick(&[1])),
            (json!({ "custom_metadata_has": { "a": null } }), pick(&[2, 3])),
            (json!({ "search": "second HOUSE" }), pick(&[1])),
            (json!({ "search": "nuki" }), pick(&[3])),
            (json!({ "search": ids[2] }), pick(&[2])),
            (json!({ "user_identifier_key": "u" }), pick(&[])),
            (json!({ "space_id": UNKNOWN }), pick(&[])),
        ] {
            assert_eq!(sorted(list(&workspace, filter.clone()).await), expected, "{filter}");
        }
        let mut paged = Vec::new();
        let mut cursor = Value::Null;
        for _ in 0..2 {
            let params = json!({ "limit": 2, "page_cursor": cursor });
            let page = workspace.post("/connected_accounts/list", params).await.ok();
            let rows = page["connected_accounts"].as_array().unwrap();
            assert_eq!(rows.len(), 2);
            paged.extend(rows.iter().map(|row| row["connected_account_id"].clone()));
            cursor = page["pagination"]["next_page_cursor"].clone();
        }
        assert_eq!((paged.len(), cursor), (4, Value::Null));
        assert_eq!(sorted(paged), pick(&[0, 1, 2, 3]));
        workspace
            .post("/connected_accounts/list", json!({ "custom_metadata_has": { "a.b": "1" } }))
            .await
            .invalid("custom_metadata_has");
    });
}

#[test]
fn deletion_takes_devices_and_codes_with_it_and_tells_it_in_order() {
    run(async {
        let (workspace, [august, schlage]) = two_accounts().await;
        let key = json!({ "connected_account_id": august, "customer_key": "c1", "custom_metadata": { "a": "1" } });
        workspace.post("/connected_accounts/update", key).await.ok();
        let shared = json!({ "device_ids": [workspace.lock(0), workspace.lock(1)], "common_code_key": "staff" });
        let shared = workspace.post("/access_codes/create_multiple", shared).await.ok();
        let linked: Vec<Value> =
            shared["access_codes"].as_array().unwrap().iter().map(|code| code["access_code_id"].clone()).collect();
        let set = workspace.create(json!({ "device_id": workspace.lock(2), "code": "4826" })).await;
        workspace.advance("PT1M").await;
        let renamed = json!({ "access_code_id": set["access_code_id"], "name": "renamed" });
        workspace.post("/access_codes/update", renamed).await.ok();
        workspace.advance("PT1M").await;
        let unmanaged = json!({ "device_id": workspace.lock(2), "code": "9731" });
        let unmanaged = workspace.post("/_emulator/locks/add_code", unmanaged).await.ok()["access_code"].clone();
        let gone = workspace.create(json!({ "device_id": workspace.lock(0), "code": "1357" })).await;
        workspace.advance("PT1M").await;
        workspace.post("/access_codes/delete", json!({ "access_code_id": gone["access_code_id"] })).await.ok();
        workspace.advance("PT1M").await;
        let pending = json!({ "device_id": workspace.lock(0), "code": "2468" });
        let pending = workspace.post("/access_codes/create", pending).await.ok();
        let attempts_before = workspace.post("/action_attempts/list", json!({})).await.ok();
        let before = workspace.events(json!({})).await.len();

        workspace.post("/connected_accounts/delete", json!({ "connected_account_id": august })).await.ok();
        let events: Vec<Value> = workspace.events(json!({})).await.split_off(before);
        let summary: Vec<(&str, &Value)> = events
            .iter()
            .map(|event| {
                let subject = ["access_code_id", "device_id", "connected_account_id"];
                let subject = subject.iter().find(|name| event.get(**name).is_some()).unwrap();
                (event["event_type"].as_str().unwrap(), &event[*subject])
            })
            .collect();
        let (first, third) = (json!(workspace.lock(0)), json!(workspace.lock(2)));
        assert_eq!(
            summary,
            [
                ("connected_account.deleted", &august),
                ("device.deleted", &first),
                ("access_code.deleted", &linked[0]),
                ("access_code.deleted", &pending["access_code"]["access_code_id"]),
                ("device.deleted", &third),
                ("access_code.deleted", &set["access_code_id"]),
                ("access_code.unmanaged.removed", &unmanaged["access_code_id"]),
            ]
        );
        assert_eq!(
            (&events[0]["customer_key"], &events[0]["connected_account_type"]),
            (&json!("c1"), &json!("august"))
        );
        assert_eq!(
            (&events[1]["device_name"], &events[5]["code"]),
            (&workspace.devices[0]["display_name"], &json!("4826"))
        );
        assert_eq!(events[5]["connected_account_custom_metadata"], json!({ "a": "1" }));

        let missing = json!({ "connected_account_id": august });
        for path in ["get", "delete", "sync", "simulate/disconnect", "update"] {
            let path = format!("/connected_accounts/{path}");
            workspace.post(&path, missing.clone()).await.error(404, "connected_account_not_found");
        }
        workspace.post("/devices/get", json!({ "device_id": first })).await.error(404, "device_not_found");
        workspace.post("/access_codes/list", json!({ "device_id": first })).await.error(404, "device_not_found");
        for code in [&linked[0], &set["access_code_id"], &gone["access_code_id"]] {
            workspace
                .post("/access_codes/get", json!({ "access_code_id": code }))
                .await
                .error(404, "access_code_not_found");
        }
        let unmanaged = json!({ "access_code_id": unmanaged["access_code_id"] });
        workspace.post("/access_codes/unmanaged/get", unmanaged).await.error(404, "access_code_not_found");
        assert_eq!(list(&workspace, json!({})).await, [schlage]);
        assert_eq!(workspace.access_code(&linked[1]).await["status"], "set", "the code of another account stays");

        let attempts = workspace.post("/action_attempts/list", json!({})).await.ok();
        let outcomes = |list: &Value| {
            let attempts = list["action_attempts"].as_array().unwrap();
            attempts.iter().map(|one| (one["action_attempt_id"].clone(), one["status"].clone())).collect::<Vec<_>>()
        };
        let expected: Vec<_> = outcomes(&attempts_before)
            .into_iter()
            .map(|(id, status)| (id, if status == "pending" { json!("error") } else { status }))
            .collect();
        assert_eq!(outcomes(&attempts), expected);
        let of_pending = &pending["action_attempt"]["action_attempt_id"];
        let of_pending = workspace.post("/action_attempts/get", json!({ "action_attempt_id": of_pending })).await.ok();
        assert_eq!(of_pending["action_attempt"]["error"]["type"], "access_code_deleted");
        workspace.advance("P30D").await;
        assert_eq!(
            workspace.events(json!({ "device_id": first })).await.last().unwrap()["event_type"],
            "access_code.deleted"
        );
    });
}

#[test]
fn deletion_frees_the_pins_of_groups_that_become_empty() {
    run(async {
        let (workspace, [august, _]) = two_accounts().await;
        let shared =
            json!({ "device_ids": [workspace.lock(0), workspace.lock(2)], "common_code_key": "staff", "code": "4826" });
        workspace.post("/access_codes/create_multiple", shared).await.ok();
        workspace.post("/connected_accounts/delete", json!({ "connected_account_id": august })).await.ok();
        let again = json!({ "device_ids": [workspace.lock(1)], "common_code_key": "staff", "code": "9731" });
        let again = workspace.post("/access_codes/create_multiple", again).await.ok();
        assert_eq!(again["access_codes"][0]["code"], "9731");
    });
}

#[test]
fn ids_of_deleted_accounts_and_devices_are_not_used_again() {
    run(async {
        let locks = json!([{ "device_type": "schlage_lock" }, { "device_type": "august_lock" }]);
        let workspace = TestWorkspace::create_with(json!({ "seed": "deleted accounts", "locks": locks })).await;
        let mut seen = vec![workspace.lock(1)];
        let mut accounts = vec![workspace.devices[1]["connected_account_id"].clone()];
        for _ in 0..3 {
            let last = json!({ "connected_account_id": accounts.last() });
            workspace.post("/connected_accounts/simulate/disconnect", last.clone()).await.ok();
            workspace.post("/connected_accounts/delete", last).await.ok();
            let device = json!({ "device_type": "august_lock" });
            let device = workspace.post("/_emulator/devices/create", device).await.ok()["device"].clone();
            let device_id = device["device_id"].as_str().unwrap().to_owned();
            assert!(!seen.contains(&device_id) && !accounts.contains(&device["connected_account_id"]), "{device}");
            seen.push(device_id);
            accounts.push(device["connected_account_id"].clone());
        }
    });
}

#[test]
fn snapshots_bring_back_and_export_deleted_accounts() {
    run(async {
        let (workspace, [august, _]) = two_accounts().await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0), "code": "4826" })).await;
        workspace.advance("PT1M").await;
        workspace.post("/connected_accounts/delete", json!({ "connected_account_id": august })).await.ok();
        let document = workspace.get("/_emulator/snapshots/export").await.ok()["snapshot"].clone();
        let other = TestWorkspace::with_locks(0).await;
        workspace.post("/_emulator/workspaces/reset", json!({})).await.ok();
        assert_eq!(account(&workspace, &august).await["account_type"], "august");
        workspace
            .post("/access_codes/get", json!({ "access_code_id": code["access_code_id"] }))
            .await
            .error(404, "access_code_not_found");
        workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
        let imported = other.post("/_emulator/snapshots/import", json!({ "snapshot": document })).await.ok();
        let imported = json!({ "snapshot_id": imported["snapshot_id"] });
        other.post("/_emulator/snapshots/restore", imported).await.ok();
        let events = other.events(json!({ "connected_account_id": august })).await;
        assert!(events.iter().any(|event| event["event_type"] == "connected_account.deleted"));
    });
}

#[test]
fn accounts_of_other_workspaces_do_not_exist() {
    run(async {
        let (workspace, [august, _]) = two_accounts().await;
        let other = TestWorkspace::with_locks(1).await;
        for id in [august.clone(), json!(UNKNOWN)] {
            let params = json!({ "connected_account_id": id });
            for path in ["get", "delete", "sync", "simulate/disconnect", "update"] {
                let path = format!("/connected_accounts/{path}");
                other.post(&path, params.clone()).await.error(404, "connected_account_not_found");
            }
        }
        assert_eq!(account(&workspace, &august).await["errors"], json!([]));
        assert_eq!(list(&other, json!({})).await.len(), 1);
        workspace.post("/connected_accounts/sync", json!({ "connected_account_id": august })).await.ok();
    });
}

#[test]
fn deletion_and_new_codes_at_the_same_time_leave_nothing_behind() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let account = json!({ "connected_account_id": workspace.devices[0]["connected_account_id"] });
        let create = |index: usize| {
            let params = json!({ "device_id": workspace.lock(index), "name": "guest" });
            workspace.post("/access_codes/create", params)
        };
        let (a, b, c, deleted) =
            tokio::join!(create(0), create(1), create(2), workspace.post("/connected_accounts/delete", account));
        deleted.ok();
        for reply in [a, b, c] {
            assert!(reply.status == 200 || reply.body["error"]["type"] == "device_not_found", "{}", reply.body);
        }
        workspace.advance("P1D").await;
        let events = workspace.events(json!({})).await;
        let count = |event_type: &str| events.iter().filter(|event| event["event_type"] == event_type).count();
        assert_eq!(count("access_code.created"), count("access_code.deleted"));
        assert_eq!(count("device.deleted"), 3);
    });
}
