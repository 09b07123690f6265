//! What stands in a code's way on the lock itself.

use super::{
    DAY, HOUR, after, change, delete, device, events, fault, go_to, kinds, own_error, seen, told, update, used, window,
};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

/// A code for ten days later on the first lock, which it gets to three days before.
async fn far_ahead(workspace: &TestWorkspace, code: &str) -> Value {
    let mut params = window(workspace, 0, 10 * DAY, 12 * DAY);
    params["code"] = json!(code);
    workspace.create(params).await["access_code_id"].clone()
}

/// When the lock has told what it makes of such a code.
const TRIED: i64 = 7 * DAY + 250;

async fn add_foreign(workspace: &TestWorkspace, code: &str) -> Value {
    let added = json!({ "device_id": workspace.lock(0), "code": code });
    workspace.post("/_emulator/locks/add_code", added).await.ok()["access_code"]["access_code_id"].clone()
}

async fn remove_at_the_lock(workspace: &TestWorkspace, code: &str) {
    let removed = json!({ "device_id": workspace.lock(0), "code": code });
    workspace.post("/_emulator/locks/remove_code", removed).await.ok();
}

/// A managed code that got the PIN 2222 at the lock, and one that is to have it from the tenth day on.
async fn doubled(workspace: &TestWorkspace) -> (Value, Value) {
    let params = json!({ "device_id": workspace.lock(0), "code": "1111", "is_external_modification_allowed": true });
    let first = workspace.create(params).await["access_code_id"].clone();
    go_to(workspace, 250).await;
    let second = far_ahead(workspace, "2222").await;
    let changed = json!({ "device_id": workspace.lock(0), "code": "1111", "new_code": "2222" });
    workspace.post("/_emulator/locks/change_code", changed).await.ok();
    go_to(workspace, TRIED).await;
    (first, second)
}

#[test]
fn a_pin_that_breaks_the_locks_rules_on_the_lock_is_not_tried_again_until_it_is_changed() {
    run(async {
        let rules = [
            json!({ "code_constraints": [{ "constraint_type": "cannot_start_with_12" }] }),
            json!({ "supported_code_lengths": [6] }),
        ];
        for (rule, allowed) in rules.into_iter().zip(["4321", "123456"]) {
            let workspace = TestWorkspace::with_locks(1).await;
            let id = &far_ahead(&workspace, "1234").await;
            // Counts the attempts and changes nothing else.
            fault(&workspace, json!({ "operation": "set", "outcome": { "delay": "PT0.25S" } })).await;
            change(&workspace, 0, rule).await;
            for at in [TRIED, TRIED + DAY] {
                go_to(&workspace, at).await;
                let code = workspace.access_code(id).await;
                let error = own_error(&code["errors"][0], "code_constraints_violated", TRIED);
                assert_eq!((&code["status"], &code["errors"]), (&json!("unset"), &json!([error])));
                assert_eq!(used(&workspace).await, [1], "tried once");
            }
            let failures = told(&workspace, "access_code.failed_to_set_on_device").await;
            assert_eq!(failures.len(), 1);
            assert_eq!(kinds(&failures[0]["access_code_errors"]), ["code_constraints_violated"]);
            update(&workspace, id, json!({ "code": allowed })).await;
            assert_eq!(seen(&workspace, id).await, "unset creating");
            go_to(&workspace, TRIED + DAY + 250).await;
            assert_eq!(seen(&workspace, id).await, "unset");
            assert_eq!(
                (&workspace.access_code(id).await["is_scheduled_on_device"], used(&workspace).await),
                (&json!(true), vec![2])
            );
        }
    });
}

#[test]
fn a_full_memory_is_an_error_of_the_code_and_a_warning_of_the_lock_until_there_is_room() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "wyze_lock", "max_active_codes_supported": 2 }])).await;
        let id = &far_ahead(&workspace, "1357").await;
        assert_eq!(device(&workspace, 0).await["warnings"], json!([]));
        for pin in ["1111", "2222"] {
            add_foreign(&workspace, pin).await;
        }
        go_to(&workspace, TRIED).await;
        let code = workspace.access_code(id).await;
        let error = own_error(&code["errors"][0], "no_space_for_access_code_on_device", TRIED);
        assert_eq!((&code["status"], &code["errors"]), (&json!("unset"), &json!([error])));
        let full = |device: &Value| {
            let warning = &device["warnings"][0];
            let counts =
                (warning["active_access_code_count"].as_i64(), warning["max_active_access_code_count"].as_i64());
            (kinds(&device["warnings"]).join(" "), counts)
        };
        let is_full = ("max_access_codes_reached".to_owned(), (Some(2), Some(2)));
        assert_eq!(full(&device(&workspace, 0).await), is_full);
        go_to(&workspace, TRIED + HOUR).await;
        assert_eq!(told(&workspace, "access_code.failed_to_set_on_device").await.len(), 1);

        remove_at_the_lock(&workspace, "1111").await;
        assert_eq!(device(&workspace, 0).await["warnings"], json!([]));
        go_to(&workspace, TRIED + HOUR + 249).await;
        assert_eq!(seen(&workspace, id).await, "unset creating no_space_for_access_code_on_device");
        go_to(&workspace, TRIED + HOUR + 250).await;
        assert_eq!(seen(&workspace, id).await, "unset");
        // It waits for its start, and counts.
        assert_eq!(workspace.access_code(id).await["is_scheduled_on_device"], true);
        let device = device(&workspace, 0).await;
        assert_eq!(full(&device), is_full);
        assert_eq!(device["warnings"][0]["created_at"], after(TRIED + HOUR + 250), "full since the last code came");
        assert_eq!(
            events(&workspace, id).await.last().unwrap(),
            &format!("scheduled_on_device@{}", TRIED + HOUR + 250)
        );
    });
}

