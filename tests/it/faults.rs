//! Faults of operations, and the programming time of a workspace.

use crate::failures::{
    DAY, HOUR, advance_until_idle, after, change, create_fault, delete, delete_fault, events, fault_uses, faults,
    memory, move_clock_to, state_of, update, window,
};
use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

mod invalid_requests;

async fn create_code(workspace: &TestWorkspace, index: usize) -> Value {
    workspace.create(json!({ "device_id": workspace.lock(index) })).await["access_code_id"].clone()
}

async fn set_programming(workspace: &TestWorkspace, params: Value) -> Value {
    workspace.post("/_emulator/programming/set", params).await.ok()["programming"].clone()
}

async fn step(workspace: &TestWorkspace, access_code_id: &Value) -> crate::support::Reply {
    workspace.post("/_emulator/access_codes/step", json!({ "access_code_id": access_code_id })).await
}

const FAILED: &str = "setting creating failed_to_set_on_device";

#[test]
fn fault_applies_only_to_the_operations_it_matches() {
    run(async {
        let workspace = TestWorkspace::with(json!([
            { "device_type": "wyze_lock" },
            { "device_type": "wyze_lock" },
            { "device_type": "ttlock_lock" },
        ]))
        .await;
        let fails = json!({ "fail": {} });
        let params = [
            json!({ "operation": "set", "device_id": workspace.lock(0), "outcome": fails }),
            json!({ "operation": "remove", "device_type": "ttlock_lock", "outcome": fails }),
            json!({ "operation": "set", "device_id": workspace.lock(1), "device_type": "ttlock_lock", "outcome": fails }),
            json!({ "operation": "set", "device_id": UNKNOWN, "outcome": "never" }),
            json!({ "operation": "update", "device_type": "kwikset_lock", "outcome": { "delay": "P1D" }, "times": 3 }),
            json!({ "operation": "refill", "outcome": fails }),
            json!({ "operation": "unlock", "outcome": fails }),
        ];
        let mut ids = Vec::new();
        for fault in &params {
            let created = workspace.post("/_emulator/faults/create", fault.clone()).await.ok()["fault"].clone();
            for (name, value) in fault.as_object().unwrap() {
                assert_eq!(created[name], *value);
            }
            assert_eq!(
                (&created["used"], &created["is_exhausted"], &created["created_at"]),
                (&json!(0), &json!(false), &json!(after(0)))
            );
            ids.push(created["fault_id"].clone());
        }
        let listed: Vec<Value> = faults(&workspace).await.iter().map(|fault| fault["fault_id"].clone()).collect();
        assert_eq!(listed, ids, "in the order of creation");
        let codes =
            [create_code(&workspace, 0).await, create_code(&workspace, 1).await, create_code(&workspace, 2).await];
        move_clock_to(&workspace, 1000).await;
        for (code, expected) in codes.iter().zip([FAILED, "set", "set"]) {
            assert_eq!(state_of(&workspace, code).await, expected);
        }
        update(&workspace, &codes[1], json!({ "name": "renamed" })).await;
        move_clock_to(&workspace, 2000).await;
        for code in &codes {
            delete(&workspace, code).await;
        }
        move_clock_to(&workspace, 3000).await;
        for (code, expected) in
            codes.iter().zip(["gone", "gone", "removing deleting failed_to_remove_from_device being_deleted"])
        {
            assert_eq!(state_of(&workspace, code).await, expected);
        }
        assert_eq!(fault_uses(&workspace).await, [1, 1, 0, 0, 0, 0, 0], "unused if no operation matches");

        delete_fault(&workspace, &ids[0]).await;
        delete_fault(&workspace, &ids[1]).await;
        assert_eq!(faults(&workspace).await.len(), 5);
        let free = create_code(&workspace, 0).await;
        move_clock_to(&workspace, HOUR).await;
        assert_eq!(
            (state_of(&workspace, &free).await, state_of(&workspace, &codes[2]).await),
            ("set".to_owned(), "gone".to_owned())
        );
        let twice = workspace.post("/_emulator/faults/delete", json!({ "fault_id": ids[0] })).await;
        twice.error(404, "fault_not_found");
    });
}

