//! What people do to codes at the lock, with the maker's app.

use crate::access_codes::{on, rows};
use crate::lifecycle::{error_codes, events, seen, seen_of};
use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

const CHANGE: &str = "/_emulator/locks/change_code";
const REMOVE: &str = "/_emulator/locks/remove_code";
const CONFLICT: &str = "conflicting_external_modification";

/// A workspace with one lock, and on it a code named guest, 135790, from 11:00 to 18:00; it is 12:00:01.
async fn with_code(device_type: &str, is_external_modification_allowed: bool) -> (TestWorkspace, Value) {
    let workspace = TestWorkspace::with(json!([{ "device_type": device_type }])).await;
    let params = json!({
        "name": "guest",
        "code": "135790",
        "starts_at": "2026-03-02T11:00:00.000Z",
        "ends_at": "2026-03-02T18:00:00.000Z",
        "is_external_modification_allowed": is_external_modification_allowed,
    });
    let code = workspace.create(on(&workspace, 0, params)).await;
    workspace.advance("PT1S").await;
    let code = workspace.access_code(&code["access_code_id"]).await;
    assert_eq!(code["status"], "set");
    (workspace, code)
}

/// What somebody makes of that code.
fn otherwise(workspace: &TestWorkspace, access_code_id: &Value) -> Value {
    let mut change =
        on(workspace, 0, json!({ "new_code": "246800", "name": "somebody", "access_code_id": access_code_id }));
    change["starts_at"] = json!("2026-03-02T13:00:00.000Z");
    change["ends_at"] = json!("2026-03-02T20:00:00.000Z");
    change
}

/// Seam's words for it.
fn modified_fields() -> Value {
    json!([
        { "field": "name", "from": "guest", "to": "somebody" },
        { "field": "code", "from": "135790", "to": "246800" },
        { "field": "starts_at", "from": "2026-03-02T11:00:00.000Z", "to": "2026-03-02T13:00:00.000Z" },
        { "field": "ends_at", "from": "2026-03-02T18:00:00.000Z", "to": "2026-03-02T20:00:00.000Z" },
    ])
}

/// Takes the code off the lock as somebody with the maker's app does.
async fn remove(workspace: &TestWorkspace, access_code_id: &Value) {
    workspace.post(REMOVE, on(workspace, 0, json!({ "access_code_id": access_code_id }))).await.ok();
}

/// What a code, or a slot of a lock's memory, has that somebody can change.
fn properties(of: &Value) -> [&Value; 4] {
    ["name", "code", "starts_at", "ends_at"].map(|property| &of[property])
}

#[test]
fn a_code_changed_at_the_lock_is_set_back_and_says_what_was_changed() {
    run(async {
        for device_type in ["wyze_lock", "smartthings_lock"] {
            let (workspace, code) = with_code(device_type, false).await;
            let id = &code["access_code_id"];
            let answer = workspace.post(CHANGE, otherwise(&workspace, id)).await.ok()["access_code"].clone();
            let changed = workspace.access_code(id).await;
            assert_eq!(answer, changed);
            assert_eq!((&changed["status"], properties(&changed)), (&json!("setting"), properties(&code)));
            let mut error = changed["errors"][0].clone();
            assert!(error.as_object_mut().unwrap().shift_remove("message").is_some_and(|it| it.is_string()), "{error}");
            assert_eq!(
                (changed["errors"].as_array().unwrap().len(), error),
                (
                    1,
                    json!({
                        "error_code": CONFLICT,
                        "is_access_code_error": true,
                        "created_at": "2026-03-02T12:00:01.000Z",
                        "change_type": "modified",
                        "modified_fields": modified_fields(),
                    })
                )
            );
            assert_eq!(changed["warnings"], json!([]));
            let held = workspace.memory(0).await;
            assert_eq!((held[0]["code"].as_str(), held[0]["name"].as_str()), (Some("246800"), Some("somebody")));
            workspace.advance("PT0.249S").await;
            assert_eq!(error_codes(&workspace.access_code(id).await), [CONFLICT]);
            workspace.advance("PT0.001S").await;
            assert_eq!(workspace.access_code(id).await, code, "as if nothing had been");
            assert_eq!(properties(&workspace.memory(0).await[0]), properties(&code));
            assert_eq!(
                events(&workspace, id).await,
                [
                    "created@2026-03-02T12:00:00.000Z",
                    "set_on_device@2026-03-02T12:00:00.250Z",
                    "modified_external_to_seam@2026-03-02T12:00:01.000Z",
                ]
            );
            // By its PIN, in one thing only; and back again, before Seam did it.
            let rename = on(&workspace, 0, json!({ "code": "135790", "name": "somebody" }));
            let renamed = workspace.post(CHANGE, rename).await.ok()["access_code"].clone();
            assert_eq!(renamed["errors"][0]["modified_fields"], json!([modified_fields()[0]]));
            let back =
                workspace.post(CHANGE, on(&workspace, 0, json!({ "code": "135790", "name": "guest" }))).await.ok();
            assert_eq!(back["access_code"], code, "{device_type}");
            workspace.advance("PT1S").await;
            assert_eq!(events(&workspace, id).await.len(), 5, "{device_type}: each change is told");
        }
    });
}

