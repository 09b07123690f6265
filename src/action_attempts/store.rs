//! The SQL of reading action attempts. They are written with what they are about.

use crate::access_codes::store::StoredOutcome;
use crate::clock::Instant;
use crate::error::Result;
use crate::http::pagination::Position;
use crate::postgres::Pool;
use sqlx::QueryBuilder;
use sqlx::types::Json;
use uuid::Uuid;

/// An action attempt as its row has it.
#[derive(Debug, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns are documented in the migration")]
pub struct ActionAttemptRow {
    pub action_attempt_id: Uuid,
    pub action_type: String,
    pub access_code_id: Option<Uuid>,
    pub created_at: Instant,
    pub resolved_at: Option<Instant>,
    pub outcome: Option<Json<StoredOutcome>>,
}

/// Which attempts to read; what is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only these.
    pub action_attempt_ids: Option<&'a [Uuid]>,
    /// Only those about this device.
    pub device_id: Option<Uuid>,
    /// Only those behind this row.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: i64,
}

/// The attempts of a workspace that pass the filter, newest first.
pub async fn list(pool: &Pool, workspace_id: Uuid, filter: &Filter<'_>) -> Result<Vec<ActionAttemptRow>> {
    let mut query = QueryBuilder::new(
        "select action_attempt_id, action_type, access_code_id, created_at, resolved_at, outcome
         from action_attempt where workspace_id ",
    );
    // Ids find their attempts by an index of their own; see the migration on why the workspace must not offer another.
    let has_ids = filter.action_attempt_ids.is_some();
    query.push(if has_ids { "is not distinct from " } else { "= " }).push_bind(workspace_id);
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
    Ok(query.build_query_as().fetch_all(pool.of(workspace_id)).await?)
}