#[test]
fn fault_skips_the_first_operations_then_applies_and_counts_its_uses() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let params = json!({ "operation": "set", "outcome": { "fail": {} }, "after": 1, "times": 2 });
        create_fault(&workspace, params).await;
        // The fault counts the operations of all locks.
        let mut ids = Vec::new();
        for (index, (use_count, is_exhausted)) in [(0, false), (1, false), (2, true), (2, true)].into_iter().enumerate()
        {
            ids.push(create_code(&workspace, index % 2).await);
            let fault = &faults(&workspace).await[0];
            assert_eq!((&fault["used"], &fault["is_exhausted"]), (&json!(use_count), &json!(is_exhausted)));
        }
        move_clock_to(&workspace, 250).await;
        for (id, expected) in ids.iter().zip(["set", FAILED, FAILED, "set"]) {
            assert_eq!(state_of(&workspace, id).await, expected);
        }
        move_clock_to(&workspace, HOUR).await;
        assert_eq!((fault_uses(&workspace).await, state_of(&workspace, &ids[1]).await), (vec![2], "set".to_owned()));

        // Of several faults, the oldest applies that is not exhausted and does not skip the operation.
        let workspace = TestWorkspace::with_locks(1).await;
        let issue = json!({ "fail": { "error_code": "provider_issue" } });
        create_fault(&workspace, json!({ "operation": "set", "outcome": issue, "after": 1, "times": 1 })).await;
        create_fault(&workspace, json!({ "operation": "set", "outcome": { "fail": {} }, "times": 2 })).await;
        let ids = [
            create_code(&workspace, 0).await,
            create_code(&workspace, 0).await,
            create_code(&workspace, 0).await,
            create_code(&workspace, 0).await,
        ];
        move_clock_to(&workspace, 250).await;
        for (id, expected) in ids.iter().zip([FAILED, "setting creating provider_issue", FAILED, "set"]) {
            assert_eq!(state_of(&workspace, id).await, expected);
        }
        assert_eq!(fault_uses(&workspace).await, [1, 2]);
    });
}

#[test]
fn operation_can_fail_be_delayed_or_never_end() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let fails = json!({ "fail": { "error_code": "access_code_inactive", "message": "switched off" } });
        for (index, outcome) in [fails, json!({ "delay": "PT5M" }), json!("never")].into_iter().enumerate() {
            create_fault(
                &workspace,
                json!({ "operation": "set", "device_id": workspace.lock(index), "outcome": outcome }),
            )
            .await;
        }
        let ids =
            [create_code(&workspace, 0).await, create_code(&workspace, 1).await, create_code(&workspace, 2).await];
        move_clock_to(&workspace, 250).await;
        let expected = json!([{ "error_code": "access_code_inactive", "message": "switched off",
                                "created_at": after(250), "is_access_code_error": true }]);
        assert_eq!(workspace.access_code(&ids[0]).await["errors"], expected);
        move_clock_to(&workspace, 299_999).await;
        assert_eq!(state_of(&workspace, &ids[1]).await, "setting creating delay_in_setting_on_device");
        move_clock_to(&workspace, 300_000).await;
        assert_eq!(state_of(&workspace, &ids[1]).await, "set");
        move_clock_to(&workspace, 300 * DAY).await;
        assert_eq!(state_of(&workspace, &ids[2]).await, "setting creating delay_in_setting_on_device");
    });
}

#[test]
fn operation_with_zero_delay_still_fails_on_a_duplicate_pin() {
    run(async {
        let workspace = TestWorkspace::create_with(json!({ "programming": { "after": "PT10S" }, "locks": 1 })).await;
        let unmanaged = json!({ "device_id": workspace.lock(0), "code": "2468" });
        workspace.post("/_emulator/locks/add_code", unmanaged).await.ok();
        create_fault(&workspace, json!({ "operation": "set", "outcome": { "delay": "PT0S" } })).await;
        let duplicate = workspace.create(json!({ "device_id": workspace.lock(0), "code": "2468" })).await;
        assert_eq!(
            state_of(&workspace, &duplicate["access_code_id"]).await,
            "setting creating duplicate_code_on_device"
        );
        let valid = workspace.create(json!({ "device_id": workspace.lock(0), "code": "1357" })).await;
        assert_eq!(valid["status"], "set");
    });
}

