//! Changes of the times and the name of access grants. Rules: access grants §7.

use super::checks::check_times;
use super::reconcile::reconcile;
use super::{GrantReference, find, lock_grants};
use crate::clock::{Timestamp, to_iso};
use crate::domain::access_code::lifecycle::{LockCode, Window};
use crate::domain::access_grant::{AccessMethod, LockedGrant, TimesChange, WarningKind};
use crate::domain::caller::Visibility;
use crate::domain::event::{NewEvent, event_type};
use crate::domain::linked::{self, PinRequest, Reservations};
use crate::engine::app::App;
use crate::engine::locked_workspace;
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::engine::update::{read_reservations_on, request_entry};
use crate::error::{Error, Resource, Result};
use crate::store::access_codes::{self, DeviceSelection, PinChange};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Requested changes of a grant; `None` leaves a property unchanged.
#[derive(Debug, Default)]
pub(crate) struct TimesAndName {
    /// `Some(None)` removes the name.
    pub name: Option<Option<String>>,
    pub starts_at: Option<Timestamp>,
    /// `Some(None)` removes the end.
    pub ends_at: Option<Option<Timestamp>>,
}

/// Changes a grant. Its codes get the new times; their PINs stay.
///
/// # Errors
/// [`Error::NotFound`] of the grant; [`Error::InvalidInput`] for times that are over.
pub(crate) async fn update(
    app: &App,
    visibility: &Visibility,
    reference: &GrantReference,
    change: TimesAndName,
) -> Result<()> {
    let mut tx = locked_workspace::begin(app, visibility.workspace_id).await?;
    let listed = find(&mut tx, visibility, reference).await?;
    let grant_id = listed.grant.access_grant_id;
    let everything = Visibility::all_of(visibility.workspace_id);
    let of_codes = listed.codes.iter().map(|(code, _)| code.device_id);
    let device_ids: BTreeSet<Uuid> = listed.covered.iter().copied().chain(of_codes).collect();
    let device_ids: Vec<Uuid> = device_ids.into_iter().collect();
    access_codes::lock_devices(&mut tx, &everything, DeviceSelection::ByIds(&device_ids)).await?;
    let code_ids: Vec<Uuid> = listed.codes.iter().map(|(code, _)| code.access_code_id).collect();
    let pins: Vec<PinChange> = code_ids.iter().map(|id| PinChange { access_code_id: *id, code: None }).collect();
    let mut work = UnitOfWork::begin_in(tx, &everything, Scope::Changes(&code_ids, &pins)).await?;
    lock_grants(&mut work, &[grant_id]).await?;
    let now = work.now;
    let locked = work.codes.grants.find_mut(grant_id).filter(|locked| locked.grant.deletion_requested_at.is_none());
    let locked = locked.ok_or(Error::NotFound(Resource::AccessGrant))?;
    let before = (locked.grant.starts_at, locked.grant.ends_at);
    let after = (change.starts_at.unwrap_or(before.0), change.ends_at.unwrap_or(before.1));
    if after != before {
        check_times((Some(after.0), after.1), now)?;
        let times = (now, work.machine_now);
        change_times(locked, after, times, &mut work.codes.recorder.events);
    }
    if let Some(name) = change.name {
        locked.grant.name = name;
    }
    // A backup code may have been pulled, or a code added, before the devices were locked.
    let code_ids: Vec<Uuid> = locked.codes().keys().copied().collect();
    let window = locked.grant.window();
    let name = locked.grant.name.clone().unwrap_or(listed.identity_name);
    work.codes.read(&mut work.tx, &code_ids).await?;
    let is_live = |code_id: &Uuid| {
        work.codes.find(*code_id).is_some_and(|code| {
            let state = &code.state;
            state.removing_since().is_none() && !state.rare_fields.has_expired && !state.is_offline
        })
    };
    let code_ids: Vec<Uuid> = code_ids.into_iter().filter(is_live).collect();
    change_codes(&mut work, grant_id, &code_ids, |is_backup, entry| {
        // A pulled backup code is usable at once, and keeps its name.
        let starts_at = |window: Window| entry.window.filter(|_| is_backup).unwrap_or(window).starts_at;
        let window = window.map(|window| Window { starts_at: starts_at(window), ..window });
        let name = if is_backup { entry.name.clone() } else { Some(name.clone()) };
        LockCode { name, window, code: entry.code.clone() }
    })
    .await?;
    work.run(false).await?;
    // A grant that had ended has no codes left.
    let work = work.continue_with(Scope::DevicesOnly(&listed.covered)).await?;
    let mut work = reconcile(work, &[grant_id]).await?;
    if let Some(locked) = work.codes.grants.find_mut(grant_id).filter(|_| after != before) {
        locked.close_methods_without_codes((now, work.machine_now), &mut work.codes.recorder.events);
    }
    work.finish(app).await.map(drop)
}

