//! People at the keypad: what a lock opens to, and who hears of it.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use crate::support::{START, UNKNOWN, World, ask, post_as, run};
use crate::trouble::{DAY, HOUR, after, go_to};
use serde_json::{Value, json};

/// Enters a PIN at the lock at this place.
async fn enter(world: &World, place: usize, code: &str) -> Value {
    let wanted = json!({ "device_id": world.lock(place), "code": code });
    world.post("/_emulator/locks/enter_code", wanted).await.ok()
}

/// What comes of it, in a word: `unlocked`, or why not.
async fn outcome(world: &World, place: usize, code: &str) -> String {
    let entered = enter(world, place, code).await;
    let told = if entered["result"] == "unlocked" { &entered["result"] } else { &entered["reason"] };
    told.as_str().unwrap_or_else(|| panic!("{entered}")).to_owned()
}

/// Presses the button that locks.
async fn press(world: &World, place: usize) -> Value {
    world.post("/_emulator/locks/press_lock", json!({ "device_id": world.lock(place) })).await.ok()
}

/// The events of the locks of a world, oldest first.
async fn lock_events(world: &World) -> Vec<Value> {
    let types = ["lock.locked", "lock.unlocked", "lock.access_denied"];
    let wanted = json!({ "since": "2000-01-01T00:00:00Z", "event_types": types, "limit": 1000 });
    world.post("/events/list", wanted).await.ok()["events"].as_array().unwrap().clone()
}

/// `properties.locked` of the lock at this place.
async fn is_locked(world: &World, place: usize) -> Value {
    let device = world.post("/devices/get", json!({ "device_id": world.lock(place) })).await.ok();
    device["device"]["properties"]["locked"].clone()
}

#[test]
fn a_lock_opens_to_a_code_it_holds_and_tells_with_which() {
    run(async {
        let world = World::with_locks(1).await;
        let code = world.create(json!({ "device_id": world.lock(0), "code": "4826", "name": "Cleaner" })).await;
        let id = &code["access_code_id"];
        assert_eq!(outcome(&world, 0, "4826").await, "unknown_code", "it is still being put on the lock");
        assert_eq!(lock_events(&world).await, [Value::Null; 0], "August does not tell of wrong codes");
        world.advance("PT1S").await;
        let entered = enter(&world, 0, "4826").await;
        assert_eq!(
            (&entered["result"], &entered["reason"], &entered["access_code"]["access_code_id"]),
            (&json!("unlocked"), &Value::Null, id)
        );
        let events = lock_events(&world).await;
        let event = &events[0];
        assert_eq!(events.len(), 1);
        assert_eq!(event["event_id"], entered["event_id"]);
        for (key, value) in [
            ("event_type", json!("lock.unlocked")),
            ("occurred_at", json!(after(1000))),
            ("device_id", json!(world.lock(0))),
            ("method", json!("keycode")),
            ("access_code_id", id.clone()),
            ("access_code_is_managed", json!(true)),
            ("code", json!("4826")),
        ] {
            assert_eq!(event[key], value, "{key}");
        }
        assert_eq!(is_locked(&world, 0).await, false);
        let pressed = press(&world, 0).await;
        assert_eq!(pressed["result"], "locked");
        assert_eq!(is_locked(&world, 0).await, true);
        let locked = lock_events(&world).await[1].clone();
        assert_eq!(
            (&locked["event_type"], &locked["method"], &locked["event_id"]),
            (&json!("lock.locked"), &json!("manual"), &pressed["event_id"])
        );
        assert!(locked.get("access_code_id").is_none(), "{locked}");
        let timeline = world.post("/access_codes/get_timeline", json!({ "access_code_id": id })).await.ok();
        let told = timeline["timeline_events"].as_array().unwrap();
        assert!(told.iter().all(|it| it["event_type"].as_str().unwrap().starts_with("access_code.")), "{timeline}");
    });
}

#[test]
fn a_lock_that_keeps_the_time_opens_within_the_time_frame_and_at_no_other_time() {
    run(async {
        let world = World::with(json!([{ "device_type": "ttlock_lock" }])).await;
        let window = json!({ "device_id": world.lock(0), "code": "482600",
                             "starts_at": after(DAY), "ends_at": after(2 * DAY) });
        world.create(window).await;
        go_to(&world, 1000).await;
        assert_eq!(world.memory(0).await[0]["code"], "482600", "it is on the lock already");
        for (at, expected) in [
            (DAY - 1, "not_yet_valid"),
            (DAY, "unlocked"),
            (2 * DAY - 1, "unlocked"),
            (2 * DAY, "expired_code"),
            (2 * DAY + 1000, "unknown_code"),
        ] {
            go_to(&world, at).await;
            assert_eq!(outcome(&world, 0, "482600").await, expected, "{at}");
        }
    });
}

