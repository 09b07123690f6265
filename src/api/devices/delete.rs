//! `/devices/delete`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::managed_devices;
use crate::error::Result;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Delete {
    device_id: Uuid,
}

pub(super) async fn delete(call: Call<Delete>) -> Result<EmptyResult> {
    managed_devices::delete(&call.app, &call.caller.visibility(), call.input.device_id).await?;
    Ok(EmptyResult {})
}
