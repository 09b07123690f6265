//! Grants that are over: they get no codes any more, and nothing about them stays pending. Offline codes, which end by
//! themselves.

use super::{
    FAR, codes, condition_codes, far_stay, grant, grant_events, methods, read, set_online, space,
    stay_on_an_offline_only_lock, update,
};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

/// Creates a grant on a space from 3 to 5 March, at noon. The only lock of the space only has offline codes. Returns the
/// id of the space too.
async fn stay_in_a_space_with_offline_codes(keeps_expired: bool) -> (TestWorkspace, Value, Value) {
    let lock = json!({ "device_type": "igloohome_lock", "can_program_online_access_codes": false });
    let params = json!({ "locks": [lock], "keep_expired_access_codes": keeps_expired });
    let workspace = TestWorkspace::create_with(params).await;
    let space_id = space(&workspace, &workspace.locks()).await;
    let params =
        json!({ "space_ids": [space_id], "starts_at": "2026-03-03T12:00:00Z", "ends_at": "2026-03-05T12:00:00Z" });
    let created = grant(&workspace, params).await;
    workspace.advance("PT1S").await;
    (workspace, created, space_id)
}

#[test]
fn access_grant_that_is_over_gets_no_codes() {
    for keeps_expired in [false, true] {
        run(async {
            let params = json!({ "locks": 2, "keep_expired_access_codes": keeps_expired });
            let workspace = TestWorkspace::create_with(params).await;
            let space_id = space(&workspace, &[workspace.lock(0)]).await;
            let params = json!({ "space_ids": [space_id], "ends_at": "2026-03-03T12:00:00Z" });
            let created = grant(&workspace, params).await;
            workspace.advance("P2D").await;
            let before = workspace.events(json!({})).await.len();
            let joining = json!({ "space_id": space_id, "device_ids": [workspace.lock(1)] });
            workspace.post("/spaces/add_devices", joining).await.ok();
            update(&workspace, &created, json!({ "name": "Jim" })).await;
            workspace.change_lock(0, json!({ "is_managed": false })).await;
            workspace.change_lock(0, json!({ "is_managed": true })).await;
            workspace.advance("PT1H").await;
            let events = workspace.events(json!({})).await;
            let kinds: Vec<&Value> = events[before..].iter().map(|event| &event["event_type"]).collect();
            let of_codes = kinds.iter().filter(|kind| kind.as_str().unwrap().starts_with("access_code.created"));
            assert_eq!(of_codes.count(), 0, "{kinds:?}");
            let found = read(&workspace, &created).await;
            assert_eq!((&found["display_status"], &found["pending_mutations"]), (&json!("Expired"), &json!([])));
        });
    }
}

#[test]
fn access_grant_with_codes_that_are_kept_as_expired_is_not_pending() {
    run(async {
        let params = json!({ "locks": 1, "keep_expired_access_codes": true });
        let workspace = TestWorkspace::create_with(params).await;
        let space_id = space(&workspace, &workspace.locks()).await;
        let created = grant(&workspace, json!({ "space_ids": [space_id], "ends_at": "2026-03-03T12:00:00Z" })).await;
        workspace.advance("P2D").await;
        let is_settled = async || {
            let found = read(&workspace, &created).await;
            assert_eq!((&found["warnings"], &found["pending_mutations"]), (&json!([]), &json!([])));
            assert_eq!(methods(&workspace, &created).await[0]["pending_mutations"], json!([]));
        };
        is_settled().await;
        workspace.post("/spaces/update", json!({ "space_id": space_id, "device_ids": [] })).await.ok();
        workspace.advance("PT1H").await;
        is_settled().await;
        // The expired code is deleted with the grant.
        workspace.post("/access_grants/delete", json!({ "access_grant_id": created["access_grant_id"] })).await.ok();
        workspace.advance("PT1H").await;
        let grants = workspace.post("/access_grants/list", json!({})).await.ok();
        assert_eq!(grants["access_grants"], json!([]));
    });
}

#[test]
fn access_method_of_a_lock_that_left_ends_with_its_offline_code() {
    for keeps_expired in [false, true] {
        run(async {
            let (workspace, created, space_id) = stay_in_a_space_with_offline_codes(keeps_expired).await;
            workspace.post("/spaces/update", json!({ "space_id": space_id, "device_ids": [] })).await.ok();
            let found = read(&workspace, &created).await;
            assert_eq!(condition_codes(&found, "warnings", "warning_code"), ["overprovisioned_access"]);
            workspace.advance("P5D").await;
            let found = read(&workspace, &created).await;
            assert_eq!((&found["access_method_ids"], &found["warnings"]), (&json!([]), &json!([])));
        });
    }
}

