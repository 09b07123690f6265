//! The log of requests and responses, and its stream.

use crate::concurrency::send_concurrently;
use crate::support::{TestWorkspace, UNKNOWN, app, ask, post_as, run};
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use latchkey::testing::engine::app::App;
use latchkey::testing::engine::request_log::Pending;
use latchkey::testing::http::envelope::JsonResponse;
use latchkey::testing::server;
use serde_json::{Value, json};
use std::borrow::Cow;
use tower::ServiceExt;

const JSON: (&str, &str) = ("content-type", "application/json");

async fn log(workspace: &TestWorkspace, params: Value) -> Vec<Value> {
    let listed = workspace.post("/_emulator/requests", params).await.ok();
    listed["requests"].as_array().unwrap().clone()
}

/// Returns the last logged request of a workspace.
async fn last(workspace: &TestWorkspace) -> Value {
    log(workspace, json!({ "limit": 1 })).await.pop().unwrap()
}

fn types(entry: &Value) -> Vec<&str> {
    entry["events"].as_array().unwrap().iter().map(|event| event["event_type"].as_str().unwrap()).collect()
}

#[test]
fn request_is_logged_with_its_response_and_its_events() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let body = json!({ "device_id": workspace.lock(0), "name": "Ada", "sync": true });
        let reply = workspace.post("/access_codes/create?colour=red", body.clone()).await;
        let request_id = reply.headers["seam-request-id"].to_str().unwrap().to_owned();
        let response = reply.ok();
        let entry = last(&workspace).await;
        let expected = [
            ("request_id", json!(request_id)),
            ("workspace_id", json!(workspace.workspace_id)),
            ("method", json!("POST")),
            ("path", json!("/access_codes/create")),
            ("query", json!({ "colour": "red" })),
            ("body", body),
            ("is_body_cut", json!(false)),
            ("status", json!(200)),
            ("answer", response.clone()),
            ("is_answer_cut", json!(false)),
            ("validation_issues", json!([])),
            ("unknown_parameters", json!([{ "parameter": "colour", "suggestion": null }])),
            ("http_fault_id", json!(null)),
        ];
        for (name, value) in expected {
            assert_eq!(entry[name], value, "{name}");
        }
        assert!(entry["duration_ms"].as_f64().unwrap() > 0.0);
        assert_eq!(types(&entry), ["access_code.created", "access_code.set_on_device"]);
        let id = &response["access_code"]["access_code_id"];
        for event in entry["events"].as_array().unwrap() {
            assert_eq!(event["access_code_id"], *id);
            let event = json!({ "event_id": event["event_id"] });
            assert_eq!(workspace.post("/events/get", event).await.ok()["event"]["access_code_id"], *id);
        }
    });
}

#[test]
fn validation_issues_are_logged_with_the_suggested_parameter() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace
            .post("/access_codes/create", json!({ "devcie_id": workspace.lock(0), "name": 5 }))
            .await
            .invalid("device_id");
        let entry = last(&workspace).await;
        assert_eq!(
            entry["validation_issues"],
            json!([
                { "parameter": "device_id", "message": "Required" },
                { "parameter": "name", "message": "Expected string, received number" },
            ])
        );
        assert_eq!(entry["unknown_parameters"], json!([{ "parameter": "devcie_id", "suggestion": "device_id" }]));
        assert_eq!((&entry["status"], &entry["events"]), (&json!(400), &json!([])));
        assert_eq!(entry["answer"]["error"]["type"], "invalid_input");
        workspace.get("/devices/list?custom_metadata_has.any=1&limti=1").await.ok();
        let suggested = json!([{ "parameter": "limti", "suggestion": "limit" }]);
        assert_eq!(last(&workspace).await["unknown_parameters"], suggested);
    });
}

