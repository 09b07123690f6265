//! `/access_codes/create`: fields of the created code, and rejected requests.

use super::{on_lock, pin, request_errors, rows};
use crate::support::{START, TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

const CREATE: &str = "/access_codes/create";

#[test]
fn create_returns_every_field_and_a_pending_action_attempt() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created =
            workspace.post(CREATE, on_lock(&workspace, 0, json!({ "code": "4826", "name": "My guest" }))).await.ok();
        let id = &created["access_code"]["access_code_id"];
        let expected = json!({
            "access_code_id": id,
            "device_id": workspace.lock(0),
            "workspace_id": workspace.workspace_id,
            "name": "My guest",
            "code": "4826",
            "common_code_key": null,
            "type": "ongoing",
            "status": "setting",
            "display_status": "Issuing",
            "starts_at": null,
            "ends_at": null,
            "created_at": START,
            "errors": [],
            "warnings": [],
            "pending_mutations": [{
                "mutation_code": "creating",
                "message": "The access code is being set on the device.",
                "created_at": START,
            }],
            "appearance": null,
            "is_managed": true,
            "is_backup": false,
            "is_backup_access_code_available": false,
            "pulled_backup_access_code_id": null,
            "is_external_modification_allowed": false,
            "is_offline_access_code": false,
            "is_one_time_use": false,
            "is_scheduled_on_device": false,
            "is_waiting_for_code_assignment": false,
        });
        assert_eq!(created["access_code"], expected);
        let attempt = json!({
            "status": "pending",
            "action_type": "CREATE_ACCESS_CODE",
            "action_attempt_id": created["action_attempt"]["action_attempt_id"],
            "result": null,
            "error": null,
        });
        assert_eq!(created["action_attempt"], attempt);
        assert_eq!(created.as_object().unwrap().len(), 3, "access_code, action_attempt and ok: {created}");
        assert_eq!(workspace.access_code(id).await, expected, "get returns the same code as create");
        workspace.advance("PT0.25S").await;
        let set = workspace.access_code(id).await;
        assert_eq!(set["status"], "set");
        assert_eq!(set["pending_mutations"], json!([]));
        assert_eq!(set["appearance"], json!({ "name": "My guest", "first_name": "My", "last_name": "guest" }));
    });
}

#[test]
fn create_defers_a_code_that_starts_later_and_shows_scheduled_at() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let window = json!({ "starts_at": "2026-03-20T15:00:00Z", "ends_at": "2026-03-22T11:00:00Z" });
        let native = workspace.create(on_lock(&workspace, 0, window.clone())).await;
        assert_eq!((&native["type"], &native["status"]), (&json!("time_bound"), &json!("unset")));
        assert_eq!(native["starts_at"], "2026-03-20T15:00:00.000Z");
        assert_eq!(native["ends_at"], "2026-03-22T11:00:00.000Z");
        let pending = &native["pending_mutations"];
        assert_eq!(pending[0]["mutation_code"], "deferring_creation");
        assert_eq!(pending[0]["scheduled_at"], "2026-03-17T15:00:00.000Z", "72 hours before");
        assert_eq!(pending[0]["created_at"], START);

        let mut params = on_lock(&workspace, 0, window);
        params["prefer_native_scheduling"] = json!(false);
        let just_in_time = workspace.create(params).await;
        assert_eq!(just_in_time["pending_mutations"][0]["scheduled_at"], "2026-03-20T14:00:00.000Z", "an hour before");

        workspace.post("/_emulator/clock/advance", json!({ "to": "2026-03-20T14:30:00Z" })).await.ok();
        let native = workspace.access_code(&native["access_code_id"]).await;
        assert_eq!((&native["status"], &native["is_scheduled_on_device"]), (&json!("unset"), &json!(true)));
        let just_in_time = workspace.access_code(&just_in_time["access_code_id"]).await;
        assert_eq!((&just_in_time["status"], &just_in_time["is_scheduled_on_device"]), (&json!("set"), &json!(false)));
    });
}

#[test]
fn create_sets_a_code_at_once_if_its_time_frame_has_begun() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let window = json!({ "starts_at": "2026-03-01T12:00:00Z", "ends_at": "2026-03-03T12:00:00Z" });
        let code = workspace.create(on_lock(&workspace, 0, window)).await;
        assert_eq!(code["status"], "setting");
        assert_eq!(code["pending_mutations"][0]["mutation_code"], "creating");
        workspace.advance("PT0.25S").await;
        assert_eq!(workspace.access_code(&code["access_code_id"]).await["status"], "set");
    });
}

