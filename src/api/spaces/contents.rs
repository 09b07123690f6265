//! `/spaces/add_*` and `/spaces/remove_*`: the devices, entrances and connected accounts of a space. A request for a
//! state that the space already has is no error and changes nothing.

use super::params::check_acs_entrances;
use crate::api::edge::{Call, EmptyResult, Routes};
use crate::engine::spaces as engine;
use crate::error::Result;
use crate::http::params::check_count;
use crate::store::spaces::{self, SpaceReference};
use serde::Deserialize;
use uuid::Uuid;

/// Returns the routes of this group.
pub(super) fn routes() -> Routes {
    Routes::default()
        .add("/spaces/add_devices", add_devices)
        .add("/spaces/remove_devices", remove_devices)
        .add("/spaces/add_acs_entrances", change_acs_entrances)
        .add("/spaces/remove_acs_entrances", change_acs_entrances)
        .add("/spaces/add_connected_account", add_connected_account)
        .add("/spaces/remove_connected_account", remove_connected_account)
}

#[derive(Deserialize)]
struct Devices {
    space_id: Uuid,
    device_ids: Vec<Uuid>,
}

async fn add_devices(call: Call<Devices>) -> Result<EmptyResult> {
    let Devices { space_id, device_ids } = &call.input;
    check_count("device_ids", device_ids.len())?;
    engine::add_devices(&call.app, &call.caller.visibility(), *space_id, device_ids).await?;
    Ok(EmptyResult {})
}

async fn remove_devices(call: Call<Devices>) -> Result<EmptyResult> {
    let Devices { space_id, device_ids } = &call.input;
    check_count("device_ids", device_ids.len())?;
    engine::remove_devices(&call.app, &call.caller.visibility(), *space_id, device_ids).await?;
    Ok(EmptyResult {})
}

#[derive(Deserialize)]
struct AcsEntrances {
    space_id: Uuid,
    acs_entrance_ids: Vec<Uuid>,
}

async fn change_acs_entrances(call: Call<AcsEntrances>) -> Result<EmptyResult> {
    let reference = SpaceReference::Id(call.input.space_id);
    spaces::get(&call.app.pool, &call.caller.visibility(), &reference).await?;
    check_acs_entrances(&call.input.acs_entrance_ids)?;
    Ok(EmptyResult {})
}

#[derive(Deserialize)]
struct Account {
    space_id: Uuid,
    connected_account_id: Uuid,
}

async fn add_connected_account(call: Call<Account>) -> Result<EmptyResult> {
    let Account { space_id, connected_account_id } = call.input;
    engine::add_connected_account(&call.app, &call.caller.visibility(), space_id, connected_account_id).await?;
    Ok(EmptyResult {})
}

async fn remove_connected_account(call: Call<Account>) -> Result<EmptyResult> {
    let Account { space_id, connected_account_id } = call.input;
    engine::remove_connected_account(&call.app, &call.caller.visibility(), space_id, connected_account_id).await?;
    Ok(EmptyResult {})
}
