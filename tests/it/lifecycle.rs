//! The life of an access code as a client sees it: through HTTP, at instants of a clock that obeys.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use crate::support::{START, TestWorkspace, run};
use serde_json::{Value, json};

/// What a client sees of a code: its status, its pending mutations, and whether the lock keeps it for later.
pub(crate) fn seen(code: &Value) -> String {
    let mutations = code["pending_mutations"].as_array().unwrap().iter();
    let mutations = mutations.map(|mutation| mutation["mutation_code"].as_str().unwrap());
    let scheduled = code["is_scheduled_on_device"].as_bool().unwrap().then_some("scheduled");
    let words: Vec<_> = code["status"].as_str().into_iter().chain(mutations).chain(scheduled).collect();
    words.join(" ")
}

/// The same of the code with this id, or `gone`.
pub(crate) async fn seen_of(workspace: &TestWorkspace, access_code_id: &Value) -> String {
    let reply = workspace.post("/access_codes/get", json!({ "access_code_id": access_code_id })).await;
    if reply.status == 404 {
        reply.error(404, "access_code_not_found");
        return "gone".to_owned();
    }
    seen(&reply.ok()["access_code"])
}

/// Moves the clock to each instant and compares what is seen there.
pub(crate) async fn follow(workspace: &TestWorkspace, access_code_id: &Value, life: &[(&str, &str)]) {
    for (instant, expected) in life {
        workspace.post("/_emulator/clock/advance", json!({ "to": instant })).await.ok();
        assert_eq!(seen_of(workspace, access_code_id).await, *expected, "at {instant}");
    }
}

/// Events as `name@instant`, without the part of the name that they share.
pub(crate) async fn events(workspace: &TestWorkspace, access_code_id: &Value) -> Vec<String> {
    let events = workspace.events_of(access_code_id).await.into_iter();
    events.map(|(name, at)| format!("{}@{at}", name.strip_prefix("access_code.").unwrap())).collect()
}

pub(crate) async fn set_online(workspace: &TestWorkspace, online: bool) -> Value {
    let changed = json!({ "device_id": workspace.lock(0), "online": online });
    workspace.post("/_emulator/devices/update", changed).await.ok()["device"].clone()
}

/// Parameters of a code on the first lock, for ten days later, for two days.
fn far_ahead(workspace: &TestWorkspace) -> Value {
    json!({
        "device_id": workspace.lock(0),
        "name": "guest",
        "starts_at": "2026-03-12T12:00:00.000Z",
        "ends_at": "2026-03-14T12:00:00.000Z",
    })
}

pub(crate) async fn delete(workspace: &TestWorkspace, access_code_id: &Value) -> Value {
    let deleted = workspace.post("/access_codes/delete", json!({ "access_code_id": access_code_id })).await.ok();
    deleted["action_attempt"].clone()
}

pub(crate) async fn attempt(workspace: &TestWorkspace, attempt: &Value) -> Value {
    let params = json!({ "action_attempt_id": attempt["action_attempt_id"] });
    workspace.post("/action_attempts/get", params).await.ok()["action_attempt"].clone()
}

pub(crate) fn error_codes(resource: &Value) -> Vec<&str> {
    resource["errors"].as_array().unwrap().iter().map(|error| error["error_code"].as_str().unwrap()).collect()
}

/// Lets the clock run, eleven days in a millisecond of the machine's.
async fn let_run(workspace: &TestWorkspace) {
    workspace.post("/_emulator/clock/run", json!({ "rate": 1e9 })).await.ok();
}

/// Reads a running clock until an instant has passed. At the rates used here that is a millisecond of the machine's.
async fn pass(workspace: &TestWorkspace, instant: &str) {
    while workspace.get("/_emulator/clock").await.ok()["now"].as_str().unwrap() <= instant {}
}

