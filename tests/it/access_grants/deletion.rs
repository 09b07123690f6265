//! Deletion of access grants, methods and identities.

use super::{FAR, codes, condition_codes, far_stay, grant, grant_events, methods, read};
use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

#[test]
fn access_grant_is_gone_with_its_last_code() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        workspace.post("/devices/simulate/disconnect", json!({ "device_id": workspace.lock(1) })).await.ok();
        let params = json!({ "access_grant_id": created["access_grant_id"] });
        workspace.post("/access_grants/delete", params.clone()).await.ok();
        workspace.advance("PT1H").await;
        let grant = read(&workspace, &created).await;
        assert_eq!((&grant["display_status"], &codes(&workspace, &created).await.len()), (&json!("Being deleted"), &1));
        assert_eq!(condition_codes(&grant, "warnings", "warning_code"), ["being_deleted"]);
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!(condition_codes(&method, "warnings", "warning_code"), ["being_deleted"]);
        let events = workspace.events(json!({})).await.len();
        workspace.post("/access_grants/delete", params.clone()).await.ok();
        assert_eq!(workspace.events(json!({})).await.len(), events, "a second deletion changes nothing");
        workspace.post("/devices/simulate/connect", json!({ "device_id": workspace.lock(1) })).await.ok();
        workspace.advance("PT1H").await;
        workspace.post("/access_grants/get", params).await.error(404, "access_grant_not_found");
        let params = json!({ "access_method_id": created["access_method_ids"][0] });
        workspace.post("/access_methods/get", params).await.error(404, "access_method_not_found");
        let events = workspace.events(json!({})).await;
        let last: Vec<&str> =
            events[events.len() - 4..].iter().filter_map(|event| event["event_type"].as_str()).collect();
        let expected =
            ["access_code.removed_from_device", "access_code.deleted", "access_method.deleted", "access_grant.deleted"];
        assert_eq!(last, expected);
    });
}

#[test]
fn access_grant_without_codes_is_deleted_at_once() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({ "device_ids": workspace.locks(), "requested_access_methods": [] });
        let created = grant(&workspace, params).await;
        let params = json!({ "access_grant_id": created["access_grant_id"] });
        workspace.post("/access_grants/delete", params.clone()).await.ok();
        workspace.post("/access_grants/get", params).await.error(404, "access_grant_not_found");
        assert_eq!(grant_events(&workspace).await, ["access_grant.created", "access_grant.deleted"]);
    });
}

#[test]
fn access_method_is_deleted_and_its_grant_stays() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({
            "device_ids": workspace.locks(), "reservation_key": "stay",
            "requested_access_methods": [{ "mode": "code" }, { "mode": "code" }],
        });
        let created = grant(&workspace, params).await;
        assert_eq!(codes(&workspace, &created).await.len(), 2);
        workspace.advance("PT1S").await;
        let params = json!({ "access_method_id": created["access_method_ids"][0] });
        workspace.post("/access_methods/delete", params).await.ok();
        workspace.advance("PT1S").await;
        let grant = read(&workspace, &created).await;
        assert_eq!(grant["access_method_ids"], json!([created["access_method_ids"][1]]));
        assert_eq!(grant["requested_access_methods"][0]["created_access_method_ids"], json!([]));
        assert_eq!(codes(&workspace, &created).await.len(), 1);
        workspace.post("/access_methods/delete", json!({ "reservation_key": "stay" })).await.ok();
        workspace.advance("PT1S").await;
        assert_eq!(read(&workspace, &created).await["access_method_ids"], json!([]));
        assert_eq!(codes(&workspace, &created).await, [Value::Null; 0]);
        let unknown = json!({ "access_method_id": UNKNOWN });
        workspace.post("/access_methods/delete", unknown).await.error(404, "access_method_not_found");
        workspace.post("/access_methods/delete", json!({})).await.error(400, "invalid_input");
    });
}

#[test]
fn user_identity_is_deleted_with_its_grants_and_merged_with_them() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let identity = |name: &str| json!({ "full_name": name });
        let create = |name: &'static str| workspace.post("/user_identities/create", identity(name));
        let (kept, merged) = (create("Jane").await.ok(), create("Janet").await.ok());
        let id = |found: &Value| found["user_identity"]["user_identity_id"].clone();
        let params = json!({ "device_ids": workspace.locks(), "user_identity_id": id(&merged) });
        let created = grant(&workspace, params).await;
        let merge = json!({ "user_identity_id": id(&kept), "merged_user_identity_ids": [id(&merged)] });
        workspace.post("/user_identities/merge", merge).await.ok();
        assert_eq!(read(&workspace, &created).await["user_identity_id"], id(&kept));
        workspace.post("/user_identities/delete", json!({ "user_identity_id": id(&kept) })).await.ok();
        workspace.advance("PT1S").await;
        let params = json!({ "access_grant_id": created["access_grant_id"] });
        workspace.post("/access_grants/get", params).await.error(404, "access_grant_not_found");
        assert_eq!(workspace.memory(0).await.len(), 0);
    });
}

#[test]
fn access_grant_of_a_deleted_device_loses_its_code() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created = far_stay(&workspace).await;
        workspace.post("/devices/delete", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(codes(&workspace, &created).await.len(), 1);
        assert_eq!(methods(&workspace, &created).await[0]["is_issued"], true);
    });
}

#[test]
fn access_method_deletion_takes_its_pin_off_a_lock_with_a_backup_code() {
    for is_by_request in [true, false] {
        run(async {
            let workspace = TestWorkspace::with_locks(2).await;
            workspace.change_lock(0, json!({ "backup_access_code_pool_enabled": true })).await;
            workspace.advance("PT1H").await;
            workspace.change_lock(0, json!({ "online": is_by_request })).await;
            let params = json!({ "device_ids": workspace.locks(), "ends_at": FAR[1] });
            let created = grant(&workspace, params).await;
            workspace.advance("PT6M").await;
            if is_by_request {
                let code = codes(&workspace, &created).await.remove(0);
                let pull = json!({ "access_code_id": code["access_code_id"] });
                workspace.post("/access_codes/pull_backup_access_code", pull).await.ok();
            }
            let found = methods(&workspace, &read(&workspace, &created).await).await;
            assert_eq!(found.len(), 2, "{found:?}");
            let deleted = json!({ "access_method_id": found[0]["access_method_id"] });
            workspace.post("/access_methods/delete", deleted.clone()).await.ok();
            workspace.change_lock(0, json!({ "online": true })).await;
            workspace.advance("PT1M").await;
            workspace.post("/access_methods/get", deleted).await.error(404, "access_method_not_found");
            for lock in 0..2 {
                let held = workspace.memory(lock).await;
                assert!(held.iter().all(|held| held["code"] != found[0]["code"]), "{lock}: {held:?}");
            }
            let held = workspace.memory(0).await;
            assert!(held.iter().any(|held| held["code"] == found[1]["code"]), "the backup stays: {held:?}");
            let grant = read(&workspace, &created).await;
            assert_eq!((&grant["display_status"], &grant["pending_mutations"]), (&json!("Active"), &json!([])));
        });
    }
}
