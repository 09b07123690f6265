//! `/access_codes/update`: a change is shown at once and is complete when the lock confirms it.

use super::{on_lock, request_errors, rows};
use crate::concurrency::{Tickers, live, send_concurrently, tally};
use crate::lifecycle::{attempt, check_timeline, delete, events, set_online, summary, summary_of};
use crate::support::{START, TestWorkspace, UNKNOWN, app, ask, run};
use serde_json::{Value, json};
use uuid::Uuid;

const UPDATE: &str = "/access_codes/update";

/// Instant at which the tests request changes.
const REQUESTED: &str = "2026-03-02T12:00:01.000Z";

/// Instant at which the lock confirms them.
const DONE: &str = "2026-03-02T12:00:01.250Z";

/// Creates a workspace with one lock of this type.
async fn lock_of(device_type: &str) -> TestWorkspace {
    TestWorkspace::with(json!([{ "device_type": device_type }])).await
}

/// Creates a code that the first lock holds and whose time frame has begun.
async fn guest(workspace: &TestWorkspace) -> Value {
    create_on_lock(workspace, json!({ "starts_at": "2026-03-02T11:00:00.000Z", "ends_at": "2026-03-04T11:00:00.000Z" }))
        .await
}

/// Creates a code that the first lock already holds, and moves the clock to [`REQUESTED`].
async fn create_on_lock(workspace: &TestWorkspace, further: Value) -> Value {
    let mut params = on_lock(workspace, 0, further);
    params["name"] = json!("guest");
    params["code"] = json!("4826");
    params["sync"] = json!(true);
    let code = workspace.create(params).await;
    workspace.advance("PT1S").await;
    workspace.access_code(&code["access_code_id"]).await
}

fn of(code: &Value, mut change: Value) -> Value {
    change["access_code_id"] = code["access_code_id"].clone();
    change
}

/// Requests a change and returns its action attempt.
async fn update(workspace: &TestWorkspace, code: &Value, change: Value) -> Value {
    workspace.post(UPDATE, of(code, change)).await.ok()["action_attempt"].clone()
}

/// Returns the current state of a code.
async fn now(workspace: &TestWorkspace, code: &Value) -> Value {
    workspace.access_code(&code["access_code_id"]).await
}

/// Returns the codes that the first lock holds.
async fn memory(workspace: &TestWorkspace) -> Vec<Value> {
    let held = workspace.post("/_emulator/locks/memory", on_lock(workspace, 0, json!({}))).await.ok();
    held["codes"].as_array().unwrap().clone()
}

/// Returns the events of a code in full, except the first `skip`.
async fn events_after(workspace: &TestWorkspace, code: &Value, skip: usize) -> Vec<Value> {
    let params = json!({ "since": "2000-01-01T00:00:00Z", "access_code_id": code["access_code_id"], "limit": 1000 });
    let listed = workspace.post("/events/list", params).await.ok();
    listed["events"].as_array().unwrap()[skip..].to_vec()
}

/// Returns the event types without the prefix `access_code.`.
fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event_type"].as_str().unwrap().strip_prefix("access_code.").unwrap()).collect()
}

/// Returns pending mutations without `created_at` and `message`.
fn differences(mutations: &Value) -> Vec<Value> {
    let difference = |mutation: &Value| {
        json!({
            "mutation_code": mutation["mutation_code"],
            "from": mutation["from"],
            "to": mutation["to"],
        })
    };
    mutations.as_array().unwrap().iter().map(difference).collect()
}

/// Checks that a rejected change left the rows and the code unchanged.
async fn check_untouched(workspace: &TestWorkspace, code: &Value, before: [i64; 4]) {
    assert_eq!(rows(workspace).await, before);
    assert_eq!(now(workspace, code).await, *code);
}

#[test]
fn update_is_shown_at_once_and_emits_events_when_the_lock_confirms() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let code = guest(&workspace).await;
        let old = memory(&workspace).await;
        let change = json!({
            "name": "cleaner", "code": "5937",
            "starts_at": "2026-03-02T11:30:00.000Z", "ends_at": "2026-03-05T11:00:00.000Z",
        });
        update(&workspace, &code, change.clone()).await;
        let shown = now(&workspace, &code).await;
        assert_eq!(summary(&shown), "set updating_name updating_code updating_time_frame scheduled");
        for (name, value) in change.as_object().unwrap() {
            assert_eq!(shown[name], *value);
        }
        let times = |starts_at: &str, ends_at: &str| json!({ "starts_at": starts_at, "ends_at": ends_at });
        let window = (
            times("2026-03-02T11:00:00.000Z", "2026-03-04T11:00:00.000Z"),
            times("2026-03-02T11:30:00.000Z", "2026-03-05T11:00:00.000Z"),
        );
        let params = [
            json!({ "mutation_code": "updating_name", "from": { "name": "guest" }, "to": { "name": "cleaner" } }),
            json!({ "mutation_code": "updating_code", "from": { "code": "4826" }, "to": { "code": "5937" } }),
            json!({ "mutation_code": "updating_time_frame", "from": window.0, "to": window.1 }),
        ];
        assert_eq!(differences(&shown["pending_mutations"]), params);
        for mutation in shown["pending_mutations"].as_array().unwrap() {
            assert_eq!(mutation["created_at"], REQUESTED);
            assert!(mutation["message"].as_str().is_some_and(|message| !message.is_empty()));
        }
        assert_eq!(memory(&workspace).await, old);
        let requested = events_after(&workspace, &code, 2).await;
        assert_eq!(types(&requested), ["mutations_requested"]);
        assert_eq!(requested[0]["occurred_at"], REQUESTED);
        assert_eq!(requested[0]["requested_mutations"], json!(params));

        workspace.advance("PT0.249S").await;
        assert_eq!(now(&workspace, &code).await, shown);
        assert_eq!(memory(&workspace).await, old);
        workspace.advance("PT0.001S").await;
        assert_eq!(summary(&now(&workspace, &code).await), "set scheduled");
        let held = memory(&workspace).await;
        assert_eq!(held.len(), 1);
        for (name, value) in change.as_object().unwrap() {
            assert_eq!(held[0][name], *value);
        }
        let events = events_after(&workspace, &code, 3).await;
        assert_eq!(types(&events), ["changed", "name_changed", "code_changed", "time_frame_changed"]);
        let property = |name: &str, from: &Value, to: &Value| json!({ "property": name, "from": from, "to": to });
        let properties =
            ["name", "code", "starts_at", "ends_at"].map(|name| property(name, &code[name], &change[name]));
        assert_eq!(events[0]["changed_properties"], json!(properties));
        for (event, params) in events[1..].iter().zip(&params) {
            assert_eq!((&event["from"], &event["to"]), (&params["from"], &params["to"]));
            assert!(event["description"].as_str().is_some_and(|description| !description.is_empty()), "{event}");
        }
        assert!(events.iter().all(|event| event["occurred_at"] == DONE), "{events:?}");
        workspace.advance("P1D").await;
        assert_eq!(events_after(&workspace, &code, 3).await, events, "each event occurs once");
    });
}

