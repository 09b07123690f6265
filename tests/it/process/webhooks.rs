//! Deliveries to webhooks by real processes: several on one database, killed ones, and stopped ones.

use super::{Latchkey, command, folder, post, postgres_in, wait_for};
use crate::webhook_receiver::{ACCEPT, Answer, Received, Receiver};
use latchkey::testing::postgres::private::PrivatePostgres;
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Starts a server on this database with further options.
fn server_on(database: &PrivatePostgres, options: &[&str]) -> Latchkey {
    Latchkey::await_ready(command(&["--port", "0"]).args(options).env("DATABASE_URL", database.url()))
}

/// Options for a short timeout and fast retries.
const IMPATIENT: [&str; 4] = ["--webhook-retry-scale", "0.001", "--webhook-timeout", "PT0.3S"];

/// A workspace with a held clock and a webhook.
struct Workspace {
    api_key: String,
    locks: Vec<Value>,
}

impl Workspace {
    async fn create(latchkey: &Latchkey, locks: usize, url: &str) -> Self {
        let params = json!({ "locks": locks, "clock": { "held_at": "2026-03-02T12:00:00Z" } });
        let created = latchkey.post("/_emulator/workspaces/create", params).await;
        let api_key = created["api_key"].as_str().unwrap().to_owned();
        let locks = created["devices"].as_array().unwrap().iter().map(|device| device["device_id"].clone()).collect();
        let workspace = Self { api_key, locks };
        let created = workspace.post(latchkey, "/webhooks/create", json!({ "url": url })).await;
        assert_eq!(created["ok"], true, "{created}");
        workspace
    }

    async fn post(&self, latchkey: &Latchkey, path: &str, body: Value) -> Value {
        post(&latchkey.base_url, &self.api_key, path, &body).await.unwrap()
    }

    /// Creates a code on each lock, this number of times.
    async fn create_codes(&self, latchkey: &Latchkey, rounds: usize) {
        for _ in 0..rounds {
            let params =
                json!({ "device_ids": self.locks, "behavior_when_code_cannot_be_shared": "create_random_code" });
            let created = self.post(latchkey, "/access_codes/create_multiple", params).await;
            assert_eq!(created["ok"], true, "{created}");
        }
    }

