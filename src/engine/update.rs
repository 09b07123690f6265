//! Changes of access codes. A change applies to the requested state at once, and to the lock as soon as the lock
//! confirms it.

use super::app::App;
use super::batcher::batch_of;
use super::commands::{AccessCodeType, Update, UpdateCommand, Updated};
use super::unit_of_work::{Scope, UnitOfWork};
use crate::cause::Cause;
use crate::clock::Timestamp;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{LockCode, Window};
use crate::domain::action_attempt::action_type::UPDATE_ACCESS_CODE;
use crate::domain::action_attempt::{NewActionAttempt, StoredOutcome};
use crate::domain::caller::Visibility;
use crate::domain::event::{event_type, payload};
use crate::domain::linked::{self, PinRequest, Reservations};
use crate::domain::locked_device::LockedDevice;
use crate::domain::rate_limit::RecentAttempts;
use crate::domain::workspace::SameCode;
use crate::error::{Error, Resource, Result};
use crate::store::access_codes::{self, PinChange};
use crate::store::{action_attempts, devices};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// Changes one access code.
///
/// # Errors
/// An unknown, ended, deleted or offline code; a PIN or time frame that the lock cannot accept; an offline device if
/// [`Update::refuse_if_offline`] is set. Nothing is written then, except the steps that were due before.
pub async fn update(app: &App, command: UpdateCommand) -> Result<Updated> {
    let workspace_id = command.visibility.workspace_id;
    // A request that waits for the lock runs alone: its operations take no time, and those of other requests in the
    // same batch would take no time either.
    if command.sync {
        let mut results = attempt(app, workspace_id, &[command]).await?;
        return results.pop().unwrap_or_else(|| Err(no_result()));
    }
    let work_app = app.clone();
    let work = move |batch: Arc<[UpdateCommand]>| {
        let app = work_app.clone();
        async move { batch_of(batch.len(), attempt(&app, workspace_id, &batch).await) }
    };
    app.updates.submit(workspace_id, (command, 1), work).await?
}

fn no_result() -> Error {
    Error::Internal("a change without an answer".into())
}

/// Decides and writes a batch. After an error nothing was written; only [`Error::OutcomeUnknown`] leaves that open.
async fn attempt(app: &App, workspace_id: Uuid, batch: &[UpdateCommand]) -> Result<Vec<Result<Updated>>> {
    let ids: BTreeSet<Uuid> = batch.iter().map(|command| command.access_code_id).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let pins: Vec<PinChange> =
        batch.iter().filter_map(|command| pin_change(command.access_code_id, &command.update)).collect();
    let mut work = UnitOfWork::begin(app, &Visibility::all_of(workspace_id), Scope::Changes(&ids, &pins)).await?;
    let updates = batch.iter().filter(|command| check_target(&work, command).is_ok());
    let updates: Vec<(Uuid, &Update)> = updates.map(|command| (command.access_code_id, &command.update)).collect();
    let mut reservations = read_reservations(&mut work, &updates).await?;
    let mut recent = recent(&mut work).await?;
    let mut attempts: Vec<Result<NewActionAttempt>> = Vec::with_capacity(batch.len());
    for (index, command) in batch.iter().enumerate() {
        work.codes.recorder.begin_request(index);
        // Checked again: an earlier command of the batch may have converted the code to unmanaged.
        let attempt = check_target(&work, command)
            .and_then(|()| change(&mut work, &mut reservations, &mut recent, command.access_code_id, &command.update));
        attempts.push(attempt);
    }
    work.codes.recorder.end_requests();
    work.run(batch.iter().any(|command| command.sync)).await?;
    for (command, attempt) in batch.iter().zip(&mut attempts) {
        if let Ok(attempt) = attempt {
            resolve(work.codes.get(command.access_code_id)?, attempt, work.now);
            work.codes.recorder.record_action_attempt(attempt.clone());
        }
    }
    let causes: Vec<Cause> = batch.iter().map(|command| command.cause.clone()).collect();
    let codes = work.commit(app, &causes).await?;
    for (command, attempt) in batch.iter().zip(&mut attempts) {
        if let Err(error @ Error::AccessCodeNotFound { device_id: Some(_), .. }) = attempt {
            // The batch is committed already: an error of this lookup fails only this command.
            *error = missing(app, command).await.unwrap_or_else(|error| error);
        }
    }
    let result = |(command, attempt): (&UpdateCommand, Result<NewActionAttempt>)| {
        let attempt = attempt?;
        let code = codes.get(command.access_code_id)?.clone();
        let device = codes.summary(code.device_id)?;
        Ok((code, device, attempt))
    };
    Ok(batch.iter().zip(attempts).map(result).collect())
}

