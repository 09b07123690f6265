//! Connections: locks, hubs and accounts that are disconnected and reconnected.

use super::{
    DAY, HOUR, after, change, delete, device, events, events_of_type, issue_codes, memory, move_clock_to, state_of,
    update, window,
};
use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

async fn simulate(workspace: &TestWorkspace, action: &str, index: usize) {
    workspace.post(&format!("/devices/simulate/{action}"), json!({ "device_id": workspace.lock(index) })).await.ok();
}

async fn disconnect_account(workspace: &TestWorkspace, index: usize) {
    let account = json!({ "connected_account_id": workspace.devices[index]["connected_account_id"] });
    workspace.post("/connected_accounts/simulate/disconnect", account).await.ok();
}

/// Returns the expected `errors` with an error of a device. The message is that of the actual errors, `shown`.
fn device_errors(shown: &Value, error_code: &str, created_at: i64) -> Value {
    json!([{ "error_code": error_code, "message": shown[0]["message"], "created_at": after(created_at),
             "is_device_error": true }])
}

/// Returns the expected `errors` of a device with an error of its account. The message is that of the actual errors,
/// `shown`.
fn account_errors(shown: &Value, error_code: &str, created_at: i64) -> Value {
    json!([{ "error_code": error_code, "message": shown[0]["message"], "created_at": after(created_at),
             "is_device_error": false, "is_connected_account_error": true }])
}

#[test]
fn disconnected_lock_has_an_error_like_its_codes_and_accepts_new_codes() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let before = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let elsewhere = workspace.create(json!({ "device_id": workspace.lock(1) })).await;
        move_clock_to(&workspace, 1000).await;
        simulate(&workspace, "disconnect", 0).await;
        move_clock_to(&workspace, 2000).await;
        simulate(&workspace, "disconnect", 0).await;
        let offline = device(&workspace, 0).await;
        let error = device_errors(&offline["errors"], "device_disconnected", 1000);
        assert!(!error[0]["message"].as_str().unwrap().is_empty());
        assert_eq!((&offline["errors"], &offline["properties"]["online"]), (&error, &json!(false)));
        assert_eq!(offline["can_program_online_access_codes"], true);
        let other = device(&workspace, 1).await;
        assert_eq!((&other["errors"], &other["properties"]["online"]), (&json!([]), &json!(true)));
        let code = workspace.access_code(&before["access_code_id"]).await;
        assert_eq!((&code["errors"], &code["status"]), (&error, &json!("set")));
        assert_eq!(workspace.access_code(&elsewhere["access_code_id"]).await["errors"], json!([]));

        let ongoing = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let deferred = workspace.create(window(&workspace, 0, 10 * DAY, 11 * DAY)).await;
        assert_eq!((&ongoing["errors"], &deferred["errors"]), (&error, &error));
        move_clock_to(&workspace, HOUR).await;
        assert_eq!(state_of(&workspace, &ongoing["access_code_id"]).await, "setting creating device_disconnected");
        assert_eq!(
            state_of(&workspace, &deferred["access_code_id"]).await,
            "unset deferring_creation device_disconnected"
        );

        simulate(&workspace, "connect", 0).await;
        simulate(&workspace, "connect", 0).await;
        let online = device(&workspace, 0).await;
        assert_eq!((&online["errors"], &online["properties"]["online"]), (&json!([]), &json!(true)));
        move_clock_to(&workspace, HOUR + 249).await;
        assert_eq!(state_of(&workspace, &ongoing["access_code_id"]).await, "setting creating");
        move_clock_to(&workspace, HOUR + 250).await;
        assert_eq!(state_of(&workspace, &ongoing["access_code_id"]).await, "set");
        assert_eq!(state_of(&workspace, &deferred["access_code_id"]).await, "unset deferring_creation");

        let disconnected = events_of_type(&workspace, "device.disconnected").await;
        assert_eq!(disconnected.len(), 1, "the second request changes nothing: {disconnected:?}");
        let event = &disconnected[0];
        assert_eq!((&event["error_code"], &event["occurred_at"]), (&json!("device_disconnected"), &json!(after(1000))));
        assert_eq!(event["device_id"], json!(workspace.lock(0)));
        let brief = json!([{ "error_code": "device_disconnected", "message": error[0]["message"],
                             "created_at": after(1000) }]);
        assert_eq!(event["device_errors"], brief);
        for empty in ["device_warnings", "connected_account_errors", "connected_account_warnings"] {
            assert_eq!(event[empty], json!([]), "{empty}");
        }
        let connected = events_of_type(&workspace, "device.connected").await;
        assert_eq!(connected.len(), 1);
        assert_eq!(
            (&connected[0]["device_id"], &connected[0]["occurred_at"]),
            (&json!(workspace.lock(0)), &json!(after(HOUR)))
        );
    });
}

