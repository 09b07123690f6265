//! What a grant does when a lock fails, goes away, is full, or cannot have the new times.

use super::{
    FAR, codes, far_stay, grant, grant_events, methods, read, set_online, space, stay_on_an_offline_only_lock, update,
    warnings,
};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

const NO_POOL: &str = "supports_backup_access_code_pool";

async fn fail_set(workspace: &TestWorkspace, index: usize, times: usize) {
    let fault =
        json!({ "device_id": workspace.lock(index), "operation": "set", "outcome": { "fail": {} }, "times": times });
    workspace.post("/_emulator/faults/create", fault).await.ok();
}

#[test]
fn access_method_waits_for_a_lock_whose_programming_fails() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "august_lock", NO_POOL: false }])).await;
        fail_set(&workspace, 0, 3).await;
        let params = json!({ "device_ids": workspace.locks(), "starts_at": "2026-03-03T12:00:00Z", "ends_at": FAR[1] });
        let created = grant(&workspace, params).await;
        workspace.advance("PT1S").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], warnings(&method)), (&json!(false), vec![]));
        assert_eq!(codes(&workspace, &created).await[0]["errors"][0]["error_code"], "failed_to_set_on_device");
        workspace.advance("P1D").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["errors"]), (&json!(true), &json!([])));
    });
}

#[test]
fn access_method_gets_a_backup_code_if_programming_fails_before_the_start() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        let pin = methods(&workspace, &created).await[0]["code"].clone();
        workspace.advance("PT1H").await;
        fail_set(&workspace, 0, 1000).await;
        workspace.advance_to("2026-03-10T23:59:59.000Z").await;
        assert_eq!(methods(&workspace, &created).await[0]["code"], pin);
        workspace.advance_to("2026-03-11T00:00:00.000Z").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_ne!(method["code"], pin);
        assert_eq!(warnings(&method), ["pulled_backup_access_code"]);
        let codes = codes(&workspace, &created).await;
        let original = codes.iter().find(|code| code["code"] == pin).unwrap();
        let backup = codes.iter().find(|code| code["is_backup"] == true).unwrap();
        assert_eq!(warnings(original), ["using_backup_access_code"]);
        assert_eq!(original["pulled_backup_access_code_id"], backup["access_code_id"]);
        let pulled = workspace.events(json!({ "event_type": "access_code.backup_access_code_pulled" })).await;
        assert_eq!(pulled[0]["occurred_at"], "2026-03-11T00:00:00.000Z");
    });
}

#[test]
fn access_method_of_a_late_booking_gets_a_backup_after_five_minutes() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        far_stay(&workspace).await;
        workspace.advance("PT1H").await;
        set_online(&workspace, 0, false).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks(), "ends_at": FAR[1] })).await;
        workspace.advance("PT4M59S").await;
        assert_eq!(methods(&workspace, &created).await[0]["is_issued"], false);
        workspace.advance("PT1S").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!(
            (&method["is_issued"], warnings(&method)),
            (&json!(true), vec!["pulled_backup_access_code".to_owned()])
        );
        let events = workspace.events(json!({ "access_method_id": method["access_method_id"] })).await;
        let kinds: Vec<&Value> = events.iter().map(|event| &event["event_type"]).collect();
        assert_eq!(kinds, ["access_method.created", "access_method.issued"]);
        assert_eq!(events[1]["is_backup_code"], true);
    });
}

#[test]
fn access_grant_keeps_the_backup_pin_when_the_lock_is_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        workspace.advance("PT1H").await;
        set_online(&workspace, 0, false).await;
        workspace.advance_to("2026-03-11T00:00:00.000Z").await;
        let backup = methods(&workspace, &created).await[0]["code"].clone();
        set_online(&workspace, 0, true).await;
        workspace.advance("PT1M").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["code"], &method["is_issued"]), (&backup, &json!(true)));
        let held = workspace.memory(0).await;
        let codes = codes(&workspace, &created).await;
        assert_eq!(codes.len(), 2, "the original and the backup");
        assert!(codes.iter().all(|code| held.iter().any(|held| held["code"] == code["code"])), "{held:?}");
        workspace.post("/access_grants/delete", json!({ "access_grant_id": created["access_grant_id"] })).await.ok();
        workspace.advance("PT1M").await;
        let held = workspace.memory(0).await;
        assert!(codes.iter().all(|code| held.iter().all(|held| held["code"] != code["code"])), "{held:?}");
    });
}

