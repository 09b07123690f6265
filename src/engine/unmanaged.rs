//! Codes that somebody else put on a lock: how they come to be, and how Seam takes them over.

use super::app::App;
use super::locked_codes::{LockedCodes, Scope, summary};
use crate::clock::Instant;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{Entry, Life, Window};
use crate::domain::action_attempt::{NewActionAttempt, StoredOutcome};
use crate::domain::device::DeviceSummary;
use crate::domain::event::{Recorder, event_type, payload};
use crate::domain::linked::{self, Claims, Wish};
use crate::error::{Error, Resource, Result};
use crate::store::access_codes::{self, CodeWanted, Placed};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

/// A code that somebody puts on a lock.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The lock.
    pub device_id: Uuid,
    /// What its memory has from now on.
    pub entry: Entry,
    /// Seam cannot take it over.
    pub cannot_be_managed: bool,
    /// Only the maker's app can delete it.
    pub cannot_delete: bool,
}

/// Puts a code on a lock, as a person with the maker's app does.
///
/// # Errors
/// An unknown lock; one that holds this PIN already, or has no room.
pub async fn add(app: &App, workspace_id: Uuid, foreign: Foreign) -> Result<(AccessCode, DeviceSummary)> {
    let scope = [foreign.device_id];
    let mut all = LockedCodes::begin(app, workspace_id, Scope::Devices(&scope)).await?;
    let added = add_to(&mut all, foreign).await?;
    all.finish(app).await?;
    Ok(added)
}

/// The same on locks that are locked already; `all` knows of the code from then on.
pub async fn add_to(all: &mut LockedCodes, foreign: Foreign) -> Result<(AccessCode, DeviceSummary)> {
    let device_id = foreign.device_id;
    let (now, machine_now) = (all.now, all.machine_now);
    refuse_what_the_lock_would(all, device_id, None, &foreign.entry)?;
    refuse_what_is_over(foreign.entry.window, now)?;
    let mut locks = all.locked.iter_mut();
    let locked = locks.find(|it| it.device.device_id == device_id).ok_or(Error::NotFound(Resource::Device))?;
    let native = locked.device.schedules_natively();
    let access_code_id = locked.ids.id("access_code", device_id, locked.next_ordinal(), machine_now);
    locked.access_code_ordinal += 1;
    let mut life = Life::begin(now, foreign.entry, native);
    life.is_managed = false;
    life.held = Some(life.asked.clone());
    life.first_held_at = Some(now);
    life.particulars.cannot_be_managed = foreign.cannot_be_managed;
    life.particulars.cannot_delete = foreign.cannot_delete;
    let mut code = AccessCode::new((access_code_id, device_id), all.workspace_id, life);
    let locked = &*locked;
    let recorder = Recorder { locked, machine_now };
    let events = [recorder.event(&mut code, now, event_type::UNMANAGED_CREATED)];
    let placed = [Placed::new(code.clone(), &locked.device, &locked.world)];
    if locked.ids.is_derived() {
        access_codes::set_ordinals(&mut all.tx, &[device_id], &[locked.access_code_ordinal]).await?;
    }
    let device = locked.device.summary(locked.backups);
    access_codes::insert(&mut all.tx, all.workspace_id, &placed, &events, &[]).await?;
    all.wrote(events);
    all.admit(code.clone());
    Ok((code, device))
}

/// Refuses a time frame that has ended: the lock has dropped such a code already.
pub fn refuse_what_is_over(window: Option<Window>, now: Instant) -> Result<()> {
    match window {
        Some(window) if window.ends_at <= now => Err(Error::invalid("ends_at", "ends_at must be in the future")),
        _ => Ok(()),
    }
}

