//! Faults that a tester arranges, and how fast codes progress.

use crate::support::{TestWorkspace, UNKNOWN, run};
use crate::trouble::{
    DAY, HOUR, after, change, delete, events, fault, faults, go_to, memory, no_fault, seen, until_quiet, update, used,
    window,
};
use serde_json::{Value, json};

mod refused;

async fn make(workspace: &TestWorkspace, index: usize) -> Value {
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
fn a_fault_hits_the_operations_it_names_and_no_others() {
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
            let made = workspace.post("/_emulator/faults/create", fault.clone()).await.ok()["fault"].clone();
            for (name, value) in fault.as_object().unwrap() {
                assert_eq!(made[name], *value);
            }
            assert_eq!(
                (&made["used"], &made["is_exhausted"], &made["created_at"]),
                (&json!(0), &json!(false), &json!(after(0)))
            );
            ids.push(made["fault_id"].clone());
        }
        let listed: Vec<Value> = faults(&workspace).await.iter().map(|fault| fault["fault_id"].clone()).collect();
        assert_eq!(listed, ids, "in the order in which they were made");
        let codes = [make(&workspace, 0).await, make(&workspace, 1).await, make(&workspace, 2).await];
        go_to(&workspace, 1000).await;
        for (code, expected) in codes.iter().zip([FAILED, "set", "set"]) {
            assert_eq!(seen(&workspace, code).await, expected);
        }
        update(&workspace, &codes[1], json!({ "name": "renamed" })).await;
        go_to(&workspace, 2000).await;
        for code in &codes {
            delete(&workspace, code).await;
        }
        go_to(&workspace, 3000).await;
        for (code, expected) in
            codes.iter().zip(["gone", "gone", "removing deleting failed_to_remove_from_device being_deleted"])
        {
            assert_eq!(seen(&workspace, code).await, expected);
        }
        assert_eq!(used(&workspace).await, [1, 1, 0, 0, 0, 0, 0], "those of no operation are there and unused");

        no_fault(&workspace, &ids[0]).await;
        no_fault(&workspace, &ids[1]).await;
        assert_eq!(faults(&workspace).await.len(), 5);
        let free = make(&workspace, 0).await;
        go_to(&workspace, HOUR).await;
        assert_eq!(
            (seen(&workspace, &free).await, seen(&workspace, &codes[2]).await),
            ("set".to_owned(), "gone".to_owned())
        );
        let twice = workspace.post("/_emulator/faults/delete", json!({ "fault_id": ids[0] })).await;
        twice.error(404, "fault_not_found");
    });
}

#[test]
fn a_fault_lets_some_pass_then_hits_some_and_says_how_often() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let params = json!({ "operation": "set", "outcome": { "fail": {} }, "after": 1, "times": 2 });
        fault(&workspace, params).await;
        // It counts the operations of all locks.
        let mut ids = Vec::new();
        for (index, (struck, is_exhausted)) in [(0, false), (1, false), (2, true), (2, true)].into_iter().enumerate() {
            ids.push(make(&workspace, index % 2).await);
            let fault = &faults(&workspace).await[0];
            assert_eq!((&fault["used"], &fault["is_exhausted"]), (&json!(struck), &json!(is_exhausted)));
        }
        go_to(&workspace, 250).await;
        for (id, expected) in ids.iter().zip(["set", FAILED, FAILED, "set"]) {
            assert_eq!(seen(&workspace, id).await, expected);
        }
        go_to(&workspace, HOUR).await;
        assert_eq!((used(&workspace).await, seen(&workspace, &ids[1]).await), (vec![2], "set".to_owned()));

        // Of several the oldest that is not exhausted and does not let pass.
        let workspace = TestWorkspace::with_locks(1).await;
        let issue = json!({ "fail": { "error_code": "provider_issue" } });
        fault(&workspace, json!({ "operation": "set", "outcome": issue, "after": 1, "times": 1 })).await;
        fault(&workspace, json!({ "operation": "set", "outcome": { "fail": {} }, "times": 2 })).await;
        let ids = [
            make(&workspace, 0).await,
            make(&workspace, 0).await,
            make(&workspace, 0).await,
            make(&workspace, 0).await,
        ];
        go_to(&workspace, 250).await;
        for (id, expected) in ids.iter().zip([FAILED, "setting creating provider_issue", FAILED, "set"]) {
            assert_eq!(seen(&workspace, id).await, expected);
        }
        assert_eq!(used(&workspace).await, [1, 2]);
    });
}

