//! `/_emulator/devices/*`: creates and changes locks of any brand, with any properties.

use super::Control;
use crate::api::body;
use crate::domain::device::health::DeviceStats;
use crate::domain::device::{Device, Overrides};
use crate::engine::devices::{self, DeviceUpdate};
use crate::engine::workspaces::{InjectedCondition, LockSpec};
use crate::error::{Error, Result};
use crate::store;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Serialize)]
pub(super) struct Found {
    device: Value,
}

impl Found {
    fn new(device: &Device, stats: &DeviceStats) -> Self {
        Self { device: body::device::of(device, stats) }
    }
}

pub(super) async fn create(call: Control<Map<String, Value>>) -> Result<Found> {
    let spec = LockSpec::read(call.input.clone(), 0)?;
    let workspace = call.workspace().await?;
    Ok(Found::new(&devices::create(&call.app, &workspace, spec).await?, &DeviceStats::default()))
}

#[derive(Deserialize)]
pub(super) struct Update {
    device_id: Uuid,
    name: Option<String>,
    online: Option<bool>,
    hub_connected: Option<bool>,
    account_connected: Option<bool>,
    removed: Option<bool>,
    backup_access_code_pool_enabled: Option<bool>,
    errors: Option<Vec<InjectedCondition>>,
    warnings: Option<Vec<InjectedCondition>>,
    #[serde(flatten)]
    overrides: Overrides,
}

/// Changes a device. A device that becomes unreachable aborts its operations, and starts them again when it is
/// reachable.
pub(super) async fn update(call: Control<Update>) -> Result<Found> {
    let workspace = call.workspace().await?;
    let input = call.input;
    let mut overrides = input.overrides;
    // `properties.online` has the same meaning as `online`.
    let online = input.online.or_else(|| overrides.properties.shift_remove("online")?.as_bool());
    let update = DeviceUpdate {
        name: input.name,
        online,
        hub_connected: input.hub_connected,
        account_connected: input.account_connected,
        removed: input.removed,
        backup_access_code_pool_enabled: input.backup_access_code_pool_enabled,
        errors: input.errors,
        warnings: input.warnings,
        overrides: overrides.normalize().map_err(|error| Error::invalid("properties", error.to_string()))?,
    };
    let device = devices::update(&call.app, workspace.workspace_id, input.device_id, update).await?;
    let stats_of_devices = store::devices::stats_of_devices(&call.app.pool, std::slice::from_ref(&device)).await?;
    Ok(Found::new(&device, &stats_of_devices.get(&device.device_id).copied().unwrap_or_default()))
}
