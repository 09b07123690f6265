//! `/events/get`.

use crate::api::body::event::EventBody;
use crate::api::edge::Call;
use crate::error::{Error, Resource, Result};
use crate::store::events::{self, Filter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Get {
    event_id: Option<Uuid>,
    event_type: Option<String>,
    device_id: Option<Uuid>,
}

#[derive(Serialize)]
pub(super) struct Found {
    event: EventBody,
}

/// Returns the latest event that matches all given filters.
pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    let Get { event_id, event_type, device_id } = call.input;
    if event_id.is_none() && event_type.is_none() && device_id.is_none() {
        return Err(Error::invalid_request("An argument for event_id, event_type, or device_id is required"));
    }
    let filter = Filter {
        event_ids: event_id.map(|id| vec![id]),
        event_types: event_type.map(|event_type| vec![event_type]),
        device_ids: device_id.map(|id| vec![id]),
        newest_first: true,
        limit: 1,
        ..Filter::default()
    };
    let found = events::list(&call.app.pool, &call.caller.visibility(), filter).await?;
    found.into_iter().next().map(|event| Found { event: event.into() }).ok_or(Error::NotFound(Resource::Event))
}
