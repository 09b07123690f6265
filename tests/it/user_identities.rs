//! User identities: their names, their merges, their devices, and the client sessions that see them.

use crate::support::{START, TestWorkspace, UNKNOWN, post_as, run};
use serde_json::{Value, json};

/// Creates a user identity with these parameters and returns it.
async fn create(workspace: &TestWorkspace, params: Value) -> Value {
    workspace.post("/user_identities/create", params).await.ok()["user_identity"].clone()
}

async fn get(workspace: &TestWorkspace, params: Value) -> Value {
    workspace.post("/user_identities/get", params).await.ok()["user_identity"].clone()
}

fn of(identity: &Value) -> Value {
    json!({ "user_identity_id": identity["user_identity_id"] })
}

/// Returns the ids that a list returns for these parameters.
async fn listed(workspace: &TestWorkspace, token: &str, params: Value) -> Vec<Value> {
    let found = post_as(token, "/user_identities/list", params).await.ok();
    assert!(found["pagination"].is_object(), "{}", workspace.workspace_id);
    let found = found["user_identities"].as_array().unwrap().iter();
    found.map(|identity| identity["user_identity_id"].clone()).collect()
}

#[test]
fn user_identity_has_the_fields_of_the_contract() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let params = json!({ "user_identity_key": "jane", "full_name": "Jane Doe", "email_address": "jane@example.com",
                             "phone_number": "+15550100", "customer_key": "acme", "acs_system_ids": [] });
        let jane = create(&workspace, params).await;
        let expected = json!({
            "user_identity_id": jane["user_identity_id"],
            "workspace_id": workspace.workspace_id,
            "user_identity_key": "jane",
            "email_address": "jane@example.com",
            "phone_number": "+15550100",
            "full_name": "Jane Doe",
            "display_name": "Jane Doe",
            "created_at": START,
            "merged_user_identity_ids": [],
            "merged_user_identity_keys": [],
            "acs_user_ids": [],
            "errors": [],
            "warnings": [],
        });
        assert_eq!(jane, expected);
        assert_eq!(get(&workspace, of(&jane)).await, expected);
        let found = workspace.get("/user_identities/get?user_identity_key=jane").await.ok();
        assert_eq!(found["user_identity"], expected);
        let nobody = create(&workspace, json!({ "full_name": null })).await;
        assert_eq!((&nobody["full_name"], &nobody["display_name"]), (&Value::Null, &nobody["user_identity_id"]));
        workspace.post("/user_identities/get", json!({})).await.error(400, "invalid_input");
        let both = json!({ "user_identity_id": jane["user_identity_id"], "user_identity_key": "jane" });
        workspace.post("/user_identities/get", both).await.error(400, "invalid_input");
        for unknown in [json!({ "user_identity_id": UNKNOWN }), json!({ "user_identity_key": "joe" })] {
            workspace.post("/user_identities/get", unknown).await.error(404, "user_identity_not_found");
        }
    });
}

#[test]
fn user_identity_needs_a_key_and_addresses_that_nobody_else_has() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let taken =
            json!({ "user_identity_key": "jane", "email_address": "jane@example.com", "phone_number": "+15550100" });
        let jane = create(&workspace, taken.clone()).await;
        let joe = create(&workspace, json!({ "user_identity_key": "joe" })).await;
        for (name, kind) in [
            ("user_identity_key", "user_identity_key_already_exists"),
            ("email_address", "user_identity_email_or_phone_conflict"),
            ("phone_number", "user_identity_email_or_phone_conflict"),
        ] {
            let mut params = json!({ name: taken[name] });
            workspace.post("/user_identities/create", params.clone()).await.error(409, kind);
            params["user_identity_id"] = joe["user_identity_id"].clone();
            workspace.post("/user_identities/update", params.clone()).await.error(409, kind);
            // Its own values are not taken.
            params["user_identity_id"] = jane["user_identity_id"].clone();
            workspace.post("/user_identities/update", params).await.ok();
        }
        assert_eq!(get(&workspace, of(&joe)).await, joe);
        let blank = workspace.post("/user_identities/create", json!({ "user_identity_key": " " })).await;
        assert_eq!(blank.invalid("user_identity_key"), ["Must not consist only of whitespace"]);
        for phone_number in ["5550100", "+", "+0155501", "+1 555 0100", "+1234567890123456"] {
            let reply = workspace.post("/user_identities/create", json!({ "phone_number": phone_number })).await;
            assert!(reply.invalid("phone_number")[0].starts_with("Invalid phone number"));
        }
        workspace.post("/user_identities/create", json!({ "email_address": "jane" })).await.invalid("email_address");
        let system = json!({ "acs_system_ids": [UNKNOWN] });
        workspace.post("/user_identities/create", system).await.error(404, "acs_system_not_found");
        // Another workspace has its own persons.
        create(&TestWorkspace::with_locks(0).await, taken).await;
    });
}

