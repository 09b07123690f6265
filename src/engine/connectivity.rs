//! Devices that come and go: offline, without their hub, removed from their account, or with the account itself gone.

use super::locked_codes::{LockedCodes, Scope};
use crate::clock::to_iso;
use crate::domain::device::Device;
use crate::domain::device::health::{ACCOUNT_DISCONNECTED, Trouble};
use crate::domain::event::{NewEvent, payload};
use crate::error::{Error, Resource, Result};
use crate::postgres::Transaction;
use crate::store::{devices, workspaces};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use uuid::Uuid;

/// Changes what is wrong with devices that are locked, writes them, and tells of it. A device that can no longer be
/// reached breaks off what it was doing; one that can be again takes it up, and what failed there is tried at once.
pub async fn change(all: &mut LockedCodes, mut change: impl FnMut(&mut Trouble)) -> Result<()> {
    let now = all.now;
    let mut back = HashSet::new();
    for place in 0..all.locked.len() {
        let before = all.locked[place].device.trouble.clone();
        let device = &mut all.locked[place].device;
        device.change_trouble(now, &mut change);
        if before.unreachable_since().is_some() && device.reachable_since.is_some() {
            back.insert(device.device_id);
        }
        tell(all, place, &before);
    }
    let devices: Vec<Device> = all.locked.iter().map(|locked| locked.device.clone()).collect();
    devices::update(&mut all.tx, &devices).await?;
    let is_out_of_reach = |device: &&Device| device.reachable_since.is_none();
    let out_of_reach: HashSet<Uuid> = devices.iter().filter(is_out_of_reach).map(|device| device.device_id).collect();
    for code in all.codes.iter_mut().filter(|code| !code.life.is_offline) {
        if out_of_reach.contains(&code.device_id) {
            code.life.break_off();
        } else if back.contains(&code.device_id) {
            // Whatever failed before: a lock that comes back is asked again.
            code.life.try_again(now);
        }
    }
    all.touch_all();
    Ok(())
}

/// Connects or disconnects an account, and with it its devices, in a transaction of the caller, who finishes it.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::ConnectedAccount`] where the workspace has no such account.
pub async fn set_account(
    mut tx: Transaction,
    workspace_id: Uuid,
    connected_account_id: Uuid,
    is_connected: bool,
) -> Result<LockedCodes> {
    // The workspace first: nobody shall add a device to the account meanwhile.
    if !workspaces::lock(&mut tx, workspace_id).await? {
        return Err(Error::NotFound(Resource::Workspace));
    }
    let accounts = devices::accounts(&mut tx, workspace_id).await?;
    let account = accounts.into_iter().find(|account| account.connected_account_id == connected_account_id);
    let mut account = account.ok_or(Error::NotFound(Resource::ConnectedAccount))?;
    if account.disconnected_at.is_none() == is_connected {
        return LockedCodes::begin_in(tx, workspace_id, Scope::Devices(&[])).await;
    }
    let ids = devices::ids_of_account(&mut tx, connected_account_id).await?;
    let mut all = LockedCodes::begin_in(tx, workspace_id, Scope::Devices(&ids)).await?;
    let (now, machine_now) = (all.now, all.machine_now);
    account.disconnected_at = (!is_connected).then_some(now);
    let event_id = all.ids.id("event", connected_account_id, account.events_made, machine_now);
    account.events_made += 1;
    devices::update_account(&mut all.tx, &account).await?;
    let since = account.disconnected_at;
    // The account's own event comes first: it is the cause of the others.
    let event = NewEvent {
        event_id,
        workspace_id,
        event_type: if is_connected {
            "connected_account.completed_first_sync_after_reconnection"
        } else {
            "connected_account.disconnected"
        },
        occurred_at: now,
        created_at: all.clock.recorded_at(now, machine_now),
        device_id: None,
        connected_account_id,
        access_code_id: None,
        code: None,
        payload: since.map(|since| {
            let error = json!({ "error_code": "account_disconnected", "created_at": to_iso(since),
                                "message": ACCOUNT_DISCONNECTED });
            json!({ "connected_account_errors": [error], "connected_account_warnings": [] })
        }),
    };
    all.events.push(event);
    change(&mut all, |trouble| trouble.account_disconnected_at = since).await?;
    all.live(false).await?;
    Ok(all)
}

/// Tells what has become of a device.
fn tell(all: &mut LockedCodes, place: usize, before: &Trouble) {
    let locked = &all.locked[place];
    let device = &locked.device;
    let after = &device.trouble;
    let mut events: Vec<(&'static str, Option<Value>)> = Vec::new();
    if after.removed_at.is_some() && before.removed_at.is_none() {
        events.push(("device.removed", None));
    }
    if after.removed_at.is_none() && before.removed_at.is_some() {
        events.push(("device.added", None));
    }
    match (before.unreachable_since(), after.unreachable_since()) {
        (None, Some(_)) => {
            let mut carried = Map::from_iter([("error_code".to_owned(), json!(after.disconnected_by()))]);
            carried.extend(payload::device_issues(&device.summary(locked.backups)));
            events.push(("device.disconnected", Some(Value::Object(carried))));
        }
        (Some(_), None) => events.push(("device.connected", None)),
        _ => {}
    }
    let (now, machine_now) = (all.now, all.machine_now);
    for (event_type, carried) in events {
        let event = NewEvent::of_device(&mut all.locked[place], event_type, now, machine_now);
        all.events.push(NewEvent { payload: carried, ..event });
    }
}
