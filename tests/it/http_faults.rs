//! HTTP faults: what clients meet on a bad day.

use crate::support::{Reply, TestWorkspace, UNKNOWN, app, ask, post_as, run};
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use latchkey::testing::engine::app::App;
use latchkey::testing::server;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tower::ServiceExt;

const NOTHING: [Value; 0] = [];

async fn http_fault(workspace: &TestWorkspace, params: Value) -> Value {
    workspace.post("/_emulator/http_faults/create", params).await.ok()["http_fault"].clone()
}

async fn http_faults(workspace: &TestWorkspace) -> Vec<Value> {
    let listed = workspace.post("/_emulator/http_faults/list", json!({})).await.ok();
    listed["http_faults"].as_array().unwrap().clone()
}

async fn used(workspace: &TestWorkspace) -> Vec<u64> {
    http_faults(workspace).await.iter().map(|fault| fault["used"].as_u64().unwrap()).collect()
}

async fn devices(workspace: &TestWorkspace) -> Reply {
    workspace.post("/devices/list", json!({})).await
}

#[test]
fn a_request_is_struck_by_the_oldest_fault_that_is_about_it_and_not_used_up() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let status = |status: u16| json!({ "status": status });
        let params = [
            json!({ "path": "/access_codes/create", "outcome": status(500) }),
            json!({ "path": "/dev*", "method": "GET", "outcome": status(504), "times": 1 }),
            json!({ "path": "/devices/list", "outcome": status(503), "times": 2 }),
            json!({ "path": "/devices/nowhere", "outcome": "reset" }),
            json!({ "method": "PUT", "outcome": status(418) }),
        ];
        let mut ids = Vec::new();
        for fault in &params {
            let made = http_fault(&workspace, fault.clone()).await;
            for (name, value) in fault.as_object().unwrap() {
                assert_eq!(made[name], *value);
            }
            assert_eq!((&made["used"], &made["is_exhausted"]), (&json!(0), &json!(false)));
            ids.push(made["http_fault_id"].clone());
        }
        let listed: Vec<Value> = http_faults(&workspace).await.iter().map(|it| it["http_fault_id"].clone()).collect();
        assert_eq!(listed, ids, "in the order in which they were made");
        let mut answers = Vec::new();
        for method in ["POST", "GET", "GET", "GET", "PUT", "POST"] {
            answers.push(workspace.request(method, "/devices/list").await.status);
        }
        assert_eq!(answers, [503, 504, 503, 200, 418, 200], "before even the method is looked at");
        assert_eq!(used(&workspace).await, [0, 1, 2, 0, 1], "those of no request are there and unused");
        assert_eq!(http_faults(&workspace).await[1]["is_exhausted"], true);
        workspace.post("/_emulator/http_faults/delete", json!({ "http_fault_id": ids[4] })).await.ok();
        workspace.request("PUT", "/devices/list").await.error(405, "method_not_allowed");
        let twice = workspace.post("/_emulator/http_faults/delete", json!({ "http_fault_id": ids[4] })).await;
        twice.error(404, "http_fault_not_found");
    });
}

#[test]
fn an_answer_has_the_status_body_and_retry_after_that_were_asked_for_and_nothing_else_happens() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let create = || workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(0) }));
        let plain = http_fault(&workspace, json!({ "outcome": { "status": 503, "retry_after": 7 }, "times": 1 })).await;
        let struck = create().await;
        assert_eq!(struck.headers["retry-after"], "7");
        let error = struck.error(503, "service_unavailable");
        assert!(error["message"].as_str().unwrap().contains(plain["http_fault_id"].as_str().unwrap()), "{error}");
        for (status, kind) in [(429, "rate_limit_exceeded"), (403, "forbidden"), (599, "internal_server_error")] {
            http_fault(&workspace, json!({ "outcome": { "status": status }, "times": 1 })).await;
            let struck = create().await;
            assert!(!struck.headers.contains_key("retry-after"));
            struck.error(status, kind);
        }
        for body in [json!({ "any": ["thing", 1] }), json!("<html>"), json!(false)] {
            http_fault(&workspace, json!({ "outcome": { "status": 502, "body": body }, "times": 1 })).await;
            let struck = create().await;
            assert_eq!((struck.status, struck.body), (502, body));
        }
        let listed = workspace.post("/access_codes/list", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(listed["access_codes"], json!(NOTHING));
        create().await.ok();
    });
}

#[test]
fn faults_strike_requests_of_their_workspace_to_the_api_and_no_others() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        http_fault(&workspace, json!({ "outcome": { "status": 503 } })).await;
        devices(&workspace).await.error(503, "service_unavailable");
        devices(&other).await.ok();
        post_as("seam_test_wrong", "/devices/list", json!({})).await.error(401, "unauthorized");
        workspace.advance("PT1H").await;
        assert_eq!(workspace.get("/health").await.status, 200);
        workspace.get("/nowhere").await.error(404, "not_found");
        // A token of a person's is as good as a key.
        let bearer = format!("Bearer {}", workspace.personal_access_token);
        let headers = [("authorization", bearer.as_str()), ("seam-workspace", workspace.workspace_id.as_str())];
        ask("GET", "/devices/list", &headers, "").await.error(503, "service_unavailable");
        assert_eq!((used(&workspace).await, used(&other).await), (vec![2], vec![]));
        let theirs = http_faults(&workspace).await[0]["http_fault_id"].clone();
        let delete = other.post("/_emulator/http_faults/delete", json!({ "http_fault_id": theirs })).await;
        delete.error(404, "http_fault_not_found");
    });
}

