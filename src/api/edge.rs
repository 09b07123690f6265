//! Endpoints: a handler together with the checks that come before it, in Seam's order: authentication, method, content type,
//! contract. A failure at any of them is answered in the one envelope.

use super::caller;
use super::http_faults::apply;
use crate::compute::{self, LONG_DOCUMENT};
use crate::contract::{Endpoint, Operation, values};
use crate::domain::caller::Caller;
use crate::domain::http_fault::{HttpFaultOutcome, KeywordOutcome};
use crate::engine::app::App;
use crate::engine::http_faults;
use crate::engine::request_log::{CapturedBody, Pending};
use crate::error::{Error, Result, Unavailable};
use crate::http::{envelope, origin, request_id, seam_paths};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::time::Duration;

/// One request as a handler gets it: checked against the contract, and who sent it.
pub struct Call<I> {
    /// The server.
    pub app: App,
    /// Who sent it.
    pub caller: Caller,
    /// The parameters, from query and body alike.
    pub input: I,
    /// The parameters as they came, for what has to repeat or compare them.
    pub parameters: Map<String, Value>,
    /// Scheme and authority under which the caller reaches the server, for URLs in answers.
    pub base_url: String,
}

/// A request without parameters of its own.
#[derive(Deserialize)]
pub(crate) struct Nothing {}

/// An answer without content.
#[derive(Serialize)]
pub(crate) struct Done {}

/// Routes under construction, with the list of their paths for the test that compares it with the contract.
#[derive(Default)]
pub struct Routes {
    router: Router<App>,
    paths: Vec<&'static str>,
}

impl Routes {
    /// Adds a path of the contract with its handler.
    #[must_use]
    pub fn add<I, O, H, F>(self, path: &'static str, handler: H) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        H: Fn(Call<I>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<O>> + Send + 'static,
    {
        let serve = move |State(app): State<App>, request: Request| {
            let handler = handler.clone();
            async move {
                let mut pending = pending(&request, Cow::Borrowed(path));
                let deadline = app.config.request_timeout;
                let cause = pending.entry.cause.clone();
                let answering = cause.scope(answer(&app, path, request, handler, &mut pending));
                let result = tokio::time::timeout(deadline, answering).await;
                let answer = match result.unwrap_or_else(|_| Err(timed_out(&pending, deadline))) {
                    Ok(result) => envelope::ok(result).await,
                    Err(error) => error.into(),
                };
                app.requests.keep(pending, answer.status.as_u16(), &answer.body);
                answer.into_response()
            }
        };
        self.route(path, any(serve))
    }

    /// Adds a path with what serves it.
    #[must_use]
    pub(crate) fn route(mut self, path: &'static str, serve: MethodRouter<App>) -> Self {
        self.router = self.router.route(path, serve);
        self.paths.push(path);
        self
    }

    /// Takes over the routes of another resource.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.paths.extend(other.paths);
        self
    }

    /// The router and the paths in it.
    pub fn into_parts(self) -> (Router<App>, Vec<&'static str>) {
        (self.router, self.paths)
    }
}

/// A request as the log has it before it is answered.
fn pending(request: &Request, path: Cow<'static, str>) -> Pending {
    let request_id = request.headers().get(request_id::HEADER).and_then(|id| id.to_str().ok()).unwrap_or_default();
    Pending::new(request_id, request.method().as_str(), path, request.uri().query())
}

/// The error of a request that was given up. Where it was received and has changed nothing, it can be sent again.
fn timed_out(pending: &Pending, deadline: Duration) -> Error {
    if pending.entry.body.is_none() || pending.entry.cause.may_have_changed() {
        Error::TimedOut(deadline.as_secs())
    } else {
        Error::Unavailable(Unavailable::Busy)
    }
}