#[test]
fn time_frames_accept_any_offset_and_are_shown_in_utc_with_milliseconds() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for (starts_at, ends_at, shown) in [
            (
                "2026-09-10T07:00:00-07:00",
                "2026-09-12T13:30:00+05:30",
                ["2026-09-10T14:00:00.000Z", "2026-09-12T08:00:00.000Z"],
            ),
            (
                "2026-10-10T07:00:00.123456Z",
                "2026-10-10T07:00:01-00:00",
                ["2026-10-10T07:00:00.123Z", "2026-10-10T07:00:01.000Z"],
            ),
            ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z"]),
        ] {
            let code =
                workspace.create(on_lock(&workspace, 0, json!({ "starts_at": starts_at, "ends_at": ends_at }))).await;
            assert_eq!([&code["starts_at"], &code["ends_at"]], shown);
            assert_eq!(workspace.access_code(&code["access_code_id"]).await["starts_at"], shown[0]);
        }
    });
}

#[test]
fn create_rejects_invalid_time_frames_and_writes_nothing() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let (sooner, later) = ("2026-04-01T00:00:00Z", "2026-04-02T00:00:00Z");
        for (window, message) in [
            (json!({ "starts_at": sooner }), "Both starts_at and ends_at must be provided if one is"),
            (json!({ "ends_at": later }), "Both starts_at and ends_at must be provided if one is"),
            (json!({ "starts_at": later, "ends_at": sooner }), "ends_at must be after starts_at"),
            (json!({ "starts_at": later, "ends_at": later }), "ends_at must be after starts_at"),
            (
                json!({ "starts_at": "2026-04-01T02:00:00+02:00", "ends_at": "2026-04-01T00:00:00Z" }),
                "ends_at must be after starts_at",
            ),
        ] {
            let error = workspace.post(CREATE, on_lock(&workspace, 0, window)).await.error(400, "invalid_input");
            assert_eq!((&error["message"], request_errors(&error)), (&json!(message), vec![message.to_owned()]));
        }
        let past = json!({ "starts_at": "2026-03-01T00:00:00Z", "ends_at": START });
        assert_eq!(
            workspace.post(CREATE, on_lock(&workspace, 0, past)).await.invalid("ends_at"),
            ["ends_at must be in the future"]
        );
        let invalid = "Invalid datetime: give ISO 8601, like 2026-01-31T15:00:00Z";
        for wrong in
            ["", "tomorrow", "2026-13-01", "2026-04-01T00:00:00+00", "2026-02-30T00:00:00Z", "10000-01-01T00:00Z"]
        {
            let window = json!({ "starts_at": wrong, "ends_at": later });
            assert_eq!(
                workspace.post(CREATE, on_lock(&workspace, 0, window)).await.invalid("starts_at"),
                [invalid],
                "{wrong}"
            );
            let window = json!({ "starts_at": sooner, "ends_at": wrong });
            assert_eq!(
                workspace.post(CREATE, on_lock(&workspace, 0, window)).await.invalid("ends_at"),
                [invalid],
                "{wrong}"
            );
        }
        for null in ["starts_at", "ends_at", "code", "name", "common_code_key"] {
            let messages =
                workspace.post(CREATE, on_lock(&workspace, 0, json!({ null: Value::Null }))).await.invalid(null);
            assert_eq!(messages, ["Expected string, received null"], "{null}");
        }
        assert_eq!(rows(&workspace).await, [0; 4]);
    });
}

#[test]
fn name_is_stored_unchanged() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let long = "lang ".repeat(2000);
        for name in ["  two  spaces  ", "Zoë 🐝 \"Ω\"\n\t\\", "", "null", long.as_str()] {
            let code = workspace.create(on_lock(&workspace, 0, json!({ "name": name }))).await;
            assert_eq!(code["name"], name);
            assert_eq!(workspace.access_code(&code["access_code_id"]).await["name"], name);
        }
        assert_eq!(workspace.create(on_lock(&workspace, 0, json!({}))).await["name"], Value::Null);
    });
}

#[test]
fn text_with_a_nul_character_is_rejected() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for name in ["name", "common_code_key"] {
            let reply = workspace.post(CREATE, on_lock(&workspace, 0, json!({ name: "a\u{0}b" }))).await;
            assert_eq!(reply.invalid(name).len(), 1);
        }
        assert_eq!(rows(&workspace).await, [0; 4]);
    });
}

