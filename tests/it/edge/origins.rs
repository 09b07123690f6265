//! Requests from web pages of other origins, and host names of the server that are not names of this machine.

use crate::support::{Reply, TestWorkspace, app, ask, run, send};
use axum::body::Body;
use axum::http::{HeaderValue, Request};
use latchkey::testing::domain::sandbox::API_KEY;
use latchkey::testing::engine::sandbox;

/// Sends a GET request with headers that need not be text.
async fn get(path: &str, headers: &[(&str, &[u8])]) -> Reply {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
    }
    send(request.body(Body::empty()).unwrap()).await
}

#[test]
fn host_header_must_be_a_loopback_name_as_a_whole() {
    run(async {
        let clock = "/_emulator/clock/hold";
        for host in ["[::1].evil.example", "[::1", "[::1]x", "[::1]:x", "localhost:80:80", "localhost@evil.example"] {
            ask("POST", clock, &[("host", host)], "").await.error(401, "unauthorized");
        }
        // The host in the request target is checked as well as the one in the header.
        let absolute = "http://evil.example/_emulator/clock/hold";
        ask("POST", absolute, &[("host", "localhost")], "").await.error(401, "unauthorized");
    });
}

#[test]
fn origin_that_cannot_be_parsed_is_rejected_by_the_control_plane() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let bearer = format!("Bearer {}", workspace.api_key);
        let known: [(&str, &[u8]); 2] = [("host", b"localhost"), ("authorization", bearer.as_bytes())];
        let ask = async |more: &[(&str, &[u8])]| get("/_emulator/clock", &[&known[..], more].concat()).await;
        for origin in [
            b"http://evil.example\xff".as_slice(),
            b"\xff",
            b"null",
            b"http://[::1].evil.example",
            b"http://[::1",
            b"http://[::1]x",
            b"ftp://localhost",
            b"localhost",
        ] {
            ask(&[("origin", origin)]).await.error(401, "unauthorized");
        }
        ask(&[("origin", b"https://[::1]:3000")]).await.ok();
    });
}

#[test]
fn control_plane_rejects_cross_site_requests_of_a_browser() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let ask = async |headers: &[(&str, &str)]| workspace.ask("GET", "/_emulator/clock", headers, "").await;
        for site in ["cross-site", "same-site"] {
            ask(&[("sec-fetch-site", site)]).await.error(401, "unauthorized");
            // A page of this machine on another port.
            ask(&[("sec-fetch-site", site), ("origin", "http://localhost:3000")]).await.ok();
        }
        for site in ["same-origin", "none"] {
            ask(&[("sec-fetch-site", site)]).await.ok();
        }
    });
}

#[test]
fn duplicate_host_or_origin_headers_are_rejected_everywhere() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        for path in ["/_emulator/clock", "/devices/list", "/nowhere"] {
            for header in [("host", "localhost"), ("origin", "http://localhost")] {
                let error = workspace.ask("GET", path, &[header, header], "").await.error(400, "invalid_input");
                assert!(super::message(&error).contains(header.0), "{error}");
            }
        }
    });
}

#[test]
fn sandbox_api_key_is_rejected_for_web_pages_of_remote_origins() {
    run(async {
        sandbox::ensure(&app()).await.unwrap();
        let workspace = TestWorkspace::with_locks(0).await;
        let bearer = format!("Bearer {API_KEY}");
        let sandbox = async |origin: &str| {
            ask("GET", "/devices/list", &[("authorization", bearer.as_str()), ("origin", origin)], "").await
        };
        for origin in ["https://evil.example", "null", "http://[::1].evil.example"] {
            let reply = sandbox(origin).await;
            // CORS lets the developer of the page read the error.
            assert_eq!(reply.headers["access-control-allow-origin"], origin);
            let error = reply.error(401, "unauthorized");
            assert!(super::message(&error).contains("/_emulator/workspaces/create"), "{error}");
            workspace.ask("GET", "/devices/list", &[("origin", origin)], "").await.ok();
        }
        for origin in ["http://localhost:3000", "http://127.0.0.1", ""] {
            sandbox(origin).await.ok();
        }
    });
}
