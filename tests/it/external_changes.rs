//! External changes: codes that are changed or removed at the lock, with the app of the manufacturer.

use crate::access_codes::{on_lock, rows};
use crate::lifecycle::{error_codes, events, summary, summary_of};
use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

const CHANGE: &str = "/_emulator/locks/change_code";
const REMOVE: &str = "/_emulator/locks/remove_code";
const CONFLICT: &str = "conflicting_external_modification";

/// Creates a workspace with one lock that stores a code: name `guest`, PIN 135790, from 11:00 to 18:00. The clock is
/// held at 12:00:01.
async fn with_code(device_type: &str, is_external_modification_allowed: bool) -> (TestWorkspace, Value) {
    let workspace = TestWorkspace::with(json!([{ "device_type": device_type }])).await;
    let params = json!({
        "name": "guest",
        "code": "135790",
        "starts_at": "2026-03-02T11:00:00.000Z",
        "ends_at": "2026-03-02T18:00:00.000Z",
        "is_external_modification_allowed": is_external_modification_allowed,
    });
    let code = workspace.create(on_lock(&workspace, 0, params)).await;
    workspace.advance("PT1S").await;
    let code = workspace.access_code(&code["access_code_id"]).await;
    assert_eq!(code["status"], "set");
    (workspace, code)
}

/// Returns the parameters of an external change of all fields of that code.
fn change_of_all_fields(workspace: &TestWorkspace, access_code_id: &Value) -> Value {
    let mut change =
        on_lock(workspace, 0, json!({ "new_code": "246800", "name": "somebody", "access_code_id": access_code_id }));
    change["starts_at"] = json!("2026-03-02T13:00:00.000Z");
    change["ends_at"] = json!("2026-03-02T20:00:00.000Z");
    change
}

/// Returns the `modified_fields` that report this change.
fn modified_fields() -> Value {
    json!([
        { "field": "name", "from": "guest", "to": "somebody" },
        { "field": "code", "from": "135790", "to": "246800" },
        { "field": "starts_at", "from": "2026-03-02T11:00:00.000Z", "to": "2026-03-02T13:00:00.000Z" },
        { "field": "ends_at", "from": "2026-03-02T18:00:00.000Z", "to": "2026-03-02T20:00:00.000Z" },
    ])
}

/// Removes the code at the lock, as the app of the manufacturer does.
async fn remove(workspace: &TestWorkspace, access_code_id: &Value) {
    workspace.post(REMOVE, on_lock(workspace, 0, json!({ "access_code_id": access_code_id }))).await.ok();
}

/// Returns those values of a code, or of a slot in the memory of a lock, that can be changed at the lock.
fn properties(value: &Value) -> [&Value; 4] {
    ["name", "code", "starts_at", "ends_at"].map(|property| &value[property])
}

#[test]
fn external_change_is_reverted_and_reported_as_an_error() {
    run(async {
        for device_type in ["wyze_lock", "smartthings_lock"] {
            let (workspace, code) = with_code(device_type, false).await;
            let id = &code["access_code_id"];
            let response =
                workspace.post(CHANGE, change_of_all_fields(&workspace, id)).await.ok()["access_code"].clone();
            let changed = workspace.access_code(id).await;
            assert_eq!(response, changed);
            assert_eq!((&changed["status"], properties(&changed)), (&json!("setting"), properties(&code)));
            let mut error = changed["errors"][0].clone();
            assert!(
                error.as_object_mut().unwrap().shift_remove("message").is_some_and(|message| message.is_string()),
                "{error}"
            );
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
            let memory = workspace.memory(0).await;
            assert_eq!((memory[0]["code"].as_str(), memory[0]["name"].as_str()), (Some("246800"), Some("somebody")));
            workspace.advance("PT0.249S").await;
            assert_eq!(error_codes(&workspace.access_code(id).await), [CONFLICT]);
            workspace.advance("PT0.001S").await;
            assert_eq!(workspace.access_code(id).await, code, "the same as before the change");
            assert_eq!(properties(&workspace.memory(0).await[0]), properties(&code));
            assert_eq!(
                events(&workspace, id).await,
                [
                    "created@2026-03-02T12:00:00.000Z",
                    "set_on_device@2026-03-02T12:00:00.250Z",
                    "modified_external_to_seam@2026-03-02T12:00:01.000Z",
                ]
            );
            // Change only the name, selected by the PIN, and change it back before Seam programs the lock.
            let rename = on_lock(&workspace, 0, json!({ "code": "135790", "name": "somebody" }));
            let renamed = workspace.post(CHANGE, rename).await.ok()["access_code"].clone();
            assert_eq!(renamed["errors"][0]["modified_fields"], json!([modified_fields()[0]]));
            let back =
                workspace.post(CHANGE, on_lock(&workspace, 0, json!({ "code": "135790", "name": "guest" }))).await.ok();
            assert_eq!(back["access_code"], code, "{device_type}");
            workspace.advance("PT1S").await;
            assert_eq!(events(&workspace, id).await.len(), 5, "{device_type}: each change has an event");
        }
    });
}

