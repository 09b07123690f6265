//! Loading, running and saving the simulation of locked devices.

use crate::clock::Timestamp;
use crate::compute;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{CodeState, Lock};
use crate::domain::access_grant::LockedGrants;
use crate::domain::event::NewEvent;
use crate::domain::linked::{Period, Reservations};
use crate::domain::locked_device::LockedDevice;
use crate::domain::simulation::{Memory, Phase, Run, Simulation, Steps, StopWhen};
use crate::error::Result;
use crate::store::{access_codes, faults};
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Maximum number of steps per request, for all codes together: ten times the steps of ten thousand codes in a year
/// (`bench/year.sh`).
pub(crate) const MAX_STEPS: u64 = 640_000;

/// Number of steps per chunk, some milliseconds of computing. Between two chunks other tasks can run, and a request
/// whose client has disconnected can be cancelled.
const STEPS_PER_CHUNK: u64 = 2000;

/// Maximum number of codes for which the first steps run without [`compute::run`].
const FEW_CODES: usize = 100;
/// Number of these first steps.
const FEW_STEPS: u64 = 200;

/// Loads the faults and the part of the locks' memory that can affect the operations of these codes. A code takes part
/// in the first phase that selects it, and runs up to the instant that `until` returns for its device.
pub(crate) async fn load<'a>(
    tx: &mut PgConnection,
    (locked, grants): (&'a [LockedDevice], LockedGrants),
    (codes, phases): (&[AccessCode], &[Phase<'_>]),
    until: impl Fn(&LockedDevice) -> Timestamp,
    machine_now: Timestamp,
) -> Result<Simulation<'a>> {
    let with_faults: BTreeSet<Uuid> =
        locked.iter().filter(|device| device.settings.has_faults).map(|device| device.device.workspace_id).collect();
    let faults = if with_faults.is_empty() { Vec::new() } else { faults::lock(tx, &with_faults).await? };
    let by_id: HashMap<Uuid, &LockedDevice> =
        locked.iter().map(|locked_device| (locked_device.device.device_id, locked_device)).collect();
    let may_be_set = codes.iter().filter(|code| {
        let phase = phases.iter().find(|(_, takes_part)| takes_part(code));
        let (Some((pace, _)), Some(locked)) = (phase, by_id.get(&code.device_id)) else { return false };
        let mut lock = pace.lock(locked);
        if locked.settings.has_faults {
            // A fault may shorten the operation, so its usual duration is no reason to leave the code out.
            lock.programming = None;
        }
        may_be_programmed(&code.state, &lock, until(locked))
    });
    let may_be_set: Vec<&AccessCode> = may_be_set.collect();
    let memory = memory_of(tx, &by_id, &may_be_set, codes).await?;
    Ok(Simulation::new(locked, (faults, memory), grants, machine_now))
}

/// Runs the codes of one phase together and records their events in order. Steps at the same instant are ordered by the
/// creation of their devices and, on one device, by the kind of the step and the creation of the code.
///
/// Runs at most `max_steps` steps, in chunks: between two chunks the task can be cancelled.
pub(crate) async fn run(
    simulation: &mut Simulation<'_>,
    (codes, phase): (&mut [AccessCode], Phase<'_>),
    until: impl Fn(&LockedDevice) -> Timestamp,
    (stop_when, max_steps): (StopWhen, u64),
    events: &mut Vec<NewEvent>,
) -> Steps {
    let mut run = Run::new(simulation, codes, phase, until, stop_when);
    loop {
        let remaining = max_steps.saturating_sub(run.steps.taken);
        let chunk = STEPS_PER_CHUNK.min(remaining);
        let is_done = if codes.len() <= FEW_CODES && run.steps.taken == 0 {
            // Too little work for `compute::run`.
            run.run_steps(simulation, codes, events, FEW_STEPS.min(remaining))
        } else {
            compute::run(|| run.run_steps(simulation, codes, events, chunk)).await
        };
        if is_done {
            return run.steps;
        }
        if run.steps.taken >= max_steps {
            run.steps.has_reached_limit = true;
            return run.steps;
        }
    }
}

/// Saves the counters of the faults. Returns the number of backup codes that can be pulled, by device id, and the access
/// grants.
pub(crate) async fn store(
    simulation: Simulation<'_>,
    tx: &mut PgConnection,
) -> Result<(HashMap<Uuid, i64>, LockedGrants)> {
    faults::save(tx, simulation.faults()).await?;
    Ok(simulation.into_parts())
}

/// Reads the part of the locks' memory that can affect programming the codes of `may_be_set`.
async fn memory_of(
    tx: &mut PgConnection,
    locked: &HashMap<Uuid, &LockedDevice>,
    may_be_set: &[&AccessCode],
    codes: &[AccessCode],
) -> Result<Memory> {
    let mut memory = Memory::default();
    let (mut pins, mut limited, mut with_backup_pool) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for code in may_be_set {
        pins.insert((code.device_id, code.state.requested.code.clone()));
        let capacity = locked.get(&code.device_id).and_then(|locked| locked.device.capacity());
        if capacity.is_some() && code.state.held.is_none() {
            limited.insert(code.device_id);
            if code.pool_device_id.is_some() {
                with_backup_pool.insert(code.device_id);
            }
        }
    }
    if !pins.is_empty() {
        memory.held = access_codes::entries_with_pins(tx, &pins).await?;
    }
    if !limited.is_empty() {
        memory.counts = access_codes::entry_counts(tx, &limited.into_iter().collect::<Vec<_>>()).await?;
    }
    if !with_backup_pool.is_empty() {
        memory.guest_codes = guest_codes(tx, &with_backup_pool, codes).await?;
    }
    Ok(memory)
}

/// Returns, by device, the codes that have priority over backup codes, each with the period in which it needs a place
/// in the memory. Codes in `codes` are used in their current state, all other codes in their stored state.
async fn guest_codes(
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
        let guest_codes =
            reservations.on(*device_id).iter().filter(|reservation| reservation.uses_slot && !reservation.is_in_pool);
        (
            *device_id,
            guest_codes
                .map(|reservation| (reservation.access_code_id, reservation.slot_period(Timestamp::MIN_UTC)))
                .collect(),
        )
    };
    Ok(device_ids.iter().map(of_device).collect())
}

/// Returns true if the lock does not hold the requested PIN and time frame yet, and may confirm them by `until`. If
/// the duration of the operation is unknown (`programming` is `None`), it may always do so.
fn may_be_programmed(state: &CodeState, lock: &Lock, until: Timestamp) -> bool {
    let is_programmed = state
        .held
        .as_ref()
        .is_some_and(|held| held.code == state.requested.code && held.window == state.requested.window);
    if is_programmed || state.is_offline || !state.is_managed {
        return false;
    }
    let since = state.operation_started_at.unwrap_or(state.as_of);
    lock.programming.and_then(|duration| since.checked_add_signed(duration)).is_none_or(|done_at| done_at <= until)
}
