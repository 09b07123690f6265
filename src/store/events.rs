//! The SQL of reading events. They are written with what they tell of, see [`super::access_codes`].

use crate::clock::{Instant, iso};
use crate::domain::event::{NewEvent, event_type};
use crate::error::Result;
use crate::postgres::Pool;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::QueryBuilder;
use sqlx::types::Json;
use uuid::Uuid;

/// Seam's `event`.
#[derive(Debug, Serialize, sqlx::FromRow)]
#[expect(missing_docs, reason = "the properties are documented in openapi.json")]
pub struct EventBody {
    pub event_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<Uuid>,
    pub event_type: String,
    pub workspace_id: Uuid,
    #[serde(with = "iso")]
    pub created_at: Instant,
    #[serde(with = "iso")]
    pub occurred_at: Instant,
    #[sqlx(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_description: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_account_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_code_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What else its type carries.
    #[serde(flatten)]
    pub payload: Option<Json<Map<String, Value>>>,
}

impl From<&NewEvent> for EventBody {
    fn from(event: &NewEvent) -> Self {
        let payload = event.payload.as_ref().and_then(Value::as_object);
        Self {
            event_id: event.event_id,
            device_id: event.device_id,
            event_type: event.event_type.to_owned(),
            workspace_id: event.workspace_id,
            created_at: event.created_at,
            occurred_at: event.occurred_at,
            event_description: event_type::description(event.event_type),
            connected_account_id: Some(event.connected_account_id),
            access_code_id: event.access_code_id,
            code: event.code.clone(),
            payload: payload.cloned().map(Json),
        }
    }
}

/// Which events to read; what is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those that happened after this instant.
    pub after: Option<Instant>,
    /// Only those that happened before this instant.
    pub before: Option<Instant>,
    /// Only these.
    pub event_ids: Option<Vec<Uuid>>,
    /// Only those of these types.
    pub event_types: Option<Vec<String>>,
    /// Only those whose type begins so.
    pub type_prefix: Option<&'static str>,
    /// Only those about these devices.
    pub device_ids: Option<Vec<Uuid>>,
    /// Only those about these codes.
    pub access_code_ids: Option<Vec<Uuid>>,
    /// Only those about this account.
    pub connected_account_id: Option<Uuid>,
    /// Newest first instead of oldest first.
    pub newest_first: bool,
    /// How many to pass over.
    pub offset: i64,
    /// At most so many.
    pub limit: i64,
}

/// The events of a workspace that pass the filter, as they occurred and, where together, as they were recorded.
pub async fn list(pool: &Pool, workspace_id: Uuid, filter: Filter) -> Result<Vec<EventBody>> {
    let mut query = QueryBuilder::new(
        "select event_id, device_id, event_type, workspace_id, created_at, occurred_at, connected_account_id,
                access_code_id, code, payload
         from event where workspace_id ",
    );
    // Ids find their events by an index of their own; see the migration on why the workspace must not offer another.
    let has_ids = filter.event_ids.is_some() || filter.access_code_ids.is_some();
    query.push(if has_ids { "is not distinct from " } else { "= " }).push_bind(workspace_id);
    if let Some(after) = filter.after {
        query.push(" and occurred_at > ").push_bind(after);
    }
    if let Some(before) = filter.before {
        query.push(" and occurred_at < ").push_bind(before);
    }
    if let Some(types) = filter.event_types {
        query.push(" and event_type = any(").push_bind(types).push(")");
    }
    if let Some(prefix) = filter.type_prefix {
        query.push(" and starts_with(event_type, ").push_bind(prefix).push(")");
    }
    if let Some(account) = filter.connected_account_id {
        query.push(" and connected_account_id = ").push_bind(account);
    }
    let of_ids =
        [("event_id", filter.event_ids), ("device_id", filter.device_ids), ("access_code_id", filter.access_code_ids)];
    for (column, ids) in of_ids {
        if let Some(ids) = ids {
            query.push(" and ").push(column).push(" = any(").push_bind(ids).push(")");
        }
    }
    query.push(if filter.newest_first {
        " order by occurred_at desc, sequence desc"
    } else {
        " order by occurred_at, sequence"
    });
    query.push(" limit ").push_bind(filter.limit).push(" offset ").push_bind(filter.offset);
    let mut events: Vec<EventBody> = query.build_query_as().fetch_all(pool.of(workspace_id)).await?;
    for event in &mut events {
        event.event_description = event_type::description(&event.event_type);
    }
    Ok(events)
}
