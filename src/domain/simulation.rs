//! Simulation of locks: runs the steps of all their codes together, ordered by time.
//!
//! [`super::access_code::lifecycle`] has the rules for a single code. The codes of a lock also affect each other: they
//! share its memory, and the faults that testers configured for its operations. This module adds these effects.

mod memory;

pub(crate) use memory::{CodeInMemory, Memory};

use super::access_code::AccessCode;
use super::access_code::lifecycle::{CodeState, Lock, Operation, Step};
use super::access_grant::LockedGrants;
use super::event::{self, NewEvent, event_type};
use super::fault::{self, Fault};
use super::locked_device::LockedDevice;
use crate::clock::Timestamp;
use chrono::TimeDelta;
use serde_json::json;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use uuid::Uuid;

/// Duration of the operations in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As configured in the workspace.
    Usual,
    /// Zero. Used for new backup codes, and for requests that wait for the lock (`sync`). Operations that a tester
    /// completes by hand still wait for the tester.
    Immediate,
}

impl Pace {
    /// Returns the properties of the lock that determine the steps of its codes at this pace.
    pub fn lock(self, locked: &LockedDevice) -> Lock {
        let lock = locked.device.lock(&locked.settings);
        match self {
            Self::Usual => lock,
            Self::Immediate => Lock { programming: lock.programming.map(|_| TimeDelta::zero()), ..lock },
        }
    }
}

/// One of several successive runs: the pace of its operations, and a filter that selects its codes.
pub(crate) type Phase<'a> = (Pace, &'a (dyn Fn(&AccessCode) -> bool + Sync));

/// End condition of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopWhen {
    /// Stop when all steps due until the given instant are taken.
    TimeIsReached,
    /// The same, but stop earlier if only retries of failed operations are left.
    Idle,
}

/// Result of a run.
#[derive(Debug, Default)]
pub struct Steps {
    /// Number of steps taken.
    pub taken: u64,
    /// Instant of the last step.
    pub last: Option<Timestamp>,
    /// True if the run stopped at the maximum number of steps. The remaining steps stay due at their instants.
    pub has_reached_limit: bool,
}

impl Steps {
    /// Adds the result of another run.
    pub fn add(&mut self, other: &Self) {
        self.taken += other.taken;
        self.last = self.last.max(other.last);
        self.has_reached_limit |= other.has_reached_limit;
    }
}

/// Locked devices with the data that the steps of their codes share: faults, memory and numbers of backup codes.
#[derive(Debug)]
pub(crate) struct Simulation<'a> {
    locked: HashMap<Uuid, &'a LockedDevice>,
    faults: Vec<Fault>,
    memory: Memory,
    /// Per device: number of backup codes in its pool that can be pulled now.
    backups: HashMap<Uuid, i64>,
    /// Access grants of the codes.
    grants: LockedGrants,
    /// Current time of the machine, for the ids of events and their `created_at`.
    machine_now: Timestamp,
}

/// Properties of a lock, the instant up to which its codes run, and the ordinal of its device.
type LockContext = (Lock, Timestamp, i32);

/// Entry of the queue: the next step of a code. Entries are ordered by instant; ordinal and id of the device; step, and
/// false for a removal, so that removals come first; sequence of the code, new codes last; index of the code in the
/// slice. The last number is the version of the entry. `Reverse`, because a [`BinaryHeap`] returns its greatest element
/// first.
type QueuedStep = Reverse<(Timestamp, (i32, Uuid), (Step, bool), i64, usize, u32)>;

impl<'a> Simulation<'a> {
    /// Creates a simulation of these devices with the faults and lock memory that affect operations.
    pub(crate) fn new(
        locked: &'a [LockedDevice],
        (faults, memory): (Vec<Fault>, Memory),
        grants: LockedGrants,
        machine_now: Timestamp,
    ) -> Self {
        let backups = locked.iter().map(|locked| (locked.device.device_id, locked.backups)).collect();
        let locked = locked.iter().map(|locked| (locked.device.device_id, locked)).collect();
        Self { locked, faults, memory, backups, grants, machine_now }
    }

    /// Returns the faults with their current counters.
    pub(crate) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Returns the number of backup codes that can be pulled now, by device id, and the access grants.
    pub(crate) fn into_parts(self) -> (HashMap<Uuid, i64>, LockedGrants) {
        (self.backups, self.grants)
    }