#[test]
fn an_operation_can_fail_come_late_or_never_end() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let fails = json!({ "fail": { "error_code": "access_code_inactive", "message": "switched off" } });
        for (index, outcome) in [fails, json!({ "delay": "PT5M" }), json!("never")].into_iter().enumerate() {
            fault(&workspace, json!({ "operation": "set", "device_id": workspace.lock(index), "outcome": outcome }))
                .await;
        }
        let ids = [make(&workspace, 0).await, make(&workspace, 1).await, make(&workspace, 2).await];
        go_to(&workspace, 250).await;
        let expected = json!([{ "error_code": "access_code_inactive", "message": "switched off",
                                "created_at": after(250), "is_access_code_error": true }]);
        assert_eq!(workspace.access_code(&ids[0]).await["errors"], expected);
        go_to(&workspace, 299_999).await;
        assert_eq!(seen(&workspace, &ids[1]).await, "setting creating delay_in_setting_on_device");
        go_to(&workspace, 300_000).await;
        assert_eq!(seen(&workspace, &ids[1]).await, "set");
        go_to(&workspace, 300 * DAY).await;
        assert_eq!(seen(&workspace, &ids[2]).await, "setting creating delay_in_setting_on_device");
    });
}

#[test]
fn an_operation_that_a_fault_speeds_up_still_finds_what_stands_in_its_way() {
    run(async {
        let workspace = TestWorkspace::make(json!({ "programming": { "after": "PT10S" }, "locks": 1 })).await;
        let foreign = json!({ "device_id": workspace.lock(0), "code": "2468" });
        workspace.post("/_emulator/locks/add_code", foreign).await.ok();
        fault(&workspace, json!({ "operation": "set", "outcome": { "delay": "PT0S" } })).await;
        let double = workspace.create(json!({ "device_id": workspace.lock(0), "code": "2468" })).await;
        assert_eq!(seen(&workspace, &double["access_code_id"]).await, "setting creating duplicate_code_on_device");
        let fine = workspace.create(json!({ "device_id": workspace.lock(0), "code": "1357" })).await;
        assert_eq!(fine["status"], "set");
    });
}

#[test]
fn programming_takes_as_long_as_the_workspace_says() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        assert_eq!(set_programming(&workspace, json!({ "after": "PT10S" })).await, json!({ "after": "PT10S" }));
        let (id, others) = (make(&workspace, 0).await, make(&other, 0).await);
        for (workspace, id, life) in [
            (&workspace, &id, [(9_999, "setting creating"), (10_000, "set")]),
            (&other, &others, [(249, "setting creating"), (250, "set")]),
        ] {
            for (at, expected) in life {
                go_to(workspace, at).await;
                assert_eq!(seen(workspace, id).await, expected, "at {at}");
            }
        }
        let half = json!({ "programming": { "after": "PT0.5S" } });
        assert_eq!(set_programming(&workspace, half).await, json!({ "after": "PT0.5S" }));
        let id = make(&workspace, 0).await;
        go_to(&workspace, 10_499).await;
        assert_eq!(seen(&workspace, &id).await, "setting creating");
        go_to(&workspace, 10_500).await;
        assert_eq!(seen(&workspace, &id).await, "set");

        assert_eq!(set_programming(&workspace, json!({ "programming": "at_once" })).await, "at_once");
        let made =
            workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(0), "name": "one" })).await.ok();
        assert_eq!(
            (&made["access_code"]["status"], &made["action_attempt"]["status"]),
            (&json!("set"), &json!("success"))
        );
        let id = &made["access_code"]["access_code_id"];
        update(&workspace, id, json!({ "name": "two" })).await;
        assert_eq!(memory(&workspace, 0).await[2].1, Some("two".to_owned()));
        delete(&workspace, id).await;
        assert_eq!((seen(&workspace, id).await, memory(&workspace, 0).await.len()), ("gone".to_owned(), 2));
    });
}

