//! What a person with the maker's app does to the codes of a lock, past Seam: adds, changes and removes them there.

use super::app::App;
use super::locked_codes::LockedCodes;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::clock::Timestamp;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{CodeState, LockCode, Window};
use crate::domain::caller::Visibility;
use crate::domain::device::DeviceSummary;
use crate::domain::event::event_type;
use crate::domain::linked;
use crate::error::{Error, Resource, Result};
use uuid::Uuid;

/// A code that somebody puts on a lock.
#[derive(Clone, Debug)]
pub(crate) struct NewUnmanagedCode {
    /// The lock.
    pub device_id: Uuid,
    /// What its memory has from now on.
    pub entry: LockCode,
    /// Seam cannot take it over.
    pub cannot_be_managed: bool,
    /// Only the maker's app can delete it.
    pub cannot_delete: bool,
}

/// Puts a code on a lock, as a person with the maker's app does.
///
/// # Errors
/// An unknown lock; one that holds this PIN already, or has no room.
pub(crate) async fn add(
    app: &App,
    visibility: &Visibility,
    unmanaged: NewUnmanagedCode,
) -> Result<(AccessCode, DeviceSummary)> {
    let device_id = unmanaged.device_id;
    let mut work = UnitOfWork::begin(app, visibility, Scope::Devices(&[device_id])).await?;
    let access_code_id = add_to(&mut work, unmanaged)?;
    let codes = work.finish(app).await?;
    Ok((codes.get(access_code_id)?.clone(), codes.summary(device_id)?))
}

/// The same on locks that are locked already. Gives the id of the code.
pub(crate) fn add_to(work: &mut UnitOfWork, unmanaged: NewUnmanagedCode) -> Result<Uuid> {
    let device_id = unmanaged.device_id;
    let (now, machine_now) = (work.now, work.machine_now);
    refuse_what_the_lock_would(&work.codes, device_id, None, &unmanaged.entry)?;
    Window::check_not_over(unmanaged.entry.window, now)?;
    let locked = work.codes.device_mut(device_id)?;
    let native = locked.device.schedules_natively();
    let access_code_id = locked.ids.id("access_code", device_id, locked.next_ordinal(), machine_now);
    locked.access_code_ordinal += 1;
    let mut state = CodeState::begin(now, unmanaged.entry, native);
    state.is_managed = false;
    state.held = Some(state.asked.clone());
    state.first_held_at = Some(now);
    state.rare_fields.cannot_be_managed = unmanaged.cannot_be_managed;
    state.rare_fields.cannot_delete = unmanaged.cannot_delete;
    work.codes.add(AccessCode::new((access_code_id, device_id), work.visibility.workspace_id, state));
    work.record(access_code_id, event_type::UNMANAGED_CREATED, None)?;
    Ok(access_code_id)
}

