//! Changes codes: what is asked takes effect on the code at once, and on its lock as soon as that confirms.

use super::app::App;
use super::batcher::batch_of;
use super::commands::{Kind, Update, UpdateCommand, Updated};
use super::locked_codes::{LockedCodes, Scope, summary};
use crate::clock::Instant;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{Entry, Window};
use crate::domain::action_attempt::{NewActionAttempt, StoredOutcome};
use crate::domain::event::{NewEvent, event_type, payload};
use crate::domain::linked::{self, Claims, Wish};
use crate::domain::locked_device::LockedDevice;
use crate::domain::rate_limit::Recent;
use crate::domain::workspace::SameCode;
use crate::error::{Error, Resource, Result};
use crate::store::access_codes::{self, PinWanted};
use crate::store::{action_attempts, devices};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// Changes one code.
///
/// # Errors
/// Those of an unknown, ended, deleted or offline code, of a PIN or time frame the lock cannot take, and of an offline lock
/// where the caller does not want to wait. Then nothing is written.
pub async fn update(app: &App, workspace_id: Uuid, changing: UpdateCommand) -> Result<Updated> {
    // Whoever waits for the lock must not have others wait along.
    if changing.sync {
        let mut answers = attempt(app, workspace_id, &[changing]).await?;
        return answers.pop().unwrap_or_else(|| Err(no_answer()));
    }
    let work_app = app.clone();
    let work = move |batch: Arc<[UpdateCommand]>| {
        let app = work_app.clone();
        async move { batch_of(batch.len(), attempt(&app, workspace_id, &batch).await) }
    };
    app.updates.submit(workspace_id, (changing, 1), work).await?
}

fn no_answer() -> Error {
    Error::Internal("a change without an answer".into())
}

/// Decides and writes a batch. `Err`: nothing of it was written.
async fn attempt(app: &App, workspace_id: Uuid, batch: &[UpdateCommand]) -> Result<Vec<Result<Updated>>> {
    let ids: BTreeSet<Uuid> = batch.iter().map(|changing| changing.access_code_id).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let pins: Vec<PinWanted> =
        batch.iter().filter_map(|changing| pin_wanted(changing.access_code_id, &changing.update)).collect();
    let mut all = LockedCodes::begin(app, workspace_id, Scope::Changes(&ids, &pins)).await?;
    let wanted = batch.iter().filter_map(|changing| Some((target(&all, changing).ok()?, &changing.update)));
    let wanted: Vec<(usize, &Update)> = wanted.collect();
    let mut claims = read_claims(&mut all, &wanted).await?;
    let mut recent = recent(&mut all).await?;
    let mut attempts: Vec<Result<(usize, NewActionAttempt)>> = Vec::with_capacity(batch.len());
    let mut caused_until = Vec::with_capacity(batch.len());
    for changing in batch {
        // One before it may have let go of the code.
        let attempt = target(&all, changing)
            .and_then(|place| Ok((place, change(&mut all, &mut claims, &mut recent, place, &changing.update)?)));
        attempts.push(attempt);
        caused_until.push(all.caused());
    }
    all.live(batch.iter().any(|changing| changing.sync)).await?;
    for (place, attempt) in attempts.iter_mut().flatten() {
        resolve(&all, *place, attempt);
        all.attempts.push(attempt.clone());
    }
    let (codes, locked, events) = all.commit(app).await?;
    attribute(batch, &attempts, &caused_until, &events);
    for (changing, attempt) in batch.iter().zip(&mut attempts) {
        if let Err(error @ Error::AccessCodeNotFound { device_id: Some(_), .. }) = attempt {
            // What was written stays written, whatever becomes of this look.
            *error = missing(app, workspace_id, changing).await.unwrap_or_else(|error| error);
        }
    }
    let answer = |attempt: Result<(usize, NewActionAttempt)>| {
        let (place, attempt) = attempt?;
        let code = codes[place].clone();
        let device = summary(&locked, code.device_id)?;
        Ok((code, device, attempt))
    };
    Ok(attempts.into_iter().map(answer).collect())
}

/// What of a code and a device that were named together is not there.
async fn missing(app: &App, workspace_id: Uuid, changing: &UpdateCommand) -> Result<Error> {
    if let Some(device_id) = changing.device_id
        && devices::account_of(&app.pool, workspace_id, device_id).await?.is_none()
    {
        return Ok(Error::NotFound(Resource::Device));
    }
    Ok(Error::AccessCodeNotFound { device_id: changing.device_id, access_code_id: Some(changing.access_code_id) })
}

