//! Changes of a lock's codes without Seam: a person with the manufacturer's app adds, changes and removes codes.

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

/// An unmanaged code to be put on a lock.
#[derive(Clone, Debug)]
pub(crate) struct NewUnmanagedCode {
    pub device_id: Uuid,
    /// Entry in the lock's memory.
    pub entry: LockCode,
    /// True if the code cannot be converted to managed.
    pub cannot_be_managed: bool,
    /// True if only the manufacturer's app can delete the code.
    pub cannot_delete: bool,
}

/// Puts an unmanaged code on a lock, as a person with the manufacturer's app does.
///
/// # Errors
/// An unknown device; a lock that holds this PIN already, cannot hold it, or is full; a time frame that has ended.
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

/// Like [`add`], on devices that are locked already. Returns the id of the code.
pub(crate) fn add_to(work: &mut UnitOfWork, unmanaged: NewUnmanagedCode) -> Result<Uuid> {
    let device_id = unmanaged.device_id;
    let (now, machine_now) = (work.now, work.machine_now);
    check_lock_accepts(&work.codes, device_id, None, &unmanaged.entry)?;
    Window::check_not_over(unmanaged.entry.window, now)?;
    let locked = work.codes.device_mut(device_id)?;
    let is_native = locked.device.schedules_natively();
    let access_code_id = locked.ids.id("access_code", device_id, locked.next_ordinal(), machine_now);
    locked.access_code_ordinal += 1;
    let mut state = CodeState::new_managed(now, unmanaged.entry, is_native);
    state.is_managed = false;
    state.held = Some(state.requested.clone());
    state.first_held_at = Some(now);
    state.rare_fields.cannot_be_managed = unmanaged.cannot_be_managed;
    state.rare_fields.cannot_delete = unmanaged.cannot_delete;
    work.codes.add(AccessCode::new((access_code_id, device_id), work.visibility.workspace_id, state));
    work.record(access_code_id, event_type::UNMANAGED_CREATED, None)?;
    Ok(access_code_id)
}

/// Rejects an entry that the lock itself would reject: a PIN that it holds already or cannot hold, or a new code if the
/// memory is full. `except` is the code to be changed; `None`: the code is new.
fn check_lock_accepts(codes: &LockedCodes, device_id: Uuid, except: Option<Uuid>, entry: &LockCode) -> Result<()> {
    let locked = codes.device(device_id)?;
    if let Some(reason) = linked::digits_rejection_reason(&locked.device, &entry.code) {
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
            period: entry.window.map(Window::bounds),
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

/// Reference to a code in a lock's memory, either by id or by PIN.
#[derive(Clone, Debug)]
pub struct CodeReference {
    /// Device with the code.
    pub device_id: Uuid,
    /// Id of the access code.
    pub access_code_id: Option<Uuid>,
    /// PIN that the lock holds.
    pub code: Option<String>,
}

/// Changes of a code in a lock's memory; `None` leaves a property unchanged.
#[derive(Clone, Debug)]
pub(crate) struct ChangeAtLock {
    pub name: Option<String>,
    /// New PIN.
    pub code: Option<String>,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
}

/// Changes an entry in a lock's memory, as a person with the manufacturer's app does.
///
/// # Errors
/// An unknown device or code; a PIN that the lock cannot hold, or holds already; an invalid time frame.
pub(crate) async fn change(
    app: &App,
    visibility: &Visibility,
    on_lock: &CodeReference,
    change: ChangeAtLock,
) -> Result<(AccessCode, DeviceSummary)> {
    let device_id = on_lock.device_id;
    let mut work = UnitOfWork::begin(app, visibility, Scope::Devices(&[device_id])).await?;
    let (access_code_id, old_entry) = find(&work.codes, on_lock)?;
    let held = LockCode {
        name: change.name.or_else(|| old_entry.name.clone()),
        code: change.code.unwrap_or_else(|| old_entry.code.clone()),
        window: Window::changed(old_entry.window, change.starts_at, change.ends_at)?,
    };
    check_lock_accepts(&work.codes, device_id, Some(access_code_id), &held)?;
    let now = work.now;
    if held.window != old_entry.window {
        Window::check_not_over(held.window, now)?;
    }
    if held != old_entry {
        let code = work.codes.get_mut(access_code_id)?;
        if code.state.is_managed {
            if code.is_external_modification_allowed && held.code != old_entry.code {
                // Linked codes share one PIN, and this code no longer has it.
                code.leave_group();
            }
            code.state.apply_external_change(now, Some(held), code.is_external_modification_allowed);
            work.record(access_code_id, event_type::MODIFIED_EXTERNAL, None)?;
        } else {
            code.state.as_of = now;
            code.state.requested = held.clone();
            code.state.held = Some(held);
        }
        work.codes.retry_blocked(now);
    }
    work.run(false).await?;
    let codes = work.finish(app).await?;
    Ok((codes.get(access_code_id)?.clone(), codes.summary(device_id)?))
}

/// Removes an entry from a lock's memory, as a person with the manufacturer's app does.
///
/// # Errors
/// An unknown device or code.
pub async fn remove(app: &App, visibility: &Visibility, on_lock: &CodeReference) -> Result<()> {
    let mut work = UnitOfWork::begin(app, visibility, Scope::Devices(&[on_lock.device_id])).await?;
    let (access_code_id, _) = find(&work.codes, on_lock)?;
    let now = work.now;
    let code = work.codes.get_mut(access_code_id)?;
    let event_type = if code.state.is_managed {
        code.state.apply_external_change(now, None, code.is_external_modification_allowed);
        event_type::DELETED_EXTERNAL
    } else {
        code.state.held = None;
        code.state.as_of = now;
        code.state.gone_at = Some(now);
        event_type::UNMANAGED_REMOVED
    };
    work.record(access_code_id, event_type, None)?;
    work.codes.retry_blocked(now);
    work.run(false).await?;
    work.finish(app).await?;
    Ok(())
}

/// Returns the referenced code and its entry in the lock's memory.
fn find(codes: &LockedCodes, on_lock: &CodeReference) -> Result<(Uuid, LockCode)> {
    codes.device(on_lock.device_id)?;
    if on_lock.access_code_id.is_some() == on_lock.code.is_some() {
        return Err(Error::invalid_request("Give either access_code_id or code, the PIN that the lock stores"));
    }
    let is_referenced = |code: &AccessCode, held: &LockCode| {
        on_lock.access_code_id.is_none_or(|id| id == code.access_code_id)
            && on_lock.code.as_ref().is_none_or(|pin| *pin == held.code)
    };
    let in_memory = codes.iter().filter(|code| !code.state.is_offline && code.state.gone_at.is_none());
    let mut entries = in_memory.filter_map(|code| Some((code, code.state.held.as_ref()?)));
    let found =
        entries.find(|(code, held)| is_referenced(code, held)).map(|(code, held)| (code.access_code_id, held.clone()));
    found.ok_or(Error::NotFound(Resource::CodeOnLock))
}