/// Refuses what the lock itself would: a PIN it holds already, one it cannot hold, one more than it has
/// room for. `except` is the code that is changed.
fn refuse_what_the_lock_would(
    codes: &LockedCodes,
    device_id: Uuid,
    except: Option<Uuid>,
    entry: &LockCode,
) -> Result<()> {
    let locked = codes.device(device_id)?;
    if let Some(reason) = linked::broken_digits(&locked.device, &entry.code) {
        let parameter = if except.is_some() { "new_code" } else { "code" };
        return Err(Error::invalid(parameter, format!("The device cannot hold this code: {reason}")));
    }
    let held: Vec<&AccessCode> = codes
        .iter()
        .filter(|code| code.device_id == device_id && Some(code.access_code_id) != except)
        .filter(|code| code.state.held.is_some() && !code.state.is_offline && code.state.gone_at.is_none())
        .collect();
    let has_pin = |code: &&&AccessCode| code.state.held.as_ref().is_some_and(|held| held.code == entry.code);
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

/// Which code in a lock's memory is meant: one by its id or by its PIN.
#[derive(Clone, Debug)]
pub struct OnLock {
    /// The lock.
    pub device_id: Uuid,
    /// The code.
    pub access_code_id: Option<Uuid>,
    /// The PIN that the lock holds.
    pub code: Option<String>,
}

/// What becomes of a code in a lock's memory; what is `None` stays.
#[derive(Clone, Debug)]
pub(crate) struct ChangeAtLock {
    /// The name.
    pub name: Option<String>,
    /// The PIN.
    pub code: Option<String>,
    /// The start of the time frame.
    pub starts_at: Option<Timestamp>,
    /// Its end.
    pub ends_at: Option<Timestamp>,
}

/// Changes a code in a lock's memory.
///
/// # Errors
/// An unknown lock or code; what the lock cannot hold, or holds already.
pub(crate) async fn change(
    app: &App,
    visibility: &Visibility,
    on_lock: &OnLock,
    change: ChangeAtLock,
) -> Result<(AccessCode, DeviceSummary)> {
    let device_id = on_lock.device_id;
    let mut work = UnitOfWork::begin(app, visibility, Scope::Devices(&[device_id])).await?;
    let (access_code_id, was) = find(&work.codes, on_lock)?;
    let held = LockCode {
        name: change.name.or_else(|| was.name.clone()),
        code: change.code.unwrap_or_else(|| was.code.clone()),
        window: Window::changed(was.window, change.starts_at, change.ends_at)?,
    };
    refuse_what_the_lock_would(&work.codes, device_id, Some(access_code_id), &held)?;
    let now = work.now;
    if held.window != was.window {
        Window::check_not_over(held.window, now)?;
    }
    if held != was {
        let code = work.codes.get_mut(access_code_id)?;
        if code.state.is_managed {
            if code.is_external_modification_allowed && held.code != was.code {
                // Codes with one key have one PIN: this one no longer has it.
                code.leave_group();
            }
            code.state.change_outside(now, Some(held), code.is_external_modification_allowed);
            work.record(access_code_id, event_type::MODIFIED_EXTERNAL, None)?;
        } else {
            code.state.as_of = now;
            code.state.asked = held.clone();
            code.state.held = Some(held);
        }
        work.codes.try_blocked_again(now);
    }
    work.run(false).await?;
    let codes = work.finish(app).await?;
    Ok((codes.get(access_code_id)?.clone(), codes.summary(device_id)?))
}

/// Removes a code from a lock's memory.
///
/// # Errors
/// An unknown lock or code.
pub async fn remove(app: &App, visibility: &Visibility, on_lock: &OnLock) -> Result<()> {
    let mut work = UnitOfWork::begin(app, visibility, Scope::Devices(&[on_lock.device_id])).await?;
    let (access_code_id, _) = find(&work.codes, on_lock)?;
    let now = work.now;
    let code = work.codes.get_mut(access_code_id)?;
    let event_type = if code.state.is_managed {
        code.state.change_outside(now, None, code.is_external_modification_allowed);
        event_type::DELETED_EXTERNAL
    } else {
        code.state.held = None;
        code.state.as_of = now;
        code.state.gone_at = Some(now);
        event_type::UNMANAGED_REMOVED
    };
    work.record(access_code_id, event_type, None)?;
    work.codes.try_blocked_again(now);
    work.run(false).await?;
    work.finish(app).await?;
    Ok(())
}

/// The code in the lock's memory that is meant, and what the lock holds of it.
fn find(codes: &LockedCodes, on_lock: &OnLock) -> Result<(Uuid, LockCode)> {
    codes.device(on_lock.device_id)?;
    if on_lock.access_code_id.is_some() == on_lock.code.is_some() {
        return Err(Error::invalid_request("Give either access_code_id or code, the PIN that the lock holds"));
    }
    let is_meant = |it: &AccessCode, held: &LockCode| {
        on_lock.access_code_id.is_none_or(|id| id == it.access_code_id)
            && on_lock.code.as_ref().is_none_or(|code| *code == held.code)
    };
    let in_memory = codes.iter().filter(|code| !code.state.is_offline && code.state.gone_at.is_none());
    let mut held = in_memory.filter_map(|it| Some((it, it.state.held.as_ref()?)));
    let found = held.find(|(it, held)| is_meant(it, held)).map(|(it, held)| (it.access_code_id, held.clone()));
    found.ok_or(Error::NotFound(Resource::CodeOnLock))
}
