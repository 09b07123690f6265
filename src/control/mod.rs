//! Control plane under `/_emulator`: endpoints for tests, which Seam's API does not have. It has its own contract.
//!
//! A request acts on the workspace of its API key, else on `workspace_id`, else on the default workspace.
//!
//! The API key of a workspace gives access to that workspace, the admin token to all workspaces. No credential is
//! needed if the server has no admin token, or if the control plane is open ([`ControlPlane::Open`]). A server without
//! an admin token accepts only requests to a loopback `Host`, unless the control plane is open. Web pages of other
//! sites cannot use the control plane: their requests are rejected, and responses have no CORS headers.

mod access_codes;
mod client_sessions;
mod clock;
mod connect_webviews;
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

pub(crate) use crate::api::edge::{EmptyResult, NoParameters};

use crate::api::edge::{self, Routes};
use crate::compute::{self, LONG_DOCUMENT};
use crate::config::ControlPlane;
use crate::domain::workspace::Workspace;
use crate::engine::app::App;
use crate::error::{Error, Resource, Result};
use crate::http::origin::{self, Origin};
use crate::http::{access_log, envelope};
use crate::store;
use axum::Router;
use axum::body::Bytes;
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

/// Path that creates workspaces. Where a credential is needed, only the admin token is accepted.
const CREATE_WORKSPACE: &str = "/_emulator/workspaces/create";

/// Returns all routes of the control plane's contract.
pub fn routes() -> ControlRoutes {
    ControlRoutes::default()
        .add(CREATE_WORKSPACE, workspaces::create)
        .add("/_emulator/workspaces/list", workspaces::list)
        .add("/_emulator/workspaces/update", workspaces::update)
        .add("/_emulator/workspaces/delete", workspaces::delete)
        .add("/_emulator/workspaces/reset", snapshots::reset)
        .add("/_emulator/client_sessions/update", client_sessions::update)
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
        .add("/_emulator/connect_webviews/complete", connect_webviews::complete)
        .add("/_emulator/programming/set", programming::set)
        .add("/_emulator/snapshots/create", snapshots::create)
        .add("/_emulator/snapshots/restore", snapshots::restore)
        .add("/_emulator/snapshots/list", snapshots::list)
        .add("/_emulator/snapshots/delete", snapshots::delete)
        .add_response("/_emulator/snapshots/export", snapshots::export)
        .add(snapshots::IMPORT, snapshots::import)
        .add("/_emulator/access_codes/list", access_codes::list)
        .add("/_emulator/access_codes/count", access_codes::count)
        .add("/_emulator/access_codes/add_error", access_codes::add_error)
        .add("/_emulator/access_codes/add_warning", access_codes::add_warning)
        .add("/_emulator/access_codes/clear", access_codes::clear)
        .add("/_emulator/access_codes/step", access_codes::step)
        .add("/_emulator/webhook_deliveries/list", webhook_deliveries::list)
        .add("/_emulator/webhook_deliveries/redeliver", webhook_deliveries::redeliver)
        .add("/_emulator/webhook_deliveries/wait", webhook_deliveries::wait)
}

/// Request to the control plane, as a handler receives it.
pub(crate) struct Control<I> {
    pub app: App,
    /// Parameters from query and body.
    pub input: I,
    /// Text of the snapshot to import; empty at other endpoints.
    document: Bytes,
    /// Workspace of the API key; `None`: the request has no credential, or the admin token.
    keyed: Option<Arc<Workspace>>,
    headers: HeaderMap,
    /// Parameter `workspace_id`.
    named: Option<Uuid>,
}

impl<I> Control<I> {
    /// Returns the workspace of the API key, if the request has one.
    pub(super) fn keyed(&self) -> Option<&Workspace> {
        self.keyed.as_deref()
    }

    /// Returns true if the request names its workspace, by its API key or by `workspace_id`.
    pub(super) fn names_workspace(&self) -> bool {
        self.keyed.is_some() || self.named.is_some()
    }

