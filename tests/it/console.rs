//! The console and the API reference as files, and what the server does for them.

use crate::support::{Reply, TestWorkspace, app, ask, run};
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use latchkey::testing::server;
use serde_json::json;
use std::fs;
use tower::ServiceExt;

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// Response whose body is a text.
struct Page {
    status: u16,
    headers: axum::http::HeaderMap,
    text: String,
}

async fn page(method: &str, path: &str, headers: &[(&str, &str)]) -> Page {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = server::router(app()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Page { status, headers, text: String::from_utf8_lossy(&body).into_owned() }
}

#[test]
fn console_is_served_to_browsers_at_the_root_and_at_its_own_path() {
    run(async {
        let root = page("GET", "/", &[BROWSER]).await;
        let own = page("GET", "/_emulator/console", &[]).await;
        assert_eq!((root.status, own.status), (200, 200));
        assert_eq!(root.text, own.text);
        assert!(root.headers.get_all(header::VARY).iter().any(|value| value == "Accept"));
        let policy = root.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        let head = page("HEAD", "/", &[BROWSER]).await;
        assert_eq!(head.headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    });
}

#[test]
fn root_responds_to_other_clients_as_to_any_unknown_path() {
    run(async {
        let cases =
            [("GET", "*/*"), ("GET", "application/json"), ("GET", ""), ("POST", BROWSER.1), ("DELETE", BROWSER.1)];
        for (method, accept) in cases {
            let root = ask(method, "/", &[("accept", accept)], "").await;
            let other = ask(method, "/unknown", &[("accept", accept)], "").await;
            let text = |reply: &Reply, path: &str| reply.text.replace(&format!(" {path}."), " PATH.");
            assert_eq!(text(&root, "/"), text(&other, "/unknown"), "{method} {accept}");
            let names = |reply: Reply| reply.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(names(root), names(other), "{method} {accept}");
        }
    });
}

#[test]
fn console_has_every_file_that_its_folder_contains() {
    run(async {
        for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/console")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name == "index.html" {
                continue;
            }
            let path = format!("/_emulator/console/{name}");
            let file = page("GET", &path, &[]).await;
            assert_eq!(file.status, 200, "{name}");
            let kind = file.headers[header::CONTENT_TYPE].to_str().unwrap();
            let extension = name.rsplit('.').next().unwrap();
            let expected = if extension == "js" { "javascript" } else { extension };
            assert!(kind.contains(expected), "{name} {kind}");
            assert_eq!(file.headers["x-content-type-options"], "nosniff");
            ask("POST", &path, &[], "").await.error(405, "method_not_allowed");
        }
        for path in ["/_emulator/console/index.html", "/_emulator/console/other.js", "/_emulator/console/../main.js"] {
            ask("GET", path, &[], "").await.error(404, "not_found");
        }
    });
}

#[test]
fn api_reference_has_both_contracts_with_this_server() {
    run(async {
        let redirect = page("GET", "/docs", &[]).await;
        assert_eq!((redirect.status, &redirect.headers[header::LOCATION]), (308, &"/docs/".parse().unwrap()));
        let start = page("GET", "/docs/", &[]).await;
        assert_eq!(start.headers[header::CONTENT_TYPE], "text/html");
        for (path, of_server) in
            [("/docs/seam.json", "/openapi.json"), ("/docs/control.json", "/_emulator/openapi.json")]
        {
            let document = ask("GET", path, &[], "").await.body;
            let original = ask("GET", of_server, &[], "").await.body;
            assert_eq!(document["servers"][0]["url"], "/");
            assert_eq!(document["components"]["schemas"], original["components"]["schemas"]);
            for (path, operations) in original["paths"].as_object().unwrap() {
                for (method, operation) in operations.as_object().unwrap() {
                    let (shown, path) = (&document["paths"][path][method], format!("{method} {path}"));
                    for part in ["summary", "description", "parameters", "responses"] {
                        assert_eq!(shown[part], operation[part], "{path}");
                    }
                    assert!(shown["security"].as_array().is_none_or(|security| !security.is_empty()), "{path}");
                }
            }
        }
        let seam = ask("GET", "/docs/seam.json", &[], "").await.body;
        let body = "/paths/~1access_codes~1create/post/requestBody/content/application~1json/example";
        assert_eq!(seam.pointer(body), Some(&json!({ "device_id": "00000000-0000-4000-8000-000000000101" })));
        let script = page("GET", "/docs/swagger-initializer.js", &[("accept-encoding", "gzip")]).await;
        assert_eq!(script.status, 200);
        assert!(script.text.contains("/docs/seam.json") && script.text.contains("/docs/control.json"));
        ask("GET", "/docs/unknown.js", &[], "").await.error(404, "not_found");
        ask("POST", "/docs/", &[], "").await.error(405, "method_not_allowed");
    });
}

#[test]
fn observer_is_not_logged_and_uses_up_no_http_fault() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let fault = json!({ "outcome": { "status": 503 }, "times": 1 });
        workspace.post("/_emulator/http_faults/create", fault).await.ok();
        let bearer = format!("Bearer {}", workspace.api_key);
        let as_observer = [("authorization", bearer.as_str()), ("latchkey-observer", "true")];
        ask("GET", "/devices/list", &as_observer, "").await.ok();
        ask("GET", "/thermostats/list", &as_observer, "").await.error(501, "not_implemented");
        let logged = async || workspace.post("/_emulator/requests", json!({})).await.ok()["requests"].clone();
        assert_eq!(logged().await, json!([]));
        assert_eq!(workspace.get("/devices/list").await.status, 503);
        assert_eq!(logged().await.as_array().unwrap().len(), 1);
    });
}
