//! When access methods are issued: far stays, offline locks, backup codes.

use super::{FAR, codes, condition_codes, far_stay, grant, grant_events, methods, read, set_online};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

/// Workspace with this number of locks that have no backup pool.
async fn without_pools(count: usize) -> TestWorkspace {
    let lock = json!({ "device_type": "august_lock", "supports_backup_access_code_pool": false });
    TestWorkspace::with(json!(vec![lock; count])).await
}

#[test]
fn access_method_of_a_far_stay_is_issued_at_once() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created = far_stay(&workspace).await;
        workspace.advance("PT1S").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["display_status"]), (&json!(true), &json!("Upcoming")));
        assert!(codes(&workspace, &created).await.iter().all(|code| code["status"] == "unset"));
        workspace.advance_to(FAR[0]).await;
        assert_eq!(methods(&workspace, &created).await[0]["display_status"], "Active");
        assert!(codes(&workspace, &created).await.iter().all(|code| code["status"] == "set"));
    });
}

#[test]
fn access_method_expires_with_its_grant_and_stays_readable() {
    run(async {
        let workspace = without_pools(2).await;
        let created = far_stay(&workspace).await;
        workspace.advance("P30D").await;
        assert_eq!(codes(&workspace, &created).await, [Value::Null; 0]);
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["display_status"]), (&json!(false), &json!("Expired")));
        assert_eq!(read(&workspace, &created).await["display_status"], "Expired");
        let events = workspace.events(json!({ "event_type": "access_method.revoked" })).await;
        assert!(events[0]["occurred_at"].as_str().unwrap() >= FAR[1]);
        assert_eq!(grant_events(&workspace).await.last().unwrap(), "access_method.revoked");
    });
}

#[test]
fn access_method_on_an_offline_lock_is_late_then_failed_then_issued() {
    run(async {
        let workspace = without_pools(1).await;
        set_online(&workspace, 0, false).await;
        let created = far_stay(&workspace).await;
        assert_eq!(methods(&workspace, &created).await[0]["is_issued"], false);
        workspace.advance_to("2026-03-10T23:59:00.000Z").await;
        assert_eq!(methods(&workspace, &created).await[0]["warnings"], json!([]));
        workspace.advance_to("2026-03-11T00:00:00.000Z").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!(condition_codes(&method, "warnings", "warning_code"), ["delay_in_issuing"]);
        workspace.advance_to(FAR[0]).await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!(condition_codes(&method, "errors", "error_code"), ["failed_to_issue"]);
        assert_eq!(method["warnings"], json!([]));
        set_online(&workspace, 0, true).await;
        workspace.advance("PT1S").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["errors"]), (&json!(true), &json!([])));
        let events = grant_events(&workspace).await;
        let expected = [
            "access_grant.created",
            "access_method.created",
            "access_method.delay_in_issuing",
            "access_method.failed_to_issue",
            "access_method.issued",
            "access_grant.access_granted_to_all_doors",
        ];
        assert_eq!(events, expected);
    });
}

#[test]
fn access_method_of_a_late_booking_has_five_minutes() {
    run(async {
        let workspace = without_pools(1).await;
        set_online(&workspace, 0, false).await;
        let params = json!({ "device_ids": workspace.locks(), "ends_at": FAR[1] });
        let created = grant(&workspace, params).await;
        workspace.advance("PT4M59S").await;
        assert_eq!(methods(&workspace, &created).await[0]["errors"], json!([]));
        workspace.advance("PT1S").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!(condition_codes(&method, "errors", "error_code"), ["failed_to_issue"]);
    });
}

#[test]
fn access_method_is_late_by_the_settings_of_its_workspace() {
    run(async {
        const SETTINGS: &str = "/_emulator/workspaces/update";
        let workspace = TestWorkspace::create_with(json!({
            "locks": [{ "device_type": "august_lock", "online": false }], "late_issuance_lead": "PT48H",
        }))
        .await;
        let created = far_stay(&workspace).await;
        let warnings = async || {
            let method = methods(&workspace, &created).await.remove(0);
            condition_codes(&method, "warnings", "warning_code")
        };
        workspace.advance_to("2026-03-10T11:59:59.000Z").await;
        assert_eq!(warnings().await, [""; 0]);
        // A shorter time applies to the codes that exist.
        let shown = workspace.post(SETTINGS, json!({ "late_issuance_lead": "PT24H" })).await.ok();
        assert_eq!(shown["settings"]["late_issuance_lead"], "PT86400S");
        workspace.advance_to("2026-03-11T11:59:59.000Z").await;
        assert_eq!(warnings().await, [""; 0]);
        workspace.post(SETTINGS, json!({ "late_issuance_lead": "PT30H" })).await.ok();
        assert_eq!(warnings().await, ["delay_in_issuing"], "it is late already");
        let settings = json!({ "late_issuance_lead": "PT36H", "late_issuance_grace": "PT1H" });
        workspace.post(SETTINGS, settings).await.ok();
        let booking = grant(&workspace, json!({ "device_ids": workspace.locks(), "ends_at": FAR[1] })).await;
        workspace.advance("PT59M").await;
        assert_eq!(methods(&workspace, &booking).await[0]["errors"], json!([]));
        workspace.advance("PT1M").await;
        assert_eq!(methods(&workspace, &booking).await[0]["errors"][0]["error_code"], "failed_to_issue");
        for wrong in ["36h", "-PT1H", ""] {
            let error = workspace.post(SETTINGS, json!({ "late_issuance_grace": wrong })).await;
            error.error(400, "invalid_input");
        }
    });
}