#[test]
fn lock_disconnected_from_its_hub_has_an_error_until_it_is_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let id = &workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"];
        simulate(&workspace, "disconnect_from_hub", 0).await;
        simulate(&workspace, "disconnect_from_hub", 0).await;
        let cut_off = device(&workspace, 0).await;
        let error = device_errors(&cut_off["errors"], "hub_disconnected", 0);
        assert_eq!((&cut_off["errors"], &cut_off["properties"]["online"]), (&error, &json!(false)));
        assert_eq!(workspace.access_code(id).await["errors"], error);
        move_clock_to(&workspace, 1000).await;
        assert_eq!(state_of(&workspace, id).await, "setting creating hub_disconnected");

        // With both causes, the lock is reachable again only when both are gone.
        simulate(&workspace, "disconnect", 0).await;
        let codes_errors = workspace.access_code(id).await["errors"].clone();
        assert_eq!(issue_codes(&codes_errors), ["device_disconnected", "hub_disconnected"]);
        simulate(&workspace, "connect", 0).await;
        let half = device(&workspace, 0).await;
        assert_eq!(
            (issue_codes(&half["errors"]), &half["properties"]["online"]),
            (vec!["hub_disconnected"], &json!(false))
        );
        move_clock_to(&workspace, 2000).await;
        assert_eq!(state_of(&workspace, id).await, "setting creating hub_disconnected");
        simulate(&workspace, "connect_to_hub", 0).await;
        let back = device(&workspace, 0).await;
        assert_eq!((&back["errors"], &back["properties"]["online"]), (&json!([]), &json!(true)));
        move_clock_to(&workspace, 2250).await;
        assert_eq!(state_of(&workspace, id).await, "set");
        let (disconnected, connected) = (
            events_of_type(&workspace, "device.disconnected").await,
            events_of_type(&workspace, "device.connected").await,
        );
        assert_eq!((disconnected.len(), connected.len()), (1, 1));
        assert_eq!(disconnected[0]["error_code"], "hub_disconnected");
        assert_eq!(issue_codes(&disconnected[0]["device_errors"]), ["hub_disconnected"]);
        assert_eq!(connected[0]["occurred_at"], after(2000));
    });
}

#[test]
fn queued_operations_run_removals_first_once_the_lock_is_back() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        let code = |pin: &str| json!({ "device_id": workspace.lock(0), "code": pin, "name": pin });
        let updated = workspace.create(code("4444")).await["access_code_id"].clone();
        let deleted = workspace.create(code("5555")).await["access_code_id"].clone();
        move_clock_to(&workspace, 1000).await;
        change(&workspace, 0, json!({ "online": false })).await;
        let mut created = Vec::new();
        for pin in ["1111", "2222", "3333"] {
            created.push(workspace.create(code(pin)).await["access_code_id"].clone());
        }
        update(&workspace, &updated, json!({ "name": "four" })).await;
        delete(&workspace, &deleted).await;
        move_clock_to(&workspace, HOUR).await;
        let held = |pin: &str, name: &str| (pin.to_owned(), Some(name.to_owned()));
        assert_eq!(memory(&workspace, 0).await, [held("4444", "4444"), held("5555", "5555")]);
        change(&workspace, 0, json!({ "online": true })).await;
        move_clock_to(&workspace, HOUR + 249).await;
        assert_eq!(
            memory(&workspace, 0).await,
            [held("4444", "4444"), held("5555", "5555")],
            "unchanged until the operations are finished"
        );
        move_clock_to(&workspace, HOUR + 250).await;
        let since = json!({ "since": after(HOUR), "device_id": workspace.lock(0) });
        let listed = workspace.post("/events/list", since).await.ok();
        let done: Vec<(&Value, &str)> = listed["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["occurred_at"] == after(HOUR + 250))
            .map(|event| (&event["access_code_id"], event["event_type"].as_str().unwrap()))
            .collect();
        let expected = [
            (&deleted, "access_code.removed_from_device"),
            (&deleted, "access_code.deleted"),
            (&updated, "access_code.changed"),
            (&updated, "access_code.name_changed"),
            (&created[0], "access_code.set_on_device"),
            (&created[1], "access_code.set_on_device"),
            (&created[2], "access_code.set_on_device"),
        ];
        assert_eq!(done, expected);
        let params = [("4444", "four"), ("1111", "1111"), ("2222", "2222"), ("3333", "3333")];
        assert_eq!(memory(&workspace, 0).await, params.map(|(pin, name)| held(pin, name)));
        for id in created.iter().chain([&updated]) {
            assert_eq!(state_of(&workspace, id).await, "set");
        }
        assert_eq!(state_of(&workspace, &deleted).await, "gone");
    });
}

