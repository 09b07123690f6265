//! Lifecycle of an access code as an HTTP client sees it, at exact instants of a controlled clock.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use crate::support::{START, TestWorkspace, run};
use serde_json::{Value, json};

/// Returns the status of a code, its pending mutations, and `scheduled` if `is_scheduled_on_device` is true.
pub(crate) fn summary(code: &Value) -> String {
    let mutations = code["pending_mutations"].as_array().unwrap().iter();
    let mutations = mutations.map(|mutation| mutation["mutation_code"].as_str().unwrap());
    let scheduled = code["is_scheduled_on_device"].as_bool().unwrap().then_some("scheduled");
    let words: Vec<_> = code["status"].as_str().into_iter().chain(mutations).chain(scheduled).collect();
    words.join(" ")
}

/// Returns [`seen`] for the code with this id, or `gone` if it is not found.
pub(crate) async fn summary_of(workspace: &TestWorkspace, access_code_id: &Value) -> String {
    let reply = workspace.post("/access_codes/get", json!({ "access_code_id": access_code_id })).await;
    if reply.status == 404 {
        reply.error(404, "access_code_not_found");
        return "gone".to_owned();
    }
    summary(&reply.ok()["access_code"])
}

/// Moves the clock to each instant of the timeline and compares [`summary_of`] with the expected value.
pub(crate) async fn check_timeline(workspace: &TestWorkspace, access_code_id: &Value, timeline: &[(&str, &str)]) {
    for (instant, expected) in timeline {
        workspace.post("/_emulator/clock/advance", json!({ "to": instant })).await.ok();
        assert_eq!(summary_of(workspace, access_code_id).await, *expected, "at {instant}");
    }
}

/// Returns the events of a code as `name@instant`, without the prefix `access_code.`.
pub(crate) async fn events(workspace: &TestWorkspace, access_code_id: &Value) -> Vec<String> {
    let events = workspace.events_of(access_code_id).await.into_iter();
    events.map(|(name, at)| format!("{}@{at}", name.strip_prefix("access_code.").unwrap())).collect()
}

pub(crate) async fn set_online(workspace: &TestWorkspace, online: bool) -> Value {
    let changed = json!({ "device_id": workspace.lock(0), "online": online });
    workspace.post("/_emulator/devices/update", changed).await.ok()["device"].clone()
}

/// Request parameters for a code on the first lock that starts in ten days and lasts two.
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

/// Lets the clock run at a rate of eleven days per millisecond of real time.
async fn run_clock(workspace: &TestWorkspace) {
    workspace.post("/_emulator/clock/run", json!({ "rate": 1e9 })).await.ok();
}

/// Reads a running clock until an instant has passed. At the rates used here that takes a millisecond of real time.
async fn wait_until_after(workspace: &TestWorkspace, instant: &str) {
    while workspace.get("/_emulator/clock").await.ok()["now"].as_str().unwrap() <= instant {}
}

#[test]
fn ongoing_code_is_set_when_the_lock_confirms_and_stays_set() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0), "code": "1357" })).await;
        assert_eq!(summary(&code), "setting creating");
        assert_eq!(code["pending_mutations"][0]["created_at"], START);
        let id = &code["access_code_id"];
        let timeline = [
            ("2026-03-02T12:00:00.249Z", "setting creating"),
            ("2026-03-02T12:00:00.250Z", "set"),
            ("2036-03-02T12:00:00.000Z", "set"),
        ];
        check_timeline(&workspace, id, &timeline).await;
        assert_eq!(
            events(&workspace, id).await,
            ["created@2026-03-02T12:00:00.000Z", "set_on_device@2026-03-02T12:00:00.250Z"]
        );
    });
}

