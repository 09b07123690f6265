//! Endpoints: a handler and the checks that run before it, in Seam's order: authentication, method, content type,
//! contract. The response to a failed check has the same envelope as all other responses.

use super::caller;
use super::http_faults::apply;
use crate::compute::{self, LONG_DOCUMENT};
use crate::contract::{Endpoint, Operation, values};
use crate::domain::caller::{AcceptedSender, Caller};
use crate::domain::http_fault::{HttpFaultOutcome, KeywordOutcome};
use crate::engine::app::App;
use crate::engine::http_faults;
use crate::engine::request_log::{CapturedBody, Pending};
use crate::error::{Error, Result, Unavailable};
use crate::http::envelope::{self, Answer};
use crate::http::{access_log, origin, request_id, seam_paths};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Header of a request that only observes: no HTTP fault is applied to it, and it is not in the request log. So the
/// console does not change what it shows.
pub(crate) const OBSERVER: HeaderName = HeaderName::from_static("latchkey-observer");

/// One request as a handler receives it: checked against the contract, and with its caller.
pub struct Call<I, S = Caller> {
    /// The server.
    pub app: App,
    /// The authenticated caller; for handlers that need no workspace, the [`Sender`](crate::domain::caller::Sender).
    pub caller: S,
    pub method: Method,
    /// The parameters of query and body.
    pub input: I,
    /// The same parameters as JSON, for page cursors, which are valid only for the same parameters, and for filters
    /// that `input` does not contain.
    pub parameters: Map<String, Value>,
    /// Scheme and authority by which the client reaches the server, for URLs in responses.
    pub base_url: String,
}

/// Input of an endpoint without parameters.
#[derive(Deserialize)]
pub(crate) struct NoParameters {}

/// Result of an endpoint without content.
#[derive(Serialize)]
pub(crate) struct EmptyResult {}

/// Builder of routes. Includes the list of their paths, for a test that compares them with the contract.
#[derive(Default)]
pub struct Routes {
    router: Router<App>,
    paths: Vec<&'static str>,
}

impl Routes {
    /// Adds a path of the contract with its handler.
    #[must_use]
    pub fn add<I, S, O, H, F>(self, path: &'static str, handler: H) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        S: AcceptedSender + Send + 'static,
        O: Answer + 'static,
        H: Fn(Call<I, S>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<O>> + Send + 'static,
    {
        let serve = move |State(app): State<App>, request: Request| {
            let handler = handler.clone();
            async move {
                let mut pending = new_log_entry(&request, Cow::Borrowed(path));
                let is_observer = request.headers().contains_key(OBSERVER);
                let deadline = app.config.request_timeout;
                let cause = pending.entry.cause.clone();
                let handling = cause.scope(handle(&app, path, request, handler, &mut pending));
                let result = tokio::time::timeout(deadline, handling).await;
                let response = match result.unwrap_or_else(|_| Err(timed_out(&pending, deadline))) {
                    Ok(result) => result.into_json_response().await,
                    Err(error) => error.into(),
                };
                if !is_observer {
                    app.request_log.record(pending, response.status.as_u16(), &response.body);
                }
                response.into_response()
            }
        };
        self.route(path, any(serve))
    }

    /// Adds a path with its method router.
    #[must_use]
    pub(crate) fn route(mut self, path: &'static str, serve: MethodRouter<App>) -> Self {
        self.router = self.router.route(path, serve);
        self.paths.push(path);
        self
    }

    /// Adds the routes of another resource.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.paths.extend(other.paths);
        self
    }

    /// Returns the router and its paths.
    pub fn into_parts(self) -> (Router<App>, Vec<&'static str>) {
        (self.router, self.paths)
    }
}

/// Creates the request log entry of a request that has no response yet.
fn new_log_entry(request: &Request, path: Cow<'static, str>) -> Pending {
    let request_id = request.headers().get(request_id::HEADER).and_then(|id| id.to_str().ok()).unwrap_or_default();
    Pending::new(request_id, request.method().as_str(), path, request.uri().query())
}

/// Returns the error of a request that exceeded its deadline. If its body was received and it has changed nothing, the
/// error is [`Unavailable::Busy`]: the client can send the request again.
fn timed_out(pending: &Pending, deadline: Duration) -> Error {
    if pending.entry.body.is_none() || pending.entry.cause.may_have_changed() {
        Error::TimedOut(deadline.as_secs())
    } else {
        Error::Unavailable(Unavailable::Busy)
    }
}

/// Checks a request and calls its handler. Records details of the request in its log entry.
async fn handle<I, S, O, H, F>(
    app: &App,
    path: &'static str,
    request: Request,
    handler: H,
    pending: &mut Pending,
) -> Result<O>
where
    I: DeserializeOwned,
    S: AcceptedSender,
    H: Fn(Call<I, S>) -> F,
    F: Future<Output = Result<O>>,
{
    let _running = Arc::clone(&app.running_requests);
    let endpoint = app.contract.endpoint(path).ok_or_else(|| unknown_path(&request))?;
    let (parts, body) = request.into_parts();
    let sender = caller::authenticate(app, endpoint, &parts.headers).await?;
    let workspace = sender.workspace().cloned();
    let caller = S::of(sender)?;
    pending.entry.workspace_id = workspace.as_ref().map(|workspace| workspace.workspace_id);
    if let Some(workspace_id) = pending.entry.workspace_id {
        access_log::set_workspace(workspace_id);
    }
    // The body is read first, so that the request log contains it even if a later check fails. An error of the body is
    // returned after the HTTP faults and the check of the method.
    let body = receive(app.config.body_limit, body).await;
    pending.entry.body = body.as_ref().ok().map(|body| CapturedBody::copy(body));
    if let Some(workspace) = workspace.as_ref().filter(|workspace| workspace.has_http_faults)
        && !parts.headers.contains_key(OBSERVER)
        && let Some(injected) =
            http_faults::applied_fault(app, workspace, parts.method.as_str(), parts.uri.path()).await?
    {
        pending.entry.http_fault_id = Some(injected.http_fault_id);
        pending.is_reset = matches!(injected.outcome, HttpFaultOutcome::Named(KeywordOutcome::Reset));
        apply(injected, app, &parts).await?;
    }
    let (operation, body) = (operation(endpoint, &parts)?, body?);
    let is_strict = workspace.is_some_and(|workspace| workspace.is_strict);
    let (parameters, input) = compute::sized(body.len() > LONG_DOCUMENT, || {
        let mut parameters = read(operation, &parts, &body, is_strict)?;
        operation.retain_known(&mut parameters);
        let input = I::deserialize(&parameters)?;
        Ok::<_, Error>((parameters, input))
    })
    .await?;
    let base_url = base_url(&parts);
    handler(Call { app: app.clone(), caller, method: parts.method, input, parameters, base_url }).await
}

/// Returns the endpoint's operation for the method of the request.
pub(crate) fn operation<'a>(endpoint: &'a Endpoint, parts: &Parts) -> Result<&'a Operation> {
    let operation = endpoint.operation(parts.method.as_str());
    operation.ok_or_else(|| Error::MethodNotAllowed(endpoint.methods().join(",")))
}

