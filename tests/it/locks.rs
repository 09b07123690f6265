//! Locks: `/locks/*`, their action attempts and events, faults, rate limits, and the automatic lock.

use crate::failures::after;
use crate::support::{START, TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

const DOORS: [(&str, &str, &str); 2] =
    [("/locks/lock_door", "LOCK_DOOR", "lock"), ("/locks/unlock_door", "UNLOCK_DOOR", "unlock")];

/// Sends a request about the lock at this index and returns its action attempt.
async fn request(workspace: &TestWorkspace, index: usize, path: &str, mut params: Value) -> Value {
    params["device_id"] = json!(workspace.lock(index));
    workspace.post(path, params).await.ok()["action_attempt"].clone()
}

/// Returns the stored state of an action attempt.
async fn attempt(workspace: &TestWorkspace, attempt: &Value) -> Value {
    let params = json!({ "action_attempt_id": attempt["action_attempt_id"] });
    workspace.post("/action_attempts/get", params).await.ok()["action_attempt"].clone()
}

/// Returns the events of the lock at this index and of its action attempts, oldest first.
async fn events(workspace: &TestWorkspace, index: usize) -> Vec<Value> {
    let params = json!({ "since": "2000-01-01T00:00:00Z", "device_id": workspace.lock(index), "limit": 1000 });
    let events = workspace.post("/events/list", params).await.ok()["events"].as_array().unwrap().clone();
    let is_of_lock = |event: &Value| {
        let event_type = event["event_type"].as_str().unwrap();
        event_type.starts_with("lock.") || event_type.starts_with("action_attempt.")
    };
    events.into_iter().filter(is_of_lock).collect()
}

/// Returns the type and the instant of each of these events.
fn summary(events: &[Value]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (event["event_type"].as_str().unwrap(), event["occurred_at"].as_str().unwrap())).collect()
}

async fn property(workspace: &TestWorkspace, index: usize, name: &str) -> Value {
    let device = workspace.post("/locks/get", json!({ "device_id": workspace.lock(index) })).await.ok();
    assert_eq!(device["lock"], device["device"]);
    device["lock"]["properties"][name].clone()
}

#[test]
fn locks_get_and_list_return_each_device_under_both_names() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "august_lock", "name": "Front" },
                                                   { "device_type": "yale_lock" }, { "device_type": "yale_lock" }]))
        .await;
        let devices = workspace.post("/devices/list", json!({})).await.ok()["devices"].clone();
        let listed = workspace.post("/locks/list", json!({})).await.ok();
        assert_eq!((&listed["locks"], &listed["devices"]), (&devices, &devices));
        assert!(listed.get("pagination").is_none(), "the list has no pages");
        for (filter, expected) in [
            (json!({ "device_type": "yale_lock" }), vec![1, 2]),
            (json!({ "device_types": ["august_lock", "nuki_lock"] }), vec![0]),
            (json!({ "manufacturer": "yale" }), vec![1, 2]),
            (json!({ "connected_account_id": devices[0]["connected_account_id"] }), vec![0]),
            (json!({ "connected_account_id": UNKNOWN }), vec![]),
            (json!({ "customer_key": "nobody" }), vec![]),
            (json!({ "connect_webview_id": UNKNOWN }), vec![]),
        ] {
            let listed = workspace.post("/locks/list", filter.clone()).await.ok();
            let expected: Vec<&Value> = expected.into_iter().map(|index: usize| &devices[index]).collect();
            assert_eq!(listed["locks"], json!(expected), "{filter}");
        }
        for params in [json!({ "device_id": workspace.lock(0) }), json!({ "name": "Front" })] {
            let found = workspace.post("/locks/get", params).await.ok();
            assert_eq!((&found["lock"], &found["device"]), (&devices[0], &devices[0]));
        }
        workspace.post("/locks/get", json!({ "device_id": UNKNOWN })).await.error(404, "device_not_found");
        workspace.post("/locks/get", json!({})).await.error(400, "invalid_input");
        assert_eq!(workspace.get("/locks/list?device_type=august_lock").await.ok()["locks"][0], devices[0]);
    });
}