#[test]
fn a_lock_without_schedules_opens_for_as_long_as_it_holds_the_code() {
    run(async {
        let lock = json!([{ "device_type": "ttlock_lock", "native_scheduling": false }]);
        let world = World::with(lock).await;
        let window = json!({ "device_id": world.lock(0), "code": "482600",
                             "starts_at": after(DAY), "ends_at": after(2 * DAY) });
        world.create(window).await;
        go_to(&world, DAY - HOUR).await;
        assert_eq!(outcome(&world, 0, "482600").await, "unknown_code");
        go_to(&world, DAY - HOUR + 250).await;
        assert_eq!(outcome(&world, 0, "482600").await, "unlocked");
        // Offline at check-out: the code cannot be taken off, and the guest still gets in.
        world.change_lock(0, json!({ "online": false })).await;
        go_to(&world, 3 * DAY).await;
        assert_eq!(outcome(&world, 0, "482600").await, "unlocked");
        world.change_lock(0, json!({ "online": true })).await;
        world.advance("PT1S").await;
        assert_eq!(outcome(&world, 0, "482600").await, "unknown_code");
    });
}

#[test]
fn what_counts_is_the_lock_s_memory_and_not_what_was_asked_for() {
    run(async {
        let world = World::with(json!([{ "device_type": "ttlock_lock" }, { "device_type": "august_lock" }])).await;
        for place in [0, 1] {
            let code = world.create(json!({ "device_id": world.lock(place), "code": "482600" })).await;
            world.advance("PT1S").await;
            let wanted = json!({ "access_code_id": code["access_code_id"], "code": "713900" });
            world.post("/access_codes/update", wanted).await.ok();
            // TTLock rewrites a code; August deletes it and makes it anew, and has neither meanwhile.
            let meanwhile = if place == 0 { "unlocked" } else { "unknown_code" };
            assert_eq!(outcome(&world, place, "482600").await, meanwhile);
            assert_eq!(outcome(&world, place, "713900").await, "unknown_code");
            world.advance("PT1S").await;
            assert_eq!(outcome(&world, place, "482600").await, "unknown_code");
            assert_eq!(outcome(&world, place, "713900").await, "unlocked");
            let removed = json!({ "device_id": world.lock(place), "code": "713900" });
            world.post("/_emulator/locks/remove_code", removed).await.ok();
            assert_eq!(outcome(&world, place, "713900").await, "unknown_code");
        }
    });
}

#[test]
fn foreign_and_backup_codes_open_too_and_brands_that_hide_them_name_none() {
    run(async {
        let locks = json!([{ "device_type": "august_lock", "backup_access_code_pool_size": 1 },
                           { "device_type": "kwikset_lock" }, { "device_type": "wyze_lock" }]);
        let world = World::with(locks).await;
        for place in 0..3 {
            let foreign = json!({ "device_id": world.lock(place), "code": "975310", "name": "Neighbour" });
            world.post("/_emulator/locks/add_code", foreign).await.ok();
            let entered = enter(&world, place, "975310").await;
            assert_eq!(
                (&entered["result"], &entered["access_code"]["is_managed"]),
                (&json!("unlocked"), &json!(false))
            );
        }
        let events = lock_events(&world).await;
        assert_eq!((&events[0]["access_code_is_managed"], &events[0]["code"]), (&json!(false), &json!("975310")));
        for event in &events[1..] {
            assert!(event.get("access_code_id").is_none() && event.get("code").is_none(), "{event}");
        }
        let stay = json!({ "device_id": world.lock(0), "starts_at": after(0), "ends_at": after(DAY),
                           "use_backup_access_code_pool": true });
        world.create(stay).await;
        world.advance("PT1S").await;
        let memory = world.memory(0).await;
        let backup = memory.iter().find(|held| held["is_backup"] == true).unwrap();
        assert_eq!(outcome(&world, 0, backup["code"].as_str().unwrap()).await, "unlocked");
    });
}