#[test]
fn native_code_is_on_the_lock_72_hours_before_its_start_and_unset_until_it() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(far_ahead(&workspace)).await;
        assert_eq!(summary(&code), "unset deferring_creation");
        assert_eq!(code["pending_mutations"][0]["created_at"], START);
        assert_eq!(code["pending_mutations"][0]["scheduled_at"], "2026-03-09T12:00:00.000Z");
        let id = &code["access_code_id"];
        let timeline = [
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
        check_timeline(&workspace, id, &timeline).await;
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
fn native_code_is_programmed_at_once_within_72_hours_of_its_start() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let window = ("2026-03-05T12:00:00.000Z", "2026-03-05T13:00:00.000Z");
        let code = workspace
            .create(json!({ "device_id": workspace.lock(0), "starts_at": window.0, "ends_at": window.1 }))
            .await;
        assert_eq!(summary(&code), "unset creating");
        let id = &code["access_code_id"];
        let timeline = [
            ("2026-03-02T12:00:00.250Z", "unset scheduled"),
            ("2026-03-05T11:59:59.999Z", "unset scheduled"),
            ("2026-03-05T12:00:00.000Z", "set scheduled"),
        ];
        check_timeline(&workspace, id, &timeline).await;
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
fn code_created_inside_its_time_frame_is_set_at_once_on_any_lock() {
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
            assert_eq!(summary(&code), "setting creating", "{device_type}");
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
fn just_in_time_code_is_programmed_60_minutes_before_its_start() {
    run(async {
        for (device_type, native) in [("smartthings_lock", true), ("august_lock", false)] {
            let workspace = TestWorkspace::with(json!([{ "device_type": device_type }])).await;
            let mut params = far_ahead(&workspace);
            params["prefer_native_scheduling"] = json!(native);
            let code = workspace.create(params).await;
            assert_eq!(summary(&code), "unset deferring_creation", "{device_type}");
            assert_eq!(code["pending_mutations"][0]["scheduled_at"], "2026-03-12T11:00:00.000Z");
            let id = &code["access_code_id"];
            let timeline = [
                ("2026-03-12T10:59:59.999Z", "unset deferring_creation"),
                ("2026-03-12T11:00:00.000Z", "setting creating"),
                ("2026-03-12T11:00:00.249Z", "setting creating"),
                ("2026-03-12T11:00:00.250Z", "set"),
                ("2026-03-14T11:59:59.999Z", "set"),
                ("2026-03-14T12:00:00.000Z", "removing deleting"),
                ("2026-03-14T12:00:00.250Z", "gone"),
            ];
            check_timeline(&workspace, id, &timeline).await;
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
fn native_code_that_misses_its_start_is_setting_until_the_lock_confirms() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(far_ahead(&workspace)).await;
        let id = &code["access_code_id"];
        set_online(&workspace, false).await;
        let timeline = [
            ("2026-03-09T12:00:00.250Z", "unset creating"),
            ("2026-03-12T11:59:59.999Z", "unset creating"),
            ("2026-03-12T12:00:00.000Z", "setting creating"),
            ("2026-03-13T12:00:00.000Z", "setting creating"),
        ];
        check_timeline(&workspace, id, &timeline).await;
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
fn code_that_ends_before_the_lock_confirms_is_never_set() {
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
        let timeline = [
            ("2026-03-02T12:00:00.099Z", "setting creating"),
            ("2026-03-02T12:00:00.100Z", "removing deleting"),
            ("2026-03-02T12:00:00.350Z", "gone"),
        ];
        check_timeline(&workspace, id, &timeline).await;
        assert_eq!(
            events(&workspace, id).await,
            ["created@2026-03-02T12:00:00.000Z", "deleted@2026-03-02T12:00:00.350Z"]
        );
    });
}

#[test]
fn ended_code_is_not_found_but_its_events_are() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let mut params = far_ahead(&workspace);
        params["code"] = json!("2468");
        let code = workspace.create(params).await;
        let id = &code["access_code_id"];
        workspace.advance("P13D").await;
        assert_eq!(summary_of(&workspace, id).await, "gone");
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
fn being_deleted_warning_has_the_instant_at_which_the_removal_began() {
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
fn being_deleted_warning_keeps_the_instant_of_the_deletion() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let id = &workspace.create(far_ahead(&workspace)).await["access_code_id"];
        workspace.advance_to("2026-03-13T12:00:00Z").await;
        set_online(&workspace, false).await;
        delete(&workspace, id).await;
        // At the second instant the lock is online again and removes the code.
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
fn delete_cancels_programming_and_emits_no_removed_event() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let id = &code["access_code_id"];
        workspace.advance("PT0.1S").await;
        delete(&workspace, id).await;
        let timeline = [
            ("2026-03-02T12:00:00.100Z", "removing deleting"),
            ("2026-03-02T12:00:00.349Z", "removing deleting"),
            ("2026-03-02T12:00:00.350Z", "gone"),
        ];
        check_timeline(&workspace, id, &timeline).await;
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
fn delete_can_be_repeated_only_while_the_code_is_removing() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let id = &code["access_code_id"];
        workspace.advance("PT1S").await;
        delete(&workspace, id).await;
        workspace.advance("PT0.1S").await;
        delete(&workspace, id).await;
        workspace.advance("PT0.149S").await;
        assert_eq!(summary_of(&workspace, id).await, "removing deleting");
        workspace.advance("PT0.001S").await;
        assert_eq!(summary_of(&workspace, id).await, "gone");
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
fn native_code_deleted_before_its_start_is_removed_from_the_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(far_ahead(&workspace)).await;
        let id = &code["access_code_id"];
        check_timeline(&workspace, id, &[("2026-03-10T12:00:00.000Z", "unset scheduled")]).await;
        delete(&workspace, id).await;
        check_timeline(&workspace, id, &[("2026-03-20T12:00:00.000Z", "gone")]).await;
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
fn offline_lock_shows_an_error_on_itself_and_its_codes_until_it_is_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let device = set_online(&workspace, false).await;
        assert_eq!(error_codes(&device), ["device_disconnected"]);
        assert_eq!(device["errors"][0]["created_at"], START);
        assert_eq!(device["properties"]["online"], false);
        assert_eq!(device["can_program_online_access_codes"], true);
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        assert_eq!(summary(&code), "setting creating");
        assert_eq!(error_codes(&code), ["device_disconnected"]);
        assert_eq!(code["errors"][0]["is_device_error"], true);
        let elsewhere = workspace.create(json!({ "device_id": workspace.lock(1) })).await;
        assert_eq!(error_codes(&elsewhere), [""; 0]);
        let id = &code["access_code_id"];
        check_timeline(&workspace, id, &[("2026-03-09T12:00:00.000Z", "setting creating")]).await;
        let device = set_online(&workspace, true).await;
        assert_eq!((error_codes(&device).len(), &device["properties"]["online"]), (0, &json!(true)));
        assert_eq!(error_codes(&workspace.access_code(id).await), [""; 0]);
        let timeline = [("2026-03-09T12:00:00.249Z", "setting creating"), ("2026-03-09T12:00:00.250Z", "set")];
        check_timeline(&workspace, id, &timeline).await;
        assert_eq!(events(&workspace, id).await[1..], ["set_on_device@2026-03-09T12:00:00.250Z"]);
    });
}

#[test]
fn programming_restarts_when_an_offline_lock_is_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let id = &code["access_code_id"];
        workspace.advance("PT0.2S").await;
        set_online(&workspace, false).await;
        workspace.advance("PT1S").await;
        set_online(&workspace, true).await;
        let timeline = [("2026-03-02T12:00:01.449Z", "setting creating"), ("2026-03-02T12:00:01.450Z", "set")];
        check_timeline(&workspace, id, &timeline).await;
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
        assert_eq!(summary_of(&workspace, ids[0]).await, "removing deleting");
        workspace.advance("PT0.001S").await;
        for id in ids {
            assert_eq!(summary_of(&workspace, id).await, "gone");
            let events = events(&workspace, id).await;
            let last = ["removed_from_device@2026-03-20T12:00:00.250Z", "deleted@2026-03-20T12:00:00.250Z"];
            assert_eq!(events[events.len() - 2..], last);
        }
    });
}