#[test]
fn lock_door_and_unlock_door_move_the_bolt_and_are_done_at_the_first_poll() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        for (path, action_type, name) in DOORS.into_iter().rev() {
            let requested = request(&workspace, 0, path, json!({})).await;
            assert_eq!(requested["action_type"], action_type);
            assert_eq!(
                (&requested["status"], &requested["result"], &requested["error"]),
                (&json!("pending"), &Value::Null, &Value::Null)
            );
            let done = attempt(&workspace, &requested).await;
            assert_eq!(done["action_attempt_id"], requested["action_attempt_id"]);
            assert_eq!(
                (&done["status"], &done["result"]),
                (&json!("success"), &json!({ "was_confirmed_by_device": true }))
            );
            assert_eq!(property(&workspace, 0, "locked").await, name == "lock");
            let events = events(&workspace, 0).await;
            let [moved, finished] = &events[events.len() - 2..] else { panic!("{events:?}") };
            assert_eq!((&moved["event_type"], &moved["method"]), (&json!(format!("lock.{name}ed")), &json!("remote")));
            let succeeded = format!("action_attempt.{name}_door.succeeded");
            assert_eq!(
                (&finished["event_type"], &finished["action_type"], &finished["status"]),
                (&json!(succeeded), &json!(action_type), &json!("success"))
            );
            for event in [moved, finished] {
                assert_eq!(event["action_attempt_id"], requested["action_attempt_id"]);
                assert_eq!((&event["device_id"], &event["occurred_at"]), (&json!(workspace.lock(0)), &json!(START)));
            }
        }
        assert_eq!(events(&workspace, 1).await, [Value::Null; 0], "the other lock did nothing");
    });
}

#[test]
fn lock_door_with_sync_returns_the_outcome() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for (path, ..) in DOORS {
            let requested = request(&workspace, 0, path, json!({ "sync": true })).await;
            assert_eq!(requested["status"], "success");
            assert_eq!(attempt(&workspace, &requested).await, requested);
        }
        workspace.change_lock(0, json!({ "online": false })).await;
        let failed = request(&workspace, 0, "/locks/lock_door", json!({ "sync": true })).await;
        assert_eq!((&failed["status"], &failed["error"]["type"]), (&json!("error"), &json!("device_disconnected")));
    });
}

#[test]
fn unlock_door_of_an_unreachable_lock_fails_and_the_bolt_does_not_move() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for (change, restore, error_type) in [
            (json!({ "online": false }), json!({ "online": true }), "device_disconnected"),
            (json!({ "hub_connected": false }), json!({ "hub_connected": true }), "hub_disconnected"),
            (json!({ "account_connected": false }), json!({ "account_connected": true }), "account_disconnected"),
            (json!({ "removed": true }), json!({ "removed": false }), "device_removed"),
        ] {
            workspace.change_lock(0, change).await;
            let requested = request(&workspace, 0, "/locks/unlock_door", json!({})).await;
            assert_eq!(requested["status"], "pending", "{error_type}");
            let failed = attempt(&workspace, &requested).await;
            assert_eq!((&failed["status"], &failed["error"]["type"]), (&json!("error"), &json!(error_type)));
            assert!(failed["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
            let events = events(&workspace, 0).await;
            let last = events.last().unwrap();
            assert_eq!(last["event_type"], "action_attempt.unlock_door.failed");
            assert!(events.iter().all(|event| event["event_type"] == last["event_type"]), "{events:?}");
            workspace.change_lock(0, restore).await;
            assert_eq!(property(&workspace, 0, "locked").await, true);
        }
    });
}