/// Refuses what the lock itself would: a PIN it holds already, one it cannot hold, one more than it has
/// room for. `except` is the code that is changed.
pub fn refuse_what_the_lock_would(
    all: &LockedCodes,
    device_id: Uuid,
    except: Option<Uuid>,
    entry: &Entry,
) -> Result<()> {
    let locked =
        all.locked.iter().find(|it| it.device.device_id == device_id).ok_or(Error::NotFound(Resource::Device))?;
    if let Some(reason) = linked::broken_digits(&locked.device, &entry.code) {
        let parameter = if except.is_some() { "new_code" } else { "code" };
        return Err(Error::invalid(parameter, format!("The device cannot hold this code: {reason}")));
    }
    let held: Vec<&AccessCode> = all
        .codes
        .iter()
        .filter(|code| code.device_id == device_id && Some(code.access_code_id) != except)
        .filter(|code| code.life.held.is_some() && !code.life.is_offline && code.life.gone_at.is_none())
        .collect();
    let has_pin = |code: &&&AccessCode| code.life.held.as_ref().is_some_and(|held| held.code == entry.code);
    if let Some(other) = held.iter().find(has_pin) {
        return Err(Error::DuplicateAccessCode {
            code: entry.code.clone(),
            name: entry.name.clone(),
            period: entry.window.map(Window::ends),
            access_code_id: other.access_code_id,
            hint: "",
        });
    }
    match locked.device.capacity() {
        Some(capacity) if except.is_none() && held.len() >= usize::try_from(capacity).unwrap_or(usize::MAX) => {
            Err(Error::NoSpace { device_id, capacity })
        }
        _ => Ok(()),
    }
}

/// Takes a code over: Seam manages it from now on, with the id it has. Whether that succeeds shows in the attempt and
/// in an event.
///
/// # Errors
/// [`Error::AccessCodeNotFound`] where nobody put such a code on a lock.
pub async fn convert(
    app: &App,
    workspace_id: Uuid,
    access_code_id: Uuid,
    is_external_modification_allowed: bool,
) -> Result<NewActionAttempt> {
    let mut all = LockedCodes::begin(app, workspace_id, Scope::Codes(&[access_code_id])).await?;
    let is_foreign = |life: &Life| !life.is_managed && life.removing_since().is_none();
    let found = all.find(access_code_id).filter(|place| is_foreign(&all.codes[*place].life));
    let place = found.ok_or(Error::no_access_code(access_code_id))?;
    let (now, machine_now) = (all.now, all.machine_now);
    let obstacle = obstacle(&mut all, place).await?;
    let code = &mut all.codes[place];
    let action_attempt_id = all.ids.id("action_attempt", access_code_id, code.next_child(), machine_now);
    let device_id = code.device_id;
    let outcome = if let Some((kind, message)) = obstacle {
        let device = summary(&all.locked, device_id)?;
        let issues = payload::issues(&all.codes[place], &device);
        all.tell(place, event_type::UNMANAGED_FAILED_TO_CONVERT, Some(issues))?;
        StoredOutcome::Error(json!({ "type": kind, "message": message }))
    } else {
        code.is_external_modification_allowed = is_external_modification_allowed;
        code.life.adopt(now);
        all.tell(place, event_type::UNMANAGED_CONVERTED, None)?;
        StoredOutcome::Result(json!({}))
    };
    let attempt = NewActionAttempt {
        action_attempt_id,
        action_type: "CONVERT_ACCESS_CODE_TO_MANAGED",
        access_code_id,
        device_id,
        created_at: now,
        resolved_at: Some(now),
        outcome: Some(outcome),
    };
    all.attempts.push(attempt.clone());
    all.live(false).await?;
    all.finish(app).await?;
    Ok(attempt)
}

/// Why a code cannot be taken over, if it cannot.
async fn obstacle(all: &mut LockedCodes, place: usize) -> Result<Option<(&'static str, String)>> {
    let locked = all.lock_of(place)?.clone();
    let code = &all.codes[place];
    if code.cannot_be_managed(locked.device.brand) {
        let brand = locked.device.brand.display_name;
        let message = format!("{brand} does not let Seam manage access codes that it did not create");
        return Ok(Some(("cannot_be_managed", message)));
    }
    let asked = code.life.asked.clone();
    let wanted = BTreeSet::from([CodeWanted { device_id: code.device_id, code: asked.code.clone() }]);
    let claims: Claims = access_codes::claims_of_codes(&mut all.tx, &wanted).await?.into_iter().collect();
    let wish = Wish {
        code: Some(&asked.code),
        name: asked.name.as_deref(),
        window: asked.window,
        same_code: locked.world.same_code,
        ..Wish::at(all.now)
    };
    let taken = linked::check_not_taken(&locked.device, &claims, &wish).err();
    Ok(taken.map(|error| ("duplicate_access_code", error.to_string())))
}
