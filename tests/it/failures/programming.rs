//! Programming that fails, takes too long or never ends.

use super::{
    DAY, HOUR, access_code_error, after, change, create_fault, delete, delete_fault, events, events_of_type,
    fault_uses, issue_codes, issues, memory, move_clock_to, state_of, update, window,
};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

const MINUTE: i64 = 60_000;

/// Prefixes of the six lists of errors and warnings in an event about a problem of a code.
const PREFIXES: [&str; 3] = ["connected_account", "device", "access_code"];

/// Returns the six lists with these errors and warnings of the code; the other lists are empty.
fn of_code<'a>(errors: &[&'a str], warnings: &[&'a str]) -> Vec<(String, Vec<&'a str>)> {
    let empty = ["connected_account_errors", "connected_account_warnings", "device_errors", "device_warnings"];
    let own = [("access_code_errors", errors.to_vec()), ("access_code_warnings", warnings.to_vec())];
    let empty = empty.into_iter().map(|list| (list, Vec::new()));
    empty.chain(own).map(|(list, kinds)| (list.to_owned(), kinds)).collect()
}

#[test]
fn failed_programming_is_retried_at_growing_intervals_until_it_succeeds() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        create_fault(&workspace, json!({ "operation": "set", "outcome": { "fail": {} }, "times": 8 })).await;
        let id = &workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"];
        assert_eq!(
            (state_of(&workspace, id).await, fault_uses(&workspace).await),
            ("setting creating".to_owned(), vec![1])
        );
        let mut failed_at = 250;
        for (number, seconds) in (1..).zip([10, 20, 40, 80, 160, 320, 600, 600]) {
            move_clock_to(&workspace, failed_at).await;
            let code = workspace.access_code(id).await;
            let error = access_code_error(&code["errors"][0], "failed_to_set_on_device", 250);
            assert_eq!((&code["status"], &code["errors"]), (&json!("setting"), &json!([error])), "failure {number}");
            let begins_at = failed_at + seconds * 1000;
            move_clock_to(&workspace, begins_at - 1).await;
            assert_eq!(fault_uses(&workspace).await, [number], "before attempt {}", number + 1);
            move_clock_to(&workspace, begins_at).await;
            assert_eq!(fault_uses(&workspace).await, [(number + 1).min(8)], "attempt {}", number + 1);
            failed_at = begins_at + 250;
        }
        assert_eq!(
            state_of(&workspace, id).await,
            "setting creating failed_to_set_on_device",
            "the ninth attempt is in progress"
        );
        move_clock_to(&workspace, failed_at).await;
        assert_eq!(state_of(&workspace, id).await, "set");
        let expected = ["created@0", "failed_to_set_on_device@250", "set_on_device@1832250"];
        assert_eq!(events(&workspace, id).await, expected);
    });
}

#[test]
fn failing_code_is_retried_forever_and_set_soon_after_the_fault_is_deleted() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let broken = create_fault(&workspace, json!({ "operation": "set", "outcome": { "fail": {} } })).await;
        let id = &workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"];
        move_clock_to(&workspace, 30 * DAY).await;
        let attempts = fault_uses(&workspace).await[0];
        assert!((4300..4330).contains(&attempts), "one attempt per ten minutes for thirty days: {attempts}");
        delete_fault(&workspace, &broken).await;
        move_clock_to(&workspace, 30 * DAY + 10 * MINUTE + 250).await;
        assert_eq!(state_of(&workspace, id).await, "set");
    });
}

#[test]
fn failure_is_reported_once_and_again_only_when_its_reason_changes() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        create_fault(
            &workspace,
            json!({ "operation": "set", "outcome": { "fail": { "message": "no answer" } }, "times": 3 }),
        )
        .await;
        let other = json!({ "fail": { "error_code": "provider_issue", "message": "the maker is away" } });
        create_fault(&workspace, json!({ "operation": "set", "outcome": other, "times": 1 })).await;
        let id = &workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"];
        // Attempts fail at 250, 10_500, 30_750 and 71_000.
        for at in [250, 10_500, 30_750, 70_999] {
            move_clock_to(&workspace, at).await;
            let error = json!({ "error_code": "failed_to_set_on_device", "message": "no answer",
                                "created_at": after(250), "is_access_code_error": true });
            assert_eq!(workspace.access_code(id).await["errors"], json!([error]), "at {at}");
        }
        move_clock_to(&workspace, 71_000).await;
        let error = json!({ "error_code": "provider_issue", "message": "the maker is away", "created_at": after(71_000),
                            "is_access_code_error": true });
        assert_eq!(workspace.access_code(id).await["errors"], json!([error]));
        move_clock_to(&workspace, 3 * MINUTE).await;
        assert_eq!(state_of(&workspace, id).await, "set");
        create_fault(&workspace, json!({ "operation": "update", "outcome": { "fail": {} }, "times": 1 })).await;
        update(&workspace, id, json!({ "name": "renamed" })).await;
        move_clock_to(&workspace, 4 * MINUTE).await;
        assert_eq!(state_of(&workspace, id).await, "set");

        let failures = events_of_type(&workspace, "access_code.failed_to_set_on_device").await;
        let reported: Vec<_> =
            failures.iter().map(|event| (event["occurred_at"].as_str().unwrap(), issues(event, &PREFIXES))).collect();
        let (first, second, third) = (after(250), after(71_000), after(3 * MINUTE + 250));
        assert_eq!(
            reported,
            [
                (first.as_str(), of_code(&["failed_to_set_on_device"], &[])),
                (&second, of_code(&["provider_issue"], &[])),
                (&third, of_code(&["failed_to_set_on_device"], &[])),
            ]
        );
        let brief =
            json!([{ "error_code": "failed_to_set_on_device", "message": "no answer", "created_at": after(250) }]);
        assert_eq!(failures[0]["access_code_errors"], brief);
        assert_eq!(failures[0]["access_code_id"], *id);
    });
}