    /// Takes one step of one code at the instant `at`, and adds its events. Returns true if other codes may now use the
    /// space or the PIN that the code used in the memory of the lock.
    pub(crate) fn step(
        &mut self,
        locked: &LockedDevice,
        lock: &Lock,
        code: &mut AccessCode,
        at: Timestamp,
        step: Step,
        events: &mut Vec<NewEvent>,
    ) -> bool {
        let operation = code.state.required_operation().map(|(operation, _)| operation);
        let injected_outcome = operation.filter(|_| step == Step::Begin).and_then(|operation| {
            fault::apply(&mut self.faults, &locked.device, operation_name(operation, &code.state))
        });
        let is_set = matches!(operation, Some(Operation::Set | Operation::Update)) && step == Step::Confirm;
        let spare_backups = self.backups.get(&locked.device.device_id).copied().unwrap_or(0);
        let obstacle = if is_set { self.memory.obstacle(&locked.device, code, spare_backups) } else { None };
        let held_before = code.state.held.clone();
        let could_be_pulled = code.can_be_pulled();
        let mut domain_events = Vec::new();
        code.state.apply(lock, at, step, (injected_outcome, obstacle), &mut domain_events);
        let backups = self.backups.entry(locked.device.device_id).or_default();
        *backups += i64::from(code.can_be_pulled()) - i64::from(could_be_pulled);
        if !code.state.is_managed {
            // An unmanaged code leaves its group: its PIN is no longer kept equal to those of the linked codes.
            code.leave_group();
        }
        for domain_event in domain_events {
            event::record_domain_event(code, locked, domain_event, *backups, self.machine_now, events);
        }
        if !self.grants.is_empty() {
            self.grants.code_changed(code, locked, (at, self.machine_now), events);
        }
        self.memory.forget_gone_guest(code);
        held_before != code.state.held && self.memory.update_entry(code, held_before.as_ref())
    }

    /// Pulls a backup code for a code of an access grant at the instant `at`, if the code does not open the lock, and the
    /// pool of the lock is enabled and has one. Returns the index of the backup code. `index` is that of the code.
    fn pull_backup(
        &mut self,
        locked: &LockedDevice,
        (codes, index): (&mut [AccessCode], usize),
        at: Timestamp,
        events: &mut Vec<NewEvent>,
    ) -> Option<usize> {
        let device_id = locked.device.device_id;
        locked.device.backup_pool.filter(|pool| pool.is_enabled)?;
        let is_ready = |code: &AccessCode| code.device_id == device_id && code.is_ready_backup();
        let backup_index = codes.iter().position(is_ready)?;
        let [code, backup] = codes.get_disjoint_mut([index, backup_index]).ok()?;
        let held = code.state.held.as_ref();
        if held.is_some_and(|held| held.window.is_none_or(|window| at < window.ends_at)) {
            // Only its change is late: the guest can use the code.
            return None;
        }
        let ends_at = code.state.requested.window?.ends_at;
        pull_backup(&mut self.grants, locked, (code, backup), (ends_at, at), self.machine_now, events);
        code.state.as_of = code.state.as_of.max(at);
        *self.backups.entry(device_id).or_default() -= 1;
        Some(backup_index)
    }
}

/// Progress of a run over the codes of several locks.
pub(crate) struct Run {
    stop_when: StopWhen,
    locks: HashMap<Uuid, LockContext>,
    /// For each code: true if it takes part in the run.
    takes_part: Vec<bool>,
    /// For each code: version of its valid entry in the queue. Entries with an older version are skipped.
    versions: Vec<u32>,
    queue: BinaryHeap<QueuedStep>,
    /// Number of valid queued steps that are not retries of a failed operation.
    non_retries: usize,
    /// Number of codes of the run that the memory of their lock blocks: a duplicate PIN, or no free space.
    blocked: usize,
    /// Steps taken so far.
    pub steps: Steps,
}

impl Run {
    /// Creates a run over the codes selected by the phase, each up to the instant that `until` returns for its lock.
    pub(crate) fn new(
        simulation: &Simulation<'_>,
        codes: &[AccessCode],
        (pace, selects): Phase<'_>,
        until: impl Fn(&LockedDevice) -> Timestamp,
        stop_when: StopWhen,
    ) -> Self {
        let takes_part: Vec<bool> = codes.iter().map(selects).collect();
        let context = |locked: &&LockedDevice| {
            (locked.device.device_id, (pace.lock(locked), until(locked), locked.device.ordinal))
        };
        let mut run = Self {
            stop_when,
            locks: simulation.locked.values().map(context).collect(),
            versions: vec![0; codes.len()],
            queue: BinaryHeap::with_capacity(codes.len()),
            non_retries: 0,
            blocked: codes
                .iter()
                .zip(&takes_part)
                .filter(|(code, is_selected)| **is_selected && code.blocked_on().is_some())
                .count(),
            takes_part,
            steps: Steps::default(),
        };
        for (index, code) in codes.iter().enumerate() {
            run.push(code, index);
        }
        run
    }

