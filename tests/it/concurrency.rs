//! Concurrent requests for the same few locks, while the scheduler runs.
//!
//! The invariants are checked in the database, not in the responses.

mod batches;

use crate::support::{Reply, START, TestWorkspace, UNKNOWN, app, post_as, run};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use latchkey::testing::engine::app::App;
use latchkey::testing::engine::scheduler;
use latchkey::testing::postgres::{PoolLimits, Pools};
use latchkey::testing::server;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt;
use uuid::Uuid;

/// Sends a POST request to another server on the same database and returns the status of the response.
async fn post_to(router: &Router, api_key: &str, path: &str, body: Value) -> u16 {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, format!("Bearer {api_key}"));
    let request = request.body(Body::from(body.to_string())).unwrap();
    router.clone().oneshot(request).await.unwrap().status().as_u16()
}

/// Sends these requests concurrently, each in its own task, and returns the responses in the order of the requests.
pub(crate) async fn send_concurrently(api_key: &str, requests: Vec<(&'static str, Value)>) -> Vec<Reply> {
    let start = Arc::new(Barrier::new(requests.len()));
    let mut tasks = JoinSet::new();
    for (index, (path, body)) in requests.into_iter().enumerate() {
        let (start, api_key) = (Arc::clone(&start), api_key.to_owned());
        tasks.spawn(async move {
            start.wait().await;
            (index, post_as(&api_key, path, body).await)
        });
    }
    let mut replies = tasks.join_all().await;
    replies.sort_by_key(|(index, _)| *index);
    replies.into_iter().map(|(_, reply)| reply).collect()
}

/// Schedulers that tick concurrently and without a pause until [`Tickers::stop`] is called.
pub(crate) struct Tickers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Tickers {
    pub(crate) fn start(count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ticker = |stop: Arc<AtomicBool>| async move {
            while !stop.load(Ordering::Relaxed) {
                scheduler::tick(&app()).await.expect("the scheduler returns no error");
                tokio::task::yield_now().await;
            }
        };
        let tasks = (0..count).map(|_| tokio::spawn(ticker(Arc::clone(&stop)))).collect();
        Self { stop, tasks }
    }

    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Creates a workspace with these locks and a live clock. The server of the tests starts no scheduler: use [`Tickers`].
pub(crate) async fn live(locks: Value) -> TestWorkspace {
    TestWorkspace::create_with(json!({ "locks": locks, "clock": "live" })).await
}

fn id_of(workspace: &TestWorkspace) -> Uuid {
    workspace.workspace_id.parse().unwrap()
}

/// Counts pairs of codes on one lock that are not gone and have the same PIN in overlapping time frames.
async fn count_pin_conflicts(workspace: &TestWorkspace) -> i64 {
    let statement = "select count(*) from access_code a join access_code b using (device_id, code)
         where a.workspace_id = $1 and a.access_code_id < b.access_code_id and a.gone_at is null and b.gone_at is null
           and tstzrange(a.starts_at, a.ends_at) && tstzrange(b.starts_at, b.ends_at)";
    sqlx::query_scalar(statement).bind(id_of(workspace)).fetch_one(app().pool.raw()).await.unwrap()
}

/// Returns the largest number of codes that each lock of a workspace had at one instant, by the index of the lock.
async fn peak_code_counts(workspace: &TestWorkspace) -> Vec<i64> {
    let statement = "with occupied as (
             select device_id, created_at as at, gone_at as until from access_code where workspace_id = $1
         )
         select device_id, max((select count(*) from occupied o
                                where o.device_id = occupied.device_id and o.at <= occupied.at
                                  and (o.until is null or o.until > occupied.at)))
         from occupied group by device_id";
    let rows: Vec<(Uuid, i64)> =
        sqlx::query_as(statement).bind(id_of(workspace)).fetch_all(app().pool.raw()).await.unwrap();
    let by_lock: BTreeMap<String, i64> = rows.into_iter().map(|(id, count)| (id.to_string(), count)).collect();
    workspace.locks().iter().map(|id| by_lock.get(id).copied().unwrap_or(0)).collect()
}

/// Counts the values of `common_code_key` whose codes, as far as they are not gone, have more than one PIN.
async fn count_split_groups(workspace: &TestWorkspace) -> i64 {
    let statement = "select count(*) from (select from access_code
         where workspace_id = $1 and common_code_key is not null and gone_at is null
         group by common_code_key having count(distinct code) > 1) as split";
    sqlx::query_scalar(statement).bind(id_of(workspace)).fetch_one(app().pool.raw()).await.unwrap()
}

