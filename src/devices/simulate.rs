//! `/devices/simulate/*` and `/connected_accounts/simulate/disconnect`: trouble on request.
//!
//! Seam has them for some brands only, and in sandboxes only; here every lock takes them. Asking for what is the case
//! already is no error and changes nothing.

use super::connectivity;
use super::trouble::Trouble;
use crate::access_codes::locked_codes::{LockedCodes, Scope};
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::http::edge::{Call, Routes};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The routes of this resource.
pub fn routes() -> Routes {
    Routes::default()
        .add("/devices/simulate/connect", connect)
        .add("/devices/simulate/disconnect", disconnect)
        .add("/devices/simulate/connect_to_hub", connect_to_hub)
        .add("/devices/simulate/disconnect_from_hub", disconnect_from_hub)
        .add("/devices/simulate/remove", remove)
        .add("/connected_accounts/simulate/disconnect", disconnect_account)
}

#[derive(Deserialize)]
struct OneDevice {
    device_id: Uuid,
}

#[derive(Serialize)]
struct Done {}

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
        return Err(Error::DeviceNotFound);
    }
    let now = all.now;
    connectivity::change(&mut all, |trouble| change(trouble, now)).await?;
    all.live(false).await?;
    all.finish(&call.app).await?;
    Ok(Done {})
}

#[derive(Deserialize)]
struct OneAccount {
    connected_account_id: Uuid,
}

async fn disconnect_account(call: Call<OneAccount>) -> Result<Done> {
    let tx = call.app.pool.begin(call.workspace.workspace_id).await?;
    let account = call.input.connected_account_id;
    connectivity::set_account(tx, call.workspace.workspace_id, account, false).await?.finish(&call.app).await?;
    Ok(Done {})
}
