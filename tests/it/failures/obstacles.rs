//! Obstacles on the lock: broken code constraints, a full memory, and a duplicate PIN.

use super::{
    DAY, HOUR, access_code_error, after, change, create_fault, delete, device, events, events_of_type, fault_uses,
    issue_codes, move_clock_to, state_of, update, window,
};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

/// Creates a code on the first lock that starts in ten days. Its programming begins three days before.
async fn create_future_code(workspace: &TestWorkspace, code: &str) -> Value {
    let mut params = window(workspace, 0, 10 * DAY, 12 * DAY);
    params["code"] = json!(code);
    workspace.create(params).await["access_code_id"].clone()
}

/// End of the first programming attempt of such a code, in milliseconds after the start.
const TRIED: i64 = 7 * DAY + 250;

async fn add_unmanaged(workspace: &TestWorkspace, code: &str) -> Value {
    let added = json!({ "device_id": workspace.lock(0), "code": code });
    workspace.post("/_emulator/locks/add_code", added).await.ok()["access_code"]["access_code_id"].clone()
}

async fn remove_at_the_lock(workspace: &TestWorkspace, code: &str) {
    let removed = json!({ "device_id": workspace.lock(0), "code": code });
    workspace.post("/_emulator/locks/remove_code", removed).await.ok();
}

/// Creates a managed code whose PIN is changed to 2222 at the lock, and a code with PIN 2222 that starts in ten days.
async fn create_duplicate_pins(workspace: &TestWorkspace) -> (Value, Value) {
    let params = json!({ "device_id": workspace.lock(0), "code": "1111", "is_external_modification_allowed": true });
    let first = workspace.create(params).await["access_code_id"].clone();
    move_clock_to(workspace, 250).await;
    let second = create_future_code(workspace, "2222").await;
    let changed = json!({ "device_id": workspace.lock(0), "code": "1111", "new_code": "2222" });
    workspace.post("/_emulator/locks/change_code", changed).await.ok();
    move_clock_to(workspace, TRIED).await;
    (first, second)
}

#[test]
fn pin_that_breaks_the_code_constraints_is_not_retried_until_it_is_changed() {
    run(async {
        let rules = [
            json!({ "code_constraints": [{ "constraint_type": "cannot_start_with_12" }] }),
            json!({ "supported_code_lengths": [6] }),
        ];
        for (rule, allowed) in rules.into_iter().zip(["4321", "123456"]) {
            let workspace = TestWorkspace::with_locks(1).await;
            let id = &create_future_code(&workspace, "1234").await;
            // The fault only counts the attempts: its delay is the usual one.
            create_fault(&workspace, json!({ "operation": "set", "outcome": { "delay": "PT0.25S" } })).await;
            change(&workspace, 0, rule).await;
            for at in [TRIED, TRIED + DAY] {
                move_clock_to(&workspace, at).await;
                let code = workspace.access_code(id).await;
                let error = access_code_error(&code["errors"][0], "code_constraints_violated", TRIED);
                assert_eq!((&code["status"], &code["errors"]), (&json!("unset"), &json!([error])));
                assert_eq!(fault_uses(&workspace).await, [1], "tried once");
            }
            let failures = events_of_type(&workspace, "access_code.failed_to_set_on_device").await;
            assert_eq!(failures.len(), 1);
            assert_eq!(issue_codes(&failures[0]["access_code_errors"]), ["code_constraints_violated"]);
            update(&workspace, id, json!({ "code": allowed })).await;
            assert_eq!(state_of(&workspace, id).await, "unset creating");
            move_clock_to(&workspace, TRIED + DAY + 250).await;
            assert_eq!(state_of(&workspace, id).await, "unset");
            assert_eq!(
                (&workspace.access_code(id).await["is_scheduled_on_device"], fault_uses(&workspace).await),
                (&json!(true), vec![2])
            );
        }
    });
}

#[test]
fn full_memory_is_a_code_error_and_a_device_warning_until_a_place_is_free() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "wyze_lock", "max_active_codes_supported": 2 }])).await;
        let id = &create_future_code(&workspace, "1357").await;
        assert_eq!(device(&workspace, 0).await["warnings"], json!([]));
        for pin in ["1111", "2222"] {
            add_unmanaged(&workspace, pin).await;
        }
        move_clock_to(&workspace, TRIED).await;
        let code = workspace.access_code(id).await;
        let error = access_code_error(&code["errors"][0], "no_space_for_access_code_on_device", TRIED);
        assert_eq!((&code["status"], &code["errors"]), (&json!("unset"), &json!([error])));
        let full = |device: &Value| {
            let warning = &device["warnings"][0];
            let counts =
                (warning["active_access_code_count"].as_i64(), warning["max_active_access_code_count"].as_i64());
            (issue_codes(&device["warnings"]).join(" "), counts)
        };
        let is_full = ("max_access_codes_reached".to_owned(), (Some(2), Some(2)));
        assert_eq!(full(&device(&workspace, 0).await), is_full);
        move_clock_to(&workspace, TRIED + HOUR).await;
        assert_eq!(events_of_type(&workspace, "access_code.failed_to_set_on_device").await.len(), 1);

        remove_at_the_lock(&workspace, "1111").await;
        assert_eq!(device(&workspace, 0).await["warnings"], json!([]));
        move_clock_to(&workspace, TRIED + HOUR + 249).await;
        assert_eq!(state_of(&workspace, id).await, "unset creating no_space_for_access_code_on_device");
        move_clock_to(&workspace, TRIED + HOUR + 250).await;
        assert_eq!(state_of(&workspace, id).await, "unset");
        // The code waits for its start and counts towards the capacity.
        assert_eq!(workspace.access_code(id).await["is_scheduled_on_device"], true);
        let device = device(&workspace, 0).await;
        assert_eq!(full(&device), is_full);
        assert_eq!(device["warnings"][0]["created_at"], after(TRIED + HOUR + 250), "full since the last code");
        assert_eq!(
            events(&workspace, id).await.last().unwrap(),
            &format!("scheduled_on_device@{}", TRIED + HOUR + 250)
        );
    });
}