#[test]
fn user_identity_created_twice_at_once_exists_once() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let add = || workspace.post("/user_identities/create", json!({ "email_address": "jane@example.com" }));
        let (one, two, three) = tokio::join!(add(), add(), add());
        let mut statuses = [one.status, two.status, three.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409]);
    });
}

#[test]
fn user_identity_update_changes_what_is_given_and_null_clears() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let jane = create(&workspace, json!({ "full_name": "Jane", "email_address": "jane@example.com" })).await;
        let update = async |mut params: Value| {
            params["user_identity_id"] = jane["user_identity_id"].clone();
            let answer = workspace.post("/user_identities/update", params).await.ok();
            assert_eq!(answer, json!({ "ok": true }));
            get(&workspace, of(&jane)).await
        };
        let changed = update(json!({ "full_name": null, "phone_number": "+15550100" })).await;
        assert_eq!((&changed["full_name"], &changed["phone_number"]), (&Value::Null, &json!("+15550100")));
        assert_eq!(
            (&changed["email_address"], &changed["display_name"]),
            (&jane["email_address"], &jane["email_address"])
        );
        let changed = update(json!({ "email_address": null, "user_identity_key": "jane" })).await;
        assert_eq!((&changed["display_name"], &changed["user_identity_key"]), (&json!("+15550100"), &json!("jane")));
        assert_eq!(update(json!({})).await, changed);
        let unknown = json!({ "user_identity_id": UNKNOWN, "full_name": "x" });
        workspace.post("/user_identities/update", unknown).await.error(404, "user_identity_not_found");
    });
}

#[test]
fn user_identity_list_filters_and_paginates_newest_first() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let mut ids = Vec::new();
        for (name, email) in [("Jane", "one@example.com"), ("Joe", "two@example.com"), ("Jim", "jane@example.com")] {
            let created = create(&workspace, json!({ "full_name": name, "email_address": email })).await;
            ids.push(created["user_identity_id"].clone());
            workspace.advance("PT1S").await;
        }
        for (params, expected) in [
            (json!({}), vec![2, 1, 0]),
            (json!({ "search": "JANE" }), vec![2, 0]),
            (json!({ "search": ids[1] }), vec![1]),
            (json!({ "user_identity_ids": [ids[0], ids[1]] }), vec![1, 0]),
            (json!({ "user_identity_ids": [] }), vec![]),
            (json!({ "user_identity_ids": [UNKNOWN] }), vec![]),
            (json!({ "created_before": "2026-03-02T12:00:01Z" }), vec![0]),
            (json!({ "credential_manager_acs_system_id": UNKNOWN }), vec![]),
        ] {
            let expected: Vec<Value> = expected.into_iter().map(|index: usize| ids[index].clone()).collect();
            assert_eq!(listed(&workspace, &workspace.api_key, params.clone()).await, expected, "{params}");
        }
        let first = workspace.get("/user_identities/list?limit=2").await.ok();
        assert_eq!(first["pagination"]["has_next_page"], true);
        let cursor = &first["pagination"]["next_page_cursor"];
        let next = json!({ "limit": 2, "page_cursor": cursor });
        assert_eq!(listed(&workspace, &workspace.api_key, next).await, [ids[0].clone()]);
        let many = workspace.post("/user_identities/list", json!({ "user_identity_ids": vec![UNKNOWN; 501] })).await;
        many.invalid("user_identity_ids");
    });
}

