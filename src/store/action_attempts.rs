//! SQL of action attempts. An action attempt is written together with the code that it belongs to, see
//! [`super::changes`].

use super::row::row;
use super::{Position, push_visible_devices};
use crate::clock::Timestamp;
use crate::domain::action_attempt::{NewActionAttempt, StoredOutcome};
use crate::domain::caller::Visibility;
use crate::domain::rate_limit::RecentAttempts;
use crate::domain::workspace::WorkspaceSettings;
use crate::error::Result;
use crate::postgres::Pool;
use sqlx::types::Json;
use sqlx::{PgConnection, QueryBuilder};
use std::collections::HashMap;
use uuid::Uuid;

row! {
    /// Row of an action attempt.
    #[derive(Clone, Debug)]
    ActionAttemptRow of action_attempt {
        action_attempt_id: Uuid,
        fixed {
            workspace_id: Uuid,
            action_type: String,
            device_id: Uuid,
            access_code_id: Option<Uuid>,
            created_at: Timestamp,
            resolved_at: Option<Timestamp>,
            outcome: Option<Json<StoredOutcome>>,
        }
        changing {}
        generated {}
    }
}

impl From<NewActionAttempt> for ActionAttemptRow {
    fn from(attempt: NewActionAttempt) -> Self {
        Self {
            action_attempt_id: attempt.action_attempt_id,
            workspace_id: attempt.workspace_id,
            action_type: attempt.action_type.to_owned(),
            device_id: attempt.device_id,
            access_code_id: attempt.access_code_id,
            created_at: attempt.created_at,
            resolved_at: attempt.resolved_at,
            outcome: attempt.outcome.map(Json),
        }
    }
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
    query.push(ActionAttemptRow::COLUMNS).push(" from action_attempt a where workspace_id ");
    // Ids are looked up by their own index. The condition on the workspace must then not match another index, and no
    // index serves `is not distinct from`: see the indexes in migrations/0001_main_job.sql.
    let has_ids = filter.action_attempt_ids.is_some();
    query.push(if has_ids { "is not distinct from " } else { "= " }).push_bind(visibility.workspace_id);
    push_visible_devices(&mut query, visibility, "a.device_id");
    if let Some(ids) = filter.action_attempt_ids {
        query.push(" and action_attempt_id = any(").push_bind(ids.to_vec()).push(")");
    }
    if let Some(device_id) = filter.device_id {
        query.push(" and device_id = ").push_bind(device_id);
    }
    if let Some(after) = filter.after {
        query.push(" and (created_at, action_attempt_id) < (").push_bind(after.created_at);
        query.push(", ").push_bind(after.id).push(")");
    }
    query.push(" order by created_at desc, action_attempt_id desc limit ").push_bind(filter.limit);
    Ok(query.build_query_as().fetch_all(pool.for_workspace(visibility.workspace_id)).await?)
}

/// Returns the action attempts for access codes on locked devices whose outcome is not stored.
pub(crate) async fn without_outcome(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    device_ids: &[Uuid],
) -> Result<Vec<ActionAttemptRow>> {
    let mut query = QueryBuilder::new("select ");
    query.push(ActionAttemptRow::COLUMNS).push(" from action_attempt a where workspace_id = ").push_bind(workspace_id);
    query.push(" and device_id = any(").push_bind(device_ids.to_vec());
    query.push(") and access_code_id is not null and outcome is null");
    Ok(query.build_query_as().fetch_all(tx).await?)
}

/// Stores the outcomes of these action attempts. Sends no statement without any.
pub(crate) async fn set_outcomes(tx: &mut PgConnection, outcomes: Vec<(Uuid, StoredOutcome)>) -> Result<()> {
    if outcomes.is_empty() {
        return Ok(());
    }
    let (ids, outcomes): (Vec<Uuid>, Vec<Json<StoredOutcome>>) =
        outcomes.into_iter().map(|(id, outcome)| (id, Json(outcome))).unzip();
    sqlx::query(
        "update action_attempt set outcome = new.outcome from unnest($1::uuid[], $2::jsonb[]) as new(id, outcome)
         where action_attempt.action_attempt_id = new.id",
    )
    .bind(ids)
    .bind(outcomes)
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