#[test]
fn events_are_logged_with_the_request_that_caused_them_even_in_batches() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let create = |index: usize| ("/access_codes/create", json!({ "device_id": workspace.lock(index % 3) }));
        send_concurrently(&workspace.api_key, (0..24).map(create).collect()).await;
        let created = log(&workspace, json!({ "path": "/access_codes/create" })).await;
        assert_eq!(created.len(), 24);
        let mut ids = Vec::new();
        for entry in &created {
            let id = &entry["answer"]["access_code"]["access_code_id"];
            assert_eq!(types(entry), ["access_code.created"]);
            assert_eq!(entry["events"][0]["access_code_id"], *id);
            ids.push(id.clone());
        }
        // The locks set the codes later: those events belong to no request.
        workspace.advance("PT1H").await;
        assert_eq!(log(&workspace, json!({ "path": "/access_codes/create" })).await, created);

        let update = |id: &Value| ("/access_codes/update", json!({ "access_code_id": id, "name": "moved" }));
        send_concurrently(&workspace.api_key, ids.iter().map(update).collect()).await;
        let updated = log(&workspace, json!({ "path": "/access_codes/update" })).await;
        assert_eq!(updated.len(), 24);
        for entry in &updated {
            assert_eq!(types(entry), ["access_code.mutations_requested"]);
            assert_eq!(entry["events"][0]["access_code_id"], entry["body"]["access_code_id"]);
        }
        workspace.post("/access_codes/delete", json!({ "access_code_id": ids[0], "sync": true })).await.ok();
        assert_eq!(types(&last(&workspace).await), ["access_code.removed_from_device", "access_code.deleted"]);
        workspace.post("/devices/simulate/disconnect", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(types(&last(&workspace).await), ["device.disconnected"]);
        // The requests were served in any order.
        let is_remaining = |entry: &&Value| entry["body"]["device_id"] != workspace.lock(0) && entry != &&created[0];
        let remaining = &created.iter().find(is_remaining).unwrap()["answer"]["access_code"]["access_code_id"];
        workspace
            .post("/access_codes/update", json!({ "access_code_id": remaining, "code": "4321", "sync": true }))
            .await
            .ok();
        let entry_of_update = last(&workspace).await;
        assert_eq!(types(&entry_of_update)[0], "access_code.mutations_requested");
        assert!(types(&entry_of_update).contains(&"access_code.code_changed"), "{entry_of_update}");
    });
}

#[test]
fn events_due_before_a_request_are_not_logged_with_it() {
    run(async {
        // At this rate a millisecond is longer than the programming takes.
        let clock = json!({ "running_from": "2026-03-02T12:00:00Z", "rate": 1_000_000 });
        let workspace = TestWorkspace::create_with(json!({ "locks": 1, "clock": clock })).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let renamed = json!({ "access_code_id": code["access_code_id"], "name": "Ada" });
        workspace.post("/access_codes/update", renamed).await.ok();
        let entry = last(&workspace).await;
        assert_eq!(types(&entry), ["access_code.mutations_requested"]);
        let events = workspace.events_of(&code["access_code_id"]).await;
        assert_eq!(events[1].0, "access_code.set_on_device");
    });
}

#[test]
fn request_log_is_ordered_and_can_be_followed_and_searched() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(0).await);
        other.get("/devices/list").await.ok();
        for request in ["GET /devices/list", "POST /events/list", "GET /events/list?since=2020-01-01T00:00:00Z"] {
            let (method, path) = request.split_once(' ').unwrap();
            workspace.request(method, path).await;
        }
        workspace.send_unlogged().await;
        let logged = log(&workspace, json!({})).await;
        let lines = |entries: &[Value]| -> Vec<String> {
            entries.iter().map(|entry| format!("{} {} {}", entry["method"], entry["path"], entry["status"])).collect()
        };
        let (first, second, third) =
            (r#""GET" "/devices/list" 200"#, r#""POST" "/events/list" 400"#, r#""GET" "/events/list" 200"#);
        assert_eq!(lines(&logged), [first, second, third], "requests to the control plane are not logged");
        let found = async |params: Value| lines(&log(&workspace, params).await);
        assert_eq!(found(json!({ "limit": 2 })).await, [second, third], "the latest requests");
        let cursor = &logged[0]["cursor"];
        assert_eq!(found(json!({ "after": cursor })).await, [second, third]);
        assert_eq!(found(json!({ "after": cursor, "limit": 1 })).await, [second], "the next request");
        assert_eq!(found(json!({ "path": "/events/list" })).await, [second, third]);
        assert_eq!(found(json!({ "path": "/ev*", "method": "GET" })).await, [third]);
        assert_eq!(found(json!({ "status": 400 })).await, [second]);
        assert_eq!(found(json!({ "request_id": logged[2]["request_id"] })).await, [third]);
        assert_eq!(found(json!({ "method": "PUT" })).await, Vec::<String>::new());
        let cursor = cursor.as_str().unwrap();
        let next = workspace.get(&format!("/_emulator/requests?after={cursor}&limit=1")).await.ok();
        assert_eq!(lines(next["requests"].as_array().unwrap()), [second]);
        let named = post_as("", "/_emulator/requests", json!({ "workspace_id": workspace.workspace_id })).await.ok();
        assert_eq!(named["requests"].as_array().unwrap().len(), 3);
    });
}

#[test]
fn request_log_is_read_on_with_the_cursor_of_a_response_also_an_empty_one() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let mut cursor = workspace.post("/_emulator/requests", json!({})).await.ok()["cursor"].clone();
        for path in ["/devices/list", "/events/list", "/spaces/list"] {
            workspace.get(path).await;
        }
        // A response that `limit` cuts is continued after its last request.
        for expected in [["/devices/list", "/events/list"].as_slice(), &["/spaces/list"], &[]] {
            let listed = workspace.post("/_emulator/requests", json!({ "after": cursor, "limit": 2 })).await.ok();
            let paths: Vec<&Value> =
                listed["requests"].as_array().unwrap().iter().map(|entry| &entry["path"]).collect();
            assert_eq!(paths, expected);
            cursor = listed["cursor"].clone();
        }
    });
}