    /// Takes at most `max_steps` steps. Returns true if the run is finished, false if it must be called again.
    pub(crate) fn run_steps(
        &mut self,
        simulation: &mut Simulation<'_>,
        codes: &mut [AccessCode],
        events: &mut Vec<NewEvent>,
        max_steps: u64,
    ) -> bool {
        let limit = self.steps.taken + max_steps;
        while self.steps.taken < limit {
            let Some(Reverse((at, (_, device_id), (step, _), _, index, version))) = self.queue.pop() else {
                return true;
            };
            if version != self.versions[index] {
                continue;
            }
            let Some((lock, until, _)) = self.locks.get(&device_id) else { continue };
            let Some(locked) = simulation.locked.get(&device_id).copied() else { continue };
            let code = &mut codes[index];
            if code.state.is_retry(step, *until) {
                if self.stop_when == StopWhen::Idle && self.non_retries == 0 {
                    return true;
                }
            } else {
                self.non_retries = self.non_retries.saturating_sub(1);
            }
            self.steps.taken += 1;
            self.steps.last = Some(at);
            if step == Step::ReportLateIssuance
                && let Some(backup_index) = simulation.pull_backup(locked, (&mut *codes, index), at, events)
            {
                self.requeue(&codes[index], index);
                self.requeue(&codes[backup_index], backup_index);
                continue;
            }
            let code = &mut codes[index];
            let was_blocked = code.blocked_on().is_some();
            let freed_memory = simulation.step(locked, lock, code, at, step, events);
            self.blocked =
                (self.blocked + usize::from(code.blocked_on().is_some())).saturating_sub(usize::from(was_blocked));
            self.requeue(code, index);
            if freed_memory && self.blocked > 0 {
                self.retry_blocked(codes, device_id, at);
            }
        }
        false
    }

    /// Makes the codes that the memory of this lock blocks due for a retry at `at`, because the cause may be gone.
    fn retry_blocked(&mut self, codes: &mut [AccessCode], device_id: Uuid, at: Timestamp) {
        for (index, code) in codes.iter_mut().enumerate() {
            if code.blocked_on() == Some(device_id) && self.takes_part[index] {
                // The queued step of the code becomes invalid, so it is not counted any more.
                let was_counted = next_step(&self.locks, code).is_some_and(|(.., is_counted)| is_counted);
                self.non_retries = self.non_retries.saturating_sub(usize::from(was_counted));
                code.state.retry_now(at);
                self.requeue(code, index);
            }
        }
    }

    /// Replaces the queued step of a code that has changed by its new next step.
    fn requeue(&mut self, code: &AccessCode, index: usize) {
        self.versions[index] = self.versions[index].wrapping_add(1);
        self.push(code, index);
    }

    /// Queues the next step of a code, if the code takes part in the run and the step is due by the end of the run.
    fn push(&mut self, code: &AccessCode, index: usize) {
        let Some((at, step, is_counted)) = next_step(&self.locks, code).filter(|_| self.takes_part[index]) else {
            return;
        };
        let ordinal = self.locks.get(&code.device_id).map_or(0, |(_, _, ordinal)| *ordinal);
        self.non_retries += usize::from(is_counted);
        let is_not_removal =
            code.state.required_operation().is_none_or(|(operation, _)| operation != Operation::Remove);
        let order = (step, is_not_removal);
        let lock = (ordinal, code.device_id);
        let sequence = if code.is_new() { i64::MAX } else { code.sequence };
        self.queue.push(Reverse((at, lock, order, sequence, index, self.versions[index])));
    }
}

/// Pulls a backup code from its pool at the instant `at`, in place of `code` until `ends_at`, and adds the events.
pub(crate) fn pull_backup(
    grants: &mut LockedGrants,
    locked: &LockedDevice,
    (code, backup): (&mut AccessCode, &mut AccessCode),
    (ends_at, at): (Timestamp, Timestamp),
    machine_now: Timestamp,
    events: &mut Vec<NewEvent>,
) {
    backup.pull_for(code, ends_at, at);
    let event = NewEvent::of_access_code(code, locked, event_type::BACKUP_PULLED, at, machine_now);
    let payload = Some(json!({ "backup_access_code_id": backup.access_code_id }));
    events.push(NewEvent { payload, ..event });
    grants.backup_pulled((code, backup), locked, (at, machine_now), events);
}

/// Returns the next step of a code with its instant, and true if the step is not a retry. `None` if no step is due by
/// the end of the run.
fn next_step(locks: &HashMap<Uuid, LockContext>, code: &AccessCode) -> Option<(Timestamp, Step, bool)> {
    let (lock, until, _) = locks.get(&code.device_id)?;
    let (at, step) = code.state.next(lock).filter(|(at, _)| at <= until)?;
    Some((at, step, !code.state.is_retry(step, *until)))
}

/// Returns the name of an operation in the configuration of faults.
fn operation_name(operation: Operation, state: &CodeState) -> &'static str {
    match operation {
        Operation::Set if state.is_backup => "refill",
        Operation::Set => "set",
        Operation::Update => "update",
        Operation::Remove => "remove",
    }
}

#[cfg(test)]
mod tests;
