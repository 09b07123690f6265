//! SQL of connect webviews.

use super::row::row;
use super::{Position, push_custom_metadata, push_page, push_search, push_workspace};
use crate::clock::Timestamp;
use crate::domain::caller::Visibility;
use crate::domain::connect_webview::{AcceptedProviders, ConnectWebview, WebviewSettings, WebviewStatus};
use crate::error::{Error, Resource, Result};
use crate::postgres::Pool;
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

row! {
    /// Row of a connect webview.
    #[derive(Debug)]
    pub ConnectWebviewRow of connect_webview {
        connect_webview_id: Uuid,
        fixed {
            workspace_id: Uuid,
            created_at: Timestamp,
            auth_token: String,
            accepted_providers: Json<Vec<String>>,
            any_provider_allowed: bool,
            accepted_capabilities: Json<Vec<String>>,
            automatically_manage_new_devices: bool,
            wait_for_device_creation: bool,
            device_selection_mode: String,
            custom_redirect_url: Option<String>,
            custom_redirect_failure_url: Option<String>,
            custom_metadata: Json<Map<String, Value>>,
            customer_key: Option<String>,
        }
        changing {
            status: String,
            selected_provider: Option<String>,
            connected_account_id: Option<Uuid>,
            authorized_at: Option<Timestamp>,
            events_made: i64,
        }
        generated {}
    }
}

impl TryFrom<ConnectWebviewRow> for ConnectWebview {
    type Error = Error;

    fn try_from(row: ConnectWebviewRow) -> Result<Self> {
        let no_status = || Error::inconsistent("connect_webview", row.connect_webview_id, "status");
        Ok(Self {
            connect_webview_id: row.connect_webview_id,
            workspace_id: row.workspace_id,
            created_at: row.created_at,
            auth_token: row.auth_token,
            status: WebviewStatus::of(&row.status).ok_or_else(no_status)?,
            selected_provider: row.selected_provider,
            connected_account_id: row.connected_account_id,
            authorized_at: row.authorized_at,
            events_made: row.events_made,
            settings: WebviewSettings {
                accepted_providers: AcceptedProviders {
                    names: row.accepted_providers.0,
                    any_allowed: row.any_provider_allowed,
                },
                accepted_capabilities: row.accepted_capabilities.0,
                automatically_manage_new_devices: row.automatically_manage_new_devices,
                wait_for_device_creation: row.wait_for_device_creation,
                device_selection_mode: row.device_selection_mode,
                custom_redirect_url: row.custom_redirect_url,
                custom_redirect_failure_url: row.custom_redirect_failure_url,
                custom_metadata: row.custom_metadata.0,
                customer_key: row.customer_key,
            },
        })
    }
}

impl From<ConnectWebview> for ConnectWebviewRow {
    fn from(webview: ConnectWebview) -> Self {
        let settings = webview.settings;
        Self {
            connect_webview_id: webview.connect_webview_id,
            workspace_id: webview.workspace_id,
            created_at: webview.created_at,
            auth_token: webview.auth_token,
            accepted_providers: Json(settings.accepted_providers.names),
            any_provider_allowed: settings.accepted_providers.any_allowed,
            accepted_capabilities: Json(settings.accepted_capabilities),
            automatically_manage_new_devices: settings.automatically_manage_new_devices,
            wait_for_device_creation: settings.wait_for_device_creation,
            device_selection_mode: settings.device_selection_mode,
            custom_redirect_url: settings.custom_redirect_url,
            custom_redirect_failure_url: settings.custom_redirect_failure_url,
            custom_metadata: Json(settings.custom_metadata),
            customer_key: settings.customer_key,
            status: webview.status.name().to_owned(),
            selected_provider: webview.selected_provider,
            connected_account_id: webview.connected_account_id,
            authorized_at: webview.authorized_at,
            events_made: webview.events_made,
        }
    }
}

/// Filter of connect webviews; a field that is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only webviews with these ids.
    pub connect_webview_ids: Option<&'a [Uuid]>,
    /// Only webviews of the customer with this key.
    pub customer_key: Option<&'a str>,
    /// Only webviews with this text in their id, providers, status or key of the customer.
    pub search: Option<&'a str>,
    /// Only webviews whose custom metadata matches.
    pub custom_metadata_has: Option<&'a Map<String, Value>>,
    /// Only webviews after this position.
    pub after: Option<Position>,
    /// Maximum number of webviews.
    pub limit: i64,
}

/// Restricts a query to webviews that the caller may see. A client session also sees the webviews that it created or
/// was granted, before anybody has logged in.
fn push_visible_webviews(query: &mut QueryBuilder<Postgres>, visibility: &Visibility) {
    if let Some(ids) = &visibility.connected_account_ids {
        query.push(" and (a.connected_account_id = any(").push_bind(ids.to_vec());
        query.push(") or a.connect_webview_id = any(").push_bind(visibility.connect_webview_ids.to_vec()).push("))");
    }
}