#[test]
fn an_ongoing_code_is_set_as_soon_as_the_lock_confirms_and_stays_set() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0), "code": "1357" })).await;
        assert_eq!(seen(&code), "setting creating");
        assert_eq!(code["pending_mutations"][0]["created_at"], START);
        let id = &code["access_code_id"];
        let life = [
            ("2026-03-02T12:00:00.249Z", "setting creating"),
            ("2026-03-02T12:00:00.250Z", "set"),
            ("2036-03-02T12:00:00.000Z", "set"),
        ];
        follow(&workspace, id, &life).await;
        assert_eq!(
            events(&workspace, id).await,
            ["created@2026-03-02T12:00:00.000Z", "set_on_device@2026-03-02T12:00:00.250Z"]
        );
    });
}

#[test]
fn a_native_code_made_far_ahead_is_on_the_lock_72_hours_before_its_start_and_reads_unset_until_then() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(far_ahead(&workspace)).await;
        assert_eq!(seen(&code), "unset deferring_creation");
        assert_eq!(code["pending_mutations"][0]["created_at"], START);
        assert_eq!(code["pending_mutations"][0]["scheduled_at"], "2026-03-09T12:00:00.000Z");
        let id = &code["access_code_id"];
        let life = [
            ("2026-03-09T11:59:59.999Z", "unset deferring_creation"),
            ("2026-03-09T12:00:00.000Z", "unset creating"),
            ("2026-03-09T12:00:00.249Z", "unset creating"),
            ("2026-03-09T12:00:00.250Z", "unset scheduled"),
            ("2026-03-12T11:59:59.999Z", "unset scheduled"),
            ("2026-03-12T12:00:00.000Z", "set scheduled"),
            ("2026-03-14T11:59:59.999Z", "set scheduled"),
            ("2026-03-14T12:00:00.000Z", "removing deleting scheduled"),
            ("2026-03-14T12:00:00.249Z", "removing deleting scheduled"),
            ("2026-03-14T12:00:00.250Z", "gone"),
        ];
        follow(&workspace, id, &life).await;
        assert_eq!(
            events(&workspace, id).await,
            [
                "created@2026-03-02T12:00:00.000Z",
                "scheduled_on_device@2026-03-09T12:00:00.250Z",
                "set_on_device@2026-03-12T12:00:00.000Z",
                "removed_from_device@2026-03-14T12:00:00.250Z",
                "deleted@2026-03-14T12:00:00.250Z",
            ]
        );
    });
}

#[test]
fn a_native_code_made_within_72_hours_of_its_start_goes_on_the_lock_at_once() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let window = ("2026-03-05T12:00:00.000Z", "2026-03-05T13:00:00.000Z");
        let code = workspace
            .create(json!({ "device_id": workspace.lock(0), "starts_at": window.0, "ends_at": window.1 }))
            .await;
        assert_eq!(seen(&code), "unset creating");
        let id = &code["access_code_id"];
        let life = [
            ("2026-03-02T12:00:00.250Z", "unset scheduled"),
            ("2026-03-05T11:59:59.999Z", "unset scheduled"),
            ("2026-03-05T12:00:00.000Z", "set scheduled"),
        ];
        follow(&workspace, id, &life).await;
        assert_eq!(
            events(&workspace, id).await,
            [
                "created@2026-03-02T12:00:00.000Z",
                "scheduled_on_device@2026-03-02T12:00:00.250Z",
                "set_on_device@2026-03-05T12:00:00.000Z",
            ]
        );
    });
}

#[test]
fn a_code_made_inside_its_window_is_being_set_at_once_on_any_lock() {
    run(async {
        for device_type in ["august_lock", "smartthings_lock"] {
            let workspace = TestWorkspace::with(json!([{ "device_type": device_type }])).await;
            let code = workspace
                .create(json!({
                    "device_id": workspace.lock(0),
                    "starts_at": "2026-03-02T11:00:00Z",
                    "ends_at": "2026-03-02T13:00:00Z",
                }))
                .await;
            assert_eq!(seen(&code), "setting creating", "{device_type}");
            workspace.advance("PT0.25S").await;
            let id = &code["access_code_id"];
            assert_eq!(workspace.access_code(id).await["status"], "set", "{device_type}");
            assert_eq!(
                events(&workspace, id).await,
                ["created@2026-03-02T12:00:00.000Z", "set_on_device@2026-03-02T12:00:00.250Z"],
                "{device_type}"
            );
        }
    });
}