    /// Returns the ids of the events since the webhook was created, in their order.
    async fn events(&self, latchkey: &Latchkey) -> Vec<String> {
        let mut events = Vec::new();
        loop {
            let params = json!({ "since": "2000-01-01T00:00:00Z", "limit": 10_000, "unstable_offset": events.len() });
            let listed = self.post(latchkey, "/events/list", params).await;
            let listed = listed["events"].as_array().unwrap();
            events.extend(listed.iter().cloned());
            if listed.len() < 10_000 {
                break;
            }
        }
        // The events of the account and its devices are older than the webhook.
        let is_of_code = |event: &&Value| event["event_type"].as_str().unwrap().starts_with("access_code.");
        events.iter().filter(is_of_code).map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn events_survive_kills_and_a_receiver_that_fails_hangs_and_resets() {
    let folder = folder();
    let database = postgres_in(folder.path());
    let mut latchkey = server_on(&database, &IMPATIENT);
    wait_for(async {
        let pool = PgPoolOptions::new().max_connections(4).connect(&database.url()).await.unwrap();
        let is_down = Arc::new(AtomicBool::new(false));
        let accepted: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let (early, unchecked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (answering, down, counting, queued, checked, to_check) = (
            Arc::clone(&accepted),
            Arc::clone(&is_down),
            Arc::clone(&early),
            Arc::clone(&unchecked),
            Arc::clone(&unchecked),
            tokio::sync::mpsc::unbounded_channel::<String>(),
        );
        let (check, mut checks) = to_check;
        // Each event must be visible to another connection when the receiver gets it. The look-up comes a little later,
        // but no event is ever removed, and an event that is rolled back never appears.
        let checking = tokio::spawn(async move {
            while let Some(event_id) = checks.recv().await {
                let found = "select count(*) from event where event_id = $1::text::uuid";
                let found: i64 = sqlx::query_scalar(found).bind(event_id).fetch_one(&pool).await.unwrap();
                counting.fetch_add(usize::from(found == 0), Ordering::SeqCst);
                checked.fetch_sub(1, Ordering::SeqCst);
            }
        });
        let receiver = Receiver::answering(move |received, count| {
            let event_id = received.event_id();
            queued.fetch_add(1, Ordering::SeqCst);
            check.send(event_id.clone()).unwrap();
            match count % 400 {
                _ if down.load(Ordering::SeqCst) => Answer::Reset,
                17 => Answer::Silence(Duration::from_secs(1)),
                50 | 51 | 333 => Answer::Status(500, "not now"),
                60 => Answer::Reset,
                _ => {
                    *answering.lock().unwrap().entry(event_id).or_default() += 1;
                    ACCEPT
                }
            }
        })
        .await;
        let workspace = Workspace::create(&latchkey, 50, &receiver.url).await;
        workspace.create_codes(&latchkey, 40).await;
        let moved = json!({ "by": "PT1S" });
        assert_eq!(workspace.post(&latchkey, "/_emulator/clock/advance", moved.clone()).await["ok"], true);
        receiver.wait_for(500).await;
        latchkey.kill();
        is_down.store(true, Ordering::SeqCst);
        latchkey = server_on(&database, &IMPATIENT);
        workspace.create_codes(&latchkey, 40).await;
        assert_eq!(workspace.post(&latchkey, "/_emulator/clock/advance", moved.clone()).await["ok"], true);
        latchkey.kill();
        is_down.store(false, Ordering::SeqCst);
        latchkey = server_on(&database, &IMPATIENT);
        workspace.create_codes(&latchkey, 25).await;
        assert_eq!(workspace.post(&latchkey, "/_emulator/clock/advance", moved).await["ok"], true);
        let events: BTreeSet<String> = workspace.events(&latchkey).await.into_iter().collect();
        assert!(events.len() >= 10_000, "only {} events", events.len());
        let begun = Instant::now();
        loop {
            let missing = events.len() - accepted.lock().unwrap().len();
            if missing == 0 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_mins(2), "{missing} of {} events are missing", events.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(accepted.lock().unwrap().keys().cloned().collect::<BTreeSet<_>>(), events);
        drop(receiver);
        drop(latchkey);
        while unchecked.load(Ordering::SeqCst) > 0 {
            assert!(!checking.is_finished(), "the look-ups ended early");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        checking.abort();
        assert_eq!(early.load(Ordering::SeqCst), 0, "an event was sent that was not committed");
        // Deliveries are repeated only where a kill lost their result.
        let repeated = accepted.lock().unwrap().values().filter(|count| **count > 1).count();
        assert!(repeated <= 1000, "{repeated} events were accepted more than once");
    });
}

#[test]
fn several_servers_on_one_database_deliver_each_event_once_and_in_order() {
    let folder = folder();
    let database = postgres_in(folder.path());
    let servers = [server_on(&database, &[]), server_on(&database, &[])];
    wait_for(async {
        let receiver = Receiver::start().await;
        let workspace = Workspace::create(&servers[0], 20, &receiver.url).await;
        for round in 0..20 {
            workspace.create_codes(&servers[round % 2], 1).await;
            let moved = json!({ "by": "PT1S", "wait_for_webhooks": round % 5 == 0 });
            workspace.post(&servers[(round + 1) % 2], "/_emulator/clock/advance", moved).await;
        }
        let waited = workspace.post(&servers[1], "/_emulator/webhook_deliveries/wait", json!({})).await;
        assert_eq!(waited["outstanding"], 0);
        let sent: Vec<String> = receiver.received().iter().map(Received::event_id).collect();
        let events = workspace.events(&servers[0]).await;
        assert!(events.len() >= 800, "only {} events", events.len());
        assert_eq!(sent.len(), events.len(), "each event is sent once");
        assert_eq!(sent, events, "in the order of the events");
    });
}

#[test]
fn server_that_stops_records_its_deliveries_and_another_continues() {
    let folder = folder();
    let database = postgres_in(folder.path());
    let mut first = server_on(&database, &[]);
    wait_for(async {
        let receiver = Receiver::answering(|_, count| match count {
            100 => Answer::Silence(Duration::from_secs(1)),
            _ => ACCEPT,
        })
        .await;
        let workspace = Workspace::create(&first, 20, &receiver.url).await;
        workspace.create_codes(&first, 20).await;
        receiver.wait_for(101).await;
        let begun = Instant::now();
        first.signal(Signal::TERM);
        assert!(first.wait_for_exit().success());
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        let second = server_on(&database, &[]);
        let waited = workspace.post(&second, "/_emulator/webhook_deliveries/wait", json!({})).await;
        assert_eq!(waited["outstanding"], 0);
        let sent: Vec<String> = receiver.received().iter().map(Received::event_id).collect();
        let distinct: BTreeSet<&String> = sent.iter().collect();
        assert_eq!(distinct.len(), workspace.events(&second).await.len());
        assert!(sent.len() <= distinct.len() + 1, "only the delivery without an answer is sent again");
    });
}

#[test]
fn slow_delivery_holds_up_no_other_delivery_of_its_webhook() {
    let latchkey = Latchkey::start(&["--ephemeral", "--webhook-timeout", "PT20S"]);
    wait_for(async {
        let slow = Receiver::answering(|_, count| match count {
            0 => Answer::Silence(Duration::from_mins(1)),
            _ => ACCEPT,
        })
        .await;
        let workspace = Workspace::create(&latchkey, 3, &slow.url).await;
        let begun = Instant::now();
        workspace.create_codes(&latchkey, 1).await;
        slow.wait_for(3).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    });
}

#[test]
fn dead_receivers_delay_neither_requests_nor_other_webhooks() {
    let latchkey = Latchkey::start(&["--ephemeral", "--webhook-timeout", "PT20S"]);
    wait_for(async {
        let dead = Receiver::answering(|_, _| Answer::Silence(Duration::from_mins(1))).await;
        let mut workspaces = Vec::new();
        for _ in 0..20 {
            let workspace = Workspace::create(&latchkey, 5, &dead.url).await;
            workspace.create_codes(&latchkey, 5).await;
            workspaces.push(workspace);
        }
        dead.wait_for(20).await;
        let alive = Receiver::start().await;
        let workspace = Workspace::create(&latchkey, 5, &alive.url).await;
        let begun = Instant::now();
        workspace.create_codes(&latchkey, 5).await;
        let waited = workspace.post(&latchkey, "/_emulator/webhook_deliveries/wait", json!({})).await;
        assert_eq!(waited["outstanding"], 0);
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        let waiting = workspaces[0].post(&latchkey, "/_emulator/webhook_deliveries/wait", json!({ "timeout": "PT0S" }));
        assert_ne!(waiting.await["outstanding"], 0);
    });
}
