//! SQL of action attempts. An action attempt is written together with the code or lock that it belongs to, see
//! [`super::changes`].

use super::row::row;
use super::{Position, push_page, push_visible_devices, push_workspace};
use crate::clock::Timestamp;
use crate::domain::action_attempt::{NewActionAttempt, StoredOutcome};
use crate::domain::caller::Visibility;
use crate::domain::rate_limit::RecentAttempts;
use crate::domain::workspace::WorkspaceSettings;
use crate::error::Result;
use crate::postgres::Pool;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, QueryBuilder};
use std::collections::HashMap;
use uuid::Uuid;

row! {
    /// Row of an action attempt.
    #[derive(Clone, Debug)]
    pub ActionAttemptRow of action_attempt {
        action_attempt_id: Uuid,
        fixed {
            workspace_id: Uuid,
            action_type: String,
            device_id: Option<Uuid>,
            access_code_id: Option<Uuid>,
            created_at: Timestamp,
        }
        changing {
            resolved_at: Option<Timestamp>,
            outcome: Option<Json<StoredOutcome>>,
        }
        generated {}
    }
}

impl From<NewActionAttempt> for ActionAttemptRow {
    fn from(attempt: NewActionAttempt) -> Self {
        Self {
            action_attempt_id: attempt.action_attempt_id,
            workspace_id: attempt.workspace_id,
            action_type: attempt.action_type.to_owned(),
            device_id: Some(attempt.device_id),
            access_code_id: attempt.access_code_id,
            created_at: attempt.created_at,
            resolved_at: attempt.resolved_at,
            outcome: attempt.outcome.map(Json),
        }
    }
}

/// Inserts a resolved action attempt of a workspace, which belongs to no device.
pub(crate) async fn insert_of_workspace(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    (action_attempt_id, action_type): (Uuid, &str),
    now: Timestamp,
    outcome: StoredOutcome,
) -> Result<()> {
    let attempt = ActionAttemptRow {
        action_attempt_id,
        workspace_id,
        action_type: action_type.to_owned(),
        device_id: None,
        access_code_id: None,
        created_at: now,
        resolved_at: Some(now),
        outcome: Some(Json(outcome)),
    };
    let mut query = QueryBuilder::new("");
    ActionAttemptRow::push_insert(&mut query, [attempt]);
    query.build().execute(tx).await?;
    Ok(())
}

/// Filter of action attempts; a field that is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only action attempts with these ids.
    pub action_attempt_ids: Option<&'a [Uuid]>,
    /// Only action attempts on this device.
    pub device_id: Option<Uuid>,
    /// Only action attempts after this position.
    pub after: Option<Position>,
    /// Maximum number of action attempts.
    pub limit: i64,
}

/// Returns the action attempts of a workspace that pass the filter, newest first.
pub async fn list(pool: &Pool, visibility: &Visibility, filter: &Filter<'_>) -> Result<Vec<ActionAttemptRow>> {
    let mut query = QueryBuilder::new("select ");
    query.push(ActionAttemptRow::COLUMNS).push(" from action_attempt a");
    push_workspace(&mut query, visibility.workspace_id, filter.action_attempt_ids.is_some());
    push_visible_devices(&mut query, visibility, "a.device_id");
    if let Some(ids) = filter.action_attempt_ids {
        query.push(" and action_attempt_id = any(").push_bind(ids.to_vec()).push(")");
    }
    if let Some(device_id) = filter.device_id {
        query.push(" and device_id = ").push_bind(device_id);
    }
    push_page(&mut query, "action_attempt_id", filter.after, Some(filter.limit));
    Ok(query.build_query_as().fetch_all(pool.for_workspace(visibility.workspace_id)).await?)
}

/// Returns the workspace of an action attempt; `None` if there is no such attempt.
pub(crate) async fn workspace_of(pool: &Pool, action_attempt_id: Uuid) -> Result<Option<Uuid>> {
    let query = sqlx::query_scalar("select workspace_id from action_attempt where action_attempt_id = $1");
    Ok(query.bind(action_attempt_id).fetch_optional(pool.for_workspace(Uuid::nil())).await?)
}

/// Ends the pending action attempts of these locked devices that concern no access code, with this error.
pub(crate) async fn fail_pending(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    device_ids: &[Uuid],
    now: Timestamp,
    error: Value,
) -> Result<()> {
    sqlx::query(
        "update action_attempt set resolved_at = $3, outcome = $4
         where workspace_id = $1 and device_id = any($2) and access_code_id is null and resolved_at is null",
    )
    .bind(workspace_id)
    .bind(device_ids)
    .bind(now)
    .bind(Json(StoredOutcome::Error(error)))
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the action attempts of one type on locked devices that count for a rate limit of the workspace. Sends no
/// statement without a limit.
pub(crate) async fn recent(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    settings: &WorkspaceSettings,
    now: Timestamp,
    device_ids: &[Uuid],
    action_type: &'static str,
) -> Result<RecentAttempts> {
    let Some((limit, per)) = settings.rate_limits.and_then(|limits| limits.of(action_type)) else {
        return Ok(RecentAttempts::default());
    };
    let since = now.checked_sub_signed(per).unwrap_or(Timestamp::MIN_UTC);
    // Devices and type are filtered row by row: a period this short contains few rows.
    let rows: Vec<(Uuid, Timestamp)> = sqlx::query_as(
        "select device_id, created_at from action_attempt
         where workspace_id = $1 and created_at > $2 and device_id = any($3) and action_type = $4
         order by created_at desc",
    )
    .bind(workspace_id)
    .bind(since)
    .bind(device_ids)
    .bind(action_type)
    .fetch_all(tx)
    .await?;
    let mut by_device: HashMap<Uuid, Vec<Timestamp>> = HashMap::new();
    for (device_id, created_at) in rows {
        by_device.entry(device_id).or_default().push(created_at);
    }
    Ok(RecentAttempts::new(action_type, (limit, per), now, by_device))
}
