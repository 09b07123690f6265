//! What belongs to a grant: devices of its guest, methods of a space, backup codes, accounts, limits.

use super::{FAR, codes, condition_codes, far_stay, grant, grant_events, methods, read};
use crate::support::{TestWorkspace, post_as, run};
use serde_json::{Value, json};

fn of(grant: &Value) -> Value {
    json!({ "access_grant_id": grant["access_grant_id"] })
}

fn device_ids(found: &Value, list: &str) -> Vec<String> {
    let devices = found[list].as_array().unwrap().iter();
    let mut ids: Vec<String> = devices.map(|device| device["device_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn user_identity_has_access_to_the_devices_of_its_grants() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks()[..2] })).await;
        let id = json!({ "user_identity_id": created["user_identity_id"] });
        let found = workspace.post("/user_identities/list_accessible_devices", id).await.ok();
        let mut expected = workspace.locks()[..2].to_vec();
        expected.sort();
        assert_eq!(device_ids(&found, "devices"), expected);
    });
}

#[test]
fn space_has_the_access_methods_of_its_grants_as_related_objects() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let space = json!({ "name": "Apartment", "device_ids": [workspace.lock(0)] });
        let space = workspace.post("/spaces/create", space).await.ok()["space"]["space_id"].clone();
        let created = grant(&workspace, json!({ "space_ids": [space] })).await;
        grant(&workspace, json!({ "device_ids": [workspace.lock(1)] })).await;
        let related = json!({ "space_ids": [space], "include": ["access_methods"] });
        let related = workspace.post("/spaces/get_related", related).await.ok();
        let found: Vec<&Value> = related["batch"]["access_methods"]
            .as_array()
            .unwrap()
            .iter()
            .map(|method| &method["access_method_id"])
            .collect();
        assert_eq!(found, [&created["access_method_ids"][0]]);
        let by_space = json!({ "access_grant_id": created["access_grant_id"], "space_id": space });
        let listed = workspace.post("/access_methods/list", by_space).await.ok();
        assert_eq!(listed["access_methods"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn access_method_that_is_being_deleted_says_from_which_locks() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let modes = json!([{ "mode": "code" }, { "mode": "code" }]);
        let created =
            grant(&workspace, json!({ "device_ids": workspace.locks(), "requested_access_methods": modes })).await;
        workspace.advance("PT1S").await;
        let ids = created["access_method_ids"].as_array().unwrap().clone();
        workspace.post("/access_methods/delete", json!({ "access_method_id": ids[0] })).await.ok();
        let found = methods(&workspace, &created).await;
        assert_eq!(condition_codes(&found[0], "warnings", "warning_code"), ["being_deleted"]);
        assert_eq!(found[0]["display_status"], "Being deleted");
        let mutation = &found[0]["pending_mutations"][0];
        assert_eq!(
            (&mutation["mutation_code"], &mutation["to"]["device_ids"]),
            (&json!("revoking_access"), &json!([]))
        );
        let mut from: Vec<String> = serde_json::from_value(mutation["from"]["device_ids"].clone()).unwrap();
        from.sort();
        let mut locks = workspace.locks();
        locks.sort();
        assert_eq!(from, locks);
        assert_eq!((&found[1]["warnings"], &found[1]["is_issued"]), (&json!([]), &json!(true)));
        workspace.post("/access_methods/delete", of(&created)).await.ok();
        workspace.advance("PT1S").await;
        assert_eq!(read(&workspace, &created).await["access_method_ids"], json!([]));
        let events = grant_events(&workspace).await;
        assert_eq!(events[events.len() - 2..], ["access_method.deleted", "access_method.deleted"]);
    });
}