#[test]
fn due_changes_are_applied_before_a_lock_goes_offline() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(far_ahead(&workspace)).await;
        run_clock(&workspace).await;
        wait_until_after(&workspace, "2026-03-14T12:00:01.000Z").await;
        // The result does not depend on whether the scheduler ran before this request.
        set_online(&workspace, false).await;
        assert_eq!(summary_of(&workspace, &code["access_code_id"]).await, "gone");
        assert_eq!(
            events(&workspace, &code["access_code_id"]).await.last().unwrap(),
            "deleted@2026-03-14T12:00:00.250Z"
        );
    });
}

#[test]
fn create_attempt_is_pending_until_the_lock_confirms_and_has_the_code() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(0) })).await.ok();
        let pending = &created["action_attempt"];
        assert_eq!((&pending["status"], &pending["action_type"]), (&json!("pending"), &json!("CREATE_ACCESS_CODE")));
        workspace.advance("PT0.249S").await;
        assert_eq!(attempt(&workspace, pending).await, *pending);
        workspace.advance("PT0.001S").await;
        let finished = attempt(&workspace, pending).await;
        assert_eq!((&finished["status"], &finished["error"]), (&json!("success"), &Value::Null));
        assert_eq!(
            finished["result"]["access_code"],
            workspace.access_code(&created["access_code"]["access_code_id"]).await
        );
    });
}