#[test]
fn a_pin_that_is_on_the_lock_already_is_a_duplicate_until_the_other_is_gone() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        let (first, second) = doubled(&workspace).await;
        let code = workspace.access_code(&second).await;
        let mut error = own_error(&code["errors"][0], "duplicate_code_on_device", TRIED);
        error["managed_access_code_id"] = first.clone();
        assert_eq!((&code["status"], &code["errors"]), (&json!("unset"), &json!([error])));
        go_to(&workspace, TRIED + HOUR).await;
        delete(&workspace, &first).await;
        go_to(&workspace, TRIED + HOUR + 250).await;
        assert_eq!(seen(&workspace, &first).await, "gone");
        assert_eq!(seen(&workspace, &second).await, "unset creating duplicate_code_on_device", "tried, not confirmed");
        go_to(&workspace, TRIED + HOUR + 500).await;
        assert_eq!(seen(&workspace, &second).await, "unset");
        assert_eq!(workspace.access_code(&second).await["is_scheduled_on_device"], true);
        assert_eq!(told(&workspace, "access_code.failed_to_set_on_device").await.len(), 1);

        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        let ours = &far_ahead(&workspace, "2222").await;
        let foreign = add_foreign(&workspace, "2222").await;
        go_to(&workspace, TRIED).await;
        let code = workspace.access_code(ours).await;
        let mut error = own_error(&code["errors"][0], "duplicate_code_on_device", TRIED);
        error["unmanaged_access_code_id"] = foreign;
        assert_eq!((&code["status"], &code["errors"]), (&json!("unset"), &json!([error])));
        go_to(&workspace, TRIED + HOUR).await;
        remove_at_the_lock(&workspace, "2222").await;
        go_to(&workspace, TRIED + HOUR + 250).await;
        assert_eq!(seen(&workspace, ours).await, "unset");
        assert_eq!(workspace.access_code(ours).await["is_scheduled_on_device"], true);
    });
}

#[test]
fn however_a_pin_is_given_up_the_code_that_waits_for_it_is_tried_at_once() {
    run(async {
        for way in ["deleted", "changed", "by hand"] {
            let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
            let (first, second) = doubled(&workspace).await;
            // Its next attempt of its own is minutes away.
            go_to(&workspace, TRIED + HOUR).await;
            assert_eq!(seen(&workspace, &second).await, "unset creating duplicate_code_on_device");
            let mut request = json!({ "access_code_id": first, "sync": true });
            match way {
                "deleted" => drop(workspace.post("/access_codes/delete", request).await.ok()),
                "changed" => {
                    request["code"] = json!("3333");
                    workspace.post("/access_codes/update", request).await.ok();
                }
                _ => {
                    delete(&workspace, &first).await;
                    workspace.post("/_emulator/access_codes/step", json!({ "access_code_id": first })).await.ok();
                }
            }
            go_to(&workspace, TRIED + HOUR + 250).await;
            assert_eq!(seen(&workspace, &second).await, "unset", "{way}");
        }
    });
}

#[test]
fn codes_of_one_pin_that_the_lock_never_holds_together_do_not_clash() {
    run(async {
        let workspace = TestWorkspace::make(json!({ "locks": 1, "allow_same_code_in_disjoint_windows": true })).await;
        let mut ids = Vec::new();
        for (starts_at, ends_at) in [(0, DAY), (5 * DAY, 6 * DAY)] {
            let mut params = window(&workspace, 0, starts_at, ends_at);
            params["code"] = json!("1357");
            ids.push(workspace.create(params).await["access_code_id"].clone());
        }
        go_to(&workspace, 250).await;
        assert_eq!(
            (seen(&workspace, &ids[0]).await, seen(&workspace, &ids[1]).await),
            ("set".to_owned(), "unset deferring_creation".to_owned())
        );
        assert_eq!(workspace.access_code(&ids[1]).await["starts_at"], after(5 * DAY));
        go_to(&workspace, 5 * DAY).await;
        assert_eq!(
            (seen(&workspace, &ids[0]).await, seen(&workspace, &ids[1]).await),
            ("gone".to_owned(), "set".to_owned())
        );
    });
}
