//! `/devices/simulate/*`: simulated connection problems, removal, and the end of a subscription.
//!
//! As at Seam, each is available for some brands only, as the flags `can_simulate_*` of a device show. The control
//! plane makes the same changes to locks of every brand. A request for a state that the device already has is no error
//! and changes nothing.

use crate::api::edge::{Call, EmptyResult, Routes};
use crate::clock::Timestamp;
use crate::domain::caller::Visibility;
use crate::domain::device::brands::Brand;
use crate::domain::device::health::DeviceHealth;
use crate::engine::app::App;
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::engine::{backup_pool, connectivity};
use crate::error::{Error, Result};
use serde::Deserialize;
use uuid::Uuid;

/// Returns the routes of this resource.
pub(super) fn routes() -> Routes {
    Routes::default()
        .add("/devices/simulate/connect", connect)
        .add("/devices/simulate/disconnect", disconnect)
        .add("/devices/simulate/connect_to_hub", connect_to_hub)
        .add("/devices/simulate/disconnect_from_hub", disconnect_from_hub)
        .add("/devices/simulate/paid_subscription", paid_subscription)
        .add("/devices/simulate/remove", remove)
}

#[derive(Deserialize)]
struct OneDevice {
    device_id: Uuid,
}

/// Simulated change: its name in an error message, and the brands that allow it.
type Simulated = (&'static str, fn(&Brand) -> bool);

const CONNECTION: Simulated = ("connection", |brand| brand.simulates_connection);
const DISCONNECTION: Simulated = ("disconnection", |brand| brand.simulates_connection);
const REMOVAL: Simulated = ("removal", |brand| brand.simulates_connection);
const HUB_CONNECTION: Simulated = ("connection to a hub", |brand| brand.simulates_hub_connection);
const HUB_DISCONNECTION: Simulated = ("disconnection from a hub", |brand| brand.simulates_hub_disconnection);
const SUBSCRIPTION: Simulated = ("a paid subscription", |brand| brand.simulates_subscription);

async fn connect(call: Call<OneDevice>) -> Result<EmptyResult> {
    change_one(call, CONNECTION, |health, _| health.disconnected_at = None).await
}

async fn disconnect(call: Call<OneDevice>) -> Result<EmptyResult> {
    change_one(call, DISCONNECTION, |health, now| {
        health.disconnected_at.get_or_insert(now);
    })
    .await
}

async fn connect_to_hub(call: Call<OneDevice>) -> Result<EmptyResult> {
    change_one(call, HUB_CONNECTION, |health, _| health.hub_disconnected_at = None).await
}

async fn disconnect_from_hub(call: Call<OneDevice>) -> Result<EmptyResult> {
    change_one(call, HUB_DISCONNECTION, |health, now| {
        health.hub_disconnected_at.get_or_insert(now);
    })
    .await
}

async fn remove(call: Call<OneDevice>) -> Result<EmptyResult> {
    change_one(call, REMOVAL, |health, now| {
        health.removed_at.get_or_insert(now);
    })
    .await
}

#[derive(Deserialize)]
struct PaidSubscription {
    device_id: Uuid,
    is_expired: bool,
}

async fn paid_subscription(call: Call<PaidSubscription>) -> Result<EmptyResult> {
    let PaidSubscription { device_id, is_expired } = call.input;
    change(&call.app, &call.caller.visibility(), device_id, SUBSCRIPTION, |health, now| {
        let since = health.subscription_expired_at.unwrap_or(now);
        health.subscription_expired_at = is_expired.then_some(since);
    })
    .await
}

async fn change_one(
    call: Call<OneDevice>,
    simulated: Simulated,
    change_health: impl Fn(&mut DeviceHealth, Timestamp),
) -> Result<EmptyResult> {
    change(&call.app, &call.caller.visibility(), call.input.device_id, simulated, change_health).await
}

/// Changes the health of a device, and runs the steps of its codes that are due then.
///
/// # Errors
/// An unknown device; a brand that does not have this simulation.
async fn change(
    app: &App,
    visibility: &Visibility,
    device_id: Uuid,
    (simulated, is_allowed): Simulated,
    change_health: impl Fn(&mut DeviceHealth, Timestamp),
) -> Result<EmptyResult> {
    let mut work = UnitOfWork::begin(app, visibility, Scope::Devices(&[device_id])).await?;
    let now = work.now;
    let brand = work.codes.device(device_id)?.device.brand;
    if !is_allowed(brand) {
        return Err(Error::SimulationNotSupported { device_type: brand.device_type, simulated });
    }
    connectivity::change(&mut work, |health| change_health(health, now));
    backup_pool::refill_reconnected(&mut work).await?;
    work.run(false).await?;
    work.finish(app).await?;
    Ok(EmptyResult {})
}