#[test]
fn update_of_one_property_emits_events_for_that_property_only() {
    run(async {
        let soon = json!({ "starts_at": "2026-03-03T12:00:00.000Z", "ends_at": "2026-03-04T12:00:00.000Z" });
        let cases = [
            (json!({ "name": "cleaner" }), "name", "updating_name", "name_changed"),
            (json!({ "code": "5937" }), "code", "updating_code", "code_changed"),
            (json!({ "ends_at": "2026-03-05T12:00:00.000Z" }), "ends_at", "updating_time_frame", "time_frame_changed"),
        ];
        for (change, property, mutation, event) in cases {
            for has_started in [true, false] {
                let workspace = lock_of("wyze_lock").await;
                let code =
                    if has_started { guest(&workspace).await } else { create_on_lock(&workspace, soon.clone()).await };
                let status = if has_started { "set" } else { "unset" };
                assert_eq!(summary(&code), format!("{status} scheduled"));
                update(&workspace, &code, change.clone()).await;
                assert_eq!(summary(&now(&workspace, &code).await), format!("{status} {mutation} scheduled"));
                workspace.advance("PT0.25S").await;
                assert_eq!(summary(&now(&workspace, &code).await), format!("{status} scheduled"));
                let events = events_after(&workspace, &code, 2).await;
                assert_eq!(types(&events), ["mutations_requested", "changed", event]);
                let requested = events[0]["requested_mutations"].as_array().unwrap();
                assert_eq!((requested.len(), &requested[0]["mutation_code"]), (1, &json!(mutation)));
                let changed = json!([{ "property": property, "from": code[property], "to": change[property] }]);
                assert_eq!(events[1]["changed_properties"], changed);
                assert_eq!(
                    (&events[2]["from"][property], &events[2]["to"][property]),
                    (&code[property], &change[property])
                );
            }
        }
    });
}

#[test]
fn ongoing_code_becomes_time_bound_with_starts_at_and_ends_at() {
    run(async {
        let (starts_at, ends_at) = ("2026-03-02T12:00:00.000Z", "2026-03-03T12:00:00.000Z");
        for kind in [None, Some("time_bound")] {
            let workspace = lock_of("wyze_lock").await;
            let code = create_on_lock(&workspace, json!({})).await;
            let before = rows(&workspace).await;
            for incomplete in [json!({ "starts_at": starts_at }), json!({ "ends_at": ends_at })] {
                let error = workspace.post(UPDATE, of(&code, incomplete)).await.error(400, "invalid_input");
                let messages = request_errors(&error);
                assert!(messages[0].contains("starts_at") && messages[0].contains("ends_at"), "{messages:?}");
            }
            workspace.post(UPDATE, of(&code, json!({ "type": "time_bound" }))).await.invalid("type");
            check_untouched(&workspace, &code, before).await;

            let mut change = json!({ "starts_at": starts_at, "ends_at": ends_at });
            if let Some(kind) = kind {
                change["type"] = json!(kind);
            }
            update(&workspace, &code, change.clone()).await;
            let shown = now(&workspace, &code).await;
            assert_eq!((summary(&shown), &shown["type"]), ("set updating_time_frame".to_owned(), &json!("time_bound")));
            let times = json!({ "starts_at": starts_at, "ends_at": ends_at });
            let mutation = &shown["pending_mutations"][0];
            assert_eq!((&mutation["from"], &mutation["to"]), (&json!({ "starts_at": null, "ends_at": null }), &times));
            let timeline = [
                (DONE, "set scheduled"),
                ("2026-03-03T11:59:59.999Z", "set scheduled"),
                (ends_at, "removing deleting scheduled"),
                ("2026-03-03T12:00:00.250Z", "gone"),
            ];
            check_timeline(&workspace, &code["access_code_id"], &timeline).await;
            let events = events_after(&workspace, &code, 2).await;
            let names = ["mutations_requested", "changed", "time_frame_changed", "removed_from_device", "deleted"];
            assert_eq!(types(&events), names);
            assert_eq!((&events[2]["from"]["starts_at"], &events[2]["to"]), (&Value::Null, &times));
        }
    });
}

#[test]
fn time_bound_code_becomes_ongoing_by_type_and_not_by_omitted_times() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let code = guest(&workspace).await;
        update(&workspace, &code, json!({ "name": "cleaner", "sync": true })).await;
        let renamed = now(&workspace, &code).await;
        for name in ["type", "starts_at", "ends_at"] {
            assert_eq!(renamed[name], code[name]);
        }
        let before = rows(&workspace).await;
        for times in [json!({ "starts_at": "2026-03-03T11:00:00Z" }), json!({ "ends_at": "2026-03-05T11:00:00Z" })] {
            let mut change = times;
            change["type"] = json!("ongoing");
            workspace.post(UPDATE, of(&code, change)).await.invalid("type");
        }
        check_untouched(&workspace, &renamed, before).await;

        update(&workspace, &code, json!({ "type": "ongoing" })).await;
        let shown = now(&workspace, &code).await;
        assert_eq!(summary(&shown), "set updating_time_frame scheduled");
        assert_eq!(
            (&shown["type"], &shown["starts_at"], &shown["ends_at"]),
            (&json!("ongoing"), &Value::Null, &Value::Null)
        );
        let (from, to) = (&shown["pending_mutations"][0]["from"], &shown["pending_mutations"][0]["to"]);
        assert_eq!(*from, json!({ "starts_at": code["starts_at"], "ends_at": code["ends_at"] }));
        assert_eq!(*to, json!({ "starts_at": null, "ends_at": null }));
        let timeline = [(DONE, "set"), ("2026-04-02T12:00:00.000Z", "set")];
        check_timeline(&workspace, &code["access_code_id"], &timeline).await;
        assert_eq!(memory(&workspace).await[0]["ends_at"], Value::Null);
    });
}

#[test]
fn scheduled_code_that_becomes_ongoing_is_set_when_the_lock_confirms() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let soon = json!({ "starts_at": "2026-03-03T12:00:00.000Z", "ends_at": "2026-03-04T12:00:00.000Z" });
        let code = create_on_lock(&workspace, soon).await;
        update(&workspace, &code, json!({ "type": "ongoing" })).await;
        let timeline = [("2026-03-02T12:00:01.249Z", "setting updating_time_frame scheduled"), (DONE, "set")];
        check_timeline(&workspace, &code["access_code_id"], &timeline).await;
        workspace.advance("P10D").await;
        let events = events_after(&workspace, &code, 2).await;
        assert_eq!(types(&events), ["mutations_requested", "changed", "time_frame_changed", "set_on_device"]);
    });
}

#[test]
fn update_of_a_single_time_keeps_the_other_and_rejects_invalid_times() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let code = guest(&workspace).await;
        update(&workspace, &code, json!({ "ends_at": "2026-03-06T11:00:00.000Z", "sync": true })).await;
        update(&workspace, &code, json!({ "starts_at": "2026-03-02T10:00:00.000Z", "sync": true })).await;
        let code = now(&workspace, &code).await;
        assert_eq!(
            (&code["starts_at"], &code["ends_at"]),
            (&json!("2026-03-02T10:00:00.000Z"), &json!("2026-03-06T11:00:00.000Z"))
        );
        let before = rows(&workspace).await;
        workspace.post(UPDATE, of(&code, json!({ "ends_at": REQUESTED }))).await.invalid("ends_at");
        let reversed = [
            json!({ "starts_at": "2026-03-06T11:00:00Z" }),
            json!({ "ends_at": "2026-03-02T10:00:00Z" }),
            json!({ "starts_at": "2026-03-05T00:00:00Z", "ends_at": "2026-03-04T00:00:00Z" }),
        ];
        for change in reversed {
            let error = workspace.post(UPDATE, of(&code, change)).await.error(400, "invalid_input");
            assert_eq!(request_errors(&error), ["ends_at must be after starts_at"]);
        }
        check_untouched(&workspace, &code, before).await;
    });
}