#[test]
fn locks_reject_unknown_devices_and_locks_without_a_connection() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "dormakaba_oracode_door" }])).await;
        let other = TestWorkspace::with_locks(1).await;
        let auto_lock = json!({ "auto_lock_enabled": true });
        let requests = [
            ("/locks/lock_door", json!({})),
            ("/locks/unlock_door", json!({})),
            ("/locks/configure_auto_lock", auto_lock),
            ("/locks/simulate/keypad_code_entry", json!({ "code": "1234" })),
            ("/locks/simulate/manual_lock_via_keypad", json!({})),
        ];
        for (path, mut params) in requests {
            params["device_id"] = json!(workspace.lock(0));
            let error = workspace.post(path, params.clone()).await.error(400, "device_type_not_supported");
            assert!(error["message"].as_str().unwrap().contains("dormakaba_oracode_door"), "{error}");
            for device_id in [UNKNOWN.to_owned(), other.lock(0)] {
                params["device_id"] = json!(device_id);
                workspace.post(path, params.clone()).await.error(404, "device_not_found");
            }
        }
        assert_eq!(events(&other, 0).await, [Value::Null; 0]);
        let device = workspace.post("/locks/get", json!({ "device_id": workspace.lock(0) })).await.ok();
        for flag in ["can_remotely_lock", "can_remotely_unlock", "can_configure_auto_lock"] {
            assert_eq!(device["lock"][flag], false, "{flag}");
        }
    });
}

#[test]
fn locks_reject_unmanaged_devices_and_report_nothing_about_them() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        request(&workspace, 0, "/locks/configure_auto_lock", json!({ "auto_lock_enabled": true })).await;
        request(&workspace, 0, "/locks/unlock_door", json!({})).await;
        workspace.change_lock(0, json!({ "is_managed": false })).await;
        let before = events(&workspace, 0).await.len();
        for (path, mut params) in [
            ("/locks/lock_door", json!({})),
            ("/locks/unlock_door", json!({})),
            ("/locks/configure_auto_lock", json!({ "auto_lock_enabled": false })),
            ("/locks/simulate/keypad_code_entry", json!({ "code": "1234" })),
            ("/locks/simulate/manual_lock_via_keypad", json!({})),
        ] {
            params["device_id"] = json!(workspace.lock(0));
            workspace.post(path, params).await.error(400, "device_unmanaged");
        }
        let pressed = workspace.post("/_emulator/locks/press_lock", json!({ "device_id": workspace.lock(0) })).await;
        assert_eq!(pressed.ok()["event_id"], Value::Null);
        workspace.advance("PT1M").await;
        assert_eq!(events(&workspace, 0).await.len(), before);
        workspace.post("/locks/get", json!({ "device_id": workspace.lock(0) })).await.error(404, "device_not_found");
        assert_eq!(workspace.post("/locks/list", json!({})).await.ok()["locks"], json!([]));
    });
}

#[test]
fn delayed_request_to_a_device_that_became_unmanaged_is_not_reported() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        fault(&workspace, "lock", json!({ "delay": "PT1H" })).await;
        let pending = request(&workspace, 0, "/locks/lock_door", json!({})).await;
        workspace.change_lock(0, json!({ "is_managed": false })).await;
        let before = events(&workspace, 0).await.len();
        workspace.advance("PT2H").await;
        assert_ne!(attempt(&workspace, &pending).await["status"], "pending");
        assert_eq!(events(&workspace, 0).await.len(), before);
    });
}

#[test]
fn deleted_lock_performs_nothing_and_its_attempts_fail() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        request(&workspace, 0, "/locks/configure_auto_lock", json!({ "auto_lock_enabled": true })).await;
        request(&workspace, 0, "/locks/unlock_door", json!({})).await;
        let mut waiting = Vec::new();
        for outcome in [json!({ "delay": "PT10S" }), json!("never")] {
            fault(&workspace, "lock", outcome).await;
            waiting.push(request(&workspace, 0, "/locks/lock_door", json!({})).await);
        }
        let before = events(&workspace, 0).await;
        workspace.post("/devices/delete", json!({ "device_id": workspace.lock(0) })).await.ok();
        for requested in &waiting {
            let failed = attempt(&workspace, requested).await;
            assert_eq!((&failed["status"], &failed["error"]["type"]), (&json!("error"), &json!("device_deleted")));
        }
        workspace.post("/_emulator/clock/advance", json!({ "until": "quiet" })).await.ok();
        workspace.advance("PT1H").await;
        assert_eq!(events(&workspace, 0).await, before);
        workspace.post("/_emulator/workspaces/reset", json!({})).await.ok();
        request(&workspace, 0, "/locks/lock_door", json!({})).await;
    });
}

