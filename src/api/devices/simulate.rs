//! `/devices/simulate/*`: simulated connection problems and removal.
//!
//! Seam supports these endpoints for some brands only, and in sandboxes only; Latchkey supports them for every lock. A
//! request for a state that the device already has is no error and changes nothing.

use crate::api::edge::{Call, EmptyResult, Routes};
use crate::clock::Timestamp;
use crate::domain::device::health::DeviceHealth;
use crate::engine::connectivity;
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::error::Result;
use serde::Deserialize;
use uuid::Uuid;

/// Returns the routes of this resource.
pub(super) fn routes() -> Routes {
    Routes::default()
        .add("/devices/simulate/connect", connect)
        .add("/devices/simulate/disconnect", disconnect)
        .add("/devices/simulate/connect_to_hub", connect_to_hub)
        .add("/devices/simulate/disconnect_from_hub", disconnect_from_hub)
        .add("/devices/simulate/remove", remove)
}

#[derive(Deserialize)]
struct OneDevice {
    device_id: Uuid,
}

async fn connect(call: Call<OneDevice>) -> Result<EmptyResult> {
    change(call, |health, _| health.disconnected_at = None).await
}

async fn disconnect(call: Call<OneDevice>) -> Result<EmptyResult> {
    change(call, |health, now| health.disconnected_at = health.disconnected_at.or(Some(now))).await
}

async fn connect_to_hub(call: Call<OneDevice>) -> Result<EmptyResult> {
    change(call, |health, _| health.hub_disconnected_at = None).await
}

async fn disconnect_from_hub(call: Call<OneDevice>) -> Result<EmptyResult> {
    change(call, |health, now| health.hub_disconnected_at = health.hub_disconnected_at.or(Some(now))).await
}

async fn remove(call: Call<OneDevice>) -> Result<EmptyResult> {
    change(call, |health, now| health.removed_at = health.removed_at.or(Some(now))).await
}

/// Changes the connection of a device, and runs the steps of its codes that are due then.
async fn change(call: Call<OneDevice>, change: impl Fn(&mut DeviceHealth, Timestamp)) -> Result<EmptyResult> {
    let scope = Scope::Devices(&[call.input.device_id]);
    let mut work = UnitOfWork::begin(&call.app, &call.caller.visibility(), scope).await?;
    let now = work.now;
    // Returns the error if the device does not exist.
    work.codes.device(call.input.device_id)?;
    connectivity::change(&mut work, |health| change(health, now));
    work.run(false).await?;
    work.finish(&call.app).await?;
    Ok(EmptyResult {})
}