#[test]
fn create_attempt_of_a_deferred_code_succeeds_when_it_is_accepted() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = workspace.post("/access_codes/create", far_ahead(&workspace)).await.ok();
        let finished = attempt(&workspace, &created["action_attempt"]).await;
        assert_eq!(
            (&finished["status"], &finished["result"]["access_code"]["status"]),
            (&json!("success"), &json!("unset"))
        );
    });
}

#[test]
fn create_attempt_fails_when_the_code_is_deleted_before_it_is_set() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(0) })).await.ok();
        delete(&workspace, &created["access_code"]["access_code_id"]).await;
        for by in ["PT0S", "PT1S"] {
            workspace.advance(by).await;
            let finished = attempt(&workspace, &created["action_attempt"]).await;
            assert_eq!((&finished["status"], &finished["result"]), (&json!("error"), &Value::Null));
            assert!(finished["error"]["message"].as_str().unwrap().contains("before it was set"), "{finished}");
        }
    });
}

#[test]
fn delete_attempt_is_pending_until_the_lock_confirms_even_while_offline() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(0) })).await.ok();
        workspace.advance("PT1S").await;
        set_online(&workspace, false).await;
        let pending = delete(&workspace, &created["access_code"]["access_code_id"]).await;
        assert_eq!((&pending["status"], &pending["action_type"]), (&json!("pending"), &json!("DELETE_ACCESS_CODE")));
        workspace.advance("P1D").await;
        assert_eq!(attempt(&workspace, &pending).await, pending);
        set_online(&workspace, true).await;
        workspace.advance("PT0.25S").await;
        assert_eq!(attempt(&workspace, &pending).await["status"], "success");
        assert_eq!(attempt(&workspace, &created["action_attempt"]).await["status"], "success", "unchanged");
    });
}

#[test]
fn sync_requests_respond_when_the_lock_has_confirmed() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({ "device_id": workspace.lock(0), "sync": true });
        let created = workspace.post("/access_codes/create", params).await.ok();
        assert_eq!(summary(&created["access_code"]), "set");
        assert_eq!(created["action_attempt"]["status"], "success");
        let id = &created["access_code"]["access_code_id"];
        let deleted = workspace.post("/access_codes/delete", json!({ "access_code_id": id, "sync": true })).await.ok();
        assert_eq!(deleted["action_attempt"]["status"], "success");
        assert_eq!(summary_of(&workspace, id).await, "gone");
        let at = |name: &str| format!("{name}@{START}");
        assert_eq!(
            events(&workspace, id).await,
            [at("created"), at("set_on_device"), at("removed_from_device"), at("deleted")]
        );
        assert_eq!(workspace.advance("P1D").await["events"], 0);
    });
}

