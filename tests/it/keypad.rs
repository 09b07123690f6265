//! Keypad entries: the PINs that unlock a lock, and the events of the lock.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use crate::failures::{DAY, HOUR, after, move_clock_to};
use crate::support::{START, TestWorkspace, UNKNOWN, ask, post_as, run};
use serde_json::{Value, json};

/// Enters a PIN at the lock with this index.
async fn enter(workspace: &TestWorkspace, index: usize, code: &str) -> Value {
    let params = json!({ "device_id": workspace.lock(index), "code": code });
    workspace.post("/_emulator/locks/enter_code", params).await.ok()
}

/// Enters a PIN and returns the result: `unlocked`, or the reason why the lock stays locked.
async fn outcome(workspace: &TestWorkspace, index: usize, code: &str) -> String {
    let entered = enter(workspace, index, code).await;
    let result = if entered["result"] == "unlocked" { &entered["result"] } else { &entered["reason"] };
    result.as_str().unwrap_or_else(|| panic!("{entered}")).to_owned()
}

/// Presses the lock button of the lock with this index.
async fn press(workspace: &TestWorkspace, index: usize) -> Value {
    workspace.post("/_emulator/locks/press_lock", json!({ "device_id": workspace.lock(index) })).await.ok()
}

/// Returns the lock events of a workspace, oldest first.
async fn lock_events(workspace: &TestWorkspace) -> Vec<Value> {
    let types = ["lock.locked", "lock.unlocked", "lock.access_denied"];
    let params = json!({ "since": "2000-01-01T00:00:00Z", "event_types": types, "limit": 1000 });
    workspace.post("/events/list", params).await.ok()["events"].as_array().unwrap().clone()
}

/// Returns `properties.locked` of the lock with this index.
async fn is_locked(workspace: &TestWorkspace, index: usize) -> Value {
    let device = workspace.post("/devices/get", json!({ "device_id": workspace.lock(index) })).await.ok();
    device["device"]["properties"]["locked"].clone()
}

#[test]
fn code_on_the_lock_unlocks_it_and_the_event_names_the_code() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0), "code": "4826", "name": "Cleaner" })).await;
        let id = &code["access_code_id"];
        assert_eq!(outcome(&workspace, 0, "4826").await, "unknown_code", "the code is still being programmed");
        assert_eq!(lock_events(&workspace).await, [Value::Null; 0], "August does not report wrong codes");
        workspace.advance("PT1S").await;
        let entered = enter(&workspace, 0, "4826").await;
        assert_eq!(
            (&entered["result"], &entered["reason"], &entered["access_code"]["access_code_id"]),
            (&json!("unlocked"), &Value::Null, id)
        );
        let events = lock_events(&workspace).await;
        let event = &events[0];
        assert_eq!(events.len(), 1);
        assert_eq!(event["event_id"], entered["event_id"]);
        for (key, value) in [
            ("event_type", json!("lock.unlocked")),
            ("occurred_at", json!(after(1000))),
            ("device_id", json!(workspace.lock(0))),
            ("method", json!("keycode")),
            ("access_code_id", id.clone()),
            ("access_code_is_managed", json!(true)),
            ("code", json!("4826")),
        ] {
            assert_eq!(event[key], value, "{key}");
        }
        assert_eq!(is_locked(&workspace, 0).await, false);
        let pressed = press(&workspace, 0).await;
        assert_eq!(pressed["result"], "locked");
        assert_eq!(is_locked(&workspace, 0).await, true);
        let locked = lock_events(&workspace).await[1].clone();
        assert_eq!(
            (&locked["event_type"], &locked["method"], &locked["event_id"]),
            (&json!("lock.locked"), &json!("manual"), &pressed["event_id"])
        );
        assert!(locked.get("access_code_id").is_none(), "{locked}");
        let timeline = workspace.post("/access_codes/get_timeline", json!({ "access_code_id": id })).await.ok();
        let events_of_code = timeline["timeline_events"].as_array().unwrap();
        assert!(
            events_of_code.iter().all(|event| event["event_type"].as_str().unwrap().starts_with("access_code.")),
            "{timeline}"
        );
    });
}

