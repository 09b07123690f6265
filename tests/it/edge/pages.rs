//! Pagination: each row once, cursors that are valid for one request, and `next_page_url`.

use super::ids;
use crate::support::{TestWorkspace, run};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Reads a list page by page with `page_cursor`. Checks the `pagination` of each page, and returns all ids.
async fn walk(workspace: &TestWorkspace, path: &str, mut params: Value, list: &str, id: &str) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let page = workspace.post(path, params.clone()).await.ok();
        let pagination = &page["pagination"];
        let on_page = ids(&page, list, id);
        let has_next_page = pagination["has_next_page"] == true;
        assert!(if has_next_page { on_page.len() == 2 } else { on_page.len() <= 2 }, "{page}");
        assert_eq!(pagination["next_page_cursor"].is_string(), has_next_page);
        assert_eq!(pagination["next_page_url"].is_string(), has_next_page);
        found.extend(on_page);
        if !has_next_page {
            return found;
        }
        params["page_cursor"] = pagination["next_page_cursor"].clone();
        assert!(found.len() < 100, "{path} has no last page");
    }
}

/// Reads a list page by page with `next_page_url`, and returns all ids.
async fn follow(workspace: &TestWorkspace, first: &str, list: &str, id: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut path = first.to_owned();
    loop {
        let page = workspace.get(&path).await.ok();
        found.extend(ids(&page, list, id));
        let Some(next) = page["pagination"]["next_page_url"].as_str() else {
            return found;
        };
        next.strip_prefix("http://localhost").unwrap().clone_into(&mut path);
        assert!(found.len() < 100, "{first} has no last page");
    }
}

#[test]
fn pages_list_each_row_once_in_order() {
    run(async {
        let workspace = TestWorkspace::with_locks(5).await;
        let device_id = workspace.lock(0);
        let mut created = Vec::new();
        for index in 0..7 {
            let code = workspace.create(json!({ "device_id": device_id })).await;
            created.push(code["access_code_id"].as_str().unwrap().to_owned());
            if index % 3 == 2 {
                workspace.advance("PT1H").await;
            }
        }
        for (path, list, id, of_device) in [
            ("/access_codes/list", "access_codes", "access_code_id", true),
            ("/action_attempts/list", "action_attempts", "action_attempt_id", true),
            ("/devices/list", "devices", "device_id", false),
        ] {
            let mut params = if of_device { json!({ "device_id": device_id }) } else { json!({}) };
            let whole_list = ids(&workspace.post(path, params.clone()).await.ok(), list, id);
            assert_eq!(whole_list.len(), if of_device { 7 } else { 5 }, "{path}");
            assert_eq!(whole_list.iter().collect::<BTreeSet<_>>().len(), whole_list.len(), "{path}");
            params["limit"] = json!(2);
            assert_eq!(walk(&workspace, path, params, list, id).await, whole_list, "{path}");
            let query = if of_device { format!("device_id={device_id}&limit=2") } else { "limit=2".to_owned() };
            assert_eq!(follow(&workspace, &format!("{path}?{query}"), list, id).await, whole_list, "{path}");
        }
        // `next_page_url` also works for a POST request, and with unknown parameters.
        let unusual = json!({ "limit": 2, "colour": 1, "x": { "y": [null] }, "none": [], "custom_metadata_has": { "vip": null } });
        let first = workspace.post("/devices/list", unusual).await.ok();
        let next = first["pagination"]["next_page_url"].as_str().unwrap().strip_prefix("http://localhost").unwrap();
        assert_eq!(follow(&workspace, next, "devices", "device_id").await, workspace.locks()[2..]);
        // Newest first.
        let listed = workspace.post("/access_codes/list", json!({ "device_id": device_id })).await.ok();
        let times: Vec<&str> = listed["access_codes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["created_at"].as_str().unwrap())
            .collect();
        assert!(times.is_sorted_by(|earlier, later| earlier >= later), "{times:?}");
        let query = created.iter().map(|id| format!("access_code_ids={id}")).collect::<Vec<_>>().join("&");
        let path = format!("/access_codes/list?{query}&limit=2");
        assert_eq!(follow(&workspace, &path, "access_codes", "access_code_id").await.len(), 7);
    });
}

#[test]
fn rows_created_or_deleted_between_pages_do_not_affect_other_rows() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let device_id = workspace.lock(0);
        let mut created = Vec::new();
        for _ in 0..4 {
            created.push(
                workspace.create(json!({ "device_id": device_id, "sync": true })).await["access_code_id"].clone(),
            );
            workspace.advance("PT1M").await;
        }
        let first = workspace.post("/access_codes/list", json!({ "device_id": device_id, "limit": 2 })).await.ok();
        let shown = ids(&first, "access_codes", "access_code_id");
        assert_eq!(shown, [created[3].as_str().unwrap(), created[2].as_str().unwrap()]);
        // The last row of the first page is deleted, and a new row is created, which is listed first.
        workspace.post("/access_codes/delete", json!({ "access_code_id": created[2], "sync": true })).await.ok();
        workspace.create(json!({ "device_id": device_id })).await;
        let cursor = &first["pagination"]["next_page_cursor"];
        let params = json!({ "device_id": device_id, "limit": 2, "page_cursor": cursor });
        let second = workspace.post("/access_codes/list", params).await.ok();
        let shown = ids(&second, "access_codes", "access_code_id");
        assert_eq!(shown, [created[1].as_str().unwrap(), created[0].as_str().unwrap()]);
        assert_eq!(second["pagination"]["has_next_page"], false);
    });
}