#[test]
fn offline_codes_open_in_their_time_frame_and_one_time_codes_once() {
    run(async {
        let world = World::with(json!([{ "device_type": "igloohome_lock", "online": false }])).await;
        let offline = json!({ "device_id": world.lock(0), "is_offline_access_code": true,
                              "starts_at": after(HOUR), "ends_at": after(5 * HOUR) });
        let hourly = world.create(offline).await["code"].as_str().unwrap().to_owned();
        let once = json!({ "device_id": world.lock(0), "is_offline_access_code": true, "is_one_time_use": true,
                           "starts_at": after(HOUR) });
        let once = world.create(once).await["code"].as_str().unwrap().to_owned();
        go_to(&world, HOUR - 1).await;
        assert_eq!(outcome(&world, 0, &hourly).await, "not_yet_valid");
        assert_eq!(outcome(&world, 0, &once).await, "not_yet_valid", "an entry that opens nothing uses nothing up");
        go_to(&world, HOUR).await;
        for (code, expected) in
            [(&hourly, "unlocked"), (&hourly, "unlocked"), (&once, "unlocked"), (&once, "already_used")]
        {
            assert_eq!(outcome(&world, 0, code).await, expected);
        }
        go_to(&world, 5 * HOUR).await;
        assert_eq!(outcome(&world, 0, &hourly).await, "unknown_code");
        assert_eq!(outcome(&world, 0, &once).await, "already_used");
    });
}

#[test]
fn a_long_offline_code_of_igloohome_dies_unless_it_is_entered_within_a_day() {
    run(async {
        let world = World::with(json!([{ "device_type": "igloohome_lock" }])).await;
        let offline = json!({ "device_id": world.lock(0), "is_offline_access_code": true,
                              "starts_at": after(0), "ends_at": after(5 * DAY) });
        let [used, unused] = [world.create(offline.clone()).await, world.create(offline).await];
        let [used, unused] = [&used, &unused].map(|code| code["code"].as_str().unwrap());
        go_to(&world, DAY - 1).await;
        assert_eq!(outcome(&world, 0, used).await, "unlocked");
        go_to(&world, DAY).await;
        assert_eq!(outcome(&world, 0, used).await, "unlocked");
        assert_eq!(outcome(&world, 0, unused).await, "never_activated");
    });
}

#[test]
fn igloohome_tells_of_each_wrong_code_and_kwikset_of_three_in_a_row() {
    run(async {
        let world = World::with(json!([{ "device_type": "igloohome_lock" }, { "device_type": "kwikset_lock" }])).await;
        for place in [0, 1] {
            world.create(json!({ "device_id": world.lock(place), "code": "482600", "name": "Cleaner" })).await;
        }
        world.advance("PT1S").await;
        let denied = enter(&world, 0, "999999").await;
        let events = lock_events(&world).await;
        assert_eq!((events.len(), &events[0]["event_id"]), (1, &denied["event_id"]));
        assert_eq!(events[0]["event_type"], "lock.access_denied");
        assert_eq!(events[0]["reason"]["reason_code"], "unknown_code");
        for _ in 0..2 {
            assert_eq!(enter(&world, 1, "999999").await["event_id"], Value::Null);
        }
        assert_eq!(outcome(&world, 1, "482600").await, "unlocked", "which ends the row");
        for _ in 0..2 {
            assert_eq!(enter(&world, 1, "999999").await["event_id"], Value::Null);
        }
        let third = enter(&world, 1, "999999").await;
        assert_eq!(third["reason"], "unknown_code");
        let told = lock_events(&world).await.pop().unwrap();
        assert_eq!(
            (&told["event_id"], &told["reason"]["reason_code"]),
            (&third["event_id"], &json!("too_many_attempts"))
        );
        let dead = enter(&world, 1, "482600").await;
        assert_eq!((&dead["reason"], &dead["access_code"]), (&json!("too_many_attempts"), &Value::Null));
        world.advance("PT1M14.999S").await;
        assert_eq!(outcome(&world, 1, "482600").await, "too_many_attempts");
        world.advance("PT0.001S").await;
        assert_eq!(outcome(&world, 1, "482600").await, "unlocked");
        let unlocked = lock_events(&world).await.pop().unwrap();
        assert_eq!(unlocked["event_type"], "lock.unlocked");
        assert!(unlocked["access_code_id"].is_string(), "Kwikset tells with which code: {unlocked}");
    });
}