#[test]
fn failure_event_separates_the_errors_of_code_device_and_account() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let errors = ["missing_device_credentials", "insufficient_permissions"];
        let errors = errors.map(|error_code| json!({ "error_code": error_code, "message": "as told" }));
        let warning = json!({ "warning_code": "power_saving_mode", "message": "as told" });
        change(&workspace, 0, json!({ "errors": errors, "warnings": [warning] })).await;
        create_fault(&workspace, json!({ "operation": "set", "outcome": { "fail": {} } })).await;
        let id = &workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"];
        move_clock_to(&workspace, 250).await;
        let inherited = "failed_to_set_on_device missing_device_credentials insufficient_permissions";
        assert_eq!(state_of(&workspace, id).await, format!("setting creating {inherited}"));
        let failures = events_of_type(&workspace, "access_code.failed_to_set_on_device").await;
        let expected = [
            ("connected_account_errors", vec!["insufficient_permissions"]),
            ("connected_account_warnings", vec![]),
            ("device_errors", vec!["missing_device_credentials"]),
            ("device_warnings", vec!["power_saving_mode"]),
            ("access_code_errors", vec!["failed_to_set_on_device"]),
            ("access_code_warnings", vec![]),
        ];
        assert_eq!(issues(&failures[0], &PREFIXES), expected.map(|(list, kinds)| (list.to_owned(), kinds)));
    });
}

#[test]
fn failed_update_is_retried_and_the_old_values_stay_on_the_lock() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        let params = json!({ "device_id": workspace.lock(0), "name": "before", "code": "1357" });
        let id = &workspace.create(params).await["access_code_id"];
        move_clock_to(&workspace, 1000).await;
        create_fault(&workspace, json!({ "operation": "update", "outcome": { "fail": {} }, "times": 1 })).await;
        update(&workspace, id, json!({ "name": "after" })).await;
        move_clock_to(&workspace, 1250).await;
        for at in [1250, 11_499] {
            move_clock_to(&workspace, at).await;
            assert_eq!(state_of(&workspace, id).await, "set updating_name failed_to_set_on_device", "at {at}");
            let code = workspace.access_code(id).await;
            assert_eq!(code["errors"][0], access_code_error(&code["errors"][0], "failed_to_set_on_device", 1250));
            assert_eq!(
                (&code["pending_mutations"][0]["created_at"], &code["name"]),
                (&json!(after(1000)), &json!("after"))
            );
            assert_eq!(memory(&workspace, 0).await, [("1357".to_owned(), Some("before".to_owned()))]);
        }
        move_clock_to(&workspace, 11_500).await;
        assert_eq!(state_of(&workspace, id).await, "set");
        assert_eq!(memory(&workspace, 0).await, [("1357".to_owned(), Some("after".to_owned()))]);
        assert_eq!(
            events(&workspace, id).await[2..],
            ["mutations_requested@1000", "failed_to_set_on_device@1250", "changed@11500", "name_changed@11500"]
        );
    });
}

#[test]
fn failure_before_the_start_is_shown_while_the_code_is_unset() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let broken = create_fault(&workspace, json!({ "operation": "set", "outcome": { "fail": {} } })).await;
        let id = &workspace.create(window(&workspace, 0, 10 * DAY, 12 * DAY)).await["access_code_id"];
        for at in [7 * DAY + 250, 10 * DAY - 1] {
            move_clock_to(&workspace, at).await;
            assert_eq!(state_of(&workspace, id).await, "unset creating failed_to_set_on_device");
            assert_eq!(workspace.access_code(id).await["is_scheduled_on_device"], false);
        }
        move_clock_to(&workspace, 10 * DAY).await;
        assert_eq!(state_of(&workspace, id).await, "setting creating failed_to_set_on_device");
        delete_fault(&workspace, &broken).await;
        move_clock_to(&workspace, 10 * DAY + 10 * MINUTE + 250).await;
        assert_eq!(state_of(&workspace, id).await, "set");
        let events = events(&workspace, id).await;
        assert_eq!(events[..2], ["created@0".to_owned(), format!("failed_to_set_on_device@{}", 7 * DAY + 250)]);
        assert!(events.len() == 3 && events[2].starts_with("set_on_device@"), "{events:?}");
    });
}

