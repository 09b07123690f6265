//! Locks and methods that a grant was left without: when they are tried again, and when they are forgotten.

use super::{FAR, codes, condition_codes, far_stay, grant, grant_events, methods, read, space, update};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

const COULD_NOT_CREATE: &str = "access_grant.could_not_create_requested_access_methods";
const GRANTED: &str = "access_grant.access_granted_to_all_doors";

#[test]
fn access_grant_gets_its_code_when_the_reason_of_a_lock_is_gone() {
    // Lock, the change after which it can have a code, and the condition until then.
    let cases = [
        (json!({ "device_type": "august_lock", "removed": true }), json!({ "removed": false }), "errors"),
        (json!({ "device_type": "ultraloq_lock" }), json!({ "time_zone": "Europe/Paris" }), "errors"),
        (
            json!({ "device_type": "august_lock", "accessory_keypad_connected": false }),
            json!({ "accessory_keypad_connected": true }),
            "warnings",
        ),
        (
            json!({ "device_type": "august_lock", "can_program_online_access_codes": false }),
            json!({ "can_program_online_access_codes": true }),
            "warnings",
        ),
    ];
    for (lock, change, condition) in cases {
        run(async {
            let workspace = TestWorkspace::with(json!([{ "device_type": "august_lock" }, lock])).await;
            let created = far_stay(&workspace).await;
            assert_eq!(created[condition].as_array().unwrap().len(), 1, "{lock}: {created}");
            workspace.change_lock(1, change).await;
            workspace.advance("PT1S").await;
            let found = read(&workspace, &created).await;
            assert_eq!((&found["errors"], &found["warnings"]), (&json!([]), &json!([])), "{lock}");
            assert_eq!(codes(&workspace, &created).await.len(), 2, "{lock}");
        });
    }
}

#[test]
fn access_grant_gets_its_code_when_the_time_zone_is_reported() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "ultraloq_lock" }])).await;
        let created = far_stay(&workspace).await;
        let report = json!({ "device_id": workspace.lock(0), "ultraloq_metadata": { "time_zone": "Europe/Paris" } });
        workspace.post("/devices/report_provider_metadata", json!({ "devices": [report] })).await.ok();
        assert_eq!(codes(&workspace, &created).await.len(), 1);
        assert_eq!(read(&workspace, &created).await["errors"], json!([]));
    });
}

#[test]
fn access_grant_forgets_conditions_of_a_device_that_is_deleted() {
    for missing in [json!({ "removed": true }), json!({ "can_program_online_access_codes": false })] {
        run(async {
            let workspace = TestWorkspace::with_locks(2).await;
            workspace.change_lock(1, missing).await;
            let created = far_stay(&workspace).await;
            workspace.advance("PT1S").await;
            workspace.post("/devices/delete", json!({ "device_id": workspace.lock(1) })).await.ok();
            let found = read(&workspace, &created).await;
            assert_eq!(found["errors"], json!([]));
            assert_eq!(condition_codes(&found, "warnings", "warning_code"), ["underprovisioned_access"]);
            assert!(grant_events(&workspace).await.contains(&GRANTED.to_owned()));
        });
    }
}

#[test]
fn access_grant_forgets_missing_locks_when_all_methods_are_deleted() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        workspace.change_lock(1, json!({ "removed": true })).await;
        let created = far_stay(&workspace).await;
        assert_eq!(created["errors"][0]["missing_device_ids"], json!([workspace.lock(1)]));
        let params = json!({ "access_grant_id": created["access_grant_id"] });
        workspace.post("/access_methods/delete", params).await.ok();
        workspace.advance("PT1S").await;
        let found = read(&workspace, &created).await;
        assert_eq!((&found["errors"], &found["pending_mutations"]), (&json!([]), &json!([])));
    });
}