#[test]
fn external_modification_is_allowed_at_once_and_emits_only_changed() {
    run(async {
        for name in ["is_external_modification_allowed", "allow_external_modification"] {
            let workspace = lock_of("wyze_lock").await;
            let code = guest(&workspace).await;
            let finished = update(&workspace, &code, json!({ name: true })).await;
            let shown = now(&workspace, &code).await;
            assert_eq!(
                (summary(&shown), &shown["is_external_modification_allowed"]),
                ("set scheduled".to_owned(), &json!(true))
            );
            assert_eq!((&finished["status"], &finished["result"]["access_code"]), (&json!("success"), &shown));
            assert_eq!(attempt(&workspace, &finished).await, finished);
            workspace.advance("P1D").await;
            let events = events_after(&workspace, &code, 2).await;
            assert_eq!((types(&events), &events[0]["occurred_at"]), (vec!["changed"], &json!(REQUESTED)));
            let property = "is_external_modification_allowed";
            let changed = json!([{ "property": property, "from": "false", "to": "true" }]);
            assert_eq!(events[0]["changed_properties"], changed);
        }
    });
}

#[test]
fn convert_to_unmanaged_keeps_the_code_on_the_lock() {
    run(async {
        let workspace = lock_of("ttlock_lock").await;
        let linked = json!({ "common_code_key": "guests", "ends_at": "2026-03-04T11:00:00Z", "starts_at": START });
        let code = create_on_lock(&workspace, linked).await;
        let mut held = memory(&workspace).await;
        let by_id = json!({ "access_code_id": code["access_code_id"] });
        let finished = update(&workspace, &code, json!({ "is_managed": false })).await;
        assert_eq!(
            (&finished["status"], &finished["result"]),
            (&json!("success"), &json!({})),
            "the result is empty because the code is unmanaged"
        );
        assert_eq!(attempt(&workspace, &finished).await, finished);
        workspace.post("/access_codes/get", by_id.clone()).await.error(404, "access_code_not_found");
        workspace.post(UPDATE, of(&code, json!({ "name": "cleaner" }))).await.error(404, "access_code_not_found");
        let unmanaged = workspace.post("/access_codes/unmanaged/get", by_id.clone()).await.ok()["access_code"].clone();
        for name in ["access_code_id", "status", "code", "name", "starts_at", "ends_at", "type", "created_at"] {
            assert_eq!(unmanaged[name], code[name], "{name}");
        }
        held[0]["is_managed"] = json!(false);
        assert_eq!(memory(&workspace).await, held);
        let events = events_after(&workspace, &code, 2).await;
        assert_eq!(types(&events), ["changed"]);
        assert_eq!(
            events[0]["changed_properties"],
            json!([{ "property": "is_managed", "from": "true", "to": "false" }])
        );
        workspace.post("/access_codes/unmanaged/convert_to_managed", by_id).await.ok();
        assert_eq!(now(&workspace, &code).await["common_code_key"], Value::Null, "the code left its group");
    });
}

#[test]
fn convert_to_unmanaged_waits_until_the_lock_has_the_code() {
    run(async {
        let deferred = json!({ "starts_at": "2026-03-12T12:00:00Z", "ends_at": "2026-03-14T12:00:00Z" });
        for (params, on_the_lock_at) in
            [(deferred, "2026-03-09T12:00:00.250Z"), (json!({ "code": "5937" }), "2026-03-02T12:00:00.250Z")]
        {
            let workspace = lock_of("ttlock_lock").await;
            let code = workspace.create(on_lock(&workspace, 0, params)).await;
            let by_id = json!({ "access_code_id": code["access_code_id"] });
            let pending = update(&workspace, &code, json!({ "is_managed": false })).await;
            assert_eq!((&pending["status"], &pending["result"]), (&json!("pending"), &Value::Null));
            assert_eq!(now(&workspace, &code).await, code, "managed until the lock has it");
            let again = update(&workspace, &code, json!({ "is_managed": false })).await;
            workspace.post("/access_codes/unmanaged/get", by_id.clone()).await.error(404, "access_code_not_found");
            let before: latchkey::testing::clock::Timestamp = on_the_lock_at.parse().unwrap();
            workspace.advance_to(&latchkey::testing::clock::to_iso(before - chrono::TimeDelta::milliseconds(1))).await;
            assert_eq!(now(&workspace, &code).await["is_managed"], true);
            assert_eq!(attempt(&workspace, &pending).await, pending);
            workspace.advance_to(on_the_lock_at).await;
            workspace.post("/access_codes/get", by_id.clone()).await.error(404, "access_code_not_found");
            let unmanaged = workspace.post("/access_codes/unmanaged/get", by_id).await.ok()["access_code"].clone();
            for name in ["access_code_id", "code", "starts_at", "ends_at", "type", "created_at"] {
                assert_eq!(unmanaged[name], code[name], "{name}");
            }
            for requested in [pending, again] {
                let finished = attempt(&workspace, &requested).await;
                assert_eq!((&finished["status"], &finished["result"]), (&json!("success"), &json!({})));
            }
            let held = &memory(&workspace).await[0];
            assert_eq!((&held["code"], &held["is_managed"]), (&code["code"], &json!(false)));
            let events = events_after(&workspace, &code, 0).await;
            let last = events.last().unwrap();
            assert_eq!(
                (&last["event_type"], &last["occurred_at"]),
                (&json!("access_code.changed"), &json!(on_the_lock_at))
            );
            let changed = json!([{ "property": "is_managed", "from": "true", "to": "false" }]);
            assert_eq!(last["changed_properties"], changed);
        }
    });
}

#[test]
fn convert_to_unmanaged_allows_at_most_100_pending_requests() {
    run(async {
        let workspace = lock_of("ttlock_lock").await;
        let code = workspace.create(on_lock(&workspace, 0, json!({ "code": "5937" }))).await;
        for _ in 0..100 {
            update(&workspace, &code, json!({ "is_managed": false })).await;
        }
        let before = rows(&workspace).await;
        let change = json!({ "is_managed": false, "name": "cleaner" });
        workspace.post(UPDATE, of(&code, change)).await.invalid("is_managed");
        check_untouched(&workspace, &code, before).await;
        update(&workspace, &code, json!({ "name": "cleaner" })).await;
    });
}