#[test]
fn lock_removed_at_the_provider_has_an_error_like_its_codes() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let held = workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"].clone();
        move_clock_to(&workspace, 1000).await;
        let waiting = workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"].clone();
        simulate(&workspace, "remove", 0).await;
        simulate(&workspace, "remove", 0).await;
        let removed = device(&workspace, 0).await;
        let error = device_errors(&removed["errors"], "device_removed", 1000);
        assert_eq!((&removed["errors"], &removed["properties"]["online"]), (&error, &json!(false)));
        for id in [&held, &waiting] {
            assert_eq!(workspace.access_code(id).await["errors"], error);
        }
        let removals = events_of_type(&workspace, "device.removed").await;
        assert_eq!(removals.len(), 1);
        assert_eq!(
            (&removals[0]["device_id"], &removals[0]["occurred_at"]),
            (&json!(workspace.lock(0)), &json!(after(1000)))
        );
        workspace
            .post("/access_codes/create", json!({ "device_id": workspace.lock(0) }))
            .await
            .error(400, "device_removed");
        // A removed lock is in no account, so connecting it has no effect.
        simulate(&workspace, "connect", 0).await;
        move_clock_to(&workspace, DAY).await;
        assert_eq!(state_of(&workspace, &waiting).await, "setting creating device_removed");
        assert_eq!(state_of(&workspace, &held).await, "set device_removed");

        assert_eq!(change(&workspace, 0, json!({ "removed": false })).await["errors"], json!([]));
        assert_eq!(events_of_type(&workspace, "device.added").await.len(), 2, "at the start, and now");
        move_clock_to(&workspace, DAY + 250).await;
        assert_eq!(state_of(&workspace, &waiting).await, "set");
        assert_eq!(
            events(&workspace, &waiting).await,
            ["created@1000".to_owned(), format!("set_on_device@{}", DAY + 250)]
        );
    });
}

