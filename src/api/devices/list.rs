//! `/devices/list`.

use crate::api::body;
use crate::api::edge::Call;
use crate::api::pagination::{Page, Pagination};
use crate::domain::custom_metadata;
use crate::domain::device::Device;
use crate::error::Result;
use crate::http::intersect_filter;
use crate::http::params::optional_instant;
use crate::store::Position;
use crate::store::devices::{self, Filter};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Default and maximum number of devices on a page, as at Seam.
const DEFAULT_LIMIT: usize = 500;

#[derive(Deserialize)]
pub(in crate::api) struct List {
    device_ids: Option<Vec<Uuid>>,
    device_type: Option<String>,
    device_types: Option<Vec<String>>,
    manufacturer: Option<String>,
    connected_account_id: Option<Uuid>,
    connected_account_ids: Option<Vec<Uuid>>,
    search: Option<String>,
    created_before: Option<String>,
    custom_metadata_has: Option<Map<String, Value>>,
    include_if: Option<Vec<String>>,
    exclude_if: Option<Vec<String>>,
    connect_webview_id: Option<Uuid>,
    customer_key: Option<String>,
    space_id: Option<Uuid>,
    unstable_location_id: Option<Uuid>,
    user_identifier_key: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    devices: Vec<Value>,
    pagination: Pagination,
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let found = matching(&call, page.after).await?;
    let position = |(device, _): &(Device, _)| Position { created_at: device.created_at, id: device.device_id };
    let (found, pagination) = page.cut(found, position, &call.base_url, "/devices/list");
    Ok(Listed { devices: found.into_iter().map(|(_, body)| body).collect(), pagination })
}

/// Returns the devices that pass the filters, each with its JSON object, after this position.
pub(in crate::api) async fn matching(call: &Call<List>, after: Option<Position>) -> Result<Vec<(Device, Value)>> {
    let input = &call.input;
    custom_metadata::check_filter(input.custom_metadata_has.as_ref())?;
    // Latchkey has no spaces, locations or users: no device matches these filters.
    let matches_nothing =
        input.space_id.is_some() || input.unstable_location_id.is_some() || input.user_identifier_key.is_some();
    let accounts = intersect_filter(input.connected_account_id, input.connected_account_ids.clone());
    let types = intersect_filter(input.device_type.clone(), input.device_types.clone());
    let created_before = optional_instant("created_before", input.created_before.as_deref())?;
    let filter = Filter {
        device_ids: if matches_nothing { Some(&[]) } else { input.device_ids.as_deref() },
        device_types: types.as_deref(),
        connected_account_ids: accounts.as_deref(),
        name: None,
        search: input.search.as_deref(),
        created_before,
        connect_webview_id: input.connect_webview_id,
        customer_key: input.customer_key.as_deref(),
        custom_metadata_has: input.custom_metadata_has.as_ref(),
        after,
        limit: None,
    };
    let devices = devices::list(&call.app.pool, &call.caller.visibility(), &filter).await?;
    let stats_of_devices = devices::stats_of_devices(&call.app.pool, &devices).await?;
    let mut found: Vec<(Device, Value)> = devices
        .into_iter()
        .map(|device| {
            let body = body::device::of(&device, &stats_of_devices.get(&device.device_id).copied().unwrap_or_default());
            (device, body)
        })
        .collect();
    // These filters depend on the brand and the capabilities of the device, which are not stored in columns. So they
    // apply after the query, and the query has no limit.
    let flags = |names: &Option<Vec<String>>, body: &Value| {
        names.as_ref().map(|names| names.iter().map(|name| body[name] == Value::Bool(true)).collect::<Vec<_>>())
    };
    found.retain(|(device, body)| {
        input.manufacturer.as_ref().is_none_or(|params| *params == device.brand.provider)
            && flags(&input.include_if, body).is_none_or(|flags| flags.iter().all(|flag| *flag))
            && flags(&input.exclude_if, body).is_none_or(|flags| !flags.iter().any(|flag| *flag))
    });
    Ok(found)
}
