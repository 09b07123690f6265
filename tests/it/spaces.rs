//! Spaces: their devices and accounts, their events, and who sees them.

mod reads;

use crate::support::{Reply, START, TestWorkspace, UNKNOWN, ask, post_as, run, types};
use crate::webhook_deliveries::deliver;
use crate::webhook_receiver::Receiver;
use latchkey::testing::store::snapshots::checksum;
use serde_json::{Value, json};

/// Creates a space with these parameters and returns it.
async fn create(workspace: &TestWorkspace, mut params: Value) -> Value {
    if params.get("name").is_none() {
        params["name"] = json!("Apartment");
    }
    workspace.post("/spaces/create", params).await.ok()["space"].clone()
}

async fn get(workspace: &TestWorkspace, space: &Value) -> Value {
    workspace.post("/spaces/get", json!({ "space_id": space["space_id"] })).await.ok()["space"].clone()
}

/// Returns the ids of the devices in a space, in the order of the devices.
async fn devices_in(workspace: &TestWorkspace, space: &Value) -> Vec<Value> {
    let found = workspace.post("/devices/list", json!({ "space_id": space["space_id"] })).await.ok();
    found["devices"].as_array().unwrap().iter().map(|device| device["device_id"].clone()).collect()
}

/// Returns the events of a space, in order.
async fn events_of(workspace: &TestWorkspace, space: &Value) -> Vec<Value> {
    workspace.events(json!({ "space_id": space["space_id"] })).await
}

/// Sends a request with a JSON body, or with its parameters in the query for GET and DELETE.
async fn send(workspace: &TestWorkspace, method: &str, path: &str, params: &[(&str, &str)]) -> Reply {
    let bearer = format!("Bearer {}", workspace.api_key);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    if matches!(method, "GET" | "DELETE") {
        let query: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        return ask(method, &format!("{path}?{}", query.join("&")), &headers[..1], "").await;
    }
    let body = params.iter().map(|(name, value)| {
        let value = if name.ends_with("_ids") { json!([value]) } else { json!(value) };
        ((*name).to_owned(), value)
    });
    ask(method, path, &headers, Value::Object(body.collect()).to_string()).await
}

#[test]
fn space_has_the_fields_of_the_contract() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let data = json!({ "address": "Main Street 1", "default_checkin_time": "15:00", "time_zone": null });
        let params = json!({ "name": "Apartment 1", "space_key": "a1", "customer_key": "acme", "customer_data": data,
                             "device_ids": [workspace.lock(0), workspace.lock(1), workspace.lock(0)] });
        let space = create(&workspace, params).await;
        let expected = json!({
            "space_id": space["space_id"],
            "workspace_id": workspace.workspace_id,
            "name": "Apartment 1",
            "display_name": "Apartment 1",
            "space_key": "a1",
            "customer_key": "acme",
            "customer_data": { "address": "Main Street 1", "default_checkin_time": "15:00" },
            "created_at": START,
            "device_count": 2,
            "acs_entrance_count": 0,
            "warnings": [],
        });
        assert_eq!(space, expected);
        assert_eq!(get(&workspace, &space).await, expected);
        for query in ["space_key=a1".to_owned(), format!("space_id={}", space["space_id"].as_str().unwrap())] {
            let found = workspace.get(&format!("/spaces/get?{query}")).await.ok();
            assert_eq!(found["space"], expected);
        }
        let plain = create(&workspace, json!({})).await;
        for name in ["space_key", "customer_key", "customer_data"] {
            assert!(plain.get(name).is_none(), "{plain}");
        }
    });
}

#[test]
fn space_is_named_by_its_id_or_its_key_but_not_by_both() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let space = create(&workspace, json!({ "space_key": "a1" })).await;
        let both = json!({ "space_id": space["space_id"], "space_key": "a1" });
        for path in ["/spaces/get", "/spaces/update"] {
            workspace.post(path, json!({})).await.error(400, "invalid_input");
            workspace.post(path, both.clone()).await.error(400, "invalid_input");
            for unknown in [json!({ "space_id": UNKNOWN }), json!({ "space_key": "a2" })] {
                workspace.post(path, unknown).await.error(404, "space_not_found");
            }
        }
        let other = TestWorkspace::with_locks(0).await;
        other.post("/spaces/get", json!({ "space_key": "a1" })).await.error(404, "space_not_found");
        let same_key = create(&other, json!({ "space_key": "a1" })).await;
        assert_ne!(same_key["space_id"], space["space_id"]);
    });
}

