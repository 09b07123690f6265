//! `/access_codes/get_timeline`: the history of one access code.

use super::on_lock;
use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

const TIMELINE: &str = "/access_codes/get_timeline";

/// Creates a workspace with one lock and a code that is created at 12:00, renamed at 13:00 and deleted at 14:00.
async fn deleted_code() -> (TestWorkspace, Value) {
    let workspace = TestWorkspace::with_locks(1).await;
    let id = workspace.create(on_lock(&workspace, 0, json!({ "name": "guest" }))).await["access_code_id"].clone();
    workspace.advance("PT1H").await;
    workspace.post("/access_codes/update", json!({ "access_code_id": id, "name": "cleaner" })).await.ok();
    workspace.advance("PT1H").await;
    workspace.post("/access_codes/delete", json!({ "access_code_id": id })).await.ok();
    workspace.advance("PT1S").await;
    (workspace, id)
}

/// Event types of that code, newest first.
const HISTORY: [&str; 7] = [
    "access_code.deleted",
    "access_code.removed_from_device",
    "access_code.name_changed",
    "access_code.changed",
    "access_code.mutations_requested",
    "access_code.set_on_device",
    "access_code.created",
];

async fn timeline(workspace: &TestWorkspace, access_code_id: &Value, further: Value) -> Value {
    let mut params = further;
    params["access_code_id"] = access_code_id.clone();
    workspace.post(TIMELINE, params).await.ok()
}

fn types(timeline: &Value) -> Vec<&str> {
    let events = timeline["timeline_events"].as_array().unwrap().iter();
    events.map(|event| event["event_type"].as_str().unwrap()).collect()
}

fn cursors(timeline: &Value) -> [&Value; 3] {
    ["has_more", "next_cursor", "prev_cursor"].map(|name| &timeline["pagination"][name])
}

#[test]
fn timeline_lists_the_events_of_a_code_newest_first_even_when_it_is_gone() {
    run(async {
        let (workspace, id) = deleted_code().await;
        workspace.create(on_lock(&workspace, 0, json!({}))).await;
        let whole = timeline(&workspace, &id, json!({})).await;
        assert_eq!(types(&whole), HISTORY);
        assert_eq!(cursors(&whole), [&json!(false), &Value::Null, &Value::Null]);
        let events = json!({ "since": "2000-01-01T00:00:00Z", "access_code_id": id });
        let events = workspace.post("/events/list", events).await.ok()["events"].clone();
        let entries = whole["timeline_events"].as_array().unwrap();
        for (event, entry) in events.as_array().unwrap().iter().rev().zip(entries) {
            let related = &entry["related_resource_ids"];
            for property in ["event_id", "device_id", "connected_account_id"] {
                assert_eq!(related[property], event[property], "{entry}");
            }
            assert_eq!((&entry["event_type"], &entry["occurred_at"]), (&event["event_type"], &event["occurred_at"]));
            assert!(!entry["description"].as_str().unwrap().is_empty());
        }
        let actors: Vec<_> = entries.iter().map(|entry| entry["actor"]["type"].as_str().unwrap()).collect();
        assert_eq!(actors, ["system", "system", "system", "system", "api_key", "system", "api_key"]);
        let by_get = workspace.get(&format!("{TIMELINE}?access_code_id={}", id.as_str().unwrap())).await.ok();
        assert_eq!(by_get, whole);
    });
}

#[test]
fn timeline_filters_by_type_and_by_exclusive_time_bounds() {
    run(async {
        let (workspace, id) = deleted_code().await;
        for (narrowed, expected) in [
            (json!({ "event_types": ["access_code.deleted", "access_code.created"] }), vec![HISTORY[0], HISTORY[6]]),
            (json!({ "event_types": ["access_code.code_changed"] }), vec![]),
            (json!({ "after": "2026-03-02T13:00:00Z" }), HISTORY[..4].to_vec()),
            (json!({ "after": "2026-03-02T12:59:59.999Z" }), HISTORY[..5].to_vec()),
            (json!({ "before": "2026-03-02T13:00:00Z" }), HISTORY[5..].to_vec()),
            (json!({ "before": "2026-03-02T13:00:00.001Z" }), HISTORY[4..].to_vec()),
            (json!({ "after": "2026-03-02T12:00:00Z", "before": "2026-03-02T14:00:00Z" }), HISTORY[2..6].to_vec()),
            (json!({ "after": "2026-03-02T14:00:00+01:00", "limit": 200 }), HISTORY[..4].to_vec()),
            (json!({ "after": "2026-03-02T15:00:00Z" }), vec![]),
        ] {
            assert_eq!(types(&timeline(&workspace, &id, narrowed.clone()).await), expected, "{narrowed}");
        }
        for (wrong, parameter) in [
            (json!({ "access_code_id": id, "limit": 0 }), "limit"),
            (json!({ "access_code_id": id, "limit": 201 }), "limit"),
            (json!({ "access_code_id": id, "after": "yesterday" }), "after"),
            (json!({ "access_code_id": id, "before": 5 }), "before"),
            (json!({ "access_code_id": id, "event_types": ["device.connected"] }), "event_types"),
            (json!({}), "access_code_id"),
        ] {
            let error = workspace.post(TIMELINE, wrong).await.error(400, "invalid_input");
            assert!(error["validation_errors"].get(parameter).is_some(), "{error}");
        }
    });
}

