//! `/_emulator/locks/*`: what a lock truly holds, and what a person with the maker's app does to it.

use super::{Control, Done};
use crate::api::body::access_code::{AccessCodeBody, UnmanagedAccessCodeBody};
use crate::clock::{Instant, iso};
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{Entry, Window};
use crate::domain::event::event_type;
use crate::domain::keypad;
use crate::engine::locked_codes::{LockedCodes, Scope};
use crate::engine::unmanaged::{self, Foreign};
use crate::error::{Error, Resource, Result};
use crate::http::params::optional_instant;
use crate::store::{access_codes, devices};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Memory {
    device_id: Uuid,
}

#[derive(Serialize)]
pub(super) struct MemoryBody {
    device_id: Uuid,
    capacity: Option<u32>,
    codes: Vec<Slot>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "slot is what it is called everywhere")]
struct Slot {
    slot: usize,
    access_code_id: Uuid,
    code: String,
    name: Option<String>,
    #[serde(with = "iso::option")]
    starts_at: Option<Instant>,
    #[serde(with = "iso::option")]
    ends_at: Option<Instant>,
    is_managed: bool,
    is_backup: bool,
}

/// What the lock holds, in the order in which it came there. Where a code is deleted and made anew to change it, it is
/// not there meanwhile.
pub(super) async fn memory(call: Control<Memory>) -> Result<MemoryBody> {
    let workspace = call.workspace().await?;
    let device_id = call.input.device_id;
    let workspace_id = workspace.workspace_id;
    let read = call.app.pool.read(workspace_id, |connection| {
        Box::pin(async move {
            let found = devices::with_world(connection, workspace_id, device_id).await?;
            let (_, _, device) = found.ok_or(Error::NotFound(Resource::Device))?;
            Ok((device, access_codes::on_devices(connection, &[device_id]).await?))
        })
    });
    let (device, mut codes) = read.await?;
    codes.retain(|code| !code.life.is_offline);
    codes.sort_by_key(|code| (code.life.first_held_at, code.sequence));
    let held = codes.iter().filter_map(|code| Some((code, keypad::in_memory(code, &device)?)));
    let slot = |(place, (code, held)): (usize, (&AccessCode, Entry))| Slot {
        slot: place + 1,
        access_code_id: code.access_code_id,
        code: held.code,
        name: held.name,
        starts_at: held.window.map(|window| window.starts_at),
        ends_at: held.window.map(|window| window.ends_at),
        is_managed: code.life.is_managed,
        is_backup: code.life.is_backup,
    };
    let codes = held.enumerate().map(slot).collect();
    Ok(MemoryBody { device_id, capacity: device.capacity(), codes })
}

#[derive(Deserialize)]
pub(super) struct AddCode {
    device_id: Uuid,
    code: String,
    name: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(default)]
    cannot_be_managed: bool,
    #[serde(default)]
    cannot_delete_unmanaged_access_code: bool,
}

#[derive(Serialize)]
pub(super) struct Found {
    access_code: Value,
}

pub(super) async fn add_code(call: Control<AddCode>) -> Result<Found> {
    let workspace = call.workspace().await?;
    let input = call.input;
    let window = match (
        optional_instant("starts_at", input.starts_at.as_deref())?,
        optional_instant("ends_at", input.ends_at.as_deref())?,
    ) {
        (None, None) => None,
        (Some(starts_at), Some(ends_at)) => Some(in_order(Window { starts_at, ends_at })?),
        _ => return Err(Error::invalid_request("Both starts_at and ends_at must be provided if one is")),
    };
    let foreign = Foreign {
        device_id: input.device_id,
        entry: Entry { name: input.name, code: input.code, window },
        cannot_be_managed: input.cannot_be_managed,
        cannot_delete: input.cannot_delete_unmanaged_access_code,
    };
    let (code, device) = unmanaged::add(&call.app, workspace.workspace_id, foreign).await?;
    Ok(Found { access_code: serde_json::to_value(UnmanagedAccessCodeBody::of(&code, &device))? })
}

#[derive(Deserialize)]
pub(super) struct ChangeCode {
    device_id: Uuid,
    access_code_id: Option<Uuid>,
    code: Option<String>,
    new_code: Option<String>,
    name: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
}