/// Returns the error for a code that was not found: that of the device, if the caller named one that does not exist, or
/// else that of the code.
async fn missing(app: &App, command: &UpdateCommand) -> Result<Error> {
    if let Some(device_id) = command.device_id
        && devices::account_of(&app.pool, &command.visibility, device_id).await?.is_none()
    {
        return Ok(Error::NotFound(Resource::Device));
    }
    Ok(Error::AccessCodeNotFound { device_id: command.device_id, access_code_id: Some(command.access_code_id) })
}

/// Resolves an action attempt if none of its changes is pending.
fn resolve(code: &AccessCode, attempt: &mut NewActionAttempt, now: Timestamp) {
    let state = &code.state;
    if attempt.resolved_at.is_some() {
        return;
    }
    if state.requested_unmanage(attempt.action_attempt_id) {
        if !state.is_managed {
            attempt.resolved_at = Some(now);
            attempt.outcome = Some(StoredOutcome::Result(json!({})));
        }
    } else if state.rare_fields.updating.since().is_none() {
        attempt.resolved_at = Some(now);
    }
}

/// Reads the recent action attempts to change codes on the locked devices, for the rate limits.
async fn recent(work: &mut UnitOfWork) -> Result<RecentAttempts> {
    let Some(settings) = work.codes.devices.first().map(|locked| locked.settings) else {
        return Ok(RecentAttempts::default());
    };
    let device_ids = work.codes.device_ids();
    action_attempts::recent(
        &mut work.tx,
        work.visibility.workspace_id,
        &settings,
        work.now,
        &device_ids,
        UPDATE_ACCESS_CODE,
    )
    .await
}

/// Rejects a change of a code that does not exist or cannot be changed.
fn check_target(work: &UnitOfWork, command: &UpdateCommand) -> Result<()> {
    let not_found =
        || Error::AccessCodeNotFound { device_id: command.device_id, access_code_id: Some(command.access_code_id) };
    let code = work.codes.find(command.access_code_id).ok_or_else(not_found)?;
    work.codes.visible_device(code.device_id, &command.visibility).map_err(|_| not_found())?;
    let is_elsewhere = command.device_id.is_some_and(|device_id| device_id != code.device_id);
    // Only active and upcoming codes can be changed, and a backup code only after it was pulled.
    let is_over = code.state.removing_since().is_some() || code.state.rare_fields.has_expired;
    if is_elsewhere || is_over || !code.state.is_managed || code.pool_device_id.is_some() {
        return Err(not_found());
    }
    code.check_not_of_grant()?;
    if code.state.is_offline {
        return Err(Error::OfflineAccessCodeNotModifiable);
    }
    Ok(())
}

/// Returns the change to check for conflicts; `None`: neither PIN nor time frame changes.
fn pin_change(access_code_id: Uuid, update: &Update) -> Option<PinChange> {
    let Update { code, starts_at, ends_at, kind, .. } = update;
    let needs_pin = code.is_some() || starts_at.is_some() || ends_at.is_some() || kind.is_some();
    needs_pin.then(|| PinChange { access_code_id, code: code.clone() })
}

/// Reads the reservations that may conflict with these changes. On devices with limited capacity these are all codes of
/// the device.
async fn read_reservations(work: &mut UnitOfWork, updates: &[(Uuid, &Update)]) -> Result<Reservations> {
    let needs_pin = updates.iter().filter(|(access_code_id, update)| pin_change(*access_code_id, update).is_some());
    let access_code_ids: Vec<Uuid> = needs_pin.map(|(access_code_id, _)| *access_code_id).collect();
    read_reservations_on(work, &access_code_ids).await
}