#[test]
fn space_key_is_unique_and_not_only_white_space() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        create(&workspace, json!({ "space_key": "a1" })).await;
        let again = json!({ "name": "Other", "space_key": "a1", "device_ids": [workspace.lock(0)] });
        workspace.post("/spaces/create", again).await.error(409, "space_key_already_exists");
        for name in ["space_key", "customer_key"] {
            let blank = workspace.post("/spaces/create", json!({ "name": "Other", name: "  " })).await;
            assert_eq!(blank.invalid(name), ["Must not consist only of whitespace"]);
        }
        let listed = workspace.post("/spaces/list", json!({})).await.ok();
        assert_eq!(listed["spaces"].as_array().unwrap().len(), 1);
        assert_eq!(workspace.events(json!({ "event_type": "space.created" })).await.len(), 1);
    });
}

#[test]
fn space_with_an_unknown_device_is_neither_created_nor_changed() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let other = TestWorkspace::with_locks(1).await;
        let space = create(&workspace, json!({})).await;
        let id = &space["space_id"];
        for unknown in [UNKNOWN.to_owned(), other.lock(0)] {
            let ids = json!([workspace.lock(0), unknown]);
            for (path, params) in [
                ("/spaces/create", json!({ "name": "x", "device_ids": ids })),
                ("/spaces/add_devices", json!({ "space_id": id, "device_ids": ids })),
                ("/spaces/remove_devices", json!({ "space_id": id, "device_ids": ids })),
                ("/spaces/update", json!({ "space_id": id, "name": "stolen", "device_ids": ids })),
            ] {
                workspace.post(path, params).await.error(404, "device_not_found");
            }
        }
        for path in ["/spaces/add_connected_account", "/spaces/remove_connected_account"] {
            for account in [json!(UNKNOWN), other.devices[0]["connected_account_id"].clone()] {
                let params = json!({ "space_id": id, "connected_account_id": account });
                workspace.post(path, params).await.error(404, "connected_account_not_found");
            }
        }
        assert_eq!(get(&workspace, &space).await, space);
        assert_eq!(types(&workspace.events(json!({ "event_types": ["space.created"] })).await).len(), 1);
        assert_eq!(types(&events_of(&workspace, &space).await), ["space.created"]);
    });
}

#[test]
fn space_devices_are_added_and_removed_once_however_often_it_is_sent() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let space = create(&workspace, json!({ "space_key": "a1", "device_ids": [workspace.lock(1)] })).await;
        let (id, lock) = (space["space_id"].as_str().unwrap(), workspace.lock(0));
        let params = [("space_id", id), ("device_ids", lock.as_str())];
        for _ in 0..2 {
            assert_eq!(send(&workspace, "PUT", "/spaces/add_devices", &params).await.ok(), json!({ "ok": true }));
            assert_eq!(devices_in(&workspace, &space).await, [json!(workspace.lock(0)), json!(workspace.lock(1))]);
        }
        for _ in 0..2 {
            send(&workspace, "DELETE", "/spaces/remove_devices", &params).await.ok();
            assert_eq!(devices_in(&workspace, &space).await, [json!(workspace.lock(1))]);
        }
        let events = events_of(&workspace, &space).await;
        let changed = "space.device_membership_changed";
        assert_eq!(types(&events), ["space.created", changed, changed]);
        let devices: Vec<&Value> = events.iter().map(|event| &event["device_ids"]).collect();
        let (one, both) = (json!([workspace.lock(1)]), json!([workspace.lock(1), workspace.lock(0)]));
        assert_eq!(devices, [&one, &both, &one]);
        assert_eq!(
            events[1],
            json!({
                "event_id": events[1]["event_id"],
                "event_type": changed,
                "event_description": "The devices of a space changed.",
                "workspace_id": workspace.workspace_id,
                "created_at": START,
                "occurred_at": START,
                "space_id": id,
                "space_key": "a1",
                "device_ids": both,
                "acs_entrance_ids": [],
            })
        );
        let both_filters = json!({ "space_ids": [id], "event_type": "space.created" });
        assert_eq!(workspace.events(both_filters).await.len(), 1);
        assert_eq!(workspace.events(json!({ "space_id": UNKNOWN })).await.len(), 0);
    });
}