#[test]
fn automatic_locks_of_several_locks_are_in_the_order_of_time() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        for (index, delay) in [(0, 30), (1, 10), (2, 20)] {
            let params = json!({ "auto_lock_enabled": true, "auto_lock_delay_seconds": delay });
            request(&workspace, index, "/locks/configure_auto_lock", params).await;
            request(&workspace, index, "/locks/unlock_door", json!({})).await;
        }
        // The fault applies to the lock that locks first.
        fault(&workspace, "lock", json!({ "fail": {} })).await;
        workspace.advance("PT1M").await;
        for (index, is_locked) in [(0, true), (1, false), (2, true)] {
            assert_eq!(property(&workspace, index, "locked").await, is_locked, "{index}");
        }
    });
}

#[test]
fn lock_door_counts_for_its_own_rate_limit() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let limits = json!({ "limits": { "lock": 1, "unlock": 2, "per": "PT1M" } });
        workspace.post("/_emulator/rate_limits/set", limits).await.ok();
        request(&workspace, 0, "/locks/lock_door", json!({})).await;
        for _ in 0..2 {
            request(&workspace, 0, "/locks/unlock_door", json!({})).await;
        }
        for (path, _, name) in DOORS {
            let limited = workspace.post(path, json!({ "device_id": workspace.lock(0) })).await;
            assert_eq!(limited.headers["retry-after"], "60");
            let error = limited.error(429, "rate_limit_exceeded");
            assert!(error["message"].as_str().unwrap().contains(&format!("no more {name} requests")), "{error}");
        }
        request(&workspace, 1, "/locks/lock_door", json!({})).await;
        workspace.advance("PT1M").await;
        request(&workspace, 0, "/locks/lock_door", json!({})).await;
    });
}

/// Creates a fault of this operation.
async fn fault(workspace: &TestWorkspace, operation: &str, outcome: Value) -> Value {
    let params = json!({ "operation": operation, "outcome": outcome, "times": 1 });
    workspace.post("/_emulator/faults/create", params).await.ok()["fault"].clone()
}

#[test]
fn fault_makes_lock_door_fail_once() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for (path, _, name) in DOORS {
            fault(&workspace, name, json!({ "fail": { "error_code": "jammed", "message": "Stuck." } })).await;
            let requested = request(&workspace, 0, path, json!({})).await;
            assert_eq!(requested["status"], "pending");
            let failed = attempt(&workspace, &requested).await;
            assert_eq!(
                (&failed["status"], &failed["error"], &failed["result"]),
                (&json!("error"), &json!({ "type": "jammed", "message": "Stuck." }), &Value::Null)
            );
            let last = events(&workspace, 0).await.pop().unwrap();
            assert_eq!(last["event_type"], format!("action_attempt.{name}_door.failed"));
            let again = request(&workspace, 0, path, json!({ "sync": true })).await;
            assert_eq!(again["status"], "success", "the fault is exhausted");
        }
        fault(&workspace, "lock", json!({ "fail": {} })).await;
        let failed = request(&workspace, 0, "/locks/lock_door", json!({ "sync": true })).await;
        assert_eq!(failed["error"]["type"], "uncategorized_error");
    });
}