#[test]
fn timeline_pages_contain_each_event_once_for_every_limit() {
    run(async {
        let (workspace, id) = deleted_code().await;
        for limit in 1..=8 {
            let mut collected: Vec<String> = Vec::new();
            let mut params = json!({ "limit": limit });
            let mut starts = Vec::new();
            loop {
                let page = timeline(&workspace, &id, params.clone()).await;
                let on_page = types(&page);
                assert!(!on_page.is_empty(), "limit {limit}: {page}");
                let first = page["timeline_events"][0]["occurred_at"].clone();
                // Events of one instant are always on the same page.
                assert!(on_page.len() <= limit.max(2), "limit {limit}: {on_page:?}");
                collected.extend(on_page.into_iter().map(str::to_owned));
                let [has_more, next, previous] = cursors(&page);
                assert_eq!(*previous, if starts.is_empty() { Value::Null } else { first.clone() }, "limit {limit}");
                starts.push(first);
                assert_eq!(has_more == true, next.is_string(), "limit {limit}: {page}");
                if has_more == false {
                    break;
                }
                params["before"] = next.clone();
            }
            assert_eq!(collected, HISTORY, "limit {limit}");
            // Backwards: events that are newer than the second page.
            if let Some(second) = starts.get(1) {
                let newer = timeline(&workspace, &id, json!({ "after": second })).await;
                let newer = types(&newer);
                assert_eq!(newer, HISTORY[..newer.len()], "limit {limit}");
                assert!(!newer.is_empty() && newer.len() <= limit.max(2), "limit {limit}: {newer:?}");
            }
        }
    });
}

#[test]
fn timeline_of_an_unknown_code_is_not_found() {
    run(async {
        let (workspace, id) = deleted_code().await;
        workspace.post(TIMELINE, json!({ "access_code_id": UNKNOWN })).await.error(404, "access_code_not_found");
        let other = TestWorkspace::with_locks(1).await;
        other.post(TIMELINE, json!({ "access_code_id": id })).await.error(404, "access_code_not_found");
        assert_eq!(types(&timeline(&workspace, &id, json!({})).await), HISTORY);
    });
}

#[test]
fn timeline_shows_external_as_the_actor_of_a_removal_at_the_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let unmanaged = on_lock(&workspace, 0, json!({ "code": "9753", "name": "owner" }));
        let unmanaged =
            workspace.post("/_emulator/locks/add_code", unmanaged).await.ok()["access_code"]["access_code_id"].clone();
        let managed = workspace.create(on_lock(&workspace, 0, json!({ "sync": true }))).await["access_code_id"].clone();
        for id in [&unmanaged, &managed] {
            let by_id = on_lock(&workspace, 0, json!({ "access_code_id": id }));
            workspace.post("/_emulator/locks/remove_code", by_id).await.ok();
            let newest = timeline(&workspace, id, json!({})).await["timeline_events"][0].clone();
            assert_eq!(newest["actor"]["type"], "external", "{newest}");
        }
        let history = timeline(&workspace, &unmanaged, json!({})).await;
        assert_eq!(types(&history), ["access_code.unmanaged.removed", "access_code.unmanaged.created"]);
    });
}

#[test]
fn display_status_names_each_stage_of_a_code() {
    run(async {
        let locks = json!([{ "device_type": "august_lock" }]);
        let workspace = TestWorkspace::create_with(json!({ "locks": locks, "keep_expired_access_codes": true })).await;
        let window = json!({ "starts_at": "2026-03-12T12:00:00Z", "ends_at": "2026-03-13T12:00:00Z" });
        let code = workspace.create(on_lock(&workspace, 0, window)).await;
        assert_eq!(code["display_status"], "Upcoming");
        for (instant, expected) in [
            ("2026-03-12T11:59:59.999Z", "Upcoming"),
            ("2026-03-12T12:00:00.000Z", "Active"),
            ("2026-03-13T12:00:00.000Z", "Expired"),
            ("2026-03-14T12:00:00.000Z", "Expired"),
        ] {
            workspace.advance_to(instant).await;
            assert_eq!(workspace.access_code(&code["access_code_id"]).await["display_status"], expected, "{instant}");
        }
        let now = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        assert_eq!(now["display_status"], "Issuing");
        workspace.advance("PT1S").await;
        let put = json!({ "access_code_id": now["access_code_id"], "error_code": "access_code_inactive" });
        let inactive = workspace.post("/_emulator/access_codes/add_error", put).await.ok()["access_code"].clone();
        assert_eq!(inactive["display_status"], "Not active");
        workspace.post("/access_codes/delete", json!({ "access_code_id": now["access_code_id"] })).await.ok();
        assert_eq!(workspace.access_code(&now["access_code_id"]).await["display_status"], "Being deleted");
        for (further, expected) in [
            (json!({ "code": "4826" }), "Active"),
            (
                json!({ "code": "5937", "starts_at": "2026-04-01T12:00:00Z", "ends_at": "2026-04-02T12:00:00Z" }),
                "Not active",
            ),
        ] {
            let added = workspace.post("/_emulator/locks/add_code", on_lock(&workspace, 0, further)).await.ok();
            assert_eq!(added["access_code"]["display_status"], expected);
        }
    });
}