#[test]
fn access_grant_on_a_space_that_is_deleted_does_not_wait_for_offline_codes() {
    run(async {
        let (workspace, created, space_id) = stay_in_a_space_with_offline_codes(false).await;
        workspace.post("/spaces/delete", json!({ "space_id": space_id })).await.ok();
        let params = json!({ "access_grant_id": created["access_grant_id"] });
        workspace.post("/access_grants/get", params).await.error(404, "access_grant_not_found");
    });
}

#[test]
fn access_grant_whose_offline_lock_cannot_have_the_new_times_is_not_pending() {
    run(async {
        let (workspace, created) = stay_on_an_offline_only_lock().await;
        update(&workspace, &created, json!({ "ends_at": null })).await;
        let found = read(&workspace, &created).await;
        assert_eq!(condition_codes(&found, "warnings", "warning_code"), ["device_time_constraints_violated"]);
        assert_eq!(found["pending_mutations"], json!([]));
        assert_eq!(methods(&workspace, &created).await[0]["pending_mutations"], json!([]));
    });
}

#[test]
fn access_grant_with_its_old_times_again_has_no_irrevocable_access() {
    run(async {
        let (workspace, created) = stay_on_an_offline_only_lock().await;
        update(&workspace, &created, json!({ "ends_at": "2026-03-04T12:00:00Z" })).await;
        let found = read(&workspace, &created).await;
        assert_eq!(condition_codes(&found, "warnings", "warning_code"), ["overprovisioned_access"]);
        update(&workspace, &created, json!({ "ends_at": "2026-03-05T12:00:00Z" })).await;
        workspace.advance("PT1S").await;
        assert_eq!(read(&workspace, &created).await["warnings"], json!([]));
    });
}

#[test]
fn access_method_that_is_prolonged_after_its_end_can_fail() {
    run(async {
        let lock = json!({ "device_type": "august_lock", "supports_backup_access_code_pool": false });
        let workspace = TestWorkspace::with(json!([lock])).await;
        let created = far_stay(&workspace).await;
        workspace.advance_to(FAR[1]).await;
        workspace.advance("PT1H").await;
        set_online(&workspace, 0, false).await;
        update(&workspace, &created, json!({ "ends_at": "2026-03-20T12:00:00.000Z" })).await;
        workspace.advance("PT1H").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!(condition_codes(&method, "errors", "error_code"), ["failed_to_issue"]);
        set_online(&workspace, 0, true).await;
        workspace.advance("PT1H").await;
        assert_eq!(grant_events(&workspace).await.last().unwrap(), "access_method.reissued");
        assert_eq!(codes(&workspace, &created).await[0]["status"], "set");
    });
}

#[test]
fn access_grant_prolonged_before_its_code_is_off_the_lock_keeps_its_pin() {
    for is_online in [true, false] {
        run(async {
            let workspace = TestWorkspace::with_locks(1).await;
            let created =
                grant(&workspace, json!({ "device_ids": workspace.locks(), "ends_at": "2026-03-02T13:00:00Z" })).await;
            workspace.advance("PT1M").await;
            let before = methods(&workspace, &created).await.remove(0);
            set_online(&workspace, 0, is_online).await;
            workspace.advance_to("2026-03-02T13:00:00.000Z").await;
            for ends_at in ["2026-03-03T12:00:00Z", "2026-03-04T12:00:00Z", "2026-03-03T18:00:00Z"] {
                update(&workspace, &created, json!({ "ends_at": ends_at })).await;
            }
            let found = read(&workspace, &created).await;
            assert_eq!(condition_codes(&found, "pending_mutations", "mutation_code"), ["updating_access_times"]);
            set_online(&workspace, 0, true).await;
            workspace.advance("PT1M").await;
            let found = read(&workspace, &created).await;
            assert_eq!(found["access_method_ids"], created["access_method_ids"]);
            assert_eq!((&found["display_status"], &found["pending_mutations"]), (&json!("Active"), &json!([])));
            assert_eq!(methods(&workspace, &created).await[0]["code"], before["code"]);
            let held = workspace.memory(0).await;
            assert_eq!(held.iter().filter(|held| held["code"] == before["code"]).count(), 1, "{held:?}");
            assert_eq!(grant_events(&workspace).await.last().unwrap(), "access_method.reissued");
        });
    }
}