#[test]
fn fault_is_not_used_up_by_a_request_to_an_unreachable_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        fault(&workspace, "unlock", json!({ "fail": { "error_code": "jammed" } })).await;
        workspace.change_lock(0, json!({ "online": false })).await;
        let offline = request(&workspace, 0, "/locks/unlock_door", json!({ "sync": true })).await;
        assert_eq!(offline["error"]["type"], "device_disconnected");
        workspace.change_lock(0, json!({ "online": true })).await;
        let jammed = request(&workspace, 0, "/locks/unlock_door", json!({ "sync": true })).await;
        assert_eq!(jammed["error"]["type"], "jammed");
    });
}

#[test]
fn fault_delays_unlock_door_on_the_clock_of_the_workspace() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        fault(&workspace, "unlock", json!({ "delay": "PT10S" })).await;
        let delayed = request(&workspace, 0, "/locks/unlock_door", json!({ "sync": true })).await;
        assert_eq!(delayed["status"], "pending");
        workspace.advance("PT9S").await;
        assert_eq!(attempt(&workspace, &delayed).await["status"], "pending");
        assert_eq!((events(&workspace, 0).await.len(), property(&workspace, 0, "locked").await), (0, json!(true)));
        let moved = workspace.advance("PT1H").await;
        assert_eq!(moved["transitions"], 1);
        assert_eq!(attempt(&workspace, &delayed).await["status"], "success");
        assert_eq!(property(&workspace, 0, "locked").await, false);
        let at = after(10_000);
        assert_eq!(
            summary(&events(&workspace, 0).await),
            [("lock.unlocked", at.as_str()), ("action_attempt.unlock_door.succeeded", &at)]
        );
    });
}

#[test]
fn fault_that_never_ends_leaves_the_attempt_pending() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        fault(&workspace, "lock", json!("never")).await;
        let pending = request(&workspace, 0, "/locks/lock_door", json!({ "sync": true })).await;
        workspace.advance("P300D").await;
        assert_eq!(attempt(&workspace, &pending).await["status"], "pending");
        assert_eq!(events(&workspace, 0).await, [Value::Null; 0]);
    });
}

#[test]
fn delayed_requests_are_next_for_the_clock_and_in_order_with_codes() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.post("/_emulator/programming/set", json!({ "programming": { "after": "PT10S" } })).await.ok();
        for (operation, delay) in [("lock", "PT5M"), ("unlock", "PT1M")] {
            fault(&workspace, operation, json!({ "delay": delay })).await;
            request(&workspace, 0, &format!("/locks/{operation}_door"), json!({})).await;
        }
        let code = workspace.create(json!({ "device_id": workspace.lock(0), "code": "1234" })).await;
        let all = |workspace| async move {
            let workspace: &TestWorkspace = workspace;
            let params = json!({ "since": "2000-01-01T00:00:00Z", "limit": 1000 });
            let events = workspace.post("/events/list", params).await.ok()["events"].as_array().unwrap().clone();
            events.iter().map(|event| event["event_type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        workspace.post("/_emulator/clock/advance", json!({ "until": "next" })).await.ok();
        assert_eq!(workspace.access_code(&code["access_code_id"]).await["status"], "set");
        let clock = workspace.post("/_emulator/clock/advance", json!({ "until": "next" })).await.ok();
        assert_eq!(clock["now"], after(60_000), "{clock}");
        let clock = workspace.post("/_emulator/clock/advance", json!({ "until": "quiet" })).await.ok();
        assert_eq!(clock["now"], after(300_000), "{clock}");
        let all = all(&workspace).await;
        let position = |event_type: &str| all.iter().position(|each| each == event_type).unwrap();
        assert!(position("access_code.set_on_device") < position("lock.unlocked"), "{all:?}");
        assert!(position("lock.unlocked") < position("lock.locked"), "{all:?}");
    });
}