#[test]
fn access_code_of_a_grant_can_pull_a_backup_by_request() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        workspace.advance("PT1H").await;
        let code = codes(&workspace, &created).await.remove(0);
        let pull = json!({ "access_code_id": code["access_code_id"] });
        let pulled = workspace.post("/access_codes/pull_backup_access_code", pull).await.ok()["access_code"].clone();
        let method = methods(&workspace, &read(&workspace, &created).await).await.remove(0);
        assert_eq!(method["code"], pulled["code"], "the guest uses the backup");
        assert_eq!(warnings(&method), ["pulled_backup_access_code"]);
        assert_eq!(codes(&workspace, &created).await.len(), 2);
    });
}

#[test]
fn access_grant_deletion_removes_a_backup_that_was_pulled_by_request() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        workspace.advance("PT1H").await;
        let code = codes(&workspace, &created).await.remove(0);
        let pull = json!({ "access_code_id": code["access_code_id"] });
        let pulled = workspace.post("/access_codes/pull_backup_access_code", pull).await.ok()["access_code"].clone();
        workspace.post("/access_grants/delete", json!({ "access_grant_id": created["access_grant_id"] })).await.ok();
        workspace.advance("PT1M").await;
        let held = workspace.memory(0).await;
        assert!(held.iter().all(|held| held["code"] != pulled["code"]), "the deleted guest still gets in");
    });
}

#[test]
fn access_method_that_was_late_is_not_late_again_during_a_repair() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "august_lock", NO_POOL: false }])).await;
        set_online(&workspace, 0, false).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT10M").await;
        set_online(&workspace, 0, true).await;
        workspace.advance("PT1S").await;
        let before = grant_events(&workspace).await;
        assert_eq!(before[2..4], ["access_method.failed_to_issue", "access_method.issued"]);
        let code = codes(&workspace, &created).await.remove(0);
        let params = json!({ "device_id": workspace.lock(0), "access_code_id": code["access_code_id"], "name": "x" });
        workspace.post("/_emulator/locks/change_code", params).await.ok();
        workspace.advance("PT1S").await;
        let events = grant_events(&workspace).await;
        assert_eq!(events[before.len()..], ["access_method.revoked", "access_method.reissued"]);
    });
}

#[test]
fn access_code_of_a_grant_that_is_removed_at_the_lock_is_put_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        let code = codes(&workspace, &created).await.remove(0);
        let params = json!({ "device_id": workspace.lock(0), "access_code_id": code["access_code_id"] });
        workspace.post("/_emulator/locks/remove_code", params).await.ok();
        assert_eq!(methods(&workspace, &created).await[0]["is_issued"], false);
        workspace.advance("PT1S").await;
        assert_eq!(workspace.memory(0).await[0]["code"], code["code"]);
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["code"]), (&json!(true), &code["code"]));
    });
}

#[test]
fn access_grant_of_an_unmanaged_device_is_underprovisioned() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        workspace.post("/devices/update", json!({ "device_id": workspace.lock(1), "is_managed": false })).await.ok();
        assert_eq!(warnings(&read(&workspace, &created).await), ["underprovisioned_access"]);
    });
}

#[test]
fn access_grant_deletion_does_not_wait_for_a_device_that_is_unmanaged() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        workspace.post("/devices/update", json!({ "device_id": workspace.lock(1), "is_managed": false })).await.ok();
        workspace.post("/access_grants/delete", json!({ "access_grant_id": created["access_grant_id"] })).await.ok();
        workspace.advance("PT1H").await;
        let params = json!({ "access_grant_id": created["access_grant_id"] });
        workspace.post("/access_grants/get", params).await.error(404, "access_grant_not_found");
    });
}

#[test]
fn access_grant_of_a_deleted_device_is_underprovisioned() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        workspace.post("/devices/delete", json!({ "device_id": workspace.lock(1) })).await.ok();
        assert_eq!(codes(&workspace, &created).await.len(), 1);
        assert_eq!(warnings(&read(&workspace, &created).await), ["underprovisioned_access"]);
    });
}

