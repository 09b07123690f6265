//! Look-up of workspaces by credential or id, and the properties that `/workspaces/update` changes.

use crate::domain::workspace::Workspace;
use crate::error::Result;
use crate::ids::Ids;
use crate::postgres::Pool;
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

/// Row of the rarely changing part of a workspace.
#[derive(Debug, sqlx::FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent property of the workspace")]
pub(crate) struct WorkspaceRow {
    workspace_id: Uuid,
    name: String,
    is_sandbox: bool,
    connect_partner_name: Option<String>,
    connect_webview_customization: Json<Map<String, Value>>,
    is_suspended: bool,
    is_publishable_key_auth_enabled: bool,
    organization_id: Option<Uuid>,
    publishable_key: String,
    seed: Option<String>,
    has_http_faults: bool,
    is_strict: bool,
}

impl WorkspaceRow {
    /// Columns of a workspace, with the alias `w`, for a `select`.
    pub(crate) const COLUMNS: &str = "w.workspace_id, w.name, w.is_sandbox, w.connect_partner_name,
        w.connect_webview_customization, w.is_suspended, w.is_publishable_key_auth_enabled, w.organization_id,
        w.publishable_key, w.seed, w.has_http_faults, w.is_strict";
}

impl From<WorkspaceRow> for Workspace {
    fn from(row: WorkspaceRow) -> Self {
        Self {
            workspace_id: row.workspace_id,
            name: row.name,
            is_sandbox: row.is_sandbox,
            connect_partner_name: row.connect_partner_name,
            connect_webview_customization: row.connect_webview_customization.0,
            is_suspended: row.is_suspended,
            is_publishable_key_auth_enabled: row.is_publishable_key_auth_enabled,
            organization_id: row.organization_id,
            publishable_key: row.publishable_key,
            ids: Ids::of(row.seed.as_deref()),
            has_http_faults: row.has_http_faults,
            is_strict: row.is_strict,
        }
    }
}

/// Returns a query that selects workspaces, without its conditions.
fn select() -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("select ");
    query.push(WorkspaceRow::COLUMNS).push(" from workspace w");
    query
}

async fn find(pool: &Pool, workspace_id: Uuid, mut query: QueryBuilder<Postgres>) -> Result<Option<Workspace>> {
    let row: Option<WorkspaceRow> = query.build_query_as().fetch_optional(pool.for_workspace(workspace_id)).await?;
    Ok(row.map(Workspace::from))
}

pub(crate) async fn by_id(pool: &Pool, workspace_id: Uuid) -> Result<Option<Workspace>> {
    let mut query = select();
    query.push(" where w.workspace_id = ").push_bind(workspace_id);
    find(pool, workspace_id, query).await
}

/// Returns the workspace of an API key.
pub(crate) async fn of_api_key(pool: &Pool, api_key: &str) -> Result<Option<Workspace>> {
    let mut query = select();
    query.push(" join credential c on w.workspace_id = any(array[c.workspace_id]) where c.token = ").push_bind(api_key);
    find(pool, Uuid::nil(), query).await
}

/// Returns the workspace of a publishable key.
pub(crate) async fn of_publishable_key(pool: &Pool, publishable_key: &str) -> Result<Option<Workspace>> {
    let mut query = select();
    query.push(" where w.publishable_key = ").push_bind(publishable_key);
    find(pool, Uuid::nil(), query).await
}

/// Returns the workspace with this id and its person, if this personal access token belongs to that person.
pub(crate) async fn of_token(pool: &Pool, token: &str, workspace_id: Uuid) -> Result<Option<(Uuid, Workspace)>> {
    #[derive(sqlx::FromRow)]
    struct OfPerson {
        person_id: Uuid,
        #[sqlx(flatten)]
        workspace: WorkspaceRow,
    }
    let mut query = QueryBuilder::new("select w.person_id, ");
    query.push(WorkspaceRow::COLUMNS).push(" from workspace w join person p using (person_id) where w.workspace_id = ");
    query.push_bind(workspace_id).push(" and p.personal_access_token is not distinct from ").push_bind(token);
    let found: Option<OfPerson> = query.build_query_as().fetch_optional(pool.for_workspace(workspace_id)).await?;
    Ok(found.map(|found| (found.person_id, found.workspace.into())))
}

/// Returns the workspaces of a person, or only the given one, in the order of their creation.
pub(crate) async fn of_person(pool: &Pool, person_id: Uuid, only: Option<Uuid>) -> Result<Vec<Workspace>> {
    let mut query = select();
    match only {
        // One workspace is looked up by its id.
        Some(workspace_id) => {
            query.push(" where w.workspace_id = ").push_bind(workspace_id);
            query.push(" and w.person_id is not distinct from ").push_bind(person_id);
        }
        None => drop(query.push(" where w.person_id = ").push_bind(person_id).push(" order by w.sequence")),
    }
    let rows: Vec<WorkspaceRow> =
        query.build_query_as().fetch_all(pool.for_workspace(only.unwrap_or_default())).await?;
    Ok(rows.into_iter().map(Workspace::from).collect())
}

/// Changes of the properties of a workspace; `None` keeps a property.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProfileUpdate {
    pub name: Option<String>,
    pub connect_partner_name: Option<String>,
    /// Members to set; null removes a member.
    pub connect_webview_customization: Map<String, Value>,
    pub is_suspended: Option<bool>,
    pub is_publishable_key_auth_enabled: Option<bool>,
    pub organization_id: Option<Uuid>,
}

/// Changes properties of a workspace. Returns false if the workspace does not exist.
pub(crate) async fn update_profile(tx: &mut PgConnection, workspace_id: Uuid, update: ProfileUpdate) -> Result<bool> {
    let done = sqlx::query!(
        "update workspace
         set name = coalesce($2, name),
             connect_partner_name = coalesce($3, connect_partner_name),
             connect_webview_customization = jsonb_strip_nulls(connect_webview_customization || $4),
             is_suspended = coalesce($5, is_suspended),
             is_publishable_key_auth_enabled = coalesce($6, is_publishable_key_auth_enabled),
             organization_id = coalesce($7, organization_id)
         where workspace_id = $1",
        workspace_id,
        update.name,
        update.connect_partner_name,
        Json(update.connect_webview_customization) as _,
        update.is_suspended,
        update.is_publishable_key_auth_enabled,
        update.organization_id,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}