/// Returns the codes whose events are missing, repeated or not in the order of the lifecycle, with these events.
async fn codes_with_wrong_events(workspace: &TestWorkspace) -> Vec<(Uuid, String)> {
    let statement = "select access_code_id, coalesce(story, '') from access_code a left join lateral (
             select string_agg(replace(event_type, 'access_code.', ''), ' ' order by sequence) as story
             from event e where e.access_code_id = a.access_code_id) as told on true
         where workspace_id = $1 and coalesce(story, '') <> all(case
             when gone_at is not null then array['created deleted', 'created set_on_device removed_from_device deleted']
             when first_held_at is not null then array['created set_on_device'] else array['created'] end)";
    sqlx::query_as(statement).bind(id_of(workspace)).fetch_all(app().pool.raw()).await.unwrap()
}

/// Checks that each response is a success or one of these errors, and counts the responses by error type or as `ok`.
pub(crate) fn tally(replies: &[Reply], errors: &[(u16, &str)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for Reply { status, body, .. } in replies {
        let kind = body["error"]["type"].as_str().unwrap_or("ok");
        assert!((*status == 200 && kind == "ok") || errors.contains(&(*status, kind)), "{status} {body}");
        *counts.entry(kind.to_owned()).or_default() += 1;
    }
    counts
}

const CREATE: &str = "/access_codes/create";
const CREATE_MULTIPLE: &str = "/access_codes/create_multiple";

const DUPLICATE: (u16, &str) = (409, "duplicate_access_code");
const NO_SPACE: (u16, &str) = (400, "no_space_for_access_code_on_device");
const INVALID_INPUT: (u16, &str) = (400, "invalid_input");
const CANNOT_BE_SHARED: (u16, &str) = (400, "code_cannot_be_shared");
const NOT_FOUND: (u16, &str) = (404, "access_code_not_found");

/// Returns the request with this number: the number selects the endpoint, the locks, the PIN and the time frame.
fn mixed_request(workspace: &TestWorkspace, number: usize) -> (&'static str, Value) {
    let lock = workspace.lock(number % 6);
    let pin = format!("48{:02}", number % 5);
    let mut device_ids: Vec<String> = (0..=number % 4).map(|step| workspace.lock((number + step * 5) % 6)).collect();
    if number.is_multiple_of(3) {
        device_ids.reverse();
    }
    // A time frame has two days, and the second one is the first day of the next time frame.
    let day = 10 + number % 7;
    let (starts_at, ends_at) = (format!("2099-04-{day}T00:00:00Z"), format!("2099-04-{}T00:00:00Z", day + 2));
    match number % 8 {
        0 | 1 => (CREATE, json!({ "device_id": lock, "code": pin })),
        2 => (CREATE, json!({ "device_id": lock, "code": pin, "starts_at": starts_at, "ends_at": ends_at })),
        3 => (CREATE, json!({ "device_id": lock })),
        4 | 5 => (CREATE, json!({ "device_id": lock, "common_code_key": format!("group {}", number % 3) })),
        6 => (CREATE_MULTIPLE, json!({ "device_ids": device_ids })),
        _ => (
            CREATE_MULTIPLE,
            json!({
                "device_ids": device_ids, "code": pin, "behavior_when_code_cannot_be_shared": "create_random_code",
            }),
        ),
    }
}

#[test]
fn concurrent_requests_of_every_kind_break_no_invariant() {
    run(async {
        let plain = json!({ "device_type": "august_lock", "supported_code_lengths": [4] });
        let capped =
            json!({ "device_type": "wyze_lock", "supported_code_lengths": [4], "max_active_codes_supported": 9 });
        let workspace = live(json!([plain, capped, plain, plain, capped, plain])).await;
        let tickers = Tickers::start(3);
        let mut known: Vec<String> = Vec::new();
        for round in 0..3 {
            let mut requests: Vec<_> = (0..200).map(|number| mixed_request(&workspace, number * 7 + round)).collect();
            for (number, id) in known.drain(..).enumerate() {
                // Every other code is deleted twice at the same moment.
                let params = json!({ "access_code_id": id, "sync": number % 3 == 0 });
                requests.extend(std::iter::repeat_n(("/access_codes/delete", params), 1 + number % 2));
            }
            let replies = send_concurrently(&workspace.api_key, requests).await;
            let counts = tally(&replies, &[DUPLICATE, NO_SPACE, INVALID_INPUT, CANNOT_BE_SHARED, NOT_FOUND]);
            assert!(counts["ok"] > 20, "{counts:?}");
            for reply in &replies {
                let single = reply.body["access_code"]["access_code_id"].as_str();
                let multiple = reply.body["access_codes"].as_array().into_iter().flatten();
                known.extend(
                    single
                        .into_iter()
                        .chain(multiple.filter_map(|code| code["access_code_id"].as_str()))
                        .map(str::to_owned),
                );
            }
            assert_eq!(
                (count_pin_conflicts(&workspace).await, count_split_groups(&workspace).await),
                (0, 0),
                "round {round}: {counts:?}"
            );
        }
        tickers.stop().await;
        let peaks = peak_code_counts(&workspace).await;
        assert!(peaks[1] <= 9 && peaks[4] <= 9, "{peaks:?}");
        assert!(peaks.iter().any(|peak| *peak > 9), "only the locks with a capacity are limited: {peaks:?}");
        // An hour on the held clock completes all operations that are due.
        workspace.post("/_emulator/clock/hold", json!({})).await.ok();
        workspace.advance("PT1H").await;
        assert_eq!(codes_with_wrong_events(&workspace).await, []);
        let unfinished = "select count(*) from access_code where workspace_id = $1 and gone_at is null
             and (deletion_requested_at is not null or (starts_at is null and held_code is null))";
        let unfinished: i64 =
            sqlx::query_scalar(unfinished).bind(id_of(&workspace)).fetch_one(app().pool.raw()).await.unwrap();
        assert_eq!(unfinished, 0);
    });
}

#[test]
fn concurrent_creates_with_one_pin_succeed_once_per_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        for round in 0..10 {
            let requests = (0..60).map(|number| {
                (CREATE, json!({ "device_id": workspace.lock(number % 3), "code": format!("482{round}") }))
            });
            let counts = tally(&send_concurrently(&workspace.api_key, requests.collect()).await, &[DUPLICATE]);
            assert_eq!(counts, BTreeMap::from([("ok".to_owned(), 3), ("duplicate_access_code".to_owned(), 57)]));
        }
        assert_eq!(count_pin_conflicts(&workspace).await, 0);
    });
}

