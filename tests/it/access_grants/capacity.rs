//! Access grants on locks with little memory: a code waits for a place on a full lock, and keeps the place that it has.

use super::{codes, condition_codes, grant, grant_events, methods, read, set_online, space, update};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

/// Creates a grant on two locks. The second has space for a single code, which another code takes: its id is returned.
async fn grant_with_a_full_lock() -> (TestWorkspace, Value, Value) {
    let locks = json!([
        { "device_type": "august_lock" },
        { "device_type": "august_lock", "max_active_codes_supported": 1 },
    ]);
    let workspace = TestWorkspace::with(locks).await;
    let other = workspace.create(json!({ "device_id": workspace.lock(1) })).await["access_code_id"].clone();
    let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
    workspace.advance("PT1S").await;
    (workspace, created, other)
}

#[test]
fn access_grant_with_a_full_lock_is_issued_on_the_others() {
    run(async {
        let (workspace, created, _) = grant_with_a_full_lock().await;
        let found = read(&workspace, &created).await;
        assert_eq!(found["errors"][0]["missing_device_ids"], json!([workspace.lock(1)]));
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!(method["is_issued"], true);
        let events = grant_events(&workspace).await;
        assert!(!events.contains(&"access_grant.access_granted_to_all_doors".to_owned()), "{events:?}");
        let waiting = codes(&workspace, &created).await.remove(1);
        assert_eq!(waiting["errors"][0]["error_code"], "no_space_for_access_code_on_device");
        assert_eq!(waiting["code"], method["code"]);
    });
}

#[test]
fn access_grant_gets_its_code_as_soon_as_a_full_lock_has_a_place() {
    run(async {
        let (workspace, created, other) = grant_with_a_full_lock().await;
        workspace.post("/access_codes/delete", json!({ "access_code_id": other })).await.ok();
        workspace.advance("PT1H").await;
        assert_eq!(read(&workspace, &created).await["errors"], json!([]));
        let found = codes(&workspace, &created).await;
        assert_eq!((&found[1]["status"], &found[1]["errors"]), (&json!("set"), &json!([])));
        let events = grant_events(&workspace).await;
        let last = ["access_method.issued", "access_grant.access_granted_to_all_doors"];
        assert_eq!(events[events.len() - 2..], last);
    });
}

#[test]
fn access_method_that_is_deleted_makes_room_for_another_grant() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock", "max_active_codes_supported": 1 }])).await;
        let first = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        let second = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        assert_eq!(methods(&workspace, &second).await[0]["is_issued"], false);
        let params = json!({ "access_grant_id": first["access_grant_id"] });
        workspace.post("/access_methods/delete", params).await.ok();
        workspace.advance("PT1H").await;
        assert_eq!(methods(&workspace, &second).await[0]["is_issued"], true);
        assert_eq!(read(&workspace, &second).await["errors"], json!([]));
    });
}

#[test]
fn access_method_whose_only_lock_is_full_fails_and_is_issued_later() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock", "max_active_codes_supported": 1 }])).await;
        let other = workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"].clone();
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT10M").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!(condition_codes(&method, "errors", "error_code"), ["failed_to_issue"]);
        workspace.post("/access_codes/delete", json!({ "access_code_id": other })).await.ok();
        workspace.advance("PT1H").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["errors"]), (&json!(true), &json!([])));
    });
}

/// Creates a grant on a lock that is full from tomorrow on, from now until `ends_at`. Without native scheduling the other
/// codes need their places from then on only.
async fn grant_on_a_lock_that_gets_full(
    places: usize,
    starts_at: Option<&str>,
    ends_at: &str,
) -> (TestWorkspace, Value) {
    let lock = json!({ "device_type": "ttlock_lock", "native_scheduling": false,
                       "supports_backup_access_code_pool": false, "max_active_codes_supported": places });
    let workspace = TestWorkspace::with(json!([lock])).await;
    for _ in 0..places {
        let times = json!({ "device_id": workspace.lock(0), "starts_at": "2026-03-04T12:00:00Z",
                            "ends_at": "2026-03-06T12:00:00Z" });
        workspace.create(times).await;
    }
    let mut params = json!({ "device_ids": workspace.locks(), "ends_at": ends_at });
    if let Some(starts_at) = starts_at {
        params["starts_at"] = json!(starts_at);
    }
    let created = grant(&workspace, params).await;
    workspace.advance("PT1S").await;
    (workspace, created)
}