/// Answers a request, and writes into the log what becomes known of it.
async fn answer<I, O, H, F>(
    app: &App,
    path: &'static str,
    request: Request,
    handler: H,
    pending: &mut Pending,
) -> Result<O>
where
    I: DeserializeOwned,
    H: Fn(Call<I>) -> F,
    F: Future<Output = Result<O>>,
{
    let endpoint = app.contract.endpoint(path).ok_or_else(|| unknown_path(&request))?;
    let (parts, body) = request.into_parts();
    let caller = caller::authenticate(app, endpoint, &parts.headers).await?;
    let workspace = &caller.workspace;
    pending.entry.workspace_id = Some(workspace.workspace_id);
    let body = receive(app.config.body_limit, body).await;
    pending.entry.body = body.as_ref().ok().map(|body| CapturedBody::copy(body));
    if workspace.has_http_faults
        && let Some(injected) =
            http_faults::applied_fault(app, workspace, parts.method.as_str(), parts.uri.path()).await?
    {
        pending.entry.http_fault_id = Some(injected.http_fault_id);
        pending.is_reset = matches!(injected.outcome, HttpFaultOutcome::Named(KeywordOutcome::Reset));
        apply(injected, app, &parts).await?;
    }
    let (operation, body) = (operation(endpoint, &parts)?, body?);
    let (parameters, input) = compute::sized(body.len() > LONG_DOCUMENT, || {
        let mut parameters = read(operation, &parts, &body, workspace.is_strict)?;
        operation.retain_known(&mut parameters);
        let input = I::deserialize(&parameters)?;
        Ok::<_, Error>((parameters, input))
    })
    .await?;
    let base_url = base_url(&parts);
    handler(Call { app: app.clone(), caller, input, parameters, base_url }).await
}

/// What the request's method does at this endpoint.
pub(crate) fn operation<'a>(endpoint: &'a Endpoint, parts: &Parts) -> Result<&'a Operation> {
    let operation = endpoint.operation(parts.method.as_str());
    operation.ok_or_else(|| Error::MethodNotAllowed(endpoint.methods().join(",")))
}

/// Reads a body to its end, if that is not farther than this many bytes. Not a byte is read of one that is announced to
/// be longer.
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

/// Checks content type and parameters; gives the parameters of query and body as one object. `is_strict`: what the
/// contract does not know is refused.
pub(crate) fn read(operation: &Operation, parts: &Parts, body: &Bytes, is_strict: bool) -> Result<Map<String, Value>> {
    check_content_type(parts, body)?;
    let body = match body.as_ref() {
        [] => None,
        body => Some(serde_json::from_slice(body).map_err(|error| Error::UnreadableBody(error.to_string()))?),
    };
    check(operation, parts, body, is_strict)
}

/// Refuses a body that does not say that it is JSON.
pub(crate) fn check_content_type(parts: &Parts, body: &Bytes) -> Result<()> {
    let content_type =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let method = parts.method.as_str();
    if !body.is_empty() && matches!(method, "POST" | "PATCH") && !content_type.contains("application/json") {
        return Err(Error::InvalidContentType(method.to_owned()));
    }
    Ok(())
}

/// Checks parameters; gives those of query and body as one object.
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

/// The error of a path that there is not, with where those that there are can be read.
pub(crate) fn unknown_path(request: &Request) -> Error {
    let path = request.uri().path().to_owned();
    let contract = if path.starts_with("/_emulator") { "/_emulator/openapi.json" } else { "/openapi.json" };
    Error::NoSuchPath { method: request.method().to_string(), path, contract }
}

/// Answers what no route takes: 501 for a path of Seam's that is not served, else 404.
pub(crate) async fn fallback(State(app): State<App>, request: Request) -> Response {
    let path = request.uri().path();
    let mut pending = pending(&request, Cow::Owned(path.to_owned()));
    // It is in the log of whoever has asked, if that is known; it does not matter otherwise.
    if let Ok(Some(workspace)) = caller::of_api_key(&app, request.headers()).await {
        pending.entry.workspace_id = Some(workspace.workspace_id);
    }
    let error =
        if seam_paths::is_known(path) { Error::NotImplemented(path.to_owned()) } else { unknown_path(&request) };
    let answer: envelope::Answer = error.into();
    app.requests.keep(pending, answer.status.as_u16(), &answer.body);
    answer.into_response()
}