/// Reads a body of at most `limit` bytes to its end. A body with a longer announced length is rejected before anything
/// of it is read.
pub(crate) async fn receive(limit: usize, body: Body) -> Result<Bytes> {
    if usize::try_from(body.size_hint().lower()).map_or(true, |announced| announced > limit) {
        return Err(Error::PayloadTooLarge(limit));
    }
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::PayloadTooLarge(limit)),
        Err(error) => Err(Error::UnreadableBody(error.to_string())),
    }
}

/// Reads a body to its end, within the limits of the server for its size and for the time of a request.
pub(crate) async fn receive_in_time(app: &App, body: Body) -> Result<Bytes> {
    let deadline = app.config.request_timeout;
    let body = tokio::time::timeout(deadline, receive(app.config.body_limit, body)).await;
    body.unwrap_or_else(|_| Err(Error::TimedOut(deadline.as_secs())))
}

/// Checks content type and parameters. Returns the parameters of query and body as one object. `is_strict`: unknown
/// parameters are rejected.
pub(crate) fn read(operation: &Operation, parts: &Parts, body: &Bytes, is_strict: bool) -> Result<Map<String, Value>> {
    check_content_type(parts, body)?;
    let body = match body.as_ref() {
        [] => None,
        body => Some(serde_json::from_slice(body).map_err(|error| Error::UnreadableBody(error.to_string()))?),
    };
    check(operation, parts, body, is_strict)
}

/// Rejects a POST or PATCH body without the JSON content type.
pub(crate) fn check_content_type(parts: &Parts, body: &Bytes) -> Result<()> {
    let content_type =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let method = parts.method.as_str();
    if !body.is_empty() && matches!(method, "POST" | "PATCH") && !content_type.contains("application/json") {
        return Err(Error::InvalidContentType(method.to_owned()));
    }
    Ok(())
}

/// Checks the parameters. Returns those of query and body as one object.
pub(crate) fn check(
    operation: &Operation,
    parts: &Parts,
    body: Option<Value>,
    is_strict: bool,
) -> Result<Map<String, Value>> {
    let parameters = if is_strict {
        operation.check_strictly(parts.uri.query(), body)?
    } else {
        operation.check(parts.uri.query(), body)?
    };
    values::check(&parameters)?;
    Ok(parameters)
}

fn base_url(parts: &Parts) -> String {
    let scheme = parts.headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok()).unwrap_or("http");
    format!("{scheme}://{}", origin::host(&parts.headers, &parts.uri).unwrap_or("localhost"))
}

/// Returns the error of an unknown path. It names the document that lists the paths.
pub(crate) fn unknown_path(request: &Request) -> Error {
    let path = request.uri().path().to_owned();
    let contract = if path.starts_with("/_emulator") { "/_emulator/openapi.json" } else { "/openapi.json" };
    Error::NoSuchPath { method: request.method().to_string(), path, contract }
}

/// Responds to requests that match no route: 501 for a path of Seam that Latchkey does not serve, otherwise 404.
pub(crate) async fn fallback(State(app): State<App>, request: Request) -> Response {
    let path = request.uri().path();
    let mut pending = new_log_entry(&request, Cow::Owned(path.to_owned()));
    // The request is logged for the workspace of its API key. Without one, or if the look-up fails, it has no
    // workspace.
    if let Ok(Some(workspace)) = caller::of_api_key(&app, request.headers()).await {
        pending.entry.workspace_id = Some(workspace.workspace_id);
        access_log::set_workspace(workspace.workspace_id);
    }
    let error =
        if seam_paths::is_known(path) { Error::NotImplemented(path.to_owned()) } else { unknown_path(&request) };
    let response: envelope::JsonResponse = error.into();
    if !request.headers().contains_key(OBSERVER) {
        app.request_log.record(pending, response.status.as_u16(), &response.body);
    }
    response.into_response()
}
