//! Webhook deliveries: what is sent, when it is tried again, and what the control plane shows.

use crate::support::{TestWorkspace, UNKNOWN, app, ask, post_as, run};
use crate::webhook_receiver::{ACCEPT, Answer, Received, Receiver};
use crate::webhooks::create_webhook;
use chrono::TimeDelta;
use latchkey::testing::delivery;
use latchkey::testing::engine::retention::remove_older_than;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Once;
use std::time::Duration;

/// Starts the task that sends deliveries. It runs until the test process ends.
pub(crate) fn deliver() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| drop(tokio::spawn(delivery::run(app()))));
}

/// Creates a workspace with a lock and a webhook for these event types at this receiver. Returns the id of the webhook.
async fn workspace_with(receiver: &Receiver, event_types: Value) -> (TestWorkspace, Value) {
    deliver();
    let workspace = TestWorkspace::with_locks(1).await;
    let webhook = create_webhook(&workspace, &receiver.url, event_types).await;
    (workspace, webhook["webhook_id"].clone())
}

async fn deliveries(workspace: &TestWorkspace, params: Value) -> Vec<Value> {
    let listed = workspace.post("/_emulator/webhook_deliveries/list", params).await.ok();
    listed["webhook_deliveries"].as_array().unwrap().clone()
}

/// Waits until no delivery of a workspace is due at once.
async fn wait(workspace: &TestWorkspace) {
    let waited = workspace.post("/_emulator/webhook_deliveries/wait", json!({ "timeout": "PT20S" })).await.ok();
    assert_eq!(waited["outstanding"], 0);
}

