//! Injected errors and warnings of codes, conditions that occur only when injected, and expired codes that stay listed.

use super::{
    DAY, HOUR, access_code_error, after, change, create_fault, delete, delete_fault, events, events_of_type,
    issue_codes, move_clock_to, state_of, update, window,
};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn injected_conditions_stay_until_they_are_cleared() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let errors =
            ["access_code_inactive", "provider_issue", "failed_to_issue", "failed_to_update", "failed_to_delete"];
        let warnings = [
            "delay_in_removing_from_device",
            "management_transferred",
            "third_party_integration_detected",
            "code_rotates_periodically",
            "delay_in_issuing",
            "unknown_issue_with_access_code",
        ];
        let errors = errors.map(|code| ("error", code));
        for (at, (kind, code)) in (1..).zip(errors.into_iter().chain(warnings.map(|code| ("warning", code)))) {
            let id = &workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"];
            let at = at * 10 * DAY;
            move_clock_to(&workspace, at).await;
            let inject = async |id: &Value, message: Option<&str>| {
                let mut params = json!({ "access_code_id": id, format!("{kind}_code"): code });
                message.inspect(|message| params["message"] = json!(message));
                workspace.post(&format!("/_emulator/access_codes/add_{kind}"), params).await.ok()["access_code"].clone()
            };
            let list = format!("{kind}s");
            let changed = inject(id, Some("in our words")).await;
            let expected = if kind == "error" {
                access_code_error(&json!({ "message": "in our words" }), code, at)
            } else {
                json!({ "warning_code": code, "message": "in our words", "created_at": after(at) })
            };
            assert_eq!(changed[&list], json!([expected]));
            assert_eq!(workspace.access_code(id).await, changed);
            update(&workspace, id, json!({ "name": "renamed" })).await;
            move_clock_to(&workspace, at + 3 * DAY).await;
            let later = workspace.access_code(id).await;
            assert_eq!(
                (&later["status"], &later["name"], &later[&list]),
                (&json!("set"), &json!("renamed"), &json!([expected]))
            );

            let other = &workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"];
            let usual = inject(other, None).await;
            assert_eq!(issue_codes(&usual[&list]), [code]);
            assert!(!usual[&list][0]["message"].as_str().unwrap().is_empty());

            let cleared = workspace.post("/_emulator/access_codes/clear", json!({ "access_code_id": id })).await.ok();
            assert_eq!(
                (&cleared["access_code"]["errors"], &cleared["access_code"]["warnings"]),
                (&json!([]), &json!([]))
            );
            assert_eq!(workspace.access_code(id).await["errors"], json!([]));
            assert_eq!(issue_codes(&workspace.access_code(other).await[&list]), [code], "the other code is unchanged");
            let event_types: Vec<_> = workspace.events_of(id).await.into_iter().map(|(name, _)| name).collect();
            assert!(!event_types.contains(&format!("access_code.{code}")), "{event_types:?}");
        }
    });
}

#[test]
fn deprecated_error_codes_are_added_under_their_new_name() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let id = &workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"];
        for old in ["failed_to_expire", "failed_to_remove"] {
            let injected = json!({ "access_code_id": id, "error_code": old });
            let injected = workspace.post("/_emulator/access_codes/add_error", injected).await.ok();
            assert_eq!(issue_codes(&injected["access_code"]["errors"]), ["failed_to_delete"], "{old}");
            workspace.post("/_emulator/access_codes/clear", json!({ "access_code_id": id })).await.ok();
        }
    });
}

#[test]
fn unreleased_and_deprecated_conditions_occur_only_when_injected() {
    run(async {
        let never = [
            "failed_to_issue",
            "failed_to_update",
            "failed_to_delete",
            "delay_in_issuing",
            "delay_in_removing_from_device",
            "device_offline",
        ];
        let workspace = TestWorkspace::with_locks(3).await;
        // The first lock fails, the second is slow, the third goes offline.
        for operation in ["set", "update", "remove"] {
            let fails = json!({ "operation": operation, "device_id": workspace.lock(0),
                                "outcome": { "fail": {} }, "after": 1, "times": 40 });
            let slow =
                json!({ "operation": operation, "device_id": workspace.lock(1), "outcome": { "delay": "PT5M" } });
            create_fault(&workspace, fails).await;
            create_fault(&workspace, slow).await;
        }
        let mut ids = Vec::new();
        for index in [0, 1, 2] {
            let lock = json!({ "device_id": workspace.lock(index) });
            for params in [
                lock.clone(),
                lock,
                window(&workspace, index, -HOUR, HOUR),
                window(&workspace, index, 4 * DAY, 5 * DAY),
            ] {
                ids.push(workspace.create(params).await["access_code_id"].clone());
            }
        }
        let mut shown = BTreeSet::new();
        for step in 0..40 {
            move_clock_to(&workspace, step * step * HOUR / 10).await;
            match step {
                10 => drop(change(&workspace, 2, json!({ "online": false })).await),
                12 => {
                    for index in [0, 4, 8] {
                        update(&workspace, &ids[index], json!({ "name": "renamed" })).await;
                    }
                }
                20 => {
                    for index in [0, 4, 8] {
                        delete(&workspace, &ids[index]).await;
                    }
                }
                _ => {}
            }
            for later in [0, 100_000] {
                move_clock_to(&workspace, step * step * HOUR / 10 + later).await;
                for id in &ids {
                    shown.extend(state_of(&workspace, id).await.split(' ').map(str::to_owned));
                }
            }
        }
        for trouble in [
            "failed_to_set_on_device",
            "delay_in_setting_on_device",
            "failed_to_remove_from_device",
            "device_disconnected",
            "updating_name",
        ] {
            assert!(shown.contains(trouble), "{trouble} did not occur: {shown:?}");
        }
        let listed =
            workspace.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z", "limit": 1000 })).await.ok();
        let types =
            listed["events"].as_array().unwrap().iter().map(|event| event["event_type"].as_str().unwrap().to_owned());
        let types: BTreeSet<_> = types.collect();
        for name in never {
            assert!(!shown.contains(name), "{name}");
            assert!(!types.iter().any(|event_type| event_type.ends_with(name)), "{name}: {types:?}");
        }
    });
}