#[test]
fn space_update_replaces_its_devices_and_changes_only_what_is_given() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let data = json!({ "address": "Main Street 1", "default_checkin_time": "15:00" });
        let devices = json!([workspace.lock(0), workspace.lock(1)]);
        let space =
            create(&workspace, json!({ "space_key": "a1", "customer_data": data, "device_ids": devices })).await;
        let update = async |mut params: Value| {
            params["space_key"] = json!("a1");
            workspace.post("/spaces/update", params).await.ok()["space"].clone()
        };
        let reordered = update(json!({ "device_ids": [workspace.lock(1), workspace.lock(0)] })).await;
        assert_eq!(reordered, space);
        let changed =
            update(json!({ "name": "Attic", "customer_data": { "address": null, "time_zone": "Europe/Paris" } }));
        let changed = changed.await;
        assert_eq!((&changed["name"], &changed["display_name"]), (&json!("Attic"), &json!("Attic")));
        let data = json!({ "default_checkin_time": "15:00", "time_zone": "Europe/Paris" });
        assert_eq!((&changed["customer_data"], &changed["device_count"]), (&data, &json!(2)));
        let replaced = update(json!({ "device_ids": [workspace.lock(2), workspace.lock(1), workspace.lock(2)] })).await;
        assert_eq!((&replaced["device_count"], &replaced["name"]), (&json!(2), &json!("Attic")));
        assert_eq!(devices_in(&workspace, &space).await, [json!(workspace.lock(1)), json!(workspace.lock(2))]);
        assert_eq!(update(json!({ "device_ids": [] })).await["device_count"], 0);
        assert_eq!(events_of(&workspace, &space).await.len(), 3);
        let late = json!({ "space_key": "a1", "customer_data": { "default_checkout_time": "25:00" } });
        workspace.post("/spaces/update", late).await.error(400, "invalid_input");
    });
}

#[test]
fn space_gets_the_devices_of_a_connected_account_and_loses_them_with_it() {
    run(async {
        let locks =
            json!([{ "device_type": "august_lock" }, { "device_type": "august_lock" }, { "device_type": "nuki_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        let space = create(&workspace, json!({ "device_ids": [workspace.lock(2), workspace.lock(0)] })).await;
        let account = workspace.devices[0]["connected_account_id"].as_str().unwrap().to_owned();
        let params = [("space_id", space["space_id"].as_str().unwrap()), ("connected_account_id", account.as_str())];
        let of_account = json!({ "connected_account_id": account });
        let spaces = async || workspace.post("/spaces/list", of_account.clone()).await.ok()["spaces"].clone();
        assert_eq!(spaces().await, json!([]));
        for _ in 0..2 {
            send(&workspace, "PUT", "/spaces/add_connected_account", &params).await.ok();
            assert_eq!(devices_in(&workspace, &space).await.len(), 3);
        }
        assert_eq!(spaces().await[0]["device_count"], 3);
        let in_space = json!({ "space_id": space["space_id"] });
        let accounts = workspace.post("/connected_accounts/list", in_space.clone()).await.ok();
        assert_eq!(accounts["connected_accounts"].as_array().unwrap().len(), 2);
        for _ in 0..2 {
            send(&workspace, "DELETE", "/spaces/remove_connected_account", &params).await.ok();
            assert_eq!(devices_in(&workspace, &space).await, [json!(workspace.lock(2))]);
        }
        assert_eq!(spaces().await, json!([]));
        let accounts = workspace.post("/connected_accounts/list", in_space).await.ok();
        assert_eq!(accounts["connected_accounts"].as_array().unwrap().len(), 1);
        let whole =
            create(&workspace, json!({ "connected_account_ids": [account], "device_ids": [workspace.lock(1)] })).await;
        assert_eq!(whole["device_count"], 2);
        workspace.post("/connected_accounts/delete", of_account.clone()).await.ok();
        assert_eq!((get(&workspace, &whole).await["device_count"].clone(), spaces().await), (json!(0), json!([])));
    });
}

#[test]
fn space_loses_a_device_that_is_deleted() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let both = json!({ "device_ids": workspace.locks() });
        let spaces = [create(&workspace, both.clone()).await, create(&workspace, both).await];
        workspace.post("/devices/delete", json!({ "device_id": workspace.lock(0) })).await.ok();
        for space in &spaces {
            assert_eq!(get(&workspace, space).await["device_count"], 1);
            let events = events_of(&workspace, space).await;
            assert_eq!(types(&events), ["space.created", "space.device_membership_changed"]);
            assert_eq!(events[1]["device_ids"], json!([workspace.lock(1)]));
        }
        let gone = json!({ "space_id": spaces[0]["space_id"], "device_ids": [workspace.lock(0)] });
        workspace.post("/spaces/add_devices", gone).await.error(404, "device_not_found");
    });
}