#[test]
fn concurrent_creates_succeed_up_to_the_capacity_of_the_lock() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock", "max_active_codes_supported": 25 }])).await;
        let requests = (0..200).map(|number| match number % 2 {
            0 => (CREATE, json!({ "device_id": workspace.lock(0) })),
            _ => (CREATE_MULTIPLE, json!({ "device_ids": [workspace.lock(0)] })),
        });
        let counts = tally(&send_concurrently(&workspace.api_key, requests.collect()).await, &[NO_SPACE]);
        assert_eq!((counts["ok"], peak_code_counts(&workspace).await), (25, vec![25]));
    });
}

/// Returns a lock that accepts only 360 PINs: four different digits out of six.
fn lock_with_360_pins() -> Value {
    json!({
        "device_type": "wyze_lock",
        "supported_code_lengths": [4],
        "code_constraints": [{ "constraint_type": "cannot_contain_0789" }, { "constraint_type": "unique_first_four_digits" }],
    })
}

#[test]
fn last_free_pins_are_assigned_to_one_request_each() {
    run(async {
        let workspace = TestWorkspace::with(json!([lock_with_360_pins()])).await;
        for round in 0..2 {
            let requests = (0..200).map(|_| (CREATE, json!({ "device_id": workspace.lock(0) }))).collect();
            let counts = tally(&send_concurrently(&workspace.api_key, requests).await, &[(400, "no_code_left")]);
            assert_eq!(counts["ok"], [200, 160][round]);
        }
        assert_eq!(count_pin_conflicts(&workspace).await, 0);
    });
}