impl TestWorkspace {
    /// Sends requests that are not logged.
    async fn send_unlogged(&self) {
        self.get("/health").await.ok();
        self.get("/openapi.json").await;
        let bearer = format!("Bearer {}", self.api_key);
        let headers = [("authorization", bearer.as_str()), ("origin", "http://example.com")];
        ask("OPTIONS", "/devices/list", &headers, "").await;
    }
}

#[test]
fn unauthenticated_requests_are_listed_apart_and_unknown_paths_by_caller() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let marked = |marks: &str| format!("/devices/list?mark={}{marks}", workspace.workspace_id);
        post_as("seam_test_wrong_0123456789", &marked("1"), json!({})).await.error(401, "unauthorized");
        ask("POST", &marked("2"), &[JSON], "{}").await.error(401, "unauthorized");
        workspace.post("/phones/deactivate", json!({ "token": "secret" })).await.error(501, "not_implemented");
        workspace.get("/nowhere").await.error(404, "not_found");
        ask("GET", &marked("3").replace("devices", "nowhere"), &[], "").await.error(404, "not_found");
        let unauthenticated = log(&workspace, json!({ "unauthenticated": true, "limit": 1000 })).await;
        let is_marked = |entry: &&Value| entry["query"]["mark"].to_string().contains(&workspace.workspace_id);
        let marked_entries: Vec<&Value> = unauthenticated.iter().filter(is_marked).collect();
        assert_eq!(
            marked_entries.iter().map(|entry| entry["status"].as_u64().unwrap()).collect::<Vec<_>>(),
            [401, 401, 404]
        );
        assert!(marked_entries.iter().all(|entry| entry["workspace_id"].is_null()));
        assert!(marked_entries.iter().all(|entry| !entry.to_string().contains("wrong_0123")));
        let own_entries = log(&workspace, json!({})).await;
        assert_eq!(
            own_entries.iter().map(|entry| entry["path"].clone()).collect::<Vec<_>>(),
            ["/phones/deactivate", "/nowhere"]
        );
    });
}

#[test]
fn credentials_are_masked_and_long_bodies_are_cut() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let secret = &workspace.api_key;
        workspace.post("/devices/list", json!({ "api_key": "my own", "search": format!("x {secret} y") })).await;
        workspace.get(&format!("/devices/list?token=a-token-nobody-draws&search={secret}")).await;
        workspace.get("/workspaces/get").await.ok();
        let bearer = format!("Bearer {secret}");
        let broken = format!(r#"{{"api_key": "my own", "search": "{secret}"#);
        ask("POST", "/devices/list", &[("authorization", &bearer), JSON], broken).await.error(400, "invalid_input");
        let long = format!("{} my end", "x".repeat(20_000));
        workspace.post("/devices/list", json!({ "search": long })).await.ok();
        let entries = log(&workspace, json!({})).await;
        let text = json!(entries).to_string();
        let secrets = [
            secret.as_str(),
            &workspace.personal_access_token,
            "my own",
            "my end",
            "Bearer",
            "a-token-nobody-draws",
            "seam_pk",
        ];
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is not masked in {text}");
        }
        assert_eq!(entries[0]["body"], json!({ "api_key": "***", "search": "x *** y" }));
        assert_eq!(entries[1]["query"], json!({ "token": "***", "search": "***" }));
        assert_eq!(entries[3]["body"], r#"{"api_key": "***", "search": "***"#);
        assert_eq!(entries[4]["is_body_cut"], true);
        let stored_body = entries[4]["body"].as_str().unwrap();
        assert!(stored_body.len() == 16 * 1024 && stored_body.starts_with(r#"{"search":"xxx"#), "{stored_body}");
    });
}

#[test]
fn request_with_an_http_fault_is_logged_with_the_fault_id() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let fault = async |outcome: Value| {
            let params = json!({ "outcome": outcome, "times": 1 });
            workspace.post("/_emulator/http_faults/create", params).await.ok()["http_fault"]["http_fault_id"].clone()
        };
        let status = fault(json!({ "status": 503, "body": { "sorry": true } })).await;
        workspace.post("/devices/list", json!({ "limit": 1 })).await;
        let entry = last(&workspace).await;
        assert_eq!((&entry["http_fault_id"], &entry["status"]), (&status, &json!(503)));
        assert_eq!((&entry["answer"], &entry["body"]), (&json!({ "sorry": true }), &json!({ "limit": 1 })));
        let reset = fault(json!("reset")).await;
        workspace.post("/devices/list", json!({})).await;
        let entry = last(&workspace).await;
        assert_eq!((&entry["http_fault_id"], &entry["status"], &entry["answer"]), (&reset, &Value::Null, &Value::Null));
    });
}