#[test]
fn a_workspace_whose_last_fault_is_deleted_is_one_without_faults_again() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let has_faults = async || {
            let query = "select has_http_faults from workspace where workspace_id = $1::uuid";
            let row: bool =
                sqlx::query_scalar(query).bind(&workspace.workspace_id).fetch_one(app().pool.raw()).await.unwrap();
            row
        };
        assert!(!has_faults().await);
        let first = http_fault(&workspace, json!({ "outcome": "reset", "path": "/nowhere" })).await;
        let second = http_fault(&workspace, json!({ "outcome": "reset", "path": "/nowhere" })).await;
        for (fault, remains) in [(first, true), (second, false)] {
            let id = json!({ "http_fault_id": fault["http_fault_id"] });
            workspace.post("/_emulator/http_faults/delete", id).await.ok();
            assert_eq!(has_faults().await, remains);
        }
    });
}

#[test]
fn what_is_likely_to_be_struck_is_the_same_in_every_workspace_of_one_seed() {
    run(async {
        let day = async || {
            let workspace = TestWorkspace::make(json!({ "seed": "bad days", "locks": 0 })).await;
            let made = http_fault(&workspace, json!({ "outcome": { "status": 503 }, "probability": 0.5 })).await;
            let mut struck = Vec::new();
            for _ in 0..40 {
                struck.push(devices(&workspace).await.status == 503);
            }
            let count = struck.iter().filter(|struck| **struck).count() as u64;
            assert_eq!(used(&workspace).await, [count]);
            assert!((8..=32).contains(&count), "{struck:?}");
            workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
            (made, struck)
        };
        assert_eq!(day().await, day().await);
        let workspace = TestWorkspace::with_locks(0).await;
        http_fault(&workspace, json!({ "outcome": { "status": 503 }, "probability": 1 })).await;
        devices(&workspace).await.error(503, "service_unavailable");
    });
}

#[test]
fn many_requests_at_once_are_struck_as_often_as_was_asked_for() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        http_fault(&workspace, json!({ "outcome": { "status": 503 }, "times": 5 })).await;
        let requests = (0..20).map(|_| ("/devices/list", json!({}))).collect();
        let replies = crate::concurrency::at_once(&workspace.api_key, requests).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 503).count(), 5);
        assert_eq!(used(&workspace).await, [5]);
    });
}

#[test]
fn a_delayed_request_is_served_as_usual_unless_it_takes_longer_than_any_may() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        http_fault(&workspace, json!({ "outcome": { "delay": "PT0.05S" }, "times": 1 })).await;
        let begun = Instant::now();
        assert_eq!(devices(&workspace).await.ok()["devices"].as_array().unwrap().len(), 1);
        assert!(begun.elapsed() >= Duration::from_millis(50));

        let shared = app();
        let mut settings = shared.config.clone();
        settings.request_timeout = Duration::from_millis(50);
        let router = server::router(App::new(settings, shared.pools()).unwrap());
        http_fault(&workspace, json!({ "outcome": { "delay": "PT1H" } })).await;
        let request = Request::get("/devices/list")
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", workspace.api_key))
            .body(Body::empty())
            .unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 408);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["error"]["type"], "request_timeout");
    });
}

#[test]
fn a_reset_without_a_connection_is_told() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        http_fault(&workspace, json!({ "outcome": "reset" })).await;
        devices(&workspace).await.error(502, "connection_reset");
    });
}

#[test]
fn http_faults_that_make_no_sense_are_refused() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let refused = [
            ("path", json!("devices/list")),
            ("path", json!("/devices/*/x")),
            ("path", json!("")),
            ("method", json!("FETCH")),
            ("method", json!("get")),
            ("outcome", json!("close")),
            ("outcome", json!({})),
            ("outcome", json!(null)),
            ("outcome", json!({ "status": 200 })),
            ("outcome", json!({ "status": 600 })),
            ("outcome", json!({ "status": 499.5 })),
            ("outcome", json!({ "status": "503" })),
            ("outcome", json!({ "body": {} })),
            ("outcome", json!({ "status": 503, "retry_after": -1 })),
            ("outcome", json!({ "status": 503, "delay": "PT1S" })),
            ("outcome", json!({ "delay": "soon" })),
            ("outcome", json!({ "delay": "-PT1S" })),
            ("outcome", json!({ "delay": 5 })),
            ("times", json!(0)),
            ("times", json!(1.5)),
            ("times", json!(10_000_000_000_i64)),
            ("probability", json!(0)),
            ("probability", json!(1.01)),
            ("probability", json!(-0.5)),
            ("probability", json!("often")),
        ];
        for (name, value) in refused {
            let mut params = json!({ "outcome": "reset" });
            params[name] = value;
            workspace.post("/_emulator/http_faults/create", params).await.error(400, "invalid_input");
        }
        workspace.post("/_emulator/http_faults/create", json!({})).await.invalid("outcome");
        assert_eq!(http_faults(&workspace).await, NOTHING, "nothing came of it");
        workspace.post("/_emulator/http_faults/delete", json!({})).await.invalid("http_fault_id");
        workspace.post("/_emulator/http_faults/delete", json!({ "http_fault_id": "x" })).await.invalid("http_fault_id");
        let unknown = json!({ "http_fault_id": UNKNOWN });
        workspace.post("/_emulator/http_faults/delete", unknown).await.error(404, "http_fault_not_found");
        for path in ["create", "list", "delete"] {
            let mut params = json!({ "workspace_id": UNKNOWN });
            match path {
                "create" => params["outcome"] = json!("reset"),
                "delete" => params["http_fault_id"] = json!(UNKNOWN),
                _ => {}
            }
            let path = format!("/_emulator/http_faults/{path}");
            post_as("", &path, params.clone()).await.error(404, "workspace_not_found");
            workspace.post(&path, params).await.invalid("workspace_id");
        }
    });
}