#[test]
fn access_method_stays_issued_after_its_changed_code_was_taken_off_until_later() {
    run(async {
        let lock = json!({ "device_type": "ttlock_lock", "native_scheduling": false, NO_POOL: false });
        let workspace = TestWorkspace::with(json!([lock])).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        update(&workspace, &created, json!({ "starts_at": FAR[0], "ends_at": FAR[1] })).await;
        let code = codes(&workspace, &created).await.remove(0);
        let change =
            json!({ "device_id": workspace.lock(0), "access_code_id": code["access_code_id"], "name": "other" });
        workspace.post("/_emulator/locks/change_code", change).await.ok();
        workspace.advance("PT1H").await;
        let code = codes(&workspace, &created).await.remove(0);
        assert_eq!((&code["status"], &code["errors"]), (&json!("unset"), &json!([])));
        assert_eq!(methods(&workspace, &created).await[0]["is_issued"], true);
    });
}

#[test]
fn access_grant_forgets_warnings_about_locks_that_it_does_not_cover_any_more() {
    run(async {
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "august_lock", "can_program_online_access_codes": false },
        ]);
        let workspace = TestWorkspace::with(locks).await;
        let space = space(&workspace, &workspace.locks()).await;
        let created = grant(&workspace, json!({ "space_ids": [space] })).await;
        assert_eq!(warnings(&created), ["device_does_not_support_access_codes"]);
        let remove = json!({ "space_id": space, "device_ids": [workspace.lock(1)] });
        workspace.post("/spaces/remove_devices", remove).await.ok();
        workspace.advance("PT1S").await;
        assert_eq!(read(&workspace, &created).await["warnings"], json!([]));
    });
}

#[test]
fn access_grant_forgets_missing_locks_that_it_does_not_cover_any_more() {
    run(async {
        let locks = json!([{ "device_type": "august_lock" }, { "device_type": "august_lock", "max_active_codes_supported": 1 }]);
        let workspace = TestWorkspace::with(locks).await;
        workspace.create(json!({ "device_id": workspace.lock(1) })).await;
        let space = space(&workspace, &workspace.locks()).await;
        let created = grant(&workspace, json!({ "space_ids": [space] })).await;
        assert_eq!(created["errors"][0]["missing_device_ids"], json!([workspace.lock(1)]));
        let remove = json!({ "space_id": space, "device_ids": [workspace.lock(1)] });
        workspace.post("/spaces/remove_devices", remove).await.ok();
        workspace.advance("PT1S").await;
        assert_eq!(read(&workspace, &created).await["errors"], json!([]));
    });
}

#[test]
fn access_grant_with_new_times_gets_codes_on_locks_that_can_have_them() {
    run(async {
        let lock = json!({ "device_type": "igloohome_lock", "can_program_online_access_codes": false });
        let workspace = TestWorkspace::with(json!([lock])).await;
        let created =
            grant(&workspace, json!({ "device_ids": workspace.locks(), "starts_at": "2026-03-03T12:00:00Z" })).await;
        assert_eq!(created["warnings"][0]["reason"], "ongoing_not_supported");
        update(&workspace, &created, json!({ "ends_at": "2026-03-05T12:00:00Z" })).await;
        workspace.advance("PT1S").await;
        assert_eq!(codes(&workspace, &created).await.len(), 1);
        assert_eq!(read(&workspace, &created).await["warnings"], json!([]));
    });
}

#[test]
fn access_grant_with_new_times_shows_the_offline_code_that_stays() {
    run(async {
        let (workspace, created) = stay_on_an_offline_only_lock().await;
        workspace.advance("PT1S").await;
        assert_eq!(methods(&workspace, &created).await[0]["is_issued"], true);
        update(&workspace, &created, json!({ "ends_at": "2026-03-04T12:00:00Z" })).await;
        workspace.advance("PT1H").await;
        let found = read(&workspace, &created).await;
        assert_eq!(warnings(&found), ["overprovisioned_access"], "{found}");
        assert_eq!(found["warnings"][0]["failed_devices"][0]["device_id"], json!(workspace.lock(0)));
        assert_eq!(found["warnings"][0]["failed_devices"][0]["error_code"], "offline_access_code_not_revocable");
    });
}