#[test]
fn a_just_in_time_code_is_put_on_the_lock_60_minutes_before_its_start() {
    run(async {
        for (device_type, native) in [("smartthings_lock", true), ("august_lock", false)] {
            let workspace = TestWorkspace::with(json!([{ "device_type": device_type }])).await;
            let mut params = far_ahead(&workspace);
            params["prefer_native_scheduling"] = json!(native);
            let code = workspace.create(params).await;
            assert_eq!(seen(&code), "unset deferring_creation", "{device_type}");
            assert_eq!(code["pending_mutations"][0]["scheduled_at"], "2026-03-12T11:00:00.000Z");
            let id = &code["access_code_id"];
            let life = [
                ("2026-03-12T10:59:59.999Z", "unset deferring_creation"),
                ("2026-03-12T11:00:00.000Z", "setting creating"),
                ("2026-03-12T11:00:00.249Z", "setting creating"),
                ("2026-03-12T11:00:00.250Z", "set"),
                ("2026-03-14T11:59:59.999Z", "set"),
                ("2026-03-14T12:00:00.000Z", "removing deleting"),
                ("2026-03-14T12:00:00.250Z", "gone"),
            ];
            follow(&workspace, id, &life).await;
            assert_eq!(
                events(&workspace, id).await,
                [
                    "created@2026-03-02T12:00:00.000Z",
                    "set_on_device@2026-03-12T11:00:00.250Z",
                    "removed_from_device@2026-03-14T12:00:00.250Z",
                    "deleted@2026-03-14T12:00:00.250Z",
                ],
                "{device_type}"
            );
        }
    });
}

#[test]
fn a_native_code_that_misses_its_start_reads_setting_from_then_on() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(far_ahead(&workspace)).await;
        let id = &code["access_code_id"];
        set_online(&workspace, false).await;
        let life = [
            ("2026-03-09T12:00:00.250Z", "unset creating"),
            ("2026-03-12T11:59:59.999Z", "unset creating"),
            ("2026-03-12T12:00:00.000Z", "setting creating"),
            ("2026-03-13T12:00:00.000Z", "setting creating"),
        ];
        follow(&workspace, id, &life).await;
        set_online(&workspace, true).await;
        workspace.advance("PT0.25S").await;
        assert_eq!(workspace.access_code(id).await["status"], "set");
        assert_eq!(
            events(&workspace, id).await,
            ["created@2026-03-02T12:00:00.000Z", "set_on_device@2026-03-13T12:00:00.250Z"]
        );
    });
}

#[test]
fn a_code_whose_window_ends_before_the_lock_confirms_never_is_set() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace
            .create(json!({
                "device_id": workspace.lock(0),
                "starts_at": "2026-03-02T11:00:00Z",
                "ends_at": "2026-03-02T12:00:00.100Z",
            }))
            .await;
        let id = &code["access_code_id"];
        let life = [
            ("2026-03-02T12:00:00.099Z", "setting creating"),
            ("2026-03-02T12:00:00.100Z", "removing deleting"),
            ("2026-03-02T12:00:00.350Z", "gone"),
        ];
        follow(&workspace, id, &life).await;
        assert_eq!(
            events(&workspace, id).await,
            ["created@2026-03-02T12:00:00.000Z", "deleted@2026-03-02T12:00:00.350Z"]
        );
    });
}

#[test]
fn an_ended_code_is_no_longer_found_in_any_way_but_its_events_are() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let mut params = far_ahead(&workspace);
        params["code"] = json!("2468");
        let code = workspace.create(params).await;
        let id = &code["access_code_id"];
        workspace.advance("P13D").await;
        assert_eq!(seen_of(&workspace, id).await, "gone");
        let by_pin = json!({ "device_id": workspace.lock(0), "code": "2468" });
        workspace.post("/access_codes/get", by_pin).await.error(404, "access_code_not_found");
        let listed = workspace.post("/access_codes/list", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(listed["access_codes"], json!([]));
        let listed = workspace.post("/access_codes/list", json!({ "access_code_ids": [id] })).await.ok();
        assert_eq!(listed["access_codes"], json!([]));
        workspace
            .post("/access_codes/delete", json!({ "access_code_id": id }))
            .await
            .error(404, "access_code_not_found");
        assert_eq!(events(&workspace, id).await.len(), 5);
    });
}