#[test]
fn access_grant_extended_over_a_time_in_which_its_lock_is_full_keeps_its_code() {
    run(async {
        let (workspace, created) = grant_on_a_lock_that_gets_full(2, None, "2026-03-03T12:00:00Z").await;
        let before = codes(&workspace, &created).await.remove(0);
        assert_eq!(before["status"], "set");
        update(&workspace, &created, json!({ "ends_at": "2026-03-05T12:00:00Z" })).await;
        workspace.advance("PT1S").await;
        let after = codes(&workspace, &created).await.remove(0);
        for name in ["access_code_id", "code", "status"] {
            assert_eq!(after[name], before[name], "{name}");
        }
        let found = read(&workspace, &created).await;
        assert_eq!(found["access_method_ids"], created["access_method_ids"]);
        assert_eq!((&found["errors"], &found["pending_mutations"]), (&json!([]), &json!([])));
        assert_eq!(methods(&workspace, &created).await[0]["is_issued"], true);
        workspace.advance_to("2026-03-05T11:00:00.000Z").await;
        assert!(workspace.memory(0).await.iter().any(|held| held["code"] == before["code"]), "until the new end");
    });
}

#[test]
fn access_grant_moved_to_a_time_in_which_its_lock_is_full_waits_for_a_place() {
    run(async {
        let start = "2026-03-10T12:00:00Z";
        let (workspace, created) = grant_on_a_lock_that_gets_full(2, Some(start), "2026-03-12T12:00:00Z").await;
        let before = codes(&workspace, &created).await.remove(0);
        update(&workspace, &created, json!({ "starts_at": "2026-03-04T12:00:00Z", "ends_at": "2026-03-05T12:00:00Z" }))
            .await;
        let found = read(&workspace, &created).await;
        assert_eq!(found["errors"][0]["missing_device_ids"], json!(workspace.locks()));
        assert_eq!(found["pending_mutations"], json!([]));
        assert_eq!(
            grant_events(&workspace).await.last().unwrap(),
            "access_grant.could_not_create_requested_access_methods"
        );
        let after = codes(&workspace, &created).await;
        assert_eq!((after.len(), &after[0]["access_code_id"]), (1, &before["access_code_id"]));
        assert_eq!(after[0]["code"], before["code"]);
        // In these times the lock has a place.
        update(&workspace, &created, json!({ "starts_at": start, "ends_at": "2026-03-12T12:00:00Z" })).await;
        workspace.advance("PT1S").await;
        let found = read(&workspace, &created).await;
        assert_eq!((&found["errors"], &found["display_status"]), (&json!([]), &json!("Upcoming")));
    });
}

#[test]
fn access_code_that_had_waited_for_a_place_is_put_back_once() {
    run(async {
        let (workspace, created, other) = grant_with_a_full_lock().await;
        workspace.post("/access_codes/delete", json!({ "access_code_id": other })).await.ok();
        workspace.advance("PT1H").await;
        let code = codes(&workspace, &created).await.remove(1);
        let at_lock = json!({ "device_id": workspace.lock(1), "access_code_id": code["access_code_id"] });
        for is_online in [true, false] {
            let before = grant_events(&workspace).await.len();
            set_online(&workspace, 1, is_online).await;
            workspace.post("/_emulator/locks/remove_code", at_lock.clone()).await.ok();
            workspace.advance("PT10S").await;
            assert_eq!(methods(&workspace, &created).await[0]["is_issued"], is_online);
            set_online(&workspace, 1, true).await;
            workspace.advance("PT10S").await;
            let events = grant_events(&workspace).await;
            assert_eq!(events[before..], ["access_method.revoked", "access_method.reissued"]);
        }
    });
}

#[test]
fn access_grant_on_a_lock_that_was_missing_and_then_full_gets_its_code() {
    run(async {
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "august_lock", "max_active_codes_supported": 1 },
        ]);
        let workspace = TestWorkspace::with(locks).await;
        let other = workspace.create(json!({ "device_id": workspace.lock(1) })).await["access_code_id"].clone();
        workspace.change_lock(1, json!({ "removed": true })).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.change_lock(1, json!({ "removed": false })).await;
        workspace.advance("PT1H").await;
        let found = read(&workspace, &created).await;
        assert_eq!(condition_codes(&found, "errors", "error_code"), ["cannot_create_requested_access_methods"]);
        workspace.post("/access_codes/delete", json!({ "access_code_id": other })).await.ok();
        workspace.advance("PT1H").await;
        let found = read(&workspace, &created).await;
        assert_eq!((&found["errors"], &found["display_status"]), (&json!([]), &json!("Active")));
        let last = "access_grant.access_granted_to_all_doors";
        assert_eq!(grant_events(&workspace).await.last().unwrap(), last);
    });
}

#[test]
fn access_grant_on_a_space_whose_lock_is_full_can_lose_that_lock() {
    run(async {
        let (workspace, _, _) = grant_with_a_full_lock().await;
        let space_id = space(&workspace, &workspace.locks()).await;
        let created = grant(&workspace, json!({ "space_ids": [space_id] })).await;
        workspace.advance("PT1S").await;
        let leaving = json!({ "space_id": space_id, "device_ids": [workspace.lock(1)] });
        workspace.post("/spaces/remove_devices", leaving).await.ok();
        workspace.advance("PT1S").await;
        let found = read(&workspace, &created).await;
        assert_eq!((&found["errors"], &found["display_status"]), (&json!([]), &json!("Active")));
    });
}
