//! Drop-in for Seam's own fake, `@seamapi/fake-seam-connect`: what test suites that were written for it rely on.
//!
//! It is a layer around the routes of the server, and exists only with `--like-fake`. It changes requests and responses,
//! and serves the paths under `/_fake`. The rest of the program does not know the fake.

mod chosen;
mod database;
mod devices;
mod ids;
mod parameters;
mod requests;
mod responses;
mod routes;
mod seed;

pub use self::seed::load;

use self::chosen::Chosen;
use self::ids::UuidParameters;
use crate::api::{caller, edge};
use crate::compute::{self, LONG_DOCUMENT};
use crate::domain::sandbox;
use crate::engine::app::App;
use crate::error::{Error, Result};
use crate::http::origin::Origin;
use crate::http::request_id;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// Error for a well-known token in a request of a web page from elsewhere, as for the public credentials of the sandbox.
const REFUSED: Error = Error::Unauthorized(
    "The tokens of the seed are public, so only web pages from localhost, 127.0.0.1 and [::1] may use them",
);

/// Starts of the paths whose requests and responses are not changed: long documents, and those without ids.
const UNCHANGED: [&str; 7] = [
    "/_emulator/snapshots/export",
    "/_emulator/snapshots/import",
    "/_emulator/console",
    "/_emulator/openapi.json",
    "/openapi.json",
    "/docs",
    "/metrics",
];

/// Path that returns the workspace of the caller to its initial state.
const RESET_SANDBOX: &str = "/workspaces/reset_sandbox";

/// Paths that return a workspace to its initial state, or to another one.
const RESETS: [&str; 3] = [RESET_SANDBOX, "/_emulator/workspaces/reset", "/_emulator/snapshots/restore"];

/// State of the layer.
struct LikeFake {
    app: App,
    /// Seam's API without this layer.
    api: Router,
    /// Parameters whose values are UUIDs in Latchkey.
    uuid_parameters: UuidParameters,
    /// What tests have chosen through the paths under `/_fake`.
    chosen: Mutex<Chosen>,
}

/// Returns the routes for web pages of any site, and the others, with this layer around both. The former get the paths
/// under `/_fake` too. `api` is Seam's API.
pub(super) fn wrap(app: &App, api: Router<App>, with_cors: Router<App>, others: Router<App>) -> [Router<App>; 2] {
    let fake = Arc::new(LikeFake {
        app: app.clone(),
        api: api.with_state(app.clone()),
        uuid_parameters: UuidParameters::of_contract(),
        chosen: Mutex::default(),
    });
    let with_cors = with_cors.merge(routes::router(&fake));
    [with_cors, others].map(|routes| routes.layer(from_fn_with_state(Arc::clone(&fake), translate)))
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
        if requests::translate_headers(&mut parts.headers).is_public && Origin::of(&parts.headers) == Origin::CrossSite
        {
            return Err(REFUSED);
        }
        let body = edge::receive_in_time(&self.app, body).await?;
        let translated = || requests::translate(&self.uuid_parameters, &mut parts, body.clone());
        let (body, asked) = compute::sized(body.len() > LONG_DOCUMENT, translated).await?;
        if self.is_out_of_service(&parts, &path).await {
            return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
        let headers_of_reset = RESETS.contains(&path.as_str()).then(|| parts.headers.clone());
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        if let Some(headers) = headers_of_reset.filter(|_| response.status() == StatusCode::OK)
            && let Some(workspace_id) = self.workspace_of_reset(&path, &headers, asked.workspace_id).await
        {
            self.chosen.lock().forget(workspace_id);
        }
        responses::translate(self, &path, &asked, response).await
    }

    /// Returns true if the path is out of service in the workspace of the caller.
    async fn is_out_of_service(&self, parts: &Parts, path: &str) -> bool {
        if !self.chosen.lock().has_outages() {
            return false;
        }
        let workspace_id = self.workspace_of_caller(path, &parts.headers).await;
        workspace_id.is_some_and(|workspace_id| self.chosen.lock().is_out_of_service(workspace_id, path))
    }

    /// Returns the workspace of the caller at a path of Seam's API.
    async fn workspace_of_caller(&self, path: &str, headers: &HeaderMap) -> Option<Uuid> {
        let sender = caller::authenticate(&self.app, self.app.contract.endpoint(path)?, headers).await.ok()?;
        sender.workspace().map(|workspace| workspace.workspace_id)
    }

    /// Returns the workspace that a successful request has reset. `named`: its parameter `workspace_id`.
    async fn workspace_of_reset(&self, path: &str, headers: &HeaderMap, named: Option<Uuid>) -> Option<Uuid> {
        if path == RESET_SANDBOX {
            return self.workspace_of_caller(path, headers).await;
        }
        let keyed = caller::of_api_key(&self.app, headers).await.ok().flatten();
        Some(keyed.map_or(named.unwrap_or(sandbox::WORKSPACE_ID), |workspace| workspace.workspace_id))
    }
}

/// Sets the length of a body that was changed.
fn set_length(headers: &mut HeaderMap, length: usize) {
    headers.remove(header::TRANSFER_ENCODING);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}
