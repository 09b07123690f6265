//! Seam's `space`.

use crate::clock::to_iso;
use crate::domain::space::Space;
use serde_json::{Value, json};

/// Returns the space as `/spaces/get` shows it.
pub(crate) fn of(space: &Space) -> Value {
    let mut body = json!({
        "space_id": space.space_id,
        "workspace_id": space.workspace_id,
        "name": space.name,
        "display_name": space.name,
        "created_at": to_iso(space.created_at),
        "device_count": space.device_ids.len(),
        "acs_entrance_count": 0,
        "warnings": [],
    });
    if let Some(since) = space.deletion_requested_at {
        body["warnings"] = json!([super::being_deleted("space", since)]);
    }
    if let Some(key) = &space.space_key {
        body["space_key"] = json!(key);
    }
    if let Some(key) = &space.customer_key {
        body["customer_key"] = json!(key);
    }
    if !space.customer_data.is_empty() {
        body["customer_data"] = json!(space.customer_data);
    }
    body
}