#[test]
fn a_code_changed_at_the_lock_before_its_start_is_set_in_time() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        let window = json!({ "starts_at": "2026-03-02T15:00:00.000Z", "ends_at": "2026-03-02T18:00:00.000Z" });
        let code = workspace.create(on(&workspace, 0, window)).await;
        let id = &code["access_code_id"];
        workspace.advance("PT1S").await;
        // Out of reach, it is put right only after its start.
        workspace.change_lock(0, json!({ "online": false })).await;
        let later = json!({ "access_code_id": id, "starts_at": "2026-03-02T17:00:00Z" });
        workspace.post(CHANGE, on(&workspace, 0, later)).await.ok();
        workspace.advance_to("2026-03-02T16:00:00Z").await;
        assert_eq!(workspace.access_code(id).await["status"], "setting");
        workspace.change_lock(0, json!({ "online": true })).await;
        workspace.advance("PT0.25S").await;
        assert_eq!(seen_of(&workspace, id).await, "set scheduled");
        assert_eq!(events(&workspace, id).await.last().unwrap(), "set_on_device@2026-03-02T16:00:00.250Z");
    });
}

#[test]
fn a_code_removed_at_the_lock_is_put_back_until_it_ends() {
    run(async {
        let (workspace, code) = with_code("wyze_lock", false).await;
        let id = &code["access_code_id"];
        for second in [1, 2] {
            remove(&workspace, id).await;
            let removed = workspace.access_code(id).await;
            assert_eq!(seen(&removed), "setting creating");
            assert_eq!(error_codes(&removed), [CONFLICT]);
            let error = &removed["errors"][0];
            assert_eq!((&error["change_type"], &error["modified_fields"]), (&json!("removed"), &json!([])));
            assert_eq!(error["created_at"], format!("2026-03-02T12:00:0{second}.000Z"));
            assert_eq!((&removed["appearance"], workspace.memory(0).await.len()), (&Value::Null, 0));
            workspace.advance("PT0.25S").await;
            assert_eq!(workspace.access_code(id).await, code, "back again");
            assert_eq!(properties(&workspace.memory(0).await[0]), properties(&code));
            workspace.advance("PT0.75S").await;
        }
        let fault = json!({ "operation": "set", "device_id": workspace.lock(0), "outcome": { "fail": {} } });
        workspace.post("/_emulator/faults/create", fault).await.ok();
        remove(&workspace, id).await;
        for instant in ["2026-03-02T12:00:04.000Z", "2026-03-02T15:00:00.000Z", "2026-03-02T17:59:59.999Z"] {
            workspace.advance_to(instant).await;
            let missing = workspace.access_code(id).await;
            assert_eq!(seen(&missing), "setting creating", "at {instant}");
            assert!(error_codes(&missing).contains(&CONFLICT), "at {instant}: {missing}");
        }
        workspace.advance_to("2026-03-02T18:00:00.000Z").await;
        assert_eq!(seen_of(&workspace, id).await, "removing deleting");
        workspace.advance("PT0.25S").await;
        assert_eq!(seen_of(&workspace, id).await, "gone");
        assert_eq!(
            events(&workspace, id).await[1..],
            [
                "set_on_device@2026-03-02T12:00:00.250Z",
                "deleted_external_to_seam@2026-03-02T12:00:01.000Z",
                "set_on_device@2026-03-02T12:00:01.250Z",
                "deleted_external_to_seam@2026-03-02T12:00:02.000Z",
                "set_on_device@2026-03-02T12:00:02.250Z",
                "deleted_external_to_seam@2026-03-02T12:00:03.000Z",
                "failed_to_set_on_device@2026-03-02T12:00:03.250Z",
                "deleted@2026-03-02T18:00:00.250Z",
            ]
        );
        // What is not on the lock cannot be taken off it.
        let window = json!({ "starts_at": "2026-04-01T11:00:00Z", "ends_at": "2026-04-01T18:00:00Z" });
        let deferred = workspace.create(on(&workspace, 0, window)).await["access_code_id"].clone();
        for by in [json!({ "access_code_id": deferred }), json!({ "access_code_id": id }), json!({ "code": "135790" })]
        {
            workspace.post(REMOVE, on(&workspace, 0, by)).await.error(404, "access_code_not_found");
        }
        assert_eq!(events(&workspace, &deferred).await.len(), 1);
    });
}

