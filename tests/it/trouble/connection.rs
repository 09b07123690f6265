//! Locks, bridges and accounts that come and go.

use super::{DAY, HOUR, after, change, delete, device, events, go_to, kinds, memory, seen, told, update, window};
use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

async fn simulate(workspace: &TestWorkspace, what: &str, index: usize) {
    workspace.post(&format!("/devices/simulate/{what}"), json!({ "device_id": workspace.lock(index) })).await.ok();
}

async fn disconnect_account(workspace: &TestWorkspace, index: usize) {
    let account = json!({ "connected_account_id": workspace.devices[index]["connected_account_id"] });
    workspace.post("/connected_accounts/simulate/disconnect", account).await.ok();
}

/// An error of a device as it is shown; its message is taken from what is there.
fn of_device(shown: &Value, error_code: &str, created_at: i64) -> Value {
    json!([{ "error_code": error_code, "message": shown[0]["message"], "created_at": after(created_at),
             "is_device_error": true }])
}

/// The same of its account.
fn of_account(shown: &Value, error_code: &str, created_at: i64) -> Value {
    json!([{ "error_code": error_code, "message": shown[0]["message"], "created_at": after(created_at),
             "is_device_error": false, "is_connected_account_error": true }])
}

#[test]
fn a_disconnected_lock_says_so_with_its_codes_and_takes_codes_for_later() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let before = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let elsewhere = workspace.create(json!({ "device_id": workspace.lock(1) })).await;
        go_to(&workspace, 1000).await;
        simulate(&workspace, "disconnect", 0).await;
        go_to(&workspace, 2000).await;
        simulate(&workspace, "disconnect", 0).await;
        let offline = device(&workspace, 0).await;
        let error = of_device(&offline["errors"], "device_disconnected", 1000);
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
        go_to(&workspace, HOUR).await;
        assert_eq!(seen(&workspace, &ongoing["access_code_id"]).await, "setting creating device_disconnected");
        assert_eq!(seen(&workspace, &deferred["access_code_id"]).await, "unset deferring_creation device_disconnected");

        simulate(&workspace, "connect", 0).await;
        simulate(&workspace, "connect", 0).await;
        let online = device(&workspace, 0).await;
        assert_eq!((&online["errors"], &online["properties"]["online"]), (&json!([]), &json!(true)));
        go_to(&workspace, HOUR + 249).await;
        assert_eq!(seen(&workspace, &ongoing["access_code_id"]).await, "setting creating");
        go_to(&workspace, HOUR + 250).await;
        assert_eq!(seen(&workspace, &ongoing["access_code_id"]).await, "set");
        assert_eq!(seen(&workspace, &deferred["access_code_id"]).await, "unset deferring_creation");

        let disconnected = told(&workspace, "device.disconnected").await;
        assert_eq!(disconnected.len(), 1, "the second time nothing changed: {disconnected:?}");
        let event = &disconnected[0];
        assert_eq!((&event["error_code"], &event["occurred_at"]), (&json!("device_disconnected"), &json!(after(1000))));
        assert_eq!(event["device_id"], json!(workspace.lock(0)));
        let brief = json!([{ "error_code": "device_disconnected", "message": error[0]["message"],
                             "created_at": after(1000) }]);
        assert_eq!(event["device_errors"], brief);
        for empty in ["device_warnings", "connected_account_errors", "connected_account_warnings"] {
            assert_eq!(event[empty], json!([]), "{empty}");
        }
        let connected = told(&workspace, "device.connected").await;
        assert_eq!(connected.len(), 1);
        assert_eq!(
            (&connected[0]["device_id"], &connected[0]["occurred_at"]),
            (&json!(workspace.lock(0)), &json!(after(HOUR)))
        );
    });
}