/// Waits until the statuses of the deliveries that match are final, and returns these deliveries.
async fn all_finished(workspace: &TestWorkspace, filter: Value, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
    let begun = std::time::Instant::now();
    loop {
        let mut found = deliveries(workspace, filter.clone()).await;
        found.retain(&matches);
        assert!(!found.is_empty(), "there is no such delivery");
        if found.iter().all(|delivery| delivery["status"] != "pending") {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{found:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the status of the only delivery with this event type is final, and returns the delivery.
async fn finished(workspace: &TestWorkspace, event_type: &str) -> Value {
    all_finished(workspace, json!({}), |delivery| delivery["event_type"] == event_type).await.swap_remove(0)
}

async fn events(workspace: &TestWorkspace) -> Vec<Value> {
    let listed = workspace.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z", "limit": 1000 })).await.ok();
    // The events of the account and its devices are older than the webhook.
    let is_of_code = |event: &&Value| event["event_type"].as_str().unwrap().starts_with("access_code.");
    listed["events"].as_array().unwrap().iter().filter(is_of_code).cloned().collect()
}

/// Returns the number of stored deliveries of a workspace.
async fn count(workspace: &TestWorkspace) -> i64 {
    let rows = "select count(*) from webhook_delivery where workspace_id = $1::text::uuid";
    sqlx::query_scalar(rows).bind(&workspace.workspace_id).fetch_one(app().pool.raw()).await.unwrap()
}

async fn create_code(workspace: &TestWorkspace) {
    workspace.create(json!({ "device_id": workspace.lock(0) })).await;
}

#[test]
fn deliveries_are_signed_and_contain_the_events_in_their_order() {
    run(async {
        let receiver = Receiver::start().await;
        let (workspace, webhook_id) = workspace_with(&receiver, json!(["*"])).await;
        for _ in 0..5 {
            create_code(&workspace).await;
        }
        let moved = json!({ "by": "PT1M", "wait_for_webhooks": true });
        workspace.post("/_emulator/clock/advance", moved).await.ok();
        let (requests, events) = (receiver.received(), events(&workspace).await);
        assert!(events.len() >= 10, "{events:?}");
        // Events are sent in the order in which they were recorded, which is also that of the list on a held clock.
        let sent: Vec<Value> = requests.iter().map(Received::event).collect();
        assert_eq!(sent, events);
        let secret =
            workspace.post("/webhooks/get", json!({ "webhook_id": webhook_id })).await.ok()["webhook"]["secret"]
                .clone();
        let key = standardwebhooks::Webhook::new(secret.as_str().unwrap()).unwrap();
        let logged = deliveries(&workspace, json!({})).await;
        for (received, delivery) in requests.iter().zip(logged.iter().rev()) {
            assert_eq!(received.request_line, "POST /hooks HTTP/1.1");
            assert_eq!(received.headers["content-type"], "application/json");
            assert!(received.headers["user-agent"].starts_with("Latchkey/"));
            assert_eq!(json!(received.headers["svix-id"]), delivery["svix_id"]);
            let timestamp = received.headers["svix-timestamp"].parse().unwrap();
            let signature = key.sign(&received.headers["svix-id"], timestamp, received.body.as_bytes()).unwrap();
            assert_eq!(received.headers["svix-signature"], signature);
            assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("succeeded"), &json!(1)), "{delivery}");
            assert_eq!((&delivery["response_status"], &delivery["error"]), (&json!(200), &Value::Null));
            assert_eq!((&delivery["url"], &delivery["webhook_id"]), (&json!(receiver.url), &webhook_id));
            assert_eq!(delivery["event_id"], json!(received.event_id()));
            assert_eq!(delivery["attempt_log"][0]["response_body"], "ok");
        }
        assert_eq!(logged.len(), requests.len());
    });
}

#[test]
fn deliveries_are_made_for_the_event_types_of_the_webhook_only() {
    run(async {
        let (some, none) = (Receiver::start().await, Receiver::start().await);
        let (workspace, webhook_id) = workspace_with(&some, json!(["access_code.created"])).await;
        create_webhook(&workspace, &none.url, json!([])).await;
        create_code(&workspace).await;
        wait(&workspace).await;
        let types = |receiver: &Receiver| -> Vec<Value> {
            receiver.received().iter().map(|received| received.event()["event_type"].clone()).collect()
        };
        assert_eq!(types(&some), ["access_code.created"]);
        let update = json!({ "webhook_id": webhook_id, "event_types": ["access_code.set_on_device"] });
        workspace.post("/webhooks/update", update).await.ok();
        create_code(&workspace).await;
        workspace.post("/_emulator/clock/advance", json!({ "by": "PT1M", "wait_for_webhooks": true })).await.ok();
        assert_eq!(types(&some), ["access_code.created", "access_code.set_on_device", "access_code.set_on_device"]);
        assert!(none.received().is_empty());
        let of = async |params: Value| deliveries(&workspace, params).await.len();
        assert_eq!(of(json!({ "limit": 2 })).await, 2);
        assert_eq!(of(json!({ "webhook_id": webhook_id, "status": "succeeded" })).await, 3);
        assert_eq!(of(json!({ "status": "failed" })).await, 0);
        assert_eq!(of(json!({ "webhook_id": UNKNOWN })).await, 0);
        let event_id = events(&workspace).await[0]["event_id"].clone();
        assert_eq!(of(json!({ "event_id": event_id })).await, 1);
        let other = TestWorkspace::with_locks(0).await;
        assert!(deliveries(&other, json!({})).await.is_empty());
    });
}

#[test]
fn failed_delivery_is_retried_with_the_same_id() {
    run(async {
        let receiver = Receiver::answering(|received, _| {
            let is_wrong = received.event()["event_type"] == "access_code.created";
            if is_wrong { Answer::Status(500, "no") } else { ACCEPT }
        })
        .await;
        let (workspace, _) = workspace_with(&receiver, json!(["*"])).await;
        create_code(&workspace).await;
        workspace.post("/_emulator/clock/advance", json!({ "by": "PT1M", "wait_for_webhooks": true })).await.ok();
        let failed = finished(&workspace, "access_code.created").await;
        assert_eq!((&failed["status"], &failed["attempts"]), (&json!("failed"), &json!(8)), "{failed}");
        assert_eq!((&failed["response_status"], &failed["next_attempt_at"]), (&json!(500), &Value::Null));
        assert_eq!(failed["error"], "the receiver returned 500, not 2xx");
        let requests = receiver.received();
        let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for received in &requests {
            ids.entry(received.event_id()).or_default().push(received.headers["svix-id"].clone());
        }
        assert_eq!(ids.len(), events(&workspace).await.len(), "all events were sent");
        for (event_id, ids) in ids {
            assert!(ids.iter().all(|id| *id == ids[0]), "{event_id}: {ids:?}");
            assert_eq!(ids.len(), if json!(event_id) == failed["event_id"] { 8 } else { 1 });
        }
        let delays: Vec<i64> = failed["attempt_log"]
            .as_array()
            .unwrap()
            .windows(2)
            .map(|pair| {
                let at = |attempt: &Value| {
                    attempt["attempted_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap()
                };
                (at(&pair[1]) - at(&pair[0])).num_milliseconds()
            })
            .collect();
        for (delay, least) in delays.iter().zip([0, 3, 18, 72, 180, 360, 360]) {
            assert!(*delay >= least, "{delays:?}");
        }
    });
}

#[test]
fn delivery_without_an_answer_in_time_is_retried() {
    run(async {
        let receiver = Receiver::answering(|received, count| match count {
            0 => Answer::Silence(Duration::from_secs(5)),
            _ if received.event()["event_type"] == "access_code.set_on_device" => Answer::Reset,
            _ => ACCEPT,
        })
        .await;
        let (workspace, _) = workspace_with(&receiver, json!(["*"])).await;
        create_code(&workspace).await;
        workspace.post("/_emulator/clock/advance", json!({ "by": "PT1M", "wait_for_webhooks": true })).await.ok();
        let hung = finished(&workspace, "access_code.created").await;
        assert_eq!((&hung["status"], &hung["attempts"]), (&json!("succeeded"), &json!(2)), "{hung}");
        let error = hung["attempt_log"][0]["error"].as_str().unwrap();
        assert!(error.contains("within 1s (--webhook-timeout)"), "{error}");
        let reset = finished(&workspace, "access_code.set_on_device").await;
        assert_eq!((&reset["status"], &reset["response_status"]), (&json!("failed"), &Value::Null), "{reset}");
        assert!(reset["error"].as_str().unwrap().starts_with("the request failed: "), "{reset}");
    });
}

#[test]
fn deliveries_to_hosts_that_are_not_allowed_are_not_sent() {
    run(async {
        deliver();
        let target = Receiver::start().await;
        let port = target.url.split(':').nth(2).unwrap();
        let (by_name, elsewhere) = (format!("http://localhost:{port}"), target.url.clone());
        let redirecting = Receiver::answering(move |_, _| Answer::Redirect(elsewhere.clone())).await;
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let closed_with_tls = format!("https://{closed}/hooks");
        let closed = format!("http://{closed}/hooks");
        for (url, status, expected) in [
            ("http://192.0.2.1/hooks", "failed", "--webhook-hosts 192.0.2.1"),
            ("http://[2001:db8::1]:80/hooks", "failed", "--webhook-hosts 2001:db8::1"),
            ("http://0.0.0.0/hooks", "failed", "not a loopback address"),
            ("https://192.0.2.1/hooks", "failed", "--webhook-hosts 192.0.2.1"),
            ("http://localhost:99999/hooks", "failed", "the URL is invalid"),
            ("http://a.invalid/hooks", "failed", "the connection failed: "),
            (closed.as_str(), "failed", "the connection failed: "),
            (closed_with_tls.as_str(), "failed", "the connection failed: "),
            (redirecting.url.as_str(), "failed", "the receiver returned 302, not 2xx"),
            (by_name.as_str(), "succeeded", ""),
        ] {
            let workspace = TestWorkspace::with_locks(1).await;
            create_webhook(&workspace, url, json!(["access_code.created"])).await;
            create_code(&workspace).await;
            wait(&workspace).await;
            let delivery = finished(&workspace, "access_code.created").await;
            assert_eq!(delivery["status"], status, "{url}: {delivery}");
            let error = delivery["error"].as_str().unwrap_or_default();
            assert!(error.contains(expected), "{url}: {error}");
            let is_refused = error.starts_with("not sent: ");
            assert_eq!(delivery["attempts"], if is_refused || status == "succeeded" { 1 } else { 8 }, "{url}");
        }
        assert_eq!(target.received().len(), 1, "only the delivery to localhost arrived, and no redirect was followed");
    });
}

#[test]
fn deleted_webhook_receives_nothing_more() {
    run(async {
        let fails = async || Receiver::answering(|_, _| Answer::Status(503, "")).await;
        let (failing, twin, other) = (fails().await, fails().await, Receiver::start().await);
        let (workspace, webhook_id) = workspace_with(&failing, json!(["access_code.created"])).await;
        create_webhook(&workspace, &other.url, json!(["access_code.created"])).await;
        let twin = create_webhook(&workspace, &twin.url, json!(["access_code.created"])).await;
        create_code(&workspace).await;
        wait(&workspace).await;
        workspace.post("/webhooks/delete", json!({ "webhook_id": webhook_id })).await.ok();
        assert!(deliveries(&workspace, json!({ "webhook_id": webhook_id })).await.is_empty());
        // An attempt that had begun before the deletion may still arrive: at most one.
        let sent = failing.received().len();
        create_code(&workspace).await;
        wait(&workspace).await;
        assert_eq!(other.received().len(), 2);
        // The retries of the twin follow the same schedule. When all have ended, those of the deleted webhook would have
        // ended too.
        all_finished(&workspace, json!({ "webhook_id": twin["webhook_id"] }), |_| true).await;
        assert!(failing.received().len() <= sent + 1, "the retries continued");
    });
}

#[test]
fn redelivery_sends_an_event_again_with_the_same_id() {
    run(async {
        let receiver = Receiver::answering(|_, count| if count == 1 { Answer::Status(400, "") } else { ACCEPT }).await;
        let (workspace, _) = workspace_with(&receiver, json!(["access_code.created"])).await;
        create_code(&workspace).await;
        wait(&workspace).await;
        let delivery = deliveries(&workspace, json!({})).await[0].clone();
        let redeliver = json!({ "webhook_delivery_id": delivery["webhook_delivery_id"] });
        workspace.post("/_emulator/webhook_deliveries/redeliver", redeliver.clone()).await.ok();
        let requests = receiver.wait_for(3).await;
        assert!(requests.iter().all(|received| json!(received.headers["svix-id"]) == delivery["svix_id"]));
        assert!(requests.iter().all(|other| other.body == requests[0].body));
        let again = finished(&workspace, "access_code.created").await;
        assert_eq!((&again["status"], &again["attempts"]), (&json!("succeeded"), &json!(3)), "{again}");
        assert_eq!(again["attempt_log"][1]["response_status"], 400, "a failed redelivery is retried");
        let other = TestWorkspace::with_locks(0).await;
        let path = "/_emulator/webhook_deliveries/redeliver";
        other.post(path, redeliver).await.error(404, "webhook_delivery_not_found");
    });
}

#[test]
fn wait_returns_the_number_of_first_attempts_that_are_not_made() {
    run(async {
        let receiver = Receiver::answering(|_, count| match count {
            0 => Answer::Silence(Duration::from_secs(5)),
            _ => ACCEPT,
        })
        .await;
        let (workspace, _) = workspace_with(&receiver, json!(["access_code.created"])).await;
        create_code(&workspace).await;
        receiver.wait_for(1).await;
        let outstanding = async |timeout: &str| {
            let params = json!({ "timeout": timeout });
            workspace.post("/_emulator/webhook_deliveries/wait", params).await.ok()["outstanding"].clone()
        };
        assert_eq!(outstanding("PT0S").await, 1);
        assert_eq!(outstanding("PT0.05S").await, 1);
        assert_eq!(outstanding("PT20S").await, 0, "the first attempt has failed");
    });
}

#[test]
fn restore_sends_no_event_again() {
    run(async {
        let receiver = Receiver::start().await;
        let (workspace, _) = workspace_with(&receiver, json!(["access_code.created"])).await;
        create_code(&workspace).await;
        wait(&workspace).await;
        let snapshot = workspace.post("/_emulator/snapshots/create", json!({})).await.ok()["snapshot_id"].clone();
        create_code(&workspace).await;
        wait(&workspace).await;
        workspace.post("/_emulator/snapshots/restore", json!({ "snapshot_id": snapshot })).await.ok();
        assert!(deliveries(&workspace, json!({})).await.is_empty(), "the log is empty after a restore");
        create_code(&workspace).await;
        wait(&workspace).await;
        let ids: Vec<String> = receiver.received().iter().map(Received::event_id).collect();
        assert_eq!(ids.len(), 3);
        let listed = deliveries(&workspace, json!({})).await;
        assert_eq!((listed.len(), &listed[0]["event_id"]), (1, &json!(ids[2])));
        workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
        assert_eq!(count(&workspace).await, 0);
    });
}

#[test]
fn webhook_is_disabled_after_days_of_failures_and_enabled_by_an_update() {
    run(async {
        let receiver = Receiver::answering(|_, count| if count < 8 { Answer::Status(500, "") } else { ACCEPT }).await;
        let (workspace, webhook_id) = workspace_with(&receiver, json!(["access_code.created"])).await;
        let age = "update webhook set failing_since = $2 where workspace_id = $1::text::uuid";
        let earlier = latchkey::testing::clock::machine_now() - TimeDelta::days(1);
        sqlx::query(age).bind(&workspace.workspace_id).bind(earlier).execute(app().pool.raw()).await.unwrap();
        create_code(&workspace).await;
        assert_eq!(finished(&workspace, "access_code.created").await["attempts"], 8);
        create_code(&workspace).await;
        wait(&workspace).await;
        let refused = deliveries(&workspace, json!({ "limit": 1 })).await[0].clone();
        let error = refused["error"].as_str().unwrap();
        assert!(error.contains("disabled") && error.contains("/webhooks/update"), "{refused}");
        assert_eq!((&refused["status"], receiver.received().len()), (&json!("failed"), 8));
        let update = json!({ "webhook_id": webhook_id, "event_types": ["access_code.created"] });
        workspace.post("/webhooks/update", update).await.ok();
        create_code(&workspace).await;
        wait(&workspace).await;
        assert_eq!(deliveries(&workspace, json!({ "limit": 1 })).await[0]["status"], "succeeded");
    });
}

#[test]
fn retention_removes_deliveries_with_their_events() {
    run(async {
        let receiver = Receiver::start().await;
        deliver();
        let workspace =
            TestWorkspace::create_with(json!({ "clock": "live", "locks": 1, "programming": "by_hand" })).await;
        create_webhook(&workspace, &receiver.url, json!(["access_code.created"])).await;
        create_code(&workspace).await;
        wait(&workspace).await;
        let age = "update event set occurred_at = occurred_at - interval '2 hours' where workspace_id = $1::text::uuid";
        sqlx::query(age).bind(&workspace.workspace_id).execute(app().pool.raw()).await.unwrap();
        create_code(&workspace).await;
        wait(&workspace).await;
        assert_eq!(deliveries(&workspace, json!({})).await.len(), 2);
        remove_older_than(&app(), TimeDelta::hours(1)).await.unwrap();
        assert_eq!(count(&workspace).await, 1);
    });
}

#[test]
fn webhook_deliveries_are_empty_without_webhooks() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let moved = json!({ "by": "PT1S", "wait_for_webhooks": true });
        assert_eq!(workspace.post("/_emulator/clock/advance", moved).await.ok()["events"], 1);
        for params in [json!({}), json!({ "event_id": UNKNOWN, "webhook_id": UNKNOWN, "status": "failed", "limit": 5 })]
        {
            let listed = workspace.post("/_emulator/webhook_deliveries/list", params).await.ok();
            assert_eq!(listed["webhook_deliveries"], json!([]));
        }
        for params in [json!({}), json!({ "timeout": "PT0S" }), json!({ "timeout": "PT1H" })] {
            assert_eq!(workspace.post("/_emulator/webhook_deliveries/wait", params).await.ok()["outstanding"], 0);
        }
        let params = json!({ "webhook_delivery_id": UNKNOWN });
        workspace
            .post("/_emulator/webhook_deliveries/redeliver", params)
            .await
            .error(404, "webhook_delivery_not_found");
    });
}

