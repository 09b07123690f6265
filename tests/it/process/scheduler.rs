//! The scheduler, while it cannot process the codes of some locks or other transactions hold their row locks.

use super::database::{database_of, locks_of, until_it_serves, with_database};
use super::{Latchkey, codes_at_rest, folder, id_of, post, postgres_in, wait_for};
use latchkey::testing::postgres::private::PrivatePostgres;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use std::time::{Duration, Instant};

/// Changes the row of a code so that it does not decode.
const SPOIL: &str = "update access_code set particulars = '{\"updating\": 7}' where access_code_id = $1::uuid";

/// Damages the row of a code with `spoil`, and checks that its lock is parked while the others are processed, until
/// `mend` repairs the row.
fn check_parked(spoil: &'static str, mend: &'static str) {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    wait_for(async {
        let params = json!({ "seed": "sick", "locks": 2, "programming": { "after": "PT1S" }, "clock": "live" });
        let sick = latchkey.post("/_emulator/workspaces/create", params).await;
        let key = sick["api_key"].as_str().unwrap().to_owned();
        let lock = |index: usize| sick["devices"][index]["device_id"].clone();
        let create = "/access_codes/create";
        let broken = post(&latchkey.base_url, &key, create, &json!({ "device_id": lock(0) })).await.unwrap();
        let mut connection = PgConnection::connect(&database_of(&latchkey)).await.unwrap();
        let id = id_of(&broken["access_code"]);
        assert_eq!(sqlx::query(spoil).bind(&id).execute(&mut connection).await.unwrap().rows_affected(), 1);
        let beside = post(&latchkey.base_url, &key, create, &json!({ "device_id": lock(1) })).await.unwrap();
        let locks = locks_of(&latchkey).await;
        until_it_serves(&latchkey, &locks[0]).await;
        codes_at_rest(&latchkey, &locks).await;
        let params = json!({ "access_code_id": beside["access_code"]["access_code_id"] });
        until("the other lock confirms its code", async || {
            let beside = post(&latchkey.base_url, &key, "/access_codes/get", &params).await.unwrap();
            beside["access_code"]["status"] == "set"
        })
        .await;
        until("health reports the parked lock", async || {
            let health = latchkey.post("/health", json!({})).await;
            health["scheduler"]["parked_devices"] == 1
                && health["scheduler"]["overdue_access_codes"] == 1
                && health["scheduler"]["last_round_at"].is_string()
                && health["service_health_statuses"][2]["status"] == "degraded"
                && health["database_connections"]["limit"] == 16
        })
        .await;
        sqlx::query(mend).bind(&id).execute(&mut connection).await.unwrap();
        until("the lock is retried and no longer parked", async || {
            let health = latchkey.post("/health", json!({})).await;
            health["scheduler"]["parked_devices"] == 0 && health["scheduler"]["overdue_access_codes"] == 0
        })
        .await;
    });
}

/// Waits until a condition holds. Panics after 20 seconds.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "timeout: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn lock_with_a_row_that_does_not_decode_is_parked() {
    check_parked(SPOIL, "update access_code set particulars = null where access_code_id = $1::uuid");
}

#[test]
fn lock_is_not_parked_after_its_broken_code_was_removed() {
    check_parked(SPOIL, "delete from access_code where access_code_id = $1::uuid");
}

#[test]
fn lock_with_a_code_whose_next_event_exists_already_is_parked() {
    // Ids in a seeded workspace derive from the count of ids per code: the next event would get an id that exists.
    check_parked(
        "update access_code set children = 1 where access_code_id = $1::uuid",
        "update access_code set children = 10 where access_code_id = $1::uuid",
    );
}

/// Makes thousands of codes fall due on locks whose rows the returned transaction holds.
async fn with_overdue_codes_on_held_locks<'c>(
    latchkey: &Latchkey,
    holder: &'c mut PgConnection,
) -> sqlx::Transaction<'c, sqlx::Postgres> {
    let params = json!({ "locks": 100, "programming": { "after": "PT2S" }, "clock": "live" });
    let busy = latchkey.post("/_emulator/workspaces/create", params).await;
    let key = busy["api_key"].as_str().unwrap();
    let devices: Vec<&Value> = busy["devices"].as_array().unwrap().iter().map(|device| &device["device_id"]).collect();
    for _ in 0..40 {
        let params = json!({ "device_ids": devices });
        post(&latchkey.base_url, key, "/access_codes/create_multiple", &params).await.unwrap();
    }
    let mut held = holder.begin().await.unwrap();
    let lock_rows = "select from device where workspace_id = $1::uuid for update";
    let workspace_id = busy["workspace"]["workspace_id"].as_str().unwrap();
    sqlx::query(lock_rows).bind(workspace_id).execute(&mut *held).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    held
}