/// Somebody changes a code at the lock.
pub(super) async fn change_code(call: Control<ChangeCode>) -> Result<Found> {
    let workspace = call.workspace().await?;
    let input = call.input;
    let starts_at = optional_instant("starts_at", input.starts_at.as_deref())?;
    let ends_at = optional_instant("ends_at", input.ends_at.as_deref())?;
    let scope = [input.device_id];
    let mut all = LockedCodes::begin(&call.app, workspace.workspace_id, Scope::Devices(&scope)).await?;
    let (place, was) = find(&all, input.access_code_id, input.code.as_deref())?;
    let window = match (was.window, starts_at, ends_at) {
        (window, None, None) => window,
        (Some(window), starts_at, ends_at) => Some(in_order(Window {
            starts_at: starts_at.unwrap_or(window.starts_at),
            ends_at: ends_at.unwrap_or(window.ends_at),
        })?),
        (None, Some(starts_at), Some(ends_at)) => Some(in_order(Window { starts_at, ends_at })?),
        (None, ..) => {
            return Err(Error::invalid_request("Both starts_at and ends_at must be provided if one is"));
        }
    };
    let now_held = Entry {
        name: input.name.or_else(|| was.name.clone()),
        code: input.new_code.unwrap_or(was.code.clone()),
        window,
    };
    unmanaged::refuse_what_the_lock_would(&all, input.device_id, Some(all.codes[place].access_code_id), &now_held)?;
    let now = all.now;
    if now_held.window != was.window {
        unmanaged::refuse_what_is_over(now_held.window, now)?;
    }
    if now_held != was {
        let code = &mut all.codes[place];
        if code.life.is_managed {
            if code.is_external_modification_allowed && now_held.code != was.code {
                // Codes with one key have one PIN: this one no longer has it.
                code.leave_group();
            }
            code.life.change_outside(now, Some(now_held), code.is_external_modification_allowed);
            all.tell(place, event_type::MODIFIED_EXTERNAL, None)?;
        } else {
            code.life.as_of = now;
            code.life.asked = now_held.clone();
            code.life.held = Some(now_held);
        }
        all.touch(place);
        try_blocked_again(&mut all);
    }
    finish(call.app, all, place).await
}

#[derive(Deserialize)]
pub(super) struct RemoveCode {
    device_id: Uuid,
    access_code_id: Option<Uuid>,
    code: Option<String>,
}

/// Somebody takes a code off the lock.
pub(super) async fn remove_code(call: Control<RemoveCode>) -> Result<Done> {
    let workspace = call.workspace().await?;
    let input = call.input;
    let scope = [input.device_id];
    let mut all = LockedCodes::begin(&call.app, workspace.workspace_id, Scope::Devices(&scope)).await?;
    let (place, _) = find(&all, input.access_code_id, input.code.as_deref())?;
    let now = all.now;
    let code = &mut all.codes[place];
    if code.life.is_managed {
        code.life.change_outside(now, None, code.is_external_modification_allowed);
        all.tell(place, event_type::DELETED_EXTERNAL, None)?;
    } else {
        code.life.held = None;
        code.life.as_of = now;
        code.life.gone_at = Some(now);
        all.tell(place, event_type::UNMANAGED_REMOVED, None)?;
    }
    try_blocked_again(&mut all);
    all.live(false).await?;
    all.finish(&call.app).await?;
    Ok(Done {})
}

/// What is not in the memory any more stands in nobody's way.
fn try_blocked_again(all: &mut LockedCodes) {
    all.memory_changed();
    let now = all.now;
    for place in 0..all.codes.len() {
        if all.codes[place].blocked_on().is_some() {
            all.codes[place].life.try_again(now);
            all.touch(place);
        }
    }
}

/// The code in the lock's memory that is meant, by its id or its PIN.
fn find(all: &LockedCodes, access_code_id: Option<Uuid>, code: Option<&str>) -> Result<(usize, Entry)> {
    if all.locked.is_empty() {
        return Err(Error::NotFound(Resource::Device));
    }
    if access_code_id.is_some() == code.is_some() {
        return Err(Error::invalid_request("Give either access_code_id or code, the PIN that the lock holds"));
    }
    let held = all.codes.iter().enumerate().filter(|(_, code)| !code.life.is_offline && code.life.gone_at.is_none());
    let held = held.filter_map(|(place, it)| Some((place, it, it.life.held.clone()?)));
    let is_meant = |it: &AccessCode, held: &Entry| {
        access_code_id.is_none_or(|id| id == it.access_code_id) && code.is_none_or(|code| code == held.code)
    };
    let found = held.filter(|(_, it, held)| is_meant(it, held)).map(|(place, _, held)| (place, held)).next();
    found.ok_or(Error::NotFound(Resource::CodeOnLock))
}

async fn finish(app: crate::engine::app::App, mut all: LockedCodes, place: usize) -> Result<Found> {
    all.live(false).await?;
    let (codes, locked) = all.finish(&app).await?;
    let code = &codes[place];
    let device = crate::engine::locked_codes::summary(&locked, code.device_id)?;
    let body = if code.life.is_managed {
        serde_json::to_value(AccessCodeBody::of(code, &device))?
    } else {
        serde_json::to_value(UnmanagedAccessCodeBody::of(code, &device))?
    };
    Ok(Found { access_code: body })
}

fn in_order(window: Window) -> Result<Window> {
    if window.starts_at < window.ends_at {
        return Ok(window);
    }
    Err(Error::invalid_request("ends_at must be after starts_at"))
}