#[test]
fn convert_to_unmanaged_attempt_fails_when_the_code_is_deleted() {
    run(async {
        let workspace = lock_of("ttlock_lock").await;
        let code = workspace.create(on_lock(&workspace, 0, json!({ "code": "5937" }))).await;
        let pending = update(&workspace, &code, json!({ "is_managed": false })).await;
        delete(&workspace, &code["access_code_id"]).await;
        workspace.advance("PT1S").await;
        let finished = attempt(&workspace, &pending).await;
        assert_eq!((&finished["status"], &finished["result"]), (&json!("error"), &Value::Null));
        assert_eq!(finished["error"]["type"], "access_code_deleted");
        let by_id = json!({ "access_code_id": code["access_code_id"] });
        for path in ["/access_codes/get", "/access_codes/unmanaged/get"] {
            workspace.post(path, by_id.clone()).await.error(404, "access_code_not_found");
        }
        assert_eq!(types(&events_after(&workspace, &code, 0).await), ["created", "deleted"]);
        assert_eq!(memory(&workspace).await, [json!(null); 0]);
    });
}

#[test]
fn update_without_a_change_succeeds_at_once_and_emits_no_event() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let code = guest(&workspace).await;
        let same = json!({
            "name": "guest", "code": "4826", "type": "time_bound", "is_managed": true,
            "starts_at": "2026-03-02T13:00:00+02:00", "ends_at": "2026-03-04T11:00:00Z",
            "is_external_modification_allowed": false, "allow_external_modification": false,
        });
        for change in [json!({}), same] {
            let [codes, events, attempts, groups] = rows(&workspace).await;
            let finished = update(&workspace, &code, change).await;
            assert_eq!((&finished["status"], &finished["result"]), (&json!("success"), &json!({})));
            assert_eq!(attempt(&workspace, &finished).await, finished);
            check_untouched(&workspace, &code, [codes, events, attempts + 1, groups]).await;
        }
    });
}

#[test]
fn update_does_not_find_codes_that_ended_are_removing_or_gone() {
    run(async {
        let params = json!({ "locks": [{ "device_type": "wyze_lock" }], "keep_expired_access_codes": true });
        let keeping = TestWorkspace::create_with(params).await;
        let (workspace, other) = (lock_of("wyze_lock").await, lock_of("wyze_lock").await);
        let change = json!({ "name": "cleaner" });
        let check_not_found = async |workspace: &TestWorkspace, code: &Value| {
            let before = rows(workspace).await;
            let error = workspace.post(UPDATE, of(code, change.clone())).await.error(404, "access_code_not_found");
            assert_eq!(error["data"], json!({ "access_code_id": code["access_code_id"] }));
            assert_eq!(rows(workspace).await, before);
        };
        check_not_found(&workspace, &json!({ "access_code_id": UNKNOWN })).await;
        let deleted = guest(&workspace).await;
        check_not_found(&other, &deleted).await;
        delete(&workspace, &deleted["access_code_id"]).await;
        check_not_found(&workspace, &deleted).await;
        workspace.advance("PT1S").await;
        check_not_found(&workspace, &deleted).await;

        let ended = guest(&workspace).await;
        for step in [("2026-03-04T11:00:00.000Z", "removing deleting scheduled"), ("2026-03-04T11:00:00.250Z", "gone")]
        {
            check_timeline(&workspace, &ended["access_code_id"], &[step]).await;
            check_not_found(&workspace, &ended).await;
        }
        let expired = guest(&keeping).await;
        check_timeline(&keeping, &expired["access_code_id"], &[("2026-03-05T11:00:00.000Z", "unset")]).await;
        check_not_found(&keeping, &expired).await;
    });
}

#[test]
fn later_start_on_a_native_lock_unsets_the_code_until_the_new_start() {
    run(async {
        for (starts_at, before) in [
            ("2026-03-04T12:00:00.000Z", "2026-03-04T11:59:59.999Z"),
            ("2026-03-08T12:00:00.000Z", "2026-03-08T11:59:59.999Z"),
        ] {
            let workspace = lock_of("wyze_lock").await;
            let code = guest(&workspace).await;
            let window = json!({ "starts_at": starts_at, "ends_at": "2026-03-10T12:00:00.000Z" });
            update(&workspace, &code, window.clone()).await;
            // The old time frame applies until the lock confirms the change.
            assert_eq!(summary(&now(&workspace, &code).await), "set updating_time_frame scheduled");
            check_timeline(&workspace, &code["access_code_id"], &[(DONE, "unset scheduled")]).await;
            let held = memory(&workspace).await;
            assert_eq!((&held[0]["starts_at"], &held[0]["ends_at"]), (&window["starts_at"], &window["ends_at"]));
            let timeline = [(before, "unset scheduled"), (starts_at, "set scheduled")];
            check_timeline(&workspace, &code["access_code_id"], &timeline).await;
            assert_eq!(
                events(&workspace, &code["access_code_id"]).await[2..],
                [
                    format!("mutations_requested@{REQUESTED}"),
                    format!("changed@{DONE}"),
                    format!("time_frame_changed@{DONE}"),
                    format!("set_on_device@{starts_at}"),
                ]
            );
        }
    });
}

#[test]
fn later_start_on_a_just_in_time_lock_removes_and_defers_the_code() {
    run(async {
        let window = json!({ "starts_at": "2026-03-05T12:00:00.000Z", "ends_at": "2026-03-06T12:00:00.000Z" });
        for was_ongoing in [false, true] {
            let workspace = lock_of("smartthings_lock").await;
            let code = if was_ongoing { create_on_lock(&workspace, json!({})).await } else { guest(&workspace).await };
            let pending = update(&workspace, &code, window.clone()).await;
            let timeline =
                [("2026-03-02T12:00:01.249Z", "set updating_time_frame"), (DONE, "unset deferring_creation")];
            check_timeline(&workspace, &code["access_code_id"], &timeline[..1]).await;
            assert_eq!((memory(&workspace).await.len(), attempt(&workspace, &pending).await), (1, pending.clone()));
            check_timeline(&workspace, &code["access_code_id"], &timeline[1..]).await;
            let shown = now(&workspace, &code).await;
            assert_eq!(shown["pending_mutations"][0]["scheduled_at"], "2026-03-05T11:00:00.000Z");
            assert_eq!((memory(&workspace).await, &shown["appearance"]), (Vec::new(), &Value::Null));
            assert_eq!(attempt(&workspace, &pending).await["status"], "success");
            let timeline = [
                ("2026-03-05T10:59:59.999Z", "unset deferring_creation"),
                ("2026-03-05T11:00:00.000Z", "setting creating"),
                ("2026-03-05T11:00:00.250Z", "set"),
            ];
            check_timeline(&workspace, &code["access_code_id"], &timeline).await;
            assert_eq!(
                events(&workspace, &code["access_code_id"]).await[2..],
                [
                    format!("mutations_requested@{REQUESTED}"),
                    format!("removed_from_device@{DONE}"),
                    format!("changed@{DONE}"),
                    format!("time_frame_changed@{DONE}"),
                    "set_on_device@2026-03-05T11:00:00.250Z".to_owned(),
                ]
            );
        }
        // A code that starts within the next hour is not deferred.
        let workspace = lock_of("smartthings_lock").await;
        let code = guest(&workspace).await;
        update(&workspace, &code, json!({ "starts_at": "2026-03-02T12:30:00.000Z" })).await;
        check_timeline(&workspace, &code["access_code_id"], &[(DONE, "set")]).await;
        assert_eq!(
            types(&events_after(&workspace, &code, 2).await),
            ["mutations_requested", "changed", "time_frame_changed"]
        );
    });
}

