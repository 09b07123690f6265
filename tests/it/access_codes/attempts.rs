//! What access codes leave behind: events and action attempts.

use super::on;
use crate::support::{START, TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SINCE: &str = "2000-01-01T00:00:00Z";

async fn attempt(workspace: &TestWorkspace, answer: &Value) -> Value {
    let params = json!({ "action_attempt_id": answer["action_attempt"]["action_attempt_id"] });
    workspace.post("/action_attempts/get", params).await.ok()["action_attempt"].clone()
}

async fn events(workspace: &TestWorkspace, mut params: Value) -> Vec<Value> {
    if params.get("between").is_none() && params.get("since").is_none() {
        params["since"] = json!(SINCE);
    }
    workspace.post("/events/list", params).await.ok()["events"].as_array().unwrap().clone()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event_type"].as_str().unwrap()).collect()
}

#[test]
fn an_attempt_to_create_succeeds_with_the_code_when_the_lock_has_it() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let made = workspace.post("/access_codes/create", on(&workspace, 0, json!({}))).await.ok();
        assert_eq!(attempt(&workspace, &made).await, made["action_attempt"], "pending still");
        workspace.advance("PT0.249S").await;
        assert_eq!(attempt(&workspace, &made).await["status"], "pending");
        workspace.advance("PT0.001S").await;
        let over = attempt(&workspace, &made).await;
        assert_eq!((&over["status"], &over["error"]), (&json!("success"), &Value::Null));
        assert_eq!(over["result"]["access_code"], workspace.access_code(&made["access_code"]["access_code_id"]).await);
        workspace
            .post("/access_codes/delete", json!({ "access_code_id": made["access_code"]["access_code_id"] }))
            .await
            .ok();
        workspace.advance("PT1S").await;
        assert_eq!(attempt(&workspace, &made).await["status"], "success", "what is over stays over");
    });
}

#[test]
fn a_code_that_has_to_wait_counts_as_accepted() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let far = json!({ "starts_at": "2026-06-01T00:00:00Z", "ends_at": "2026-06-02T00:00:00Z" });
        let made = workspace.post("/access_codes/create", on(&workspace, 0, far)).await.ok();
        assert_eq!(made["action_attempt"]["status"], "pending", "as every sample shows it");
        let over = attempt(&workspace, &made).await;
        assert_eq!(over["status"], "success");
        assert_eq!(over["result"]["access_code"]["status"], "unset");
    });
}

#[test]
fn an_attempt_to_create_fails_when_the_code_is_deleted_before_the_lock_has_it() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "august_lock", "online": false }])).await;
        let made = workspace.post("/access_codes/create", on(&workspace, 0, json!({}))).await.ok();
        workspace.advance("PT1H").await;
        assert_eq!(attempt(&workspace, &made).await["status"], "pending");
        workspace
            .post("/access_codes/delete", json!({ "access_code_id": made["access_code"]["access_code_id"] }))
            .await
            .ok();
        let over = attempt(&workspace, &made).await;
        assert_eq!((&over["status"], &over["result"]), (&json!("error"), &Value::Null));
        assert_eq!(over["error"]["type"], "access_code_deleted");
    });
}

#[test]
fn an_attempt_to_delete_succeeds_with_nothing_when_the_code_is_gone() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(on(&workspace, 0, json!({ "sync": true }))).await;
        let params = json!({ "access_code_id": code["access_code_id"] });
        let deleted = workspace.post("/access_codes/delete", params).await.ok();
        assert_eq!(attempt(&workspace, &deleted).await, deleted["action_attempt"], "pending still");
        workspace.advance("PT0.25S").await;
        let mut over = deleted["action_attempt"].clone();
        (over["status"], over["result"]) = (json!("success"), json!({}));
        assert_eq!(attempt(&workspace, &deleted).await, over);
    });
}

#[test]
fn attempts_are_listed_newest_first_by_lock_and_by_id_page_by_page() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(2).await, TestWorkspace::with_locks(1).await);
        let mut made = Vec::new();
        for index in [0, 1, 0] {
            let answer =
                workspace.post("/access_codes/create", on(&workspace, index, json!({ "sync": true }))).await.ok();
            made.push(answer["action_attempt"].clone());
            workspace.advance("PT1S").await;
        }
        let id = |index: usize| made[index]["action_attempt_id"].clone();
        let list = async |params| workspace.post("/action_attempts/list", params).await.ok();
        assert_eq!(list(json!({})).await["action_attempts"], json!([made[2], made[1], made[0]]));
        assert_eq!(list(json!({ "device_id": workspace.lock(0) })).await["action_attempts"], json!([made[2], made[0]]));
        let named = json!({ "action_attempt_ids": [id(0), id(1), UNKNOWN] });
        assert_eq!(list(named.clone()).await["action_attempts"], json!([made[1], made[0]]));
        let first = list(json!({ "limit": 2 })).await;
        assert_eq!(first["action_attempts"], json!([made[2], made[1]]));
        let next = json!({ "limit": 2, "page_cursor": first["pagination"]["next_page_cursor"] });
        let second = list(next).await;
        assert_eq!(second["action_attempts"], json!([made[0]]));
        assert_eq!(second["pagination"]["has_next_page"], false);
        assert_eq!(other.post("/action_attempts/list", named).await.ok()["action_attempts"], json!([]));
        let theirs = json!({ "action_attempt_id": id(0) });
        other.post("/action_attempts/get", theirs).await.error(404, "action_attempt_not_found");
        assert!(!workspace.post("/action_attempts/list", json!({ "limit": 0 })).await.invalid("limit").is_empty());
        assert_eq!(workspace.post("/action_attempts/get", json!({})).await.invalid("action_attempt_id"), ["Required"]);
    });
}