#[test]
fn access_grant_update_does_not_report_a_known_reason_again() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.change_lock(0, json!({ "removed": true })).await;
        let created = far_stay(&workspace).await;
        for name in ["Jim", "Jim", "Jane"] {
            update(&workspace, &created, json!({ "name": name })).await;
        }
        let events = grant_events(&workspace).await;
        assert_eq!(events.iter().filter(|kind| *kind == COULD_NOT_CREATE).count(), 1, "{events:?}");
    });
}

/// Creates a grant in a space with a lock that takes 4 digits and one that takes 6: two methods for one request.
async fn grant_with_two_pins() -> (TestWorkspace, Value, Value) {
    let digits =
        |count| json!({ "device_type": "nuki_lock", "supported_code_lengths": [count], "code_constraints": [] });
    let workspace = TestWorkspace::with(json!([digits(4), digits(6)])).await;
    let space_id = space(&workspace, &workspace.locks()).await;
    let created = grant(&workspace, json!({ "space_ids": [space_id] })).await;
    workspace.advance("PT1S").await;
    assert_eq!(created["access_method_ids"].as_array().unwrap().len(), 2);
    (workspace, created, space_id)
}

#[test]
fn access_method_that_is_deleted_gets_no_successor_beside_another() {
    run(async {
        let (workspace, created, space_id) = grant_with_two_pins().await;
        let deleted = json!({ "access_method_id": created["access_method_ids"][1] });
        workspace.post("/access_methods/delete", deleted).await.ok();
        workspace.advance("PT1S").await;
        update(&workspace, &created, json!({ "name": "Jim" })).await;
        workspace.advance("PT1S").await;
        let found = read(&workspace, &created).await;
        assert_eq!(found["access_method_ids"].as_array().unwrap().len(), 1);
        assert_eq!((&found["warnings"], &found["pending_mutations"]), (&json!([]), &json!([])));
        assert_eq!(codes(&workspace, &created).await.len(), 1);
        // A lock that leaves the space and joins it again is a new one.
        let lock = json!({ "space_id": space_id, "device_ids": [workspace.lock(1)] });
        workspace.post("/spaces/remove_devices", lock.clone()).await.ok();
        workspace.post("/spaces/add_devices", lock).await.ok();
        workspace.advance("PT1S").await;
        assert_eq!(codes(&workspace, &created).await.len(), 2);
    });
}

#[test]
fn access_grant_does_not_wait_for_a_method_that_has_no_lock_any_more() {
    run(async {
        let (workspace, created, space_id) = grant_with_two_pins().await;
        for lock in 0..2 {
            let change = json!({ "space_id": space_id, "device_ids": [workspace.lock(1 - lock)] });
            workspace.post("/spaces/update", change).await.ok();
            workspace.advance("PT1S").await;
            let found = read(&workspace, &created).await;
            assert_eq!(found["display_status"], "Active", "{found}");
            assert_eq!((&found["warnings"], &found["pending_mutations"]), (&json!([]), &json!([])));
        }
    });
}

#[test]
fn access_grant_on_a_lock_without_its_pin_yet_gives_another_lock_its_own() {
    run(async {
        let locks = json!([{ "device_type": "salto_lock" }, { "device_type": "august_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        let space_id = space(&workspace, &[workspace.lock(0)]).await;
        let created =
            grant(&workspace, json!({ "space_ids": [space_id], "starts_at": FAR[0], "ends_at": FAR[1] })).await;
        let joining = json!({ "space_id": space_id, "device_ids": [workspace.lock(1)] });
        workspace.post("/spaces/add_devices", joining).await.ok();
        workspace.advance_to(FAR[0]).await;
        workspace.advance("PT1M").await;
        let found = methods(&workspace, &read(&workspace, &created).await).await;
        for code in codes(&workspace, &created).await {
            let of_code = |method: &&Value| method["code"] == code["code"];
            assert_eq!(found.iter().filter(of_code).count(), 1, "{code}");
        }
        assert_eq!(condition_codes(&read(&workspace, &created).await, "errors", "error_code"), [""; 0]);
    });
}