#[test]
fn backup_code_is_pulled_for_a_lock_that_goes_offline_before_the_start() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created = far_stay(&workspace).await;
        workspace.advance("PT1H").await;
        set_online(&workspace, 1, false).await;
        workspace.advance_to("2026-03-11T00:00:00.000Z").await;
        let grant = read(&workspace, &created).await;
        assert_eq!(grant["access_method_ids"].as_array().unwrap().len(), 2, "{grant}");
        let methods = methods(&workspace, &grant).await;
        let warning = &methods[1]["warnings"][0];
        assert_eq!(warning["warning_code"], "pulled_backup_access_code", "{methods:?}");
        assert_eq!(warning["original_access_method_id"], methods[0]["access_method_id"]);
        assert_eq!((&methods[0]["is_issued"], &methods[1]["is_issued"]), (&json!(true), &json!(true)));
        let held = workspace.memory(1).await;
        assert!(held.iter().any(|code| code["code"] == methods[1]["code"]), "{held:?}");
        let events = workspace.events(json!({ "access_method_id": methods[1]["access_method_id"] })).await;
        let issued = events.iter().find(|event| event["event_type"] == "access_method.issued").unwrap();
        assert_eq!((&issued["is_backup_code"], &issued["code"]), (&json!(true), &methods[1]["code"]));
        let pulled = workspace.events(json!({ "event_type": "access_code.backup_access_code_pulled" })).await;
        assert_eq!(pulled.len(), 1);
    });
}

#[test]
fn backup_code_replaces_the_pin_of_a_method_with_one_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        let pin = methods(&workspace, &created).await[0]["code"].clone();
        workspace.advance("PT1H").await;
        set_online(&workspace, 0, false).await;
        workspace.advance_to(FAR[0]).await;
        let method = methods(&workspace, &read(&workspace, &created).await).await.remove(0);
        assert_ne!(method["code"], pin);
        assert_eq!(condition_codes(&method, "warnings", "warning_code"), ["pulled_backup_access_code"]);
        assert!(method["warnings"][0].get("original_access_method_id").is_none());
        let events = grant_events(&workspace).await;
        assert_eq!(events.last().unwrap(), "access_method.reissued");
        workspace.advance("P10D").await;
        set_online(&workspace, 0, true).await;
        workspace.advance("PT1H").await;
        assert_eq!(codes(&workspace, &created).await, [Value::Null; 0]);
    });
}

#[test]
fn backup_pool_is_full_again_when_the_lock_is_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        far_stay(&workspace).await;
        workspace.advance("PT1H").await;
        let backups = async || {
            let held = workspace.memory(0).await;
            held.iter().filter(|held| held["is_backup"] == true).count()
        };
        let full = backups().await;
        set_online(&workspace, 0, false).await;
        workspace.advance_to("2026-03-11T00:00:00.000Z").await;
        assert_eq!(backups().await, full, "the pulled code is still on the lock");
        set_online(&workspace, 0, true).await;
        workspace.advance("PT1S").await;
        assert_eq!(backups().await, full + 1);
    });
}

#[test]
fn one_advance_gives_the_same_events_as_many() {
    run(async {
        let mut all = Vec::new();
        for steps in [1, 40] {
            let params = json!({ "locks": 2, "seed": format!("one advance or {steps}") });
            let workspace = TestWorkspace::create_with(params).await;
            far_stay(&workspace).await;
            set_online(&workspace, 1, false).await;
            for _ in 0..steps {
                workspace.advance(if steps == 1 { "P20D" } else { "PT12H" }).await;
            }
            let events = workspace.events(json!({})).await;
            let keep = |event: &Value| (event["event_type"].clone(), event["occurred_at"].clone());
            all.push(events.iter().map(keep).collect::<Vec<_>>());
        }
        assert_eq!(all[0], all[1]);
    });
}

#[test]
fn access_method_is_revoked_while_a_change_at_the_lock_is_reverted() {
    run(async {
        let workspace = without_pools(1).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        let code = codes(&workspace, &created).await.remove(0);
        let params = json!({ "device_id": workspace.lock(0), "access_code_id": code["access_code_id"], "name": "x" });
        workspace.post("/_emulator/locks/change_code", params).await.ok();
        assert_eq!(methods(&workspace, &created).await[0]["is_issued"], false);
        workspace.advance("PT1S").await;
        assert_eq!(methods(&workspace, &created).await[0]["is_issued"], true);
        let events = grant_events(&workspace).await;
        assert_eq!(&events[events.len() - 2..], ["access_method.revoked", "access_method.reissued"]);
    });
}