/// Like [`read_reservations`], for codes whose PIN or time frame changes.
pub(super) async fn read_reservations_on(work: &mut UnitOfWork, access_code_ids: &[Uuid]) -> Result<Reservations> {
    let mut limited = BTreeSet::new();
    for access_code_id in access_code_ids {
        let device = &work.codes.device_of(*access_code_id)?.device;
        if device.capacity().is_some() {
            limited.insert(device.device_id);
        }
    }
    let mut reservations = Reservations::default();
    // The reservations read by device include those read by PIN.
    for conflict in work.conflicts.iter().filter(|conflict| !limited.contains(&conflict.device_id)) {
        // A step that was due may have ended the code.
        let conflict = work.codes.get(conflict.access_code_id).unwrap_or(conflict);
        if conflict.state.gone_at.is_none() && !conflict.state.rare_fields.has_expired {
            reservations.add_code(conflict);
        }
    }
    if !limited.is_empty() {
        work.codes.write_if_memory_changed(&mut work.tx).await?;
        access_codes::reservations_on_devices(&mut work.tx, &limited)
            .await?
            .into_iter()
            .for_each(|reservation| reservations.add(reservation));
    }
    Ok(reservations)
}

/// Maximum number of requests that wait for one code to become unmanaged: the code stores each of them.
const MAX_PENDING_UNMANAGE: usize = 100;

/// Rejects a conversion to unmanaged if [`MAX_PENDING_UNMANAGE`] requests wait for it already.
fn check_unmanaging(code: &AccessCode, update: &Update) -> Result<()> {
    let waiting = code.state.rare_fields.unmanage.as_ref().map_or(0, |unmanage| unmanage.action_attempt_ids.len());
    if update.is_managed == Some(false) && waiting >= MAX_PENDING_UNMANAGE {
        let message = "The access code is already being converted to unmanaged. The conversion ends when the device \
                       has the access code";
        return Err(Error::invalid("is_managed", message));
    }
    Ok(())
}

/// Changes the requested state of a code and records its events. Returns the action attempt, which the caller completes
/// and records.
fn change(
    work: &mut UnitOfWork,
    reservations: &mut Reservations,
    recent: &mut RecentAttempts,
    access_code_id: Uuid,
    update: &Update,
) -> Result<NewActionAttempt> {
    let (now, machine_now) = (work.now, work.machine_now);
    let locked = work.codes.device_of(access_code_id)?;
    let code = work.codes.get(access_code_id)?;
    let device_id = code.device_id;
    recent.check(device_id)?;
    if update.refuse_if_offline && locked.device.reachable_since.is_none() {
        return Err(Error::DeviceOffline(device_id));
    }
    let requested = requested_entry(code, update)?;
    check(locked, code, &requested, reservations, (now, true))?;
    check_unmanaging(code, update)?;
    let is_native = is_native(locked, code, &requested);
    let ordinal = work.codes.get_mut(access_code_id)?.next_child();
    let action_attempt_id = work.ids.id("action_attempt", access_code_id, ordinal, machine_now);
    let is_noop = [
        change_external_modification(work, access_code_id, update.is_external_modification_allowed)?,
        change_entry(work, reservations, access_code_id, requested, is_native)?,
        update.is_managed == Some(false) && unmanage(work, reservations, access_code_id, action_attempt_id)?,
    ]
    .iter()
    .all(|changed| !changed);
    if !is_noop {
        work.codes.recorder.register_subject(access_code_id, device_id);
    }
    recent.add(device_id);
    // The action attempt returns no access code if nothing changed or if the code is unmanaged now.
    let has_result = !is_noop && work.codes.get(access_code_id)?.state.is_managed;
    Ok(NewActionAttempt {
        action_attempt_id,
        workspace_id: work.visibility.workspace_id,
        action_type: UPDATE_ACCESS_CODE,
        device_id,
        access_code_id: Some(access_code_id),
        created_at: now,
        resolved_at: (!has_result).then_some(now),
        outcome: (!has_result).then(|| StoredOutcome::Result(json!({}))),
    })
}

/// Returns true if the code is scheduled natively after the change.
fn is_native(locked: &LockedDevice, code: &AccessCode, requested: &LockCode) -> bool {
    match (code.state.requested.window, requested.window) {
        // An ongoing code has no scheduling mode yet.
        (None, Some(_)) => locked.device.schedules_natively(),
        _ => code.state.is_natively_scheduled,
    }
}