#[test]
fn codes_of_a_disconnected_account_are_unknown_until_it_is_reconnected() {
    run(async {
        let workspace = TestWorkspace::with(json!([
            { "device_type": "august_lock" },
            { "device_type": "august_lock" },
            { "device_type": "yale_lock" },
        ]))
        .await;
        let lock = |index: usize| json!({ "device_id": workspace.lock(index) });
        let owner = &workspace;
        let create_code = async |params: Value| owner.create(params).await["access_code_id"].clone();
        let mut near = window(&workspace, 0, 2 * HOUR, 3 * DAY);
        near["prefer_native_scheduling"] = json!(false);
        let (set, removing) = (create_code(lock(0)).await, create_code(lock(1)).await);
        let (ends, far) = (
            create_code(window(&workspace, 0, -HOUR, 3 * HOUR)).await,
            create_code(window(&workspace, 0, 10 * DAY, 11 * DAY)).await,
        );
        let (begins, elsewhere) = (create_code(near).await, create_code(lock(2)).await);
        move_clock_to(&workspace, 1000).await;
        let setting = create_code(lock(1)).await;
        delete(&workspace, &removing).await;
        disconnect_account(&workspace, 0).await;
        disconnect_account(&workspace, 1).await;

        let error = account_errors(&device(&workspace, 0).await["errors"], "account_disconnected", 1000);
        let account_codes = [&set, &removing, &ends, &far, &begins, &setting];
        for at in [1000, DAY] {
            move_clock_to(&workspace, at).await;
            for index in [0, 1] {
                let device = device(&workspace, index).await;
                assert_eq!((&device["errors"], &device["properties"]["online"]), (&error, &json!(false)));
            }
            for id in account_codes {
                let code = workspace.access_code(id).await;
                let errors = code["errors"].as_array().unwrap();
                let inherited: Vec<_> = errors.iter().filter(|error| error["is_access_code_error"] != true).collect();
                assert_eq!((inherited, &code["status"]), (vec![&error[0]], &json!("unknown")), "at {at}: {code}");
            }
            let code = workspace.access_code(&elsewhere).await;
            assert_eq!((&code["errors"], &code["status"]), (&json!([]), &json!("set")));
            assert_eq!(device(&workspace, 2).await["errors"], json!([]));
        }
        assert_eq!(events(&workspace, &setting).await, ["created@1000"], "nothing is programmed");
        assert_eq!(events(&workspace, &begins).await, ["created@0"]);

        assert_eq!(change(&workspace, 0, json!({ "account_connected": true })).await["errors"], json!([]));
        change(&workspace, 1, json!({ "account_connected": true })).await;
        let expected_states = [
            (&set, "set", "set"),
            (&setting, "setting creating", "set"),
            (&far, "unset deferring_creation", "unset deferring_creation"),
            (&begins, "setting creating", "set"),
        ];
        for (id, immediately, _) in expected_states {
            assert_eq!(state_of(&workspace, id).await, immediately);
        }
        for id in [&removing, &ends] {
            let immediately = "removing deleting failed_to_remove_from_device being_deleted";
            assert_eq!(state_of(&workspace, id).await, immediately);
        }
        move_clock_to(&workspace, DAY + 250).await;
        for (id, _, later) in expected_states.into_iter().chain([(&removing, "", "gone"), (&ends, "", "gone")]) {
            assert_eq!(state_of(&workspace, id).await, later);
        }

        let account = &workspace.devices[0]["connected_account_id"];
        let gone = events_of_type(&workspace, "connected_account.disconnected").await;
        assert_eq!(gone.len(), 1, "one event for one disconnection");
        assert_eq!((&gone[0]["connected_account_id"], &gone[0]["occurred_at"]), (account, &json!(after(1000))));
        assert_eq!(issue_codes(&gone[0]["connected_account_errors"]), ["account_disconnected"]);
        assert_eq!(gone[0]["connected_account_warnings"], json!([]));
        let back = events_of_type(&workspace, "connected_account.completed_first_sync_after_reconnection").await;
        assert_eq!(back.len(), 1);
        assert_eq!((&back[0]["connected_account_id"], &back[0]["occurred_at"]), (account, &json!(after(DAY))));
        let offline = events_of_type(&workspace, "device.disconnected").await;
        let offline: Vec<_> = offline
            .iter()
            .map(|event| (&event["error_code"], issue_codes(&event["connected_account_errors"])))
            .collect();
        let account_error = || (json!("account_disconnected"), vec!["account_disconnected"]);
        let expected = [account_error(), account_error()];
        assert_eq!(offline, expected.iter().map(|(code, errors)| (code, errors.clone())).collect::<Vec<_>>());

        let unknown = json!({ "connected_account_id": UNKNOWN });
        let refused = workspace.post("/connected_accounts/simulate/disconnect", unknown).await;
        refused.error(404, "connected_account_not_found");
    });
}