#[test]
fn programming_over_a_minute_has_a_delay_warning_until_it_is_done() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "wyze_lock" }, { "device_type": "yale_lock" }])).await;
        create_fault(
            &workspace,
            json!({ "operation": "set", "device_type": "wyze_lock", "outcome": { "delay": "PT5M" } }),
        )
        .await;
        create_fault(&workspace, json!({ "operation": "set", "device_type": "yale_lock", "outcome": "never" })).await;
        let late = &workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"];
        let never = &workspace.create(json!({ "device_id": workspace.lock(1) })).await["access_code_id"];
        move_clock_to(&workspace, MINUTE - 1).await;
        for id in [late, never] {
            assert_eq!(state_of(&workspace, id).await, "setting creating");
        }
        move_clock_to(&workspace, MINUTE).await;
        for id in [late, never] {
            let code = workspace.access_code(id).await;
            let warning = json!({ "warning_code": "delay_in_setting_on_device", "created_at": after(MINUTE),
                                  "message": code["warnings"][0]["message"] });
            assert_eq!(code["warnings"], json!([warning]));
            assert_eq!(state_of(&workspace, id).await, "setting creating delay_in_setting_on_device");
        }
        move_clock_to(&workspace, 5 * MINUTE - 1).await;
        assert_eq!(state_of(&workspace, late).await, "setting creating delay_in_setting_on_device");
        move_clock_to(&workspace, 5 * MINUTE).await;
        assert_eq!(state_of(&workspace, late).await, "set");
        let expected = ["created@0", "delay_in_setting_on_device@60000", "set_on_device@300000"];
        assert_eq!(events(&workspace, late).await, expected);
        move_clock_to(&workspace, DAY).await;
        assert_eq!(state_of(&workspace, never).await, "setting creating delay_in_setting_on_device");
        assert_eq!(events(&workspace, never).await, expected[..2]);
        let delays = events_of_type(&workspace, "access_code.delay_in_setting_on_device").await;
        assert_eq!(delays.len(), 2);
        for delay in delays {
            assert_eq!(issues(&delay, &PREFIXES), of_code(&[], &["delay_in_setting_on_device"]));
        }

        // A slow update gets the same warning.
        create_fault(&workspace, json!({ "operation": "update", "outcome": { "delay": "PT5M" } })).await;
        update(&workspace, late, json!({ "name": "late" })).await;
        move_clock_to(&workspace, DAY + MINUTE - 1).await;
        assert_eq!(state_of(&workspace, late).await, "set updating_name");
        move_clock_to(&workspace, DAY + MINUTE).await;
        assert_eq!(state_of(&workspace, late).await, "set updating_name delay_in_setting_on_device");
        move_clock_to(&workspace, DAY + 5 * MINUTE).await;
        assert_eq!(state_of(&workspace, late).await, "set");
    });
}

#[test]
fn restarted_programming_has_a_delay_warning_a_minute_after_the_restart() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        create_fault(&workspace, json!({ "operation": "set", "outcome": "never" })).await;
        let id = &workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"];
        move_clock_to(&workspace, MINUTE / 2).await;
        update(&workspace, id, json!({ "name": "another" })).await;
        move_clock_to(&workspace, 3 * MINUTE / 2 - 1).await;
        assert_eq!(state_of(&workspace, id).await, "setting creating");
        move_clock_to(&workspace, 3 * MINUTE / 2).await;
        assert_eq!(state_of(&workspace, id).await, "setting creating delay_in_setting_on_device");
    });
}

#[test]
fn unreachable_lock_causes_no_delay_warning() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        change(&workspace, 0, json!({ "online": false })).await;
        create_fault(&workspace, json!({ "operation": "set", "outcome": "never" })).await;
        let id = &workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"];
        move_clock_to(&workspace, HOUR).await;
        assert_eq!(state_of(&workspace, id).await, "setting creating device_disconnected");
        change(&workspace, 0, json!({ "online": true })).await;
        move_clock_to(&workspace, HOUR + MINUTE - 1).await;
        assert_eq!(state_of(&workspace, id).await, "setting creating");
        move_clock_to(&workspace, HOUR + MINUTE).await;
        assert_eq!(state_of(&workspace, id).await, "setting creating delay_in_setting_on_device");
    });
}

