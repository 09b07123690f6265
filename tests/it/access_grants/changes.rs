//! Changes of access grants: times, name, spaces, further methods.

use super::{FAR, codes, condition_codes, far_stay, grant, grant_events, methods, read, space, update};
use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

#[test]
fn access_grant_that_is_extended_keeps_its_pin() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created = far_stay(&workspace).await;
        workspace.advance_to(FAR[0]).await;
        let before = methods(&workspace, &created).await.remove(0);
        update(&workspace, &created, json!({ "ends_at": "2026-03-20T12:00:00.000Z" })).await;
        let grant = read(&workspace, &created).await;
        assert_eq!(grant["ends_at"], "2026-03-20T12:00:00.000Z");
        assert_eq!(condition_codes(&grant, "warnings", "warning_code"), ["updating_access_times"]);
        assert_eq!(grant["warnings"][0]["access_method_ids"], created["access_method_ids"]);
        assert_eq!(grant["pending_mutations"][0]["from"], json!({ "starts_at": FAR[0], "ends_at": FAR[1] }));
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["issued_at"]), (&json!(false), &Value::Null));
        assert_eq!(condition_codes(&method, "pending_mutations", "mutation_code"), ["updating_access_times"]);
        workspace.advance("PT1S").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["code"]), (&json!(true), &before["code"]));
        assert_eq!(read(&workspace, &created).await["pending_mutations"], json!([]));
        let events = grant_events(&workspace).await;
        let expected = ["access_grant.access_times_changed", "access_method.revoked", "access_method.reissued"];
        assert_eq!(&events[events.len() - 3..], expected);
        for code in codes(&workspace, &created).await {
            assert_eq!(code["ends_at"], "2026-03-20T12:00:00.000Z");
        }
    });
}

#[test]
fn access_grant_without_an_end_has_ongoing_codes() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        update(&workspace, &created, json!({ "ends_at": null })).await;
        assert_eq!(codes(&workspace, &created).await[0]["type"], "ongoing");
        update(&workspace, &created, json!({ "ends_at": FAR[1], "starts_at": FAR[0] })).await;
        let code = codes(&workspace, &created).await.remove(0);
        assert_eq!((&code["type"], &code["starts_at"]), (&json!("time_bound"), &json!(FAR[0])));
    });
}

#[test]
fn access_grant_update_with_the_same_values_does_nothing() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        workspace.advance("PT1S").await;
        let events = workspace.events(json!({})).await.len();
        update(&workspace, &created, json!({ "starts_at": FAR[0], "ends_at": FAR[1] })).await;
        assert_eq!(workspace.events(json!({})).await.len(), events);
        let unknown = json!({ "access_grant_id": UNKNOWN, "name": "x" });
        workspace.post("/access_grants/update", unknown).await.error(404, "access_grant_not_found");
        let past = json!({ "access_grant_id": created["access_grant_id"], "ends_at": "2026-03-01T12:00:00Z" });
        workspace.post("/access_grants/update", past).await.error(400, "invalid_input");
    });
}

#[test]
fn access_grant_that_ended_gets_codes_again_if_it_is_extended() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created = far_stay(&workspace).await;
        workspace.advance_to("2026-03-20T12:00:00.000Z").await;
        assert_eq!(codes(&workspace, &created).await, [Value::Null; 0]);
        update(&workspace, &created, json!({ "ends_at": "2026-03-30T12:00:00.000Z" })).await;
        workspace.advance("PT1S").await;
        let codes = codes(&workspace, &created).await;
        assert_eq!(codes.len(), 2);
        let method = methods(&workspace, &read(&workspace, &created).await).await.remove(0);
        assert_eq!((&method["code"], &method["is_issued"]), (&codes[0]["code"], &json!(true)));
    });
}

#[test]
fn access_grant_name_is_that_of_its_codes() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        update(&workspace, &created, json!({ "name": "Family Doe" })).await;
        assert_eq!(codes(&workspace, &created).await[0]["name"], "Family Doe");
        update(&workspace, &created, json!({ "name": null })).await;
        assert_eq!(codes(&workspace, &created).await[0]["name"], "Jane Doe");
        assert_eq!(methods(&workspace, &created).await[0]["is_issued"], true);
    });
}

