//! SQL of client sessions.

use super::workspaces::{WorkspaceRow, WorkspaceSettingsRow};
use crate::clock::Timestamp;
use crate::domain::caller::{Caller, Credential, Session};
use crate::domain::client_session::{ClientSession, Validity};
use crate::domain::workspace::WorkspaceSettings;
use crate::error::Result;
use crate::ids::Ids;
use crate::postgres::Pool;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use std::sync::Arc;
use uuid::Uuid;

/// Connected accounts that the session `s` can access, as an array: those that it was granted, those that users
/// connected through its connect webviews, and those of its customer. This is the one place that defines them.
const VISIBLE_ACCOUNTS: &str = "array(
    select unnest(s.connected_account_ids)
    union select v.connected_account_id from connect_webview v
          where v.connect_webview_id = any(s.connect_webview_ids) and v.connected_account_id is not null
            and v.workspace_id is not distinct from s.workspace_id
    union select c.connected_account_id from connected_account c
          where c.workspace_id = s.workspace_id and c.customer_key = s.customer_key)";

#[derive(Debug, sqlx::FromRow)]
struct ClientSessionRow {
    client_session_id: Uuid,
    workspace_id: Uuid,
    token: String,
    user_identifier_key: Option<String>,
    customer_key: Option<String>,
    is_read_only: bool,
    connected_account_ids: Vec<Uuid>,
    connect_webview_ids: Vec<Uuid>,
    user_identity_ids: Vec<Uuid>,
    created_at: Timestamp,
    expires_at: Timestamp,
    revoked_at: Option<Timestamp>,
}

impl ClientSessionRow {
    /// Columns of the session `s`.
    const COLUMNS: &str = "s.client_session_id, s.workspace_id, s.token, s.user_identifier_key, s.customer_key,
        s.is_read_only, s.connected_account_ids, s.connect_webview_ids, s.user_identity_ids, s.created_at, s.expires_at, s.revoked_at";
}

impl From<ClientSessionRow> for ClientSession {
    fn from(row: ClientSessionRow) -> Self {
        Self {
            client_session_id: row.client_session_id,
            workspace_id: row.workspace_id,
            token: row.token,
            user_identifier_key: row.user_identifier_key,
            customer_key: row.customer_key,
            is_read_only: row.is_read_only,
            connected_account_ids: row.connected_account_ids,
            connect_webview_ids: row.connect_webview_ids,
            user_identity_ids: row.user_identity_ids,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        }
    }
}

#[derive(Debug, sqlx::FromRow)]
struct CountedRow {
    #[sqlx(flatten)]
    session: ClientSessionRow,
    device_count: i64,
}

/// Client session with the number of devices that it can access.
#[derive(Debug)]
pub(crate) struct CountedSession {
    pub session: ClientSession,
    pub device_count: i64,
}

impl From<CountedRow> for CountedSession {
    fn from(row: CountedRow) -> Self {
        Self { session: row.session.into(), device_count: row.device_count }
    }
}

/// Client session of a token, as a caller.
#[derive(Clone, Debug)]
pub struct SessionCaller {
    pub caller: Caller,
    pub validity: Validity,
}

#[derive(sqlx::FromRow)]
struct SessionCallerRow {
    #[sqlx(flatten)]
    session: ClientSessionRow,
    visible_account_ids: Vec<Uuid>,
    #[sqlx(flatten)]
    workspace: WorkspaceRow,
    #[sqlx(flatten)]
    settings: WorkspaceSettingsRow,
}

/// Returns the caller of a client session token, whether the session is still valid or not.
pub(crate) async fn of_token(pool: &Pool, token: &str) -> Result<Option<SessionCaller>> {
    let mut query = QueryBuilder::new("select ");
    query.push(ClientSessionRow::COLUMNS).push(", ").push(VISIBLE_ACCOUNTS).push(" as visible_account_ids, ");
    query.push(WorkspaceRow::COLUMNS).push(", ").push(WorkspaceSettingsRow::COLUMNS);
    query
        .push(" from client_session s join workspace w on w.workspace_id = any(array[s.workspace_id]) where s.token = ")
        .push_bind(token);
    let row: Option<SessionCallerRow> = query.build_query_as().fetch_optional(pool.for_workspace(Uuid::nil())).await?;
    let Some(row) = row else { return Ok(None) };
    let (_, settings) = <(Ids, WorkspaceSettings)>::try_from(row.settings)?;
    let validity = Validity {
        clock: settings.clock,
        expires_at: row.session.expires_at,
        is_revoked: row.session.revoked_at.is_some(),
    };
    let session = Session {
        client_session_id: row.session.client_session_id,
        connected_account_ids: row.visible_account_ids.into(),
        connect_webview_ids: row.session.connect_webview_ids.into(),
        user_identity_ids: row.session.user_identity_ids.into(),
        customer_key: row.session.customer_key.clone(),
    };
    let credential = match (&row.session.customer_key, row.session.is_read_only) {
        (None, _) => Credential::ClientSession(session),
        (Some(_), false) => Credential::CustomerSession(session),
        (Some(_), true) => Credential::ReadOnlyCustomerSession(session),
    };
    Ok(Some(SessionCaller { caller: Caller { workspace: Arc::new(row.workspace.into()), credential }, validity }))
}

