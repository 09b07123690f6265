//! `/locks/get`: as `/devices/get`, with the device under two names.

use crate::api::devices::get::{self, Get};
use crate::api::edge::Call;
use crate::error::Result;
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
pub(super) struct Found {
    lock: Value,
    device: Value,
}

pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    let device = get::find(&call).await?;
    Ok(Found { lock: device.clone(), device })
}