/// Gives a grant and its methods new times. The methods are issued again when their codes have the times.
fn change_times(
    locked: &mut LockedGrant,
    (starts_at, ends_at): (Timestamp, Option<Timestamp>),
    times: (Timestamp, Timestamp),
    events: &mut Vec<NewEvent>,
) {
    let grant = &mut locked.grant;
    let before = TimesChange { since: times.0, starts_at: grant.starts_at, ends_at: grant.ends_at };
    let mut payload = json!({});
    if let Some(key) = &grant.access_grant_key {
        payload["access_grant_key"] = json!(key);
    }
    if starts_at != grant.starts_at {
        payload["starts_at"] = json!(to_iso(starts_at));
    }
    // The event has no way to say that the end was removed.
    if let Some(ends_at) = ends_at.filter(|_| ends_at != grant.ends_at) {
        payload["ends_at"] = json!(to_iso(ends_at));
    }
    (grant.starts_at, grant.ends_at) = (starts_at, ends_at);
    // The locks may be able to have the new times.
    grant
        .conditions
        .warnings
        .retain(|warning| !matches!(warning.kind, WarningKind::DeviceTimeConstraintsViolated { .. }));
    // Also methods without codes, because the grant had ended: they are issued again with their new codes.
    let open = locked.methods.iter().filter(|method| method.deletion_requested_at.is_none());
    let open: Vec<Uuid> = open.map(|method| method.access_method_id).collect();
    if !open.is_empty() {
        locked.grant.changing_times.get_or_insert(before);
    }
    locked.record_with(event_type::ACCESS_GRANT_ACCESS_TIMES_CHANGED, payload, times, events);
    for method_id in open {
        let Some(method) = locked.method_mut(method_id) else { continue };
        method.changing_times.get_or_insert(before);
        (method.delayed_at, method.failed_at) = (None, None);
        if method.issued_at.take().is_some() {
            locked.record_of_method(method_id, event_type::ACCESS_METHOD_REVOKED, times, events);
        }
    }
}

/// Changes the requested entries of codes of a grant to what `requested` returns, which receives true for a pulled
/// backup code, and the present entry. A code whose PIN is taken in the new times gets another PIN and a method of its
/// own; a code that the lock cannot have in these times is removed.
async fn change_codes(
    work: &mut UnitOfWork,
    grant_id: Uuid,
    code_ids: &[Uuid],
    requested: impl Fn(bool, &LockCode) -> LockCode,
) -> Result<()> {
    let mut reservations = read_reservations_on(work, code_ids).await?;
    if let Some(locked) = work.codes.grants.find(grant_id) {
        locked.release_pins(&mut reservations);
    }
    let now = work.now;
    let (mut rejected, mut full) = (Vec::new(), BTreeSet::new());
    for code_id in code_ids {
        let code = work.codes.get_mut(*code_id)?;
        let entry = requested(code.state.is_backup, &code.state.requested);
        if entry == code.state.requested {
            continue;
        }
        if entry.window != code.state.requested.window {
            code.state.rare_fields.issuance = code.state.rare_fields.issuance.map(|before| before.restarted(now));
        }
        let mut result = request_entry(work, &mut reservations, *code_id, entry.clone(), true);
        if let Err(Error::NoSpace { .. }) = result {
            // A code that the lock has keeps its place. Any other waits for one.
            result = request_entry(work, &mut reservations, *code_id, entry.clone(), false);
            full.extend(note_full_lock(work, *code_id)?);
        }
        match result {
            Ok(()) => {}
            Err(Error::Internal(error)) => return Err(Error::Internal(error)),
            Err(Error::DuplicateAccessCode { .. }) => rejected.push((*code_id, Some(entry))),
            Err(_) => rejected.push((*code_id, None)),
        }
    }
    if !full.is_empty() {
        work.codes.update_codes_of_grants();
        let times = (now, work.machine_now);
        if let Some(locked) = work.codes.grants.find_mut(grant_id) {
            locked.report_creation(&full, true, times, &mut work.codes.recorder.events);
        }
    }
    if !rejected.is_empty() {
        replace_rejected(work, grant_id, rejected).await?;
    }
    Ok(())
}