#[test]
fn access_grant_extended_on_an_offline_only_lock_gets_another_code() {
    run(async {
        let (workspace, created) = stay_on_an_offline_only_lock().await;
        let before = methods(&workspace, &created).await.remove(0);
        update(&workspace, &created, json!({ "ends_at": "2026-03-06T12:00:00Z" })).await;
        workspace.advance("PT1S").await;
        let after = methods(&workspace, &created).await;
        assert_eq!(after.len(), 1);
        assert_eq!(after[0]["access_method_id"], before["access_method_id"]);
        assert_ne!(after[0]["code"], before["code"]);
        assert_eq!(after[0]["is_issued"], true);
        let found = codes(&workspace, &created).await;
        assert_eq!(found.iter().map(|code| &code["code"]).collect::<Vec<_>>(), [&after[0]["code"], &before["code"]]);
        assert_eq!(found[0]["ends_at"], "2026-03-06T12:00:00.000Z");
        let events = workspace.events(json!({ "event_type": "access_method.reissued" })).await;
        assert_eq!(events[0]["code"], after[0]["code"]);
        assert_eq!(read(&workspace, &created).await["warnings"], json!([]));
        update(&workspace, &created, json!({ "name": "Family", "ends_at": "2026-03-05T12:00:00Z" })).await;
        assert_eq!(codes(&workspace, &created).await.len(), 2, "the codes that exist are enough");
        workspace.advance_to("2026-03-05T12:00:01.000Z").await;
        assert_eq!(codes(&workspace, &created).await.len(), 1, "the code with the earlier times has ended");
    });
}

#[test]
fn access_grant_update_with_an_offline_code_does_not_stay_pending_for_ever() {
    run(async {
        let (workspace, created) = stay_on_an_offline_only_lock().await;
        workspace.advance("PT1S").await;
        update(&workspace, &created, json!({ "ends_at": "2026-03-04T12:00:00Z" })).await;
        workspace.advance("PT1H").await;
        assert_eq!(read(&workspace, &created).await["pending_mutations"], json!([]));
    });
}

#[test]
fn access_grant_with_an_offline_code_is_deleted_at_once() {
    run(async {
        let (workspace, created) = stay_on_an_offline_only_lock().await;
        let code = codes(&workspace, &created).await.remove(0);
        workspace.advance("PT1S").await;
        let params = json!({ "access_grant_id": created["access_grant_id"] });
        workspace.post("/access_grants/delete", params.clone()).await.ok();
        workspace.post("/access_grants/get", params).await.error(404, "access_grant_not_found");
        assert_eq!(workspace.access_code(&code["access_code_id"]).await["code"], code["code"], "it ends by itself");
        workspace.advance("P5D").await;
        let id = json!({ "access_code_id": code["access_code_id"] });
        workspace.post("/access_codes/get", id).await.error(404, "access_code_not_found");
    });
}

#[test]
fn access_grant_moved_away_takes_a_just_in_time_code_off_the_lock() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "ttlock_lock", "native_scheduling": false, NO_POOL: false }]))
                .await;
        let times = json!({ "device_ids": workspace.locks(), "starts_at": "2026-03-02T12:30:00Z", "ends_at": FAR[1] });
        let created = grant(&workspace, times).await;
        workspace.advance("PT1S").await;
        let pin = methods(&workspace, &created).await[0]["code"].clone();
        assert_eq!(workspace.memory(0).await[0]["code"], pin);
        update(&workspace, &created, json!({ "starts_at": FAR[0] })).await;
        assert_eq!(methods(&workspace, &created).await[0]["is_issued"], false);
        workspace.advance("PT1S").await;
        assert_eq!(workspace.memory(0).await, [Value::Null; 0]);
        let code = codes(&workspace, &created).await.remove(0);
        assert_eq!((&code["status"], &code["code"]), (&json!("unset"), &pin));
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["code"]), (&json!(true), &pin));
        let changed = workspace.events(json!({ "event_type": "access_grant.access_times_changed" })).await;
        assert_eq!((&changed[0]["starts_at"], changed[0].get("ends_at")), (&json!(FAR[0]), None));
        workspace.advance_to(FAR[0]).await;
        assert_eq!(workspace.memory(0).await[0]["code"], pin);
    });
}