#[test]
fn work_in_flight_that_is_to_take_less_time_is_done_now_and_not_before() {
    run(async {
        for (sooner, done_at) in [
            (json!({ "programming": "at_once" }), 5000),
            (json!({ "after": "PT1S" }), 5000),
            (json!({ "after": "PT8S" }), 8000),
        ] {
            let workspace = TestWorkspace::make(json!({ "programming": "by_hand", "locks": 1 })).await;
            let id = make(&workspace, 0).await;
            go_to(&workspace, 5000).await;
            set_programming(&workspace, sooner).await;
            go_to(&workspace, 20_000).await;
            assert_eq!(events(&workspace, &id).await, ["created@0".to_owned(), format!("set_on_device@{done_at}")]);
        }
    });
}

#[test]
fn by_hand_nothing_is_done_until_it_is_stepped() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        assert_eq!(set_programming(&workspace, json!({ "programming": "by_hand" })).await, "by_hand");
        let params = json!({ "device_id": workspace.lock(0), "name": "one", "code": "1357" });
        let id = &workspace.create(params).await["access_code_id"];
        let other = &make(&workspace, 0).await;
        go_to(&workspace, 365 * DAY).await;
        for id in [id, other] {
            assert_eq!(seen(&workspace, id).await, "setting creating delay_in_setting_on_device");
        }
        let set = step(&workspace, id).await.ok()["access_code"].clone();
        assert_eq!((&set["status"], &set), (&json!("set"), &workspace.access_code(id).await));
        assert_eq!(seen(&workspace, other).await, "setting creating delay_in_setting_on_device", "one code, one step");
        let nothing_to_do = step(&workspace, id).await.error(409, "conflict");
        assert!(nothing_to_do["message"].as_str().unwrap().contains("nothing to do"), "{nothing_to_do}");

        update(&workspace, id, json!({ "name": "two", "code": "2468" })).await;
        go_to(&workspace, 365 * DAY + 1000).await;
        assert_eq!(memory(&workspace, 0).await, [("1357".to_owned(), Some("one".to_owned()))]);
        step(&workspace, id).await.ok();
        assert_eq!(memory(&workspace, 0).await, [("2468".to_owned(), Some("two".to_owned()))]);
        assert_eq!(seen(&workspace, id).await, "set");

        delete(&workspace, id).await;
        go_to(&workspace, 365 * DAY + 2000).await;
        assert_eq!(seen(&workspace, id).await, "removing deleting being_deleted");
        assert_eq!(step(&workspace, id).await.ok()["access_code"], Value::Null);
        assert_eq!(seen(&workspace, id).await, "gone");
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
fn a_step_by_hand_needs_something_that_is_due_on_a_lock_in_reach() {
    run(async {
        let workspace = TestWorkspace::make(json!({ "programming": "by_hand", "locks": 1 })).await;
        let deferred = workspace.create(window(&workspace, 0, 10 * DAY, 11 * DAY)).await["access_code_id"].clone();
        step(&workspace, &deferred).await.error(409, "conflict");
        let waiting = make(&workspace, 0).await;
        change(&workspace, 0, json!({ "online": false })).await;
        step(&workspace, &waiting).await.error(409, "conflict");
        change(&workspace, 0, json!({ "online": true })).await;
        fault(&workspace, json!({ "operation": "remove", "outcome": { "fail": {} }, "times": 1 })).await;
        step(&workspace, &waiting).await.ok();
        assert_eq!(seen(&workspace, &waiting).await, "set");
        // A step may fail as well, and the next one try again before its time.
        delete(&workspace, &waiting).await;
        step(&workspace, &waiting).await.ok();
        let failed = "removing deleting failed_to_remove_from_device being_deleted";
        assert_eq!(seen(&workspace, &waiting).await, failed);
        step(&workspace, &waiting).await.ok();
        assert_eq!(seen(&workspace, &waiting).await, "gone");
        go_to(&workspace, 7 * DAY).await;
        step(&workspace, &deferred).await.ok();
        assert_eq!(seen(&workspace, &deferred).await, "unset");
        assert_eq!(workspace.access_code(&deferred).await["is_scheduled_on_device"], true);
    });
}