#[test]
fn custom_code_has_four_to_twelve_ascii_digits() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        for code in ["0000", "123456789012"] {
            assert_eq!(workspace.create(on_lock(&workspace, 0, json!({ "code": code }))).await["code"], code);
        }
        let before = rows(&workspace).await;
        for code in ["", "123", "1234567890123", "12a4", "12 45", "+1234", "1234\n", "١٢٣٤", "１２３４", "-123"]
        {
            assert!(
                !workspace
                    .post(CREATE, on_lock(&workspace, 0, json!({ "code": code })))
                    .await
                    .invalid("code")
                    .is_empty(),
                "{code}"
            );
        }
        let number = workspace.post(CREATE, on_lock(&workspace, 0, json!({ "code": 1234 }))).await.invalid("code");
        assert_eq!(number, ["Expected string, received number"]);
        assert_eq!(rows(&workspace).await, before);
    });
}

#[test]
fn generated_pin_has_the_preferred_length_or_the_shortest_the_lock_takes() {
    run(async {
        let locks =
            json!([{ "device_type": "august_lock" }, { "device_type": "wyze_lock", "supported_code_lengths": [8, 6] }]);
        let workspace = TestWorkspace::with(locks).await;
        for (lock, preferred, length) in [
            (0, json!(null), 4),
            (0, json!(4), 4),
            (0, json!(8), 8),
            (0, json!(6.0), 6),
            (0, json!(9), 4),
            (0, json!(3), 4),
            (0, json!(5.5), 4),
            (0, json!(-6), 4),
            (0, json!(1e300), 4),
            (1, json!(null), 6),
            (1, json!(8), 8),
            (1, json!(7), 6),
            (1, json!(12), 6),
        ] {
            let mut params = on_lock(&workspace, lock, json!({}));
            if !preferred.is_null() {
                params["preferred_code_length"] = preferred.clone();
            }
            assert_eq!(pin(&workspace.create(params).await).len(), length, "lock {lock} prefers {preferred}");
        }
        let given = json!({ "code": "48261", "preferred_code_length": 8 });
        assert_eq!(
            workspace.create(on_lock(&workspace, 0, given)).await["code"],
            "48261",
            "the preferred length has no effect on a given PIN"
        );
    });
}

#[test]
fn external_modification_is_allowed_under_either_name_if_both_agree() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for (params, allowed) in [
            (json!({ "is_external_modification_allowed": true }), true),
            (json!({ "allow_external_modification": true }), true),
            (json!({ "allow_external_modification": false }), false),
            (json!({ "is_external_modification_allowed": true, "allow_external_modification": true }), true),
            (json!({ "is_external_modification_allowed": false, "allow_external_modification": false }), false),
        ] {
            let code = workspace.create(on_lock(&workspace, 0, params)).await;
            assert_eq!(code["is_external_modification_allowed"], allowed);
        }
        let before = rows(&workspace).await;
        let contradictory = json!({ "is_external_modification_allowed": true, "allow_external_modification": false });
        let error = workspace.post(CREATE, on_lock(&workspace, 0, contradictory)).await.error(400, "invalid_input");
        let message = error["message"].as_str().unwrap();
        for name in ["is_external_modification_allowed", "allow_external_modification"] {
            assert!(message.split(' ').any(|word| word == name), "{message}");
        }
        assert_eq!(rows(&workspace).await, before);
    });
}

#[test]
fn sync_create_responds_with_the_finished_attempt() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = workspace.post(CREATE, on_lock(&workspace, 0, json!({ "sync": true }))).await.ok();
        assert_eq!(created["access_code"]["status"], "set");
        assert_eq!(created["action_attempt"]["status"], "success");
        assert_eq!(created["action_attempt"]["result"]["access_code"], created["access_code"]);
        let later = json!({ "starts_at": "2026-06-01T00:00:00Z", "ends_at": "2026-06-02T00:00:00Z", "sync": true });
        let created = workspace.post(CREATE, on_lock(&workspace, 0, later)).await.ok();
        assert_eq!(created["access_code"]["status"], "unset");
        assert_eq!(created["action_attempt"]["status"], "success", "success as soon as the deferred code is accepted");
        assert_eq!(created["action_attempt"]["result"]["access_code"], created["access_code"]);
    });
}