#[test]
fn user_identity_that_is_merged_is_found_as_the_survivor() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let a = create(&workspace, json!({ "user_identity_key": "a", "full_name": "A", "phone_number": "+15550100" }))
            .await;
        let b = create(&workspace, json!({ "user_identity_key": "b", "email_address": "b@example.com" })).await;
        let c = create(&workspace, json!({ "email_address": "c@example.com", "phone_number": "+15550199" })).await;
        let access = json!({ "user_identity_id": b["user_identity_id"], "device_id": workspace.lock(1) });
        workspace.post("/user_identities/grant_access_to_device", access).await.ok();
        let by_ids = json!({ "user_identity_id": a["user_identity_id"],
                             "merged_user_identity_ids": [b["user_identity_id"], c["user_identity_id"]] });
        let mut survivor = Value::Null;
        for _ in 0..2 {
            assert_eq!(workspace.post("/user_identities/merge", by_ids.clone()).await.ok(), json!({ "ok": true }));
            let merged = get(&workspace, of(&a)).await;
            assert!(survivor.is_null() || survivor == merged, "{merged}");
            survivor = merged;
        }
        assert_eq!(survivor["email_address"], "b@example.com");
        assert_eq!((&survivor["phone_number"], &survivor["full_name"]), (&json!("+15550100"), &json!("A")));
        let merged_ids = json!([b["user_identity_id"], c["user_identity_id"]]);
        assert_eq!(
            (&survivor["merged_user_identity_ids"], &survivor["merged_user_identity_keys"]),
            (&merged_ids, &json!(["b"]))
        );
        for name in [of(&b), of(&c), json!({ "user_identity_key": "b" })] {
            assert_eq!(get(&workspace, name).await, survivor);
        }
        let devices = workspace.post("/user_identities/list_accessible_devices", of(&b)).await.ok();
        assert_eq!(devices["devices"][0]["device_id"], json!(workspace.lock(1)));
        assert_eq!(listed(&workspace, &workspace.api_key, json!({})).await, [a["user_identity_id"].clone()]);
        // The addresses of a merged one are free, its key is not.
        workspace
            .post("/user_identities/create", json!({ "user_identity_key": "b" }))
            .await
            .error(409, "user_identity_key_already_exists");
        // A chain of merges ends at the last survivor.
        let d = create(&workspace, json!({ "user_identity_key": "d", "email_address": "c@example.com" })).await;
        let by_keys = json!({ "user_identity_key": "d", "merged_user_identity_keys": ["b", "a", "d"] });
        workspace.post("/user_identities/merge", by_keys).await.ok();
        let last = get(&workspace, of(&c)).await;
        assert_eq!(
            (&last["user_identity_id"], &last["email_address"]),
            (&d["user_identity_id"], &json!("c@example.com"))
        );
        assert_eq!(last["merged_user_identity_ids"].as_array().unwrap().len(), 3);
        assert_eq!(last["merged_user_identity_keys"], json!(["a", "b"]));
        let renamed = json!({ "user_identity_id": a["user_identity_id"], "full_name": "D" });
        workspace.post("/user_identities/update", renamed).await.ok();
        assert_eq!(get(&workspace, of(&d)).await["full_name"], "D");
        workspace.post("/user_identities/delete", of(&a)).await.error(404, "user_identity_not_found");
        workspace.post("/user_identities/delete", of(&d)).await.ok();
        for gone in [of(&a), of(&c), of(&d)] {
            workspace.post("/user_identities/get", gone).await.error(404, "user_identity_not_found");
        }
        create(&workspace, json!({ "user_identity_key": "b" })).await;
    });
}

#[test]
fn user_identity_merge_with_an_unknown_one_changes_nothing() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let a = create(&workspace, json!({ "user_identity_key": "a" })).await;
        let b = create(&workspace, json!({ "user_identity_key": "b" })).await;
        let (a_id, b_id) = (&a["user_identity_id"], &b["user_identity_id"]);
        for params in [
            json!({ "user_identity_id": a_id, "merged_user_identity_ids": [b_id, UNKNOWN] }),
            json!({ "user_identity_id": UNKNOWN, "merged_user_identity_ids": [b_id] }),
            json!({ "user_identity_key": "a", "merged_user_identity_keys": ["b", "c"] }),
        ] {
            workspace.post("/user_identities/merge", params).await.error(404, "user_identity_not_found");
        }
        for params in [
            json!({ "user_identity_id": a_id, "merged_user_identity_ids": [] }),
            json!({ "user_identity_id": a_id, "merged_user_identity_ids": vec![b_id; 21] }),
            json!({ "user_identity_id": a_id, "merged_user_identity_keys": ["b"] }),
            json!({}),
        ] {
            workspace.post("/user_identities/merge", params).await.error(400, "invalid_input");
        }
        assert_eq!((get(&workspace, of(&a)).await, get(&workspace, of(&b)).await), (a, b));
    });
}

#[test]
fn user_identity_has_access_to_the_devices_that_were_granted() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let other = TestWorkspace::with_locks(1).await;
        let jane = create(&workspace, json!({})).await;
        let id = jane["user_identity_id"].as_str().unwrap();
        let devices = async || {
            let found =
                workspace.get(&format!("/user_identities/list_accessible_devices?user_identity_id={id}")).await.ok();
            assert_eq!(found["devices"], found["accessible_devices"]);
            let found = found["devices"].as_array().unwrap().iter().map(|device| device["device_id"].clone());
            found.collect::<Vec<Value>>()
        };
        let access = |index: usize| json!({ "user_identity_id": id, "device_id": workspace.lock(index) });
        for _ in 0..2 {
            workspace.post("/user_identities/grant_access_to_device", access(1)).await.ok();
            assert_eq!(devices().await, [json!(workspace.lock(1))]);
        }
        workspace.post("/user_identities/grant_access_to_device", access(0)).await.ok();
        assert_eq!(devices().await.len(), 2);
        for _ in 0..2 {
            let revoke = format!(
                "/user_identities/revoke_access_to_device?user_identity_id={id}&device_id={}",
                workspace.lock(1)
            );
            workspace.request("DELETE", &revoke).await.ok();
            assert_eq!(devices().await, [json!(workspace.lock(0))]);
        }
        for path in ["/user_identities/grant_access_to_device", "/user_identities/revoke_access_to_device"] {
            for device in [UNKNOWN.to_owned(), other.lock(0)] {
                let params = json!({ "user_identity_id": id, "device_id": device });
                workspace.post(path, params).await.error(404, "device_not_found");
            }
            let nobody = json!({ "user_identity_id": UNKNOWN, "device_id": workspace.lock(0) });
            workspace.post(path, nobody).await.error(404, "user_identity_not_found");
        }
        workspace.post("/devices/delete", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(devices().await, Vec::<Value>::new());
    });
}

