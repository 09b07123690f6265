//! Reads of spaces: filters, pages, related objects, and where devices name their spaces.

use super::{create, devices_in, get};
use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

#[test]
fn space_ids_are_shown_wherever_a_device_is() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let (device, other) = (workspace.lock(0), workspace.lock(1));
        let first = create(&workspace, json!({ "device_ids": [device] })).await;
        let second = create(&workspace, json!({ "device_ids": [other, device] })).await;
        let expected = json!([first["space_id"], second["space_id"]]);
        let named = json!({ "device_id": device });
        for (path, key) in [("/devices/get", "device"), ("/locks/get", "lock"), ("/_emulator/devices/update", "device")]
        {
            assert_eq!(workspace.post(path, named.clone()).await.ok()[key]["space_ids"], expected, "{path}");
        }
        let listed = workspace.post("/devices/list", json!({ "device_ids": [device] })).await.ok();
        assert_eq!(listed["devices"][0]["space_ids"], expected);
        let locks = workspace.post("/locks/list", json!({})).await.ok();
        assert_eq!(locks["locks"][0]["space_ids"], expected);
        assert_eq!(devices_in(&workspace, &first).await, [json!(device)]);
        assert_eq!(devices_in(&workspace, &json!({ "space_id": UNKNOWN })).await, Vec::<Value>::new());
        let related = workspace.post("/spaces/get_related", json!({ "space_ids": [first["space_id"]] })).await.ok();
        assert_eq!(related["batch"]["devices"][0]["space_ids"], expected);
        workspace.post("/devices/update", json!({ "device_id": device, "is_managed": false })).await.ok();
        assert_eq!(devices_in(&workspace, &second).await, [json!(other)]);
        assert_eq!(get(&workspace, &second).await["device_count"], 2);
    });
}

#[test]
fn space_list_filters_and_paginates_newest_first() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let mut ids = Vec::new();
        for (name, key, customer) in [("Attic", "a1", "acme"), ("Cellar", "c1", "acme"), ("Loft", "attic-2", "other")] {
            let params = json!({ "name": name, "space_key": key, "customer_key": customer });
            ids.push(create(&workspace, params).await["space_id"].clone());
            workspace.advance("PT1S").await;
        }
        for (filter, expected) in [
            (json!({}), vec![2, 1, 0]),
            (json!({ "search": "ATTIC" }), vec![2, 0]),
            (json!({ "search": "acme" }), vec![1, 0]),
            (json!({ "space_key": "c1" }), vec![1]),
            (json!({ "customer_key": "acme" }), vec![1, 0]),
            (json!({ "customer_key": "acme", "search": "cell" }), vec![1]),
            (json!({ "connected_account_id": UNKNOWN }), vec![]),
            (json!({ "parent_space_id": UNKNOWN }), vec![]),
            (json!({ "parent_space_key": "a1" }), vec![]),
        ] {
            let listed = workspace.post("/spaces/list", filter.clone()).await.ok();
            let found: Vec<&Value> =
                listed["spaces"].as_array().unwrap().iter().map(|space| &space["space_id"]).collect();
            let expected: Vec<&Value> = expected.into_iter().map(|index: usize| &ids[index]).collect();
            assert_eq!(found, expected, "{filter}");
        }
        let first = workspace.get("/spaces/list?limit=2&customer_key=acme").await.ok();
        assert_eq!(first["pagination"]["has_next_page"], false);
        let first = workspace.post("/spaces/list", json!({ "limit": 2 })).await.ok();
        assert_eq!(
            (first["spaces"].as_array().unwrap().len(), &first["pagination"]["has_next_page"]),
            (2, &json!(true))
        );
        let cursor = &first["pagination"]["next_page_cursor"];
        let second = workspace.post("/spaces/list", json!({ "limit": 2, "page_cursor": cursor })).await.ok();
        assert_eq!((&second["spaces"][0]["space_id"], &second["spaces"][1]), (&ids[0], &Value::Null));
        workspace.post("/spaces/list", json!({ "limit": 0 })).await.error(400, "invalid_input");
    });
}

#[test]
fn space_get_related_returns_what_belongs_to_the_spaces() {
    run(async {
        let locks = json!([{ "device_type": "august_lock" }, { "device_type": "nuki_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        let one = create(&workspace, json!({ "device_ids": [workspace.lock(0)] })).await;
        let two = create(&workspace, json!({ "space_key": "two", "device_ids": workspace.locks() })).await;
        let related = async |params: Value| workspace.post("/spaces/get_related", params).await.ok()["batch"].clone();
        let both = related(json!({ "space_ids": [one["space_id"]], "space_keys": ["two"] })).await;
        let ids = |batch: &Value, kind: &str, id: &str| {
            let mut ids: Vec<Value> = batch[kind].as_array().unwrap().iter().map(|item| item[id].clone()).collect();
            ids.sort_by_key(ToString::to_string);
            ids
        };
        assert_eq!(ids(&both, "spaces", "space_id").len(), 2);
        assert_eq!(ids(&both, "devices", "device_id").len(), 2);
        assert_eq!(ids(&both, "connected_accounts", "connected_account_id").len(), 2);
        for kind in ["acs_entrances", "acs_systems", "access_methods"] {
            assert_eq!(both[kind], json!([]), "{kind}");
        }
        let query = format!("/spaces/get_related?space_ids={}&include=devices", one["space_id"].as_str().unwrap());
        let devices = workspace.get(&query).await.ok()["batch"].clone();
        assert_eq!(devices.as_object().unwrap().keys().collect::<Vec<_>>(), ["devices"]);
        assert_eq!(ids(&devices, "devices", "device_id"), [json!(workspace.lock(0))]);
        let few =
            related(json!({ "space_keys": ["two"], "include": ["spaces", "devices"], "exclude": ["devices"] })).await;
        assert_eq!(few, json!({ "spaces": [two] }));
        workspace.post("/spaces/get_related", json!({})).await.error(400, "invalid_input");
        for unknown in [json!({ "space_ids": [one["space_id"], UNKNOWN] }), json!({ "space_keys": ["two", "three"] })] {
            workspace.post("/spaces/get_related", unknown).await.error(404, "space_not_found");
        }
    });
}

#[test]
fn space_requests_have_a_maximum_number_of_ids() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let many = vec![UNKNOWN; 501];
        for (path, parameter) in [
            ("/spaces/create", "device_ids"),
            ("/spaces/create", "connected_account_ids"),
            ("/spaces/update", "device_ids"),
            ("/spaces/add_devices", "device_ids"),
            ("/spaces/remove_devices", "device_ids"),
            ("/spaces/get_related", "space_ids"),
            ("/spaces/get_related", "space_keys"),
        ] {
            let params = json!({ "name": "x", "space_id": UNKNOWN, parameter: many });
            let reply = workspace.post(path, params).await;
            assert_eq!(reply.invalid(parameter), ["Array must contain at most 500 element(s)"], "{path}");
        }
    });
}