#[test]
fn what_may_be_changed_at_the_lock_is_honoured_with_a_warning() {
    run(async {
        let (workspace, code) = with_code("wyze_lock", true).await;
        let id = &code["access_code_id"];
        let answer = workspace.post(CHANGE, otherwise(&workspace, id)).await.ok()["access_code"].clone();
        let changed = workspace.access_code(id).await;
        assert_eq!(answer, changed);
        let expected =
            ["somebody", "246800", "2026-03-02T13:00:00.000Z", "2026-03-02T20:00:00.000Z"].map(|it| json!(it));
        assert_eq!(properties(&changed), expected.each_ref());
        assert_eq!((&changed["errors"], &changed["pending_mutations"]), (&json!([]), &json!([])));
        let mut warning = changed["warnings"][0].clone();
        assert!(warning.as_object_mut().unwrap().shift_remove("message").is_some_and(|it| it.is_string()), "{warning}");
        assert_eq!(
            (changed["warnings"].as_array().unwrap().len(), warning),
            (
                1,
                json!({
                    "warning_code": "external_modification_in_effect",
                    "created_at": "2026-03-02T12:00:01.000Z",
                    "change_type": "modified",
                    "modified_fields": modified_fields(),
                })
            )
        );
        workspace.advance_to("2026-03-02T19:00:00Z").await;
        let later = workspace.access_code(id).await;
        assert_eq!((&later["status"], properties(&later)), (&json!("set"), expected.each_ref()));
        assert_eq!(later["warnings"], changed["warnings"]);
        assert_eq!(properties(&workspace.memory(0).await[0]), expected.each_ref());
        workspace.advance_to("2026-03-02T20:00:00Z").await;
        assert_eq!(seen_of(&workspace, id).await, "removing deleting scheduled");
        workspace.advance("PT1S").await;
        assert_eq!(
            events(&workspace, id).await[2..],
            [
                "modified_external_to_seam@2026-03-02T12:00:01.000Z",
                // Somebody moved its start: it began a second time.
                "set_on_device@2026-03-02T13:00:00.000Z",
                "removed_from_device@2026-03-02T20:00:00.250Z",
                "deleted@2026-03-02T20:00:00.250Z",
            ]
        );
    });
}

#[test]
fn what_was_changed_at_the_lock_and_back_again_leaves_no_warning() {
    run(async {
        let (workspace, code) = with_code("wyze_lock", true).await;
        let id = &code["access_code_id"];
        let call_it = async |name: &str| {
            let renamed = on(&workspace, 0, json!({ "access_code_id": id, "name": name }));
            workspace.post(CHANGE, renamed).await.ok()["access_code"].clone()
        };
        for name in ["somebody", "nobody"] {
            let renamed = call_it(name).await;
            let fields = json!([{ "field": "name", "from": "guest", "to": name }]);
            assert_eq!(renamed["warnings"][0]["modified_fields"], fields);
        }
        assert_eq!(call_it("guest").await, code, "as if nothing had been");
        assert_eq!(events(&workspace, id).await.len(), 5, "each change is told");
    });
}