/// Creates a code whose removal begins a second after the start: by a delete, or at its end.
async fn to_be_removed(workspace: &TestWorkspace, is_deleted: bool) -> Value {
    let params = if is_deleted { json!({ "device_id": workspace.lock(0) }) } else { window(workspace, 0, -HOUR, 1000) };
    let id = workspace.create(params).await["access_code_id"].clone();
    move_clock_to(workspace, 1000).await;
    if is_deleted {
        delete(workspace, &id).await;
    }
    id
}

#[test]
fn failed_removal_is_retried_until_the_code_is_gone() {
    run(async {
        for is_deleted in [true, false] {
            let workspace = TestWorkspace::with_locks(1).await;
            create_fault(&workspace, json!({ "operation": "remove", "outcome": { "fail": {} }, "times": 2 })).await;
            let id = &to_be_removed(&workspace, is_deleted).await;
            move_clock_to(&workspace, 1249).await;
            assert_eq!(state_of(&workspace, id).await, "removing deleting being_deleted");
            for (at, attempts) in [(1250, 1), (11_249, 1), (11_250, 2), (11_500, 2), (31_749, 2)] {
                move_clock_to(&workspace, at).await;
                let code = workspace.access_code(id).await;
                let error = access_code_error(&code["errors"][0], "failed_to_remove_from_device", 1250);
                assert_eq!((&code["status"], &code["errors"]), (&json!("removing"), &json!([error])), "at {at}");
                assert_eq!(issue_codes(&code["warnings"]), ["being_deleted"]);
                assert_eq!(fault_uses(&workspace).await, [attempts], "at {at}");
            }
            move_clock_to(&workspace, 31_750).await;
            assert_eq!(state_of(&workspace, id).await, "gone");
            let later_events = ["failed_to_remove_from_device@1250", "removed_from_device@31750", "deleted@31750"];
            assert_eq!(events(&workspace, id).await[2..], later_events);
            let failures = events_of_type(&workspace, "access_code.failed_to_remove_from_device").await;
            let expected = of_code(&["failed_to_remove_from_device"], &["being_deleted"]);
            assert_eq!(issues(&failures[0], &PREFIXES), expected);
            assert_eq!(events_of_type(&workspace, "access_code.delay_in_removing_from_device").await, [Value::Null; 0]);
        }
    });
}

#[test]
fn slow_or_unreachable_removal_is_an_error_until_it_is_done() {
    run(async {
        for is_deleted in [true, false] {
            let workspace = TestWorkspace::with_locks(1).await;
            create_fault(&workspace, json!({ "operation": "remove", "outcome": { "delay": "PT5M" }, "times": 1 }))
                .await;
            let id = &to_be_removed(&workspace, is_deleted).await;
            move_clock_to(&workspace, 1000 + MINUTE - 1).await;
            assert_eq!(state_of(&workspace, id).await, "removing deleting being_deleted");
            for at in [1000 + MINUTE, 1000 + 5 * MINUTE - 1] {
                move_clock_to(&workspace, at).await;
                let code = workspace.access_code(id).await;
                let error = access_code_error(&code["errors"][0], "failed_to_remove_from_device", 1000 + MINUTE);
                assert_eq!((&code["status"], &code["errors"]), (&json!("removing"), &json!([error])));
            }
            move_clock_to(&workspace, 1000 + 5 * MINUTE).await;
            assert_eq!(state_of(&workspace, id).await, "gone");
            let expected = ["failed_to_remove_from_device@61000", "removed_from_device@301000", "deleted@301000"];
            assert_eq!(events(&workspace, id).await[2..], expected);
        }
        for is_deleted in [true, false] {
            let workspace = TestWorkspace::with_locks(1).await;
            let params =
                if is_deleted { json!({ "device_id": workspace.lock(0) }) } else { window(&workspace, 0, -HOUR, 1000) };
            let id = &workspace.create(params).await["access_code_id"];
            move_clock_to(&workspace, 500).await;
            change(&workspace, 0, json!({ "online": false })).await;
            move_clock_to(&workspace, 1000).await;
            if is_deleted {
                delete(&workspace, id).await;
            }
            let shown = "removing deleting failed_to_remove_from_device device_disconnected being_deleted";
            assert_eq!(state_of(&workspace, id).await, shown, "the error is reported at once");
            move_clock_to(&workspace, DAY).await;
            assert_eq!(state_of(&workspace, id).await, shown);
            change(&workspace, 0, json!({ "online": true })).await;
            move_clock_to(&workspace, DAY + 250).await;
            assert_eq!(state_of(&workspace, id).await, "gone");
            assert_eq!(events(&workspace, id).await[2], "failed_to_remove_from_device@1000");
            assert_eq!(events_of_type(&workspace, "access_code.failed_to_remove_from_device").await.len(), 1);
        }
    });
}