#[test]
fn access_grant_with_a_pulled_backup_is_extended_with_it() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        workspace.advance("PT1H").await;
        workspace.change_lock(0, json!({ "online": false })).await;
        workspace.advance_to("2026-03-11T00:00:00.000Z").await;
        let backup = methods(&workspace, &created).await[0]["code"].clone();
        workspace.change_lock(0, json!({ "online": true })).await;
        workspace.advance("PT1M").await;
        let mut update = of(&created);
        update["ends_at"] = json!("2026-03-20T12:00:00.000Z");
        workspace.post("/access_grants/update", update).await.ok();
        workspace.advance("PT1M").await;
        let method = methods(&workspace, &read(&workspace, &created).await).await.remove(0);
        assert_eq!((&method["code"], &method["is_issued"]), (&backup, &json!(true)));
        let held = workspace.memory(0).await;
        let on_lock = held.iter().find(|held| held["code"] == backup).unwrap();
        assert_eq!(on_lock["ends_at"], "2026-03-20T12:00:00.000Z");
    });
}

#[test]
fn access_grant_extended_while_its_lock_is_offline_is_issued_again_later() {
    run(async {
        let lock = json!({ "device_type": "august_lock", "supports_backup_access_code_pool": false });
        let workspace = TestWorkspace::with(json!([lock])).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks(), "ends_at": FAR[0] })).await;
        workspace.advance("PT1S").await;
        let pin = methods(&workspace, &created).await[0]["code"].clone();
        workspace.change_lock(0, json!({ "online": false })).await;
        let mut update = of(&created);
        update["ends_at"] = json!(FAR[1]);
        workspace.post("/access_grants/update", update).await.ok();
        workspace.advance("PT1H").await;
        let found = read(&workspace, &created).await;
        assert_eq!((&found["ends_at"], &found["display_status"]), (&json!(FAR[1]), &json!("Awaiting issuance")));
        assert_eq!(condition_codes(&found, "pending_mutations", "mutation_code"), ["updating_access_times"]);
        workspace.change_lock(0, json!({ "online": true })).await;
        workspace.advance("PT1S").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["code"], &method["errors"]), (&json!(true), &pin, &json!([])));
        assert_eq!(read(&workspace, &created).await["pending_mutations"], json!([]));
    });
}

#[test]
fn access_grant_deleted_during_an_update_is_gone() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        let mut update = of(&created);
        update["ends_at"] = json!(FAR[1]);
        workspace.post("/access_grants/update", update.clone()).await.ok();
        workspace.post("/access_grants/delete", of(&created)).await.ok();
        workspace.post("/access_grants/update", update).await.error(404, "access_grant_not_found");
        workspace.advance("PT1S").await;
        workspace.post("/access_grants/get", of(&created)).await.error(404, "access_grant_not_found");
        let guests =
            async |index: usize| workspace.memory(index).await.iter().filter(|code| code["is_backup"] != true).count();
        assert_eq!((guests(0).await, guests(1).await), (0, 0));
        let events = grant_events(&workspace).await;
        assert!(!events.contains(&"access_method.reissued".to_owned()), "{events:?}");
    });
}

#[test]
fn access_grant_of_a_deleted_account_keeps_its_other_locks() {
    run(async {
        let locks = json!([{ "device_type": "august_lock" }, { "device_type": "nuki_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        let account = json!({ "connected_account_id": workspace.devices[0]["connected_account_id"] });
        workspace.post("/connected_accounts/delete", account).await.ok();
        assert_eq!(codes(&workspace, &created).await.len(), 1);
        let related = json!({ "access_grant_ids": [created["access_grant_id"]], "include": ["devices"] });
        let related = workspace.post("/access_grants/get_related", related).await.ok();
        assert_eq!(device_ids(&related["batch"], "devices"), [workspace.lock(1)]);
        workspace.post("/access_grants/delete", of(&created)).await.ok();
        workspace.advance("PT1S").await;
        workspace.post("/access_grants/get", of(&created)).await.error(404, "access_grant_not_found");
    });
}

#[test]
fn access_grant_location_of_a_customer_session_belongs_to_the_customer() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let account = workspace.devices[0]["connected_account_id"].clone();
        let session = json!({ "customer_key": "acme", "connected_account_ids": [account] });
        let session = workspace.post("/client_sessions/create", session).await.ok()["client_session"].clone();
        let token = session["token"].as_str().unwrap();
        let params = json!({ "user_identity": { "full_name": "Guest" }, "requested_access_methods": [{ "mode": "code" }],
                             "location": { "name": "Home", "device_ids": workspace.locks() } });
        let created = post_as(token, "/access_grants/create", params).await.ok()["access_grant"].clone();
        let space = json!({ "space_id": created["space_ids"][0] });
        assert_eq!(post_as(token, "/spaces/get", space).await.ok()["space"]["customer_key"], "acme");
    });
}

