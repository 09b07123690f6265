//! Creation, change and deletion of client sessions. Each operation locks the workspace, so that a user has at most one
//! valid session.

use super::app::App;
use super::locked_workspace;
use super::recorder::Recorder;
use crate::cause::Cause;
use crate::clock::Timestamp;
use crate::domain::client_session::{Access, ClientSession, DEFAULT_LIFETIME, add_missing};
use crate::domain::event::NewEvent;
use crate::domain::workspace::Workspace;
use crate::error::{CredentialError, Error, Resource, Result};
use crate::postgres::Transaction;
use crate::store::client_sessions::{self, CountedSession, Filter};
use crate::store::user_identities::{self, Names};
use crate::store::{accounts, changes, connect_webviews, workspaces};
use uuid::Uuid;

/// Maximum number of client sessions of a workspace, because the list of them has no pages.
const MAX_SESSIONS: i64 = 10_000;

/// Parameters of a new client session.
#[derive(Debug, Default)]
pub(crate) struct NewClientSession {
    pub user_identifier_key: Option<String>,
    pub customer_key: Option<String>,
    pub access: Access,
    /// `None`: after [`DEFAULT_LIFETIME`].
    pub expires_at: Option<Timestamp>,
}

/// Behavior if the user of a new session already has a valid session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenSessionExists {
    Reject,
    /// Returns the existing session, with the requested access in addition.
    Return,
}

/// Session that a request names. At least one of the two is set.
#[derive(Debug, Default)]
pub(crate) struct SessionReference {
    pub client_session_id: Option<Uuid>,
    pub user_identifier_key: Option<String>,
}

impl SessionReference {
    /// Creates the reference to the session with this id.
    pub(crate) fn of_id(client_session_id: Uuid) -> Self {
        Self { client_session_id: Some(client_session_id), user_identifier_key: None }
    }

    /// Returns the filter for the session.
    pub(crate) fn filter(&self) -> Filter<'_> {
        Filter {
            client_session_id: self.client_session_id,
            user_identifier_key: self.user_identifier_key.as_deref(),
            limit: Some(1),
            ..Filter::default()
        }
    }
}

/// Creates a client session, or returns the existing one of the user.
///
/// # Errors
/// [`CredentialError::ClientSessionTokenAlreadyExists`]; [`Error::NotFound`] of an account or a webview;
/// [`Error::InvalidInput`] for an end in the past; [`Error::Conflict`] if the workspace has too many sessions.
pub(crate) async fn create(
    app: &App,
    workspace: &Workspace,
    new: NewClientSession,
    when_session_exists: WhenSessionExists,
) -> Result<CountedSession> {
    let workspace_id = workspace.workspace_id;
    let mut tx = locked_workspace::begin(app, workspace_id).await?;
    let (now, machine_now) = locked_workspace::now(&mut tx, workspace_id).await?;
    let access = checked(&mut tx, workspace_id, new.access).await?;
    if let Some(existing) = valid_session_of(&mut tx, workspace_id, new.user_identifier_key.as_deref(), now).await? {
        if when_session_exists == WhenSessionExists::Reject {
            return Err(CredentialError::ClientSessionTokenAlreadyExists.into());
        }
        return grant(app, tx, existing, &access).await;
    }
    let expires_at = match new.expires_at {
        None => now.checked_add_signed(DEFAULT_LIFETIME).unwrap_or(now),
        Some(expires_at) if expires_at > now => expires_at,
        Some(_) => {
            let message = "The end is not after the current time of the clock of the workspace";
            return Err(Error::invalid("expires_at", message));
        }
    };
    if client_sessions::count(&mut tx, workspace_id, MAX_SESSIONS).await? >= MAX_SESSIONS {
        return Err(Error::Conflict(format!(
            "the workspace has {MAX_SESSIONS} client sessions, its maximum. Delete some with /client_sessions/delete."
        )));
    }
    let ordinal = client_sessions::next_ordinal(&mut tx, workspace_id).await?;
    let client_session_id = workspace.ids.id("client_session", workspace_id, ordinal, machine_now);
    let mut session = ClientSession {
        client_session_id,
        workspace_id,
        token: workspace.ids.credential("client_session", "seam_cst1", client_session_id),
        user_identifier_key: new.user_identifier_key,
        customer_key: new.customer_key,
        is_read_only: false,
        connected_account_ids: Vec::new(),
        connect_webview_ids: Vec::new(),
        user_identity_ids: Vec::new(),
        created_at: now,
        expires_at,
        revoked_at: None,
    };
    session.grant(&access);
    client_sessions::insert(&mut tx, &session).await?;
    tx.commit().await?;
    get(app, workspace_id, &SessionReference::of_id(client_session_id)).await
}

/// Returns a client session: with a `user_identifier_key`, the newest one.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::ClientSession`].
pub(crate) async fn get(app: &App, workspace_id: Uuid, reference: &SessionReference) -> Result<CountedSession> {
    let found = client_sessions::list(&app.pool, workspace_id, &reference.filter()).await?;
    found.into_iter().next().ok_or(Error::NotFound(Resource::ClientSession))
}

/// Gives a client session access to further accounts, webviews and user identities.
///
/// # Errors
/// [`Error::NotFound`] of the session, an account, a webview or a user identity.
pub(crate) async fn grant_access(
    app: &App,
    workspace_id: Uuid,
    reference: &SessionReference,
    access: Access,
) -> Result<CountedSession> {
    let (mut tx, session) = begin(app, workspace_id, reference).await?;
    let access = checked(&mut tx, workspace_id, access).await?;
    grant(app, tx, session, &access).await
}

