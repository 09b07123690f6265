//! The control plane under `/_emulator`: what no cloud can give a tester.
//!
//! It has a contract of its own. The API key of a workspace is good for the control plane of that workspace. On a
//! loopback address no credential is needed, but then it answers only to a loopback `Host`; elsewhere making, listing
//! and removing other workspaces needs the admin token, unless the control plane was opened. It answers to no pages from
//! elsewhere and sends no CORS headers, so that no web page can reach it. A call acts on the workspace of the API key that
//! comes with it, else on `workspace_id`, else on the default workspace.

mod access_codes;
mod clock;
mod devices;
mod faults;
mod http_faults;
mod keypad;
pub(crate) mod locks;
mod programming;
mod rate_limits;
mod requests;
mod snapshots;
mod stream;
mod strictness;
mod webhook_deliveries;
pub(crate) mod workspaces;

pub(crate) use crate::api::edge::{Done, Nothing};

use crate::api::edge::{self, Routes};
use crate::compute::{self, LONG_DOCUMENT};
use crate::config::ControlPlane;
use crate::domain::workspace::Workspace;
use crate::engine::app::App;
use crate::error::{Error, Resource, Result};
use crate::http::envelope;
use crate::http::origin::{self, Origin};
use crate::store;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::any;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// The path that makes workspaces; no API key of one is good for it.
const MAKE_WORKSPACE: &str = "/_emulator/workspaces/create";

/// Every route of the control plane's contract.
pub fn routes() -> ControlRoutes {
    ControlRoutes::default()
        .add(MAKE_WORKSPACE, workspaces::create)
        .add("/_emulator/workspaces/list", workspaces::list)
        .add("/_emulator/workspaces/update", workspaces::update)
        .add("/_emulator/workspaces/delete", workspaces::delete)
        .add("/_emulator/workspaces/reset", snapshots::reset)
        .add("/_emulator/clock", clock::get)
        .add("/_emulator/clock/hold", clock::hold)
        .add("/_emulator/clock/run", clock::run)
        .add("/_emulator/clock/advance", clock::advance)
        .add("/_emulator/devices/create", devices::create)
        .add("/_emulator/devices/update", devices::update)
        .add("/_emulator/faults/create", faults::create)
        .add("/_emulator/faults/list", faults::list)
        .add("/_emulator/faults/delete", faults::delete)
        .add("/_emulator/http_faults/create", http_faults::create)
        .add("/_emulator/http_faults/list", http_faults::list)
        .add("/_emulator/http_faults/delete", http_faults::delete)
        .add("/_emulator/requests", requests::list)
        .add_response("/_emulator/stream", stream::listen)
        .add("/_emulator/rate_limits/set", rate_limits::set)
        .add("/_emulator/strictness/set", strictness::set)
        .add("/_emulator/locks/memory", locks::memory)
        .add("/_emulator/locks/add_code", locks::add_code)
        .add("/_emulator/locks/change_code", locks::change_code)
        .add("/_emulator/locks/remove_code", locks::remove_code)
        .add("/_emulator/locks/enter_code", keypad::enter_code)
        .add("/_emulator/locks/press_lock", keypad::press_lock)
        .add("/_emulator/programming/set", programming::set)
        .add("/_emulator/snapshots/create", snapshots::create)
        .add("/_emulator/snapshots/restore", snapshots::restore)
        .add("/_emulator/snapshots/list", snapshots::list)
        .add("/_emulator/snapshots/delete", snapshots::delete)
        .add_response("/_emulator/snapshots/export", snapshots::export)
        .add(snapshots::IMPORT, snapshots::import)
        .add("/_emulator/access_codes/add_error", access_codes::add_error)
        .add("/_emulator/access_codes/add_warning", access_codes::add_warning)
        .add("/_emulator/access_codes/clear", access_codes::clear)
        .add("/_emulator/access_codes/step", access_codes::step)
        .add("/_emulator/webhook_deliveries/list", webhook_deliveries::list)
        .add("/_emulator/webhook_deliveries/redeliver", webhook_deliveries::redeliver)
        .add("/_emulator/webhook_deliveries/wait", webhook_deliveries::wait)
}

/// One request to the control plane.
pub(crate) struct Control<I> {
    /// The server.
    pub app: App,
    /// The parameters.
    pub input: I,
    /// The snapshot that is imported, as text.
    document: Bytes,
    /// The workspace whose API key came with the request.
    keyed: Option<Arc<Workspace>>,
    /// What else came in the head of the request.
    headers: HeaderMap,
    /// The workspace that was named.
    named: Option<Uuid>,
}

impl<I> Control<I> {
    /// The workspace whose API key came with the request.
    pub(super) fn keyed(&self) -> Option<&Workspace> {
        self.keyed.as_deref()
    }

    /// The workspace this acts on.
    pub(crate) async fn workspace(&self) -> Result<Arc<Workspace>> {
        if let Some(keyed) = &self.keyed {
            return match self.named {
                Some(named) if named != keyed.workspace_id => Err(Error::invalid(
                    "workspace_id",
                    "The API key that came with the request belongs to another workspace: leave one of them out",
                )),
                _ => Ok(Arc::clone(keyed)),
            };
        }
        let workspace_id = self.named.unwrap_or(crate::domain::sandbox::WORKSPACE_ID);
        store::workspaces::by_id(&self.app.pool, workspace_id)
            .await?
            .map(Arc::new)
            .ok_or(Error::NotFound(Resource::Workspace))
    }
}