#[test]
fn create_multiple_with_overlapping_device_ids_does_not_deadlock() {
    run(async {
        let workspace = TestWorkspace::with(json!(vec![lock_with_360_pins(); 12])).await;
        let requests = (0..120).map(|number: usize| {
            let mut device_ids: Vec<String> = (0..8).map(|step| workspace.lock((number * 5 + step * 7) % 12)).collect();
            if number.is_multiple_of(2) {
                device_ids.sort_unstable();
            }
            (CREATE_MULTIPLE, json!({ "device_ids": device_ids }))
        });
        let replies = send_concurrently(&workspace.api_key, requests.collect()).await;
        assert_eq!(tally(&replies, &[]), BTreeMap::from([("ok".to_owned(), 120)]));
        assert_eq!((count_pin_conflicts(&workspace).await, count_split_groups(&workspace).await), (0, 0));
    });
}

#[test]
fn concurrent_creates_with_one_new_key_get_the_same_pin() {
    run(async {
        let workspace = TestWorkspace::with_locks(4).await;
        for round in 0..50 {
            let key = format!("round {round}");
            let preferring = [4, 6, 7, 8];
            let requests = (0..4).map(|index: usize| {
                let length = preferring[index];
                (
                    CREATE,
                    json!({ "device_id": workspace.lock(index), "common_code_key": key, "preferred_code_length": length }),
                )
            });
            let replies = send_concurrently(&workspace.api_key, requests.collect()).await;
            let codes: Vec<_> = replies.into_iter().map(|reply| reply.ok()["access_code"]["code"].clone()).collect();
            assert!(codes.iter().all(|code| *code == codes[0]), "{key}: {codes:?}");
        }
    });
}

#[test]
fn concurrent_creates_with_one_new_key_and_different_pins_succeed_once() {
    run(async {
        let workspace = TestWorkspace::with_locks(4).await;
        for round in 0..25 {
            let requests = (0..4).map(|index: usize| {
                let code = format!("{}", 1000 + round * 10 + index);
                (CREATE, json!({ "device_id": workspace.lock(index), "common_code_key": format!("round {round}"), "code": code }))
            });
            let counts = tally(&send_concurrently(&workspace.api_key, requests.collect()).await, &[INVALID_INPUT]);
            assert_eq!((counts["ok"], counts["invalid_input"]), (1, 3));
        }
        assert_eq!(count_split_groups(&workspace).await, 0);
    });
}

#[test]
fn concurrent_deletes_of_one_code_succeed_once() {
    run(async {
        let workspace = live(json!(1)).await;
        let tickers = Tickers::start(2);
        for _ in 0..10 {
            let code = workspace.create(json!({ "device_id": workspace.lock(0), "sync": true })).await;
            let params = json!({ "access_code_id": code["access_code_id"], "sync": true });
            let requests = std::iter::repeat_n(("/access_codes/delete", params), 10).collect();
            let counts = tally(&send_concurrently(&workspace.api_key, requests).await, &[NOT_FOUND]);
            assert_eq!(counts, BTreeMap::from([("ok".to_owned(), 1), ("access_code_not_found".to_owned(), 9)]));
        }
        tickers.stop().await;
        assert_eq!(codes_with_wrong_events(&workspace).await, []);
    });
}

#[test]
fn codes_created_and_deleted_while_the_clock_is_moved_are_all_processed() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let mut known: Vec<Value> = Vec::new();
        for _ in 0..6 {
            let mut requests: Vec<_> =
                (0..24).map(|number| (CREATE, json!({ "device_id": workspace.lock(number % 3) }))).collect();
            requests.extend((0..6).map(|_| ("/_emulator/clock/advance", json!({ "by": "PT0.1S" }))));
            requests.extend(known.drain(..).map(|id| ("/access_codes/delete", json!({ "access_code_id": id }))));
            let replies = send_concurrently(&workspace.api_key, requests).await;
            tally(&replies, &[(409, "conflict"), NOT_FOUND]);
            let created = replies.iter().map(|reply| reply.body["access_code"]["access_code_id"].clone());
            known.extend(created.filter(|id| !id.is_null()));
        }
        workspace.advance("PT1H").await;
        assert_eq!(codes_with_wrong_events(&workspace).await, []);
        let late = "select count(*) from event e join access_code a using (access_code_id)
             where e.workspace_id = $1 and e.occurred_at < a.created_at";
        let late: i64 = sqlx::query_scalar(late).bind(id_of(&workspace)).fetch_one(app().pool.raw()).await.unwrap();
        assert_eq!(late, 0, "no event is older than its code");
    });
}

