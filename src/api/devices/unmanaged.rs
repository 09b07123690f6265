//! `/devices/unmanaged/*`.

use super::filters::Filters;
use super::get::get_unmanaged;
use super::list;
use crate::api::body;
use crate::api::edge::{Call, EmptyResult, Routes};
use crate::api::listing::Listed;
use crate::api::pagination::Page;
use crate::engine::devices::{self, ClientUpdate};
use crate::error::Result;
use crate::store::Ownership;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Default and maximum number of devices on a page, as at Seam.
const DEFAULT_LIMIT: usize = 22_900;

/// Returns the routes of this resource.
pub(super) fn routes() -> Routes {
    Routes::default()
        .add("/devices/unmanaged/get", get_unmanaged)
        .add("/devices/unmanaged/list", list)
        .add("/devices/unmanaged/update", update)
}

async fn list(call: Call<Filters>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let listing = list::found(&call, &page, Ownership::Unmanaged, body::device::unmanaged).await?;
    listing.end(&page, &call.base_url, "/devices/unmanaged/list")
}

#[derive(Deserialize)]
struct Update {
    device_id: Uuid,
    custom_metadata: Option<Map<String, Value>>,
    /// The contract accepts only true.
    is_managed: Option<bool>,
}

async fn update(call: Call<Update>) -> Result<EmptyResult> {
    let Update { device_id, custom_metadata, is_managed } = call.input;
    let update = ClientUpdate { custom_metadata, is_managed, ..ClientUpdate::default() };
    let visibility = call.caller.visibility();
    devices::update_as_client(&call.app, &visibility, device_id, (Ownership::Unmanaged, update)).await?;
    Ok(EmptyResult {})
}
