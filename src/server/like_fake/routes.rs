//! The paths under `/_fake`. They are admitted as the control plane is, and act on the workspaces of the seed only.

use super::ids::WORKSPACES;
use super::{LikeFake, database, ids, seed};
use crate::api::edge;
use crate::compute::{self, LONG_DOCUMENT};
use crate::control;
use crate::domain::client_session::Access;
use crate::domain::sandbox_accounts::{Login, SandboxProvider};
use crate::engine::app::App;
use crate::engine::client_sessions::{self, SessionReference};
use crate::engine::connect_webviews::{self, LoginOutcome};
use crate::error::{Error, Resource, Result};
use crate::http::envelope;
use crate::store::{action_attempts, connect_webviews as stored_webviews, workspaces};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

/// Maximum size of the state that is chosen for an action attempt, in bytes of JSON.
const MAX_STATE_BYTES: usize = 64 * 1024;

/// Provider of the account that a completed webview connects.
static PROVIDER: SandboxProvider = SandboxProvider {
    name: "august",
    device_type: "august_lock",
    fields: &[],
    has_two_factor: false,
    devices: &["Front Door"],
    categories: &[],
};

type Fake = State<Arc<LikeFake>>;

/// Returns the routes.
pub(super) fn router(fake: &Arc<LikeFake>) -> Router<App> {
    let only = |methods: &'static str| move || async move { Error::MethodNotAllowed(methods.to_owned()) };
    let update = patch(update_action_attempt).post(update_action_attempt);
    Router::new()
        .route("/_fake/default_seed", get(default_seed).fallback(only("GET")))
        .route("/_fake/database", get(database).fallback(replace_database))
        .route("/_fake/simulate_workspace_outage", post(simulate_workspace_outage).fallback(only("POST")))
        .route("/_fake/update_action_attempt", update.fallback(only("PATCH,POST")))
        .route("/_fake/complete_connect_webview", post(complete_connect_webview).fallback(only("POST")))
        .route_layer(from_fn_with_state(Arc::clone(fake), admit))
        .with_state(Arc::clone(fake))
}