#[test]
fn a_code_on_its_way_out_carries_the_being_deleted_warning_with_the_instant_it_began() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let deleted = workspace.create(json!({ "device_id": workspace.lock(1) })).await;
        assert_eq!(deleted["warnings"], json!([]));
        let ended = workspace.create(far_ahead(&workspace)).await;
        workspace.advance("PT1H").await;
        delete(&workspace, &deleted["access_code_id"]).await;
        let removing = workspace.access_code(&deleted["access_code_id"]).await;
        assert_eq!(removing["warnings"][0]["warning_code"], "being_deleted");
        assert_eq!(removing["warnings"][0]["created_at"], "2026-03-02T13:00:00.000Z");
        assert_eq!(removing["pending_mutations"][0]["created_at"], "2026-03-02T13:00:00.000Z");
        workspace.post("/_emulator/clock/advance", json!({ "to": "2026-03-14T12:00:00.100Z" })).await.ok();
        let removing = workspace.access_code(&ended["access_code_id"]).await;
        assert_eq!(removing["warnings"][0]["warning_code"], "being_deleted");
        assert_eq!(removing["warnings"][0]["created_at"], "2026-03-14T12:00:00.000Z");
    });
}

#[test]
fn a_deleted_code_whose_window_ends_meanwhile_is_on_its_way_out_since_its_deletion() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let id = &workspace.create(far_ahead(&workspace)).await["access_code_id"];
        workspace.advance_to("2026-03-13T12:00:00Z").await;
        set_online(&workspace, false).await;
        delete(&workspace, id).await;
        // In the end the lock is back and at work on it.
        for (instant, is_online) in [("2026-03-14T11:00:00Z", false), ("2026-03-14T13:00:00Z", true)] {
            workspace.advance_to(instant).await;
            set_online(&workspace, is_online).await;
            let removing = workspace.access_code(id).await;
            assert_eq!(removing["warnings"][0]["created_at"], "2026-03-13T12:00:00.000Z", "at {instant}");
            assert_eq!(removing["pending_mutations"][0]["created_at"], "2026-03-13T12:00:00.000Z", "at {instant}");
        }
    });
}

#[test]
fn deleting_breaks_off_the_programming_and_a_code_that_never_was_on_the_lock_is_not_removed_from_it() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let id = &code["access_code_id"];
        workspace.advance("PT0.1S").await;
        delete(&workspace, id).await;
        let life = [
            ("2026-03-02T12:00:00.100Z", "removing deleting"),
            ("2026-03-02T12:00:00.349Z", "removing deleting"),
            ("2026-03-02T12:00:00.350Z", "gone"),
        ];
        follow(&workspace, id, &life).await;
        assert_eq!(
            events(&workspace, id).await,
            ["created@2026-03-02T12:00:00.000Z", "deleted@2026-03-02T12:00:00.350Z"]
        );
        let deferred = workspace.create(far_ahead(&workspace)).await;
        delete(&workspace, &deferred["access_code_id"]).await;
        workspace.advance("P30D").await;
        let names: Vec<_> =
            workspace.events_of(&deferred["access_code_id"]).await.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["access_code.created", "access_code.deleted"]);
    });
}

#[test]
fn a_code_may_be_deleted_again_while_it_is_being_removed_and_not_afterwards() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let id = &code["access_code_id"];
        workspace.advance("PT1S").await;
        delete(&workspace, id).await;
        workspace.advance("PT0.1S").await;
        delete(&workspace, id).await;
        workspace.advance("PT0.149S").await;
        assert_eq!(seen_of(&workspace, id).await, "removing deleting");
        workspace.advance("PT0.001S").await;
        assert_eq!(seen_of(&workspace, id).await, "gone");
        workspace
            .post("/access_codes/delete", json!({ "access_code_id": id }))
            .await
            .error(404, "access_code_not_found");
        assert_eq!(
            events(&workspace, id).await[2..],
            ["removed_from_device@2026-03-02T12:00:01.250Z", "deleted@2026-03-02T12:00:01.250Z"]
        );
    });
}

