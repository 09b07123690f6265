//! `/devices/simulate/*`: trouble on request.
//!
//! Seam has them for some brands only, and in sandboxes only; here every lock takes them. Asking for what is the case
//! already is no error and changes nothing.

use crate::api::edge::{Call, Done, Routes};
use crate::clock::Instant;
use crate::domain::device::health::Trouble;
use crate::engine::connectivity;
use crate::engine::locked_codes::{LockedCodes, Scope};
use crate::error::{Error, Resource, Result};
use serde::Deserialize;
use uuid::Uuid;

/// The routes of this resource.
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

async fn connect(call: Call<OneDevice>) -> Result<Done> {
    change(call, |trouble, _| trouble.disconnected_at = None).await
}

async fn disconnect(call: Call<OneDevice>) -> Result<Done> {
    change(call, |trouble, now| trouble.disconnected_at = trouble.disconnected_at.or(Some(now))).await
}

async fn connect_to_hub(call: Call<OneDevice>) -> Result<Done> {
    change(call, |trouble, _| trouble.hub_disconnected_at = None).await
}

async fn disconnect_from_hub(call: Call<OneDevice>) -> Result<Done> {
    change(call, |trouble, now| trouble.hub_disconnected_at = trouble.hub_disconnected_at.or(Some(now))).await
}

async fn remove(call: Call<OneDevice>) -> Result<Done> {
    change(call, |trouble, now| trouble.removed_at = trouble.removed_at.or(Some(now))).await
}

async fn change(call: Call<OneDevice>, change: impl Fn(&mut Trouble, Instant)) -> Result<Done> {
    let scope = [call.input.device_id];
    let mut all = LockedCodes::begin(&call.app, call.workspace.workspace_id, Scope::Devices(&scope)).await?;
    if all.locked.is_empty() {
        return Err(Error::NotFound(Resource::Device));
    }
    let now = all.now;
    connectivity::change(&mut all, |trouble| change(trouble, now)).await?;
    all.live(false).await?;
    all.finish(&call.app).await?;
    Ok(Done {})
}