#[test]
fn a_lock_cut_off_from_its_hub_says_so_until_it_is_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let id = &workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"];
        simulate(&workspace, "disconnect_from_hub", 0).await;
        simulate(&workspace, "disconnect_from_hub", 0).await;
        let cut_off = device(&workspace, 0).await;
        let error = of_device(&cut_off["errors"], "hub_disconnected", 0);
        assert_eq!((&cut_off["errors"], &cut_off["properties"]["online"]), (&error, &json!(false)));
        assert_eq!(workspace.access_code(id).await["errors"], error);
        go_to(&workspace, 1000).await;
        assert_eq!(seen(&workspace, id).await, "setting creating hub_disconnected");

        // Both causes at once: the lock is back when both are gone.
        simulate(&workspace, "disconnect", 0).await;
        let codes_errors = workspace.access_code(id).await["errors"].clone();
        assert_eq!(kinds(&codes_errors), ["device_disconnected", "hub_disconnected"]);
        simulate(&workspace, "connect", 0).await;
        let half = device(&workspace, 0).await;
        assert_eq!((kinds(&half["errors"]), &half["properties"]["online"]), (vec!["hub_disconnected"], &json!(false)));
        go_to(&workspace, 2000).await;
        assert_eq!(seen(&workspace, id).await, "setting creating hub_disconnected");
        simulate(&workspace, "connect_to_hub", 0).await;
        let back = device(&workspace, 0).await;
        assert_eq!((&back["errors"], &back["properties"]["online"]), (&json!([]), &json!(true)));
        go_to(&workspace, 2250).await;
        assert_eq!(seen(&workspace, id).await, "set");
        let (disconnected, connected) =
            (told(&workspace, "device.disconnected").await, told(&workspace, "device.connected").await);
        assert_eq!((disconnected.len(), connected.len()), (1, 1));
        assert_eq!(disconnected[0]["error_code"], "hub_disconnected");
        assert_eq!(kinds(&disconnected[0]["device_errors"]), ["hub_disconnected"]);
        assert_eq!(connected[0]["occurred_at"], after(2000));
    });
}

#[test]
fn queued_work_is_done_in_order_when_a_lock_is_back_and_removals_first() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "wyze_lock" }])).await;
        let code = |pin: &str| json!({ "device_id": workspace.lock(0), "code": pin, "name": pin });
        let updated = workspace.create(code("4444")).await["access_code_id"].clone();
        let deleted = workspace.create(code("5555")).await["access_code_id"].clone();
        go_to(&workspace, 1000).await;
        simulate(&workspace, "disconnect", 0).await;
        let mut made = Vec::new();
        for pin in ["1111", "2222", "3333"] {
            made.push(workspace.create(code(pin)).await["access_code_id"].clone());
        }
        update(&workspace, &updated, json!({ "name": "four" })).await;
        delete(&workspace, &deleted).await;
        go_to(&workspace, HOUR).await;
        let held = |pin: &str, name: &str| (pin.to_owned(), Some(name.to_owned()));
        assert_eq!(memory(&workspace, 0).await, [held("4444", "4444"), held("5555", "5555")]);
        simulate(&workspace, "connect", 0).await;
        go_to(&workspace, HOUR + 249).await;
        assert_eq!(
            memory(&workspace, 0).await,
            [held("4444", "4444"), held("5555", "5555")],
            "all of it takes its time"
        );
        go_to(&workspace, HOUR + 250).await;
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
            (&made[0], "access_code.set_on_device"),
            (&made[1], "access_code.set_on_device"),
            (&made[2], "access_code.set_on_device"),
        ];
        assert_eq!(done, expected);
        let params = [("4444", "four"), ("1111", "1111"), ("2222", "2222"), ("3333", "3333")];
        assert_eq!(memory(&workspace, 0).await, params.map(|(pin, name)| held(pin, name)));
        for id in made.iter().chain([&updated]) {
            assert_eq!(seen(&workspace, id).await, "set");
        }
        assert_eq!(seen(&workspace, &deleted).await, "gone");
    });
}