/// Workspace in which a PIN can be used in disjoint time frames, with a code `4711` from March 20 to 22 on each lock.
async fn with_reused_pin(locks: usize) -> TestWorkspace {
    let lock = json!({ "device_type": "august_lock", NO_POOL: false });
    let params = json!({ "locks": vec![lock; locks], "allow_same_code_in_disjoint_windows": true });
    let workspace = TestWorkspace::create_with(params).await;
    let later = json!({ "device_id": workspace.lock(0), "code": "4711", "starts_at": "2026-03-20T12:00:00Z",
                        "ends_at": "2026-03-22T12:00:00Z" });
    workspace.create(later).await;
    workspace
}

#[test]
fn access_grant_extended_into_a_taken_pin_splits_that_lock() {
    run(async {
        let workspace = with_reused_pin(2).await;
        let wish = json!([{ "mode": "code", "code": "4711" }]);
        let stay = json!({ "device_ids": workspace.locks(), "starts_at": FAR[0], "ends_at": FAR[1],
                           "requested_access_methods": wish });
        let created = grant(&workspace, stay).await;
        assert_eq!(created["warnings"], json!([]));
        workspace.advance("PT1S").await;
        update(&workspace, &created, json!({ "ends_at": "2026-03-21T12:00:00Z" })).await;
        workspace.advance("PT1M").await;
        let codes = codes(&workspace, &created).await;
        assert_ne!(codes[0]["code"], "4711");
        assert_eq!(codes[1]["code"], "4711");
        let found = read(&workspace, &created).await;
        let methods = methods(&workspace, &found).await;
        assert_eq!(
            methods.iter().map(|method| &method["code"]).collect::<Vec<_>>(),
            [&codes[1]["code"], &codes[0]["code"]]
        );
        assert!(methods.iter().all(|method| method["is_issued"] == true), "{methods:?}");
        assert_eq!(found["pending_mutations"], json!([]));
    });
}

#[test]
fn access_grant_of_one_lock_extended_into_a_taken_pin_is_issued_again() {
    run(async {
        let workspace = with_reused_pin(1).await;
        let wish = json!([{ "mode": "code", "code": "4711" }]);
        let stay = json!({ "device_ids": workspace.locks(), "starts_at": FAR[0], "ends_at": FAR[1],
                           "requested_access_methods": wish });
        let created = grant(&workspace, stay).await;
        workspace.advance("PT1S").await;
        update(&workspace, &created, json!({ "ends_at": "2026-03-21T12:00:00Z" })).await;
        workspace.advance("PT1M").await;
        let found = read(&workspace, &created).await;
        assert_eq!(found["pending_mutations"], json!([]), "{found}");
        assert_eq!(found["display_status"], "Upcoming");
    });
}

#[test]
fn access_grant_space_with_a_taken_pin_splits_the_lock_that_joins() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let space = space(&workspace, &workspace.locks()[..1]).await;
        let created = grant(&workspace, json!({ "space_ids": [space] })).await;
        workspace.advance("PT1S").await;
        let pin = codes(&workspace, &created).await[0]["code"].clone();
        workspace.create(json!({ "device_id": workspace.lock(1), "code": pin })).await;
        let add = json!({ "space_id": space, "device_ids": [workspace.lock(1)] });
        workspace.post("/spaces/add_devices", add).await.ok();
        workspace.advance("PT1S").await;
        let found = read(&workspace, &created).await;
        let methods = methods(&workspace, &found).await;
        assert_eq!((methods.len(), &methods[0]["code"]), (2, &pin));
        assert_ne!(methods[1]["code"], pin);
        let codes = codes(&workspace, &created).await;
        assert_eq!(codes[1]["code"], methods[1]["code"]);
        assert_eq!(found["requested_access_methods"][0]["created_access_method_ids"], found["access_method_ids"]);
    });
}

#[test]
fn access_code_that_is_on_its_lock_gets_no_backup_while_its_change_is_late() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks(), "ends_at": FAR[0] })).await;
        workspace.advance("PT1H").await;
        let before = methods(&workspace, &created).await.remove(0);
        set_online(&workspace, 0, false).await;
        update(&workspace, &created, json!({ "ends_at": FAR[1] })).await;
        workspace.advance("PT1H").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["code"], &method["is_issued"]), (&before["code"], &json!(false)));
        set_online(&workspace, 0, true).await;
        workspace.advance("PT1M").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["code"], &method["is_issued"]), (&before["code"], &json!(true)));
    });
}