/// Returns the webviews of a workspace that pass the filter, newest first.
pub async fn list(pool: &Pool, visibility: &Visibility, filter: &Filter<'_>) -> Result<Vec<ConnectWebview>> {
    let mut query = QueryBuilder::new("select ");
    query.push(ConnectWebviewRow::COLUMNS).push(" from connect_webview a");
    push_workspace(&mut query, visibility.workspace_id, filter.connect_webview_ids.is_some());
    push_visible_webviews(&mut query, visibility);
    if let Some(ids) = filter.connect_webview_ids {
        query.push(" and connect_webview_id = any(").push_bind(ids.to_vec()).push(")");
    }
    if let Some(key) = filter.customer_key {
        query.push(" and customer_key = ").push_bind(key.to_owned());
    }
    if let Some(search) = filter.search {
        push_search(&mut query, search, "connect_webview_id, accepted_providers, status, customer_key");
    }
    if let Some(metadata) = filter.custom_metadata_has {
        push_custom_metadata(&mut query, metadata);
    }
    push_page(&mut query, "connect_webview_id", filter.after, Some(filter.limit));
    let pool = pool.for_workspace(visibility.workspace_id);
    let rows: Vec<ConnectWebviewRow> = query.build_query_as().fetch_all(pool).await?;
    rows.into_iter().map(ConnectWebview::try_from).collect()
}

/// Returns a webview of any workspace; `None` if it does not exist.
pub(crate) async fn by_id(pool: &Pool, connect_webview_id: Uuid) -> Result<Option<ConnectWebview>> {
    let mut query = QueryBuilder::new("select ");
    query.push(ConnectWebviewRow::COLUMNS).push(" from connect_webview a where connect_webview_id = ");
    query.push_bind(connect_webview_id);
    let row: Option<ConnectWebviewRow> = query.build_query_as().fetch_optional(pool.for_workspace(Uuid::nil())).await?;
    row.map(ConnectWebview::try_from).transpose()
}

/// Returns a webview to change it. Its workspace must be locked.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::ConnectWebview`].
pub(crate) async fn find(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    connect_webview_id: Uuid,
) -> Result<ConnectWebview> {
    let mut query = QueryBuilder::new("select ");
    query.push(ConnectWebviewRow::COLUMNS).push(" from connect_webview a where connect_webview_id = ");
    query.push_bind(connect_webview_id).push(" and workspace_id is not distinct from ").push_bind(workspace_id);
    let row: Option<ConnectWebviewRow> = query.build_query_as().fetch_optional(tx).await?;
    row.ok_or(Error::NotFound(Resource::ConnectWebview))?.try_into()
}

/// Returns the ordinal of the next webview of a workspace.
pub(crate) async fn next_ordinal(tx: &mut PgConnection, workspace_id: Uuid) -> Result<i64> {
    let made = sqlx::query_scalar!(
        "update workspace set connect_webviews_made = connect_webviews_made + 1 where workspace_id = $1
         returning connect_webviews_made",
        workspace_id
    );
    let made = made.fetch_optional(tx).await?.ok_or(Error::NotFound(Resource::Workspace))?;
    Ok(made - 1)
}

pub(crate) async fn insert(tx: &mut PgConnection, webview: ConnectWebview) -> Result<()> {
    let mut query = QueryBuilder::new("");
    ConnectWebviewRow::push_insert(&mut query, [ConnectWebviewRow::from(webview)]);
    query.build().execute(tx).await?;
    Ok(())
}

/// Writes the `changing` columns of a webview. Its workspace must be locked.
pub(crate) async fn update(tx: &mut PgConnection, webview: ConnectWebview) -> Result<()> {
    let mut query = QueryBuilder::new("");
    ConnectWebviewRow::push_update(&mut query, [ConnectWebviewRow::from(webview)]);
    query.build().execute(tx).await?;
    Ok(())
}

/// Deletes a webview. Returns false if the workspace has no such webview, or the caller may not see it.
pub(crate) async fn delete(tx: &mut PgConnection, visibility: &Visibility, connect_webview_id: Uuid) -> Result<bool> {
    let mut query = QueryBuilder::new("delete from connect_webview a where connect_webview_id = ");
    query.push_bind(connect_webview_id).push(" and workspace_id is not distinct from ");
    query.push_bind(visibility.workspace_id);
    push_visible_webviews(&mut query, visibility);
    Ok(query.build().execute(tx).await?.rows_affected() > 0)
}

/// Returns true if the workspace has all these connect webviews.
pub(crate) async fn exist(tx: &mut PgConnection, workspace_id: Uuid, ids: &[Uuid]) -> Result<bool> {
    let missing = sqlx::query_scalar!(
        r#"select exists (
               select from unnest($2::uuid[]) as wanted(id)
               where not exists (select from connect_webview
                                 where connect_webview_id = wanted.id and workspace_id is not distinct from $1)
           ) as "missing!""#,
        workspace_id,
        ids
    )
    .fetch_one(tx)
    .await?;
    Ok(!missing)
}