#[test]
fn external_change_before_the_start_is_reverted_once_the_lock_is_reachable() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        let window = json!({ "starts_at": "2026-03-02T15:00:00.000Z", "ends_at": "2026-03-02T18:00:00.000Z" });
        let code = workspace.create(on_lock(&workspace, 0, window)).await;
        let id = &code["access_code_id"];
        workspace.advance("PT1S").await;
        // The lock is unreachable, so the code is corrected only after its start.
        workspace.change_lock(0, json!({ "online": false })).await;
        let later = json!({ "access_code_id": id, "starts_at": "2026-03-02T17:00:00Z" });
        workspace.post(CHANGE, on_lock(&workspace, 0, later)).await.ok();
        workspace.advance_to("2026-03-02T16:00:00Z").await;
        assert_eq!(workspace.access_code(id).await["status"], "setting");
        workspace.change_lock(0, json!({ "online": true })).await;
        workspace.advance("PT0.25S").await;
        assert_eq!(summary_of(&workspace, id).await, "set scheduled");
        assert_eq!(events(&workspace, id).await.last().unwrap(), "set_on_device@2026-03-02T16:00:00.250Z");
    });
}

#[test]
fn external_removal_is_reverted_until_the_code_ends() {
    run(async {
        let (workspace, code) = with_code("wyze_lock", false).await;
        let id = &code["access_code_id"];
        for second in [1, 2] {
            remove(&workspace, id).await;
            let removed = workspace.access_code(id).await;
            assert_eq!(summary(&removed), "setting creating");
            assert_eq!(error_codes(&removed), [CONFLICT]);
            let error = &removed["errors"][0];
            assert_eq!((&error["change_type"], &error["modified_fields"]), (&json!("removed"), &json!([])));
            assert_eq!(error["created_at"], format!("2026-03-02T12:00:0{second}.000Z"));
            assert_eq!((&removed["appearance"], workspace.memory(0).await.len()), (&Value::Null, 0));
            workspace.advance("PT0.25S").await;
            assert_eq!(workspace.access_code(id).await, code, "the code is restored");
            assert_eq!(properties(&workspace.memory(0).await[0]), properties(&code));
            workspace.advance("PT0.75S").await;
        }
        let fault = json!({ "operation": "set", "device_id": workspace.lock(0), "outcome": { "fail": {} } });
        workspace.post("/_emulator/faults/create", fault).await.ok();
        remove(&workspace, id).await;
        for instant in ["2026-03-02T12:00:04.000Z", "2026-03-02T15:00:00.000Z", "2026-03-02T17:59:59.999Z"] {
            workspace.advance_to(instant).await;
            let missing = workspace.access_code(id).await;
            assert_eq!(summary(&missing), "setting creating", "at {instant}");
            assert!(error_codes(&missing).contains(&CONFLICT), "at {instant}: {missing}");
        }
        workspace.advance_to("2026-03-02T18:00:00.000Z").await;
        assert_eq!(summary_of(&workspace, id).await, "removing deleting");
        workspace.advance("PT0.25S").await;
        assert_eq!(summary_of(&workspace, id).await, "gone");
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
        // A code that is not on the lock cannot be removed from it.
        let window = json!({ "starts_at": "2026-04-01T11:00:00Z", "ends_at": "2026-04-01T18:00:00Z" });
        let deferred = workspace.create(on_lock(&workspace, 0, window)).await["access_code_id"].clone();
        for selector in
            [json!({ "access_code_id": deferred }), json!({ "access_code_id": id }), json!({ "code": "135790" })]
        {
            workspace.post(REMOVE, on_lock(&workspace, 0, selector)).await.error(404, "access_code_not_found");
        }
        assert_eq!(events(&workspace, &deferred).await.len(), 1);
    });
}

