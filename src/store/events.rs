//! SQL of events. An event is written together with the change that it reports, see [`super::changes`].

use super::push_workspace;
use super::row::row;
use crate::clock::Timestamp;
use crate::domain::caller::Visibility;
use crate::domain::event::NewEvent;
use crate::error::Result;
use crate::postgres::Pool;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

row! {
    /// Row of an event.
    #[derive(Clone, Debug)]
    pub EventRow of event {
        event_id: Uuid,
        fixed {
            workspace_id: Uuid,
            event_type: String,
            occurred_at: Timestamp,
            created_at: Timestamp,
            device_id: Option<Uuid>,
            connected_account_id: Option<Uuid>,
            access_code_id: Option<Uuid>,
            code: Option<String>,
            connect_webview_id: Option<Uuid>,
            payload: Option<Json<Value>>,
        }
        changing {}
        generated {}
    }
}

impl From<NewEvent> for EventRow {
    fn from(event: NewEvent) -> Self {
        let mut payload = event.metadata;
        if let Some(Value::Object(fields)) = event.payload {
            payload.extend(fields);
        }
        Self {
            event_id: event.event_id,
            workspace_id: event.workspace_id,
            event_type: event.event_type.to_owned(),
            occurred_at: event.occurred_at,
            created_at: event.created_at,
            device_id: event.device_id,
            connected_account_id: event.connected_account_id,
            access_code_id: event.access_code_id,
            code: event.code,
            connect_webview_id: event.connect_webview_id,
            payload: (!payload.is_empty()).then(|| Json(Value::Object(payload))),
        }
    }
}

/// Filter of events; a field that is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only events that occurred after this instant.
    pub after: Option<Timestamp>,
    /// Only events that occurred before this instant.
    pub before: Option<Timestamp>,
    /// Only events with these ids.
    pub event_ids: Option<Vec<Uuid>>,
    /// Only events of these types.
    pub event_types: Option<Vec<String>>,
    /// Only events whose type begins with this prefix.
    pub type_prefix: Option<&'static str>,
    /// Only events of these devices.
    pub device_ids: Option<Vec<Uuid>>,
    /// Only events of these access codes.
    pub access_code_ids: Option<Vec<Uuid>>,
    /// Only events of this connected account.
    pub connected_account_id: Option<Uuid>,
    /// Only events of this connect webview.
    pub connect_webview_id: Option<Uuid>,
    /// Only events of resources of the customer with this key.
    pub customer_key: Option<String>,
    /// Only events of these access grants and of their methods.
    pub access_grant_ids: Option<Vec<Uuid>>,
    /// Only events of these access methods.
    pub access_method_ids: Option<Vec<Uuid>>,
    /// Only events of the access grants of this identity, and of their methods.
    pub user_identity_id: Option<Uuid>,
    /// Only events of these spaces.
    pub space_ids: Option<Vec<Uuid>>,
    /// True for newest first, false for oldest first.
    pub newest_first: bool,
    /// Number of events to skip.
    pub offset: i64,
    /// Maximum number of events.
    pub limit: i64,
}

/// Appends the condition for events of the existing spaces and access grants of a customer: these events have no key of
/// a customer.
fn push_of_customer(query: &mut QueryBuilder<Postgres>, workspace_id: Uuid, customer_key: &str) {
    let grants = |query: &mut QueryBuilder<Postgres>| {
        query.push("array(select v.access_grant_id::text from access_grant v join user_identity i on");
        query
            .push(" i.user_identity_id = any(array[v.user_identity_id]) where v.workspace_id = ")
            .push_bind(workspace_id);
        query.push(" and i.customer_key = ").push_bind(customer_key.to_owned()).push(")");
    };
    query.push("(payload ->> 'space_id' = any(array(select v.space_id::text from space v where v.workspace_id = ");
    query.push_bind(workspace_id).push(" and v.customer_key = ").push_bind(customer_key.to_owned());
    query.push(")) or payload ->> 'access_grant_id' = any(");
    grants(query);
    query.push(") or payload -> 'access_grant_ids' ?| ");
    grants(query);
    query.push(")");
}

/// Appends the conditions for events of access grants and their methods.
fn push_of_grants(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    if let Some(ids) = &filter.access_grant_ids {
        let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
        query.push(" and (payload ->> 'access_grant_id' = any(").push_bind(ids.clone());
        query.push(") or payload -> 'access_grant_ids' ?| ").push_bind(ids).push(")");
    }
    if let Some(id) = filter.user_identity_id {
        const GRANTS: &str = "array(select access_grant_id::text from access_grant where user_identity_id = ";
        query.push(" and (payload ->> 'access_grant_id' = any(").push(GRANTS).push_bind(id);
        query.push(")) or payload -> 'access_grant_ids' ?| ").push(GRANTS).push_bind(id).push("))");
    }
    if let Some(ids) = &filter.access_method_ids {
        let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
        query.push(" and payload ->> 'access_method_id' = any(").push_bind(ids).push(")");
    }
}

/// Returns the events of a workspace that pass the filter, ordered by `occurred_at`, and by the order of recording if
/// they occurred at the same instant.
pub async fn list(pool: &Pool, visibility: &Visibility, filter: Filter) -> Result<Vec<EventRow>> {
    let mut query = QueryBuilder::new("select ");
    query.push(EventRow::COLUMNS).push(" from event a");
    let has_ids = filter.event_ids.is_some() || filter.access_code_ids.is_some();
    push_workspace(&mut query, visibility.workspace_id, has_ids);
    if let Some(ids) = &visibility.connected_account_ids {
        query.push(" and (a.connected_account_id = any(").push_bind(ids.to_vec());
        query.push(") or a.connect_webview_id = any(").push_bind(visibility.connect_webview_ids.to_vec()).push(")");
        if let Some(key) = &visibility.customer_key {
            query.push(" or ");
            push_of_customer(&mut query, visibility.workspace_id, key);
        }
        query.push(")");
    }
    push_of_grants(&mut query, &filter);
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
    if let Some(webview) = filter.connect_webview_id {
        query.push(" and connect_webview_id = ").push_bind(webview);
    }
    if let Some(key) = filter.customer_key {
        query.push(" and (payload ->> 'customer_key' = ").push_bind(key.clone()).push(" or ");
        push_of_customer(&mut query, visibility.workspace_id, &key);
        query.push(")");
    }
    if let Some(ids) = filter.space_ids {
        let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
        query.push(" and payload ->> 'space_id' = any(").push_bind(ids).push(")");
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
    Ok(query.build_query_as().fetch_all(pool.for_workspace(visibility.workspace_id)).await?)
}