/// Opens the stream of a workspace on a server of its own, and adds many requests to the log of that server. Returns how
/// many of them the stream sends and how many it reports as missed.
async fn stream_of_many(query: &str, many: u64) -> (u64, u64) {
    let workspace = TestWorkspace::with_locks(0).await;
    let shared = app();
    let app = App::new(shared.config.clone(), shared.pools()).unwrap();
    let request = Request::get(format!("/_emulator/stream?{query}"))
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, format!("Bearer {}", workspace.api_key))
        .body(Body::empty())
        .unwrap();
    let mut stream = server::router(app.clone()).oneshot(request).await.unwrap().into_body();
    for _ in 0..many {
        let mut pending = Pending::new("", "GET", Cow::Borrowed("/devices/list"), None);
        pending.entry.workspace_id = Some(workspace.workspace_id.parse().unwrap());
        let response =
            JsonResponse { status: StatusCode::OK, body: vec![Bytes::from_static(b"{}")], retry_after: None };
        app.request_log.record(pending, response.status.as_u16(), &response.body);
    }
    let (mut sent, mut missed) = (0, 0);
    while sent + missed < many {
        let text = stream.frame().await.unwrap().unwrap().into_data().unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        sent += u64::from(text.contains("event: request"));
        if text.contains("event: missed") {
            let (_, data) = text.split_once("data: ").unwrap();
            missed += serde_json::from_str::<Value>(data).unwrap()["missed"].as_u64().unwrap();
        }
    }
    assert_eq!(sent + missed, many);
    (sent, missed)
}

#[test]
fn slow_stream_reader_gets_the_number_of_missed_requests() {
    run(async {
        let (sent, missed) = stream_of_many("", 3000).await;
        assert!(missed > 0, "{sent} sent and {missed} missed");
    });
}

#[test]
fn stream_with_a_limit_sends_no_more_and_reports_the_rest_as_missed() {
    run(async {
        assert_eq!(stream_of_many("max_per_second=10", 500).await, (10, 490));
    });
}

#[test]
fn request_log_rejects_invalid_filters() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let invalid_filters = [
            ("limit", json!(0)),
            ("limit", json!("all")),
            ("after", json!("made up")),
            ("after", json!("00000000.1")),
            ("after", json!(5)),
            ("path", json!("devices")),
            ("method", json!("get")),
            ("status", json!(99)),
            ("status", json!("ok")),
            ("unauthenticated", json!("yes")),
        ];
        for (name, value) in invalid_filters {
            workspace.post("/_emulator/requests", json!({ name: value })).await.invalid(name);
        }
        let nowhere = json!({ "workspace_id": UNKNOWN });
        post_as("", "/_emulator/requests", nowhere.clone()).await.error(404, "workspace_not_found");
        workspace.post("/_emulator/requests", nowhere).await.invalid("workspace_id");
        workspace.get("/_emulator/stream?unauthenticated=perhaps").await.invalid("unauthenticated");
        workspace.get("/_emulator/stream?max_per_second=0").await.invalid("max_per_second");
        workspace.post("/_emulator/stream", json!({})).await.error(405, "method_not_allowed");
        let named = json!({ "workspace_id": workspace.workspace_id, "unauthenticated": true });
        post_as("", "/_emulator/requests", named).await.invalid("unauthenticated");
        for path in ["/_emulator/requests", "/_emulator/stream"] {
            let wrong = [("authorization", "Bearer seam_test_wrong")];
            ask("GET", path, &wrong, "").await.error(401, "unauthorized");
        }
    });
}

#[test]
fn unauthenticated_requests_are_logged_without_pins() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let query = format!("/access_codes/create?mark={}&code=482913&new_code=9182&name=Ada", workspace.workspace_id);
        ask("GET", &query, &[], "").await.error(401, "unauthorized");
        let unauthenticated = log(&workspace, json!({ "unauthenticated": true, "limit": 1000 })).await;
        let marked =
            unauthenticated.iter().find(|entry| entry["query"]["mark"] == workspace.workspace_id.as_str()).unwrap();
        let expected = json!({ "mark": workspace.workspace_id, "code": "***", "new_code": "***", "name": "Ada" });
        assert_eq!(marked["query"], expected);
        // The log of a workspace shows the PINs of its own requests.
        workspace.get("/access_codes/create?code=482913").await.error(405, "method_not_allowed");
        assert_eq!(last(&workspace).await["query"]["code"], "482913");
    });
}
