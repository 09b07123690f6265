//! `/_emulator/devices/*`: any lock of any brand, with any property.

use super::Control;
use crate::api::body;
use crate::clock::{Instant, machine_now};
use crate::domain::device::health::Census;
use crate::domain::device::{Device, Overrides};
use crate::engine::locked_codes::{LockedCodes, Scope};
use crate::engine::workspaces::{Injected, LockSpec, make_devices};
use crate::engine::{backup_pool, connectivity};
use crate::error::{Error, Resource, Result};
use crate::store::{devices, workspaces};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Serialize)]
pub(super) struct Found {
    device: Value,
}

impl Found {
    fn new(device: Option<&Device>) -> Self {
        Self { device: device.map_or(Value::Null, |device| body::device::of(device, &Census::default())) }
    }
}

pub(super) async fn create(call: Control<Map<String, Value>>) -> Result<Found> {
    let spec = LockSpec::read(call.input.clone(), 0)?;
    let workspace = call.workspace().await?;
    let mut tx = call.app.pool.begin(workspace.workspace_id).await?;
    let ordinal =
        devices::next_ordinal(&mut tx, workspace.workspace_id).await?.ok_or(Error::NotFound(Resource::Workspace))?;
    let world =
        workspaces::world(&mut tx, workspace.workspace_id).await?.ok_or(Error::NotFound(Resource::Workspace))?;
    let now = world.clock.now(machine_now());
    let account_connected = spec.account_connected;
    let mut made = make_devices(&mut tx, &workspace, ordinal, vec![spec], now).await?;
    let account = made.first().map(|device| device.connected_account_id);
    let Some((account, connected)) = account.zip(account_connected) else {
        tx.commit().await?;
        return Ok(Found::new(made.first()));
    };
    // It may be an account that others have, too.
    let all = connectivity::set_account(tx, workspace.workspace_id, account, connected).await?;
    all.finish(&call.app).await?;
    let ids: Vec<Uuid> = made.iter().map(|device| device.device_id).collect();
    let filter = devices::Filter { device_ids: Some(&ids), ..devices::Filter::default() };
    made = devices::list(&call.app.pool, workspace.workspace_id, &filter).await?;
    Ok(Found::new(made.first()))
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
    errors: Option<Vec<Injected>>,
    warnings: Option<Vec<Injected>>,
    #[serde(flatten)]
    overrides: Overrides,
}

/// Changes a device. One that goes offline breaks off what it was doing; one that comes back takes it up again.
pub(super) async fn update(call: Control<Update>) -> Result<Found> {
    let workspace = call.workspace().await?;
    let input = call.input;
    let mut overrides = input.overrides;
    let online = input.online.or_else(|| overrides.properties.shift_remove("online")?.as_bool());
    let overrides = overrides.normalise().map_err(|error| Error::invalid("properties", error.to_string()))?;
    let device_id = input.device_id;
    let changes_pool_size = overrides.backup_access_code_pool_size.is_some();
    let tx = call.app.pool.begin(workspace.workspace_id).await?;
    let (workspace_id, scope) = (workspace.workspace_id, [device_id]);
    let mut all = match input.account_connected {
        Some(connected) => {
            let account = devices::account_of(&call.app.pool, workspace_id, device_id).await?;
            let account = account.ok_or(Error::NotFound(Resource::Device))?;
            let all = connectivity::set_account(tx, workspace_id, account, connected).await?;
            all.go_on_with(Scope::Devices(&scope)).await?
        }
        None => LockedCodes::begin_in(tx, workspace_id, Scope::Devices(&scope)).await?,
    };
    let now = all.now;
    let device = &mut all.locked.first_mut().ok_or(Error::NotFound(Resource::Device))?.device;
    device.overrides.merge(overrides);
    device.name = input.name.unwrap_or_else(|| device.name.clone());
    if let Some(errors) = input.errors {
        device.trouble.errors = errors.into_iter().map(|it| it.read(now)).collect();
    }
    if let Some(warnings) = input.warnings {
        device.trouble.warnings = warnings.into_iter().map(|it| it.read(now)).collect();
    }
    connectivity::change(&mut all, |trouble| {
        let since = |wrong: bool, since: Option<Instant>| wrong.then(|| since.unwrap_or(now));
        if let Some(online) = online {
            trouble.disconnected_at = since(!online, trouble.disconnected_at);
        }
        if let Some(connected) = input.hub_connected {
            trouble.hub_disconnected_at = since(!connected, trouble.hub_disconnected_at);
        }
        if let Some(removed) = input.removed {
            trouble.removed_at = since(removed, trouble.removed_at);
        }
    })
    .await?;
    if let Some(is_enabled) = input.backup_access_code_pool_enabled {
        backup_pool::switch(&mut all, is_enabled).await?;
    }
    if changes_pool_size {
        // A smaller pool keeps what it has until that is pulled.
        backup_pool::refill(&mut all).await?;
    }
    // The lock may be able to hold now what it could not before, or the other way round.
    for place in 0..all.codes.len() {
        all.codes[place].life.try_again(now);
    }
    all.touch_all();
    all.live(false).await?;
    let (_, locked) = all.finish(&call.app).await?;
    let device = &locked.first().ok_or(Error::NotFound(Resource::Device))?.device;
    let censuses = devices::censuses(&call.app.pool, std::slice::from_ref(device)).await?;
    Ok(Found { device: body::device::of(device, &censuses.get(&device_id).copied().unwrap_or_default()) })
}
