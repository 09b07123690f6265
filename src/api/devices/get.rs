//! `/devices/get`.

use crate::api::body;
use crate::api::edge::Call;
use crate::error::{Error, Resource, Result};
use crate::store::devices::{self, Filter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

#[derive(Deserialize)]
pub(in crate::api) struct Get {
    device_id: Option<Uuid>,
    name: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Found {
    device: Value,
}

pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    Ok(Found { device: find(&call).await? })
}

/// Returns the requested device as Seam's `device`.
pub(in crate::api) async fn find(call: &Call<Get>) -> Result<Value> {
    let Get { device_id, name } = &call.input;
    if device_id.is_none() && name.is_none() {
        return Err(Error::invalid_request("Either device_id or name is required"));
    }
    let filter = Filter {
        device_ids: device_id.as_ref().map(std::slice::from_ref),
        name: name.as_deref(),
        limit: Some(1),
        ..Filter::default()
    };
    let found = devices::list(&call.app.pool, &call.caller.visibility(), &filter).await?;
    let device = found.first().ok_or(Error::NotFound(Resource::Device))?;
    let stats_of_devices = devices::stats_of_devices(&call.app.pool, std::slice::from_ref(device)).await?;
    let stats = stats_of_devices.get(&device.device_id).copied().unwrap_or_default();
    Ok(body::device::of(device, &stats))
}
