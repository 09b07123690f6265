//! `/_emulator/devices/*`: creates and changes locks of any brand, with any properties.

use super::Control;
use crate::api::body;
use crate::domain::device::health::DeviceStats;
use crate::domain::device::{Device, Overrides};
use crate::engine::device_specs::{InjectedCondition, LockSpec};
use crate::engine::devices::{self, DeviceUpdate};
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
        Self { device: body::device::managed_or_unmanaged(device, stats) }
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
    subscription_expired: Option<bool>,
    #[serde(default)]
    tampered: bool,
    #[serde(default)]
    doorbell_rang: bool,
    is_managed: Option<bool>,
    custom_metadata: Option<Map<String, Value>>,
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
    let invalid = |error: serde_json::Error| Error::invalid("properties", error.to_string());
    // `properties.online` has the same meaning as `online`, and `properties.name` the same as `name`.
    let (name, online) = overrides.take_name_and_online().map_err(invalid)?;
    let update = DeviceUpdate {
        name: input.name.or(name),
        online: input.online.or(online),
        hub_connected: input.hub_connected,
        account_connected: input.account_connected,
        removed: input.removed,
        subscription_expired: input.subscription_expired,
        tampered: input.tampered,
        doorbell_rang: input.doorbell_rang,
        is_managed: input.is_managed,
        custom_metadata: input.custom_metadata,
        backup_access_code_pool_enabled: input.backup_access_code_pool_enabled,
        errors: input.errors,
        warnings: input.warnings,
        overrides: overrides.normalize().map_err(invalid)?,
    };
    let device = devices::update(&call.app, workspace.workspace_id, input.device_id, update).await?;
    let stats_of_devices = store::devices::stats_of_devices(&call.app.pool, std::slice::from_ref(&device)).await?;
    Ok(Found::new(&device, &stats_of_devices.get(&device.device_id).copied().unwrap_or_default()))
}