#[test]
fn create_on_an_offline_lock_waits_unless_the_request_forbids_it() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "august_lock", "online": false }])).await;
        let refused =
            on_lock(&workspace, 0, json!({ "attempt_for_offline_device": false, "common_code_key": "guests" }));
        let error = workspace.post(CREATE, refused).await.error(400, "device_offline");
        assert_eq!(error["data"], json!({ "device_id": workspace.lock(0) }));
        assert_eq!(rows(&workspace).await, [0; 4]);

        let code = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        assert_eq!(code["status"], "setting");
        assert_eq!(code["errors"][0]["error_code"], "device_disconnected");
        assert_eq!(code["errors"][0]["is_device_error"], true);
        workspace.advance("PT2H").await;
        assert_eq!(workspace.access_code(&code["access_code_id"]).await["status"], "setting");
        let online = json!({ "device_id": workspace.lock(0), "online": true });
        workspace.post("/_emulator/devices/update", online).await.ok();
        workspace.advance("PT0.25S").await;
        let set = workspace.access_code(&code["access_code_id"]).await;
        assert_eq!((&set["status"], &set["errors"]), (&json!("set"), &json!([])));
    });
}

#[test]
fn create_rejects_unsupported_options_only_if_they_are_true() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock", "supports_backup_access_code_pool": false }]))
                .await;
        let window = json!({ "starts_at": "2026-04-01T00:00:00Z", "ends_at": "2026-04-02T00:00:00Z" });
        let switches =
            ["is_offline_access_code", "use_offline_access_code", "is_one_time_use", "use_backup_access_code_pool"];
        for name in switches {
            let mut params = on_lock(&workspace, 0, window.clone());
            params[name] = json!(true);
            workspace.post(CREATE, params).await.error(400, "invalid_input");
        }
        assert_eq!(rows(&workspace).await, [0; 4]);
        let mut disabled = on_lock(&workspace, 0, window);
        for name in switches {
            disabled[name] = json!(false);
        }
        disabled["no_such_parameter"] = json!({ "is": "ignored" });
        workspace.post(CREATE, disabled).await.ok();
    });
}

#[test]
fn create_does_not_find_unknown_locks_or_those_of_other_workspaces() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        for device_id in [UNKNOWN.to_owned(), other.lock(0)] {
            let params = json!({ "device_id": device_id, "common_code_key": "guests" });
            let error = workspace.post(CREATE, params).await.error(404, "device_not_found");
            assert_eq!(error["message"], "Device not found");
        }
        assert_eq!(workspace.post(CREATE, json!({})).await.invalid("device_id"), ["Required"]);
        assert_eq!(
            workspace.post(CREATE, json!({ "device_id": "front" })).await.invalid("device_id"),
            ["Invalid uuid"]
        );
        assert_eq!((rows(&workspace).await, rows(&other).await), ([0; 4], [0; 4]));
    });
}

#[test]
fn timestamps_are_read_in_the_formats_that_clients_send() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "smartthings_lock" }])).await;
        for (written, read) in [
            ("2026-03-05T15:00:00Z", "2026-03-05T15:00:00.000Z"),
            // From Python: `str()` of a datetime with a zone, and `isoformat()` of datetimes without one.
            ("2026-03-05 15:00:00+00:00", "2026-03-05T15:00:00.000Z"),
            ("2026-03-05T15:00:00", "2026-03-05T15:00:00.000Z"),
            ("2026-03-05T15:00:00.123456", "2026-03-05T15:00:00.123Z"),
            ("2026-03-05t15:00z", "2026-03-05T15:00:00.000Z"),
            ("2026-03-05T15:00:00+0200", "2026-03-05T13:00:00.000Z"),
            ("2026-03-05", "2026-03-05T00:00:00.000Z"),
            ("3001-01-01", "3001-01-01T00:00:00.000Z"),
        ] {
            let window = json!({ "starts_at": written, "ends_at": "3001-02-01" });
            let code = workspace.create(on_lock(&workspace, 0, window)).await;
            assert_eq!((&code["starts_at"], &code["ends_at"]), (&json!(read), &json!("3001-02-01T00:00:00.000Z")));
            let update = json!({ "access_code_id": code["access_code_id"], "ends_at": "3001-03-01 00:00:00" });
            workspace.post("/access_codes/update", update).await.ok();
            assert_eq!(workspace.access_code(&code["access_code_id"]).await["ends_at"], "3001-03-01T00:00:00.000Z");
            let events = workspace.post("/events/list", json!({ "since": written })).await.ok();
            assert_eq!(events["events"], json!([]), "no events after {written}");
            workspace.post("/events/list", json!({ "between": [written, "3001-01-02"] })).await.ok();
            workspace.post("/devices/list", json!({ "created_before": written })).await.ok();
            let query = written.replace('+', "%2B").replace(' ', "%20");
            workspace.get(&format!("/events/list?since={query}")).await.ok();
        }
        let since = json!({ "since": "2026-03-02 11:59:59" });
        assert!(!workspace.post("/events/list", since).await.ok()["events"].as_array().unwrap().is_empty());
    });
}