#[test]
fn lock_with_native_scheduling_opens_only_within_the_time_frame() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "ttlock_lock" }])).await;
        let window = json!({ "device_id": workspace.lock(0), "code": "482600",
                             "starts_at": after(DAY), "ends_at": after(2 * DAY) });
        workspace.create(window).await;
        move_clock_to(&workspace, 1000).await;
        assert_eq!(workspace.memory(0).await[0]["code"], "482600", "the code is already on the lock");
        for (at, expected) in [
            (DAY - 1, "not_yet_valid"),
            (DAY, "unlocked"),
            (2 * DAY - 1, "unlocked"),
            (2 * DAY, "expired_code"),
            (2 * DAY + 1000, "unknown_code"),
        ] {
            move_clock_to(&workspace, at).await;
            assert_eq!(outcome(&workspace, 0, "482600").await, expected, "{at}");
        }
    });
}

#[test]
fn lock_without_native_scheduling_opens_while_the_code_is_on_it() {
    run(async {
        let lock = json!([{ "device_type": "ttlock_lock", "native_scheduling": false }]);
        let workspace = TestWorkspace::with(lock).await;
        let window = json!({ "device_id": workspace.lock(0), "code": "482600",
                             "starts_at": after(DAY), "ends_at": after(2 * DAY) });
        workspace.create(window).await;
        move_clock_to(&workspace, DAY - HOUR).await;
        assert_eq!(outcome(&workspace, 0, "482600").await, "unknown_code");
        move_clock_to(&workspace, DAY - HOUR + 250).await;
        assert_eq!(outcome(&workspace, 0, "482600").await, "unlocked");
        // The lock is offline at the end of the time frame: the code stays on the lock and still opens it.
        workspace.change_lock(0, json!({ "online": false })).await;
        move_clock_to(&workspace, 3 * DAY).await;
        assert_eq!(outcome(&workspace, 0, "482600").await, "unlocked");
        workspace.change_lock(0, json!({ "online": true })).await;
        workspace.advance("PT1S").await;
        assert_eq!(outcome(&workspace, 0, "482600").await, "unknown_code");
    });
}

#[test]
fn entered_code_is_compared_with_the_memory_of_the_lock() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "ttlock_lock" }, { "device_type": "august_lock" }])).await;
        for index in [0, 1] {
            let code = workspace.create(json!({ "device_id": workspace.lock(index), "code": "482600" })).await;
            workspace.advance("PT1S").await;
            let params = json!({ "access_code_id": code["access_code_id"], "code": "713900" });
            workspace.post("/access_codes/update", params).await.ok();
            // TTLock overwrites a code. August deletes it and creates a new one, so that in between it has neither PIN.
            let meanwhile = if index == 0 { "unlocked" } else { "unknown_code" };
            assert_eq!(outcome(&workspace, index, "482600").await, meanwhile);
            assert_eq!(outcome(&workspace, index, "713900").await, "unknown_code");
            workspace.advance("PT1S").await;
            assert_eq!(outcome(&workspace, index, "482600").await, "unknown_code");
            assert_eq!(outcome(&workspace, index, "713900").await, "unlocked");
            let removed = json!({ "device_id": workspace.lock(index), "code": "713900" });
            workspace.post("/_emulator/locks/remove_code", removed).await.ok();
            assert_eq!(outcome(&workspace, index, "713900").await, "unknown_code");
        }
    });
}

#[test]
fn unmanaged_and_backup_codes_unlock_and_some_brands_do_not_name_them() {
    run(async {
        let locks = json!([{ "device_type": "august_lock", "backup_access_code_pool_size": 1 },
                           { "device_type": "kwikset_lock" }, { "device_type": "wyze_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        for index in 0..3 {
            let unmanaged = json!({ "device_id": workspace.lock(index), "code": "975310", "name": "Neighbour" });
            workspace.post("/_emulator/locks/add_code", unmanaged).await.ok();
            let entered = enter(&workspace, index, "975310").await;
            assert_eq!(
                (&entered["result"], &entered["access_code"]["is_managed"]),
                (&json!("unlocked"), &json!(false))
            );
        }
        let events = lock_events(&workspace).await;
        assert_eq!((&events[0]["access_code_is_managed"], &events[0]["code"]), (&json!(false), &json!("975310")));
        for event in &events[1..] {
            assert!(event.get("access_code_id").is_none() && event.get("code").is_none(), "{event}");
        }
        let pooled = json!({ "device_id": workspace.lock(0), "starts_at": after(0), "ends_at": after(DAY),
                           "use_backup_access_code_pool": true });
        workspace.create(pooled).await;
        workspace.advance("PT1S").await;
        let memory = workspace.memory(0).await;
        let backup = memory.iter().find(|held| held["is_backup"] == true).unwrap();
        assert_eq!(outcome(&workspace, 0, backup["code"].as_str().unwrap()).await, "unlocked");
    });
}

#[test]
fn offline_codes_unlock_in_their_time_frame_and_one_time_codes_once() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "igloohome_lock", "online": false }])).await;
        let offline = json!({ "device_id": workspace.lock(0), "is_offline_access_code": true,
                              "starts_at": after(HOUR), "ends_at": after(5 * HOUR) });
        let hourly = workspace.create(offline).await["code"].as_str().unwrap().to_owned();
        let once = json!({ "device_id": workspace.lock(0), "is_offline_access_code": true, "is_one_time_use": true,
                           "starts_at": after(HOUR) });
        let once = workspace.create(once).await["code"].as_str().unwrap().to_owned();
        move_clock_to(&workspace, HOUR - 1).await;
        assert_eq!(outcome(&workspace, 0, &hourly).await, "not_yet_valid");
        assert_eq!(outcome(&workspace, 0, &once).await, "not_yet_valid", "a denied entry does not use up the code");
        move_clock_to(&workspace, HOUR).await;
        for (code, expected) in
            [(&hourly, "unlocked"), (&hourly, "unlocked"), (&once, "unlocked"), (&once, "already_used")]
        {
            assert_eq!(outcome(&workspace, 0, code).await, expected);
        }
        move_clock_to(&workspace, 5 * HOUR).await;
        assert_eq!(outcome(&workspace, 0, &hourly).await, "unknown_code");
        assert_eq!(outcome(&workspace, 0, &once).await, "already_used");
    });
}

