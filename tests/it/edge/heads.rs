//! Request heads that are too large, and bodies that stay unread because the request is rejected.

use super::JSON;
use crate::support::{TestWorkspace, app, ask, run};
use axum::body::Body;

#[test]
fn request_head_may_be_as_large_as_the_limits_and_no_larger() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        for path in ["/devices/list", "/_emulator/clock", "/nowhere"] {
            // The host and the API key are two headers already.
            let many = |count: usize| vec![("x-more", "1"); count - 2];
            let (fits, too_many) = (many(100), many(101));
            assert_ne!(workspace.ask("GET", path, &fits, "").await.status, 431);
            workspace.ask("GET", path, &too_many, "").await.error(431, "request_header_fields_too_large");
            let (fits, too_long) = ("a".repeat(65_000), "a".repeat(65_536));
            assert_ne!(workspace.ask("GET", path, &[("x-more", &fits)], "").await.status, 431);
            let reply = workspace.ask("GET", path, &[("x-more", &too_long)], "").await;
            reply.error(431, "request_header_fields_too_large");
            let query = |length: usize| format!("{path}?x={}", "a".repeat(length - path.len() - 3));
            assert_ne!(workspace.get(&query(32_768)).await.status, 414);
            workspace.get(&query(32_769)).await.error(414, "uri_too_long");
        }
    });
}

#[test]
fn rejection_before_the_body_is_read_closes_the_connection() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let closes =
            |reply: &crate::support::Reply| reply.headers.get("connection").is_some_and(|value| value == "close");
        let long = || Body::from(" ".repeat(app().config.body_limit + 1));
        for path in ["/devices/list", "/_emulator/clock/hold"] {
            let reply = workspace.ask("POST", path, &[JSON], long()).await;
            assert!(closes(&reply), "{path}");
            reply.error(413, "payload_too_large");
        }
        for (path, status) in [("/devices/list", 401), ("/nowhere", 404), ("/noise_sensors/list", 501)] {
            let reply = ask("POST", path, &[JSON], long()).await;
            assert!(closes(&reply), "{path}");
            assert_eq!(reply.status, status, "{path}");
        }
        // The connection stays open if the body was read or the request had none.
        assert!(!closes(&workspace.ask("POST", "/devices/list", &[JSON], "{").await));
        assert!(!closes(&workspace.ask("POST", "/devices/get", &[JSON], "{}").await));
        assert!(!closes(&ask("GET", "/devices/list", &[], "").await));
    });
}
