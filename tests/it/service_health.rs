//! `/health`: the parts of the server and their state.

use crate::support::{app, ask, run};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use latchkey::testing::clock::{Timestamp, machine_now};
use latchkey::testing::engine::app::{App, SchedulerRound};
use latchkey::testing::postgres::{PoolLimits, Pools};
use latchkey::testing::server;
use serde_json::Value;
use tower::ServiceExt as _;

/// Requests `/health`. Returns the status, `Retry-After` and the body.
async fn health(router: Router) -> (StatusCode, Option<String>, Value) {
    let response = router.oneshot(Request::get("/health").body(Body::empty()).unwrap()).await.unwrap();
    let retry_after = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
    let status = response.status();
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, retry_after, serde_json::from_slice(&body).unwrap())
}

fn statuses(body: &Value) -> Vec<(&str, &str)> {
    let parts = body["service_health_statuses"].as_array().unwrap().iter();
    parts.map(|part| (part["service"].as_str().unwrap(), part["status"].as_str().unwrap())).collect()
}

/// Creates a server on the tests' database, with a separate pool and scheduler state.
fn new_server() -> App {
    let options = app().pool.raw().connect_options().as_ref().clone();
    let limits = PoolLimits { connections: 1, ..PoolLimits::of(&app().config) };
    App::new(app().config.clone(), Pools::lazy(options, limits)).unwrap()
}

#[test]
fn health_names_each_part_with_its_state_and_when_it_was_evaluated() {
    run(async {
        let server = new_server();
        let before = machine_now();
        server.record_scheduler_round(SchedulerRound { ended_at: before, has_succeeded: true });
        let router = server::router(server);
        let (status, retry_after, body) = health(router.clone()).await;
        assert_eq!((status, retry_after, &body["ok"]), (StatusCode::OK, None, &Value::Bool(true)));
        assert_eq!(statuses(&body), [("api", "healthy"), ("database", "healthy"), ("scheduler", "healthy")]);
        assert_eq!(body["msg"], "Latchkey is serving.");
        let parts = body["service_health_statuses"].as_array().unwrap();
        assert!(parts.iter().all(|part| part["description"].as_str().unwrap().ends_with('.')), "{body}");
        let evaluated_at: Timestamp = body["last_service_evaluation_at"].as_str().unwrap().parse().unwrap();
        assert!(evaluated_at.timestamp_millis() >= before.timestamp_millis() && evaluated_at <= machine_now());
        assert_eq!(health(router).await.2, body, "the result is cached for a second");
        let server = new_server();
        server.record_scheduler_round(SchedulerRound { ended_at: machine_now(), has_succeeded: false });
        let (status, _, body) = health(server::router(server)).await;
        assert_eq!((status, statuses(&body)[2]), (StatusCode::OK, ("scheduler", "degraded")));
    });
}

#[test]
fn health_is_503_while_a_part_is_down() {
    run(async {
        let server = new_server();
        server.record_scheduler_round(SchedulerRound { ended_at: machine_now(), has_succeeded: true });
        server.pool.close().await;
        let (status, retry_after, body) = health(server::router(server)).await;
        assert_eq!((status, &body["ok"]), (StatusCode::SERVICE_UNAVAILABLE, &Value::Bool(false)));
        assert!(retry_after.is_some());
        assert_eq!(statuses(&body), [("api", "healthy"), ("database", "down"), ("scheduler", "healthy")]);

        let server = new_server();
        let long_ago = machine_now() - chrono::TimeDelta::minutes(1);
        server.record_scheduler_round(SchedulerRound { ended_at: long_ago, has_succeeded: true });
        let (status, _, body) = health(server::router(server)).await;
        assert_eq!((status, statuses(&body)[2]), (StatusCode::SERVICE_UNAVAILABLE, ("scheduler", "down")));
    });
}

#[test]
fn health_needs_no_credential_and_takes_get_and_post() {
    run(async {
        for (method, path) in [("GET", "/health"), ("POST", "/health"), ("POST", "/health/get_health")] {
            let body = ask(method, path, &[], "").await.ok();
            assert_eq!(statuses(&body)[1], ("database", "healthy"), "{method} {path}");
        }
        ask("DELETE", "/health", &[], "").await.error(405, "method_not_allowed");
    });
}

#[test]
fn ready_is_503_while_the_server_cannot_serve_requests() {
    run(async {
        let ready = async |server: App| {
            let request = Request::get("/ready").body(Body::empty()).unwrap();
            let response = server::router(server).oneshot(request).await.unwrap();
            let (status, retry_after) = (response.status(), response.headers().contains_key(header::RETRY_AFTER));
            let body: Value = serde_json::from_slice(&to_bytes(response.into_body(), 10_000).await.unwrap()).unwrap();
            assert_eq!((retry_after, &body["ok"]), (status != StatusCode::OK, &Value::Bool(status == StatusCode::OK)));
            (status.as_u16(), body["msg"].as_str().unwrap().to_owned())
        };
        let failed = new_server();
        failed.record_scheduler_round(SchedulerRound { ended_at: machine_now(), has_succeeded: false });
        assert_eq!(ready(failed).await, (200, "Latchkey is ready.".to_owned()));
        let silent = new_server();
        let long_ago = machine_now() - chrono::TimeDelta::minutes(1);
        silent.record_scheduler_round(SchedulerRound { ended_at: long_ago, has_succeeded: true });
        assert_eq!(ready(silent).await, (503, "The scheduler has stopped.".to_owned()));
        let without_database = new_server();
        without_database.pool.close().await;
        assert_eq!(ready(without_database).await, (503, "The database does not respond.".to_owned()));
        let stopping = new_server();
        stopping.stopping.cancel();
        assert_eq!(ready(stopping).await, (503, "Latchkey is stopping.".to_owned()));
        ask("DELETE", "/ready", &[], "").await.error(405, "method_not_allowed");
        ask("DELETE", "/metrics", &[], "").await.error(405, "method_not_allowed");
    });
}