/// Adds the access to the session, and commits.
async fn grant(app: &App, mut tx: Transaction, mut session: ClientSession, access: &Access) -> Result<CountedSession> {
    if session.grant(access) {
        client_sessions::update(&mut tx, &session).await?;
        commit(app, tx, session.workspace_id).await?;
    } else {
        // The connection is returned before the session is read.
        drop(tx);
    }
    get(app, session.workspace_id, &SessionReference::of_id(session.client_session_id)).await
}

/// Revokes a client session: its token is rejected from now on. A session that is already revoked stays as it is.
///
/// # Errors
/// [`Error::NotFound`] of the session.
pub(crate) async fn revoke(app: &App, workspace_id: Uuid, client_session_id: Uuid) -> Result<()> {
    let (mut tx, mut session) = begin(app, workspace_id, &SessionReference::of_id(client_session_id)).await?;
    let (now, _) = locked_workspace::now(&mut tx, workspace_id).await?;
    session.revoked_at = session.revoked_at.or(Some(now));
    client_sessions::update(&mut tx, &session).await?;
    commit(app, tx, workspace_id).await
}

/// Sets whether the session of a customer can only read.
///
/// # Errors
/// [`Error::NotFound`] of the session; [`Error::InvalidInput`] for a session without a customer.
pub(crate) async fn set_read_only(
    app: &App,
    workspace_id: Uuid,
    client_session_id: Uuid,
    is_read_only: bool,
) -> Result<CountedSession> {
    let reference = SessionReference::of_id(client_session_id);
    let (mut tx, mut session) = begin(app, workspace_id, &reference).await?;
    if session.customer_key.is_none() {
        let message = "Only a client session with a customer_key can be read-only";
        return Err(Error::invalid("is_read_only", message));
    }
    session.is_read_only = is_read_only;
    client_sessions::update(&mut tx, &session).await?;
    commit(app, tx, workspace_id).await?;
    get(app, workspace_id, &reference).await
}

/// Deletes a client session, and records the event.
///
/// # Errors
/// [`Error::NotFound`] of the session.
pub(crate) async fn delete(app: &App, workspace_id: Uuid, client_session_id: Uuid) -> Result<()> {
    let (mut tx, session) = begin(app, workspace_id, &SessionReference::of_id(client_session_id)).await?;
    client_sessions::delete(&mut tx, session.client_session_id).await?;
    let (ids, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    let machine_now = crate::clock::machine_now();
    let now = settings.clock.now(machine_now);
    let mut recorder = Recorder::default();
    recorder.begin_request(0);
    let (generator, times) = ((&ids, settings.clock), (now, machine_now));
    recorder.record_event(NewEvent::of_deleted_client_session(client_session_id, workspace_id, generator, times));
    changes::write(&mut tx, recorder.changes(!settings.has_webhooks)).await?;
    commit(app, tx, workspace_id).await?;
    recorder.publish(app, &[Cause::current()]);
    Ok(())
}

/// Locks the workspace and finds the session.
async fn begin(app: &App, workspace_id: Uuid, reference: &SessionReference) -> Result<(Transaction, ClientSession)> {
    let mut tx = locked_workspace::begin(app, workspace_id).await?;
    let found = client_sessions::find(&mut tx, workspace_id, &reference.filter()).await?;
    let session = found.into_iter().next().ok_or(Error::NotFound(Resource::ClientSession))?;
    Ok((tx, session))
}

/// Commits a change of a session. Requests with its token see the change at once.
async fn commit(app: &App, tx: Transaction, workspace_id: Uuid) -> Result<()> {
    tx.commit().await?;
    app.callers.forget(workspace_id);
    Ok(())
}

/// Returns the valid session of a user, if the user has one.
async fn valid_session_of(
    tx: &mut Transaction,
    workspace_id: Uuid,
    user_identifier_key: Option<&str>,
    now: Timestamp,
) -> Result<Option<ClientSession>> {
    if user_identifier_key.is_none() {
        return Ok(None);
    }
    let filter = Filter { user_identifier_key, ..Filter::default() };
    let found = client_sessions::find(tx, workspace_id, &filter).await?;
    Ok(found.into_iter().find(|session| session.is_valid(now)))
}

/// Checks that the workspace has these accounts, webviews and user identities. User identities that were merged are
/// replaced by the ones into which they were merged.
async fn checked(tx: &mut Transaction, workspace_id: Uuid, access: Access) -> Result<Access> {
    let (accounts, webviews) = (&access.connected_account_ids, &access.connect_webview_ids);
    if !webviews.is_empty() && !connect_webviews::exist(tx, workspace_id, webviews).await? {
        return Err(Error::NotFound(Resource::ConnectWebview));
    }
    if !accounts.is_empty() && !accounts::exist(tx, workspace_id, accounts).await? {
        return Err(Error::NotFound(Resource::ConnectedAccount));
    }
    let mut distinct = Vec::new();
    add_missing(&mut distinct, &access.user_identity_ids);
    let user_identity_ids = user_identities::survivors(tx, workspace_id, &Names::Ids(distinct)).await?;
    Ok(Access { user_identity_ids, ..access })
}