#[test]
fn webhook_deliveries_reject_invalid_input() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let invalid: [(&str, &str, Value); 12] = [
            ("list", "webhook_id", json!("mine")),
            ("list", "event_id", json!(5)),
            ("list", "status", json!("lost")),
            ("list", "limit", json!(0)),
            ("list", "limit", json!(-1)),
            ("list", "limit", json!(1.5)),
            ("redeliver", "webhook_delivery_id", json!("that one")),
            ("redeliver", "webhook_delivery_id", Value::Null),
            ("wait", "timeout", json!("-PT1S")),
            ("wait", "timeout", json!("soon")),
            ("wait", "timeout", json!("P1M")),
            ("wait", "timeout", json!(5)),
        ];
        for (route, name, value) in invalid {
            let path = format!("/_emulator/webhook_deliveries/{route}");
            workspace.post(&path, json!({ name: value })).await.invalid(name);
        }
        for (route, params) in [
            ("list", json!({})),
            ("redeliver", json!({ "webhook_delivery_id": UNKNOWN })),
            ("wait", json!({ "timeout": "PT1S" })),
        ] {
            let path = format!("/_emulator/webhook_deliveries/{route}");
            post_as("seam_testwrong_key", &path, params.clone()).await.error(401, "unauthorized");
            ask("GET", &path, &[], "").await.error(405, "method_not_allowed");
            let mut unknown_workspace = params.clone();
            unknown_workspace["workspace_id"] = json!(UNKNOWN);
            post_as("", &path, unknown_workspace).await.error(404, "workspace_not_found");
        }
        workspace
            .post("/_emulator/clock/advance", json!({ "by": "PT1S", "wait_for_webhooks": "yes" }))
            .await
            .invalid("wait_for_webhooks");
    });
}