    /// Returns the workspace that the request acts on: that of the API key, else `workspace_id`, else the default
    /// workspace.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the API key and `workspace_id` belong to different workspaces; [`Error::NotFound`].
    pub(crate) async fn workspace(&self) -> Result<Arc<Workspace>> {
        if let Some(keyed) = &self.keyed {
            return match self.named {
                Some(named) if named != keyed.workspace_id => Err(Error::invalid(
                    "workspace_id",
                    "The API key of the request belongs to another workspace: omit workspace_id, or use the API key \
                     of that workspace",
                )),
                _ => Ok(Arc::clone(keyed)),
            };
        }
        let workspace_id = self.named.unwrap_or(crate::domain::sandbox::WORKSPACE_ID);
        access_log::set_workspace(workspace_id);
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
    /// Adds a path with its handler, whose result is sent in the envelope.
    fn add<I, O, H, F>(self, path: &'static str, handler: H) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        H: Fn(Control<I>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<O>> + Send + 'static,
    {
        self.add_response(path, move |call| {
            let result = handler(call);
            async move { Ok(envelope::ok(result.await?).await) }
        })
    }

    /// Adds a path with its handler, which returns a complete response.
    fn add_response<I, R, H, F>(self, path: &'static str, handler: H) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        R: IntoResponse + Send + 'static,
        H: Fn(Control<I>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<R>> + Send + 'static,
    {
        let serve = move |State(app): State<App>, request: Request| {
            let handler = handler.clone();
            async move { handle(app, path, request, handler).await.into_response() }
        };
        Self(self.0.route(path, any(serve)))
    }

    /// Returns the router and its paths.
    pub fn into_parts(self) -> (Router<App>, Vec<&'static str>) {
        self.0.into_parts()
    }
}

/// Checks access, method and parameters of a request, and calls its handler.
async fn handle<I, O, H, F>(app: App, path: &'static str, request: Request, handler: H) -> Result<O>
where
    I: DeserializeOwned,
    H: Fn(Control<I>) -> F,
    F: Future<Output = Result<O>>,
{
    let endpoint = app.control_contract.endpoint(path).ok_or_else(|| edge::unknown_path(&request))?;
    let (parts, body) = request.into_parts();
    let keyed = admit(&app, path, &parts).await?;
    if let Some(workspace) = &keyed {
        access_log::set_workspace(workspace.workspace_id);
    }
    let operation = edge::operation(endpoint, &parts)?;
    // An import reserves its share of the import budget until the handler has finished.
    let (body, _share) = if path == snapshots::IMPORT {
        snapshots::receive(&app, body).await?
    } else {
        // The handler has no timeout: a move of the clock may take longer.
        (edge::receive_in_time(&app, body).await?, None)
    };
    // Unknown parameters are always rejected: otherwise a typing error in the setup of a test would make the test fail
    // later, without an explanation.
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
    // A number that the contract accepts may be too large for its Rust type.
    let input = I::deserialize(&Value::Object(parameters))
        .map_err(|error| Error::invalid_request(format!("A parameter is invalid: {error}")))?;
    let call = Control { app: app.clone(), input, document, keyed, headers: parts.headers, named };
    handler(call).await
}

/// Checks the access of a request, and returns the workspace of its API key, if it has one.
///
/// The admin token gives access to everything. The API key of a workspace gives access to that workspace. No credential
/// is needed if the server has no admin token, or if the control plane is open. A server without an admin token accepts
/// only requests to a loopback `Host`, unless the control plane is open.
///
/// # Errors
/// [`Error::Unauthorized`]; those of the database.
pub(crate) async fn admit(app: &App, path: &str, parts: &Parts) -> Result<Option<Arc<Workspace>>> {
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = text(header::AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default();
    let admin_token = app.config.admin_token.as_deref();
    if admin_token.is_some_and(|admin_token| token.as_bytes().ct_eq(admin_token.as_bytes()).into()) {
        return Ok(None);
    }
    let is_open = app.config.control_plane == ControlPlane::Open;
    let is_trusted = is_open || admin_token.is_none();
    // Any domain can have a host name that resolves to this machine, and its pages could then reach the server. The API
    // key of the sandbox is public and does not protect against them.
    if !is_open && admin_token.is_none() && !origin::names_loopback(&parts.headers, &parts.uri) {
        return Err(Error::Unauthorized("The control plane accepts only requests to localhost, 127.0.0.1 and [::1]"));
    }
    // A page may send simple requests to any server without a preflight, but its browser adds the origin of the page,
    // or at least reports in `Sec-Fetch-Site` that the page is of another site.
    let is_cross_site = match Origin::of(&parts.headers) {
        Origin::CrossSite => true,
        Origin::Loopback => false,
        Origin::Unspecified => origin::is_cross_site(&parts.headers),
    };
    if is_cross_site {
        return Err(Error::Unauthorized(
            "The control plane accepts only web pages from localhost, 127.0.0.1 and [::1]",
        ));
    }
    // Only a missing or empty header selects the default workspace. A malformed one is a wrong credential.
    if parts.headers.get(header::AUTHORIZATION).is_none_or(HeaderValue::is_empty) {
        return if is_trusted {
            Ok(None)
        } else {
            Err(Error::Unauthorized(
                "The control plane needs the admin token, or the API key of the workspace, as Authorization: Bearer",
            ))
        };
    }
    let workspace = app.callers.of_api_key(&app.pool, token).await?;
    let workspace = workspace.ok_or(Error::Unauthorized(match admin_token {
        Some(_) => "The bearer token is neither the admin token nor the API key of a workspace",
        None => "API Key not found",
    }))?;
    if !is_trusted && path == CREATE_WORKSPACE {
        return Err(Error::Unauthorized(
            "Creating a workspace needs the admin token as Authorization: Bearer. An API key is valid for its own \
             workspace only",
        ));
    }
    Ok(Some(workspace))
}