#[test]
fn delayed_request_fails_when_the_lock_becomes_unreachable() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        fault(&workspace, "unlock", json!({ "delay": "PT10S" })).await;
        let delayed = request(&workspace, 0, "/locks/unlock_door", json!({})).await;
        workspace.advance("PT5S").await;
        workspace.change_lock(0, json!({ "online": false })).await;
        let failed = attempt(&workspace, &delayed).await;
        assert_eq!((&failed["status"], &failed["error"]["type"]), (&json!("error"), &json!("device_disconnected")));
        workspace.change_lock(0, json!({ "online": true })).await;
        workspace.advance("PT1H").await;
        let at = after(5000);
        assert_eq!(summary(&events(&workspace, 0).await), [("action_attempt.unlock_door.failed", at.as_str())]);
    });
}

#[test]
fn delayed_requests_of_one_lock_are_limited() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({ "operation": "unlock", "outcome": { "delay": "PT10S" } });
        workspace.post("/_emulator/faults/create", params).await.ok();
        for _ in 0..100 {
            request(&workspace, 0, "/locks/unlock_door", json!({})).await;
        }
        let params = json!({ "device_id": workspace.lock(0) });
        let error = workspace.post("/locks/unlock_door", params.clone()).await.error(429, "rate_limit_exceeded");
        assert_eq!(error["data"]["device_id"], workspace.lock(0));
        workspace.advance("PT10S").await;
        assert_eq!(events(&workspace, 0).await.len(), 200);
        workspace.post("/locks/unlock_door", params).await.ok();
    });
}

#[test]
fn delayed_request_is_performed_by_the_scheduler_on_a_running_clock() {
    run(async {
        let clock = json!({ "running_from": START, "rate": 1000 });
        let workspace = TestWorkspace::create_with(json!({ "locks": 1, "clock": clock })).await;
        fault(&workspace, "unlock", json!({ "delay": "PT0.001S" })).await;
        let delayed = request(&workspace, 0, "/locks/unlock_door", json!({})).await;
        workspace.tick().await;
        assert_eq!(attempt(&workspace, &delayed).await["status"], "success");
    });
}

#[test]
fn delayed_request_survives_a_snapshot_and_holds_of_the_clock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        fault(&workspace, "unlock", json!({ "delay": "PT10S" })).await;
        let delayed = request(&workspace, 0, "/locks/unlock_door", json!({})).await;
        let snapshot = workspace.post("/_emulator/snapshots/create", json!({})).await.ok();
        workspace.advance("PT1M").await;
        assert_eq!(attempt(&workspace, &delayed).await["status"], "success");
        let params = json!({ "snapshot_id": snapshot["snapshot_id"] });
        workspace.post("/_emulator/snapshots/restore", params).await.ok();
        assert_eq!(attempt(&workspace, &delayed).await["status"], "pending");
        workspace.post("/_emulator/clock/run", json!({ "rate": 100_000 })).await.ok();
        workspace.tick().await;
        workspace.post("/_emulator/clock/hold", json!({})).await.ok();
        assert_eq!(attempt(&workspace, &delayed).await["status"], "success");
    });
}

#[test]
fn auto_lock_locks_the_door_after_the_delay() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({ "auto_lock_enabled": true, "auto_lock_delay_seconds": 20 });
        let requested = request(&workspace, 0, "/locks/configure_auto_lock", params).await;
        assert_eq!(
            (&requested["action_type"], &requested["status"]),
            (&json!("CONFIGURE_AUTO_LOCK"), &json!("pending"))
        );
        let done = attempt(&workspace, &requested).await;
        assert_eq!((&done["status"], &done["result"]), (&json!("success"), &json!({})));
        assert_eq!(property(&workspace, 0, "auto_lock_enabled").await, true);
        assert_eq!(property(&workspace, 0, "auto_lock_delay_seconds").await, 20);
        request(&workspace, 0, "/locks/unlock_door", json!({})).await;
        workspace.advance("PT19S").await;
        assert_eq!(property(&workspace, 0, "locked").await, false);
        workspace.advance("PT1S").await;
        assert_eq!(property(&workspace, 0, "locked").await, true);
        let last = events(&workspace, 0).await.pop().unwrap();
        assert_eq!((&last["event_type"], &last["method"]), (&json!("lock.locked"), &json!("automatic")));
        assert_eq!((last.get("action_attempt_id"), &last["occurred_at"]), (None, &json!(after(20_000))));
        // A fault that jams the bolt jams the automatic lock.
        request(&workspace, 0, "/locks/unlock_door", json!({})).await;
        fault(&workspace, "lock", json!("never")).await;
        workspace.advance("PT1H").await;
        assert_eq!(property(&workspace, 0, "locked").await, false);
        request(&workspace, 0, "/locks/configure_auto_lock", json!({ "auto_lock_enabled": false })).await;
        workspace.advance("PT1H").await;
        assert_eq!(property(&workspace, 0, "locked").await, false);
    });
}