#[test]
fn clock_run_during_deletes_leaves_no_due_code_without_a_wake_time() {
    run(async {
        for _ in 0..10 {
            let workspace = TestWorkspace::with_locks(2).await;
            let mut requests = Vec::new();
            for number in 0..20 {
                let code = workspace.create(json!({ "device_id": workspace.lock(number % 2), "sync": true })).await;
                requests.push(("/access_codes/delete", json!({ "access_code_id": code["access_code_id"] })));
            }
            requests.insert(10, ("/_emulator/clock/run", json!({})));
            tally(&send_concurrently(&workspace.api_key, requests).await, &[]);
            let without_wake_time = "select count(*) from access_code
                 where workspace_id = $1 and gone_at is null and due_at is not null and wake_at is null";
            let without_wake_time: i64 = sqlx::query_scalar(without_wake_time)
                .bind(id_of(&workspace))
                .fetch_one(app().pool.raw())
                .await
                .unwrap();
            assert_eq!(without_wake_time, 0, "each code that is due has a wake time");
            workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
        }
    });
}

#[test]
fn clock_hold_while_codes_are_due_stops_the_clock_for_all_of_them() {
    run(async {
        let workspace =
            TestWorkspace::create_with(json!({ "locks": 8, "clock": { "running_from": START, "rate": 2000 } })).await;
        let tickers = Tickers::start(3);
        let mut index = 0;
        for _ in 0..20 {
            let now = workspace.get("/_emulator/clock").await.ok()["now"].as_str().unwrap().to_owned();
            let now: latchkey::testing::clock::Timestamp = now.parse().unwrap();
            let windows = (0..40_u8).map(|number| {
                index += 1;
                let starts_at = now + chrono::TimeDelta::seconds(i64::from(10 + number * 3));
                let ends_at = starts_at + chrono::TimeDelta::seconds(20);
                (
                    CREATE,
                    json!({
                        "device_id": workspace.lock(index % 8), "starts_at": starts_at, "ends_at": ends_at,
                    }),
                )
            });
            let mut requests: Vec<_> = windows.collect();
            requests.push(("/_emulator/clock/hold", json!({})));
            tally(&send_concurrently(&workspace.api_key, requests).await, &[INVALID_INPUT, (409, "conflict")]);
            let held = workspace.get("/_emulator/clock").await.ok();
            let due_and_late =
                "select (select count(*) from access_code where workspace_id = $1 and wake_at is not null),
                                (select count(*) from event where workspace_id = $1 and occurred_at > $2)";
            let held: latchkey::testing::clock::Timestamp = held["now"].as_str().unwrap().parse().unwrap();
            let due_and_late: (i64, i64) = sqlx::query_as(due_and_late)
                .bind(id_of(&workspace))
                .bind(held)
                .fetch_one(app().pool.raw())
                .await
                .unwrap();
            assert_eq!(due_and_late, (0, 0));
            workspace.post("/_emulator/clock/run", json!({ "rate": 2000 })).await.ok();
        }
        workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
        tickers.stop().await;
    });
}

#[test]
fn gets_that_arrive_together_get_each_its_own_access_code() {
    run(async {
        let (own, other) = (TestWorkspace::with_locks(2).await, TestWorkspace::with_locks(1).await);
        let mut expected = Vec::new();
        for (workspace, lock, status) in [(&own, 0, 200), (&own, 1, 200), (&other, 0, 404)] {
            for _ in 0..10 {
                let created = workspace.post(CREATE, json!({ "device_id": workspace.lock(lock) })).await.ok();
                let id = created["access_code"]["access_code_id"].clone();
                expected.push((id, created["access_code"]["code"].clone(), status));
            }
        }
        let deleted = json!({ "access_code_id": expected[0].0 });
        own.post("/access_codes/delete", deleted).await.ok();
        own.post("/_emulator/clock/advance", json!({ "by": "PT1H" })).await.ok();
        expected[0].2 = 404;
        expected.push((json!(UNKNOWN), Value::Null, 404));
        // Each several times, so that some requests of a statement are equal.
        let expected: Vec<_> = expected.iter().cycle().take(5 * expected.len()).collect();
        let requests = expected.iter().map(|(id, ..)| ("/access_codes/get", json!({ "access_code_id": id })));
        let replies = send_concurrently(&own.api_key, requests.collect()).await;
        for (reply, (id, code, status)) in replies.iter().zip(expected) {
            assert_eq!(reply.status, *status, "{id}");
            if *status == 200 {
                assert_eq!(
                    (&reply.body["access_code"]["access_code_id"], &reply.body["access_code"]["code"]),
                    (id, code)
                );
            }
        }
    });
}