/// Checks and changes the requested entry of a code of an access grant. If `needs_place`, the lock must have capacity
/// for it.
///
/// # Errors
/// The lock cannot accept the entry, or it conflicts with another code. Nothing is changed then.
pub(super) fn request_entry(
    work: &mut UnitOfWork,
    reservations: &mut Reservations,
    access_code_id: Uuid,
    requested: LockCode,
    needs_place: bool,
) -> Result<()> {
    let locked = work.codes.device_of(access_code_id)?;
    let code = work.codes.get(access_code_id)?;
    check(locked, code, &requested, reservations, (work.now, needs_place))?;
    let is_native = is_native(locked, code, &requested);
    change_entry(work, reservations, access_code_id, requested, is_native).map(drop)
}

/// Allows or forbids changes made at the lock. Returns true if that is a change.
fn change_external_modification(work: &mut UnitOfWork, access_code_id: Uuid, allowed: Option<bool>) -> Result<bool> {
    let now = work.now;
    let code = work.codes.get_mut(access_code_id)?;
    let was = code.is_external_modification_allowed;
    let Some(allowed) = allowed.filter(|allowed| *allowed != was) else { return Ok(false) };
    code.is_external_modification_allowed = allowed;
    if !allowed {
        code.state.disallow_external_changes(now);
    }
    let (from, to) = (was.to_string(), allowed.to_string());
    let property = payload::changed_property("is_external_modification_allowed", Some(&from), Some(&to));
    work.record(access_code_id, event_type::CHANGED, Some(json!({ "changed_properties": [property] })))?;
    Ok(true)
}

/// Changes the requested name, PIN and time frame. Returns true if any of them changes.
fn change_entry(
    work: &mut UnitOfWork,
    reservations: &mut Reservations,
    access_code_id: Uuid,
    requested: LockCode,
    is_native: bool,
) -> Result<bool> {
    let now = work.now;
    let code = work.codes.get_mut(access_code_id)?;
    let change = code.state.request_update(now, requested, is_native);
    if change.is_empty() {
        return Ok(false);
    }
    if change.code.is_some() {
        // Linked codes share one PIN, and this code no longer has it.
        code.leave_group();
    }
    reservations.remove(code.device_id, code.access_code_id);
    reservations.add_code(code);
    let is_on_device = code.state.held.is_some();
    work.record(access_code_id, event_type::MUTATIONS_REQUESTED, Some(payload::requested_mutations(&change)))?;
    if !is_on_device {
        for (event_type, payload) in payload::change_events(&change) {
            work.record(access_code_id, event_type, Some(payload))?;
        }
    }
    Ok(true)
}

/// Converts the code to unmanaged, at once or as soon as its lock holds it. Returns true, because the request is always
/// a change.
fn unmanage(
    work: &mut UnitOfWork,
    reservations: &mut Reservations,
    access_code_id: Uuid,
    action_attempt_id: Uuid,
) -> Result<bool> {
    let now = work.now;
    let code = work.codes.get_mut(access_code_id)?;
    if code.state.request_conversion_to_unmanaged(now, action_attempt_id) {
        // The PIN of an unmanaged code can change independently of the linked codes.
        code.leave_group();
        reservations.remove(code.device_id, code.access_code_id);
        reservations.add_code(code);
        work.record(access_code_id, event_type::CHANGED, Some(payload::unmanaged()))?;
    }
    Ok(true)
}

/// Returns the requested name, PIN and time frame after the change.
fn requested_entry(code: &AccessCode, update: &Update) -> Result<LockCode> {
    let current = &code.state.requested;
    let (starts_at, ends_at) = (update.starts_at, update.ends_at);
    let has_instant = starts_at.is_some() || ends_at.is_some();
    let window = match (update.kind, current.window) {
        (Some(AccessCodeType::Ongoing), _) if has_instant => {
            return Err(Error::invalid("type", "An ongoing code has no starts_at and ends_at: omit them"));
        }
        (Some(AccessCodeType::Ongoing), _) => None,
        (Some(AccessCodeType::TimeBound), None) if !has_instant => {
            return Err(Error::invalid("type", "A time_bound code needs starts_at and ends_at"));
        }
        (_, window) => Window::changed(window, starts_at, ends_at)?,
    };
    Ok(LockCode {
        name: update.name.clone().or_else(|| current.name.clone()),
        code: update.code.clone().unwrap_or_else(|| current.code.clone()),
        window,
    })
}