#[test]
fn update_before_the_lock_has_the_code_changes_what_is_programmed() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let window = json!({ "starts_at": "2026-03-12T12:00:00.000Z", "ends_at": "2026-03-14T12:00:00.000Z" });
        let code = workspace.create(on_lock(&workspace, 0, window)).await;
        let id = &code["access_code_id"];
        let change = json!({ "name": "cleaner", "code": "5937", "starts_at": "2026-03-13T12:00:00.000Z" });
        update(&workspace, &code, change.clone()).await;
        let shown = now(&workspace, &code).await;
        assert_eq!(summary(&shown), "unset deferring_creation");
        assert_eq!(shown["pending_mutations"][0]["scheduled_at"], "2026-03-10T12:00:00.000Z");
        let timeline = [
            ("2026-03-10T11:59:59.999Z", "unset deferring_creation"),
            ("2026-03-10T12:00:00.000Z", "unset creating"),
            ("2026-03-10T12:00:00.250Z", "unset scheduled"),
        ];
        check_timeline(&workspace, id, &timeline).await;
        let held = memory(&workspace).await;
        for (name, value) in change.as_object().unwrap() {
            assert_eq!(held[0][name], *value);
        }
        let events = events_after(&workspace, &code, 1).await;
        assert_eq!(types(&events), ["mutations_requested", "changed", "scheduled_on_device"]);
        assert!(events[..2].iter().all(|event| event["occurred_at"] == START), "{events:?}");
        let changed: Vec<_> =
            events[1]["changed_properties"].as_array().unwrap().iter().map(|entry| &entry["property"]).collect();
        assert_eq!(changed, ["name", "code", "starts_at"]);
    });
}

#[test]
fn update_during_programming_restarts_the_programming() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let code = workspace.create(on_lock(&workspace, 0, json!({ "code": "4826" }))).await;
        let id = &code["access_code_id"];
        workspace.advance("PT0.2S").await;
        update(&workspace, &code, json!({ "code": "5937" })).await;
        let timeline = [("2026-03-02T12:00:00.449Z", "setting creating"), ("2026-03-02T12:00:00.450Z", "set")];
        check_timeline(&workspace, id, &timeline).await;
        assert_eq!(memory(&workspace).await[0]["code"], "5937");
        assert_eq!(
            events(&workspace, id).await[1..],
            [
                "mutations_requested@2026-03-02T12:00:00.200Z",
                "changed@2026-03-02T12:00:00.200Z",
                "set_on_device@2026-03-02T12:00:00.450Z",
            ]
        );

        set_online(&workspace, false).await;
        let offline = workspace.create(on_lock(&workspace, 0, json!({ "code": "4826" }))).await;
        update(&workspace, &offline, json!({ "code": "6048" })).await;
        workspace.advance("P1D").await;
        assert_eq!(summary(&now(&workspace, &offline).await), "setting creating");
        set_online(&workspace, true).await;
        workspace.advance("PT0.25S").await;
        assert_eq!(memory(&workspace).await[1]["code"], "6048");
        assert_eq!(
            types(&events_after(&workspace, &offline, 1).await),
            ["mutations_requested", "changed", "set_on_device"]
        );
    });
}

#[test]
fn update_restarts_the_delay_until_the_programming_warning() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let window = json!({ "starts_at": "2026-03-12T12:00:00.000Z", "ends_at": "2026-03-14T12:00:00.000Z" });
        let sooner = workspace.create(on_lock(&workspace, 0, window)).await;
        workspace.advance("P5D").await;
        // With the new start, programming was due two days ago.
        update(&workspace, &sooner, json!({ "starts_at": "2026-03-08T12:00:00.000Z" })).await;
        assert_eq!(summary(&now(&workspace, &sooner).await), "unset creating");
        workspace.advance("PT0.25S").await;
        assert_eq!(summary(&now(&workspace, &sooner).await), "unset scheduled");
        assert_eq!(
            types(&events_after(&workspace, &sooner, 1).await),
            ["mutations_requested", "changed", "scheduled_on_device"]
        );

        workspace.post("/_emulator/programming/set", json!({ "programming": "by_hand" })).await.ok();
        let slow = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        workspace.advance("PT1M").await;
        let warnings = async || now(&workspace, &slow).await["warnings"].as_array().unwrap().len();
        assert_eq!(warnings().await, 1);
        update(&workspace, &slow, json!({ "name": "cleaner" })).await;
        assert_eq!(warnings().await, 0);
        workspace.advance("PT59S").await;
        assert_eq!(warnings().await, 0);
        workspace.advance("PT1S").await;
        assert_eq!(warnings().await, 1);
    });
}

#[test]
fn update_during_an_update_restarts_with_the_newest_values() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let code = guest(&workspace).await;
        let first = update(&workspace, &code, json!({ "name": "cleaner" })).await;
        workspace.advance("PT0.1S").await;
        let second = update(&workspace, &code, json!({ "name": "plumber", "code": "5937" })).await;
        let shown = now(&workspace, &code).await;
        assert_eq!(summary(&shown), "set updating_name updating_code scheduled");
        let params = [
            json!({ "mutation_code": "updating_name", "from": { "name": "guest" }, "to": { "name": "plumber" } }),
            json!({ "mutation_code": "updating_code", "from": { "code": "4826" }, "to": { "code": "5937" } }),
        ];
        assert_eq!(differences(&shown["pending_mutations"]), params);
        assert_eq!(shown["pending_mutations"][0]["created_at"], REQUESTED);
        assert_eq!(shown["pending_mutations"][1]["created_at"], "2026-03-02T12:00:01.100Z");
        workspace.advance("PT0.249S").await;
        assert_eq!(now(&workspace, &code).await, shown);
        for pending in [&first, &second] {
            assert_eq!((&pending["status"], attempt(&workspace, pending).await), (&json!("pending"), pending.clone()));
        }
        workspace.advance("PT0.001S").await;
        let shown = now(&workspace, &code).await;
        assert_eq!(summary(&shown), "set scheduled");
        for pending in [&first, &second] {
            let finished = attempt(&workspace, pending).await;
            assert_eq!((&finished["status"], &finished["result"]["access_code"]), (&json!("success"), &shown));
        }
        assert_eq!(
            events(&workspace, &code["access_code_id"]).await[2..],
            [
                "mutations_requested@2026-03-02T12:00:01.000Z",
                "mutations_requested@2026-03-02T12:00:01.100Z",
                "changed@2026-03-02T12:00:01.350Z",
                "name_changed@2026-03-02T12:00:01.350Z",
                "code_changed@2026-03-02T12:00:01.350Z",
            ]
        );
        let events_of_change = events_after(&workspace, &code, 4).await;
        let changed = json!([
            { "property": "name", "from": "guest", "to": "plumber" },
            { "property": "code", "from": "4826", "to": "5937" },
        ]);
        assert_eq!(events_of_change[0]["changed_properties"], changed);
        assert_eq!((&events_of_change[1]["from"], &events_of_change[1]["to"]), (&params[0]["from"], &params[0]["to"]));
    });
}