#[test]
fn long_igloohome_code_is_invalid_unless_it_is_entered_within_a_day() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "igloohome_lock" }])).await;
        let offline = json!({ "device_id": workspace.lock(0), "is_offline_access_code": true,
                              "starts_at": after(0), "ends_at": after(5 * DAY) });
        let [used, unused] = [workspace.create(offline.clone()).await, workspace.create(offline).await];
        let [used, unused] = [&used, &unused].map(|code| code["code"].as_str().unwrap());
        move_clock_to(&workspace, DAY - 1).await;
        assert_eq!(outcome(&workspace, 0, used).await, "unlocked");
        move_clock_to(&workspace, DAY).await;
        assert_eq!(outcome(&workspace, 0, used).await, "unlocked");
        assert_eq!(outcome(&workspace, 0, unused).await, "never_activated");
    });
}

#[test]
fn igloohome_reports_each_wrong_code_and_kwikset_three_in_a_row() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "igloohome_lock" }, { "device_type": "kwikset_lock" }])).await;
        for index in [0, 1] {
            workspace.create(json!({ "device_id": workspace.lock(index), "code": "482600", "name": "Cleaner" })).await;
        }
        workspace.advance("PT1S").await;
        let denied = enter(&workspace, 0, "999999").await;
        let events = lock_events(&workspace).await;
        assert_eq!((events.len(), &events[0]["event_id"]), (1, &denied["event_id"]));
        assert_eq!(events[0]["event_type"], "lock.access_denied");
        assert_eq!(events[0]["reason"]["reason_code"], "unknown_code");
        for _ in 0..2 {
            assert_eq!(enter(&workspace, 1, "999999").await["event_id"], Value::Null);
        }
        assert_eq!(outcome(&workspace, 1, "482600").await, "unlocked", "a correct code resets the count");
        for _ in 0..2 {
            assert_eq!(enter(&workspace, 1, "999999").await["event_id"], Value::Null);
        }
        let third = enter(&workspace, 1, "999999").await;
        assert_eq!(third["reason"], "unknown_code");
        let denied_event = lock_events(&workspace).await.pop().unwrap();
        assert_eq!(
            (&denied_event["event_id"], &denied_event["reason"]["reason_code"]),
            (&third["event_id"], &json!("too_many_attempts"))
        );
        let locked_out = enter(&workspace, 1, "482600").await;
        assert_eq!((&locked_out["reason"], &locked_out["access_code"]), (&json!("too_many_attempts"), &Value::Null));
        workspace.advance("PT1M14.999S").await;
        assert_eq!(outcome(&workspace, 1, "482600").await, "too_many_attempts");
        workspace.advance("PT0.001S").await;
        assert_eq!(outcome(&workspace, 1, "482600").await, "unlocked");
        let unlocked = lock_events(&workspace).await.pop().unwrap();
        assert_eq!(unlocked["event_type"], "lock.unlocked");
        assert!(unlocked["access_code_id"].is_string(), "Kwikset reports the code: {unlocked}");
    });
}