#[test]
fn programming_takes_the_time_set_for_the_workspace() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        assert_eq!(set_programming(&workspace, json!({ "after": "PT10S" })).await, json!({ "after": "PT10S" }));
        let (id, other_id) = (create_code(&workspace, 0).await, create_code(&other, 0).await);
        for (workspace, id, timeline) in [
            (&workspace, &id, [(9_999, "setting creating"), (10_000, "set")]),
            (&other, &other_id, [(249, "setting creating"), (250, "set")]),
        ] {
            for (at, expected) in timeline {
                move_clock_to(workspace, at).await;
                assert_eq!(state_of(workspace, id).await, expected, "at {at}");
            }
        }
        let half = json!({ "programming": { "after": "PT0.5S" } });
        assert_eq!(set_programming(&workspace, half).await, json!({ "after": "PT0.5S" }));
        let id = create_code(&workspace, 0).await;
        move_clock_to(&workspace, 10_499).await;
        assert_eq!(state_of(&workspace, &id).await, "setting creating");
        move_clock_to(&workspace, 10_500).await;
        assert_eq!(state_of(&workspace, &id).await, "set");

        assert_eq!(set_programming(&workspace, json!({ "programming": "at_once" })).await, "at_once");
        let created =
            workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(0), "name": "one" })).await.ok();
        assert_eq!(
            (&created["access_code"]["status"], &created["action_attempt"]["status"]),
            (&json!("set"), &json!("success"))
        );
        let id = &created["access_code"]["access_code_id"];
        update(&workspace, id, json!({ "name": "two" })).await;
        assert_eq!(memory(&workspace, 0).await[2].1, Some("two".to_owned()));
        delete(&workspace, id).await;
        assert_eq!((state_of(&workspace, id).await, memory(&workspace, 0).await.len()), ("gone".to_owned(), 2));
    });
}

#[test]
fn programming_in_progress_ends_at_once_or_later_when_its_time_is_shortened() {
    run(async {
        for (shorter, done_at) in [
            (json!({ "programming": "at_once" }), 5000),
            (json!({ "after": "PT1S" }), 5000),
            (json!({ "after": "PT8S" }), 8000),
        ] {
            let workspace = TestWorkspace::create_with(json!({ "programming": "by_hand", "locks": 1 })).await;
            let id = create_code(&workspace, 0).await;
            move_clock_to(&workspace, 5000).await;
            set_programming(&workspace, shorter).await;
            move_clock_to(&workspace, 20_000).await;
            assert_eq!(events(&workspace, &id).await, ["created@0".to_owned(), format!("set_on_device@{done_at}")]);
        }
    });
}