#[test]
fn a_lock_removed_at_its_provider_says_so_with_its_codes() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let held = workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"].clone();
        go_to(&workspace, 1000).await;
        let waiting = workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"].clone();
        simulate(&workspace, "remove", 0).await;
        simulate(&workspace, "remove", 0).await;
        let removed = device(&workspace, 0).await;
        let error = of_device(&removed["errors"], "device_removed", 1000);
        assert_eq!((&removed["errors"], &removed["properties"]["online"]), (&error, &json!(false)));
        for id in [&held, &waiting] {
            assert_eq!(workspace.access_code(id).await["errors"], error);
        }
        let told_of = told(&workspace, "device.removed").await;
        assert_eq!(told_of.len(), 1);
        assert_eq!(
            (&told_of[0]["device_id"], &told_of[0]["occurred_at"]),
            (&json!(workspace.lock(0)), &json!(after(1000)))
        );
        workspace
            .post("/access_codes/create", json!({ "device_id": workspace.lock(0) }))
            .await
            .error(400, "device_removed");
        // It is in no account, whether it has power or not.
        simulate(&workspace, "connect", 0).await;
        go_to(&workspace, DAY).await;
        assert_eq!(seen(&workspace, &waiting).await, "setting creating device_removed");
        assert_eq!(seen(&workspace, &held).await, "set device_removed");

        assert_eq!(change(&workspace, 0, json!({ "removed": false })).await["errors"], json!([]));
        assert_eq!(told(&workspace, "device.added").await.len(), 1);
        go_to(&workspace, DAY + 250).await;
        assert_eq!(seen(&workspace, &waiting).await, "set");
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
        let here = &workspace;
        let make = async |params: Value| here.create(params).await["access_code_id"].clone();
        let mut near = window(&workspace, 0, 2 * HOUR, 3 * DAY);
        near["prefer_native_scheduling"] = json!(false);
        let (set, removing) = (make(lock(0)).await, make(lock(1)).await);
        let (ends, far) =
            (make(window(&workspace, 0, -HOUR, 3 * HOUR)).await, make(window(&workspace, 0, 10 * DAY, 11 * DAY)).await);
        let (begins, elsewhere) = (make(near).await, make(lock(2)).await);
        go_to(&workspace, 1000).await;
        let setting = make(lock(1)).await;
        delete(&workspace, &removing).await;
        disconnect_account(&workspace, 0).await;
        disconnect_account(&workspace, 1).await;

        let error = of_account(&device(&workspace, 0).await["errors"], "account_disconnected", 1000);
        let mine = [&set, &removing, &ends, &far, &begins, &setting];
        for at in [1000, DAY] {
            go_to(&workspace, at).await;
            for index in [0, 1] {
                let device = device(&workspace, index).await;
                assert_eq!((&device["errors"], &device["properties"]["online"]), (&error, &json!(false)));
            }
            for id in mine {
                let code = workspace.access_code(id).await;
                let errors = code["errors"].as_array().unwrap();
                let inherited: Vec<_> = errors.iter().filter(|it| it["is_access_code_error"] != true).collect();
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
        let lives = [
            (&set, "set", "set"),
            (&setting, "setting creating", "set"),
            (&far, "unset deferring_creation", "unset deferring_creation"),
            (&begins, "setting creating", "set"),
        ];
        for (id, at_once, _) in lives {
            assert_eq!(seen(&workspace, id).await, at_once);
        }
        for id in [&removing, &ends] {
            let at_once = "removing deleting failed_to_remove_from_device being_deleted";
            assert_eq!(seen(&workspace, id).await, at_once);
        }
        go_to(&workspace, DAY + 250).await;
        for (id, _, then) in lives.into_iter().chain([(&removing, "", "gone"), (&ends, "", "gone")]) {
            assert_eq!(seen(&workspace, id).await, then);
        }

        let account = &workspace.devices[0]["connected_account_id"];
        let gone = told(&workspace, "connected_account.disconnected").await;
        assert_eq!(gone.len(), 1, "it was disconnected once");
        assert_eq!((&gone[0]["connected_account_id"], &gone[0]["occurred_at"]), (account, &json!(after(1000))));
        assert_eq!(kinds(&gone[0]["connected_account_errors"]), ["account_disconnected"]);
        assert_eq!(gone[0]["connected_account_warnings"], json!([]));
        let back = told(&workspace, "connected_account.completed_first_sync_after_reconnection").await;
        assert_eq!(back.len(), 1);
        assert_eq!((&back[0]["connected_account_id"], &back[0]["occurred_at"]), (account, &json!(after(DAY))));
        let offline = told(&workspace, "device.disconnected").await;
        let offline: Vec<_> =
            offline.iter().map(|it| (&it["error_code"], kinds(&it["connected_account_errors"]))).collect();
        let by_account = || (json!("account_disconnected"), vec!["account_disconnected"]);
        let expected = [by_account(), by_account()];
        assert_eq!(offline, expected.iter().map(|(code, errors)| (code, errors.clone())).collect::<Vec<_>>());

        let nobodys = json!({ "connected_account_id": UNKNOWN });
        let refused = workspace.post("/connected_accounts/simulate/disconnect", nobodys).await;
        refused.error(404, "connected_account_not_found");
    });
}