#[test]
fn update_back_to_what_the_lock_holds_leaves_nothing_pending() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let code = guest(&workspace).await;
        let held = memory(&workspace).await;
        let first = update(&workspace, &code, json!({ "name": "cleaner" })).await;
        assert_eq!(first["status"], "pending");
        workspace.advance("PT0.1S").await;
        let second = update(&workspace, &code, json!({ "name": "guest" })).await;
        assert_eq!(now(&workspace, &code).await, code);
        for pending in [&first, &second] {
            let finished = attempt(&workspace, pending).await;
            assert_eq!((&finished["status"], &finished["result"]["access_code"]), (&json!("success"), &code));
        }
        workspace.advance("PT1H").await;
        assert_eq!(types(&events_after(&workspace, &code, 2).await), ["mutations_requested", "mutations_requested"]);
        assert_eq!(memory(&workspace).await, held);
    });
}

#[test]
fn update_on_brands_that_recreate_codes_is_setting_and_emits_only_changes() {
    run(async {
        for device_type in ["august_lock", "schlage_lock", "yale_lock", "wyze_lock"] {
            let workspace = lock_of(device_type).await;
            let code = guest(&workspace).await;
            let id = &code["access_code_id"];
            let held = memory(&workspace).await;
            update(&workspace, &code, json!({ "name": "cleaner", "code": "5937" })).await;
            let (status, holds) = if device_type == "wyze_lock" { ("set", held) } else { ("setting", Vec::new()) };
            for by in ["PT0S", "PT0.249S"] {
                workspace.advance(by).await;
                let pending = format!("{status} updating_name updating_code scheduled");
                assert_eq!(
                    (summary_of(&workspace, id).await, memory(&workspace).await),
                    (pending, holds.clone()),
                    "{device_type}"
                );
            }
            check_timeline(&workspace, id, &[(DONE, "set scheduled")]).await;
            assert_eq!(memory(&workspace).await[0]["code"], "5937");
            let events = events_after(&workspace, &code, 2).await;
            assert_eq!(
                types(&events),
                ["mutations_requested", "changed", "name_changed", "code_changed"],
                "{device_type}"
            );
        }
    });
}

#[test]
fn update_on_a_recreating_lock_keeps_the_old_code_while_it_is_offline() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = guest(&workspace).await;
        let held = memory(&workspace).await;
        set_online(&workspace, false).await;
        update(&workspace, &code, json!({ "code": "5937" })).await;
        assert_eq!(summary(&now(&workspace, &code).await), "set updating_code scheduled");
        assert_eq!(memory(&workspace).await, held);
        set_online(&workspace, true).await;
        assert_eq!(summary(&now(&workspace, &code).await), "setting updating_code scheduled");
        assert_eq!(memory(&workspace).await, [json!(null); 0]);

        let workspace = TestWorkspace::with_locks(1).await;
        let soon = json!({ "starts_at": "2026-03-03T12:00:00.000Z", "ends_at": "2026-03-04T12:00:00.000Z" });
        let code = create_on_lock(&workspace, soon).await;
        update(&workspace, &code, json!({ "code": "5937" })).await;
        assert_eq!(
            summary(&now(&workspace, &code).await),
            "unset updating_code scheduled",
            "unset, because the code has not started"
        );
    });
}

#[test]
fn update_attempt_finishes_when_the_lock_has_every_change() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let code = guest(&workspace).await;
        let pending =
            update(&workspace, &code, json!({ "name": "cleaner", "is_external_modification_allowed": true })).await;
        assert_eq!((&pending["status"], &pending["action_type"]), (&json!("pending"), &json!("UPDATE_ACCESS_CODE")));
        assert_eq!((&pending["result"], &pending["error"]), (&Value::Null, &Value::Null));
        workspace.advance("PT0.249S").await;
        assert_eq!(attempt(&workspace, &pending).await, pending);
        workspace.advance("PT0.001S").await;
        let finished = attempt(&workspace, &pending).await;
        assert_eq!((&finished["status"], &finished["error"]), (&json!("success"), &Value::Null));
        assert_eq!(finished["result"]["access_code"], now(&workspace, &code).await);

        set_online(&workspace, false).await;
        let pending = update(&workspace, &code, json!({ "name": "plumber", "sync": true })).await;
        assert_eq!(pending["status"], "pending", "pending, because the lock is offline");
        workspace.advance("P1D").await;
        assert_eq!(attempt(&workspace, &pending).await, pending);
        set_online(&workspace, true).await;
        workspace.advance("PT0.25S").await;
        assert_eq!(attempt(&workspace, &pending).await["status"], "success");

        let pending = update(&workspace, &code, json!({ "name": "painter" })).await;
        delete(&workspace, &code["access_code_id"]).await;
        for by in ["PT0S", "PT1S"] {
            workspace.advance(by).await;
            let finished = attempt(&workspace, &pending).await;
            assert_eq!((&finished["status"], &finished["result"]), (&json!("error"), &Value::Null));
            assert_eq!(finished["error"]["type"], "access_code_deleted");
        }
        assert_eq!(attempt(&workspace, &finished).await["status"], "success", "a finished attempt stays unchanged");
    });
}

#[test]
fn sync_update_responds_when_the_lock_has_the_change() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = guest(&workspace).await;
        let finished = update(&workspace, &code, json!({ "code": "5937", "sync": true })).await;
        let shown = now(&workspace, &code).await;
        assert_eq!((summary(&shown), &shown["code"]), ("set scheduled".to_owned(), &json!("5937")));
        assert_eq!((&finished["status"], &finished["result"]["access_code"]), (&json!("success"), &shown));
        assert_eq!(attempt(&workspace, &finished).await, finished);
        assert_eq!(memory(&workspace).await[0]["code"], "5937");
        let events = events_after(&workspace, &code, 2).await;
        assert_eq!(types(&events), ["mutations_requested", "changed", "code_changed"]);
        assert!(events.iter().all(|event| event["occurred_at"] == REQUESTED), "{events:?}");
        workspace.create(on_lock(&workspace, 0, json!({ "code": "4826" }))).await;
    });
}

#[test]
fn update_checks_a_new_pin_or_time_frame_like_create() {
    run(async {
        let lock = json!([{ "device_type": "smartthings_lock" }]);
        let workspace =
            TestWorkspace::create_with(json!({ "locks": lock, "allow_same_code_in_disjoint_windows": true })).await;
        let days = |from: u32, to: u32| json!({ "starts_at": format!("2026-03-{from}T12:00:00Z"), "ends_at": format!("2026-03-{to}T12:00:00Z") });
        let pinned = |code: &str, mut window: Value| {
            window["code"] = json!(code);
            on_lock(&workspace, 0, window)
        };
        workspace.create(pinned("4826", days(10, 12))).await;
        let next = workspace.create(pinned("4826", days(13, 14))).await;
        let other = workspace.create(pinned("5937", days(11, 13))).await;
        let before = rows(&workspace).await;
        let clashes = [
            (&next, json!({ "starts_at": "2026-03-12T12:59:59Z" })),
            (&next, json!({ "type": "ongoing" })),
            (&next, json!({ "code": "5937" })),
            (&other, json!({ "code": "4826" })),
            (&other, json!({ "code": "4826", "starts_at": "2026-03-11T00:00:00Z", "ends_at": "2026-03-12T00:00:00Z" })),
        ];
        for (code, change) in clashes {
            workspace.post(UPDATE, of(code, change)).await.error(409, "duplicate_access_code");
            check_untouched(&workspace, code, before).await;
        }
        for bad in ["1234567890123", "123", "48a6", ""] {
            workspace.post(UPDATE, of(&other, json!({ "code": bad }))).await.invalid("code");
        }
        check_untouched(&workspace, &other, before).await;
        let mut moved = days(15, 16);
        moved["code"] = json!("4826");
        update(&workspace, &other, moved).await;
        assert_eq!(now(&workspace, &other).await["code"], "4826");

        let schlage = lock_of("schlage_lock").await;
        let code = guest(&schlage).await;
        let messages = schlage.post(UPDATE, of(&code, json!({ "code": "4486" }))).await.invalid("code");
        assert!(messages[0].starts_with("The device cannot hold this code: "), "{messages:?}");
    });
}

