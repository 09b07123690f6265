//! Seam's `event`.

use crate::clock::{Timestamp, iso};
use crate::domain::event::event_type;
use crate::store::events::EventRow;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// Seam's `event`.
#[derive(Debug, Serialize)]
pub(crate) struct EventBody {
    event_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<Uuid>,
    event_type: String,
    workspace_id: Uuid,
    #[serde(with = "iso")]
    created_at: Timestamp,
    #[serde(with = "iso")]
    occurred_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_description: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_account_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_code_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_webview_id: Option<Uuid>,
    /// Further members of this event type, as an object.
    #[serde(flatten)]
    payload: Option<Value>,
}

impl From<EventRow> for EventBody {
    fn from(event: EventRow) -> Self {
        Self {
            event_id: event.event_id,
            device_id: event.device_id,
            event_description: event_type::description(&event.event_type),
            event_type: event.event_type,
            workspace_id: event.workspace_id,
            created_at: event.created_at,
            occurred_at: event.occurred_at,
            connected_account_id: event.connected_account_id,
            access_code_id: event.access_code_id,
            code: event.code,
            connect_webview_id: event.connect_webview_id,
            payload: event.payload.map(|payload| payload.0),
        }
    }
}
