//! `/locks/get`: as `/devices/get`, with the device under two names.

use crate::api::body;
use crate::api::devices::get::{self, Get};
use crate::api::edge::Call;
use crate::error::Result;
use crate::store::Ownership;
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
pub(super) struct Found {
    lock: Value,
    device: Value,
}

pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    let (device, stats) = get::find(&call, Ownership::Managed).await?;
    let device = body::device::of(&device, &stats);
    Ok(Found { lock: device.clone(), device })
}