/// Lets a request through if the control plane would, and if its API key, if any, is one of the seed.
async fn admit(State(fake): Fake, request: Request, next: Next) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let keyed = control::admit(&fake.app, parts.uri.path(), &parts).await?;
    if keyed.is_some_and(|workspace| !WORKSPACES.contains(&workspace.workspace_id)) {
        return Err(Error::Unauthorized(
            "The paths under /_fake act on the workspaces of the seed: send the API key of one of these",
        ));
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

async fn default_seed() -> Response {
    ok(seed::names()).await
}

async fn database(State(fake): Fake) -> Result<Response> {
    let deadline = fake.app.config.request_timeout;
    let contents = tokio::time::timeout(deadline, database::read(&fake)).await;
    Ok(ok(contents.unwrap_or_else(|_| Err(Error::TimedOut(deadline.as_secs())))?).await)
}

async fn replace_database() -> Error {
    Error::invalid_request(
        "Latchkey cannot take over the state of the fake. To begin with other data, start it with --fixtures, or \
         import a snapshot with /_emulator/snapshots/import",
    )
}

#[derive(Deserialize)]
struct Outage {
    workspace_id: Uuid,
    routes: HashSet<String>,
}

/// Returns the workspace of a thing, if it is one of the seed.
///
/// # Errors
/// [`Error::NotFound`] for a thing of another workspace, and for one that does not exist.
fn of_seed(workspace_id: Option<Uuid>, resource: Resource) -> Result<Uuid> {
    workspace_id.filter(|workspace_id| WORKSPACES.contains(workspace_id)).ok_or(Error::NotFound(resource))
}

async fn simulate_workspace_outage(State(fake): Fake, body: Body) -> Result<Response> {
    let outage: Outage = read(&fake, body).await?;
    if let Some(unknown) = outage.routes.iter().find(|path| fake.app.contract.endpoint(path).is_none()) {
        let unknown: String = unknown.chars().take(200).collect();
        let message = format!("{unknown:?} is no path of GET /openapi.json. Give paths like /devices/list");
        return Err(Error::invalid("routes", message));
    }
    let workspace_id = of_seed(Some(outage.workspace_id), Resource::Workspace)?;
    // A test can have deleted the workspace.
    workspaces::by_id(&fake.app.pool, workspace_id).await?.ok_or(Error::NotFound(Resource::Workspace))?;
    fake.chosen.lock().set_outage(workspace_id, outage.routes);
    Ok(ok(Map::new()).await)
}

#[derive(Deserialize)]
struct AttemptUpdate {
    action_attempt_id: Uuid,
    #[serde(flatten)]
    state: AttemptState,
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum AttemptState {
    Success { result: Option<Value> },
    Error { error: AttemptError },
    Pending,
}

#[derive(Deserialize)]
struct AttemptError {
    r#type: String,
    message: String,
}

impl AttemptState {
    /// Returns the members of the action attempt.
    fn members(self) -> Map<String, Value> {
        let (status, result, error) = match self {
            Self::Success { result } => ("success", result.unwrap_or_else(|| json!({})), Value::Null),
            Self::Error { error } => ("error", Value::Null, json!({ "type": error.r#type, "message": error.message })),
            Self::Pending => ("pending", Value::Null, Value::Null),
        };
        let members = [("status", json!(status)), ("result", result), ("error", error)];
        members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
    }
}

async fn update_action_attempt(State(fake): Fake, body: Body) -> Result<Response> {
    let update: AttemptUpdate = read(&fake, body).await?;
    let id = update.action_attempt_id;
    let workspace_id = action_attempts::workspace_of(&fake.app.pool, id).await?;
    let workspace_id = of_seed(workspace_id, Resource::ActionAttempt)?;
    let members = update.state.members();
    if serde_json::to_vec(&members)?.len() > MAX_STATE_BYTES {
        let message = format!("result and error are longer than {MAX_STATE_BYTES} bytes. Give a shorter one");
        return Err(Error::invalid("result", message));
    }
    fake.chosen.lock().set_attempt((workspace_id, id), members)?;
    Ok(ok(Map::new()).await)
}

#[derive(Deserialize)]
struct Completed {
    connect_webview_id: Uuid,
}

async fn complete_connect_webview(State(fake): Fake, body: Body) -> Result<Response> {
    let Completed { connect_webview_id } = read(&fake, body).await?;
    let webview = stored_webviews::by_id(&fake.app.pool, connect_webview_id).await?;
    let workspace_id = of_seed(webview.map(|webview| webview.workspace_id), Resource::ConnectWebview)?;
    // Each webview connects another account.
    let login = Login::Accepted { user_identifier: format!("{}@example.com", connect_webview_id.simple()) };
    let outcome = connect_webviews::log_in(&fake.app, (workspace_id, connect_webview_id), &PROVIDER, login).await?;
    if let LoginOutcome::Authorized(webview) = outcome
        && workspace_id == ids::WORKSPACE_1
    {
        // The client session of the seed sees all accounts that are connected later.
        let access =
            Access { connected_account_ids: webview.connected_account_id.into_iter().collect(), ..Access::default() };
        let session = SessionReference::of_id(ids::CLIENT_SESSION);
        match client_sessions::grant_access(&fake.app, workspace_id, &session, access).await {
            Ok(_) | Err(Error::NotFound(Resource::ClientSession)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ok(Map::new()).await)
}

async fn ok(body: Map<String, Value>) -> Response {
    envelope::ok(body).await.into_response()
}

/// Reads the parameters of a request.
///
/// # Errors
/// [`Error::InvalidInput`] with the name of the parameter that is missing or has a wrong type.
async fn read<I: DeserializeOwned>(fake: &LikeFake, body: Body) -> Result<I> {
    let body = edge::receive_in_time(&fake.app, body).await?;
    let read = compute::sized(body.len() > LONG_DOCUMENT, || serde_json::from_slice(&body)).await;
    read.map_err(|error| Error::invalid_request(format!("The body is invalid: {error}")))
}
