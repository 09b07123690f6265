//! `/devices/list`.

use super::filters::Filters;
use crate::api::body;
use crate::api::edge::Call;
use crate::api::pagination::{Page, Pagination};
use crate::domain::device::Device;
use crate::domain::device::health::DeviceStats;
use crate::error::Result;
use crate::store::devices;
use crate::store::{Ownership, Position};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Default and maximum number of devices on a page, as at Seam.
const DEFAULT_LIMIT: usize = 500;

#[derive(Serialize)]
pub(super) struct Listed {
    devices: Vec<Box<RawValue>>,
    pagination: Pagination,
}

pub(super) async fn list(call: Call<Filters>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let body = body::device::of;
    let (devices, pagination) = found(&call, page, Ownership::Managed, body, "/devices/list").await?;
    Ok(Listed { devices, pagination })
}

/// Returns the page of devices that pass the filters, in the order of their creation. `body` converts a device.
pub(super) async fn found(
    call: &Call<Filters>,
    page: Page,
    ownership: Ownership,
    body: impl Fn(&Device, &DeviceStats) -> Value,
    path: &str,
) -> Result<(Vec<Box<RawValue>>, Pagination)> {
    let prepared = call.input.prepare()?;
    let filter = call.input.of_columns(&prepared, ownership, page.after);
    let devices = devices::list(&call.app.pool, &call.caller.visibility(), &filter).await?;
    let stats_of_devices = devices::stats_of_devices(&call.app.pool, &devices).await?;
    let mut found: Vec<(Position, Box<RawValue>)> = Vec::new();
    for device in devices {
        let body = body(&device, &stats_of_devices.get(&device.device_id).copied().unwrap_or_default());
        if !call.input.accept(device.brand.provider, &body) {
            continue;
        }
        // A body as text is much smaller than the same body as a tree.
        let position = Position { created_at: device.created_at, id: device.device_id };
        found.push((position, serde_json::value::to_raw_value(&body)?));
        // One more than the page has shows that another page follows.
        if found.len() > page.limit {
            break;
        }
    }
    let (found, pagination) = page.cut(found, |(position, _)| *position, &call.base_url, path);
    Ok((found.into_iter().map(|(_, body)| body).collect(), pagination))
}
