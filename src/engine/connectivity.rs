//! Connectivity of devices: offline, hub disconnected, removed from the account, or account disconnected.

use super::backup_pool;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::domain::bolt;
use crate::domain::caller::Visibility;
use crate::domain::connected_account::ConnectedAccount;
use crate::domain::device::Device;
use crate::domain::device::health::DeviceHealth;
use crate::domain::event::{NewEvent, device_changes, event_type, payload};
use crate::error::Result;
use crate::postgres::Transaction;
use crate::store::{accounts, workspaces};
use serde_json::Value;
use std::collections::HashSet;
use uuid::Uuid;

/// Changes the health of the locked devices, as [`change_devices`] does.
pub(crate) fn change(work: &mut UnitOfWork, mut change: impl FnMut(&mut DeviceHealth)) {
    change_devices(work, |device| change(&mut device.health));
}

/// Changes the locked devices and records the events. A device that becomes unreachable aborts its operations, and
/// requests to lock or unlock its door fail. A device that becomes reachable starts its operations again, and its
/// failed codes are retried at once.
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
        if locked.device.reachable_since.is_none() {
            // The requests to the lock that wait fail now.
            for action in locked.device.take_requested_actions() {
                let performed = bolt::perform(locked, action, None, (now, work.machine_now));
                performed.events.into_iter().for_each(|event| work.codes.recorder.record_event(event));
                let attempt = performed.action_attempt.into_iter();
                attempt.for_each(|attempt| work.codes.recorder.resolve_action_attempt(attempt));
            }
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
/// [`Error::NotFound`](crate::error::Error::NotFound) of the account if the workspace has no such account, or the
/// caller may not see it.
pub async fn set_account(
    mut tx: Transaction,
    visibility: &Visibility,
    connected_account_id: Uuid,
    is_connected: bool,
) -> Result<UnitOfWork> {
    // Lock the workspace first, so that no device is added to the account meanwhile.
    workspaces::lock(&mut tx, visibility.workspace_id).await?;
    let mut account = accounts::find(&mut tx, visibility, connected_account_id).await?;
    if account.disconnected_at.is_none() == is_connected {
        return UnitOfWork::begin_in(tx, visibility, Scope::Devices(&[])).await;
    }
    let mut work = begin_with_devices(tx, visibility, &account).await?;
    set_connected(&mut work, &mut account, is_connected, None);
    accounts::update(&mut work.tx, visibility.workspace_id, account).await?;
    backup_pool::refill_reconnected(&mut work).await?;
    work.run(false).await?;
    Ok(work)
}

/// Begins a unit of work with the devices of an account. Unless the workspace is locked, devices may be added to the
/// account meanwhile.
pub(crate) async fn begin_with_devices(
    mut tx: Transaction,
    visibility: &Visibility,
    account: &ConnectedAccount,
) -> Result<UnitOfWork> {
    let ids = accounts::device_ids(&mut tx, account.connected_account_id).await?;
    UnitOfWork::begin_in(tx, visibility, Scope::Devices(&ids)).await
}

/// Connects or disconnects an account, whose devices are those of the unit of work, and records the events. The caller
/// writes the account. `connect_webview_id` is the webview of the login that reconnects it.
pub(crate) fn set_connected(
    work: &mut UnitOfWork,
    account: &mut ConnectedAccount,
    is_connected: bool,
    connect_webview_id: Option<Uuid>,
) {
    account.disconnected_at = (!is_connected).then_some(work.now);
    // The events of the account come first, because they are the cause of the device events.
    if is_connected {
        record_of_account(work, account, event_type::ACCOUNT_CONNECTED, connect_webview_id, None);
        record_of_account(work, account, event_type::ACCOUNT_RECONNECTED, None, None);
    } else {
        let payload = payload::account_issues(account);
        record_of_account(work, account, event_type::ACCOUNT_DISCONNECTED, None, Some(payload));
    }
    let since = account.disconnected_at;
    change(work, |health| health.account_disconnected_at = since);
}

/// Records an event of an account at the current time, and counts it on the account.
pub(crate) fn record_of_account(
    work: &mut UnitOfWork,
    account: &mut ConnectedAccount,
    event_type: &'static str,
    connect_webview_id: Option<Uuid>,
    payload: Option<Value>,
) {
    let times = (work.now, work.machine_now);
    let workspace_id = work.visibility.workspace_id;
    let event = NewEvent::of_account(account, workspace_id, event_type, (&work.ids, work.clock), times);
    work.codes.recorder.record_event(NewEvent { connect_webview_id, payload, ..event });
}