/// Notes that an attempt is over where nothing of it is pending any more.
fn resolve(all: &LockedCodes, place: usize, attempt: &mut NewActionAttempt) {
    let life = &all.codes[place].life;
    if attempt.resolved_at.is_some() {
        return;
    }
    if life.waits_to_unmanage(attempt.action_attempt_id) {
        if !life.is_managed {
            attempt.resolved_at = Some(all.now);
            attempt.outcome = Some(StoredOutcome::Result(json!({})));
        }
    } else if life.particulars.updating.since().is_none() {
        attempt.resolved_at = Some(all.now);
    }
}

/// Tells the requests of a batch which events they caused: those of the change itself, and of what then happened at
/// once those of their code, or else of its lock. Of several the last is meant.
fn attribute(
    batch: &[UpdateCommand],
    attempts: &[Result<(usize, NewActionAttempt)>],
    caused_until: &[usize],
    events: &[NewEvent],
) {
    let jobs = || batch.iter().zip(attempts).filter_map(|(it, attempt)| Some((it, &attempt.as_ref().ok()?.1))).rev();
    for (place, event) in events.iter().enumerate() {
        let of_change = caused_until.iter().position(|until| place < *until).and_then(|job| batch.get(job));
        let of_code = || jobs().find(|(_, attempt)| Some(attempt.access_code_id) == event.access_code_id);
        let of_lock = || jobs().find(|(_, attempt)| Some(attempt.device_id) == event.device_id);
        let changing = of_change.or_else(|| of_code().or_else(of_lock).map(|(changing, _)| changing));
        if let Some(changing) = changing {
            changing.cause.note([event.into()]);
        }
    }
}

/// The changes that were asked of the locked devices lately.
async fn recent(all: &mut LockedCodes) -> Result<Recent> {
    let Some(world) = all.locked.first().map(|it| it.world) else { return Ok(Recent::default()) };
    let device_ids: Vec<Uuid> = all.locked.iter().map(|it| it.device.device_id).collect();
    action_attempts::recent(&mut all.tx, all.workspace_id, &world, all.now, &device_ids, "UPDATE_ACCESS_CODE").await
}

/// The place of the code that is to change, if it can.
fn target(all: &LockedCodes, changing: &UpdateCommand) -> Result<usize> {
    let not_found =
        || Error::AccessCodeNotFound { device_id: changing.device_id, access_code_id: Some(changing.access_code_id) };
    let place = all.find(changing.access_code_id).ok_or_else(not_found)?;
    let code = &all.codes[place];
    let is_elsewhere = changing.device_id.is_some_and(|device_id| device_id != code.device_id);
    // Only active and upcoming codes can be changed, and a backup only once it was pulled.
    let is_over = code.life.removing_since().is_some() || code.life.particulars.has_expired;
    if is_elsewhere || is_over || !code.life.is_managed || code.pool_device_id.is_some() {
        return Err(not_found());
    }
    if code.life.is_offline {
        return Err(Error::OfflineAccessCodeNotModifiable);
    }
    Ok(place)
}

/// The PIN that a code must have free after this change, if the change is of PIN or times.
fn pin_wanted(access_code_id: Uuid, update: &Update) -> Option<PinWanted> {
    let Update { code, starts_at, ends_at, kind, .. } = update;
    let matters = code.is_some() || starts_at.is_some() || ends_at.is_some() || kind.is_some();
    matters.then(|| PinWanted { access_code_id, code: code.clone() })
}

/// What stands in the way of changes of codes at these places. On locks with room for so many codes only, all codes
/// count, and those are read.
async fn read_claims(all: &mut LockedCodes, wanted: &[(usize, &Update)]) -> Result<Claims> {
    let mut limited = BTreeSet::new();
    for (place, update) in wanted {
        let code = &all.codes[*place];
        if pin_wanted(code.access_code_id, update).is_some() && all.lock_of(*place)?.device.capacity().is_some() {
            limited.insert(code.device_id);
        }
    }
    let mut claims = Claims::default();
    // What is read by lock has what is read by PIN in it.
    all.rivals.iter().filter(|rival| !limited.contains(&rival.device_id)).for_each(|rival| claims.add_life(rival));
    if !limited.is_empty() {
        access_codes::claims_on_devices(&mut all.tx, &limited).await?.into_iter().for_each(|claim| claims.add(claim));
    }
    Ok(claims)
}

/// How many requests may wait for one code to become unmanaged: each is kept with the code.
const MOST_UNMANAGING: usize = 100;

/// Refuses to make a code unmanaged that so many requests wait for already.
fn check_unmanaging(code: &AccessCode, update: &Update) -> Result<()> {
    let waiting = code.life.particulars.unmanage.as_ref().map_or(0, |unmanage| unmanage.action_attempt_ids.len());
    if update.is_managed == Some(false) && waiting >= MOST_UNMANAGING {
        let message = "The access code becomes unmanaged as soon as the device has it: it need not be asked again";
        return Err(Error::invalid("is_managed", message));
    }
    Ok(())
}