#[test]
fn each_error_of_a_device_or_its_account_is_passed_on_to_its_codes() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let managed =
            workspace.create(json!({ "device_id": workspace.lock(0), "code": "1357" })).await["access_code_id"].clone();
        let foreign = json!({ "device_id": workspace.lock(0), "code": "2468" });
        let foreign =
            workspace.post("/_emulator/locks/add_code", foreign).await.ok()["access_code"]["access_code_id"].clone();
        let of_device = json!({ "is_device_error": true });
        let of_account = json!({ "is_connected_account_error": true, "is_device_error": false });
        let of_bridge = json!({ "is_bridge_error": true });
        let cases = [
            ("device_offline", &of_device),
            ("august_lock_not_authorized", &of_device),
            ("missing_device_credentials", &of_device),
            ("subscription_required", &of_device),
            ("auxiliary_heat_running", &of_device),
            ("salto_ks_subscription_limit_exceeded", &of_account),
            ("insufficient_permissions", &of_account),
            ("dormakaba_sites_disconnected", &of_account),
            ("bridge_disconnected", &of_bridge),
        ];
        for (number, (error_code, marks)) in (1..).zip(cases) {
            go_to(&workspace, 1000 * number).await;
            let put = json!({ "errors": [{ "error_code": error_code, "message": "as told" }] });
            let shown = change(&workspace, 0, put).await["errors"].clone();
            let mut expected = json!([{ "error_code": error_code, "message": "as told",
                                        "created_at": after(1000 * number) }]);
            expected[0].as_object_mut().unwrap().extend(marks.as_object().unwrap().clone());
            assert_eq!(shown, expected);
            assert_eq!(device(&workspace, 0).await["errors"], expected);
            for (path, id) in [("/access_codes/get", &managed), ("/access_codes/unmanaged/get", &foreign)] {
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
fn what_failed_is_tried_at_once_when_the_lock_its_bridge_or_its_account_is_back() {
    run(async {
        for (leave, come_back) in [
            (json!({ "online": false }), json!({ "online": true })),
            (json!({ "hub_connected": false }), json!({ "hub_connected": true })),
            (json!({ "account_connected": false }), json!({ "account_connected": true })),
            (json!(null), json!(null)),
        ] {
            let workspace = TestWorkspace::with_locks(1).await;
            let fault = json!({ "operation": "set", "outcome": { "fail": {} }, "times": 3 });
            super::fault(&workspace, fault).await;
            let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"].clone();
            // The third attempt has failed; the next would be forty seconds later.
            go_to(&workspace, 31_000).await;
            assert_eq!(super::used(&workspace).await, [3]);
            if leave.is_null() {
                simulate(&workspace, "disconnect", 0).await;
                simulate(&workspace, "connect", 0).await;
            } else {
                change(&workspace, 0, leave).await;
                change(&workspace, 0, come_back).await;
            }
            go_to(&workspace, 31_250).await;
            assert_eq!(seen(&workspace, &code).await, "set");
        }
    });
}

#[test]
fn what_is_changed_or_deleted_on_a_removed_lock_waits_for_it() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({ "device_id": workspace.lock(0) });
        let [one, other] = [workspace.create(params.clone()).await, workspace.create(params).await];
        let [one, other] = [&one["access_code_id"], &other["access_code_id"]];
        go_to(&workspace, 1000).await;
        simulate(&workspace, "remove", 0).await;
        update(&workspace, one, json!({ "name": "later", "sync": true })).await;
        let deleted = json!({ "access_code_id": other, "sync": true });
        let attempt = workspace.post("/access_codes/delete", deleted).await.ok()["action_attempt"].clone();
        assert_eq!(attempt["status"], "pending");
        go_to(&workspace, DAY).await;
        assert_eq!(seen(&workspace, one).await, "set updating_name device_removed");
        let removing = "removing deleting failed_to_remove_from_device device_removed being_deleted";
        assert_eq!(seen(&workspace, other).await, removing);
        change(&workspace, 0, json!({ "removed": false })).await;
        go_to(&workspace, DAY + 250).await;
        assert_eq!((seen(&workspace, one).await, seen(&workspace, other).await), ("set".to_owned(), "gone".to_owned()));
    });
}