#[test]
fn expired_codes_stay_listed_as_unset_with_keep_expired_access_codes() {
    run(async {
        let locks = json!([{ "device_type": "wyze_lock", "max_active_codes_supported": 1 }]);
        let workspace = TestWorkspace::create_with(json!({ "keep_expired_access_codes": true, "locks": locks })).await;
        let mut params = window(&workspace, 0, 0, HOUR);
        params["code"] = json!("1357");
        params["common_code_key"] = json!("key");
        let id = &workspace.create(params.clone()).await["access_code_id"];
        move_clock_to(&workspace, HOUR).await;
        assert_eq!(state_of(&workspace, id).await, "removing deleting being_deleted");
        move_clock_to(&workspace, HOUR + 250).await;
        assert_eq!(state_of(&workspace, id).await, "unset");
        move_clock_to(&workspace, DAY).await;
        assert_eq!(state_of(&workspace, id).await, "unset");
        let expired = workspace.access_code(id).await;
        assert_eq!((&expired["is_scheduled_on_device"], &expired["appearance"]), (&json!(false), &Value::Null));
        let listed = workspace.post("/access_codes/list", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(listed["access_codes"], json!([expired]));
        let expected = ["created@0", "set_on_device@250", "removed_from_device@3600250"];
        assert_eq!(events(&workspace, id).await, expected);
        // An expired code cannot be updated, neither alone nor together with its linked codes.
        let change = json!({ "access_code_id": id, "name": "again" });
        workspace.post("/access_codes/update", change).await.error(404, "access_code_not_found");
        let change = json!({ "common_code_key": "key", "name": "again" });
        workspace.post("/access_codes/update_multiple", change).await.error(404, "access_code_not_found");

        // Other codes, including ongoing ones, can use its PIN and its place.
        let other =
            &workspace.create(json!({ "device_id": workspace.lock(0), "code": "1357" })).await["access_code_id"];
        move_clock_to(&workspace, DAY + 250).await;
        assert_eq!(state_of(&workspace, other).await, "set");
        delete(&workspace, id).await;
        move_clock_to(&workspace, DAY + 500).await;
        assert_eq!(state_of(&workspace, id).await, "gone");
        assert_eq!(events(&workspace, id).await[3..], [format!("deleted@{}", DAY + 500)]);
        assert_eq!(events_of_type(&workspace, "access_code.removed_from_device").await.len(), 1);

        let workspace = TestWorkspace::create_with(json!({ "keep_expired_access_codes": false, "locks": 1 })).await;
        let id = &workspace.create(window(&workspace, 0, 0, HOUR)).await["access_code_id"];
        move_clock_to(&workspace, HOUR + 250).await;
        assert_eq!(state_of(&workspace, id).await, "gone");
        assert_eq!(events(&workspace, id).await[2..], ["removed_from_device@3600250", "deleted@3600250"]);
    });
}

#[test]
fn expired_offline_codes_stay_listed_with_keep_expired_access_codes() {
    run(async {
        let locks = json!([{ "device_type": "igloohome_lock" }]);
        let workspace = TestWorkspace::create_with(json!({ "keep_expired_access_codes": true, "locks": locks })).await;
        let mut params = window(&workspace, 0, HOUR, 2 * HOUR);
        params["is_offline_access_code"] = json!(true);
        let id = &workspace.create(params).await["access_code_id"];
        move_clock_to(&workspace, 2 * HOUR - 1).await;
        assert_eq!(state_of(&workspace, id).await, "set");
        for at in [2 * HOUR, DAY] {
            move_clock_to(&workspace, at).await;
            assert_eq!(state_of(&workspace, id).await, "unset", "at {at}");
        }
        assert_eq!(events(&workspace, id).await, ["created@0", "set_on_device@3600000"]);
    });
}

#[test]
fn code_whose_removal_fails_is_unset_only_once_it_is_off_the_lock() {
    run(async {
        let workspace = TestWorkspace::create_with(json!({ "keep_expired_access_codes": true, "locks": 1 })).await;
        let broken = create_fault(&workspace, json!({ "operation": "remove", "outcome": { "fail": {} } })).await;
        let id = &workspace.create(window(&workspace, 0, 0, HOUR)).await["access_code_id"];
        move_clock_to(&workspace, DAY).await;
        assert_eq!(state_of(&workspace, id).await, "removing deleting failed_to_remove_from_device being_deleted");
        delete_fault(&workspace, &broken).await;
        move_clock_to(&workspace, DAY + HOUR).await;
        assert_eq!(state_of(&workspace, id).await, "unset");
    });
}