/// Notes on a code that its lock is full in the new times. Returns the lock; `None` if it stores the code.
fn note_full_lock(work: &mut UnitOfWork, access_code_id: Uuid) -> Result<Option<Uuid>> {
    let code = work.codes.get_mut(access_code_id)?;
    let waits = code.state.held.is_none();
    if let Some(issuance) = &mut code.state.rare_fields.issuance {
        issuance.lock_was_full = waits;
    }
    Ok(waits.then_some(code.device_id))
}

/// Gives codes whose PIN is taken another one, and a method of their own. Removes codes without an entry.
async fn replace_rejected(
    work: &mut UnitOfWork,
    grant_id: Uuid,
    rejected: Vec<(Uuid, Option<LockCode>)>,
) -> Result<()> {
    let devices = rejected.iter().map(|(code_id, _)| Ok(work.codes.get(*code_id)?.device_id));
    let device_ids: BTreeSet<Uuid> = devices.collect::<Result<_>>()?;
    work.codes.write(&mut work.tx).await?;
    let on_devices = access_codes::reservations_on_devices(&mut work.tx, &device_ids).await?;
    let mut reservations: Reservations = on_devices.into_iter().collect();
    if let Some(locked) = work.codes.grants.find(grant_id) {
        locked.release_pins(&mut reservations);
    }
    for (code_id, entry) in rejected {
        let (now, machine_now) = (work.now, work.machine_now);
        let drawn = entry.and_then(|entry| with_another_pin(work, &reservations, code_id, entry));
        let Some(entry) = drawn else {
            // The lock is reported as missing when the grant is compared with its locks.
            work.codes.get_mut(code_id)?.state.request_deletion(now);
            continue;
        };
        let original = work.codes.get(code_id)?.access_method_id;
        let Some(locked) = work.codes.grants.find_mut(grant_id) else { continue };
        let original = locked.methods.iter().find(|method| Some(method.access_method_id) == original);
        let original_id = original.map(|method| method.access_method_id);
        let is_only =
            locked.codes().iter().all(|(id, code)| *id == code_id || Some(code.access_method_id) != original_id);
        if let Some(method) = original_id.filter(|_| is_only).and_then(|method_id| locked.method_mut(method_id)) {
            // The only lock of the method: the method takes the new PIN.
            method.code = Some(entry.code.clone());
            request_entry(work, &mut reservations, code_id, entry, true)?;
            continue;
        }
        let original = locked.methods.iter().find(|method| Some(method.access_method_id) == original_id);
        let (request, changing_times) = original.map_or((0, None), |method| (method.request, method.changing_times));
        let ordinal = locked.grant.next_child();
        let method_id = work.ids.id("access_method", grant_id, ordinal, machine_now);
        let method = AccessMethod {
            code: Some(entry.code.clone()),
            changing_times,
            ..AccessMethod::new(method_id, &locked.grant, request, now)
        };
        locked.methods.push(method);
        let events = &mut work.codes.recorder.events;
        locked.record_of_method(method_id, event_type::ACCESS_METHOD_CREATED, (now, machine_now), events);
        locked.update_code(code_id, None);
        work.codes.grants.register_methods();
        work.codes.get_mut(code_id)?.access_method_id = Some(method_id);
        request_entry(work, &mut reservations, code_id, entry, true)?;
    }
    Ok(())
}

/// Returns the entry of a code with a PIN that is free on its lock; `None` if there is none.
fn with_another_pin(
    work: &UnitOfWork,
    reservations: &Reservations,
    access_code_id: Uuid,
    entry: LockCode,
) -> Option<LockCode> {
    let locked = work.codes.device_of(access_code_id).ok()?;
    let same_code = locked.settings.same_code;
    let request = PinRequest { window: entry.window, same_code, ..PinRequest::at(work.now) };
    let mut draws = 0;
    let draw = |bound| {
        draws += 1;
        work.ids.draw("changed_pin", access_code_id, draws, bound)
    };
    let code = linked::assign_one(&locked.device, reservations, &request, draw).ok()?;
    Some(LockCode { code, ..entry })
}