#[test]
fn page_cursor_is_valid_only_for_the_request_it_came_from() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let first = workspace.post("/devices/list", json!({ "limit": 1, "device_type": "august_lock" })).await.ok();
        let cursor = &first["pagination"]["next_page_cursor"];
        workspace
            .post("/devices/list", json!({ "device_type": "august_lock", "limit": 1, "page_cursor": cursor }))
            .await
            .ok();
        for other in [
            json!({ "limit": 2, "device_type": "august_lock", "page_cursor": cursor }),
            json!({ "limit": 1, "page_cursor": cursor }),
            json!({ "limit": 1, "device_type": "august_lock", "search": "x", "page_cursor": cursor }),
            json!({ "limit": 1, "device_type": "august_lock", "page_cursor": "made up" }),
            json!({ "limit": 1, "device_type": "august_lock", "page_cursor": "bnVsbA" }),
        ] {
            workspace.post("/devices/list", other).await.error(400, "mismatched_page_parameters");
        }
    });
}

#[test]
fn limit_must_be_a_whole_number_of_at_least_one() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        for limit in [json!(0), json!(-1), json!(1.5)] {
            for path in ["/devices/list", "/access_codes/list", "/action_attempts/list"] {
                let params = json!({ "device_id": workspace.lock(0), "limit": limit });
                assert_eq!(workspace.post(path, params).await.invalid("limit").len(), 1, "{path} {limit}");
            }
        }
        for limit in [json!(1e300), json!(u64::MAX), json!(2.0)] {
            assert_eq!(
                ids(&workspace.post("/devices/list", json!({ "limit": limit })).await.ok(), "devices", "device_id")
                    .len(),
                2
            );
        }
    });
}

#[test]
fn device_cursor_reveals_nothing_about_other_workspaces() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(3).await, TestWorkspace::with_locks(3).await);
        let params = json!({ "limit": 1 });
        let first = workspace.post("/devices/list", params.clone()).await.ok();
        let cursor = first["pagination"]["next_page_cursor"].as_str().unwrap();
        // The same cursor with a device of another workspace, and with a device that does not exist.
        let forged = |device_id: &str| {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap();
            assert!(text.contains(&workspace.lock(0)), "{text}");
            URL_SAFE_NO_PAD.encode(text.replace(&workspace.lock(0), device_id))
        };
        let page_after = async |device_id: &str| {
            let reply = workspace.post("/devices/list", json!({ "limit": 1, "page_cursor": forged(device_id) })).await;
            (reply.status, reply.body["devices"].clone(), reply.body["error"]["type"].clone())
        };
        assert_eq!(page_after(&other.lock(1)).await, page_after("00000000-0000-4000-8000-00000000dead").await);
        assert_eq!(page_after(&workspace.lock(0)).await.0, 200);
    });
}

#[test]
fn events_list_has_at_most_ten_thousand_events() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        for limit in [json!(10_000), json!(10_001), json!(u64::MAX), json!(1e300)] {
            let listed = workspace.post("/events/list", json!({ "since": "2000-01-01", "limit": limit })).await.ok();
            let codes = listed["events"].as_array().unwrap().iter();
            assert_eq!(codes.filter(|event| event.get("access_code_id").is_some()).count(), 1, "{limit}");
        }
        let workspace_id: uuid::Uuid = workspace.workspace_id.parse().unwrap();
        let many = "insert into event (event_id, workspace_id, event_type, occurred_at, created_at, device_id, connected_account_id)
                    select gen_random_uuid(), workspace_id, 'device.connected', occurred_at, created_at, device_id,
                           connected_account_id
                    from event, generate_series(1, 10500) where workspace_id = $1 and event_type = 'device.added'";
        sqlx::query(many).bind(workspace_id).execute(crate::support::app().pool.raw()).await.unwrap();
        let listed = workspace.post("/events/list", json!({ "since": "2000-01-01", "limit": 20_000 })).await;
        assert_eq!(listed.body["events"].as_array().unwrap().len(), 10_000);
    });
}
