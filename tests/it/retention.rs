//! What is older than it is to be kept goes, and nothing else.

use crate::support::{World, app, run};
use chrono::TimeDelta;
use latchkey::testing::engine::retention::remove_older_than;
use serde_json::{Value, json};

/// Makes everything that has happened in a world happen two hours earlier.
async fn age(world: &World) {
    for statement in [
        "update event set occurred_at = occurred_at - interval '2 hours' where workspace_id = $1::text::uuid",
        "update action_attempt set created_at = created_at - interval '2 hours' where workspace_id = $1::text::uuid",
        "update access_code set gone_at = gone_at - interval '2 hours' where workspace_id = $1::text::uuid",
    ] {
        sqlx::query(statement).bind(&world.workspace_id).execute(app().pool.raw()).await.unwrap();
    }
}

async fn count(world: &World, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).bind(&world.workspace_id).fetch_one(app().pool.raw()).await.unwrap()
}

async fn history(world: &World) -> (Vec<Value>, Vec<Value>, i64) {
    let events = world.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z" })).await.ok();
    let attempts = world.post("/action_attempts/list", json!({})).await.ok();
    let list = |answer: &Value, name: &str| answer[name].as_array().unwrap().clone();
    let codes = count(world, "select count(*) from access_code where workspace_id = $1::text::uuid").await;
    (list(&events, "events"), list(&attempts, "action_attempts"), codes)
}

/// A code that comes and goes, and one that stays.
async fn live_through(world: &World, is_live: bool) -> Value {
    let passing = world.create(json!({ "device_id": world.lock(0), "sync": true })).await;
    let staying = world.create(json!({ "device_id": world.lock(0), "sync": true })).await;
    world.post("/access_codes/delete", json!({ "access_code_id": passing["access_code_id"], "sync": true })).await.ok();
    if is_live {
        world.tick().await;
    } else {
        drop(world.advance("PT1S").await);
    }
    world.access_code(&staying["access_code_id"]).await
}

#[test]
fn old_events_and_attempts_and_codes_that_are_gone_as_long_leave_a_live_world() {
    run(async {
        let world = World::make(json!({ "clock": "live", "locks": 1, "programming": "at_once" })).await;
        let staying = live_through(&world, true).await;
        let (events, attempts, codes) = history(&world).await;
        assert!(events.len() >= 6 && attempts.len() == 3 && codes == 2, "{events:?}");
        remove_older_than(&app(), TimeDelta::hours(1)).await.unwrap();
        assert_eq!(history(&world).await, (events, attempts, codes), "nothing is old");
        age(&world).await;
        let recent = world.create(json!({ "device_id": world.lock(0), "sync": true })).await;
        remove_older_than(&app(), TimeDelta::hours(1)).await.unwrap();
        let (events, attempts, codes) = history(&world).await;
        assert!(!events.is_empty() && events.iter().all(|event| event["access_code_id"] == recent["access_code_id"]));
        assert_eq!((attempts.len(), codes), (1, 2));
        assert_eq!(world.access_code(&staying["access_code_id"]).await, staying, "what is there stays as it is");
    });
}

#[test]
fn a_code_that_is_gone_stays_while_what_speaks_of_it_does() {
    run(async {
        let world = World::make(json!({ "clock": "live", "locks": 1, "programming": "at_once" })).await;
        live_through(&world, true).await;
        // Its first events are old, its end is not.
        let old = "update event set occurred_at = occurred_at - interval '2 hours'
                   where workspace_id = $1::text::uuid and event_type = 'access_code.created'";
        sqlx::query(old).bind(&world.workspace_id).execute(app().pool.raw()).await.unwrap();
        remove_older_than(&app(), TimeDelta::hours(1)).await.unwrap();
        let (events, attempts, codes) = history(&world).await;
        assert!(events.iter().all(|event| event["event_type"] != "access_code.created"));
        assert!(events.iter().any(|event| event["event_type"] == "access_code.deleted"));
        assert_eq!((attempts.len(), codes), (3, 2));
        assert!(attempts.iter().all(|attempt| attempt["status"] == "success"), "{attempts:?}");
    });
}

#[test]
fn a_world_whose_clock_is_held_or_runs_only_for_a_while_keeps_all() {
    run(async {
        let held = World::make(json!({ "locks": 1, "programming": "at_once" })).await;
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
        let world = World::make(json!({ "clock": "live", "locks": 10, "programming": "at_once" })).await;
        for _ in 0..60 {
            world.post("/access_codes/create_multiple", json!({ "device_ids": world.locks() })).await.ok();
        }
        world.tick().await;
        let (events, ..) = history(&world).await;
        assert_eq!(events.len(), 500, "a page");
        let all = "select count(*) from event where workspace_id = $1::text::uuid";
        assert!(count(&world, all).await > 1000);
        age(&world).await;
        let (one, other) = (app(), app());
        let hour = TimeDelta::hours(1);
        let (one, other) = tokio::join!(remove_older_than(&one, hour), remove_older_than(&other, hour));
        one.and(other).unwrap();
        remove_older_than(&app(), hour).await.unwrap();
        assert_eq!(count(&world, all).await, 0);
        let (.., codes) = history(&world).await;
        assert_eq!(codes, 600);
    });
}
