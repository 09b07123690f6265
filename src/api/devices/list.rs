//! `/devices/list`.

use super::filters::Filters;
use crate::api::body;
use crate::api::edge::Call;
use crate::api::listing::{Listed, Listing};
use crate::api::pagination::Page;
use crate::compute;
use crate::domain::device::Device;
use crate::domain::device::health::DeviceStats;
use crate::engine::app::App;
use crate::error::Result;
use crate::store::devices;
use crate::store::{Ownership, Position};
use serde_json::Value;

/// Default and maximum number of devices on a page, as at Seam.
const DEFAULT_LIMIT: usize = 500;

pub(super) async fn list(call: Call<Filters>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    found(&call, &page, Ownership::Managed, body::device::of).await?.end(&page, &call.base_url, "/devices/list")
}

/// Returns managed devices of a workspace as the API shows them.
pub(in crate::api) async fn bodies_of(app: &App, devices: &[Device]) -> Result<Vec<Value>> {
    let stats_of_devices = devices::stats_of_devices(&app.pool, devices).await?;
    let body = |device: &Device| {
        body::device::of(device, &stats_of_devices.get(&device.device_id).copied().unwrap_or_default())
    };
    let mut bodies = Vec::with_capacity(devices.len());
    for chunk in devices.chunks(CHUNK) {
        let chunk = || bodies.extend(chunk.iter().map(body));
        compute::sized(devices.len() > CHUNK, chunk).await;
    }
    Ok(bodies)
}

/// Number of devices that are converted at a time, in about a millisecond.
const CHUNK: usize = 50;

/// Returns the page of devices that pass the filters, in the order of their creation. `body` converts a device.
pub(in crate::api) async fn found(
    call: &Call<Filters>,
    page: &Page,
    ownership: Ownership,
    body: fn(&Device, &DeviceStats) -> Value,
) -> Result<Listing> {
    let prepared = call.input.prepare()?;
    let filter = call.input.of_columns(&prepared, ownership, page);
    let devices = devices::list(&call.app.pool, &call.caller.visibility(), &filter).await?;
    let stats_of_devices = devices::stats_of_devices(&call.app.pool, &devices).await?;
    let mut listing = Listing::new("devices", page.limit);
    let push = |listing: &mut Listing, device: &Device| {
        let body = body(device, &stats_of_devices.get(&device.device_id).copied().unwrap_or_default());
        if !prepared.accept(&body) {
            return Ok(());
        }
        listing.push(Position { created_at: device.created_at, id: device.device_id }, &body)
    };
    for chunk in devices.chunks(CHUNK) {
        let chunk = || chunk.iter().try_for_each(|device| push(&mut listing, device));
        compute::sized(devices.len() > CHUNK, chunk).await?;
        if listing.has_next_page() {
            break;
        }
    }
    Ok(listing)
}