#[test]
fn a_pin_is_told_before_the_lock_has_it_whatever_hurries() {
    run(async {
        let locks = json!([{ "device_type": "salto_lock" }]);
        let workspace = TestWorkspace::make(json!({ "programming": "by_hand", "locks": locks })).await;
        let id = &make(&workspace, 0).await;
        let first = step(&workspace, id).await.ok()["access_code"].clone();
        assert!(first["code"].is_string() && first["status"] == "setting", "{first}");
        assert_eq!(step(&workspace, id).await.ok()["access_code"]["status"], "set");

        let workspace = TestWorkspace::with(locks).await;
        fault(&workspace, json!({ "operation": "set", "outcome": { "delay": "PT0S" } })).await;
        let id = &make(&workspace, 0).await;
        go_to(&workspace, 249).await;
        assert_eq!(
            (seen(&workspace, id).await, &workspace.access_code(id).await["code"]),
            ("setting creating".to_owned(), &Value::Null)
        );
        go_to(&workspace, 250).await;
        assert_eq!(seen(&workspace, id).await, "set");
        assert_eq!(events(&workspace, id).await, ["created@0", "changed@250", "set_on_device@250"]);
    });
}

#[test]
fn until_quiet_does_not_wait_for_what_is_only_tried_again() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let broken =
            fault(&workspace, json!({ "operation": "set", "device_id": workspace.lock(0), "outcome": { "fail": {} } }))
                .await;
        let failing = make(&workspace, 0).await;
        assert_eq!(until_quiet(&workspace).await, 250);
        assert_eq!(seen(&workspace, &failing).await, FAILED);
        assert_eq!(until_quiet(&workspace).await, 250, "quiet is quiet");
        // What else is to come is waited for.
        let other = workspace.create(window(&workspace, 1, DAY, 2 * DAY)).await["access_code_id"].clone();
        assert_eq!(until_quiet(&workspace).await, 2 * DAY + 250);
        assert_eq!(
            (seen(&workspace, &other).await, seen(&workspace, &failing).await),
            ("gone".to_owned(), FAILED.to_owned())
        );
        let next = workspace.post("/_emulator/clock/advance", json!({ "until": "next" })).await.ok();
        assert!(next["now"].as_str().unwrap() > after(2 * DAY + 250).as_str(), "the next attempt is something to come");
        no_fault(&workspace, &broken).await;
        go_to(&workspace, 3 * DAY).await;
        assert_eq!(seen(&workspace, &failing).await, "set");

        // The end of a code is waited for although it is tried again until then, in vain.
        let broken = json!({ "operation": "set", "device_id": workspace.lock(0), "outcome": { "fail": {} } });
        fault(&workspace, broken).await;
        let ends = workspace.create(window(&workspace, 0, 4 * DAY, 5 * DAY)).await["access_code_id"].clone();
        assert_eq!(until_quiet(&workspace).await, 5 * DAY + 250);
        assert_eq!(events(&workspace, &ends).await.last().unwrap(), &format!("deleted@{}", 5 * DAY + 250));

        // What never ends is not waited for either, what comes late is.
        let workspace = TestWorkspace::with_locks(3).await;
        for (index, outcome) in [json!("never"), json!({ "delay": "PT5M" })].into_iter().enumerate() {
            fault(&workspace, json!({ "operation": "set", "device_id": workspace.lock(index), "outcome": outcome }))
                .await;
        }
        let late = json!({ "operation": "remove", "device_id": workspace.lock(2), "outcome": { "delay": "PT7M" } });
        fault(&workspace, late).await;
        let (never, late, removed) = (make(&workspace, 0).await, make(&workspace, 1).await, make(&workspace, 2).await);
        go_to(&workspace, 250).await;
        delete(&workspace, &removed).await;
        assert_eq!(until_quiet(&workspace).await, 420_250);
        assert_eq!(
            (seen(&workspace, &late).await, seen(&workspace, &removed).await),
            ("set".to_owned(), "gone".to_owned())
        );
        assert_eq!(seen(&workspace, &never).await, "setting creating delay_in_setting_on_device");
    });
}