/// Filter of client sessions; a field that is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter<'a> {
    pub client_session_id: Option<Uuid>,
    pub user_identifier_key: Option<&'a str>,
    /// Only sessions that were granted this connect webview.
    pub connect_webview_id: Option<Uuid>,
    /// Only sessions that were granted this user identity, or the one into which it was merged.
    pub user_identity_id: Option<Uuid>,
    /// Only sessions without a `user_identifier_key`.
    pub without_user_identifier_key: bool,
    /// Maximum number of sessions.
    pub limit: Option<i64>,
}

/// Appends the source of the sessions `s` of a workspace, newest first.
fn push_source(query: &mut QueryBuilder<Postgres>, workspace_id: Uuid, filter: &Filter<'_>) {
    query.push(" from client_session s where ");
    if let Some(client_session_id) = filter.client_session_id {
        query.push("s.client_session_id = ").push_bind(client_session_id);
        query.push(" and s.workspace_id is not distinct from ").push_bind(workspace_id);
        if let Some(key) = filter.user_identifier_key {
            query.push(" and s.user_identifier_key is not distinct from ").push_bind(key.to_owned());
        }
    } else if let Some(key) = filter.user_identifier_key {
        query.push("s.user_identifier_key = ").push_bind(key.to_owned());
        query.push(" and s.workspace_id is not distinct from ").push_bind(workspace_id);
    } else {
        query.push("s.workspace_id = ").push_bind(workspace_id);
    }
    if let Some(connect_webview_id) = filter.connect_webview_id {
        query.push(" and ").push_bind(connect_webview_id).push(" = any(s.connect_webview_ids)");
    }
    if let Some(user_identity_id) = filter.user_identity_id {
        query.push(" and (select coalesce(m.merged_into, m.user_identity_id) from user_identity m");
        query.push(" where m.user_identity_id = ").push_bind(user_identity_id).push(") = any(s.user_identity_ids)");
    }
    if filter.without_user_identifier_key {
        query.push(" and s.user_identifier_key is null");
    }
    query.push(" order by s.sequence desc");
    if let Some(limit) = filter.limit {
        query.push(" limit ").push_bind(limit);
    }
}

/// Returns the client sessions of a workspace that pass the filter, newest first. The number of sessions is limited by
/// [`count`] at their creation.
pub(crate) async fn list(pool: &Pool, workspace_id: Uuid, filter: &Filter<'_>) -> Result<Vec<CountedSession>> {
    let mut query = QueryBuilder::new("select ");
    query.push(ClientSessionRow::COLUMNS).push(", (select count(*) from device d where d.connected_account_id = any(");
    query
        .push(VISIBLE_ACCOUNTS)
        .push(") and d.workspace_id is not distinct from s.workspace_id and d.deleted_at is null) as device_count");
    push_source(&mut query, workspace_id, filter);
    let rows: Vec<CountedRow> = query.build_query_as().fetch_all(pool.for_workspace(workspace_id)).await?;
    Ok(rows.into_iter().map(CountedSession::from).collect())
}

/// Returns the client sessions of a workspace that pass the filter, newest first. The workspace must be locked.
pub(crate) async fn find(tx: &mut PgConnection, workspace_id: Uuid, filter: &Filter<'_>) -> Result<Vec<ClientSession>> {
    let mut query = QueryBuilder::new("select ");
    query.push(ClientSessionRow::COLUMNS);
    push_source(&mut query, workspace_id, filter);
    let rows: Vec<ClientSessionRow> = query.build_query_as().fetch_all(tx).await?;
    Ok(rows.into_iter().map(ClientSession::from).collect())
}

/// Returns the number of client sessions of a workspace, counting up to `most`.
pub(crate) async fn count(tx: &mut PgConnection, workspace_id: Uuid, most: i64) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!"
           from (select from client_session where workspace_id = $1 limit $2) as counted"#,
        workspace_id,
        most
    )
    .fetch_one(tx)
    .await?;
    Ok(count)
}