/// Changes the code at this place, and tells of it. Gives the attempt, which is not written yet.
fn change(
    all: &mut LockedCodes,
    claims: &mut Claims,
    recent: &mut Recent,
    place: usize,
    update: &Update,
) -> Result<NewActionAttempt> {
    let (now, machine_now) = (all.now, all.machine_now);
    let locked = all.lock_of(place)?;
    let code = &all.codes[place];
    recent.check(code.device_id)?;
    if update.refuse_if_offline && locked.device.reachable_since.is_none() {
        return Err(Error::DeviceOffline(code.device_id));
    }
    let asked = asked_entry(code, update)?;
    check(locked, code, &asked, claims, now)?;
    check_unmanaging(code, update)?;
    let native = match (code.life.asked.window, asked.window) {
        // An ongoing code has no way of being scheduled yet.
        (None, Some(_)) => locked.device.schedules_natively(),
        _ => code.life.is_natively_scheduled,
    };
    let code = &mut all.codes[place];
    let action_attempt_id = all.ids.id("action_attempt", code.access_code_id, code.next_child(), machine_now);
    let is_noop = [
        change_who_may(all, place, update.is_external_modification_allowed)?,
        change_asked(all, claims, place, asked, native)?,
        update.is_managed == Some(false) && unmanage(all, place, action_attempt_id)?,
    ]
    .iter()
    .all(|changed| !changed);
    all.touch(place);
    let code = &all.codes[place];
    recent.note(code.device_id);
    // There is no managed code to show where nothing changed or it is unmanaged now.
    let has_result = !is_noop && code.life.is_managed;
    Ok(NewActionAttempt {
        action_attempt_id,
        action_type: "UPDATE_ACCESS_CODE",
        access_code_id: code.access_code_id,
        device_id: code.device_id,
        created_at: now,
        resolved_at: (!has_result).then_some(now),
        outcome: (!has_result).then(|| StoredOutcome::Result(json!({}))),
    })
}

/// Changes whether somebody at the lock may change the code. Gives whether that is a change.
fn change_who_may(all: &mut LockedCodes, place: usize, allowed: Option<bool>) -> Result<bool> {
    let now = all.now;
    let code = &mut all.codes[place];
    let was = code.is_external_modification_allowed;
    let Some(allowed) = allowed.filter(|allowed| *allowed != was) else { return Ok(false) };
    code.is_external_modification_allowed = allowed;
    if !allowed {
        code.life.forbid_changes_outside(now);
    }
    let (from, to) = (was.to_string(), allowed.to_string());
    let property = payload::changed_property("is_external_modification_allowed", Some(&from), Some(&to));
    all.tell(place, event_type::CHANGED, Some(json!({ "changed_properties": [property] })))?;
    Ok(true)
}

/// Changes what is asked of the code. Gives whether that is a change.
fn change_asked(all: &mut LockedCodes, claims: &mut Claims, place: usize, asked: Entry, native: bool) -> Result<bool> {
    let now = all.now;
    let code = &mut all.codes[place];
    let change = code.life.request_update(now, asked, native);
    if change.is_empty() {
        return Ok(false);
    }
    if change.code.is_some() {
        // Codes with one key have one PIN: this one no longer has it.
        code.leave_group();
    }
    claims.remove(code.device_id, code.access_code_id);
    claims.add_life(code);
    let is_on_device = code.life.held.is_some();
    all.tell(place, event_type::MUTATIONS_REQUESTED, Some(payload::requested_mutations(&change)))?;
    if !is_on_device {
        for (event_type, payload) in payload::of_change(&change) {
            all.tell(place, event_type, Some(payload))?;
        }
    }
    Ok(true)
}

/// Makes the code unmanaged, at once or as soon as its lock holds it.
fn unmanage(all: &mut LockedCodes, place: usize, action_attempt_id: Uuid) -> Result<bool> {
    let now = all.now;
    let code = &mut all.codes[place];
    if code.life.request_unmanaging(now, action_attempt_id) {
        // Whatever happens to its PIN from now on, nobody keeps it like that of the others.
        code.leave_group();
        all.tell(place, event_type::CHANGED, Some(payload::unmanaged()))?;
    }
    Ok(true)
}

