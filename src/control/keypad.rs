//! `/_emulator/locks/enter_code` and `/press_lock`: what a person at the keypad does.

use super::Control;
use crate::api::body::access_code::{AccessCodeBody, UnmanagedAccessCodeBody};
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::Outcome;
use crate::domain::event::NewEvent;
use crate::domain::fault;
use crate::domain::keypad::{self, Refusal};
use crate::engine::locked_codes::{LockedCodes, Scope};
use crate::error::{Error, Resource, Result};
use crate::store::{devices, faults};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct EnterCode {
    device_id: Uuid,
    code: String,
}

#[derive(Serialize)]
pub(super) struct Entered {
    result: &'static str,
    reason: Option<Refusal>,
    message: &'static str,
    access_code: Option<Value>,
    event_id: Option<Uuid>,
}

/// Somebody enters a PIN.
pub(super) async fn enter_code(call: Control<EnterCode>) -> Result<Entered> {
    let EnterCode { device_id, code: pin } = &call.input;
    let mut all = at_the_door(&call, *device_id).await?;
    let now = all.now;
    let (place, mut refusal) = keypad::enter(&all.codes, &all.locked[0].device, pin, now);
    let mut told = None;
    if refusal.is_some() {
        told = refusal.and_then(|refusal| keypad::count_wrong_code(&mut all.locked[0].device, refusal, now));
    } else {
        let trouble = &mut all.locked[0].device.trouble;
        (trouble.wrong_codes, trouble.keypad_dead_until) = (0, None);
        if is_jammed(&mut all, "unlock").await? {
            refusal = Some(Refusal::Jammed);
        }
    }
    let device = &mut all.locked[0].device;
    let mut who = Map::new();
    let mut event_type = None;
    if refusal.is_none() {
        device.set_locked(false);
        event_type = Some("lock.unlocked");
        who.insert("method".to_owned(), json!("keycode"));
        if let Some(place) = place.filter(|place| all.codes[*place].life.is_offline) {
            all.codes[place].life.particulars.first_used_at.get_or_insert(now);
            all.touch(place);
        }
    } else if let Some(told) = told {
        event_type = Some("lock.access_denied");
        who.extend(told.as_reason().map(|reason| ("reason".to_owned(), reason)));
    }
    let brand = all.locked[0].device.brand;
    let known = place.map(|place| &all.codes[place]).filter(|code| code.life.is_managed || brand.shows_foreign_codes);
    let known = known.filter(|_| brand.tells_whose_code).cloned();
    let event_id = match event_type {
        Some(event_type) => tell(&mut all, event_type, known.as_ref(), who),
        None => None,
    };
    devices::update(&mut all.tx, &[all.locked[0].device.clone()]).await?;
    let summary = all.locked[0].device.summary(all.locked[0].backups);
    let body = |code: &AccessCode| {
        if code.life.is_managed {
            serde_json::to_value(AccessCodeBody::of(code, &summary))
        } else {
            serde_json::to_value(UnmanagedAccessCodeBody::of(code, &summary))
        }
    };
    let access_code = place.map(|place| body(&all.codes[place])).transpose()?;
    all.finish(&call.app).await?;
    Ok(Entered {
        result: if refusal.is_none() { "unlocked" } else { "denied" },
        reason: refusal,
        message: refusal.map_or("The lock holds this code, and it may be used now.", Refusal::message),
        access_code,
        event_id,
    })
}

#[derive(Deserialize)]
pub(super) struct PressLock {
    device_id: Uuid,
}

#[derive(Serialize)]
pub(super) struct Pressed {
    result: &'static str,
    event_id: Option<Uuid>,
}

/// Somebody presses the button that locks.
pub(super) async fn press_lock(call: Control<PressLock>) -> Result<Pressed> {
    let mut all = at_the_door(&call, call.input.device_id).await?;
    let is_jammed = is_jammed(&mut all, "lock").await?;
    let mut event_id = None;
    if !is_jammed {
        all.locked[0].device.set_locked(true);
        event_id = tell(&mut all, "lock.locked", None, Map::from_iter([("method".to_owned(), json!("manual"))]));
        devices::update(&mut all.tx, &[all.locked[0].device.clone()]).await?;
    }
    all.finish(&call.app).await?;
    Ok(Pressed { result: if is_jammed { "jammed" } else { "locked" }, event_id })
}

/// Locks a device, which is the only one in the answer, with what is due on it done. One that was removed from its
/// account is none of ours any more.
async fn at_the_door<I>(call: &Control<I>, device_id: Uuid) -> Result<LockedCodes> {
    let workspace = call.workspace().await?;
    let all = LockedCodes::begin(&call.app, workspace.workspace_id, Scope::Devices(&[device_id])).await?;
    match all.locked.as_slice() {
        [locked] if locked.device.trouble.removed_at.is_none() => Ok(all),
        _ => Err(Error::NotFound(Resource::Device)),
    }
}

/// Whether a fault keeps the bolt from moving. A person waits for as long as a delay takes.
async fn is_jammed(all: &mut LockedCodes, operation: &str) -> Result<bool> {
    if !all.locked[0].world.has_faults {
        return Ok(false);
    }
    let mut faults = faults::lock(&mut all.tx, &[all.workspace_id]).await?;
    let fate = fault::strike(&mut faults, &all.locked[0].device, operation);
    faults::save(&mut all.tx, &faults).await?;
    Ok(matches!(fate, Some(Outcome::Fail(_) | Outcome::Never)))
}

/// Records an event of the lock, if anybody can know of it, and gives its id.
fn tell(
    all: &mut LockedCodes,
    event_type: &'static str,
    code: Option<&AccessCode>,
    mut carried: Map<String, Value>,
) -> Option<Uuid> {
    let (now, machine_now) = (all.now, all.machine_now);
    let locked = &mut all.locked[0];
    locked.device.reachable_since?;
    if let Some(code) = code.filter(|_| event_type == "lock.unlocked") {
        carried.insert("access_code_is_managed".to_owned(), json!(code.life.is_managed));
    }
    let pin = code.filter(|_| event_type == "lock.unlocked").and_then(|code| code.life.held.as_ref());
    let event = NewEvent {
        access_code_id: code.map(|code| code.access_code_id),
        code: pin.map(|held| held.code.clone()),
        payload: (!carried.is_empty()).then_some(Value::Object(carried)),
        ..NewEvent::of_device(locked, event_type, now, machine_now)
    };
    let event_id = event.event_id;
    all.events.push(event);
    Some(event_id)
}