#[test]
fn allowed_external_change_is_in_effect_with_a_warning() {
    run(async {
        let (workspace, code) = with_code("wyze_lock", true).await;
        let id = &code["access_code_id"];
        let response = workspace.post(CHANGE, change_of_all_fields(&workspace, id)).await.ok()["access_code"].clone();
        let changed = workspace.access_code(id).await;
        assert_eq!(response, changed);
        let expected =
            ["somebody", "246800", "2026-03-02T13:00:00.000Z", "2026-03-02T20:00:00.000Z"].map(|value| json!(value));
        assert_eq!(properties(&changed), expected.each_ref());
        assert_eq!((&changed["errors"], &changed["pending_mutations"]), (&json!([]), &json!([])));
        let mut warning = changed["warnings"][0].clone();
        assert!(
            warning.as_object_mut().unwrap().shift_remove("message").is_some_and(|message| message.is_string()),
            "{warning}"
        );
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
        assert_eq!(summary_of(&workspace, id).await, "removing deleting scheduled");
        workspace.advance("PT1S").await;
        assert_eq!(
            events(&workspace, id).await[2..],
            [
                "modified_external_to_seam@2026-03-02T12:00:01.000Z",
                // The change moved the start, so the code starts a second time.
                "set_on_device@2026-03-02T13:00:00.000Z",
                "removed_from_device@2026-03-02T20:00:00.250Z",
                "deleted@2026-03-02T20:00:00.250Z",
            ]
        );
    });
}

#[test]
fn external_change_that_is_undone_at_the_lock_leaves_no_warning() {
    run(async {
        let (workspace, code) = with_code("wyze_lock", true).await;
        let id = &code["access_code_id"];
        let rename = async |name: &str| {
            let renamed = on_lock(&workspace, 0, json!({ "access_code_id": id, "name": name }));
            workspace.post(CHANGE, renamed).await.ok()["access_code"].clone()
        };
        for name in ["somebody", "nobody"] {
            let renamed = rename(name).await;
            let fields = json!([{ "field": "name", "from": "guest", "to": name }]);
            assert_eq!(renamed["warnings"][0]["modified_fields"], fields);
        }
        assert_eq!(rename("guest").await, code, "the same as before the change");
        assert_eq!(events(&workspace, id).await.len(), 5, "each change has an event");
    });
}

#[test]
fn allowed_external_change_stays_until_the_code_is_updated() {
    run(async {
        for device_type in ["wyze_lock", "august_lock"] {
            let (workspace, code) = with_code(device_type, true).await;
            let id = &code["access_code_id"];
            let change = json!({ "access_code_id": id, "new_code": "246800", "name": "somebody" });
            workspace.post(CHANGE, on_lock(&workspace, 0, change)).await.ok();
            let changed = workspace.access_code(id).await;
            assert_eq!((&changed["status"], &changed["pending_mutations"]), (&json!("set"), &json!([])));
            workspace.advance("P1D").await;
            assert_eq!(summary_of(&workspace, id).await, "gone", "the code is gone after its end");
        }
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "wyze_lock" }, { "device_type": "wyze_lock" }])).await;
        let params = json!({ "common_code_key": "key", "is_external_modification_allowed": true, "name": "guest" });
        let code = workspace.create(on_lock(&workspace, 0, params.clone())).await;
        let linked = workspace.create(on_lock(&workspace, 1, params)).await;
        assert_eq!(code["code"], linked["code"]);
        workspace.advance("PT1S").await;
        let id = &code["access_code_id"];
        let change = json!({ "access_code_id": id, "new_code": "24680" });
        workspace.post(CHANGE, on_lock(&workspace, 0, change)).await.ok();
        workspace.advance("P1D").await;
        let changed = workspace.access_code(id).await;
        assert_eq!((summary(&changed).as_str(), &changed["code"]), ("set", &json!("24680")));
        assert_eq!(changed["warnings"][0]["warning_code"], "external_modification_in_effect");
        assert_eq!(changed["common_code_key"], Value::Null, "the code left its group, because its PIN differs");
        assert_eq!(workspace.access_code(&linked["access_code_id"]).await["common_code_key"], "key");
        assert_eq!(events(&workspace, id).await.len(), 3, "nothing was programmed");
        workspace.post("/access_codes/update", json!({ "access_code_id": id, "name": "cleaner" })).await.ok();
        workspace.advance("PT0.25S").await;
        let updated = workspace.access_code(id).await;
        assert_eq!((&updated["warnings"], &updated["name"]), (&json!([]), &json!("cleaner")));
        assert_eq!((&updated["code"], summary(&updated).as_str()), (&json!("24680"), "set"));
    });
}