#[test]
fn what_was_changed_at_the_lock_stays_until_seam_updates_the_code() {
    run(async {
        for device_type in ["wyze_lock", "august_lock"] {
            let (workspace, code) = with_code(device_type, true).await;
            let id = &code["access_code_id"];
            let change = json!({ "access_code_id": id, "new_code": "246800", "name": "somebody" });
            workspace.post(CHANGE, on(&workspace, 0, change)).await.ok();
            let changed = workspace.access_code(id).await;
            assert_eq!((&changed["status"], &changed["pending_mutations"]), (&json!("set"), &json!([])));
            workspace.advance("P1D").await;
            assert_eq!(seen_of(&workspace, id).await, "gone", "it still ends");
        }
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "wyze_lock" }, { "device_type": "wyze_lock" }])).await;
        let params = json!({ "common_code_key": "key", "is_external_modification_allowed": true, "name": "guest" });
        let code = workspace.create(on(&workspace, 0, params.clone())).await;
        let linked = workspace.create(on(&workspace, 1, params)).await;
        assert_eq!(code["code"], linked["code"]);
        workspace.advance("PT1S").await;
        let id = &code["access_code_id"];
        let change = json!({ "access_code_id": id, "new_code": "24680" });
        workspace.post(CHANGE, on(&workspace, 0, change)).await.ok();
        workspace.advance("P1D").await;
        let changed = workspace.access_code(id).await;
        assert_eq!((seen(&changed).as_str(), &changed["code"]), ("set", &json!("24680")));
        assert_eq!(changed["warnings"][0]["warning_code"], "external_modification_in_effect");
        assert_eq!(changed["common_code_key"], Value::Null, "codes with one key have one PIN");
        assert_eq!(workspace.access_code(&linked["access_code_id"]).await["common_code_key"], "key");
        assert_eq!(events(&workspace, id).await.len(), 3, "nothing was programmed");
        workspace.post("/access_codes/update", json!({ "access_code_id": id, "name": "cleaner" })).await.ok();
        workspace.advance("PT0.25S").await;
        let updated = workspace.access_code(id).await;
        assert_eq!((&updated["warnings"], &updated["name"]), (&json!([]), &json!("cleaner")));
        assert_eq!((&updated["code"], seen(&updated).as_str()), (&json!("24680"), "set"));
    });
}

#[test]
fn an_update_by_seam_ends_what_was_changed_or_removed_at_the_lock() {
    run(async {
        for is_removed in [true, false] {
            let (workspace, code) = with_code("wyze_lock", true).await;
            let id = &code["access_code_id"];
            if is_removed {
                remove(&workspace, id).await;
            } else {
                let change = json!({ "access_code_id": id, "new_code": "246800" });
                workspace.post(CHANGE, on(&workspace, 0, change)).await.ok();
            }
            workspace.advance("PT1H").await;
            workspace.post("/access_codes/update", json!({ "access_code_id": id, "name": "cleaner" })).await.ok();
            let updated = workspace.access_code(id).await;
            let expected = if is_removed { "setting creating" } else { "set updating_name scheduled" };
            assert_eq!((seen(&updated).as_str(), &updated["warnings"]), (expected, &json!([])));
            workspace.advance("PT0.25S").await;
            assert_eq!(seen_of(&workspace, id).await, "set scheduled");
            let held = &workspace.memory(0).await[0];
            let code = if is_removed { "135790" } else { "246800" };
            assert_eq!((&held["name"], &held["code"]), (&json!("cleaner"), &json!(code)));
        }
    });
}

