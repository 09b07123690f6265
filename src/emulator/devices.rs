//! `/_emulator/devices/*`: any lock of any brand, with any property.

use super::Control;
use super::worlds::{self, LockSpec};
use crate::access_codes::store;
use crate::clock::machine_now;
use crate::devices::model::{Device, Overrides};
use crate::devices::store as devices;
use crate::error::{Error, Result};
use crate::scheduler::live_on;
use crate::workspaces::store as workspaces;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Serialize)]
pub(super) struct Found {
    device: Value,
}

pub(super) async fn create(call: Control<Map<String, Value>>) -> Result<Found> {
    let spec = LockSpec::read(call.input.clone(), 0)?;
    let workspace = call.workspace().await?;
    let mut tx = call.app.pool.begin().await?;
    let ordinal = devices::next_ordinal(&mut tx, workspace.workspace_id).await?.ok_or(Error::WorkspaceNotFound)?;
    let world = workspaces::world(&mut tx, workspace.workspace_id).await?.ok_or(Error::WorkspaceNotFound)?;
    let now = world.clock.now(machine_now());
    let made = worlds::make_devices(&mut tx, &workspace, ordinal, vec![spec], now).await?;
    tx.commit().await?;
    Ok(Found { device: made.first().map_or(Value::Null, Device::to_json) })
}

#[derive(Deserialize)]
pub(super) struct Update {
    device_id: Uuid,
    name: Option<String>,
    online: Option<bool>,
    #[serde(flatten)]
    overrides: Overrides,
}

/// Changes a device. One that goes offline breaks off what it was doing; one that comes back takes it up again.
pub(super) async fn update(call: Control<Update>) -> Result<Found> {
    let workspace = call.workspace().await?;
    let input = call.input;
    let mut tx = call.app.pool.begin().await?;
    let mut locked = store::lock_devices(&mut tx, workspace.workspace_id, &[input.device_id]).await?;
    let world = locked.first().ok_or(Error::DeviceNotFound)?.world;
    let machine_now = machine_now();
    let now = world.clock.now(machine_now);
    // What fell due before the change happened before it.
    let codes = store::on_device(&mut tx, input.device_id).await?;
    let mut lived = live_on(codes, &locked, |_| now, machine_now);
    let mut device = locked.pop().ok_or(Error::DeviceNotFound)?.device;
    let mut overrides = input.overrides;
    let online = input.online.or_else(|| overrides.properties.shift_remove("online")?.as_bool());
    let overrides = overrides.normalise().map_err(|error| Error::invalid("properties", error.to_string()))?;
    device.overrides.merge(overrides);
    device.name = input.name.unwrap_or(device.name);
    if let Some(online) = online.filter(|online| *online != device.reachable_since.is_some()) {
        device.reachable_since = online.then_some(now);
        device.unreachable_since = (!online).then_some(now);
    }
    devices::update(&mut tx, &device).await?;
    lived.go_on_with(&device, &world);
    lived.save(&mut tx).await?;
    tx.commit().await?;
    call.app.wake_scheduler();
    Ok(Found { device: device.to_json() })
}