#[test]
fn auto_lock_requires_a_delay_from_1_to_60_and_a_reachable_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for delay in [json!(0), json!(61), json!("20")] {
            let params = json!({ "device_id": workspace.lock(0), "auto_lock_enabled": true,
                                 "auto_lock_delay_seconds": delay });
            workspace.post("/locks/configure_auto_lock", params).await.invalid("auto_lock_delay_seconds");
        }
        workspace.change_lock(0, json!({ "online": false })).await;
        let requested =
            request(&workspace, 0, "/locks/configure_auto_lock", json!({ "auto_lock_enabled": true })).await;
        let failed = attempt(&workspace, &requested).await;
        assert_eq!((&failed["status"], &failed["error"]["type"]), (&json!("error"), &json!("device_disconnected")));
        assert_eq!(property(&workspace, 0, "auto_lock_enabled").await, Value::Null);
    });
}

#[test]
fn simulated_keypad_entry_opens_the_lock_or_fails_with_the_reason() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock" }, { "device_type": "yale_lock" }])).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0), "code": "4826", "sync": true })).await;
        let path = "/locks/simulate/keypad_code_entry";
        let opened = request(&workspace, 0, path, json!({ "code": "4826" })).await;
        assert_eq!(opened["status"], "pending");
        let done = attempt(&workspace, &opened).await;
        assert_eq!((&done["status"], &done["result"]), (&json!("success"), &json!({})));
        let found = events(&workspace, 0).await;
        assert_eq!(found[0]["access_code_id"], code["access_code_id"]);
        assert_eq!((&found[0]["event_type"], &found[0]["method"]), (&json!("lock.unlocked"), &json!("keycode")));
        assert_eq!(found[1]["event_type"], "action_attempt.simulate_keypad_code_entry.succeeded");
        let locked = request(&workspace, 0, "/locks/simulate/manual_lock_via_keypad", json!({})).await;
        assert_eq!(attempt(&workspace, &locked).await["status"], "success");
        let found = events(&workspace, 0).await.split_off(2);
        assert_eq!((&found[0]["event_type"], &found[0]["method"]), (&json!("lock.locked"), &json!("manual")));
        assert_eq!(found[1]["event_type"], "action_attempt.simulate_manual_lock_via_keypad.succeeded");
        let denied = request(&workspace, 0, path, json!({ "code": "9999" })).await;
        assert_eq!(attempt(&workspace, &denied).await["error"]["type"], "unknown_code");
        fault(&workspace, "lock", json!({ "fail": {} })).await;
        let jammed = request(&workspace, 0, "/locks/simulate/manual_lock_via_keypad", json!({})).await;
        assert_eq!(attempt(&workspace, &jammed).await["error"]["type"], "jammed");
        let failed = events(&workspace, 0).await.split_off(4);
        assert_eq!(
            summary(&failed).into_iter().map(|(event_type, _)| event_type).collect::<Vec<_>>(),
            [
                "action_attempt.simulate_keypad_code_entry.failed",
                "action_attempt.simulate_manual_lock_via_keypad.failed"
            ]
        );
        let params = json!({ "device_id": workspace.lock(1), "code": "4826" });
        workspace.post(path, params).await.error(400, "device_type_not_supported");
    });
}