/// Rejects a PIN or time frame that the lock cannot accept, or that conflicts with another code. If `needs_place`, also
/// rejects a time frame in which the lock is full.
fn check(
    locked: &LockedDevice,
    code: &AccessCode,
    requested: &LockCode,
    reservations: &mut Reservations,
    (now, needs_place): (Timestamp, bool),
) -> Result<()> {
    let current = &code.state.requested;
    if requested.window != current.window {
        Window::check_not_over(requested.window, now)?;
        super::create::check_time_zone(&locked.device, requested.window)?;
        let start = |window: Option<Window>| window.map(|window| window.starts_at);
        if start(requested.window) != start(current.window) {
            super::create::check_start(locked, requested.window, now)?;
        }
    } else if requested.code == current.code {
        return Ok(());
    }
    // A code that keeps its PIN may already share it with another code whose time frame does not overlap, whatever the
    // workspace allows for new PINs.
    let keeps_pin = requested.code == current.code;
    let pin_request = PinRequest {
        code: Some(&requested.code),
        name: requested.name.as_deref(),
        window: requested.window,
        prefer_native_scheduling: code.state.is_natively_scheduled || current.window.is_none(),
        same_code: if keeps_pin { SameCode::InDisjointWindows } else { locked.settings.same_code },
        ..PinRequest::at(now)
    };
    reservations.remove(code.device_id, code.access_code_id);
    let has_place =
        if needs_place { linked::check_capacity(&locked.device, reservations, &pin_request) } else { Ok(()) };
    let result = has_place.and_then(|()| {
        if keeps_pin {
            linked::check_not_taken(&locked.device, reservations, &pin_request)
        } else {
            linked::assign_one(&locked.device, reservations, &pin_request, |_| 0).map(drop)
        }
    });
    reservations.add_code(code);
    result
}

/// Changes all codes of a group that the caller may see, or none of them.
///
/// # Errors
/// [`Error::CommonCodeKeyNotFound`] if no visible code with this key can be changed; otherwise the errors of
/// [`update`].
pub async fn update_multiple(app: &App, visibility: &Visibility, common_code_key: &str, update: &Update) -> Result<()> {
    let not_found = || Error::CommonCodeKeyNotFound(common_code_key.to_owned());
    let mut tx = app.pool.begin(visibility.workspace_id).await?;
    // While the group is locked, no code can join it.
    if !access_codes::lock_pin_group(&mut tx, visibility.workspace_id, common_code_key).await? {
        return Err(not_found());
    }
    let members = access_codes::members(&mut tx, visibility, common_code_key).await?;
    let pins: Vec<PinChange> = members.iter().filter_map(|member| pin_change(*member, update)).collect();
    let mut work = UnitOfWork::begin_in(tx, visibility, Scope::Changes(&members, &pins)).await?;
    let is_changeable = |code: &&AccessCode| {
        let is_over = code.state.removing_since().is_some() || code.state.rare_fields.has_expired;
        let is_present = code.state.gone_at.is_none() && !is_over;
        is_present && code.state.is_managed && code.common_code_key.as_deref() == Some(common_code_key)
    };
    let codes: Vec<&AccessCode> = work.codes.iter().filter(is_changeable).collect();
    if codes.is_empty() {
        return Err(not_found());
    }
    codes.iter().try_for_each(|code| code.check_not_of_grant())?;
    if codes.iter().any(|code| code.state.is_offline) {
        return Err(Error::OfflineAccessCodeNotModifiable);
    }
    let updates: Vec<(Uuid, &Update)> = codes.iter().map(|code| (code.access_code_id, update)).collect();
    let mut reservations = read_reservations(&mut work, &updates).await?;
    let mut recent = recent(&mut work).await?;
    let mut attempts = Vec::with_capacity(updates.len());
    for (access_code_id, update) in updates {
        attempts.push((access_code_id, change(&mut work, &mut reservations, &mut recent, access_code_id, update)?));
    }
    work.run(false).await?;
    // Attempts are stored only for rate limits, where each of them counts.
    if work.codes.devices.iter().any(|locked| locked.settings.rate_limits.is_some()) {
        for (access_code_id, mut attempt) in attempts {
            resolve(work.codes.get(access_code_id)?, &mut attempt, work.now);
            work.codes.recorder.record_action_attempt(attempt);
        }
    }
    work.finish(app).await?;
    Ok(())
}