#[test]
fn pin_change_blocks_both_pins_until_the_lock_confirms() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let code = guest(&workspace).await;
        update(&workspace, &code, json!({ "code": "5937" })).await;
        for pin in ["4826", "5937"] {
            let params = on_lock(&workspace, 0, json!({ "code": pin }));
            workspace.post("/access_codes/create", params).await.error(409, "duplicate_access_code");
        }
        workspace.advance("PT0.25S").await;
        let params = on_lock(&workspace, 0, json!({ "code": "5937" }));
        workspace.post("/access_codes/create", params).await.error(409, "duplicate_access_code");
        let successor = workspace.create(on_lock(&workspace, 0, json!({ "code": "4826" }))).await;
        workspace.advance("PT0.25S").await;
        assert_eq!(summary(&now(&workspace, &successor).await), "set");
    });
}

#[test]
fn update_rejects_a_time_frame_for_which_the_lock_is_full() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "wyze_lock", "max_active_codes_supported": 1 }])).await;
        let days = |from: u32, to: u32| json!({ "starts_at": format!("2026-03-{from}T12:00:00Z"), "ends_at": format!("2026-03-{to}T12:00:00Z") });
        workspace.create(on_lock(&workspace, 0, days(10, 11))).await;
        let code = workspace.create(on_lock(&workspace, 0, days(20, 21))).await;
        let before = rows(&workspace).await;
        // The lock holds a code from 72 hours before its start.
        for change in [days(13, 21), json!({ "type": "ongoing" })] {
            workspace.post(UPDATE, of(&code, change)).await.error(400, "no_space_for_access_code_on_device");
            check_untouched(&workspace, &code, before).await;
        }
        update(&workspace, &code, days(15, 16)).await;
        update(&workspace, &code, json!({ "code": "5937" })).await;
    });
}

#[test]
fn delete_cancels_an_update() {
    run(async {
        for device_type in ["wyze_lock", "august_lock"] {
            let workspace = lock_of(device_type).await;
            let code = guest(&workspace).await;
            let id = &code["access_code_id"];
            update(&workspace, &code, json!({ "name": "cleaner", "code": "5937" })).await;
            workspace.advance("PT0.1S").await;
            delete(&workspace, id).await;
            let timeline =
                [("2026-03-02T12:00:01.349Z", "removing deleting scheduled"), ("2026-03-02T12:00:01.350Z", "gone")];
            check_timeline(&workspace, id, &timeline).await;
            assert_eq!(memory(&workspace).await, [json!(null); 0]);
            assert_eq!(
                events(&workspace, id).await[2..],
                [
                    "mutations_requested@2026-03-02T12:00:01.000Z",
                    "removed_from_device@2026-03-02T12:00:01.350Z",
                    "deleted@2026-03-02T12:00:01.350Z",
                ]
            );
        }
    });
}

#[test]
fn update_names_invalid_parameters_and_changes_nothing() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "ttlock_lock" }, { "device_type": "ttlock_lock" }])).await;
        let code = guest(&workspace).await;
        let before = rows(&workspace).await;
        for name in ["starts_at", "ends_at"] {
            for time in ["tomorrow", "2026-03-05 noon", "2026-02-30T12:00:00Z", ""] {
                workspace.post(UPDATE, of(&code, json!({ name: time }))).await.invalid(name);
            }
        }
        for (name, value) in
            [("name", json!(7)), ("code", json!(4826)), ("type", json!("sometimes")), ("sync", json!(7))]
        {
            workspace.post(UPDATE, of(&code, json!({ name: value }))).await.invalid(name);
        }
        workspace.post(UPDATE, json!({ "name": "cleaner" })).await.invalid("access_code_id");
        workspace.post(UPDATE, json!({ "access_code_id": "guest" })).await.invalid("access_code_id");
        let conflicting = json!({ "is_external_modification_allowed": true, "allow_external_modification": false });
        let error = workspace.post(UPDATE, of(&code, conflicting)).await.error(400, "invalid_input");
        assert!(request_errors(&error)[0].contains("allow_external_modification"), "{error}");
        let other_device = json!({ "access_code_id": code["access_code_id"], "device_id": workspace.lock(1) });
        let mut params = other_device.clone();
        params["name"] = json!("cleaner");
        let error = workspace.post(UPDATE, params).await.error(404, "access_code_not_found");
        assert_eq!(error["data"], other_device);
        let unknown_device =
            json!({ "access_code_id": code["access_code_id"], "device_id": UNKNOWN, "name": "cleaner" });
        workspace.post(UPDATE, unknown_device).await.error(404, "device_not_found");
        check_untouched(&workspace, &code, before).await;
        update(&workspace, &code, json!({ "device_id": workspace.lock(0), "name": "cleaner" })).await;
    });
}

#[test]
fn update_does_not_find_unmanaged_codes_and_pooled_backups() {
    run(async {
        let workspace = lock_of("ttlock_lock").await;
        let unmanaged = on_lock(&workspace, 0, json!({ "code": "5937" }));
        let unmanaged = workspace.post("/_emulator/locks/add_code", unmanaged).await.ok()["access_code"].clone();
        let pooled =
            json!({ "starts_at": START, "ends_at": "2026-03-04T12:00:00Z", "use_backup_access_code_pool": true });
        let code = workspace.create(on_lock(&workspace, 0, pooled)).await;
        let statement = "select access_code_id from access_code where pool_device_id = $1 limit 1";
        let device_id: Uuid = workspace.lock(0).parse().unwrap();
        let backup: Uuid = sqlx::query_scalar(statement).bind(device_id).fetch_one(app().pool.raw()).await.unwrap();
        let before = rows(&workspace).await;
        for id in [unmanaged["access_code_id"].clone(), json!(backup)] {
            let params = json!({ "access_code_id": id, "name": "cleaner" });
            workspace.post(UPDATE, params).await.error(404, "access_code_not_found");
        }
        assert_eq!(rows(&workspace).await, before);
        let by_id = json!({ "access_code_id": code["access_code_id"] });
        let pulled = workspace.post("/access_codes/pull_backup_access_code", by_id).await.ok()["access_code"].clone();
        update(&workspace, &pulled, json!({ "name": "cleaner" })).await;
        assert_eq!(now(&workspace, &pulled).await["name"], "cleaner");
    });
}