#[test]
fn programming_by_hand_waits_for_a_step_request() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        assert_eq!(set_programming(&workspace, json!({ "programming": "by_hand" })).await, "by_hand");
        let params = json!({ "device_id": workspace.lock(0), "name": "one", "code": "1357" });
        let id = &workspace.create(params).await["access_code_id"];
        let other = &create_code(&workspace, 0).await;
        move_clock_to(&workspace, 365 * DAY).await;
        for id in [id, other] {
            assert_eq!(state_of(&workspace, id).await, "setting creating delay_in_setting_on_device");
        }
        let set = step(&workspace, id).await.ok()["access_code"].clone();
        assert_eq!((&set["status"], &set), (&json!("set"), &workspace.access_code(id).await));
        assert_eq!(
            state_of(&workspace, other).await,
            "setting creating delay_in_setting_on_device",
            "a step affects only its code"
        );
        let nothing_to_do = step(&workspace, id).await.error(409, "conflict");
        assert!(nothing_to_do["message"].as_str().unwrap().contains("no operation to do"), "{nothing_to_do}");

        update(&workspace, id, json!({ "name": "two", "code": "2468" })).await;
        move_clock_to(&workspace, 365 * DAY + 1000).await;
        assert_eq!(memory(&workspace, 0).await, [("1357".to_owned(), Some("one".to_owned()))]);
        step(&workspace, id).await.ok();
        assert_eq!(memory(&workspace, 0).await, [("2468".to_owned(), Some("two".to_owned()))]);
        assert_eq!(state_of(&workspace, id).await, "set");

        delete(&workspace, id).await;
        move_clock_to(&workspace, 365 * DAY + 2000).await;
        assert_eq!(state_of(&workspace, id).await, "removing deleting being_deleted");
        assert_eq!(step(&workspace, id).await.ok()["access_code"], Value::Null);
        assert_eq!(state_of(&workspace, id).await, "gone");
        step(&workspace, id).await.error(404, "access_code_not_found");
        let at = |name: &str, milliseconds: i64| format!("{name}@{}", 365 * DAY + milliseconds);
        assert_eq!(
            events(&workspace, id).await[2..],
            [
                at("set_on_device", 0),
                at("mutations_requested", 0),
                at("changed", 1000),
                at("name_changed", 1000),
                at("code_changed", 1000),
                at("removed_from_device", 2000),
                at("deleted", 2000),
            ]
        );
    });
}

#[test]
fn step_needs_a_due_operation_on_a_reachable_lock() {
    run(async {
        let workspace = TestWorkspace::create_with(json!({ "programming": "by_hand", "locks": 1 })).await;
        let deferred = workspace.create(window(&workspace, 0, 10 * DAY, 11 * DAY)).await["access_code_id"].clone();
        step(&workspace, &deferred).await.error(409, "conflict");
        let waiting = create_code(&workspace, 0).await;
        change(&workspace, 0, json!({ "online": false })).await;
        step(&workspace, &waiting).await.error(409, "conflict");
        change(&workspace, 0, json!({ "online": true })).await;
        create_fault(&workspace, json!({ "operation": "remove", "outcome": { "fail": {} }, "times": 1 })).await;
        step(&workspace, &waiting).await.ok();
        assert_eq!(state_of(&workspace, &waiting).await, "set");
        // A step can fail, and the next step retries before the retry is due.
        delete(&workspace, &waiting).await;
        step(&workspace, &waiting).await.ok();
        let failed = "removing deleting failed_to_remove_from_device being_deleted";
        assert_eq!(state_of(&workspace, &waiting).await, failed);
        step(&workspace, &waiting).await.ok();
        assert_eq!(state_of(&workspace, &waiting).await, "gone");
        move_clock_to(&workspace, 7 * DAY).await;
        step(&workspace, &deferred).await.ok();
        assert_eq!(state_of(&workspace, &deferred).await, "unset");
        assert_eq!(workspace.access_code(&deferred).await["is_scheduled_on_device"], true);
    });
}

#[test]
fn pin_from_the_provider_is_reported_before_the_code_is_set() {
    run(async {
        let locks = json!([{ "device_type": "salto_lock" }]);
        let workspace = TestWorkspace::create_with(json!({ "programming": "by_hand", "locks": locks })).await;
        let id = &create_code(&workspace, 0).await;
        let first = step(&workspace, id).await.ok()["access_code"].clone();
        assert!(first["code"].is_string() && first["status"] == "setting", "{first}");
        assert_eq!(step(&workspace, id).await.ok()["access_code"]["status"], "set");

        let workspace = TestWorkspace::with(locks).await;
        create_fault(&workspace, json!({ "operation": "set", "outcome": { "delay": "PT0S" } })).await;
        let id = &create_code(&workspace, 0).await;
        move_clock_to(&workspace, 249).await;
        assert_eq!(
            (state_of(&workspace, id).await, &workspace.access_code(id).await["code"]),
            ("setting creating".to_owned(), &Value::Null)
        );
        move_clock_to(&workspace, 250).await;
        assert_eq!(state_of(&workspace, id).await, "set");
        assert_eq!(events(&workspace, id).await, ["created@0", "changed@250", "set_on_device@250"]);
    });
}

