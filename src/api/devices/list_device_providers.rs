//! `/devices/list_device_providers`.

use crate::api::body;
use crate::api::edge::Call;
use crate::domain::device::brands::BRANDS;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct List {
    provider_category: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    device_providers: Vec<Value>,
}

/// Returns the providers of all locks that Latchkey emulates.
pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let category = call.input.provider_category.as_deref();
    let listed = BRANDS.iter().filter(|brand| category.is_none_or(|category| brand.categories().contains(&category)));
    Ok(Listed { device_providers: listed.map(body::device::provider).collect() })
}