#[test]
fn space_is_deleted_at_once_and_its_devices_stay() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let space = create(&workspace, json!({ "space_key": "a1", "device_ids": workspace.locks() })).await;
        let params = [("space_id", space["space_id"].as_str().unwrap())];
        send(&workspace, "DELETE", "/spaces/delete", &params).await.ok();
        send(&workspace, "DELETE", "/spaces/delete", &params).await.error(404, "space_not_found");
        let device = workspace.post("/devices/get", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(device["device"]["space_ids"], json!([]));
        let events = events_of(&workspace, &space).await;
        assert_eq!(types(&events), ["space.created", "space.deleted"]);
        assert_eq!((&events[1]["device_ids"], &events[1]["space_key"]), (&json!(workspace.locks()), &json!("a1")));
        create(&workspace, json!({ "space_key": "a1" })).await;
    });
}

#[test]
fn space_entrances_are_not_found_because_there_are_no_access_systems() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let space = create(&workspace, json!({ "acs_entrance_ids": [] })).await;
        let id = space["space_id"].as_str().unwrap();
        for (method, path) in [("PUT", "/spaces/add_acs_entrances"), ("DELETE", "/spaces/remove_acs_entrances")] {
            let named = [("space_id", id), ("acs_entrance_ids", UNKNOWN)];
            send(&workspace, method, path, &named).await.error(404, "acs_entrance_not_found");
            let unknown = [("space_id", UNKNOWN), ("acs_entrance_ids", UNKNOWN)];
            send(&workspace, method, path, &unknown).await.error(404, "space_not_found");
        }
        let none = json!({ "space_id": id, "acs_entrance_ids": [] });
        workspace.post("/spaces/remove_acs_entrances", none.clone()).await.ok();
        workspace.post("/spaces/add_acs_entrances", none).await.error(400, "invalid_input");
        for (path, params) in
            [("/spaces/create", json!({ "name": "x" })), ("/spaces/update", json!({ "space_id": id }))]
        {
            let mut params = params;
            params["acs_entrance_ids"] = json!([UNKNOWN]);
            workspace.post(path, params).await.error(404, "acs_entrance_not_found");
        }
    });
}

#[test]
fn space_changes_at_the_same_time_are_all_kept() {
    run(async {
        let workspace = TestWorkspace::with_locks(8).await;
        let space = create(&workspace, json!({})).await;
        let add = |index: usize| {
            let params = json!({ "space_id": space["space_id"], "device_ids": [workspace.lock(index)] });
            workspace.post("/spaces/add_devices", params)
        };
        let replies = tokio::join!(add(0), add(1), add(2), add(3), add(4), add(5));
        for reply in [replies.0, replies.1, replies.2, replies.3, replies.4, replies.5] {
            reply.ok();
        }
        assert_eq!(get(&workspace, &space).await["device_count"], 6);
        // A device that is deleted meanwhile is in the space before its deletion, or never.
        let delete = |index: usize| workspace.post("/devices/delete", json!({ "device_id": workspace.lock(index) }));
        let (deleted, added, also_deleted, also_added) = tokio::join!(delete(0), add(6), delete(7), add(7));
        deleted.ok();
        added.ok();
        also_deleted.ok();
        assert!(matches!(also_added.status, 200 | 404), "{}", also_added.body);
        assert_eq!(get(&workspace, &space).await["device_count"], 6);
        let events = events_of(&workspace, &space).await;
        assert_eq!(events.last().unwrap()["device_ids"].as_array().unwrap().len(), 6);
    });
}

#[test]
fn space_events_are_sent_to_webhooks() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        deliver();
        let receiver = Receiver::start().await;
        let params = json!({ "url": receiver.url, "event_types": ["space.created", "space.deleted"] });
        workspace.post("/webhooks/create", params).await.ok();
        let space = create(&workspace, json!({})).await;
        let named = json!({ "space_id": space["space_id"], "device_ids": workspace.locks() });
        workspace.post("/spaces/add_devices", named.clone()).await.ok();
        workspace.post("/spaces/delete", json!({ "space_id": space["space_id"] })).await.ok();
        let sent = receiver.wait_for(2).await;
        let types: Vec<Value> = sent.iter().map(|sent| sent.event()["event_type"].clone()).collect();
        assert_eq!(types, ["space.created", "space.deleted"]);
    });
}