#[test]
fn a_lock_that_cannot_be_reached_opens_and_tells_nobody() {
    run(async {
        let world = World::with_locks(1).await;
        world.create(json!({ "device_id": world.lock(0), "code": "4826" })).await;
        world.advance("PT1S").await;
        world.change_lock(0, json!({ "online": false })).await;
        let entered = enter(&world, 0, "4826").await;
        assert_eq!((&entered["result"], &entered["event_id"]), (&json!("unlocked"), &Value::Null));
        assert_eq!(is_locked(&world, 0).await, true, "as far as anybody knows");
        world.change_lock(0, json!({ "online": true })).await;
        assert_eq!(is_locked(&world, 0).await, false);
        assert_eq!(lock_events(&world).await, [Value::Null; 0], "nor is it told later");
    });
}

#[test]
fn faults_jam_the_bolt() {
    run(async {
        let world = World::with_locks(1).await;
        world.create(json!({ "device_id": world.lock(0), "code": "4826" })).await;
        world.advance("PT1S").await;
        for (operation, outcome) in [("unlock", json!({ "fail": {} })), ("lock", json!("never"))] {
            let fault = json!({ "operation": operation, "outcome": outcome, "times": 1 });
            world.post("/_emulator/faults/create", fault).await.ok();
        }
        assert_eq!(outcome(&world, 0, "1111").await, "unknown_code", "a wrong code moves no bolt");
        let jammed = enter(&world, 0, "4826").await;
        assert_eq!((&jammed["result"], &jammed["reason"]), (&json!("denied"), &json!("jammed")));
        assert_eq!(outcome(&world, 0, "4826").await, "unlocked");
        assert_eq!(press(&world, 0).await["result"], "jammed");
        assert_eq!(is_locked(&world, 0).await, false);
        assert_eq!(press(&world, 0).await["result"], "locked");
        let faults = world.post("/_emulator/faults/list", json!({})).await.ok();
        assert!(faults["faults"].as_array().unwrap().iter().all(|fault| fault["is_exhausted"] == true), "{faults}");
    });
}

#[test]
fn what_is_due_happens_before_a_code_is_entered() {
    run(async {
        let wanted = json!({ "clock": { "running_from": START, "rate": 1_000_000 }, "locks": 1 });
        let world = World::make(wanted).await;
        world.create(json!({ "device_id": world.lock(0), "code": "4826" })).await;
        world.post("/_emulator/clock/hold", json!({ "at": "2036-01-01T00:00:00Z" })).await.ok();
        assert_eq!(outcome(&world, 0, "4826").await, "unlocked");
    });
}

#[test]
fn bad_input_at_the_keypad_is_refused() {
    run(async {
        let (world, other) = (World::with_locks(1).await, World::with_locks(1).await);
        let lock = world.lock(0);
        for code in
            [json!(""), json!("12a4"), json!("-1"), json!("1 2"), json!("1".repeat(21)), json!(1234), Value::Null]
        {
            let wanted = json!({ "device_id": lock, "code": code });
            world.post("/_emulator/locks/enter_code", wanted).await.invalid("code");
        }
        world.post("/_emulator/locks/enter_code", json!({ "device_id": lock })).await.invalid("code");
        for (path, wanted) in
            [("/_emulator/locks/enter_code", json!({ "code": "1234" })), ("/_emulator/locks/press_lock", json!({}))]
        {
            for (id, status) in [(UNKNOWN, 404), (&other.lock(0), 404), ("front door", 400)] {
                let mut wanted = wanted.clone();
                wanted["device_id"] = json!(id);
                let reply = world.post(path, wanted).await;
                reply.error(status, if status == 404 { "device_not_found" } else { "invalid_input" });
            }
            world.post(path, wanted.clone()).await.invalid("device_id");
            let mut wanted = wanted;
            wanted["device_id"] = json!(lock);
            post_as("seam_testwrong_key", path, wanted.clone()).await.error(401, "unauthorized");
            ask("GET", path, &[], "").await.error(405, "method_not_allowed");
            let mut named = wanted;
            named["workspace_id"] = json!(other.workspace_id);
            world.post(path, named.clone()).await.invalid("workspace_id");
            post_as("", path, named).await.error(404, "device_not_found");
        }
        world.change_lock(0, json!({ "removed": true })).await;
        let entered = json!({ "device_id": lock, "code": "1234" });
        world.post("/_emulator/locks/enter_code", entered).await.error(404, "device_not_found");
        world.post("/_emulator/locks/press_lock", json!({ "device_id": lock })).await.error(404, "device_not_found");
        assert_eq!(lock_events(&world).await, [Value::Null; 0]);
    });
}