#[test]
fn update_clears_the_warning_of_an_external_change_or_removal() {
    run(async {
        for is_removed in [true, false] {
            let (workspace, code) = with_code("wyze_lock", true).await;
            let id = &code["access_code_id"];
            if is_removed {
                remove(&workspace, id).await;
            } else {
                let change = json!({ "access_code_id": id, "new_code": "246800" });
                workspace.post(CHANGE, on_lock(&workspace, 0, change)).await.ok();
            }
            workspace.advance("PT1H").await;
            workspace.post("/access_codes/update", json!({ "access_code_id": id, "name": "cleaner" })).await.ok();
            let updated = workspace.access_code(id).await;
            let expected = if is_removed { "setting creating" } else { "set updating_name scheduled" };
            assert_eq!((summary(&updated).as_str(), &updated["warnings"]), (expected, &json!([])));
            workspace.advance("PT0.25S").await;
            assert_eq!(summary_of(&workspace, id).await, "set scheduled");
            let held = &workspace.memory(0).await[0];
            let code = if is_removed { "135790" } else { "246800" };
            assert_eq!((&held["name"], &held["code"]), (&json!("cleaner"), &json!(code)));
        }
    });
}

#[test]
fn allowed_external_removal_leaves_the_code_unset() {
    run(async {
        for is_deleted in [true, false] {
            let (workspace, code) = with_code("wyze_lock", true).await;
            let id = &code["access_code_id"];
            remove(&workspace, id).await;
            for instant in ["2026-03-02T12:00:01.000Z", "2026-03-02T12:00:02.000Z", "2026-03-02T17:59:59.999Z"] {
                workspace.advance_to(instant).await;
                let removed = workspace.access_code(id).await;
                assert_eq!((summary(&removed).as_str(), &removed["errors"]), ("unset", &json!([])), "at {instant}");
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
            assert_eq!(summary_of(&workspace, id).await, "removing deleting");
            workspace.advance("PT1S").await;
            assert_eq!(summary_of(&workspace, id).await, "gone");
            let names: Vec<_> = workspace.events_of(id).await.into_iter().map(|(name, _)| name).collect();
            let expected = ["created", "set_on_device", "deleted_external_to_seam", "deleted"];
            assert_eq!(names, expected.map(|name| format!("access_code.{name}")), "deleted: {is_deleted}");
        }
    });
}

#[test]
fn external_change_of_ends_at_removes_the_code_at_that_instant() {
    run(async {
        let (workspace, code) = with_code("wyze_lock", true).await;
        let id = &code["access_code_id"];
        let unmanaged =
            json!({ "code": "975310", "starts_at": "2026-03-02T11:00:00Z", "ends_at": "2026-03-02T18:00:00Z" });
        let unmanaged =
            workspace.post("/_emulator/locks/add_code", on_lock(&workspace, 0, unmanaged)).await.ok()["access_code"]
                .clone();
        for id in [id, &unmanaged["access_code_id"]] {
            let shortened = json!({ "access_code_id": id, "ends_at": "2026-03-02T12:00:02Z" });
            workspace.post(CHANGE, on_lock(&workspace, 0, shortened)).await.ok();
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
            events(&workspace, &unmanaged["access_code_id"]).await,
            ["unmanaged.created@2026-03-02T12:00:01.000Z", "unmanaged.removed@2026-03-02T12:00:02.000Z"]
        );
    });
}

#[test]
fn external_changes_with_invalid_parameters_are_rejected_by_name() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "schlage_lock" }, { "device_type": "schlage_lock" }])).await;
        let code =
            workspace.create(on_lock(&workspace, 0, json!({ "code": "1357", "name": "guest", "sync": true }))).await;
        workspace.create(on_lock(&workspace, 0, json!({ "code": "2468", "sync": true }))).await;
        let id = &code["access_code_id"];
        let before = (rows(&workspace).await, workspace.memory(0).await);
        for path in [CHANGE, REMOVE] {
            workspace.post(path, on_lock(&workspace, 0, json!({}))).await.error(400, "invalid_input");
            let id_and_pin = json!({ "access_code_id": id, "code": "1357" });
            workspace.post(path, on_lock(&workspace, 0, id_and_pin)).await.error(400, "invalid_input");
            workspace.post(path, json!({ "access_code_id": id })).await.invalid("device_id");
            workspace.post(path, json!({ "device_id": "lock", "access_code_id": id })).await.invalid("device_id");
            workspace
                .post(path, on_lock(&workspace, 0, json!({ "access_code_id": "code" })))
                .await
                .invalid("access_code_id");
            let unknown_device = json!({ "device_id": UNKNOWN, "access_code_id": id });
            workspace.post(path, unknown_device).await.error(404, "device_not_found");
            for selector in [json!({ "access_code_id": UNKNOWN }), json!({ "code": "9999" })] {
                workspace.post(path, on_lock(&workspace, 0, selector)).await.error(404, "access_code_not_found");
            }
            // The code is on the other lock.
            workspace
                .post(path, on_lock(&workspace, 1, json!({ "access_code_id": id })))
                .await
                .error(404, "access_code_not_found");
            let other_workspace = TestWorkspace::with_locks(1).await;
            other_workspace
                .post(path, on_lock(&workspace, 0, json!({ "access_code_id": id })))
                .await
                .error(404, "device_not_found");
        }
        for (change, parameter) in [
            (json!({ "new_code": "135" }), "new_code"),
            (json!({ "new_code": "13a7" }), "new_code"),
            (json!({ "new_code": "1133" }), "new_code"),
            (json!({ "new_code": "135790864" }), "new_code"),
            (json!({ "name": 5 }), "name"),
            (json!({ "ends_at": "tomorrow" }), "ends_at"),
        ] {
            let mut change = on_lock(&workspace, 0, change);
            change["access_code_id"] = id.clone();
            workspace.post(CHANGE, change.clone()).await.invalid(parameter);
        }
        for times in [
            json!({ "starts_at": "2026-03-03T12:00:00Z" }),
            json!({ "ends_at": "2026-03-03T12:00:00Z" }),
            json!({ "starts_at": "2026-03-03T12:00:00Z", "ends_at": "2026-03-03T12:00:00Z" }),
        ] {
            let mut change = on_lock(&workspace, 0, times);
            change["access_code_id"] = id.clone();
            workspace.post(CHANGE, change).await.error(400, "invalid_input");
        }
        let duplicate = json!({ "access_code_id": id, "new_code": "2468" });
        workspace.post(CHANGE, on_lock(&workspace, 0, duplicate)).await.error(409, "duplicate_access_code");
        // A change to the same values changes nothing.
        workspace
            .post(CHANGE, on_lock(&workspace, 0, json!({ "code": "1357", "name": "guest", "new_code": "1357" })))
            .await
            .ok();
        assert_eq!((rows(&workspace).await, workspace.memory(0).await), before);
        assert_eq!(workspace.access_code(id).await, code);
    });
}