#[test]
fn events_carry_the_fields_of_their_type_and_are_listed_in_order() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "smartthings_lock" }, { "device_type": "august_lock" }])).await;
        let window = |device_id: String, starts_at: &str| json!({ "device_id": device_id, "starts_at": starts_at, "ends_at": "2026-03-12T13:00:00Z" });
        workspace.create(window(workspace.lock(0), "2026-03-12T12:00:00Z")).await;
        workspace.create(window(workspace.lock(1), "2026-03-12T10:59:59Z")).await;
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        workspace.advance("P20D").await;
        let listed = &workspace.code_events().await;
        let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
        let mut sorted = listed.clone();
        sorted.sort_by_key(|event| text(event, "occurred_at"));
        assert_eq!((listed, listed.len()), (&sorted, 4 + 5 + 2));
        for event in listed {
            let name = text(event, "event_type");
            let has_code = !matches!(name.as_str(), "access_code.created" | "access_code.removed_from_device");
            assert_eq!(event.get("code").is_some(), has_code, "{event}");
            assert_eq!(event["created_at"], event["occurred_at"], "on a held clock");
            assert_eq!(event["workspace_id"], json!(workspace.workspace_id));
            let device = workspace.devices.iter().find(|device| device["device_id"] == event["device_id"]).unwrap();
            assert_eq!(event["connected_account_id"], device["connected_account_id"]);
        }
    });
}

#[test]
fn scheduler_sets_a_code_at_its_due_instant_on_a_running_clock() {
    run(async {
        let workspace =
            TestWorkspace::create_with(json!({ "clock": { "running_from": START, "rate": 100_000 }, "locks": 1 }))
                .await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        assert_eq!(summary(&code), "setting creating");
        let created = code["created_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        let due = latchkey::testing::clock::to_iso(created + chrono::TimeDelta::milliseconds(250));
        wait_until_after(&workspace, &due).await;
        workspace.tick().await;
        let id = &code["access_code_id"];
        assert_eq!(summary_of(&workspace, id).await, "set");
        assert_eq!(events(&workspace, id).await[1..], [format!("set_on_device@{due}")]);
    });
}

#[test]
fn late_scheduler_applies_each_step_at_its_own_instant() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let id = &workspace.create(far_ahead(&workspace)).await["access_code_id"];
        run_clock(&workspace).await;
        wait_until_after(&workspace, "2026-03-14T12:00:01.000Z").await;
        workspace.tick().await;
        assert_eq!(summary_of(&workspace, id).await, "gone");
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
fn request_in_a_running_workspace_first_applies_what_is_due() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(far_ahead(&workspace)).await;
        let id = &code["access_code_id"];
        run_clock(&workspace).await;
        wait_until_after(&workspace, "2026-03-14T12:00:01.000Z").await;
        // The code ended before this request, whether the scheduler ran or not.
        workspace
            .post("/access_codes/delete", json!({ "access_code_id": id }))
            .await
            .error(404, "access_code_not_found");
        workspace.tick().await;
        assert_eq!(events(&workspace, id).await.last().unwrap(), "deleted@2026-03-14T12:00:00.250Z");
    });
}

#[test]
fn scheduler_skips_workspaces_with_a_held_clock() {
    run(async {
        let workspace =
            TestWorkspace::create_with(json!({ "clock": { "held_at": "2001-01-01T00:00:00Z" }, "locks": 1 })).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        workspace.tick().await;
        assert_eq!(summary_of(&workspace, &code["access_code_id"]).await, "setting creating");
    });
}