#[test]
fn pin_already_on_the_lock_is_a_duplicate_until_the_other_code_is_gone() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        let (first, second) = create_duplicate_pins(&workspace).await;
        let code = workspace.access_code(&second).await;
        let mut error = access_code_error(&code["errors"][0], "duplicate_code_on_device", TRIED);
        error["managed_access_code_id"] = first.clone();
        assert_eq!((&code["status"], &code["errors"]), (&json!("unset"), &json!([error])));
        move_clock_to(&workspace, TRIED + HOUR).await;
        delete(&workspace, &first).await;
        move_clock_to(&workspace, TRIED + HOUR + 250).await;
        assert_eq!(state_of(&workspace, &first).await, "gone");
        assert_eq!(
            state_of(&workspace, &second).await,
            "unset creating duplicate_code_on_device",
            "retried, but not confirmed yet"
        );
        move_clock_to(&workspace, TRIED + HOUR + 500).await;
        assert_eq!(state_of(&workspace, &second).await, "unset");
        assert_eq!(workspace.access_code(&second).await["is_scheduled_on_device"], true);
        assert_eq!(events_of_type(&workspace, "access_code.failed_to_set_on_device").await.len(), 1);

        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        let managed = &create_future_code(&workspace, "2222").await;
        let unmanaged = add_unmanaged(&workspace, "2222").await;
        move_clock_to(&workspace, TRIED).await;
        let code = workspace.access_code(managed).await;
        let mut error = access_code_error(&code["errors"][0], "duplicate_code_on_device", TRIED);
        error["unmanaged_access_code_id"] = unmanaged;
        assert_eq!((&code["status"], &code["errors"]), (&json!("unset"), &json!([error])));
        move_clock_to(&workspace, TRIED + HOUR).await;
        remove_at_the_lock(&workspace, "2222").await;
        move_clock_to(&workspace, TRIED + HOUR + 250).await;
        assert_eq!(state_of(&workspace, managed).await, "unset");
        assert_eq!(workspace.access_code(managed).await["is_scheduled_on_device"], true);
    });
}

#[test]
fn blocked_code_is_retried_at_once_when_its_pin_becomes_free() {
    run(async {
        for reason in ["deleted", "changed", "by hand"] {
            let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
            let (first, second) = create_duplicate_pins(&workspace).await;
            // The next scheduled retry is minutes away.
            move_clock_to(&workspace, TRIED + HOUR).await;
            assert_eq!(state_of(&workspace, &second).await, "unset creating duplicate_code_on_device");
            let mut request = json!({ "access_code_id": first, "sync": true });
            match reason {
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
            move_clock_to(&workspace, TRIED + HOUR + 250).await;
            assert_eq!(state_of(&workspace, &second).await, "unset", "{reason}");
        }
    });
}

#[test]
fn codes_with_one_pin_in_disjoint_time_frames_do_not_conflict() {
    run(async {
        let workspace =
            TestWorkspace::create_with(json!({ "locks": 1, "allow_same_code_in_disjoint_windows": true })).await;
        let mut ids = Vec::new();
        for (starts_at, ends_at) in [(0, DAY), (5 * DAY, 6 * DAY)] {
            let mut params = window(&workspace, 0, starts_at, ends_at);
            params["code"] = json!("1357");
            ids.push(workspace.create(params).await["access_code_id"].clone());
        }
        move_clock_to(&workspace, 250).await;
        assert_eq!(
            (state_of(&workspace, &ids[0]).await, state_of(&workspace, &ids[1]).await),
            ("set".to_owned(), "unset deferring_creation".to_owned())
        );
        assert_eq!(workspace.access_code(&ids[1]).await["starts_at"], after(5 * DAY));
        move_clock_to(&workspace, 5 * DAY).await;
        assert_eq!(
            (state_of(&workspace, &ids[0]).await, state_of(&workspace, &ids[1]).await),
            ("gone".to_owned(), "set".to_owned())
        );
    });
}