#[test]
fn device_and_account_errors_are_shown_on_the_codes_of_the_device() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let managed =
            workspace.create(json!({ "device_id": workspace.lock(0), "code": "1357" })).await["access_code_id"].clone();
        let unmanaged = json!({ "device_id": workspace.lock(0), "code": "2468" });
        let unmanaged =
            workspace.post("/_emulator/locks/add_code", unmanaged).await.ok()["access_code"]["access_code_id"].clone();
        let device_marks = json!({ "is_device_error": true });
        let account_marks = json!({ "is_connected_account_error": true, "is_device_error": false });
        let bridge_marks = json!({ "is_bridge_error": true });
        let cases = [
            ("device_offline", &device_marks),
            ("august_lock_not_authorized", &device_marks),
            ("missing_device_credentials", &device_marks),
            ("subscription_required", &device_marks),
            ("auxiliary_heat_running", &device_marks),
            ("salto_ks_subscription_limit_exceeded", &account_marks),
            ("insufficient_permissions", &account_marks),
            ("dormakaba_sites_disconnected", &account_marks),
            ("bridge_disconnected", &bridge_marks),
        ];
        for (number, (error_code, marks)) in (1..).zip(cases) {
            move_clock_to(&workspace, 1000 * number).await;
            let changes = json!({ "errors": [{ "error_code": error_code, "message": "as told" }] });
            let shown = change(&workspace, 0, changes).await["errors"].clone();
            let mut expected = json!([{ "error_code": error_code, "message": "as told",
                                        "created_at": after(1000 * number) }]);
            expected[0].as_object_mut().unwrap().extend(marks.as_object().unwrap().clone());
            assert_eq!(shown, expected);
            assert_eq!(device(&workspace, 0).await["errors"], expected);
            for (path, id) in [("/access_codes/get", &managed), ("/access_codes/unmanaged/get", &unmanaged)] {
                let code = workspace.post(path, json!({ "access_code_id": id })).await.ok()["access_code"].clone();
                assert_eq!((&code["errors"], &code["status"]), (&expected, &json!("set")), "{path}");
            }
            change(&workspace, 0, json!({ "errors": [] })).await;
            assert_eq!(device(&workspace, 0).await["errors"], json!([]));
            assert_eq!(workspace.access_code(&managed).await["errors"], json!([]));
        }
    });
}

#[test]
fn failed_operation_is_retried_at_once_when_the_connection_is_back() {
    run(async {
        for (disconnect, reconnect) in [
            (json!({ "online": false }), json!({ "online": true })),
            (json!({ "hub_connected": false }), json!({ "hub_connected": true })),
            (json!({ "account_connected": false }), json!({ "account_connected": true })),
            (json!(null), json!(null)),
        ] {
            let workspace = TestWorkspace::with_locks(1).await;
            let fault = json!({ "operation": "set", "outcome": { "fail": {} }, "times": 3 });
            super::create_fault(&workspace, fault).await;
            let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"].clone();
            // The third attempt has failed; the next would be forty seconds later.
            move_clock_to(&workspace, 31_000).await;
            assert_eq!(super::fault_uses(&workspace).await, [3]);
            if disconnect.is_null() {
                simulate(&workspace, "disconnect", 0).await;
                simulate(&workspace, "connect", 0).await;
            } else {
                change(&workspace, 0, disconnect).await;
                change(&workspace, 0, reconnect).await;
            }
            move_clock_to(&workspace, 31_250).await;
            assert_eq!(state_of(&workspace, &code).await, "set");
        }
    });
}

#[test]
fn updates_and_deletes_on_a_removed_lock_wait_until_it_is_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({ "device_id": workspace.lock(0) });
        let [one, other] = [workspace.create(params.clone()).await, workspace.create(params).await];
        let [one, other] = [&one["access_code_id"], &other["access_code_id"]];
        move_clock_to(&workspace, 1000).await;
        simulate(&workspace, "remove", 0).await;
        update(&workspace, one, json!({ "name": "later", "sync": true })).await;
        let deleted = json!({ "access_code_id": other, "sync": true });
        let attempt = workspace.post("/access_codes/delete", deleted).await.ok()["action_attempt"].clone();
        assert_eq!(attempt["status"], "pending");
        move_clock_to(&workspace, DAY).await;
        assert_eq!(state_of(&workspace, one).await, "set updating_name device_removed");
        let removing = "removing deleting failed_to_remove_from_device device_removed being_deleted";
        assert_eq!(state_of(&workspace, other).await, removing);
        change(&workspace, 0, json!({ "removed": false })).await;
        move_clock_to(&workspace, DAY + 250).await;
        assert_eq!(
            (state_of(&workspace, one).await, state_of(&workspace, other).await),
            ("set".to_owned(), "gone".to_owned())
        );
    });
}