#[test]
fn access_method_prolonged_after_its_end_has_no_backup_code_any_more() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.change_lock(0, json!({ "backup_access_code_pool_enabled": true })).await;
        workspace.advance("PT1H").await;
        let created =
            grant(&workspace, json!({ "device_ids": workspace.locks(), "ends_at": "2026-03-03T12:00:00Z" })).await;
        workspace.advance("PT1M").await;
        let code = codes(&workspace, &created).await.remove(0);
        let pull = json!({ "access_code_id": code["access_code_id"] });
        workspace.post("/access_codes/pull_backup_access_code", pull).await.ok();
        workspace.advance("P2D").await;
        update(&workspace, &created, json!({ "ends_at": FAR[1] })).await;
        workspace.advance("PT1M").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["warnings"]), (&json!(true), &json!([])));
        let reissued =
            json!({ "access_method_id": method["access_method_id"], "event_type": "access_method.reissued" });
        let events = workspace.events(reissued).await;
        assert!(events.last().unwrap().get("is_backup_code").is_none(), "{events:?}");
    });
}

#[test]
fn access_methods_requested_after_the_end_get_codes_with_a_later_end() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created =
            grant(&workspace, json!({ "device_ids": workspace.locks(), "ends_at": "2026-03-03T12:00:00Z" })).await;
        workspace.advance("P2D").await;
        let further = json!({ "access_grant_id": created["access_grant_id"],
                              "requested_access_methods": [{ "mode": "code" }] });
        let found = workspace.post("/access_grants/request_access_methods", further).await.ok()["access_grant"].clone();
        assert_eq!(found["access_method_ids"], created["access_method_ids"]);
        workspace.advance("PT1H").await;
        assert_eq!(codes(&workspace, &created).await, [Value::Null; 0]);
        update(&workspace, &created, json!({ "ends_at": FAR[1] })).await;
        workspace.advance("PT1S").await;
        assert_eq!(codes(&workspace, &created).await.len(), 2);
        let found = read(&workspace, &created).await;
        assert_eq!((&found["display_status"], &found["errors"]), (&json!("Active"), &json!([])));
    });
}

#[test]
fn access_method_is_not_issued_at_its_end() {
    run(async {
        let locks = json!([{ "device_type": "smartthings_lock" }, { "device_type": "smartthings_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        set_online(&workspace, 0, false).await;
        let created =
            grant(&workspace, json!({ "device_ids": workspace.locks(), "ends_at": "2026-03-02T13:00:00Z" })).await;
        workspace.advance("PT2H").await;
        let events = grant_events(&workspace).await;
        assert!(!events.contains(&"access_method.issued".to_owned()), "{events:?}");
        assert_eq!(read(&workspace, &created).await["display_status"], "Expired");
    });
}

#[test]
fn access_code_that_is_kept_as_expired_is_deleted_with_its_grant_or_by_itself() {
    run(async {
        let offline = json!({ "device_type": "igloohome_lock", "can_program_online_access_codes": false });
        let params = json!({ "locks": [{ "device_type": "august_lock" }, offline], "keep_expired_access_codes": true });
        let workspace = TestWorkspace::create_with(params).await;
        let params = json!({ "device_ids": workspace.locks(), "starts_at": "2026-03-03T12:00:00Z",
                             "ends_at": "2026-03-05T12:00:00Z" });
        let created = grant(&workspace, params).await;
        workspace.advance("P5D").await;
        assert_eq!(codes(&workspace, &created).await.len(), 2);
        workspace.post("/access_grants/delete", json!({ "access_grant_id": created["access_grant_id"] })).await.ok();
        workspace.advance("PT1M").await;
        let mut left = Vec::new();
        for lock in workspace.locks() {
            let of_lock = workspace.post("/access_codes/list", json!({ "device_id": lock })).await.ok();
            left.extend(of_lock["access_codes"].as_array().unwrap().clone());
        }
        assert_eq!(left.len(), 1, "the offline code cannot be taken back: {left:?}");
        let code = json!({ "access_code_id": left[0]["access_code_id"] });
        workspace.post("/access_codes/delete", code.clone()).await.ok();
        workspace.advance("PT1M").await;
        workspace.post("/access_codes/get", code).await.error(404, "access_code_not_found");
    });
}

#[test]
fn access_method_of_an_offline_lock_is_deleted_when_another_takes_its_place() {
    run(async {
        let (workspace, created) = stay_on_an_offline_only_lock().await;
        for (starts_at, ends_at) in [("2026-03-08", "2026-03-09"), ("2026-03-12", "2026-03-13")] {
            workspace.advance("P4D").await;
            let at = |day: &str| json!(format!("{day}T12:00:00Z"));
            update(&workspace, &created, json!({ "starts_at": at(starts_at), "ends_at": at(ends_at) })).await;
            workspace.advance("PT1S").await;
            let found = read(&workspace, &created).await;
            assert_eq!(found["access_method_ids"].as_array().unwrap().len(), 1, "{found}");
            assert_eq!((&found["display_status"], &found["warnings"]), (&json!("Upcoming"), &json!([])));
        }
    });
}