#[test]
fn until_quiet_does_not_wait_for_retries() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let broken = create_fault(
            &workspace,
            json!({ "operation": "set", "device_id": workspace.lock(0), "outcome": { "fail": {} } }),
        )
        .await;
        let failing = create_code(&workspace, 0).await;
        assert_eq!(advance_until_idle(&workspace).await, 250);
        assert_eq!(state_of(&workspace, &failing).await, FAILED);
        assert_eq!(advance_until_idle(&workspace).await, 250, "an idle workspace stays at its instant");
        // The clock moves past all other due work.
        let other = workspace.create(window(&workspace, 1, DAY, 2 * DAY)).await["access_code_id"].clone();
        assert_eq!(advance_until_idle(&workspace).await, 2 * DAY + 250);
        assert_eq!(
            (state_of(&workspace, &other).await, state_of(&workspace, &failing).await),
            ("gone".to_owned(), FAILED.to_owned())
        );
        let next = workspace.post("/_emulator/clock/advance", json!({ "until": "next" })).await.ok();
        assert!(next["now"].as_str().unwrap() > after(2 * DAY + 250).as_str(), "the next attempt counts as a due step");
        delete_fault(&workspace, &broken).await;
        move_clock_to(&workspace, 3 * DAY).await;
        assert_eq!(state_of(&workspace, &failing).await, "set");

        // The clock moves to the end of a code, although its programming fails and is retried until then.
        let broken = json!({ "operation": "set", "device_id": workspace.lock(0), "outcome": { "fail": {} } });
        create_fault(&workspace, broken).await;
        let ends = workspace.create(window(&workspace, 0, 4 * DAY, 5 * DAY)).await["access_code_id"].clone();
        assert_eq!(advance_until_idle(&workspace).await, 5 * DAY + 250);
        assert_eq!(events(&workspace, &ends).await.last().unwrap(), &format!("deleted@{}", 5 * DAY + 250));

        // The clock does not move for an operation that never ends, but for one that is delayed.
        let workspace = TestWorkspace::with_locks(3).await;
        for (index, outcome) in [json!("never"), json!({ "delay": "PT5M" })].into_iter().enumerate() {
            create_fault(
                &workspace,
                json!({ "operation": "set", "device_id": workspace.lock(index), "outcome": outcome }),
            )
            .await;
        }
        let late = json!({ "operation": "remove", "device_id": workspace.lock(2), "outcome": { "delay": "PT7M" } });
        create_fault(&workspace, late).await;
        let (never, late, removed) =
            (create_code(&workspace, 0).await, create_code(&workspace, 1).await, create_code(&workspace, 2).await);
        move_clock_to(&workspace, 250).await;
        delete(&workspace, &removed).await;
        assert_eq!(advance_until_idle(&workspace).await, 420_250);
        assert_eq!(
            (state_of(&workspace, &late).await, state_of(&workspace, &removed).await),
            ("set".to_owned(), "gone".to_owned())
        );
        assert_eq!(state_of(&workspace, &never).await, "setting creating delay_in_setting_on_device");
    });
}

#[test]
fn until_quiet_waits_for_codes_that_are_no_longer_blocked() {
    run(async {
        for starts_at in [HOUR, 0] {
            let workspace = TestWorkspace::with_locks(1).await;
            let unmanaged = json!({ "device_id": workspace.lock(0), "code": "2468" });
            workspace.post("/_emulator/locks/add_code", unmanaged.clone()).await.ok();
            let mut params = window(&workspace, 0, starts_at, 100 * DAY);
            params["code"] = json!("2468");
            let blocked = workspace.create(params).await["access_code_id"].clone();
            move_clock_to(&workspace, HOUR - 60_000).await;
            workspace.post("/_emulator/locks/remove_code", unmanaged).await.ok();
            assert_eq!(advance_until_idle(&workspace).await, 100 * DAY + 250);
            let events = events(&workspace, &blocked).await;
            assert!(events.contains(&format!("removed_from_device@{}", 100 * DAY + 250)), "{events:?}");
        }
        let workspace = TestWorkspace::with_locks(1).await;
        let unmanaged = json!({ "device_id": workspace.lock(0), "code": "2468" });
        workspace.post("/_emulator/locks/add_code", unmanaged.clone()).await.ok();
        let blocked =
            workspace.create(json!({ "device_id": workspace.lock(0), "code": "2468" })).await["access_code_id"].clone();
        assert_eq!(advance_until_idle(&workspace).await, 250);
        workspace.post("/_emulator/locks/remove_code", unmanaged).await.ok();
        assert_eq!(advance_until_idle(&workspace).await, 500);
        assert_eq!(state_of(&workspace, &blocked).await, "set");
    });
}

