//! The scheduler beside locks that it cannot work on or that are held.

use super::database::{database_of, locks_of, until_it_serves, with_database};
use super::{Latchkey, codes_at_rest, folder, id_of, post, postgres_in, wait_for};
use latchkey::testing::postgres::private::PrivatePostgres;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use std::time::{Duration, Instant};

/// Makes the row of a code one that does not decode.
const SPOIL: &str = "update access_code set particulars = '{\"updating\": 7}' where access_code_id = $1::uuid";

/// Something is wrong with a row of a code: its lock is parked, and the others go on until it is mended.
fn is_parked(spoil: &'static str, mend: &'static str) {
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
        until("the lock beside it goes on", async || {
            let beside = post(&latchkey.base_url, &key, "/access_codes/get", &params).await.unwrap();
            beside["access_code"]["status"] == "set"
        })
        .await;
        until("health counts what is wrong", async || {
            let health = latchkey.post("/health", json!({})).await;
            health["scheduler"]["parked_devices"] == 1
                && health["scheduler"]["overdue_access_codes"] == 1
                && health["scheduler"]["last_round_at"].is_string()
                && health["service_health_statuses"][2]["status"] == "degraded"
                && health["database_connections"]["limit"] == 16
        })
        .await;
        sqlx::query(mend).bind(&id).execute(&mut connection).await.unwrap();
        until("it is tried again, and forgotten when it works", async || {
            let health = latchkey.post("/health", json!({})).await;
            health["scheduler"]["parked_devices"] == 0 && health["scheduler"]["overdue_access_codes"] == 0
        })
        .await;
    });
}

/// Waits until something is so, which has to be soon.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn lock_with_a_row_that_does_not_decode_is_parked() {
    is_parked(SPOIL, "update access_code set particulars = null where access_code_id = $1::uuid");
}

#[test]
fn lock_with_a_code_whose_next_event_exists_already_is_parked() {
    // Ids of a seeded workspace follow from how many things a code has had: the next event would be the first again.
    is_parked(
        "update access_code set children = 1 where access_code_id = $1::uuid",
        "update access_code set children = 10 where access_code_id = $1::uuid",
    );
}

/// Makes thousands of codes fall due on locks that are held until the transaction ends.
async fn with_overdue_codes_on_held_locks<'c>(
    latchkey: &Latchkey,
    holder: &'c mut PgConnection,
) -> sqlx::Transaction<'c, sqlx::Postgres> {
    let params = json!({ "locks": 100, "programming": { "after": "PT2S" }, "clock": "live" });
    let busy = latchkey.post("/_emulator/workspaces/create", params).await;
    let key = busy["api_key"].as_str().unwrap();
    let devices: Vec<&Value> = busy["devices"].as_array().unwrap().iter().map(|it| &it["device_id"]).collect();
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

/// Runs a test on a server of its own, while thousands of codes are overdue on locks that somebody holds.
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

/// A new code of the sandbox is set within two seconds.
async fn sets_a_code_soon(latchkey: &Latchkey) {
    let locks = locks_of(latchkey).await;
    let begun = Instant::now();
    latchkey.post("/access_codes/create", json!({ "device_id": locks[0] })).await;
    codes_at_rest(latchkey, &locks[..1]).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
}

#[test]
fn codes_of_locks_that_are_held_do_not_keep_others_from_being_set() {
    beside_held_locks(async |latchkey, _| {
        sets_a_code_soon(latchkey).await;
    });
}

#[test]
fn lock_that_cannot_be_worked_on_is_found_behind_locks_that_are_held() {
    beside_held_locks(async |latchkey, postgres| {
        let params = json!({ "locks": 1, "programming": { "after": "PT0.5S" }, "clock": "live" });
        let sick = latchkey.post("/_emulator/workspaces/create", params).await;
        let (key, params) =
            (sick["api_key"].as_str().unwrap(), json!({ "device_id": sick["devices"][0]["device_id"] }));
        let broken = post(&latchkey.base_url, key, "/access_codes/create", &params).await.unwrap();
        let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
        sqlx::query(SPOIL).bind(id_of(&broken["access_code"])).execute(&mut connection).await.unwrap();
        until("it is parked", async || latchkey.post("/health", json!({})).await["scheduler"]["parked_devices"] == 1)
            .await;
        sets_a_code_soon(latchkey).await;
    });
}

#[test]
fn code_whose_row_is_held_stops_only_one_of_two_loops_beside_held_locks() {
    beside_held_locks(async |latchkey, postgres| {
        let locks = locks_of(latchkey).await;
        let code = latchkey.post("/access_codes/create", json!({ "device_id": locks[1] })).await;
        let mut other = PgConnection::connect(&postgres.url()).await.unwrap();
        let mut row = other.begin().await.unwrap();
        let lock_row = "select from access_code where access_code_id = $1::uuid for update";
        sqlx::query(lock_row).bind(id_of(&code["access_code"])).execute(&mut *row).await.unwrap();
        until("one of them waits for the row", async || {
            let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
            sqlx::query_scalar::<_, i64>(waits)
                .fetch_one(&mut PgConnection::connect(&postgres.url()).await.unwrap())
                .await
                .unwrap()
                == 1
        })
        .await;
        sets_a_code_soon(latchkey).await;
        row.rollback().await.unwrap();
    });
}