/// Returns the ordinal of the next client session of a workspace. The workspace must be locked.
pub(crate) async fn next_ordinal(tx: &mut PgConnection, workspace_id: Uuid) -> Result<i64> {
    let ordinal = sqlx::query_scalar!(
        r#"update workspace set client_sessions_made = client_sessions_made + 1 where workspace_id = $1
           returning client_sessions_made - 1 as "ordinal!""#,
        workspace_id
    )
    .fetch_one(tx)
    .await?;
    Ok(ordinal)
}

pub(crate) async fn insert(tx: &mut PgConnection, session: &ClientSession) -> Result<()> {
    sqlx::query!(
        "insert into client_session (client_session_id, workspace_id, token, user_identifier_key, customer_key,
                                     is_read_only, connected_account_ids, connect_webview_ids, created_at, expires_at,
                                     revoked_at, user_identity_ids)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        session.client_session_id,
        session.workspace_id,
        session.token,
        session.user_identifier_key,
        session.customer_key,
        session.is_read_only,
        &session.connected_account_ids,
        &session.connect_webview_ids,
        session.created_at,
        session.expires_at,
        session.revoked_at,
        &session.user_identity_ids,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes the mutable fields of a client session.
pub(crate) async fn update(tx: &mut PgConnection, session: &ClientSession) -> Result<()> {
    sqlx::query!(
        "update client_session
         set connected_account_ids = $2, connect_webview_ids = $3, is_read_only = $4, revoked_at = $5,
             user_identity_ids = $6
         where client_session_id = $1",
        session.client_session_id,
        &session.connected_account_ids,
        &session.connect_webview_ids,
        session.is_read_only,
        session.revoked_at,
        &session.user_identity_ids,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Grants a client session access to a connect webview, and to the account of its login. The workspace must be locked.
pub(crate) async fn grant_webview(
    tx: &mut PgConnection,
    client_session_id: Uuid,
    connect_webview_id: Uuid,
) -> Result<()> {
    sqlx::query!(
        "update client_session set connect_webview_ids = array_append(connect_webview_ids, $2)
         where client_session_id = $1",
        client_session_id,
        connect_webview_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Replaces a connect webview that is about to be deleted by the account of its login, in the sessions that have access to
/// it. The workspace must be locked.
pub(crate) async fn replace_webview(tx: &mut PgConnection, workspace_id: Uuid, connect_webview_id: Uuid) -> Result<()> {
    sqlx::query!(
        "update client_session s
         set connect_webview_ids = array_remove(s.connect_webview_ids, $2),
             connected_account_ids = s.connected_account_ids || array(
                 select v.connected_account_id from connect_webview v
                 where v.connect_webview_id = $2 and v.workspace_id is not distinct from $1
                   and v.connected_account_id is not null
                   and not v.connected_account_id = any(s.connected_account_ids))
         where s.workspace_id = $1 and $2 = any(s.connect_webview_ids)",
        workspace_id,
        connect_webview_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes a client session.
pub(crate) async fn delete(tx: &mut PgConnection, client_session_id: Uuid) -> Result<()> {
    sqlx::query!("delete from client_session where client_session_id = $1", client_session_id).execute(tx).await?;
    Ok(())
}

/// Replaces user identities that were merged into another one by that one, in the sessions that have access to them. The
/// workspace must be locked.
pub(crate) async fn replace_user_identities(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    into: Uuid,
    merged_ids: &[Uuid],
) -> Result<()> {
    sqlx::query!(
        "update client_session
         set user_identity_ids = array(select id from unnest(user_identity_ids) with ordinality as i(id, place)
                                       where not id = any($3) and id <> $2 order by place) || $2
         where workspace_id = $1 and user_identity_ids && $3",
        workspace_id,
        into,
        merged_ids
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes the client sessions of a user identity that have no other one, and takes it from all others. Returns the ids
/// of the deleted sessions, oldest first. The workspace must be locked.
pub(crate) async fn delete_of_user_identity(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    user_identity_id: Uuid,
) -> Result<Vec<Uuid>> {
    let deleted = sqlx::query_scalar!(
        r#"with deleted as (delete from client_session where workspace_id = $1 and user_identity_ids = array[$2::uuid]
                            returning client_session_id, sequence),
                changed as (update client_session set user_identity_ids = array_remove(user_identity_ids, $2)
                            where workspace_id = $1 and $2 = any(user_identity_ids)
                              and user_identity_ids <> array[$2::uuid])
           select client_session_id as "client_session_id!" from deleted order by sequence"#,
        workspace_id,
        user_identity_id
    )
    .fetch_all(tx)
    .await?;
    Ok(deleted)
}