#[test]
fn until_quiet_waits_for_what_begins_because_its_obstacle_is_gone() {
    run(async {
        for starts_at in [HOUR, 0] {
            let workspace = TestWorkspace::with_locks(1).await;
            let foreign = json!({ "device_id": workspace.lock(0), "code": "2468" });
            workspace.post("/_emulator/locks/add_code", foreign.clone()).await.ok();
            let mut params = window(&workspace, 0, starts_at, 100 * DAY);
            params["code"] = json!("2468");
            let blocked = workspace.create(params).await["access_code_id"].clone();
            go_to(&workspace, HOUR - 60_000).await;
            workspace.post("/_emulator/locks/remove_code", foreign).await.ok();
            assert_eq!(until_quiet(&workspace).await, 100 * DAY + 250);
            let events = events(&workspace, &blocked).await;
            assert!(events.contains(&format!("removed_from_device@{}", 100 * DAY + 250)), "{events:?}");
        }
        let workspace = TestWorkspace::with_locks(1).await;
        let foreign = json!({ "device_id": workspace.lock(0), "code": "2468" });
        workspace.post("/_emulator/locks/add_code", foreign.clone()).await.ok();
        let blocked =
            workspace.create(json!({ "device_id": workspace.lock(0), "code": "2468" })).await["access_code_id"].clone();
        assert_eq!(until_quiet(&workspace).await, 250);
        workspace.post("/_emulator/locks/remove_code", foreign).await.ok();
        assert_eq!(until_quiet(&workspace).await, 500);
        assert_eq!(seen(&workspace, &blocked).await, "set");
    });
}

#[test]
fn until_quiet_does_not_wait_for_a_step_that_another_one_has_replaced() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params =
            json!({ "device_id": workspace.lock(0), "code": "1111", "is_external_modification_allowed": true });
        let first = workspace.create(params).await["access_code_id"].clone();
        go_to(&workspace, 1000).await;
        let mut params = window(&workspace, 0, 2000, 300 * DAY);
        params["code"] = json!("2222");
        change(&workspace, 0, json!({ "online": false })).await;
        workspace.create(params).await;
        let changed = json!({ "device_id": workspace.lock(0), "code": "1111", "new_code": "2222" });
        workspace.post("/_emulator/locks/change_code", changed).await.ok();
        change(&workspace, 0, json!({ "online": true })).await;
        // The next step of the one that is blocked is its start. That the other goes makes it begin before.
        go_to(&workspace, 1250).await;
        delete(&workspace, &first).await;
        fault(&workspace, json!({ "operation": "remove", "outcome": { "fail": {} } })).await;
        assert_eq!(
            until_quiet(&workspace).await,
            300 * DAY + 250,
            "and it is quiet although the removal fails for ever"
        );
    });
}

#[test]
fn a_workspace_begins_with_its_own_programming() {
    run(async {
        for (programming, set_at) in
            [(json!("at_once"), Some(0)), (json!("by_hand"), None), (json!({ "after": "PT2M" }), Some(120_000))]
        {
            let workspace = TestWorkspace::make(json!({ "programming": programming, "locks": 1 })).await;
            let id = make(&workspace, 0).await;
            go_to(&workspace, DAY).await;
            let events = events(&workspace, &id).await;
            let set_on_device = events.iter().find(|event| event.starts_with("set_on_device"));
            assert_eq!(set_on_device, set_at.map(|at| format!("set_on_device@{at}")).as_ref(), "{programming}");
        }
    });
}

#[test]
fn programming_can_be_set_by_a_bare_word() {
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
fn a_workspace_knows_again_that_it_has_no_fault_when_the_last_one_is_deleted() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let has_faults = async || {
            let workspace_id: uuid::Uuid = workspace.workspace_id.parse().unwrap();
            let column = "select has_faults from workspace where workspace_id = $1";
            sqlx::query_scalar::<_, bool>(column)
                .bind(workspace_id)
                .fetch_one(crate::support::app().pool.raw())
                .await
                .unwrap()
        };
        let mut faults = Vec::new();
        for _ in 0..2 {
            let fault = json!({ "operation": "set", "outcome": { "fail": {} } });
            let made = workspace.post("/_emulator/faults/create", fault).await.ok();
            faults.push(made["fault"]["fault_id"].clone());
        }
        for (fault, left) in faults.iter().zip([true, false]) {
            assert!(has_faults().await);
            workspace.post("/_emulator/faults/delete", json!({ "fault_id": fault })).await.ok();
            assert_eq!(has_faults().await, left);
        }
        workspace.create(json!({ "device_id": workspace.lock(0), "code": "4826", "sync": true })).await;
    });
}
