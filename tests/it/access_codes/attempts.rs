//! Events and action attempts of access codes.

use super::on_lock;
use crate::support::{START, TestWorkspace, UNKNOWN, run, types};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SINCE: &str = "2000-01-01T00:00:00Z";

async fn attempt(workspace: &TestWorkspace, response: &Value) -> Value {
    let params = json!({ "action_attempt_id": response["action_attempt"]["action_attempt_id"] });
    workspace.post("/action_attempts/get", params).await.ok()["action_attempt"].clone()
}

#[test]
fn create_attempt_succeeds_with_the_code_when_the_lock_has_it() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = workspace.post("/access_codes/create", on_lock(&workspace, 0, json!({}))).await.ok();
        assert_eq!(attempt(&workspace, &created).await, created["action_attempt"], "still pending");
        workspace.advance("PT0.249S").await;
        assert_eq!(attempt(&workspace, &created).await["status"], "pending");
        workspace.advance("PT0.001S").await;
        let finished = attempt(&workspace, &created).await;
        assert_eq!((&finished["status"], &finished["error"]), (&json!("success"), &Value::Null));
        assert_eq!(
            finished["result"]["access_code"],
            workspace.access_code(&created["access_code"]["access_code_id"]).await
        );
        workspace
            .post("/access_codes/delete", json!({ "access_code_id": created["access_code"]["access_code_id"] }))
            .await
            .ok();
        workspace.advance("PT1S").await;
        assert_eq!(attempt(&workspace, &created).await["status"], "success", "a finished attempt stays unchanged");
    });
}

#[test]
fn create_attempt_of_a_later_code_succeeds_before_the_code_is_set() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let window = json!({ "starts_at": "2026-06-01T00:00:00Z", "ends_at": "2026-06-02T00:00:00Z" });
        let created = workspace.post("/access_codes/create", on_lock(&workspace, 0, window)).await.ok();
        assert_eq!(created["action_attempt"]["status"], "pending", "pending in the response, as in Seam's samples");
        let finished = attempt(&workspace, &created).await;
        assert_eq!(finished["status"], "success");
        assert_eq!(finished["result"]["access_code"]["status"], "unset");
    });
}

#[test]
fn create_attempt_fails_when_the_code_is_deleted_before_the_lock_has_it() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "august_lock", "online": false }])).await;
        let created = workspace.post("/access_codes/create", on_lock(&workspace, 0, json!({}))).await.ok();
        workspace.advance("PT1H").await;
        assert_eq!(attempt(&workspace, &created).await["status"], "pending");
        workspace
            .post("/access_codes/delete", json!({ "access_code_id": created["access_code"]["access_code_id"] }))
            .await
            .ok();
        let finished = attempt(&workspace, &created).await;
        assert_eq!((&finished["status"], &finished["result"]), (&json!("error"), &Value::Null));
        assert_eq!(finished["error"]["type"], "access_code_deleted");
    });
}

#[test]
fn delete_attempt_succeeds_with_an_empty_result_when_the_code_is_gone() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(on_lock(&workspace, 0, json!({ "sync": true }))).await;
        let params = json!({ "access_code_id": code["access_code_id"] });
        let deleted = workspace.post("/access_codes/delete", params).await.ok();
        assert_eq!(attempt(&workspace, &deleted).await, deleted["action_attempt"], "still pending");
        workspace.advance("PT0.25S").await;
        let mut finished = deleted["action_attempt"].clone();
        (finished["status"], finished["result"]) = (json!("success"), json!({}));
        assert_eq!(attempt(&workspace, &deleted).await, finished);
    });
}