/// Runs a test on a separate server, while thousands of codes are overdue on locks whose rows are held.
fn beside_held_locks(test: impl AsyncFnOnce(&Latchkey, &PrivatePostgres)) {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let latchkey = with_database(&postgres, &[]);
    wait_for(async {
        let mut holder = PgConnection::connect(&postgres.url()).await.unwrap();
        let held = with_overdue_codes_on_held_locks(&latchkey, &mut holder).await;
        test(&latchkey, &postgres).await;
        held.rollback().await.unwrap();
    });
}

/// Checks that a new code of the sandbox is set within two seconds.
async fn check_code_is_set_soon(latchkey: &Latchkey) {
    let locks = locks_of(latchkey).await;
    let begun = Instant::now();
    latchkey.post("/access_codes/create", json!({ "device_id": locks[0] })).await;
    codes_at_rest(latchkey, &locks[..1]).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
}

#[test]
fn scheduler_sets_codes_while_the_rows_of_other_locks_are_held() {
    beside_held_locks(async |latchkey, _| {
        check_code_is_set_soon(latchkey).await;
    });
}

#[test]
fn scheduler_parks_a_broken_lock_behind_locks_with_held_rows() {
    beside_held_locks(async |latchkey, postgres| {
        let params = json!({ "locks": 1, "programming": { "after": "PT0.5S" }, "clock": "live" });
        let sick = latchkey.post("/_emulator/workspaces/create", params).await;
        let (key, params) =
            (sick["api_key"].as_str().unwrap(), json!({ "device_id": sick["devices"][0]["device_id"] }));
        let broken = post(&latchkey.base_url, key, "/access_codes/create", &params).await.unwrap();
        let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
        sqlx::query(SPOIL).bind(id_of(&broken["access_code"])).execute(&mut connection).await.unwrap();
        until("a parked lock", async || latchkey.post("/health", json!({})).await["scheduler"]["parked_devices"] == 1)
            .await;
        check_code_is_set_soon(latchkey).await;
    });
}

#[test]
fn scheduler_continues_while_one_of_its_two_loops_waits_for_a_held_row() {
    beside_held_locks(async |latchkey, postgres| {
        let locks = locks_of(latchkey).await;
        let code = latchkey.post("/access_codes/create", json!({ "device_id": locks[1] })).await;
        let mut other = PgConnection::connect(&postgres.url()).await.unwrap();
        let mut row = other.begin().await.unwrap();
        let lock_row = "select from access_code where access_code_id = $1::uuid for update";
        sqlx::query(lock_row).bind(id_of(&code["access_code"])).execute(&mut *row).await.unwrap();
        until("a scheduler loop waits for the row", async || {
            let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
            sqlx::query_scalar::<_, i64>(waits)
                .fetch_one(&mut PgConnection::connect(&postgres.url()).await.unwrap())
                .await
                .unwrap()
                == 1
        })
        .await;
        check_code_is_set_soon(latchkey).await;
        row.rollback().await.unwrap();
    });
}

#[test]
fn scheduler_sets_each_of_many_codes_with_one_start_exactly_once() {
    check_all_are_set(40, 60);
}

#[test]
fn scheduler_sets_more_codes_of_one_lock_than_a_batch_takes() {
    check_all_are_set(1, 450);
}

/// Makes all codes of some locks fall due at one instant, which takes several batches, and checks that each is set once.
fn check_all_are_set(locks: usize, codes_per_lock: usize) {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    wait_for(async {
        let lock = json!({ "device_type": "august_lock", "native_scheduling": true });
        let params = json!({ "clock": { "held_at": "2026-06-01T12:00:00Z" }, "locks": vec![lock; locks] });
        let workspace = latchkey.post("/_emulator/workspaces/create", params).await;
        let key = workspace["api_key"].as_str().unwrap();
        let ask = async |path: &str, params: Value| post(&latchkey.base_url, key, path, &params).await.unwrap();
        let devices = workspace["devices"].as_array().unwrap().iter().map(|device| &device["device_id"]);
        let devices: Vec<&Value> = devices.collect();
        for _ in 0..codes_per_lock {
            let window = json!({ "device_ids": devices, "starts_at": "2026-06-01T15:00:00Z",
                                 "ends_at": "2026-06-02T15:00:00Z" });
            assert_eq!(ask("/access_codes/create_multiple", window).await["ok"], true);
        }
        ask("/_emulator/clock/advance", json!({ "to": "2026-06-01T14:59:59Z" })).await;
        ask("/_emulator/clock/run", json!({ "rate": 1 })).await;
        let workspace_id = workspace["workspace"]["workspace_id"].as_str().unwrap();
        let counts = async || -> (i64, i64) {
            let mut connection = PgConnection::connect(&database_of(&latchkey)).await.unwrap();
            let counts = "select count(*), count(distinct access_code_id) from event
                          where event_type = 'access_code.set_on_device' and workspace_id = $1::uuid";
            sqlx::query_as(counts).bind(workspace_id).fetch_one(&mut connection).await.unwrap()
        };
        let expected = i64::try_from(locks * codes_per_lock).unwrap();
        until("all codes are set", async || counts().await.1 >= expected).await;
        assert_eq!(counts().await, (expected, expected));
    });
}