#[test]
fn update_of_an_offline_lock_is_rejected_if_the_request_forbids_waiting() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let code = guest(&workspace).await;
        let without_waiting = json!({ "name": "cleaner", "attempt_for_offline_device": false });
        set_online(&workspace, false).await;
        let offline = now(&workspace, &code).await;
        let before = rows(&workspace).await;
        workspace.post(UPDATE, of(&code, without_waiting.clone())).await.error(400, "device_offline");
        check_untouched(&workspace, &offline, before).await;
        assert_eq!(update(&workspace, &code, json!({ "name": "plumber" })).await["status"], "pending");
        set_online(&workspace, true).await;
        assert_eq!(update(&workspace, &code, without_waiting).await["status"], "pending");
        workspace.advance("PT0.25S").await;
        assert_eq!(memory(&workspace).await[0]["name"], "cleaner");
    });
}

#[test]
fn update_accepts_patch_post_and_put() {
    run(async {
        let workspace = lock_of("wyze_lock").await;
        let code = guest(&workspace).await;
        let key = format!("Bearer {}", workspace.api_key);
        let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
        for (method, name) in [("PATCH", "cleaner"), ("POST", "plumber"), ("PUT", "painter")] {
            let body = of(&code, json!({ "name": name })).to_string();
            ask(method, UPDATE, &headers, body).await.ok();
            assert_eq!(now(&workspace, &code).await["name"], name);
        }
        ask("DELETE", UPDATE, &headers, "").await.error(405, "method_not_allowed");
    });
}

/// Counts pairs of managed codes that claim one PIN on one lock with overlapping time frames. A code claims the
/// requested PIN and the PIN that is on the lock.
async fn clashes(workspace: &TestWorkspace) -> i64 {
    let statement = "with claim as (
             select access_code_id, device_id, code, starts_at, ends_at from access_code
             where workspace_id = $1 and gone_at is null and is_managed
             union all
             select access_code_id, device_id, held_code, held_starts_at, held_ends_at from access_code
             where workspace_id = $1 and gone_at is null and is_managed and held_code is not null
         )
         select count(*) from claim a join claim b using (device_id, code)
         where a.access_code_id < b.access_code_id
           and tstzrange(a.starts_at, a.ends_at) && tstzrange(b.starts_at, b.ends_at)";
    let workspace_id: Uuid = workspace.workspace_id.parse().unwrap();
    sqlx::query_scalar(statement).bind(workspace_id).fetch_one(app().pool.raw()).await.unwrap()
}

/// Returns update request `number` for one of these codes. The PINs are scarce and the time frames touch.
fn update_request(codes: &[Value], number: usize) -> (&'static str, Value) {
    let mixed = number.wrapping_mul(0x9E37_79B9) >> 8;
    let (code, kind, index) = (format!("480{}", mixed % 9), mixed / 9 % 5, mixed / 45 % codes.len());
    let (present, later) =
        (["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"], ["2099-01-01T00:00:00Z", "2099-06-01T00:00:00Z"]);
    let change = match kind {
        0 | 1 => json!({ "code": code, "sync": number.is_multiple_of(2) }),
        2 => json!({ "code": code, "starts_at": present[0], "ends_at": present[1] }),
        3 => json!({ "starts_at": later[0], "ends_at": later[1], "name": format!("guest {number}") }),
        _ => json!({ "code": code, "type": "ongoing" }),
    };
    (UPDATE, of(&codes[index], change))
}

#[test]
fn concurrent_updates_never_claim_a_pin_twice() {
    run(async {
        let capped = json!({ "device_type": "wyze_lock", "max_active_codes_supported": 6 });
        let workspace =
            live(json!([{ "device_type": "wyze_lock" }, capped, { "device_type": "smartthings_lock" }])).await;
        let tickers = Tickers::start(3);
        let mut codes = Vec::new();
        for number in 0..18 {
            codes.push(
                workspace
                    .create(on_lock(&workspace, number % 3, json!({ "code": format!("48{:02}", number / 3) })))
                    .await,
            );
        }
        for round in 0..4 {
            let requests = (0..150).map(|number| update_request(&codes, round * 150 + number)).collect();
            let replies = send_concurrently(&workspace.api_key, requests).await;
            let counts = tally(&replies, &[(409, "duplicate_access_code")]);
            assert!(counts["ok"] > 15 && counts["duplicate_access_code"] > 15, "round {round}: {counts:?}");
            assert_eq!(clashes(&workspace).await, 0, "round {round}");
        }
        tickers.stop().await;
        // On the held clock, everything that is due happens within this hour.
        workspace.post("/_emulator/clock/hold", json!({})).await.ok();
        workspace.advance("PT1H").await;
        assert_eq!(clashes(&workspace).await, 0);
        for code in &codes {
            let code = now(&workspace, code).await;
            assert_eq!(code["errors"], json!([]));
            assert!(
                ["set", "set scheduled", "unset scheduled", "unset deferring_creation"]
                    .contains(&summary(&code).as_str()),
                "{code}"
            );
        }
        let mut held: Vec<Value> = Vec::new();
        for device_id in workspace.locks() {
            let memory = workspace.post("/_emulator/locks/memory", json!({ "device_id": device_id })).await.ok();
            held.extend(memory["codes"].as_array().unwrap().iter().cloned());
        }
        for held in held {
            let code = now(&workspace, &held).await;
            for name in ["code", "name", "starts_at", "ends_at"] {
                assert_eq!(held[name], code[name], "the lock has the values of the last update");
            }
        }
    });
}

#[test]
fn concurrent_updates_of_one_code_are_serialized() {
    run(async {
        let locks = json!([{ "device_type": "wyze_lock" }]);
        let workspace =
            TestWorkspace::create_with(json!({ "locks": locks, "allow_same_code_in_disjoint_windows": true })).await;
        let days = |from: u32, to: u32, code: &str| {
            let at = |day: u32| format!("2026-03-{day}T12:00:00Z");
            json!({ "starts_at": at(from), "ends_at": at(to), "code": code })
        };
        for round in 0..20 {
            let [first, second, third] = [0, 1, 2].map(|index| format!("{}", 1000 + round * 10 + index));
            workspace.create(on_lock(&workspace, 0, days(10, 12, &first))).await;
            let code = workspace.create(on_lock(&workspace, 0, days(18, 19, &first))).await;
            // Each of the two changes is valid alone, but `back` after `away` is a duplicate.
            let [away, back] = [days(10, 12, &second), json!({ "code": first })];
            let name = json!({ "name": "cleaner" });
            let changes = [&name, &away, &back, &name, &away, &back].map(|change| (UPDATE, of(&code, change.clone())));
            tally(&send_concurrently(&workspace.api_key, changes.into()).await, &[(409, "duplicate_access_code")]);
            assert_eq!(clashes(&workspace).await, 0, "round {round}");

            let code =
                workspace.create(on_lock(&workspace, 0, json!({ "name": "guest", "code": third, "sync": true }))).await;
            let unmanage = json!({ "is_managed": false });
            let changes = [&name, &unmanage, &name, &name].map(|change| (UPDATE, of(&code, change.clone())));
            tally(&send_concurrently(&workspace.api_key, changes.into()).await, &[(404, "access_code_not_found")]);
            let by_id = json!({ "access_code_id": code["access_code_id"] });
            let unmanaged = workspace.post("/access_codes/unmanaged/get", by_id).await.ok();
            assert_eq!(unmanaged["access_code"]["name"], "guest", "a code that is unmanaged is no longer updated");
        }
    });
}
