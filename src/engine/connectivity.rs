//! Connectivity of devices: offline, hub disconnected, removed from the account, or account disconnected.

use super::unit_of_work::{Scope, UnitOfWork};
use crate::clock::{Timestamp, to_iso};
use crate::domain::bolt;
use crate::domain::caller::Visibility;
use crate::domain::device::health::{ACCOUNT_DISCONNECTED, DeviceHealth};
use crate::domain::event::{NewEvent, event_type, payload};
use crate::domain::locked_device::LockedDevice;
use crate::error::{Error, Resource, Result};
use crate::postgres::Transaction;
use crate::store::{accounts, workspaces};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use uuid::Uuid;

/// Changes the health of the locked devices and records the events. A device that becomes unreachable aborts its
/// operations, and requests to lock or unlock its door fail. A device that becomes reachable starts them again, and its failed codes are retried at once.
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
