//! `/locks/configure_auto_lock`.

use super::move_bolt::Requested;
use crate::api::edge::Call;
use crate::engine::lock_operations;
use crate::error::Result;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct ConfigureAutoLock {
    device_id: Uuid,
    auto_lock_enabled: bool,
    auto_lock_delay_seconds: Option<Value>,
}

pub(super) async fn configure_auto_lock(call: Call<ConfigureAutoLock>) -> Result<Requested> {
    let ConfigureAutoLock { device_id, auto_lock_enabled, auto_lock_delay_seconds } = call.input;
    let settings = (auto_lock_enabled, auto_lock_delay_seconds);
    let attempt =
        lock_operations::configure_auto_lock(&call.app, &call.caller.visibility(), device_id, settings).await?;
    Ok(Requested::of(&attempt, false))
}
