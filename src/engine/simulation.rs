//! Simulations of locked devices: read from the database, run, and written back.

use crate::clock::Timestamp;
use crate::compute;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{CodeState, Lock};
use crate::domain::event::NewEvent;
use crate::domain::linked::{Period, Reservations};
use crate::domain::locked_device::LockedDevice;
use crate::domain::simulation::{Memory, Phase, Run, Simulation, Steps, StopWhen};
use crate::error::Result;
use crate::store::{access_codes, faults};
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// How many steps one request takes at most, those of all codes together: ten times what a year of ten thousand codes
/// takes (`bench/year.sh`).
pub(crate) const MAX_STEPS: u64 = 640_000;

/// How many steps are taken at a stretch: some milliseconds of computing, after which others have their turn and a
/// request whose client has gone ends.
const STEPS_PER_CHUNK: u64 = 2000;

/// With so few codes, and so few steps, the thread that serves a request computes by itself.
const FEW_CODES: usize = 100;
const FEW_STEPS: u64 = 200;

/// Reads what operations on these codes can run into, each in its turn and until the instant given for its lock.
pub(crate) async fn load<'a>(
    tx: &mut PgConnection,
    locked: &'a [LockedDevice],
    (codes, phases): (&[AccessCode], &[Phase<'_>]),
    until: impl Fn(&LockedDevice) -> Timestamp,
    machine_now: Timestamp,
) -> Result<Simulation<'a>> {
    let with_faults: BTreeSet<Uuid> =
        locked.iter().filter(|it| it.settings.has_faults).map(|it| it.device.workspace_id).collect();
    let faults = if with_faults.is_empty() { Vec::new() } else { faults::lock(tx, &with_faults).await? };
    let by_id: HashMap<Uuid, &LockedDevice> = locked.iter().map(|it| (it.device.device_id, it)).collect();
    let may_be_set = codes.iter().filter(|code| {
        let phase = phases.iter().find(|(_, takes_part)| takes_part(code));
        let (Some((pace, _)), Some(locked)) = (phase, by_id.get(&code.device_id)) else { return false };
        let mut lock = pace.lock(locked);
        if locked.settings.has_faults {
            // A fault may have it done sooner than usual.
            lock.programming = None;
        }
        comes_to_the_lock(&code.state, &lock, until(locked))
    });
    let may_be_set: Vec<&AccessCode> = may_be_set.collect();
    let memory = memory_of(tx, &by_id, &may_be_set, codes).await?;
    Ok(Simulation::new(locked, faults, memory, machine_now))
}

/// Runs those of these codes whose turn it is, all of them together, and records what happens in the order in which it
/// does. Of what happens at one instant the order is that in which the locks were made and, on a lock, of the codes' making.
///
/// At most so many steps are taken, a stretch of them at a time: between two of them the task can be given up.
pub(crate) async fn run(
    simulation: &mut Simulation<'_>,
    (codes, phase): (&mut [AccessCode], Phase<'_>),
    until: impl Fn(&LockedDevice) -> Timestamp,
    (stop_when, most): (StopWhen, u64),
    events: &mut Vec<NewEvent>,
) -> Steps {
    let mut run = Run::new(simulation, codes, phase, until, stop_when);
    loop {
        let left = most.saturating_sub(run.steps.taken);
        let stretch = STEPS_PER_CHUNK.min(left);
        let is_done = if codes.len() <= FEW_CODES && run.steps.taken == 0 {
            // Too little to be worth another thread.
            run.go_on(simulation, codes, events, FEW_STEPS.min(left))
        } else {
            compute::run(|| run.go_on(simulation, codes, events, stretch)).await
        };
        if is_done {
            return run.steps;
        }
        if run.steps.taken >= most {
            run.steps.is_cut_short = true;
            return run.steps;
        }
    }
}

/// Writes how often faults struck. Gives how many backup codes of each lock can be pulled now.
pub(crate) async fn store(simulation: Simulation<'_>, tx: &mut PgConnection) -> Result<HashMap<Uuid, i64>> {
    faults::save(tx, simulation.faults()).await?;
    Ok(simulation.into_backups())
}

/// As much of the memory of locks as operations on these codes can run into.
async fn memory_of(
    tx: &mut PgConnection,
    locked: &HashMap<Uuid, &LockedDevice>,
    may_be_set: &[&AccessCode],
    all: &[AccessCode],
) -> Result<Memory> {
    let mut memory = Memory::default();
    let (mut params, mut limited, mut with_spares) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for code in may_be_set {
        params.insert((code.device_id, code.state.asked.code.clone()));
        let capacity = locked.get(&code.device_id).and_then(|locked| locked.device.capacity());
        if capacity.is_some() && code.state.held.is_none() {
            limited.insert(code.device_id);
            if code.pool_device_id.is_some() {
                with_spares.insert(code.device_id);
            }
        }
    }
    if !params.is_empty() {
        memory.held = access_codes::held_with_codes(tx, &params).await?;
    }
    if !limited.is_empty() {
        memory.counts = access_codes::held_counts(tx, &limited.into_iter().collect::<Vec<_>>()).await?;
    }
    if !with_spares.is_empty() {
        memory.guests = guests(tx, &with_spares, all).await?;
    }
    Ok(memory)
}

/// The codes on these locks that come before backup codes, each with when it takes a place: those that are written, as
/// these ones are by now, and these ones.
async fn guests(
    tx: &mut PgConnection,
    device_ids: &BTreeSet<Uuid>,
    codes: &[AccessCode],
) -> Result<HashMap<Uuid, HashMap<Uuid, Period>>> {
    let mut reservations: Reservations =
        access_codes::reservations_on_devices(tx, device_ids).await?.into_iter().collect();
    for code in codes.iter().filter(|code| device_ids.contains(&code.device_id)) {
        reservations.remove(code.device_id, code.access_code_id);
        if code.state.gone_at.is_none() && !code.state.is_offline {
            reservations.add_code(code);
        }
    }
    let of_device = |device_id: &Uuid| {
        let guests =
            reservations.on(*device_id).iter().filter(|reservation| reservation.needs_room && !reservation.is_in_pool);
        (
            *device_id,
            guests.map(|reservation| (reservation.access_code_id, reservation.occupies(Timestamp::MIN_UTC))).collect(),
        )
    };
    Ok(device_ids.iter().map(of_device).collect())
}

/// Whether a lock may confirm, until this instant, that it holds the PIN asked for, which it does not hold yet.
fn comes_to_the_lock(state: &CodeState, lock: &Lock, until: Timestamp) -> bool {
    let holds_it =
        state.held.as_ref().is_some_and(|held| held.code == state.asked.code && held.window == state.asked.window);
    if holds_it || state.is_offline || !state.is_managed {
        return false;
    }
    let since = state.working_since.unwrap_or(state.as_of);
    lock.programming.and_then(|takes| since.checked_add_signed(takes)).is_none_or(|done| done <= until)
}