#[test]
fn action_attempts_list_filters_by_lock_and_id_and_pages_newest_first() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(2).await, TestWorkspace::with_locks(1).await);
        let mut attempts = Vec::new();
        for index in [0, 1, 0] {
            let created =
                workspace.post("/access_codes/create", on_lock(&workspace, index, json!({ "sync": true }))).await.ok();
            attempts.push(created["action_attempt"].clone());
            workspace.advance("PT1S").await;
        }
        let id = |index: usize| attempts[index]["action_attempt_id"].clone();
        let list = async |params| workspace.post("/action_attempts/list", params).await.ok();
        assert_eq!(list(json!({})).await["action_attempts"], json!([attempts[2], attempts[1], attempts[0]]));
        assert_eq!(
            list(json!({ "device_id": workspace.lock(0) })).await["action_attempts"],
            json!([attempts[2], attempts[0]])
        );
        let by_ids = json!({ "action_attempt_ids": [id(0), id(1), UNKNOWN] });
        assert_eq!(list(by_ids.clone()).await["action_attempts"], json!([attempts[1], attempts[0]]));
        let first = list(json!({ "limit": 2 })).await;
        assert_eq!(first["action_attempts"], json!([attempts[2], attempts[1]]));
        let next = json!({ "limit": 2, "page_cursor": first["pagination"]["next_page_cursor"] });
        let second = list(next).await;
        assert_eq!(second["action_attempts"], json!([attempts[0]]));
        assert_eq!(second["pagination"]["has_next_page"], false);
        assert_eq!(other.post("/action_attempts/list", by_ids).await.ok()["action_attempts"], json!([]));
        let by_id = json!({ "action_attempt_id": id(0) });
        other.post("/action_attempts/get", by_id).await.error(404, "action_attempt_not_found");
        assert!(!workspace.post("/action_attempts/list", json!({ "limit": 0 })).await.invalid("limit").is_empty());
        assert_eq!(workspace.post("/action_attempts/get", json!({})).await.invalid("action_attempt_id"), ["Required"]);
    });
}

#[test]
fn events_carry_a_description_the_time_and_the_ids_of_code_and_device() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let window = json!({ "code": "4826", "starts_at": "2026-03-02T13:00:00Z", "ends_at": "2026-03-02T14:00:00Z" });
        let code = workspace.create(on_lock(&workspace, 0, window)).await;
        workspace.advance("PT3H").await;
        let found = workspace.code_events().await;
        let expected = [
            ("access_code.created", START, false),
            ("access_code.scheduled_on_device", "2026-03-02T12:00:00.250Z", true),
            ("access_code.set_on_device", "2026-03-02T13:00:00.000Z", true),
            ("access_code.removed_from_device", "2026-03-02T14:00:00.250Z", false),
            ("access_code.deleted", "2026-03-02T14:00:00.250Z", true),
        ];
        assert_eq!(found.len(), expected.len());
        let mut descriptions = BTreeSet::new();
        for (event, (event_type, occurred_at, carries_code)) in found.iter().zip(expected) {
            let description = event["event_description"].as_str().unwrap();
            assert!(description.ends_with('.') && descriptions.insert(description.to_owned()), "{event}");
            let mut expected_event = json!({
                "event_id": event["event_id"],
                "event_type": event_type,
                "event_description": description,
                "workspace_id": workspace.workspace_id,
                "device_id": workspace.lock(0),
                "connected_account_id": workspace.devices[0]["connected_account_id"],
                "access_code_id": code["access_code_id"],
                "created_at": occurred_at,
                "occurred_at": occurred_at,
            });
            if carries_code {
                expected_event["code"] = json!("4826");
            }
            assert_eq!(event, &expected_event);
            let by_id = workspace.post("/events/get", json!({ "event_id": event["event_id"] })).await.ok();
            assert_eq!(by_id["event"], expected_event);
        }
    });
}

#[test]
fn events_list_combines_filters_by_code_device_account_type_and_id() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock" }, { "device_type": "wyze_lock" }])).await;
        let first = workspace.create(on_lock(&workspace, 0, json!({ "sync": true }))).await;
        let second = workspace.create(on_lock(&workspace, 1, json!({ "sync": true }))).await;
        let (created, set) = ("access_code.created", "access_code.set_on_device");
        let listed = workspace.events(json!({})).await;
        let (account, device) = ("connected_account.created", "device.added");
        assert_eq!(types(&listed), [account, account, device, device, created, set, created, set]);
        let (first_id, second_id) = (first["access_code_id"].clone(), second["access_code_id"].clone());
        let account = workspace.devices[1]["connected_account_id"].clone();
        for (params, found) in [
            (json!({ "access_code_id": first_id }), vec![4, 5]),
            (json!({ "access_code_ids": [first_id, second_id] }), vec![4, 5, 6, 7]),
            (json!({ "access_code_id": first_id, "access_code_ids": [second_id] }), vec![]),
            (json!({ "device_id": workspace.lock(1) }), vec![3, 6, 7]),
            (json!({ "device_ids": [workspace.lock(0)] }), vec![2, 4, 5]),
            (json!({ "connected_account_id": account }), vec![1, 3, 6, 7]),
            (json!({ "event_type": set }), vec![5, 7]),
            (json!({ "event_types": [created, "device.connected"] }), vec![4, 6]),
            (json!({ "event_type": set, "device_id": workspace.lock(0) }), vec![5]),
            (json!({ "event_ids": [listed[3]["event_id"], listed[0]["event_id"]] }), vec![0, 3]),
            (json!({ "device_id": workspace.lock(0), "access_code_id": second_id }), vec![]),
            (json!({ "customer_key": "somebody" }), vec![]),
            (json!({ "limit": 3 }), vec![0, 1, 2]),
            (json!({ "limit": 2, "unstable_offset": 1 }), vec![1, 2]),
            (json!({ "limit": 0 }), vec![]),
        ] {
            let expected: Vec<Value> = found.into_iter().map(|index: usize| listed[index].clone()).collect();
            assert_eq!(workspace.events(params.clone()).await, expected, "{params}");
        }
        let by_id_alone = workspace.post("/events/list", json!({ "event_ids": [listed[1]["event_id"]] })).await.ok();
        assert_eq!(by_id_alone["events"], json!([listed[1]]));
        let path = format!("/events/list?since={SINCE}&event_types={set}&device_ids={}", workspace.lock(1));
        assert_eq!(workspace.get(&path).await.ok()["events"], json!([listed[7]]));
    });
}