#[test]
fn until_quiet_does_not_wait_for_a_step_replaced_by_an_earlier_one() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params =
            json!({ "device_id": workspace.lock(0), "code": "1111", "is_external_modification_allowed": true });
        let first = workspace.create(params).await["access_code_id"].clone();
        move_clock_to(&workspace, 1000).await;
        let mut params = window(&workspace, 0, 2000, 300 * DAY);
        params["code"] = json!("2222");
        change(&workspace, 0, json!({ "online": false })).await;
        workspace.create(params).await;
        let changed = json!({ "device_id": workspace.lock(0), "code": "1111", "new_code": "2222" });
        workspace.post("/_emulator/locks/change_code", changed).await.ok();
        change(&workspace, 0, json!({ "online": true })).await;
        // The next step of the blocked code is its start. The removal of the other code makes it due earlier.
        move_clock_to(&workspace, 1250).await;
        delete(&workspace, &first).await;
        create_fault(&workspace, json!({ "operation": "remove", "outcome": { "fail": {} } })).await;
        assert_eq!(
            advance_until_idle(&workspace).await,
            300 * DAY + 250,
            "idle, although the removal is retried without limit"
        );
    });
}

#[test]
fn workspace_create_sets_the_programming() {
    run(async {
        for (programming, set_at) in
            [(json!("at_once"), Some(0)), (json!("by_hand"), None), (json!({ "after": "PT2M" }), Some(120_000))]
        {
            let workspace = TestWorkspace::create_with(json!({ "programming": programming, "locks": 1 })).await;
            let id = create_code(&workspace, 0).await;
            move_clock_to(&workspace, DAY).await;
            let events = events(&workspace, &id).await;
            let set_on_device = events.iter().find(|event| event.starts_with("set_on_device"));
            assert_eq!(set_on_device, set_at.map(|at| format!("set_on_device@{at}")).as_ref(), "{programming}");
        }
    });
}

#[test]
fn programming_set_accepts_a_bare_json_string() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for (word, status) in [("at_once", "set"), ("by_hand", "setting")] {
            let set = workspace.post("/_emulator/programming/set", json!(word)).await.ok();
            assert_eq!(set["programming"], word);
            let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
            assert_eq!(code["status"], status, "{word}");
        }
        workspace.post("/_emulator/programming/set", json!("later")).await.error(400, "invalid_input");
    });
}

#[test]
fn has_faults_is_false_again_after_the_last_fault_is_deleted() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let has_faults = async || {
            let workspace_id: uuid::Uuid = workspace.workspace_id.parse().unwrap();
            let statement = "select has_faults from workspace where workspace_id = $1";
            sqlx::query_scalar::<_, bool>(statement)
                .bind(workspace_id)
                .fetch_one(crate::support::app().pool.raw())
                .await
                .unwrap()
        };
        let mut faults = Vec::new();
        for _ in 0..2 {
            let fault = json!({ "operation": "set", "outcome": { "fail": {} } });
            let created = workspace.post("/_emulator/faults/create", fault).await.ok();
            faults.push(created["fault"]["fault_id"].clone());
        }
        for (fault, expected) in faults.iter().zip([true, false]) {
            assert!(has_faults().await);
            workspace.post("/_emulator/faults/delete", json!({ "fault_id": fault })).await.ok();
            assert_eq!(has_faults().await, expected);
        }
        workspace.create(json!({ "device_id": workspace.lock(0), "code": "4826", "sync": true })).await;
    });
}