#[test]
fn access_grant_has_a_maximum_number_of_methods_and_places() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let many = vec![workspace.lock(0); 501];
        let params =
            json!({ "user_identity": {}, "device_ids": many, "requested_access_methods": [{ "mode": "code" }] });
        workspace.post("/access_grants/create", params).await.error(400, "invalid_input");
        let methods = vec![json!({ "mode": "code" }); 101];
        let params =
            json!({ "user_identity": {}, "device_ids": workspace.locks(), "requested_access_methods": methods });
        workspace.post("/access_grants/create", params).await.error(400, "invalid_input");
        assert_eq!(grant_events(&workspace).await, [""; 0]);
        let created =
            grant(&workspace, json!({ "device_ids": workspace.locks(), "requested_access_methods": [] })).await;
        let more = json!({ "access_grant_id": created["access_grant_id"], "requested_access_methods": methods });
        workspace.post("/access_grants/request_access_methods", more).await.error(400, "invalid_input");
        assert_eq!(codes(&workspace, &created).await, [Value::Null; 0]);
    });
}

#[test]
fn access_grant_that_needs_too_many_access_codes_creates_nothing() {
    run(async {
        let workspace = TestWorkspace::with_locks(500).await;
        let methods = vec![json!({ "mode": "code" }); 11];
        let params =
            json!({ "user_identity": {}, "device_ids": workspace.locks(), "requested_access_methods": methods });
        workspace.post("/access_grants/create", params).await.error(400, "invalid_input");
        assert_eq!(grant_events(&workspace).await, [""; 0]);
        let identities = workspace.post("/user_identities/list", json!({})).await.ok();
        assert_eq!(identities["user_identities"], json!([]));
    });
}

#[test]
fn access_grant_gives_one_wish_once_on_a_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let wish = json!({ "mode": "code", "code": "4711" });
        let params = json!({ "device_ids": workspace.locks(), "requested_access_methods": [wish, wish] });
        let created = grant(&workspace, params).await;
        let found = methods(&workspace, &created).await;
        assert_eq!(found[0]["code"], "4711");
        assert_ne!(found[1]["code"], "4711");
        assert_eq!(condition_codes(&created, "warnings", "warning_code"), ["requested_code_unavailable"]);
        assert_eq!(created["warnings"][0]["new_code"], found[1]["code"]);
    });
}

#[test]
fn access_grant_event_of_new_times_names_what_has_changed() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = grant(
            &workspace,
            json!({ "device_ids": workspace.locks(), "starts_at": FAR[0], "ends_at": FAR[1],
                                                "access_grant_key": "stay" }),
        )
        .await;
        workspace.advance("PT1S").await;
        for change in [
            json!({ "ends_at": "2026-03-15T12:00:00.000Z" }),
            json!({ "starts_at": "2026-03-11T12:00:00.000Z" }),
            json!({ "starts_at": FAR[0], "ends_at": FAR[1] }),
            json!({ "ends_at": null }),
        ] {
            let mut params = of(&created);
            params.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            workspace.post("/access_grants/update", params).await.ok();
            let events = workspace.events(json!({ "event_type": "access_grant.access_times_changed" })).await;
            let event = events.last().unwrap();
            assert_eq!(event["access_grant_key"], "stay");
            for name in ["starts_at", "ends_at"] {
                let expected = change.get(name).filter(|value| !value.is_null());
                assert_eq!(event.get(name), expected, "{name} {change}");
            }
            workspace.advance("PT1S").await;
            assert_eq!(methods(&workspace, &created).await[0]["is_issued"], true);
        }
    });
}