/// The code as it is to be.
fn asked_entry(code: &AccessCode, update: &Update) -> Result<Entry> {
    let asked = &code.life.asked;
    let window = match (update.kind, asked.window) {
        (Some(Kind::Ongoing), _) if update.starts_at.is_some() || update.ends_at.is_some() => {
            return Err(Error::invalid("type", "An ongoing code has no starts_at and ends_at: leave them out"));
        }
        (Some(Kind::Ongoing), _) => None,
        (_, Some(window)) => Some(Window {
            starts_at: update.starts_at.unwrap_or(window.starts_at),
            ends_at: update.ends_at.unwrap_or(window.ends_at),
        }),
        (kind, None) => match (update.starts_at, update.ends_at) {
            (Some(starts_at), Some(ends_at)) => Some(Window { starts_at, ends_at }),
            (None, None) if kind.is_none() => None,
            (None, None) => {
                return Err(Error::invalid("type", "A time_bound code needs starts_at and ends_at"));
            }
            _ => {
                return Err(Error::invalid_request("Both starts_at and ends_at must be provided if one is"));
            }
        },
    };
    if window.is_some_and(|window| window.starts_at >= window.ends_at) {
        return Err(Error::invalid_request("ends_at must be after starts_at"));
    }
    Ok(Entry {
        name: update.name.clone().or_else(|| asked.name.clone()),
        code: update.code.clone().unwrap_or_else(|| asked.code.clone()),
        window,
    })
}

/// Refuses what the lock cannot take, or has to hold already for somebody else.
fn check(locked: &LockedDevice, code: &AccessCode, asked: &Entry, claims: &mut Claims, now: Instant) -> Result<()> {
    let was = &code.life.asked;
    if asked.window != was.window {
        if asked.window.is_some_and(|window| window.ends_at <= now) {
            return Err(Error::invalid("ends_at", "ends_at must be in the future"));
        }
        super::create::check_time_zone(&locked.device, asked.window)?;
        let start = |window: Option<Window>| window.map(|window| window.starts_at);
        if start(asked.window) != start(was.window) {
            super::create::check_start(locked, asked.window, now)?;
        }
    } else if asked.code == was.code {
        return Ok(());
    }
    // A code that keeps its PIN may have shared it for long.
    let keeps_pin = asked.code == was.code;
    let wish = Wish {
        code: Some(&asked.code),
        name: asked.name.as_deref(),
        window: asked.window,
        prefer_native_scheduling: code.life.is_natively_scheduled || was.window.is_none(),
        same_code: if keeps_pin { SameCode::InDisjointWindows } else { locked.world.same_code },
        ..Wish::at(now)
    };
    claims.remove(code.device_id, code.access_code_id);
    let free = linked::check_capacity(&locked.device, claims, &wish).and_then(|()| {
        if keeps_pin {
            linked::check_not_taken(&locked.device, claims, &wish)
        } else {
            linked::assign_one(&locked.device, claims, &wish, |_| 0).map(drop)
        }
    });
    claims.add_life(code);
    free
}

/// Moves or renames all codes of a group, or none of them.
///
/// # Errors
/// 404 `access_code_not_found` for a key that no code has; otherwise those of [`update`].
pub async fn update_multiple(app: &App, workspace_id: Uuid, common_code_key: &str, update: &Update) -> Result<()> {
    let not_found = || Error::CommonCodeKeyNotFound(common_code_key.to_owned());
    let mut tx = app.pool.begin(workspace_id).await?;
    // With the group locked no code joins it any more.
    if !access_codes::lock_pin_group(&mut tx, workspace_id, common_code_key).await? {
        return Err(not_found());
    }
    let members = access_codes::members(&mut tx, workspace_id, common_code_key).await?;
    let pins: Vec<PinWanted> = members.iter().filter_map(|member| pin_wanted(*member, update)).collect();
    let mut all = LockedCodes::begin_in(tx, workspace_id, Scope::Changes(&members, &pins)).await?;
    let places: Vec<usize> = (0..all.codes.len())
        .filter(|place| {
            let code = &all.codes[*place];
            let is_over = code.life.removing_since().is_some() || code.life.particulars.has_expired;
            let is_here = code.life.gone_at.is_none() && !is_over;
            is_here && code.life.is_managed && code.common_code_key.as_deref() == Some(common_code_key)
        })
        .collect();
    if places.is_empty() {
        return Err(not_found());
    }
    if places.iter().any(|place| all.codes[*place].life.is_offline) {
        return Err(Error::OfflineAccessCodeNotModifiable);
    }
    let wanted: Vec<(usize, &Update)> = places.iter().map(|place| (*place, update)).collect();
    let mut claims = read_claims(&mut all, &wanted).await?;
    let mut recent = recent(&mut all).await?;
    let mut attempts = Vec::with_capacity(places.len());
    for place in places {
        attempts.push((place, change(&mut all, &mut claims, &mut recent, place, update)?));
    }
    all.live(false).await?;
    // Where requests are limited they all count.
    if all.locked.iter().any(|it| it.world.rate_limits.is_some()) {
        for (place, mut attempt) in attempts {
            resolve(&all, place, &mut attempt);
            all.attempts.push(attempt);
        }
    }
    all.finish(app).await?;
    Ok(())
}