#[test]
fn a_code_that_may_be_removed_at_the_lock_stays_away() {
    run(async {
        for is_deleted in [true, false] {
            let (workspace, code) = with_code("wyze_lock", true).await;
            let id = &code["access_code_id"];
            remove(&workspace, id).await;
            for instant in ["2026-03-02T12:00:01.000Z", "2026-03-02T12:00:02.000Z", "2026-03-02T17:59:59.999Z"] {
                workspace.advance_to(instant).await;
                let removed = workspace.access_code(id).await;
                assert_eq!((seen(&removed).as_str(), &removed["errors"]), ("unset", &json!([])), "at {instant}");
                let warning = &removed["warnings"][0];
                assert_eq!(warning["warning_code"], "external_modification_in_effect", "at {instant}");
                assert_eq!((&warning["change_type"], &warning["modified_fields"]), (&json!("removed"), &json!([])));
                assert_eq!(warning["created_at"], "2026-03-02T12:00:01.000Z");
                assert_eq!(workspace.memory(0).await.len(), 0, "at {instant}");
            }
            if is_deleted {
                workspace.post("/access_codes/delete", json!({ "access_code_id": id })).await.ok();
            } else {
                workspace.advance_to("2026-03-02T18:00:00.000Z").await;
            }
            assert_eq!(seen_of(&workspace, id).await, "removing deleting");
            workspace.advance("PT1S").await;
            assert_eq!(seen_of(&workspace, id).await, "gone");
            let names: Vec<_> = workspace.events_of(id).await.into_iter().map(|(name, _)| name).collect();
            let expected = ["created", "set_on_device", "deleted_external_to_seam", "deleted"];
            assert_eq!(names, expected.map(|name| format!("access_code.{name}")), "deleted: {is_deleted}");
        }
    });
}

#[test]
fn a_code_cut_short_at_the_lock_goes_from_that_instant_on() {
    run(async {
        let (workspace, code) = with_code("wyze_lock", true).await;
        let id = &code["access_code_id"];
        let foreign =
            json!({ "code": "975310", "starts_at": "2026-03-02T11:00:00Z", "ends_at": "2026-03-02T18:00:00Z" });
        let foreign =
            workspace.post("/_emulator/locks/add_code", on(&workspace, 0, foreign)).await.ok()["access_code"].clone();
        for id in [id, &foreign["access_code_id"]] {
            let over = json!({ "access_code_id": id, "ends_at": "2026-03-02T12:00:02Z" });
            workspace.post(CHANGE, on(&workspace, 0, over)).await.ok();
        }
        workspace.advance("PT2S").await;
        assert_eq!(workspace.memory(0).await.len(), 0);
        assert_eq!(
            events(&workspace, id).await[2..],
            [
                "modified_external_to_seam@2026-03-02T12:00:01.000Z",
                "removed_from_device@2026-03-02T12:00:02.250Z",
                "deleted@2026-03-02T12:00:02.250Z",
            ]
        );
        assert_eq!(
            events(&workspace, &foreign["access_code_id"]).await,
            ["unmanaged.created@2026-03-02T12:00:01.000Z", "unmanaged.removed@2026-03-02T12:00:02.000Z"]
        );
    });
}