#[test]
fn space_of_another_customer_is_hidden_from_the_session_of_a_customer() {
    run(async {
        let locks = json!([{ "device_type": "august_lock" }, { "device_type": "schlage_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        let account = workspace.devices[0]["connected_account_id"].clone();
        let session = json!({ "customer_key": "acme", "connected_account_ids": [account] });
        let session = workspace.post("/client_sessions/create", session).await.ok()["client_session"].clone();
        let token = session["token"].as_str().unwrap();
        let both = json!(workspace.locks());
        let own = create(&workspace, json!({ "space_key": "own", "customer_key": "acme", "device_ids": both })).await;
        let other = create(&workspace, json!({ "space_key": "other", "customer_key": "b", "device_ids": both })).await;
        let listed = post_as(token, "/spaces/list", json!({})).await.ok();
        assert_eq!(listed["spaces"], json!([own]));
        let device = post_as(token, "/devices/get", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(device["device"]["space_ids"], json!([own["space_id"]]));
        for (space, count) in [(&own, 1), (&other, 0)] {
            let found = post_as(token, "/devices/list", json!({ "space_id": space["space_id"] })).await.ok();
            assert_eq!(found["devices"].as_array().unwrap().len(), count);
        }
        let since = json!({ "since": "2000-01-01T00:00:00Z", "event_type": "space.created" });
        let events = post_as(token, "/events/list", since).await.ok();
        assert_eq!(events["events"].as_array().unwrap().len(), 1, "{events}");
        assert_eq!(workspace.events(json!({ "customer_key": "acme" })).await.len(), 1);
        post_as(token, "/spaces/get", json!({ "space_key": "other" })).await.error(404, "space_not_found");
        let hidden = json!({ "space_id": own["space_id"], "device_ids": [workspace.lock(1)] });
        post_as(token, "/spaces/add_devices", hidden).await.error(404, "device_not_found");
        // A device that the session does not see can leave its space.
        let replaced = json!({ "space_id": own["space_id"], "device_ids": [workspace.lock(0)] });
        assert_eq!(post_as(token, "/spaces/update", replaced).await.ok()["space"]["device_count"], 1);
        let created = post_as(token, "/spaces/create", json!({ "name": "New" })).await.ok();
        assert_eq!(created["space"]["customer_key"], "acme");
        let foreign = json!({ "name": "New", "customer_key": "b" });
        post_as(token, "/spaces/create", foreign).await.invalid("customer_key");
        let read_only = json!({ "client_session_id": session["client_session_id"], "is_read_only": true });
        workspace.post("/_emulator/client_sessions/update", read_only).await.ok();
        post_as(token, "/spaces/get", json!({ "space_key": "own" })).await.ok();
        post_as(token, "/spaces/delete", json!({ "space_id": own["space_id"] })).await.error(401, "unauthorized");
    });
}

#[test]
fn space_and_identity_belong_to_snapshots_and_a_reset_removes_them() {
    run(async {
        let workspace = TestWorkspace::create_with(json!({ "locks": 1, "seed": "spaces in a snapshot" })).await;
        let space = create(&workspace, json!({ "space_key": "a1", "device_ids": workspace.locks() })).await;
        let person = json!({ "user_identity_key": "jane" });
        let person = workspace.post("/user_identities/create", person).await.ok()["user_identity"].clone();
        let merged = json!({ "user_identity_key": "joe" });
        workspace.post("/user_identities/create", merged).await.ok();
        let merge = json!({ "user_identity_key": "jane", "merged_user_identity_keys": ["joe"] });
        workspace.post("/user_identities/merge", merge).await.ok();
        let exported = workspace.get("/_emulator/snapshots/export").await.ok()["snapshot"].clone();
        let reset = || workspace.post("/_emulator/workspaces/reset", json!({}));
        reset().await.ok();
        assert_eq!(workspace.post("/spaces/list", json!({})).await.ok()["spaces"], json!([]));
        assert_eq!(workspace.post("/user_identities/list", json!({})).await.ok()["user_identities"], json!([]));
        let imported = workspace.post("/_emulator/snapshots/import", json!({ "snapshot": exported })).await.ok();
        let id = json!({ "snapshot_id": imported["snapshot_id"] });
        workspace.post("/_emulator/snapshots/restore", id).await.ok();
        assert_eq!(get(&workspace, &space).await, space);
        assert_eq!(devices_in(&workspace, &space).await, [json!(workspace.lock(0))]);
        let found = workspace.post("/user_identities/get", json!({ "user_identity_key": "joe" })).await.ok();
        assert_eq!(found["user_identity"]["user_identity_id"], person["user_identity_id"]);
        // The same requests after a reset give the same ids.
        reset().await.ok();
        let again = create(&workspace, json!({ "space_key": "a1", "device_ids": workspace.locks() })).await;
        assert_eq!(again, space);
        let mut invalid = exported;
        invalid["tables"]["space"][0]["children"] = json!(0);
        invalid["checksum"] = json!(checksum(invalid.as_object().unwrap()).unwrap());
        let messages =
            workspace.post("/_emulator/snapshots/import", json!({ "snapshot": invalid })).await.invalid("snapshot");
        assert!(messages[0].starts_with("tables.space[0].children: is less than the 1"), "{messages:?}");
    });
}