#[test]
fn access_grant_of_a_space_follows_its_locks() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let space_id = space(&workspace, &workspace.locks()[..2]).await;
        let created = grant(&workspace, json!({ "space_ids": [space_id] })).await;
        workspace.advance("PT1S").await;
        let pin = codes(&workspace, &created).await[0]["code"].clone();
        let add = json!({ "space_id": space_id, "device_ids": [workspace.lock(2)] });
        workspace.post("/spaces/add_devices", add).await.ok();
        let grant = read(&workspace, &created).await;
        assert_eq!(condition_codes(&grant, "warnings", "warning_code"), ["underprovisioned_access"]);
        let mutation = &grant["pending_mutations"][0];
        assert_eq!(mutation["mutation_code"], "updating_spaces", "{grant}");
        assert_eq!(mutation["to"]["device_ids"].as_array().unwrap().len(), 3);
        workspace.advance("PT1S").await;
        let found = codes(&workspace, &created).await;
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|code| code["code"] == pin && code["status"] == "set"));
        assert_eq!(read(&workspace, &created).await["warnings"], json!([]));
        let remove = json!({ "space_id": space_id, "device_ids": [workspace.lock(0)] });
        workspace.post("/spaces/remove_devices", remove).await.ok();
        let grant = read(&workspace, &created).await;
        assert_eq!(condition_codes(&grant, "warnings", "warning_code"), ["overprovisioned_access"]);
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!(condition_codes(&method, "pending_mutations", "mutation_code"), ["revoking_access"]);
        assert_eq!(method["is_issued"], true);
        workspace.advance("PT1S").await;
        assert_eq!(codes(&workspace, &created).await.len(), 2);
        assert_eq!(workspace.memory(0).await.len(), 0);
        assert_eq!(read(&workspace, &created).await["warnings"], json!([]));
    });
}

#[test]
fn access_grant_of_a_deleted_space_loses_its_locks_or_is_deleted() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let space_id = space(&workspace, &workspace.locks()[..1]).await;
        let only = grant(&workspace, json!({ "space_ids": [space_id] })).await;
        let both = grant(&workspace, json!({ "space_ids": [space_id], "device_ids": [workspace.lock(1)] })).await;
        workspace.advance("PT1S").await;
        workspace.post("/spaces/delete", json!({ "space_id": space_id })).await.ok();
        assert_eq!(read(&workspace, &only).await["display_status"], "Being deleted");
        workspace.advance("PT1S").await;
        let params = json!({ "access_grant_id": only["access_grant_id"] });
        workspace.post("/access_grants/get", params).await.error(404, "access_grant_not_found");
        assert_eq!(codes(&workspace, &both).await.len(), 1);
        assert_eq!(read(&workspace, &both).await["space_ids"], json!([]));
    });
}

#[test]
fn access_grant_gets_further_methods_with_their_own_pins() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created = far_stay(&workspace).await;
        workspace.advance("PT1H").await;
        let params = json!({
            "access_grant_id": created["access_grant_id"],
            "requested_access_methods": [{ "mode": "code", "code": "4711" }],
        });
        let grant = workspace.post("/access_grants/request_access_methods", params).await.ok()["access_grant"].clone();
        let requested = grant["requested_access_methods"].as_array().unwrap();
        assert_eq!(requested.len(), 2);
        assert_ne!(requested[0]["created_at"], requested[1]["created_at"]);
        assert_eq!(requested[1]["created_access_method_ids"].as_array().unwrap().len(), 1);
        assert_eq!(codes(&workspace, &created).await.len(), 4);
        assert_eq!(methods(&workspace, &grant).await[1]["code"], "4711");
    });
}

#[test]
fn access_code_of_a_grant_is_not_changed_by_itself() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        let code = codes(&workspace, &created).await.remove(0);
        let id = &code["access_code_id"];
        let kind = "access_code_managed_by_access_grant";
        for (path, params) in [
            ("/access_codes/delete", json!({ "access_code_id": id })),
            ("/access_codes/update", json!({ "access_code_id": id, "code": "4711" })),
            ("/access_codes/update", json!({ "access_code_id": id, "is_managed": false })),
            ("/access_codes/update_multiple", json!({ "common_code_key": code["common_code_key"], "name": "x" })),
        ] {
            workspace.post(path, params).await.error(400, kind);
        }
        assert_eq!(codes(&workspace, &created).await[0]["code"], code["code"]);
    });
}

#[test]
fn access_grant_space_that_gets_its_lock_back_at_once_keeps_the_pin() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let space_id = space(&workspace, &workspace.locks()).await;
        let created = grant(&workspace, json!({ "space_ids": [space_id], "ends_at": FAR[1] })).await;
        workspace.advance("PT1S").await;
        let lock = json!({ "space_id": space_id, "device_ids": [workspace.lock(1)] });
        workspace.post("/spaces/remove_devices", lock.clone()).await.ok();
        workspace.post("/spaces/add_devices", lock).await.ok();
        update(&workspace, &created, json!({ "ends_at": "2026-03-20T12:00:00.000Z" })).await;
        workspace.advance("PT1M").await;
        let found = read(&workspace, &created).await;
        assert_eq!(found["access_method_ids"], created["access_method_ids"]);
        assert_eq!((&found["display_status"], &found["pending_mutations"]), (&json!("Active"), &json!([])));
        let found = codes(&workspace, &created).await;
        assert_eq!((found.len(), &found[1]["code"]), (2, &found[0]["code"]));
    });
}
