//! Web pages that somebody happens to visit, and names of the server that are not this machine's.

use crate::support::{Reply, TestWorkspace, app, ask, run, send};
use axum::body::Body;
use axum::http::{HeaderValue, Request};
use latchkey::testing::domain::sandbox::API_KEY;
use latchkey::testing::engine::sandbox;

/// A GET with headers that need not be text.
async fn get(path: &str, headers: &[(&str, &[u8])]) -> Reply {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
    }
    send(request.body(Body::empty()).unwrap()).await
}

#[test]
fn a_host_is_loopback_only_if_all_of_it_is() {
    run(async {
        let clock = "/_emulator/clock/hold";
        for host in ["[::1].evil.example", "[::1", "[::1]x", "[::1]:x", "localhost:80:80", "localhost@evil.example"] {
            ask("POST", clock, &[("host", host)], "").await.error(401, "unauthorized");
        }
        // The name in the request's target counts as much as the one in the header.
        let absolute = "http://evil.example/_emulator/clock/hold";
        ask("POST", absolute, &[("host", "localhost")], "").await.error(401, "unauthorized");
    });
}

#[test]
fn an_origin_that_cannot_be_read_is_a_foreign_one() {
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
fn the_control_plane_refuses_what_another_site_made_a_browser_send() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let ask = async |headers: &[(&str, &str)]| workspace.ask("GET", "/_emulator/clock", headers, "").await;
        for site in ["cross-site", "same-site"] {
            ask(&[("sec-fetch-site", site)]).await.error(401, "unauthorized");
            // A page of this machine's on another port.
            ask(&[("sec-fetch-site", site), ("origin", "http://localhost:3000")]).await.ok();
        }
        for site in ["same-origin", "none"] {
            ask(&[("sec-fetch-site", site)]).await.ok();
        }
    });
}

#[test]
fn two_hosts_or_two_origins_are_refused_everywhere() {
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
fn the_key_that_everybody_knows_is_not_for_web_pages_from_elsewhere() {
    run(async {
        sandbox::ensure(&app()).await.unwrap();
        let workspace = TestWorkspace::with_locks(0).await;
        let bearer = format!("Bearer {API_KEY}");
        let sandbox = async |origin: &str| {
            ask("GET", "/devices/list", &[("authorization", bearer.as_str()), ("origin", origin)], "").await
        };
        for origin in ["https://evil.example", "null", "http://[::1].evil.example"] {
            let reply = sandbox(origin).await;
            // The page's developer can read why.
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
