//! HTTP faults: error statuses, delays and connection resets for requests to the API.

use crate::support::{Reply, TestWorkspace, UNKNOWN, app, ask, post_as, run};
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use latchkey::testing::engine::app::App;
use latchkey::testing::server;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tower::ServiceExt;

const EMPTY: [Value; 0] = [];

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
fn oldest_matching_http_fault_that_is_not_exhausted_applies() {
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
            let created = http_fault(&workspace, fault.clone()).await;
            for (name, value) in fault.as_object().unwrap() {
                assert_eq!(created[name], *value);
            }
            assert_eq!((&created["used"], &created["is_exhausted"]), (&json!(0), &json!(false)));
            ids.push(created["http_fault_id"].clone());
        }
        let listed: Vec<Value> =
            http_faults(&workspace).await.iter().map(|fault| fault["http_fault_id"].clone()).collect();
        assert_eq!(listed, ids, "in the order of creation");
        let mut statuses = Vec::new();
        for method in ["POST", "GET", "GET", "GET", "PUT", "POST"] {
            statuses.push(workspace.request(method, "/devices/list").await.status);
        }
        assert_eq!(statuses, [503, 504, 503, 200, 418, 200], "faults apply before the check of the method");
        assert_eq!(used(&workspace).await, [0, 1, 2, 0, 1], "unused if no request matches");
        assert_eq!(http_faults(&workspace).await[1]["is_exhausted"], true);
        workspace.post("/_emulator/http_faults/delete", json!({ "http_fault_id": ids[4] })).await.ok();
        workspace.request("PUT", "/devices/list").await.error(405, "method_not_allowed");
        let twice = workspace.post("/_emulator/http_faults/delete", json!({ "http_fault_id": ids[4] })).await;
        twice.error(404, "http_fault_not_found");
    });
}

#[test]
fn http_fault_response_has_the_given_status_body_and_retry_after() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let create = || workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(0) }));
        let fault = http_fault(&workspace, json!({ "outcome": { "status": 503, "retry_after": 7 }, "times": 1 })).await;
        let reply = create().await;
        assert_eq!(reply.headers["retry-after"], "7");
        let error = reply.error(503, "service_unavailable");
        assert!(error["message"].as_str().unwrap().contains(fault["http_fault_id"].as_str().unwrap()), "{error}");
        for (status, kind) in [(429, "rate_limit_exceeded"), (403, "forbidden"), (599, "internal_server_error")] {
            http_fault(&workspace, json!({ "outcome": { "status": status }, "times": 1 })).await;
            let reply = create().await;
            assert!(!reply.headers.contains_key("retry-after"));
            reply.error(status, kind);
        }
        for body in [json!({ "any": ["thing", 1] }), json!("<html>"), json!(false)] {
            http_fault(&workspace, json!({ "outcome": { "status": 502, "body": body }, "times": 1 })).await;
            let reply = create().await;
            assert_eq!((reply.status, reply.body), (502, body));
        }
        let listed = workspace.post("/access_codes/list", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(listed["access_codes"], json!(EMPTY));
        create().await.ok();
    });
}

#[test]
fn http_fault_applies_only_to_api_requests_of_its_workspace() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        http_fault(&workspace, json!({ "outcome": { "status": 503 } })).await;
        devices(&workspace).await.error(503, "service_unavailable");
        devices(&other).await.ok();
        post_as("seam_test_wrong", "/devices/list", json!({})).await.error(401, "unauthorized");
        workspace.advance("PT1H").await;
        assert_eq!(workspace.get("/health").await.status, 200);
        workspace.get("/nowhere").await.error(404, "not_found");
        // A personal access token is subject to the fault like an API key.
        let bearer = format!("Bearer {}", workspace.personal_access_token);
        let headers = [("authorization", bearer.as_str()), ("seam-workspace", workspace.workspace_id.as_str())];
        ask("GET", "/devices/list", &headers, "").await.error(503, "service_unavailable");
        assert_eq!((used(&workspace).await, used(&other).await), (vec![2], vec![]));
        let fault_id = http_faults(&workspace).await[0]["http_fault_id"].clone();
        let delete = other.post("/_emulator/http_faults/delete", json!({ "http_fault_id": fault_id })).await;
        delete.error(404, "http_fault_not_found");
    });
}

#[test]
fn has_http_faults_is_false_again_after_the_last_fault_is_deleted() {
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
        for (fault, expected) in [(first, true), (second, false)] {
            let id = json!({ "http_fault_id": fault["http_fault_id"] });
            workspace.post("/_emulator/http_faults/delete", id).await.ok();
            assert_eq!(has_faults().await, expected);
        }
    });
}

#[test]
fn http_fault_probability_gives_the_same_results_with_the_same_seed() {
    run(async {
        let send_requests = async || {
            let workspace = TestWorkspace::create_with(json!({ "seed": "bad days", "locks": 0 })).await;
            let fault = http_fault(&workspace, json!({ "outcome": { "status": 503 }, "probability": 0.5 })).await;
            let mut failures = Vec::new();
            for _ in 0..40 {
                failures.push(devices(&workspace).await.status == 503);
            }
            let count = failures.iter().filter(|failed| **failed).count() as u64;
            assert_eq!(used(&workspace).await, [count]);
            assert!((8..=32).contains(&count), "{failures:?}");
            workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
            (fault, failures)
        };
        assert_eq!(send_requests().await, send_requests().await);
        let workspace = TestWorkspace::with_locks(0).await;
        http_fault(&workspace, json!({ "outcome": { "status": 503 }, "probability": 1 })).await;
        devices(&workspace).await.error(503, "service_unavailable");
    });
}

#[test]
fn http_fault_applies_exactly_times_to_concurrent_requests() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        http_fault(&workspace, json!({ "outcome": { "status": 503 }, "times": 5 })).await;
        let requests = (0..20).map(|_| ("/devices/list", json!({}))).collect();
        let replies = crate::concurrency::send_concurrently(&workspace.api_key, requests).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 503).count(), 5);
        assert_eq!(used(&workspace).await, [5]);
    });
}

#[test]
fn delayed_request_is_served_unless_it_exceeds_the_request_timeout() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        http_fault(&workspace, json!({ "outcome": { "delay": "PT0.05S" }, "times": 1 })).await;
        let started_at = Instant::now();
        assert_eq!(devices(&workspace).await.ok()["devices"].as_array().unwrap().len(), 1);
        assert!(started_at.elapsed() >= Duration::from_millis(50));

        let shared = app();
        let mut settings = shared.config.clone();
        settings.request_timeout = Duration::from_secs(1);
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
fn reset_without_a_connection_returns_connection_reset() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        http_fault(&workspace, json!({ "outcome": "reset" })).await;
        devices(&workspace).await.error(502, "connection_reset");
    });
}

#[test]
fn http_faults_with_invalid_parameters_are_rejected() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let invalid = [
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
        for (name, value) in invalid {
            let mut params = json!({ "outcome": "reset" });
            params[name] = value;
            workspace.post("/_emulator/http_faults/create", params).await.error(400, "invalid_input");
        }
        workspace.post("/_emulator/http_faults/create", json!({})).await.invalid("outcome");
        assert_eq!(http_faults(&workspace).await, EMPTY, "no fault was created");
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