#[test]
fn events_list_excludes_the_bounds_of_since_and_between() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for _ in 0..3 {
            workspace.create(on_lock(&workspace, 0, json!({}))).await;
            workspace.advance("PT1H").await;
        }
        let created = |mut params: Value| {
            params["event_type"] = json!("access_code.created");
            params
        };
        let hour = |hour: u32| format!("2026-03-02T{hour}:00:00.000Z");
        let at = async |params| -> Vec<String> {
            let found = workspace.events(created(params)).await;
            found.iter().map(|event| event["occurred_at"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(at(json!({ "since": hour(12) })).await, [hour(13), hour(14)]);
        assert_eq!(at(json!({ "since": "2026-03-02T04:59:59.999-07:00" })).await, [hour(12), hour(13), hour(14)]);
        assert_eq!(at(json!({ "between": [hour(12), hour(14)] })).await, [hour(13)]);
        assert_eq!(at(json!({ "between": [SINCE, hour(13)] })).await, [hour(12)]);
    });
}

#[test]
fn events_list_requires_a_valid_since_or_between() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for (params, message) in [
            (json!({}), "Must specify either since or between"),
            (json!({ "since": SINCE, "between": [SINCE, START] }), "Cannot specify both since and between"),
        ] {
            let error = workspace.post("/events/list", params).await.error(400, "invalid_input");
            assert_eq!(error["message"], message);
        }
        for (name, value) in [
            ("since", json!("yesterday")),
            ("since", json!(5)),
            ("between", json!([START, START])),
            ("between", json!([START, SINCE])),
            ("between", json!([START])),
            ("between", json!([START, "tomorrow"])),
        ] {
            assert_eq!(workspace.post("/events/list", json!({ name: value })).await.invalid(name).len(), 1, "{value}");
        }
        for (name, value) in [("limit", json!(-1)), ("limit", json!(1.5)), ("unstable_offset", json!(-1))] {
            let params = json!({ "since": SINCE, name: value });
            assert_eq!(workspace.post("/events/list", params).await.invalid(name).len(), 1);
        }
        let unknown = json!({ "since": SINCE, "event_types": ["access_code.invented"] });
        workspace.post("/events/list", unknown).await.error(400, "invalid_input");
    });
}

#[test]
fn events_get_finds_an_event_by_id_or_the_latest_of_a_type_or_lock() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(2).await, TestWorkspace::with_locks(1).await);
        for index in [0, 1] {
            workspace.create(on_lock(&workspace, index, json!({ "sync": true }))).await;
            workspace.advance("PT1S").await;
        }
        let listed = workspace.code_events().await;
        for (params, index) in [
            (json!({ "event_id": listed[0]["event_id"] }), 0),
            (json!({ "device_id": workspace.lock(0) }), 1),
            (json!({ "event_type": "access_code.created" }), 2),
            (json!({ "event_type": "access_code.created", "device_id": workspace.lock(0) }), 0),
        ] {
            assert_eq!(workspace.post("/events/get", params.clone()).await.ok()["event"], listed[index], "{params}");
        }
        for params in [json!({ "event_id": UNKNOWN }), json!({ "event_type": "access_code.deleted" })] {
            let error = workspace.post("/events/get", params).await.error(404, "event_not_found");
            assert_eq!(error["message"], "Event not found");
        }
        let by_id = json!({ "event_id": listed[0]["event_id"] });
        other.post("/events/get", by_id).await.error(404, "event_not_found");
        let error = workspace.post("/events/get", json!({})).await.error(400, "invalid_input");
        assert_eq!(error["message"], "An argument for event_id, event_type, or device_id is required");
    });
}
