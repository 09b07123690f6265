//! What is older than it is to be kept goes, and nothing else.

use crate::support::{TestWorkspace, app, run};
use chrono::TimeDelta;
use latchkey::testing::engine::retention::remove_older_than;
use serde_json::{Value, json};

/// Makes everything that has happened in a workspace happen two hours earlier.
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
    let list = |answer: &Value, name: &str| answer[name].as_array().unwrap().clone();
    let codes = count(workspace, "select count(*) from access_code where workspace_id = $1::text::uuid").await;
    (list(&events, "events"), list(&attempts, "action_attempts"), codes)
}

/// A code that comes and goes, and one that stays.
async fn live_through(workspace: &TestWorkspace, is_live: bool) -> Value {
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
        let workspace = TestWorkspace::make(json!({ "clock": "live", "locks": 1, "programming": "at_once" })).await;
        let staying = live_through(&workspace, true).await;
        let (events, attempts, codes) = history(&workspace).await;
        assert!(events.len() >= 6 && attempts.len() == 3 && codes == 2, "{events:?}");
        remove_older_than(&app(), TimeDelta::hours(1)).await.unwrap();
        assert_eq!(history(&workspace).await, (events, attempts, codes), "nothing is old");
        age(&workspace).await;
        let recent = workspace.create(json!({ "device_id": workspace.lock(0), "sync": true })).await;
        remove_older_than(&app(), TimeDelta::hours(1)).await.unwrap();
        let (events, attempts, codes) = history(&workspace).await;
        assert!(!events.is_empty() && events.iter().all(|event| event["access_code_id"] == recent["access_code_id"]));
        assert_eq!((attempts.len(), codes), (1, 2));
        assert_eq!(workspace.access_code(&staying["access_code_id"]).await, staying, "what is there stays as it is");
    });
}

#[test]
fn a_code_that_is_gone_stays_while_what_speaks_of_it_does() {
    run(async {
        let workspace = TestWorkspace::make(json!({ "clock": "live", "locks": 1, "programming": "at_once" })).await;
        live_through(&workspace, true).await;
        // Its first events are old, its end is not.
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
fn a_workspace_whose_clock_is_held_or_runs_only_for_a_while_keeps_all() {
    run(async {
        let held = TestWorkspace::make(json!({ "locks": 1, "programming": "at_once" })).await;
        live_through(&held, false).await;
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
fn more_than_fits_into_one_batch_goes_too_and_removing_from_several_sides_at_once_is_no_trouble() {
    run(async {
        let workspace = TestWorkspace::make(json!({ "clock": "live", "locks": 10, "programming": "at_once" })).await;
        for _ in 0..60 {
            workspace.post("/access_codes/create_multiple", json!({ "device_ids": workspace.locks() })).await.ok();
        }
        workspace.tick().await;
        let (events, ..) = history(&workspace).await;
        assert_eq!(events.len(), 500, "a page");
        let all = "select count(*) from event where workspace_id = $1::text::uuid";
        assert!(count(&workspace, all).await > 1000);
        age(&workspace).await;
        let (one, other) = (app(), app());
        let hour = TimeDelta::hours(1);
        let (one, other) = tokio::join!(remove_older_than(&one, hour), remove_older_than(&other, hour));
        one.and(other).unwrap();
        remove_older_than(&app(), hour).await.unwrap();
        assert_eq!(count(&workspace, all).await, 0);
        let (.., codes) = history(&workspace).await;
        assert_eq!(codes, 600);
    });
}
