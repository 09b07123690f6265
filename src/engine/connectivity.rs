//! Devices that come and go: offline, without their hub, removed from their account, or with the account itself gone.

use super::unit_of_work::{Scope, UnitOfWork};
use crate::clock::{Timestamp, to_iso};
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

/// Changes what is wrong with devices that are locked, and records it. A device that can no longer be
/// reached breaks off what it was doing; one that can be again takes it up, and what failed there is tried at once.
pub(crate) fn change(work: &mut UnitOfWork, mut change: impl FnMut(&mut DeviceHealth)) {
    let now = work.now;
    let mut back = HashSet::new();
    for locked in &mut work.codes.devices {
        let before = locked.device.health.clone();
        locked.device.change_health(now, &mut change);
        if before.unreachable_since().is_some() && locked.device.reachable_since.is_some() {
            back.insert(locked.device.device_id);
        }
        for event in events_of(locked, &before, (now, work.machine_now)) {
            work.codes.recorder.event(event);
        }
    }
    let out_of_reach = work.codes.devices.iter().filter(|locked| locked.device.reachable_since.is_none());
    let out_of_reach: HashSet<Uuid> = out_of_reach.map(|locked| locked.device.device_id).collect();
    for code in work.codes.all_mut().filter(|code| !code.state.is_offline) {
        if out_of_reach.contains(&code.device_id) {
            code.state.break_off();
        } else if back.contains(&code.device_id) {
            // Whatever failed before: a lock that comes back is asked again.
            code.state.try_again(now);
        }
    }
}

/// Connects or disconnects an account, and with it its devices, in a transaction of the caller, who finishes it.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::ConnectedAccount`] where the workspace has no such account.
pub async fn set_account(
    mut tx: Transaction,
    visibility: &Visibility,
    connected_account_id: Uuid,
    is_connected: bool,
) -> Result<UnitOfWork> {
    // The workspace first: nobody shall add a device to the account meanwhile.
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
    // The account's own event comes first: it is the cause of the others.
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
    work.codes.recorder.event(event);
    change(&mut work, |health| health.account_disconnected_at = since);
    work.run(false).await?;
    Ok(work)
}

/// The events of what has become of a device.
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
            let mut carried = Map::from_iter([("error_code".to_owned(), json!(after.disconnected_by()))]);
            carried.extend(payload::device_issues(&locked.device.summary(locked.backups)));
            events.push((event_type::DEVICE_DISCONNECTED, Some(Value::Object(carried))));
        }
        (Some(_), None) => events.push((event_type::DEVICE_CONNECTED, None)),
        _ => {}
    }
    let mut event =
        |(event_type, payload)| NewEvent { payload, ..NewEvent::of_device(locked, event_type, now, machine_now) };
    events.into_iter().map(&mut event).collect()
}
