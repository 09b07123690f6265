//! Connectivity of devices: offline, hub disconnected, removed from the account, or account disconnected.

use super::unit_of_work::{Scope, UnitOfWork};
use crate::clock::to_iso;
use crate::domain::caller::Visibility;
use crate::domain::device::Device;
use crate::domain::device::health::{ACCOUNT_DISCONNECTED, DeviceHealth};
use crate::domain::event::{NewEvent, device_changes, event_type};
use crate::error::{Error, Resource, Result};
use crate::postgres::Transaction;
use crate::store::{accounts, workspaces};
use serde_json::json;
use std::collections::HashSet;
use uuid::Uuid;

/// Changes the health of the locked devices, as [`change_devices`] does.
pub(crate) fn change(work: &mut UnitOfWork, mut change: impl FnMut(&mut DeviceHealth)) {
    change_devices(work, |device| change(&mut device.health));
}

/// Changes the locked devices and records the events. A device that becomes unreachable aborts its operations. A device
/// that becomes reachable starts them again, and its failed codes are retried at once.
pub(crate) fn change_devices(work: &mut UnitOfWork, mut change: impl FnMut(&mut Device)) {
    let (now, machine_now) = (work.now, work.machine_now);
    let mut reconnected = HashSet::new();
    for locked in &mut work.codes.devices {
        let before = locked.device.clone();
        locked.device.change(now, &mut change);
        if before.reachable_since.is_none() && locked.device.reachable_since.is_some() {
            reconnected.insert(locked.device.device_id);
        }
        for (event_type, payload) in device_changes::events(&before, &locked.device, locked.backups) {
            let event = NewEvent { payload, ..NewEvent::of_device(locked, event_type, now, machine_now) };
            work.codes.recorder.record_event(event);
        }
    }
    let unreachable = work.codes.devices.iter().filter(|locked| locked.device.reachable_since.is_none());
    let unreachable: HashSet<Uuid> = unreachable.map(|locked| locked.device.device_id).collect();
    for code in work.codes.iter_mut().filter(|code| !code.state.is_offline) {
        if unreachable.contains(&code.device_id) {
            code.state.abort_operation();
        } else if reconnected.contains(&code.device_id) {
            code.state.retry_now(now);
        }
    }
}

/// Connects or disconnects an account with all its devices, in the caller's transaction, without committing it. Returns
/// the unit of work with these devices; without devices if the connection does not change.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::ConnectedAccount`] if the workspace has no such account, or the caller may not
/// see it.
pub async fn set_account(
    mut tx: Transaction,
    visibility: &Visibility,
    connected_account_id: Uuid,
    is_connected: bool,
) -> Result<UnitOfWork> {
    // Lock the workspace first, so that no device is added to the account meanwhile.
    workspaces::lock(&mut tx, visibility.workspace_id).await?;
    let accounts = accounts::list(&mut tx, visibility.workspace_id).await?;
    let account = accounts.into_iter().find(|account| account.connected_account_id == connected_account_id);
    let account = account.filter(|account| visibility.covers(account.connected_account_id));
    let mut account = account.ok_or(Error::NotFound(Resource::ConnectedAccount))?;
    if account.disconnected_at.is_none() == is_connected {
        return UnitOfWork::begin_in(tx, visibility, Scope::Devices(&[])).await;
    }
    let ids = accounts::device_ids(&mut tx, connected_account_id).await?;
    let mut work = UnitOfWork::begin_in(tx, visibility, Scope::Devices(&ids)).await?;
    let (now, machine_now) = (work.now, work.machine_now);
    account.disconnected_at = (!is_connected).then_some(now);
    let event_id = work.ids.id("event", connected_account_id, account.events_made, machine_now);
    account.events_made += 1;
    accounts::update(&mut work.tx, &account).await?;
    let since = account.disconnected_at;
    // The event of the account comes first, because it is the cause of the device events.
    let event = NewEvent {
        event_id,
        workspace_id: visibility.workspace_id,
        event_type: if is_connected { event_type::ACCOUNT_RECONNECTED } else { event_type::ACCOUNT_DISCONNECTED },
        occurred_at: now,
        created_at: work.clock.recorded_at(now, machine_now),
        device_id: None,
        connected_account_id: Some(connected_account_id),
        access_code_id: None,
        code: None,
        payload: since.map(|since| {
            let error = json!({ "error_code": "account_disconnected", "created_at": to_iso(since),
                                "message": ACCOUNT_DISCONNECTED });
            json!({ "connected_account_errors": [error], "connected_account_warnings": [] })
        }),
    };
    work.codes.recorder.record_event(event);
    change(&mut work, |health| health.account_disconnected_at = since);
    work.run(false).await?;
    Ok(work)
}