#[test]
fn unreachable_lock_unlocks_without_an_event() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.create(json!({ "device_id": workspace.lock(0), "code": "4826" })).await;
        workspace.advance("PT1S").await;
        workspace.change_lock(0, json!({ "online": false })).await;
        let entered = enter(&workspace, 0, "4826").await;
        assert_eq!((&entered["result"], &entered["event_id"]), (&json!("unlocked"), &Value::Null));
        assert_eq!(is_locked(&workspace, 0).await, true, "the last reported state");
        workspace.change_lock(0, json!({ "online": true })).await;
        assert_eq!(is_locked(&workspace, 0).await, false);
        assert_eq!(lock_events(&workspace).await, [Value::Null; 0], "no event later either");
    });
}

#[test]
fn unlock_and_lock_faults_jam_the_bolt() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.create(json!({ "device_id": workspace.lock(0), "code": "4826" })).await;
        workspace.advance("PT1S").await;
        for (operation, outcome) in [("unlock", json!({ "fail": {} })), ("lock", json!("never"))] {
            let fault = json!({ "operation": operation, "outcome": outcome, "times": 1 });
            workspace.post("/_emulator/faults/create", fault).await.ok();
        }
        assert_eq!(outcome(&workspace, 0, "1111").await, "unknown_code", "a wrong code does not use up the fault");
        let jammed = enter(&workspace, 0, "4826").await;
        assert_eq!((&jammed["result"], &jammed["reason"]), (&json!("denied"), &json!("jammed")));
        assert_eq!(outcome(&workspace, 0, "4826").await, "unlocked");
        assert_eq!(press(&workspace, 0).await["result"], "jammed");
        assert_eq!(is_locked(&workspace, 0).await, false);
        assert_eq!(press(&workspace, 0).await["result"], "locked");
        let faults = workspace.post("/_emulator/faults/list", json!({})).await.ok();
        assert!(faults["faults"].as_array().unwrap().iter().all(|fault| fault["is_exhausted"] == true), "{faults}");
    });
}

#[test]
fn enter_code_runs_due_work_first() {
    run(async {
        let params = json!({ "clock": { "running_from": START, "rate": 1_000_000 }, "locks": 1 });
        let workspace = TestWorkspace::create_with(params).await;
        workspace.create(json!({ "device_id": workspace.lock(0), "code": "4826" })).await;
        workspace.post("/_emulator/clock/hold", json!({ "at": "2036-01-01T00:00:00Z" })).await.ok();
        assert_eq!(outcome(&workspace, 0, "4826").await, "unlocked");
    });
}

#[test]
fn enter_code_and_press_lock_reject_invalid_input() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        let lock = workspace.lock(0);
        for code in
            [json!(""), json!("12a4"), json!("-1"), json!("1 2"), json!("1".repeat(21)), json!(1234), Value::Null]
        {
            let params = json!({ "device_id": lock, "code": code });
            workspace.post("/_emulator/locks/enter_code", params).await.invalid("code");
        }
        workspace.post("/_emulator/locks/enter_code", json!({ "device_id": lock })).await.invalid("code");
        for (path, params) in
            [("/_emulator/locks/enter_code", json!({ "code": "1234" })), ("/_emulator/locks/press_lock", json!({}))]
        {
            for (id, status) in [(UNKNOWN, 404), (&other.lock(0), 404), ("front door", 400)] {
                let mut params = params.clone();
                params["device_id"] = json!(id);
                let reply = workspace.post(path, params).await;
                reply.error(status, if status == 404 { "device_not_found" } else { "invalid_input" });
            }
            workspace.post(path, params.clone()).await.invalid("device_id");
            let mut params = params;
            params["device_id"] = json!(lock);
            post_as("seam_testwrong_key", path, params.clone()).await.error(401, "unauthorized");
            ask("GET", path, &[], "").await.error(405, "method_not_allowed");
            let mut named = params;
            named["workspace_id"] = json!(other.workspace_id);
            workspace.post(path, named.clone()).await.invalid("workspace_id");
            post_as("", path, named).await.error(404, "device_not_found");
        }
        workspace.change_lock(0, json!({ "removed": true })).await;
        let entered = json!({ "device_id": lock, "code": "1234" });
        workspace.post("/_emulator/locks/enter_code", entered).await.error(404, "device_not_found");
        workspace
            .post("/_emulator/locks/press_lock", json!({ "device_id": lock }))
            .await
            .error(404, "device_not_found");
        assert_eq!(lock_events(&workspace).await, [Value::Null; 0]);
    });
}