#[test]
fn request_cancelled_during_begin_leaves_no_transaction_open() {
    run(async {
        let options = app().pool.raw().connect_options().as_ref().clone();
        let limits = PoolLimits { connections: 1, ..PoolLimits::of(&app().config) };
        let pool = Pools::lazy(options, limits).requests;
        pool.begin(Uuid::nil()).await.unwrap();
        // The timeout cancels `begin` as soon as it waits for the database, which may have responded already.
        while tokio::time::timeout(Duration::ZERO, pool.begin(Uuid::nil())).await.is_ok() {}
        let statement = "select pg_current_xact_id()::text";
        let transaction =
            async || sqlx::query_scalar::<_, String>(statement).fetch_one(pool.for_workspace(Uuid::nil())).await;
        assert_ne!(
            transaction().await.unwrap(),
            transaction().await.unwrap(),
            "each statement runs in a separate transaction"
        );
    });
}

#[test]
fn pool_of_one_connection_serves_requests_and_the_scheduler_side_by_side() {
    run(async {
        let workspace =
            TestWorkspace::create_with(json!({ "clock": "live", "programming": "at_once", "locks": 4 })).await;
        let shared = app();
        let options = shared.pool.raw().connect_options().as_ref().clone();
        let limits = PoolLimits { connections: 1, ..PoolLimits::of(&shared.config) };
        let small = App::new(shared.config.clone(), Pools::lazy(options, limits)).unwrap();
        let router = server::router(small.clone());
        let create = |number: usize| {
            let params = json!({ "device_id": workspace.lock(number % 4), "common_code_key": format!("key {number}") });
            let list = json!({ "device_id": workspace.lock(number % 4) });
            let creation = post_to(&router, &workspace.api_key, "/access_codes/create", params);
            let listing = post_to(&router, &workspace.api_key, "/access_codes/list", list);
            async move { tokio::join!(creation, listing) }
        };
        let (statuses, ()) = tokio::join!(futures_util::future::join_all((0..16).map(create)), async {
            for _ in 0..16 {
                scheduler::tick(&small).await.unwrap();
            }
        });
        assert!(statuses.iter().all(|(created, listed)| (*created, *listed) == (200, 200)), "{statuses:?}");
        workspace.tick().await;
        let mut set = 0;
        for lock in workspace.locks() {
            let codes = workspace.post("/access_codes/list", json!({ "device_id": lock })).await.ok();
            set += codes["access_codes"].as_array().unwrap().iter().filter(|code| code["status"] == "set").count();
        }
        assert_eq!(set, 16);
    });
}

#[test]
fn tick_that_fails_returns_an_error_and_the_next_tick_does_the_work() {
    run(async {
        let workspace =
            TestWorkspace::create_with(json!({ "clock": "live", "programming": "at_once", "locks": 1 })).await;
        let id = workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"].clone();
        let shared = app();
        let options = shared.pool.raw().connect_options().as_ref().clone();
        let pools = Pools::lazy(options, PoolLimits::of(&shared.config));
        let disconnected = App::new(shared.config.clone(), pools).unwrap();
        disconnected.pool.close().await;
        disconnected.background.close().await;
        assert!(scheduler::tick(&disconnected).await.is_err());
        workspace.tick().await;
        assert_eq!(workspace.access_code(&id).await["status"], "set");
        assert_eq!(workspace.events_of(&id).await.len(), 2, "one event for the creation and one for set_on_device");
    });
}

#[test]
fn transaction_whose_commit_fails_leaves_the_pool_usable() {
    run(async {
        let shared = app();
        let options = shared.pool.raw().connect_options().as_ref().clone();
        let pool = Pools::lazy(options, PoolLimits { connections: 1, ..PoolLimits::of(&shared.config) }).requests;
        let workspace_id = Uuid::nil();
        let mut transaction = pool.begin(workspace_id).await.unwrap();
        let deferred = "create temp table pair (id int unique deferrable initially deferred);
                        insert into pair values (1), (1)";
        sqlx::raw_sql(deferred).execute(&mut *transaction).await.unwrap();
        assert!(transaction.commit().await.is_err(), "the deferred constraint fails at the commit");
        for _ in 0..2 {
            let mut transaction = pool.begin(workspace_id).await.unwrap();
            sqlx::raw_sql("select 1").execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        }
    });
}
