//! `/metrics`: what a Prometheus server reads.

use crate::support::{app, run};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use latchkey::testing::engine::app::App;
use latchkey::testing::postgres::{PoolLimits, Pools};
use latchkey::testing::server;
use std::collections::HashMap;
use tower::ServiceExt as _;

/// Creates a server on the tests' database, with metrics of its own.
fn new_server() -> App {
    let options = app().pool.raw().connect_options().as_ref().clone();
    let limits = PoolLimits { connections: 2, ..PoolLimits::of(&app().config) };
    App::new(app().config.clone(), Pools::lazy(options, limits)).unwrap()
}

/// Requests `/metrics`. Returns each value by its name with its labels.
async fn metrics(router: &Router) -> HashMap<String, String> {
    let response = router.clone().oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let content_type = response.headers()[header::CONTENT_TYPE].to_str().unwrap();
    assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"), "{content_type}");
    let text = String::from_utf8(to_bytes(response.into_body(), 1_000_000).await.unwrap().to_vec()).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.strip_prefix("latchkey_").unwrap().to_owned(), value.to_owned())
        })
        .collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

async fn send(router: &Router, method: &str, path: &str) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap();
}

#[test]
fn metrics_count_requests_and_durations_by_route_and_status() {
    run(async {
        let router = server::router(new_server());
        for _ in 0..3 {
            send(&router, "POST", "/devices/list").await;
        }
        send(&router, "GET", "/health").await;
        send(&router, "BREW", "/no/such/path?api_key=secret").await;
        send(&router, "GET", "/no/other/path").await;
        let found = metrics(&router).await;
        let count = |labels: &str| found.get(&format!("http_requests_total{{{labels}}}")).map(String::as_str);
        assert_eq!(count(r#"method="POST",route="/devices/list",status="401""#), Some("3"), "{found:#?}");
        assert_eq!(count(r#"method="GET",route="/health",status="200""#), Some("1"), "{found:#?}");
        assert_eq!(count(r#"method="other",route="unknown",status="404""#), Some("1"), "{found:#?}");
        assert_eq!(count(r#"method="GET",route="unknown",status="404""#), Some("1"), "{found:#?}");
        let duration = |name: &str| found[&format!("http_request_duration_seconds_{name}")].as_str();
        assert_eq!(duration(r#"count{method="POST",route="/devices/list"}"#), "3");
        assert_eq!(duration(r#"bucket{le="+Inf",method="POST",route="/devices/list"}"#), "3");
        assert_ne!(duration(r#"sum{method="POST",route="/devices/list"}"#), "0.0");
        let again = metrics(&router).await;
        assert_eq!(again[r#"http_requests_total{method="GET",route="/metrics",status="200"}"#], "1");
    });
}

#[test]
fn metrics_have_the_backlog_and_connections_while_the_database_responds() {
    run(async {
        let server = new_server();
        let router = server::router(server.clone());
        let found = metrics(&router).await;
        let of_database =
            ["due_access_codes", "overdue_access_codes", "scheduler_lag_seconds", "pending_webhook_deliveries"];
        for name in of_database {
            assert!(found.get(name).is_some_and(|value| number(value) >= 0.0), "{name}: {found:#?}");
        }
        assert_eq!(found["database_up"], "1");
        assert_eq!(found["parked_devices"], "0");
        for (pool, limit) in [("requests", "2"), ("background", "4"), ("deliveries", "2")] {
            assert_eq!(found[&format!("database_connections_limit{{pool=\"{pool}\"}}")], limit);
            assert!(number(&found[&format!("database_connections_in_use{{pool=\"{pool}\"}}")]) <= number(limit));
        }
        assert_eq!(found[&format!("build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], "1");

        let server = new_server();
        server.pool.close().await;
        let found = metrics(&server::router(server)).await;
        assert_eq!(found["database_up"], "0");
        assert!(of_database.iter().all(|name| !found.contains_key(*name)), "{found:#?}");
    });
}
