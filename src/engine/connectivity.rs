//! Connectivity of devices: offline, hub disconnected, removed from the account, or account disconnected.

use super::unit_of_work::{Scope, UnitOfWork};
use crate::clock::Timestamp;
use crate::domain::caller::Visibility;
use crate::domain::connected_account::ConnectedAccount;
use crate::domain::device::health::DeviceHealth;
use crate::domain::event::{NewEvent, event_type, payload};
use crate::domain::locked_device::LockedDevice;
use crate::error::Result;
use crate::postgres::Transaction;
use crate::store::{accounts, workspaces};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use uuid::Uuid;

/// Changes the health of the locked devices and records the events. A device that becomes unreachable aborts its
/// operations. A device that becomes reachable starts them again, and its failed codes are retried at once.
pub(crate) fn change(work: &mut UnitOfWork, mut change: impl FnMut(&mut DeviceHealth)) {
    let now = work.now;
    let mut reconnected = HashSet::new();
    for locked in &mut work.codes.devices {
        let before = locked.device.health.clone();
        locked.device.change_health(now, &mut change);
        if before.unreachable_since().is_some() && locked.device.reachable_since.is_some() {
            reconnected.insert(locked.device.device_id);
        }
        for event in events_of(locked, &before, (now, work.machine_now)) {
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
    work.run(false).await?;
    Ok(work)
}

/// Begins a unit of work with the devices of an account. The workspace must be locked.
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

/// Returns the events for a change of a device's health.
fn events_of(
    locked: &mut LockedDevice,
    before: &DeviceHealth,
    (now, machine_now): (Timestamp, Timestamp),
) -> Vec<NewEvent> {
    let after = &locked.device.health;
    let mut events: Vec<(&'static str, Option<Value>)> = Vec::new();
    if after.removed_at.is_some() && before.removed_at.is_none() {
        events.push((event_type::DEVICE_REMOVED, None));
    }
    if after.removed_at.is_none() && before.removed_at.is_some() {
        events.push((event_type::DEVICE_ADDED, None));
    }
    match (before.unreachable_since(), after.unreachable_since()) {
        (None, Some(_)) => {
            let mut fields = Map::from_iter([("error_code".to_owned(), json!(after.disconnected_by()))]);
            fields.extend(payload::device_issues(&locked.device.summary(locked.backups)));
            events.push((event_type::DEVICE_DISCONNECTED, Some(Value::Object(fields))));
        }
        (Some(_), None) => events.push((event_type::DEVICE_CONNECTED, None)),
        _ => {}
    }
    let mut event =
        |(event_type, payload)| NewEvent { payload, ..NewEvent::of_device(locked, event_type, now, machine_now) };
    events.into_iter().map(&mut event).collect()
}
