//! Drop-in for Seam's own fake, `@seamapi/fake-seam-connect`: what test suites that were written for it rely on.
//!
//! It is a layer around the routes of the server, and exists only with `--like-fake`. It changes requests and responses,
//! and serves the paths under `/_fake`. The rest of the program does not know the fake.

mod database;
mod devices;
mod ids;
mod requests;
mod responses;
mod routes;
mod seed;

pub use self::seed::load;

use self::ids::UuidParameters;
use crate::api::{caller, edge};
use crate::engine::app::App;
use crate::error::{Error, Result};
use crate::http::origin::Origin;
use crate::http::request_id;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// Error for a well-known token in a request of a web page from elsewhere, as for the public credentials of the sandbox.
const REFUSED: Error = Error::Unauthorized(
    "The tokens of the seed are public, so only web pages from localhost, 127.0.0.1 and [::1] may use them, and the \
     paths under /_fake",
);

/// Starts of the paths whose requests and responses are not changed: long documents, and those without ids.
const UNCHANGED: [&str; 6] =
    ["/_emulator/snapshots/", "/_emulator/console", "/_emulator/openapi.json", "/openapi.json", "/docs", "/metrics"];

/// Path that returns a workspace to its initial state.
const RESET: &str = "/_emulator/workspaces/reset";

/// State of the layer.
struct LikeFake {
    app: App,
    /// The routes without this layer.
    api: Router,
    /// Parameters whose values are UUIDs in Latchkey.
    uuid_parameters: UuidParameters,
    /// Paths that are out of service, by workspace.
    outages: Mutex<HashMap<Uuid, HashSet<String>>>,
    /// Action attempts whose state a test has chosen: `status`, `result` and `error`.
    attempts: Mutex<HashMap<Uuid, Map<String, Value>>>,
}

/// Returns the routes with this layer around them.
pub(super) fn wrap(app: &App, routes: Router) -> Router {
    let fake = Arc::new(LikeFake {
        app: app.clone(),
        api: routes.clone(),
        uuid_parameters: UuidParameters::of_contracts(),
        outages: Mutex::default(),
        attempts: Mutex::default(),
    });
    routes.merge(routes::router(Arc::clone(&fake))).layer(from_fn_with_state(fake, translate))
}

/// Numbers the requests: the id of the first one is `request1`, as with the fake.
pub(super) fn number_requests(routes: Router) -> Router {
    let last = Arc::new(AtomicU64::new(0));
    let number = |State(last): State<Arc<AtomicU64>>, mut request: Request, next: Next| async move {
        let number = last.fetch_add(1, Ordering::Relaxed) + 1;
        if let Ok(id) = HeaderValue::try_from(format!("request{number}")) {
            request.headers_mut().insert(request_id::HEADER, id);
        }
        next.run(request).await
    };
    routes.layer(from_fn_with_state(last, number))
}

async fn translate(State(fake): State<Arc<LikeFake>>, request: Request, next: Next) -> Response {
    fake.serve(request, next).await.unwrap_or_else(IntoResponse::into_response)
}

impl LikeFake {
    /// Changes the request, lets the routes respond to it, and changes their response.
    async fn serve(&self, request: Request, next: Next) -> Result<Response> {
        let path = request.uri().path().to_owned();
        if UNCHANGED.iter().any(|start| path.starts_with(start)) {
            return Ok(next.run(request).await);
        }
        let (mut parts, body) = request.into_parts();
        let is_public = path.starts_with("/_fake/") || requests::has_public_token(&parts.headers);
        if is_public && Origin::of(&parts.headers) == Origin::CrossSite {
            return Err(REFUSED);
        }
        let body = receive(&self.app, body).await?;
        let (body, query) = requests::translate(&self.uuid_parameters, &mut parts, body)?;
        if self.is_out_of_service(&parts, &path).await {
            return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        if path == RESET && response.status() == StatusCode::OK {
            self.outages.lock().clear();
            self.attempts.lock().clear();
        }
        responses::translate(self, &path, &query, response).await
    }

    /// Returns true if the path is out of service in the workspace of the caller.
    async fn is_out_of_service(&self, parts: &Parts, path: &str) -> bool {
        if self.outages.lock().is_empty() {
            return false;
        }
        let Some(endpoint) = self.app.contract.endpoint(path) else { return false };
        let Ok(sender) = caller::authenticate(&self.app, endpoint, &parts.headers).await else { return false };
        let outages = self.outages.lock();
        let outage = sender.workspace().and_then(|workspace| outages.get(&workspace.workspace_id));
        outage.is_some_and(|paths| paths.contains(path))
    }
}

/// Reads the body of a request, within its limits of size and time.
async fn receive(app: &App, body: Body) -> Result<Bytes> {
    let deadline = app.config.request_timeout;
    let body = tokio::time::timeout(deadline, edge::receive(app.config.body_limit, body)).await;
    body.unwrap_or_else(|_| Err(Error::TimedOut(deadline.as_secs())))
}

/// Sets the length of a body that was changed.
fn set_length(headers: &mut HeaderMap, length: usize) {
    headers.remove(header::TRANSFER_ENCODING);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}