#[test]
fn each_event_tells_what_happened_to_which_code_where_and_when() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let window = json!({ "code": "4826", "starts_at": "2026-03-02T13:00:00Z", "ends_at": "2026-03-02T14:00:00Z" });
        let code = workspace.create(on(&workspace, 0, window)).await;
        workspace.advance("PT3H").await;
        let found = events(&workspace, json!({})).await;
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
            let mut whole = json!({
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
                whole["code"] = json!("4826");
            }
            assert_eq!(event, &whole);
            let one = workspace.post("/events/get", json!({ "event_id": event["event_id"] })).await.ok();
            assert_eq!(one["event"], whole);
        }
    });
}

#[test]
fn events_are_listed_by_what_they_are_about_and_all_filters_count() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock" }, { "device_type": "wyze_lock" }])).await;
        let first = workspace.create(on(&workspace, 0, json!({ "sync": true }))).await;
        let second = workspace.create(on(&workspace, 1, json!({ "sync": true }))).await;
        let (created, set) = ("access_code.created", "access_code.set_on_device");
        let all = events(&workspace, json!({})).await;
        assert_eq!(types(&all), [created, set, created, set]);
        let (one, two) = (first["access_code_id"].clone(), second["access_code_id"].clone());
        let account = workspace.devices[1]["connected_account_id"].clone();
        for (params, found) in [
            (json!({ "access_code_id": one }), vec![0, 1]),
            (json!({ "access_code_ids": [one, two] }), vec![0, 1, 2, 3]),
            (json!({ "access_code_id": one, "access_code_ids": [two] }), vec![]),
            (json!({ "device_id": workspace.lock(1) }), vec![2, 3]),
            (json!({ "device_ids": [workspace.lock(0)] }), vec![0, 1]),
            (json!({ "connected_account_id": account }), vec![2, 3]),
            (json!({ "event_type": set }), vec![1, 3]),
            (json!({ "event_types": [created, "device.connected"] }), vec![0, 2]),
            (json!({ "event_type": set, "device_id": workspace.lock(0) }), vec![1]),
            (json!({ "event_ids": [all[3]["event_id"], all[0]["event_id"]] }), vec![0, 3]),
            (json!({ "device_id": workspace.lock(0), "access_code_id": two }), vec![]),
            (json!({ "customer_key": "somebody" }), vec![]),
            (json!({ "limit": 3 }), vec![0, 1, 2]),
            (json!({ "limit": 2, "unstable_offset": 1 }), vec![1, 2]),
            (json!({ "limit": 0 }), vec![]),
        ] {
            let expected: Vec<Value> = found.into_iter().map(|index: usize| all[index].clone()).collect();
            assert_eq!(events(&workspace, params.clone()).await, expected, "{params}");
        }
        let by_id_alone = workspace.post("/events/list", json!({ "event_ids": [all[1]["event_id"]] })).await.ok();
        assert_eq!(by_id_alone["events"], json!([all[1]]));
        let path = format!("/events/list?since={SINCE}&event_types={set}&device_ids={}", workspace.lock(1));
        assert_eq!(workspace.get(&path).await.ok()["events"], json!([all[3]]));
    });
}

#[test]
fn since_and_between_leave_their_own_instants_out() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for _ in 0..3 {
            workspace.create(on(&workspace, 0, json!({}))).await;
            workspace.advance("PT1H").await;
        }
        let created = |mut params: Value| {
            params["event_type"] = json!("access_code.created");
            params
        };
        let hour = |hour: u32| format!("2026-03-02T{hour}:00:00.000Z");
        let at = async |params| -> Vec<String> {
            let found = events(&workspace, created(params)).await;
            found.iter().map(|event| event["occurred_at"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(at(json!({ "since": hour(12) })).await, [hour(13), hour(14)]);
        assert_eq!(at(json!({ "since": "2026-03-02T04:59:59.999-07:00" })).await, [hour(12), hour(13), hour(14)]);
        assert_eq!(at(json!({ "between": [hour(12), hour(14)] })).await, [hour(13)]);
        assert_eq!(at(json!({ "between": [SINCE, hour(13)] })).await, [hour(12)]);
    });
}

#[test]
fn events_want_a_time_to_begin_with_that_makes_sense() {
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
fn one_event_is_got_by_its_id_or_as_the_latest_of_a_type_or_lock() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(2).await, TestWorkspace::with_locks(1).await);
        for index in [0, 1] {
            workspace.create(on(&workspace, index, json!({ "sync": true }))).await;
            workspace.advance("PT1S").await;
        }
        let all = events(&workspace, json!({})).await;
        for (params, index) in [
            (json!({ "event_id": all[0]["event_id"] }), 0),
            (json!({ "device_id": workspace.lock(0) }), 1),
            (json!({ "event_type": "access_code.created" }), 2),
            (json!({ "event_type": "access_code.created", "device_id": workspace.lock(0) }), 0),
        ] {
            assert_eq!(workspace.post("/events/get", params.clone()).await.ok()["event"], all[index], "{params}");
        }
        for params in [json!({ "event_id": UNKNOWN }), json!({ "event_type": "access_code.deleted" })] {
            let error = workspace.post("/events/get", params).await.error(404, "event_not_found");
            assert_eq!(error["message"], "Event not found");
        }
        let theirs = json!({ "event_id": all[0]["event_id"] });
        other.post("/events/get", theirs).await.error(404, "event_not_found");
        let error = workspace.post("/events/get", json!({})).await.error(400, "invalid_input");
        assert_eq!(error["message"], "An argument for event_id, event_type, or device_id is required");
    });
}
