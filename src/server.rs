//! The server: router, middleware, start and stop.

mod api_reference;
mod console;
pub mod fixtures;
pub(crate) mod health;
pub(crate) mod like_fake;
mod metrics;

use self::health::LastEvaluation;
use self::metrics::LastBacklog;
use crate::api::{self, edge};
use crate::engine::app::App;
use crate::engine::{scheduler, workspaces};
use crate::error::Error;
use crate::http::{access_log, head, listen, request_id, unread};
use crate::stop::Stop;
use crate::supervise::keep_running;
use crate::{compute, contract, control, delivery};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use std::any::Any;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Paths with JSON responses that are served although they are not in the contract. Seam serves them too, without
/// documenting them. The page of a connect webview is not in the contract either; its responses are HTML.
pub const OUTSIDE_THE_CONTRACT: &[&str] = &["/health", "/health/get_health", "/ready", "/openapi.json"];

/// Returns the router of the whole server.
pub fn router(app: App) -> Router {
    let (contract, _) = api::routes().into_parts();
    let (control_plane, _) = control::routes().into_parts();
    let health = Router::new()
        .route("/health", any(health))
        .route("/health/get_health", any(health))
        .route("/ready", any(ready))
        .layer(Extension(Arc::new(LastEvaluation::default())));
    // Web pages of any origin can use these routes. The control plane and the page of a webview have no CORS headers.
    let with_cors = Router::new()
        .merge(health)
        .route("/openapi.json", get(|| document(&contract::OPENAPI)).fallback(only_get))
        .merge(contract.clone())
        .route("/", any(console::root))
        .fallback(edge::fallback);
    let others = Router::new()
        .route("/metrics", any(metrics).layer(Extension(Arc::new(LastBacklog::default()))))
        .merge(control_plane)
        .merge(api::connect_webviews::view::router())
        .merge(console::router())
        .merge(api_reference::router())
        .route("/_emulator/openapi.json", get(|| document(&contract::CONTROL_OPENAPI)).fallback(only_get))
        .route("/_emulator/{*path}", any(async |request: Request| edge::unknown_path(&request).into_response()));
    let is_like_fake = app.config.like_fake;
    let [with_cors, others] =
        if is_like_fake { like_fake::wrap(&app, contract, with_cors, others) } else { [with_cors, others] };
    let routes = others.merge(with_cors.layer(cors())).with_state(app.clone());
    let framed =
        routes.layer((axum::middleware::from_fn_with_state(app, frame), CatchPanicLayer::custom(panic_response)));
    if is_like_fake { like_fake::number_requests(framed) } else { framed }
}

/// Middleware of every request. It is one function, because each layer copies the route below it for each request.
async fn frame(State(app): State<App>, request: Request, next: Next) -> Response {
    let checked = |request| head::check(request, |request| next.run(request));
    let recorded = |request| access_log::record(&app.metrics, app.config.verbose, request, checked);
    unread::close(request, |request| request_id::set(request, recorded)).await
}

/// Serves until the server is stopped. Then waits a limited time for running requests to finish, see [`listen::serve`].
pub async fn serve(app: App, listener: TcpListener, stop: &Stop) -> io::Result<()> {
    let (first, second, third, fourth) = (app.clone(), app.clone(), app.clone(), app.clone());
    let tasks = [
        tokio::spawn(keep_running("scheduler", move || scheduler::run(first.clone()))),
        tokio::spawn(keep_running("scheduler beside busy workspaces", move || {
            scheduler::run_beside_busy(second.clone())
        })),
        tokio::spawn(keep_running("expiry", move || workspaces::run_cleanup(third.clone()))),
        tokio::spawn(keep_running("delivery to webhooks", move || delivery::run(fourth.clone()))),
    ];
    listen::serve(listener, router(app.clone()), &app.stopping, stop).await;
    tokio::select! {
        () = app.deliveries_stopped.cancelled() => {}
        () = tokio::time::sleep(DELIVERY_STOP_TIMEOUT) => {}
        () = stop.immediate.cancelled() => {}
    }
    for task in tasks {
        task.abort();
    }
    Ok(())
}

/// Time that a stopping server waits until the results of deliveries to webhooks are recorded. They usually are when
/// the last request has finished.
const DELIVERY_STOP_TIMEOUT: Duration = Duration::from_secs(2);

async fn health(
    State(app): State<App>,
    Extension(last_evaluation): Extension<Arc<LastEvaluation>>,
    request: Request,
) -> Response {
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return Error::MethodNotAllowed("GET,POST".to_owned()).into_response();
    }
    health::cached_response(&app, &last_evaluation).await.into_response()
}

async fn ready(State(app): State<App>, method: Method) -> Response {
    if !matches!(method, Method::GET | Method::HEAD | Method::POST) {
        return Error::MethodNotAllowed("GET,POST".to_owned()).into_response();
    }
    health::readiness(&app).await.into_response()
}

async fn metrics(
    State(app): State<App>,
    Extension(last_backlog): Extension<Arc<LastBacklog>>,
    method: Method,
) -> Response {
    if !is_read(&method) {
        return only_get().await.into_response();
    }
    metrics::response(&app, &last_backlog).await
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

async fn only_get() -> Error {
    Error::MethodNotAllowed("GET".to_owned())
}

async fn document(document: &'static contract::Document) -> Response {
    let text = match compute::run(|| document.text()).await {
        Ok(text) => text,
        Err(error) => return Error::Internal(error.into()).into_response(),
    };
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

/// Headers that Seam's clients send, in addition to those that browsers may always send.
const CLIENT_HEADERS: &[&str] = &[
    "authorization",
    "content-type",
    "accept",
    "seam-workspace",
    "seam-lts-version",
    "seam-sdk-name",
    "seam-sdk-version",
    "seam-publishable-key",
    "seam-client-session-token",
    "client-session-token",
    "seam-api-key",
    "seam-user-identifier-key",
    "user-agent",
    "x-requested-with",
];

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::mirror_request())
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS])
        .allow_headers(AllowHeaders::list(CLIENT_HEADERS.iter().map(|name| HeaderName::from_static(name))))
        .expose_headers([request_id::HEADER])
}

/// Returns the response to a request whose handler panicked: 500, and the message of the panic is logged.
#[expect(clippy::needless_pass_by_value, reason = "the layer passes it by value")]
fn panic_response(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::Internal(format!("panic: {}", text.unwrap_or("no message")).into()).into_response()
}
