//! The paths under `/_fake`.

use super::{LikeFake, database, ids, receive, seed};
use crate::domain::caller::Visibility;
use crate::domain::client_session::Access;
use crate::domain::sandbox_accounts::{Login, SandboxProvider};
use crate::engine::client_sessions::{self, SessionReference};
use crate::engine::connect_webviews::{self, LoginOutcome};
use crate::error::{Error, Resource, Result};
use crate::http::envelope;
use crate::store::action_attempts::{self, Filter};
use crate::store::{connect_webviews as stored_webviews, workspaces};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Maximum number of action attempts whose state tests have chosen, and of paths in an outage.
const MAX_ITEMS: usize = 10_000;

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
pub(super) fn router(fake: Arc<LikeFake>) -> Router {
    let only = |methods: &'static str| move || async move { Error::MethodNotAllowed(methods.to_owned()) };
    let update = patch(update_action_attempt).post(update_action_attempt);
    Router::new()
        .route("/_fake/default_seed", get(default_seed).fallback(only("GET")))
        .route("/_fake/database", get(database).fallback(replace_database))
        .route("/_fake/simulate_workspace_outage", post(simulate_workspace_outage).fallback(only("POST")))
        .route("/_fake/update_action_attempt", update.fallback(only("PATCH,POST")))
        .route("/_fake/complete_connect_webview", post(complete_connect_webview).fallback(only("POST")))
        .with_state(fake)
}

async fn default_seed() -> Response {
    ok(seed::names()).await
}

async fn database(State(fake): Fake) -> Result<Response> {
    Ok(ok(database::read(&fake).await?).await)
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
    routes: Vec<String>,
}

async fn simulate_workspace_outage(State(fake): Fake, body: Body) -> Result<Response> {
    let outage: Outage = read(&fake, body).await?;
    if outage.routes.len() > MAX_ITEMS {
        return Err(Error::invalid("routes", format!("Give at most {MAX_ITEMS} paths")));
    }
    let workspace = workspaces::by_id(&fake.app.pool, outage.workspace_id).await?;
    let workspace_id = workspace.ok_or(Error::NotFound(Resource::Workspace))?.workspace_id;
    fake.set_outage(workspace_id, outage.routes);
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
    let filter = Filter { action_attempt_ids: Some(&[id]), limit: 1, ..Filter::default() };
    let mut is_found = false;
    for workspace in workspaces::list(&fake.app.pool, None).await? {
        let visibility = Visibility::all_of(workspace.settings.workspace_id());
        is_found |= !action_attempts::list(&fake.app.pool, &visibility, &filter).await?.is_empty();
    }
    if !is_found {
        return Err(Error::NotFound(Resource::ActionAttempt));
    }
    fake.choose_attempt(id, update.state)?;
    Ok(ok(Map::new()).await)
}

impl LikeFake {
    /// Takes these paths of a workspace out of service, and no others.
    fn set_outage(&self, workspace_id: Uuid, paths: Vec<String>) {
        let mut outages = self.outages.lock();
        if paths.is_empty() {
            outages.remove(&workspace_id);
        } else {
            outages.insert(workspace_id, paths.into_iter().collect());
        }
    }

    /// Sets the state that an action attempt is shown in from now on.
    fn choose_attempt(&self, action_attempt_id: Uuid, state: AttemptState) -> Result<()> {
        let mut attempts = self.attempts.lock();
        if attempts.len() >= MAX_ITEMS && !attempts.contains_key(&action_attempt_id) {
            return Err(Error::Conflict(format!(
                "tests have chosen the state of {MAX_ITEMS} action attempts, the maximum. Reset the workspace with \
                 /_emulator/workspaces/reset."
            )));
        }
        attempts.insert(action_attempt_id, state.members());
        Ok(())
    }
}

#[derive(Deserialize)]
struct Completed {
    connect_webview_id: Uuid,
}

async fn complete_connect_webview(State(fake): Fake, body: Body) -> Result<Response> {
    let Completed { connect_webview_id } = read(&fake, body).await?;
    let webview = stored_webviews::by_id(&fake.app.pool, connect_webview_id).await?;
    let workspace_id = webview.ok_or(Error::NotFound(Resource::ConnectWebview))?.workspace_id;
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
    let body = receive(&fake.app, body).await?;
    serde_json::from_slice(&body).map_err(|error| Error::invalid_request(format!("The body is invalid: {error}")))
}