#[test]
fn a_native_code_deleted_before_its_start_is_taken_off_the_lock_that_keeps_it() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(far_ahead(&workspace)).await;
        let id = &code["access_code_id"];
        follow(&workspace, id, &[("2026-03-10T12:00:00.000Z", "unset scheduled")]).await;
        delete(&workspace, id).await;
        follow(&workspace, id, &[("2026-03-20T12:00:00.000Z", "gone")]).await;
        assert_eq!(
            events(&workspace, id).await[1..],
            [
                "scheduled_on_device@2026-03-09T12:00:00.250Z",
                "removed_from_device@2026-03-10T12:00:00.250Z",
                "deleted@2026-03-10T12:00:00.250Z",
            ]
        );
    });
}

#[test]
fn an_offline_lock_shows_its_error_on_itself_and_on_its_codes_and_work_waits_until_it_is_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let device = set_online(&workspace, false).await;
        assert_eq!(error_codes(&device), ["device_disconnected"]);
        assert_eq!(device["errors"][0]["created_at"], START);
        assert_eq!(device["properties"]["online"], false);
        assert_eq!(device["can_program_online_access_codes"], true);
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        assert_eq!(seen(&code), "setting creating");
        assert_eq!(error_codes(&code), ["device_disconnected"]);
        assert_eq!(code["errors"][0]["is_device_error"], true);
        let elsewhere = workspace.create(json!({ "device_id": workspace.lock(1) })).await;
        assert_eq!(error_codes(&elsewhere), [""; 0]);
        let id = &code["access_code_id"];
        follow(&workspace, id, &[("2026-03-09T12:00:00.000Z", "setting creating")]).await;
        let device = set_online(&workspace, true).await;
        assert_eq!((error_codes(&device).len(), &device["properties"]["online"]), (0, &json!(true)));
        assert_eq!(error_codes(&workspace.access_code(id).await), [""; 0]);
        let life = [("2026-03-09T12:00:00.249Z", "setting creating"), ("2026-03-09T12:00:00.250Z", "set")];
        follow(&workspace, id, &life).await;
        assert_eq!(events(&workspace, id).await[1..], ["set_on_device@2026-03-09T12:00:00.250Z"]);
    });
}

#[test]
fn a_lock_that_goes_offline_in_the_middle_of_programming_begins_anew_when_it_is_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let id = &code["access_code_id"];
        workspace.advance("PT0.2S").await;
        set_online(&workspace, false).await;
        workspace.advance("PT1S").await;
        set_online(&workspace, true).await;
        let life = [("2026-03-02T12:00:01.449Z", "setting creating"), ("2026-03-02T12:00:01.450Z", "set")];
        follow(&workspace, id, &life).await;
        assert_eq!(events(&workspace, id).await[1..], ["set_on_device@2026-03-02T12:00:01.450Z"]);
    });
}

#[test]
fn removal_from_an_offline_lock_waits_until_it_is_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let deleted = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let ended = workspace.create(far_ahead(&workspace)).await;
        let ids = [&deleted["access_code_id"], &ended["access_code_id"]];
        workspace.post("/_emulator/clock/advance", json!({ "to": "2026-03-13T12:00:00Z" })).await.ok();
        set_online(&workspace, false).await;
        delete(&workspace, ids[0]).await;
        workspace.post("/_emulator/clock/advance", json!({ "to": "2026-03-20T12:00:00Z" })).await.ok();
        for id in ids {
            let code = workspace.access_code(id).await;
            let errors = vec!["failed_to_remove_from_device", "device_disconnected"];
            assert_eq!((&code["status"], error_codes(&code)), (&json!("removing"), errors));
        }
        set_online(&workspace, true).await;
        workspace.advance("PT0.249S").await;
        assert_eq!(seen_of(&workspace, ids[0]).await, "removing deleting");
        workspace.advance("PT0.001S").await;
        for id in ids {
            assert_eq!(seen_of(&workspace, id).await, "gone");
            let events = events(&workspace, id).await;
            let last = ["removed_from_device@2026-03-20T12:00:00.250Z", "deleted@2026-03-20T12:00:00.250Z"];
            assert_eq!(events[events.len() - 2..], last);
        }
    });
}

