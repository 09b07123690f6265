//! `/user_identities/*_device(s)`: the devices to which a user identity has access.

use super::params::find;
use crate::api::devices::list::bodies_of;
use crate::api::edge::{Call, EmptyResult, Routes};
use crate::domain::client_session::add_missing;
use crate::engine::{self, user_identities};
use crate::error::Result;
use crate::store::access_grants;
use crate::store::devices::{self, Filter};
use crate::store::user_identities::Names;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Returns the routes of this group.
pub(super) fn routes() -> Routes {
    Routes::default()
        .add("/user_identities/grant_access_to_device", grant)
        .add("/user_identities/revoke_access_to_device", revoke)
        .add("/user_identities/list_accessible_devices", list)
}

#[derive(Deserialize)]
struct DeviceAccess {
    user_identity_id: Uuid,
    device_id: Uuid,
}

async fn grant(call: Call<DeviceAccess>) -> Result<EmptyResult> {
    set(call, true).await
}

async fn revoke(call: Call<DeviceAccess>) -> Result<EmptyResult> {
    set(call, false).await
}

async fn set(call: Call<DeviceAccess>, has_access: bool) -> Result<EmptyResult> {
    let DeviceAccess { user_identity_id, device_id } = call.input;
    let ids = (user_identity_id, device_id);
    user_identities::set_device_access(&call.app, &call.caller.visibility(), ids, has_access).await?;
    Ok(EmptyResult {})
}

#[derive(Deserialize)]
struct List {
    user_identity_id: Uuid,
}

#[derive(Serialize)]
struct Listed {
    devices: Vec<Value>,
    /// The same list under its older name.
    accessible_devices: Vec<Value>,
}

async fn list(call: Call<List>) -> Result<Listed> {
    let (pool, visibility) = (&call.app.pool, call.caller.visibility());
    let identity = find(pool, &visibility, &Names::Ids(vec![call.input.user_identity_id])).await?;
    let of_identity =
        access_grants::Filter { user_identity_id: Some(identity.user_identity_id), ..access_grants::Filter::default() };
    let (grants, now) = engine::access_grants::list(&call.app, visibility.workspace_id, &of_identity).await?;
    let mut device_ids = identity.device_ids;
    for listed in grants.iter().filter(|listed| listed.grant.is_in_force(now)) {
        add_missing(&mut device_ids, &listed.covered);
    }
    let filter = Filter { device_ids: Some(&device_ids), ..Filter::default() };
    let devices = devices::list(pool, &visibility, &filter).await?;
    let devices = bodies_of(&call.app, &devices).await?;
    Ok(Listed { accessible_devices: devices.clone(), devices })
}