#[test]
fn user_identities_of_a_client_session_are_the_ones_that_it_sees() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let jane = create(&workspace, json!({ "user_identity_key": "jane" })).await;
        let joe = create(&workspace, json!({ "user_identity_key": "joe" })).await;
        create(&workspace, json!({ "full_name": "Hidden", "customer_key": "acme" })).await;
        let (jane_id, joe_id) = (&jane["user_identity_id"], &joe["user_identity_id"]);
        let created = workspace.post("/client_sessions/create", json!({ "user_identity_id": jane_id })).await.ok();
        let session = created["client_session"].clone();
        assert_eq!(session["user_identity_ids"], json!([jane_id]));
        let token = session["token"].as_str().unwrap();
        assert_eq!(listed(&workspace, token, json!({})).await, std::slice::from_ref(jane_id));
        let grant = json!({ "client_session_id": session["client_session_id"], "user_identity_ids": [joe_id] });
        let granted = workspace.post("/client_sessions/grant_access", grant).await.ok();
        assert_eq!(granted["client_session"]["user_identity_ids"], json!([jane_id, joe_id]));
        assert_eq!(listed(&workspace, token, json!({})).await.len(), 2);
        // A merge changes what the session has.
        let merge = json!({ "user_identity_key": "joe", "merged_user_identity_keys": ["jane"] });
        workspace.post("/user_identities/merge", merge).await.ok();
        assert_eq!(listed(&workspace, token, json!({})).await, std::slice::from_ref(joe_id));
        for id in [jane_id, joe_id] {
            let found = workspace.post("/client_sessions/list", json!({ "user_identity_id": id })).await.ok();
            assert_eq!(found["client_sessions"][0]["user_identity_ids"], json!([joe_id]));
        }
        // An id of a merged one is stored as the survivor.
        let params = json!({ "user_identity_ids": [jane_id], "user_identifier_key": "user" });
        let other = workspace.post("/client_sessions/get_or_create", params).await.ok();
        assert_eq!(other["client_session"]["user_identity_ids"], json!([joe_id]));
        let mary = create(&workspace, json!({})).await;
        let more = json!({ "user_identifier_key": "user", "user_identity_id": mary["user_identity_id"] });
        workspace.post("/client_sessions/get_or_create", more).await.ok();
        // The deletion ends the sessions that have nobody else.
        workspace.post("/user_identities/delete", json!({ "user_identity_id": joe_id })).await.ok();
        post_as(token, "/user_identities/list", json!({})).await.error(401, "client_session_not_found");
        let found = workspace.post("/client_sessions/get", json!({ "user_identifier_key": "user" })).await.ok();
        assert_eq!(found["client_session"]["user_identity_ids"], json!([mary["user_identity_id"]]));
        let deleted = workspace.events(json!({ "event_type": "client_session.deleted" })).await;
        assert_eq!(deleted.len(), 1);
        assert_eq!(deleted[0]["client_session_id"], session["client_session_id"]);
    });
}

#[test]
fn user_identity_of_another_customer_is_hidden_from_the_session_of_a_customer() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let own = create(&workspace, json!({ "user_identity_key": "own", "customer_key": "acme" })).await;
        let other = create(&workspace, json!({ "user_identity_key": "other", "customer_key": "b" })).await;
        let nobodys = create(&workspace, json!({ "user_identity_key": "nobodys" })).await;
        let params = json!({ "customer_key": "acme" });
        let session = workspace.post("/client_sessions/create", params).await.ok()["client_session"].clone();
        let token = session["token"].as_str().unwrap();
        assert_eq!(post_as(token, "/user_identities/get", of(&own)).await.ok()["user_identity"], own);
        for hidden in [&other, &nobodys] {
            post_as(token, "/user_identities/get", of(hidden)).await.error(404, "user_identity_not_found");
        }
        let granted = json!({ "client_session_id": session["client_session_id"],
                              "user_identity_id": nobodys["user_identity_id"] });
        workspace.post("/client_sessions/grant_access", granted).await.ok();
        assert_eq!(post_as(token, "/user_identities/get", of(&nobodys)).await.ok()["user_identity"], nobodys);
    });
}