#[test]
fn what_fell_due_before_a_lock_went_offline_has_happened() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(far_ahead(&workspace)).await;
        let_run(&workspace).await;
        pass(&workspace, "2026-03-14T12:00:01.000Z").await;
        // Whether the scheduler came by before or not.
        set_online(&workspace, false).await;
        assert_eq!(seen_of(&workspace, &code["access_code_id"]).await, "gone");
        assert_eq!(
            events(&workspace, &code["access_code_id"]).await.last().unwrap(),
            "deleted@2026-03-14T12:00:00.250Z"
        );
    });
}

#[test]
fn the_attempt_to_create_is_pending_until_the_lock_confirms_and_then_has_the_code() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let made = workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(0) })).await.ok();
        let pending = &made["action_attempt"];
        assert_eq!((&pending["status"], &pending["action_type"]), (&json!("pending"), &json!("CREATE_ACCESS_CODE")));
        workspace.advance("PT0.249S").await;
        assert_eq!(attempt(&workspace, pending).await, *pending);
        workspace.advance("PT0.001S").await;
        let over = attempt(&workspace, pending).await;
        assert_eq!((&over["status"], &over["error"]), (&json!("success"), &Value::Null));
        assert_eq!(over["result"]["access_code"], workspace.access_code(&made["access_code"]["access_code_id"]).await);
    });
}

#[test]
fn the_attempt_for_a_code_that_waits_for_its_time_is_over_once_it_is_accepted() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let made = workspace.post("/access_codes/create", far_ahead(&workspace)).await.ok();
        let over = attempt(&workspace, &made["action_attempt"]).await;
        assert_eq!((&over["status"], &over["result"]["access_code"]["status"]), (&json!("success"), &json!("unset")));
    });
}

#[test]
fn the_attempt_for_a_code_deleted_before_it_was_set_is_an_error() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let made = workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(0) })).await.ok();
        delete(&workspace, &made["access_code"]["access_code_id"]).await;
        for by in ["PT0S", "PT1S"] {
            workspace.advance(by).await;
            let over = attempt(&workspace, &made["action_attempt"]).await;
            assert_eq!((&over["status"], &over["result"]), (&json!("error"), &Value::Null));
            assert!(over["error"]["message"].as_str().unwrap().contains("before it was set"), "{over}");
        }
    });
}

#[test]
fn the_attempt_to_delete_is_pending_until_the_lock_confirms_also_while_it_is_offline() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let made = workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(0) })).await.ok();
        workspace.advance("PT1S").await;
        set_online(&workspace, false).await;
        let pending = delete(&workspace, &made["access_code"]["access_code_id"]).await;
        assert_eq!((&pending["status"], &pending["action_type"]), (&json!("pending"), &json!("DELETE_ACCESS_CODE")));
        workspace.advance("P1D").await;
        assert_eq!(attempt(&workspace, &pending).await, pending);
        set_online(&workspace, true).await;
        workspace.advance("PT0.25S").await;
        assert_eq!(attempt(&workspace, &pending).await["status"], "success");
        assert_eq!(attempt(&workspace, &made["action_attempt"]).await["status"], "success", "it once was set");
    });
}

#[test]
fn with_sync_the_lock_has_confirmed_when_the_answer_comes() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({ "device_id": workspace.lock(0), "sync": true });
        let made = workspace.post("/access_codes/create", params).await.ok();
        assert_eq!(seen(&made["access_code"]), "set");
        assert_eq!(made["action_attempt"]["status"], "success");
        let id = &made["access_code"]["access_code_id"];
        let deleted = workspace.post("/access_codes/delete", json!({ "access_code_id": id, "sync": true })).await.ok();
        assert_eq!(deleted["action_attempt"]["status"], "success");
        assert_eq!(seen_of(&workspace, id).await, "gone");
        let at = |name: &str| format!("{name}@{START}");
        assert_eq!(
            events(&workspace, id).await,
            [at("created"), at("set_on_device"), at("removed_from_device"), at("deleted")]
        );
        assert_eq!(workspace.advance("P1D").await["events"], 0);
    });
}