#[test]
fn what_cannot_be_done_at_a_lock_is_refused_by_name() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "schlage_lock" }, { "device_type": "schlage_lock" }])).await;
        let code = workspace.create(on(&workspace, 0, json!({ "code": "1357", "name": "guest", "sync": true }))).await;
        workspace.create(on(&workspace, 0, json!({ "code": "2468", "sync": true }))).await;
        let id = &code["access_code_id"];
        let before = (rows(&workspace).await, workspace.memory(0).await);
        for path in [CHANGE, REMOVE] {
            workspace.post(path, on(&workspace, 0, json!({}))).await.error(400, "invalid_input");
            let both = json!({ "access_code_id": id, "code": "1357" });
            workspace.post(path, on(&workspace, 0, both)).await.error(400, "invalid_input");
            workspace.post(path, json!({ "access_code_id": id })).await.invalid("device_id");
            workspace.post(path, json!({ "device_id": "lock", "access_code_id": id })).await.invalid("device_id");
            workspace
                .post(path, on(&workspace, 0, json!({ "access_code_id": "code" })))
                .await
                .invalid("access_code_id");
            let nowhere = json!({ "device_id": UNKNOWN, "access_code_id": id });
            workspace.post(path, nowhere).await.error(404, "device_not_found");
            for by in [json!({ "access_code_id": UNKNOWN }), json!({ "code": "9999" })] {
                workspace.post(path, on(&workspace, 0, by)).await.error(404, "access_code_not_found");
            }
            // It is on the other lock.
            workspace
                .post(path, on(&workspace, 1, json!({ "access_code_id": id })))
                .await
                .error(404, "access_code_not_found");
            let others = TestWorkspace::with_locks(1).await;
            others.post(path, on(&workspace, 0, json!({ "access_code_id": id }))).await.error(404, "device_not_found");
        }
        for (change, parameter) in [
            (json!({ "new_code": "135" }), "new_code"),
            (json!({ "new_code": "13a7" }), "new_code"),
            (json!({ "new_code": "1133" }), "new_code"),
            (json!({ "new_code": "135790864" }), "new_code"),
            (json!({ "name": 5 }), "name"),
            (json!({ "ends_at": "tomorrow" }), "ends_at"),
        ] {
            let mut change = on(&workspace, 0, change);
            change["access_code_id"] = id.clone();
            workspace.post(CHANGE, change.clone()).await.invalid(parameter);
        }
        for times in [
            json!({ "starts_at": "2026-03-03T12:00:00Z" }),
            json!({ "ends_at": "2026-03-03T12:00:00Z" }),
            json!({ "starts_at": "2026-03-03T12:00:00Z", "ends_at": "2026-03-03T12:00:00Z" }),
        ] {
            let mut change = on(&workspace, 0, times);
            change["access_code_id"] = id.clone();
            workspace.post(CHANGE, change).await.error(400, "invalid_input");
        }
        let double = json!({ "access_code_id": id, "new_code": "2468" });
        workspace.post(CHANGE, on(&workspace, 0, double)).await.error(409, "duplicate_access_code");
        // Whoever changes nothing has changed nothing.
        workspace
            .post(CHANGE, on(&workspace, 0, json!({ "code": "1357", "name": "guest", "new_code": "1357" })))
            .await
            .ok();
        assert_eq!((rows(&workspace).await, workspace.memory(0).await), before);
        assert_eq!(workspace.access_code(id).await, code);
    });
}

#[test]
fn a_code_that_was_removed_at_the_lock_is_set_again_once_that_is_forbidden() {
    run(async {
        let (workspace, code) = with_code("wyze_lock", true).await;
        let id = &code["access_code_id"];
        remove(&workspace, id).await;
        workspace.advance("PT1H").await;
        assert_eq!(seen_of(&workspace, id).await, "unset");
        let forbidden = json!({ "access_code_id": id, "is_external_modification_allowed": false });
        workspace.post("/access_codes/update", forbidden).await.ok();
        let setting = workspace.access_code(id).await;
        assert_eq!((&setting["status"], &setting["warnings"]), (&json!("setting"), &json!([])));
        workspace.advance("PT0.25S").await;
        assert_eq!(seen_of(&workspace, id).await, "set scheduled");
        assert_eq!(workspace.memory(0).await.len(), 1);
        assert_eq!(events(&workspace, id).await.last().unwrap(), "set_on_device@2026-03-02T13:00:01.250Z");
        // From now on it is put back.
        remove(&workspace, id).await;
        workspace.advance("PT0.25S").await;
        assert_eq!(seen_of(&workspace, id).await, "set scheduled");
    });
}

#[test]
fn a_code_takes_the_place_of_one_that_somebody_removed_even_where_locks_take_no_time() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        workspace.post("/_emulator/locks/add_code", on(&workspace, 0, json!({ "code": "135790" }))).await.ok();
        workspace.post("/_emulator/programming/set", json!({ "after": "PT0S" })).await.ok();
        let code = workspace.create(on(&workspace, 0, json!({ "code": "135790" }))).await;
        let id = &code["access_code_id"];
        workspace.advance("PT1S").await;
        assert_eq!(error_codes(&workspace.access_code(id).await), ["duplicate_code_on_device"]);
        workspace.post(REMOVE, on(&workspace, 0, json!({ "code": "135790" }))).await.ok();
        assert_eq!(seen_of(&workspace, id).await, "set");
    });
}
