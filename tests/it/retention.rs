//! Retention: removes history that is older than the retention period, and nothing else.

use crate::support::{TestWorkspace, app, run};
use chrono::TimeDelta;
use latchkey::testing::engine::retention::remove_older_than;
use serde_json::{Value, json};

/// Moves the history of a workspace two hours into the past.
async fn age(workspace: &TestWorkspace) {
    for statement in [
        "update event set occurred_at = occurred_at - interval '2 hours' where workspace_id = $1::text::uuid",
        "update action_attempt set created_at = created_at - interval '2 hours' where workspace_id = $1::text::uuid",
        "update access_code set gone_at = gone_at - interval '2 hours' where workspace_id = $1::text::uuid",
    ] {
        sqlx::query(statement).bind(&workspace.workspace_id).execute(app().pool.raw()).await.unwrap();
    }
}

async fn count(workspace: &TestWorkspace, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).bind(&workspace.workspace_id).fetch_one(app().pool.raw()).await.unwrap()
}

async fn history(workspace: &TestWorkspace) -> (Vec<Value>, Vec<Value>, i64) {
    let events = workspace.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z" })).await.ok();
    let attempts = workspace.post("/action_attempts/list", json!({})).await.ok();
    let list = |response: &Value, name: &str| response[name].as_array().unwrap().clone();
    let codes = count(workspace, "select count(*) from access_code where workspace_id = $1::text::uuid").await;
    (list(&events, "events"), list(&attempts, "action_attempts"), codes)
}

/// Creates a code that is deleted and a code that stays, and returns the second one.
async fn create_history(workspace: &TestWorkspace, is_live: bool) -> Value {
    let passing = workspace.create(json!({ "device_id": workspace.lock(0), "sync": true })).await;
    let staying = workspace.create(json!({ "device_id": workspace.lock(0), "sync": true })).await;
    workspace
        .post("/access_codes/delete", json!({ "access_code_id": passing["access_code_id"], "sync": true }))
        .await
        .ok();
    if is_live {
        workspace.tick().await;
    } else {
        drop(workspace.advance("PT1S").await);
    }
    workspace.access_code(&staying["access_code_id"]).await
}

#[test]
fn retention_removes_old_events_attempts_and_gone_codes() {
    run(async {
        let workspace =
            TestWorkspace::create_with(json!({ "clock": "live", "locks": 1, "programming": "at_once" })).await;
        let staying = create_history(&workspace, true).await;
        let (events, attempts, codes) = history(&workspace).await;
        assert!(events.len() >= 6 && attempts.len() == 3 && codes == 2, "{events:?}");
        remove_older_than(&app(), TimeDelta::hours(1)).await.unwrap();
        assert_eq!(history(&workspace).await, (events, attempts, codes), "nothing is old enough to be removed");
        age(&workspace).await;
        let recent = workspace.create(json!({ "device_id": workspace.lock(0), "sync": true })).await;
        remove_older_than(&app(), TimeDelta::hours(1)).await.unwrap();
        let (events, attempts, codes) = history(&workspace).await;
        assert!(!events.is_empty() && events.iter().all(|event| event["access_code_id"] == recent["access_code_id"]));
        assert_eq!((attempts.len(), codes), (1, 2));
        assert_eq!(workspace.access_code(&staying["access_code_id"]).await, staying, "a code that exists is unchanged");
    });
}

#[test]
fn deleted_code_stays_while_an_event_refers_to_it() {
    run(async {
        let workspace =
            TestWorkspace::create_with(json!({ "clock": "live", "locks": 1, "programming": "at_once" })).await;
        create_history(&workspace, true).await;
        // The creation events are old, the deletion is not.
        let old = "update event set occurred_at = occurred_at - interval '2 hours'
                   where workspace_id = $1::text::uuid and event_type = 'access_code.created'";
        sqlx::query(old).bind(&workspace.workspace_id).execute(app().pool.raw()).await.unwrap();
        remove_older_than(&app(), TimeDelta::hours(1)).await.unwrap();
        let (events, attempts, codes) = history(&workspace).await;
        assert!(events.iter().all(|event| event["event_type"] != "access_code.created"));
        assert!(events.iter().any(|event| event["event_type"] == "access_code.deleted"));
        assert_eq!((attempts.len(), codes), (3, 2));
        assert!(attempts.iter().all(|attempt| attempt["status"] == "success"), "{attempts:?}");
    });
}

#[test]
fn retention_skips_workspaces_whose_clock_is_held_or_running() {
    run(async {
        let held = TestWorkspace::create_with(json!({ "locks": 1, "programming": "at_once" })).await;
        create_history(&held, false).await;
        held.advance("P30D").await;
        age(&held).await;
        let before = history(&held).await;
        remove_older_than(&app(), TimeDelta::hours(1)).await.unwrap();
        assert_eq!(history(&held).await, before);
        held.post("/_emulator/clock/run", json!({ "rate": 1000 })).await.ok();
        remove_older_than(&app(), TimeDelta::hours(1)).await.unwrap();
        assert_eq!(history(&held).await, before);
    });
}

#[test]
fn retention_removes_several_batches_also_when_run_concurrently() {
    run(async {
        let workspace =
            TestWorkspace::create_with(json!({ "clock": "live", "locks": 10, "programming": "at_once" })).await;
        for _ in 0..60 {
            workspace.post("/access_codes/create_multiple", json!({ "device_ids": workspace.locks() })).await.ok();
        }
        workspace.tick().await;
        let (events, ..) = history(&workspace).await;
        assert_eq!(events.len(), 500, "a page");
        let event_count = "select count(*) from event where workspace_id = $1::text::uuid";
        assert!(count(&workspace, event_count).await > 1000);
        age(&workspace).await;
        let (one, other) = (app(), app());
        let hour = TimeDelta::hours(1);
        let (one, other) = tokio::join!(remove_older_than(&one, hour), remove_older_than(&other, hour));
        one.and(other).unwrap();
        remove_older_than(&app(), hour).await.unwrap();
        assert_eq!(count(&workspace, event_count).await, 0);
        let (.., codes) = history(&workspace).await;
        assert_eq!(codes, 600);
    });
}