#[test]
fn events_carry_what_their_type_has_and_are_listed_in_the_order_in_which_they_occurred() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "smartthings_lock" }, { "device_type": "august_lock" }])).await;
        let window = |device_id: String, starts_at: &str| json!({ "device_id": device_id, "starts_at": starts_at, "ends_at": "2026-03-12T13:00:00Z" });
        workspace.create(window(workspace.lock(0), "2026-03-12T12:00:00Z")).await;
        workspace.create(window(workspace.lock(1), "2026-03-12T10:59:59Z")).await;
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        workspace.advance("P20D").await;
        let listed = workspace.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z" })).await.ok();
        let listed = listed["events"].as_array().unwrap();
        let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
        let mut sorted = listed.clone();
        sorted.sort_by_key(|event| text(event, "occurred_at"));
        assert_eq!((listed, listed.len()), (&sorted, 4 + 5 + 2));
        for event in listed {
            let name = text(event, "event_type");
            let code_is_told = !matches!(name.as_str(), "access_code.created" | "access_code.removed_from_device");
            assert_eq!(event.get("code").is_some(), code_is_told, "{event}");
            assert_eq!(event["created_at"], event["occurred_at"], "on a held clock");
            assert_eq!(event["workspace_id"], json!(workspace.workspace_id));
            let device = workspace.devices.iter().find(|device| device["device_id"] == event["device_id"]).unwrap();
            assert_eq!(event["connected_account_id"], device["connected_account_id"]);
        }
    });
}

#[test]
fn running_clock_has_the_scheduler_set_a_code_at_its_very_instant() {
    run(async {
        let workspace =
            TestWorkspace::make(json!({ "clock": { "running_from": START, "rate": 100_000 }, "locks": 1 })).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        assert_eq!(seen(&code), "setting creating");
        let created = code["created_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        let due = latchkey::testing::clock::to_iso(created + chrono::TimeDelta::milliseconds(250));
        pass(&workspace, &due).await;
        workspace.tick().await;
        let id = &code["access_code_id"];
        assert_eq!(seen_of(&workspace, id).await, "set");
        assert_eq!(events(&workspace, id).await[1..], [format!("set_on_device@{due}")]);
    });
}

#[test]
fn a_scheduler_that_comes_late_lives_a_whole_life_through_each_step_at_its_own_instant() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let id = &workspace.create(far_ahead(&workspace)).await["access_code_id"];
        let_run(&workspace).await;
        pass(&workspace, "2026-03-14T12:00:01.000Z").await;
        workspace.tick().await;
        assert_eq!(seen_of(&workspace, id).await, "gone");
        assert_eq!(
            events(&workspace, id).await[1..],
            [
                "scheduled_on_device@2026-03-09T12:00:00.250Z",
                "set_on_device@2026-03-12T12:00:00.000Z",
                "removed_from_device@2026-03-14T12:00:00.250Z",
                "deleted@2026-03-14T12:00:00.250Z",
            ]
        );
        let since = json!({ "since": "2000-01-01T00:00:00Z" });
        for event in workspace.post("/events/list", since).await.ok()["events"].as_array().unwrap() {
            assert!(event["created_at"].as_str() >= event["occurred_at"].as_str(), "{event}");
        }
    });
}

#[test]
fn a_request_in_a_live_workspace_first_lives_through_what_fell_due_before_it() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(far_ahead(&workspace)).await;
        let id = &code["access_code_id"];
        let_run(&workspace).await;
        pass(&workspace, "2026-03-14T12:00:01.000Z").await;
        // The code ended before anybody asked for it to go, whether the scheduler came by or not.
        workspace
            .post("/access_codes/delete", json!({ "access_code_id": id }))
            .await
            .error(404, "access_code_not_found");
        workspace.tick().await;
        assert_eq!(events(&workspace, id).await.last().unwrap(), "deleted@2026-03-14T12:00:00.250Z");
    });
}

#[test]
fn the_scheduler_leaves_workspaces_with_a_held_clock_alone() {
    run(async {
        let workspace =
            TestWorkspace::make(json!({ "clock": { "held_at": "2001-01-01T00:00:00Z" }, "locks": 1 })).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        workspace.tick().await;
        assert_eq!(seen_of(&workspace, &code["access_code_id"]).await, "setting creating");
    });
}
