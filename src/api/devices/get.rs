//! `/devices/get`.

use crate::api::body;
use crate::api::edge::Call;
use crate::domain::device::Device;
use crate::domain::device::health::DeviceStats;
use crate::error::{Error, Resource, Result};
use crate::store::Ownership;
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
    let (device, stats) = find(&call, Ownership::Managed).await?;
    Ok(Found { device: body::device::of(&device, &stats) })
}

pub(super) async fn get_unmanaged(call: Call<Get>) -> Result<Found> {
    let (device, stats) = find(&call, Ownership::Unmanaged).await?;
    Ok(Found { device: body::device::unmanaged(&device, &stats) })
}

/// Returns the device that the parameters name, with the statistics of its codes.
///
/// # Errors
/// No parameter; no such device of this kind.
pub(in crate::api) async fn find(call: &Call<Get>, ownership: Ownership) -> Result<(Device, DeviceStats)> {
    let Get { device_id, name } = &call.input;
    if device_id.is_none() && name.is_none() {
        return Err(Error::invalid_request("Either device_id or name is required"));
    }
    let filter = Filter {
        device_ids: device_id.as_ref().map(std::slice::from_ref),
        ownership,
        name: name.as_deref(),
        limit: Some(1),
        ..Filter::default()
    };
    let found = devices::list(&call.app.pool, &call.caller.visibility(), &filter).await?;
    let stats_of_devices = devices::stats_of_devices(&call.app.pool, &found).await?;
    let device = found.into_iter().next().ok_or(Error::NotFound(Resource::Device))?;
    let stats = stats_of_devices.get(&device.device_id).copied().unwrap_or_default();
    Ok((device, stats))
}