#[test]
fn externally_removed_code_is_set_again_once_removal_is_forbidden() {
    run(async {
        let (workspace, code) = with_code("wyze_lock", true).await;
        let id = &code["access_code_id"];
        remove(&workspace, id).await;
        workspace.advance("PT1H").await;
        assert_eq!(summary_of(&workspace, id).await, "unset");
        let forbidden = json!({ "access_code_id": id, "is_external_modification_allowed": false });
        workspace.post("/access_codes/update", forbidden).await.ok();
        let setting = workspace.access_code(id).await;
        assert_eq!((&setting["status"], &setting["warnings"]), (&json!("setting"), &json!([])));
        workspace.advance("PT0.25S").await;
        assert_eq!(summary_of(&workspace, id).await, "set scheduled");
        assert_eq!(workspace.memory(0).await.len(), 1);
        assert_eq!(events(&workspace, id).await.last().unwrap(), "set_on_device@2026-03-02T13:00:01.250Z");
        // From now on a removed code is set again.
        remove(&workspace, id).await;
        workspace.advance("PT0.25S").await;
        assert_eq!(summary_of(&workspace, id).await, "set scheduled");
    });
}

#[test]
fn code_is_set_after_removal_of_its_duplicate_with_zero_programming_time() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        workspace.post("/_emulator/locks/add_code", on_lock(&workspace, 0, json!({ "code": "135790" }))).await.ok();
        workspace.post("/_emulator/programming/set", json!({ "after": "PT0S" })).await.ok();
        let code = workspace.create(on_lock(&workspace, 0, json!({ "code": "135790" }))).await;
        let id = &code["access_code_id"];
        workspace.advance("PT1S").await;
        assert_eq!(error_codes(&workspace.access_code(id).await), ["duplicate_code_on_device"]);
        workspace.post(REMOVE, on_lock(&workspace, 0, json!({ "code": "135790" }))).await.ok();
        assert_eq!(summary_of(&workspace, id).await, "set");
    });
}