/// Routes of the control plane under construction.
#[derive(Default)]
pub struct ControlRoutes(Routes);

impl ControlRoutes {
    /// Adds a path with its handler, whose result is answered in the envelope.
    fn add<I, O, H, F>(self, path: &'static str, handler: H) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        H: Fn(Control<I>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<O>> + Send + 'static,
    {
        self.add_response(path, move |call| {
            let answering = handler(call);
            async move { Ok(envelope::ok(answering.await?).await) }
        })
    }

    /// Adds a path with its handler, which gives the response itself.
    fn add_response<I, R, H, F>(self, path: &'static str, handler: H) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        R: IntoResponse + Send + 'static,
        H: Fn(Control<I>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<R>> + Send + 'static,
    {
        let serve = move |State(app): State<App>, request: Request| {
            let handler = handler.clone();
            async move { answer(app, path, request, handler).await.into_response() }
        };
        Self(self.0.route(path, any(serve)))
    }

    /// The router and the paths in it.
    pub fn into_parts(self) -> (Router<App>, Vec<&'static str>) {
        self.0.into_parts()
    }
}

async fn answer<I, O, H, F>(app: App, path: &'static str, request: Request, handler: H) -> Result<O>
where
    I: DeserializeOwned,
    H: Fn(Control<I>) -> F,
    F: Future<Output = Result<O>>,
{
    let endpoint = app.control_contract.endpoint(path).ok_or_else(|| edge::unknown_path(&request))?;
    let (parts, body) = request.into_parts();
    let keyed = admit(&app, path, &parts).await?;
    let operation = edge::operation(endpoint, &parts)?;
    // Of an import it is held until the answer.
    let (body, _share) = if path == snapshots::IMPORT {
        snapshots::receive(&app, body).await?
    } else {
        (receive(&app, body).await?, None)
    };
    // A typing error in what prepares a test must not be found by a test that fails.
    let (parameters, document) = compute::sized(body.len() > LONG_DOCUMENT, || {
        if path == snapshots::IMPORT {
            snapshots::read_body(operation, &parts, &body)
        } else {
            edge::read(operation, &parts, &body, true).map(|parameters| (parameters, Bytes::new()))
        }
    })
    .await?;
    drop(body);
    let named = parameters.get("workspace_id").and_then(Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
    // The contract knows no number too large; the types do.
    let input = I::deserialize(&Value::Object(parameters))
        .map_err(|error| Error::invalid_request(format!("A parameter does not fit: {error}")))?;
    let call = Control { app: app.clone(), input, document, keyed, headers: parts.headers, named };
    handler(call).await
}

/// Reads a body to its end. What moves a clock may take its time; only who sends a request is hurried.
async fn receive(app: &App, body: Body) -> Result<Bytes> {
    let deadline = app.config.request_timeout;
    let body = tokio::time::timeout(deadline, edge::receive(app.config.body_limit, body)).await;
    body.unwrap_or_else(|_| Err(Error::TimedOut(deadline.as_secs())))
}

/// Lets a request in, or not; gives the workspace of its API key, if it has one.
///
/// The admin token is good for everything. The API key of a workspace is good for the control plane of that workspace,
/// whoever is asking where there is an admin token. Where there is none, and where the control plane is open, no credential
/// is needed; but a server without a token answers only to a loopback `Host`, unless it is open.
async fn admit(app: &App, path: &str, parts: &Parts) -> Result<Option<Arc<Workspace>>> {
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = text(header::AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default();
    let admin_token = app.config.admin_token.as_deref().filter(|token| !token.is_empty());
    if admin_token.is_some_and(|admin_token| token.as_bytes().ct_eq(admin_token.as_bytes()).into()) {
        return Ok(None);
    }
    let is_open = app.config.control_plane == ControlPlane::Open;
    let is_trusted = is_open || admin_token.is_none();
    // A name of somebody else's that leads here may lead a page here, and the sandbox's key is known to all.
    if !is_open && admin_token.is_none() && !origin::names_loopback(&parts.headers, &parts.uri) {
        return Err(Error::Unauthorized("The control plane answers only to localhost, 127.0.0.1 and [::1]"));
    }
    // A page may send simple requests to anybody without asking first, but its browser says where it is from.
    let is_foreign = match Origin::of(&parts.headers) {
        Origin::Foreign => true,
        Origin::Loopback => false,
        Origin::Unsaid => origin::is_cross_site(&parts.headers),
    };
    if is_foreign {
        return Err(Error::Unauthorized("The control plane answers only to pages from localhost, 127.0.0.1 and [::1]"));
    }
    // Only who sends no credential at all means the default workspace; a garbled one is a wrong one.
    if parts.headers.get(header::AUTHORIZATION).is_none_or(HeaderValue::is_empty) {
        return if is_trusted {
            Ok(None)
        } else {
            Err(Error::Unauthorized(
                "The control plane needs the admin token, or the API key of the workspace that is meant, as \
                 Authorization: Bearer",
            ))
        };
    }
    let workspace = app.workspaces.of_token(&app.pool, "api_key", token).await?;
    let workspace = workspace.ok_or(Error::Unauthorized(match admin_token {
        Some(_) => "Neither the admin token nor the API key of a workspace",
        None => "API Key not found",
    }))?;
    if !is_trusted && path == MAKE_WORKSPACE {
        return Err(Error::Unauthorized(
            "Making a workspace needs the admin token as Authorization: Bearer: an API key is good for its own \
             workspace only",
        ));
    }
    Ok(Some(workspace))
}
