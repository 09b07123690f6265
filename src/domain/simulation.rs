//! The codes of locks run together: what locks do with them, step by step.
//!
//! The rules of one code's life are in [`super::access_code::lifecycle`]; here the codes of a lock meet: they share
//! its memory, and faults that testers arranged for its operations.

mod memory;

pub(crate) use memory::{CodeInMemory, Memory};

use super::access_code::AccessCode;
use super::access_code::lifecycle::{CodeState, Lock, Operation, Step};
use super::event::{self, NewEvent};
use super::fault::{self, Fault};
use super::locked_device::LockedDevice;
use crate::clock::Timestamp;
use chrono::TimeDelta;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use uuid::Uuid;

/// How long operations take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As long as the workspace says.
    Usual,
    /// No time, as for a caller who waits.
    Immediate,
}

impl Pace {
    /// What a lock contributes to the life of its codes at this pace.
    pub fn lock(self, locked: &LockedDevice) -> Lock {
        let lock = locked.device.lock(&locked.settings);
        match self {
            Self::Usual => lock,
            Self::Immediate => Lock { programming: lock.programming.map(|_| TimeDelta::zero()), ..lock },
        }
    }
}

/// Which codes run together, and how long operations on them take.
pub(crate) type Phase<'a> = (Pace, &'a (dyn Fn(&AccessCode) -> bool + Sync));

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopWhen {
    /// When everything is done that falls due until the instant given.
    TimeIsReached,
    /// The same, but no further than to the last step that does not only try again what has failed.
    Idle,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Steps {
    /// How many steps were taken.
    pub taken: u64,
    /// The instant of the last one.
    pub last: Option<Timestamp>,
    /// Whether there was more to do than was allowed; what is left falls due when it did.
    pub is_cut_short: bool,
}

/// Locks at work, with their rows locked.
#[derive(Debug)]
pub(crate) struct Simulation<'a> {
    locked: HashMap<Uuid, &'a LockedDevice>,
    faults: Vec<Fault>,
    memory: Memory,
    /// By lock: how many backup codes of its pool can be pulled by now.
    backups: HashMap<Uuid, i64>,
    machine_now: Timestamp,
}

/// A lock, how far its codes are to be lived on, and its place among the locks.
type LockContext = (Lock, Timestamp, i32);

/// A step that is to come: instant, lock, kind (of those that confirm, removals first), code.
type QueuedStep = Reverse<(Timestamp, (i32, Uuid), (Step, bool), i64, usize, u32)>;

impl<'a> Simulation<'a> {
    /// Codes of these locks about to be run, with what operations on them can run into.
    pub(crate) fn new(locked: &'a [LockedDevice], faults: Vec<Fault>, memory: Memory, machine_now: Timestamp) -> Self {
        let backups = locked.iter().map(|it| (it.device.device_id, it.backups)).collect();
        let locked = locked.iter().map(|it| (it.device.device_id, it)).collect();
        Self { locked, faults, memory, backups, machine_now }
    }

    /// The faults of operations, with how often each was considered.
    pub(crate) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// How many backup codes of each lock can be pulled by now.
    pub(crate) fn into_backups(self) -> HashMap<Uuid, i64> {
        self.backups
    }

    /// Takes one step of one code. Gives whether it freed something in the lock's memory.
    pub(crate) fn step(
        &mut self,
        locked: &LockedDevice,
        lock: &Lock,
        code: &mut AccessCode,
        at: Timestamp,
        step: Step,
        events: &mut Vec<NewEvent>,
    ) -> bool {
        let operation = code.state.work().map(|(operation, _)| operation);
        let injected_outcome = operation
            .filter(|_| step == Step::Begin)
            .and_then(|operation| fault::apply(&mut self.faults, &locked.device, name_of(operation, &code.state)));
        let is_put_on = matches!(operation, Some(Operation::Set | Operation::Update)) && step == Step::Confirm;
        let spares = self.backups.get(&locked.device.device_id).copied().unwrap_or(0);
        let obstacle = if is_put_on { self.memory.obstacle(&locked.device, code, spares) } else { None };
        let held_before = code.state.held.clone();
        let could_be_pulled = code.can_be_pulled();
        let mut domain_events = Vec::new();
        code.state.apply(lock, at, step, (injected_outcome, obstacle), &mut domain_events);
        let backups = self.backups.entry(locked.device.device_id).or_default();
        *backups += i64::from(code.can_be_pulled()) - i64::from(could_be_pulled);
        if !code.state.is_managed {
            // Nobody keeps its PIN like that of the others any more.
            code.leave_group();
        }
        for domain_event in domain_events {
            event::record_domain_event(code, locked, domain_event, *backups, self.machine_now, events);
        }
        self.memory.forget_gone_guest(code);
        held_before != code.state.held && self.memory.changed(code, held_before.as_ref())
    }
}

/// Codes of locks lived on together, as far as they have come.
pub(crate) struct Run {
    stop_when: StopWhen,
    locks: HashMap<Uuid, LockContext>,
    /// For each code whether it takes part.
    takes_part: Vec<bool>,
    versions: Vec<u32>,
    coming: BinaryHeap<QueuedStep>,
    /// How many steps on the list do more than to try again what has failed.
    others: usize,
    /// How many codes are blocked by what a lock holds.
    blocked: usize,
    /// What it did so far.
    pub steps: Steps,
}

impl Run {
    /// A run over those of these codes that take part, each up to the instant that is given for its lock.
    pub(crate) fn new(
        simulation: &Simulation<'_>,
        codes: &[AccessCode],
        (pace, takes_part): Phase<'_>,
        until: impl Fn(&LockedDevice) -> Timestamp,
        stop_when: StopWhen,
    ) -> Self {
        let takes_part: Vec<bool> = codes.iter().map(takes_part).collect();
        let at_work = |it: &&LockedDevice| (it.device.device_id, (pace.lock(it), until(it), it.device.ordinal));
        let mut run = Self {
            stop_when,
            locks: simulation.locked.values().map(at_work).collect(),
            versions: vec![0; codes.len()],
            coming: BinaryHeap::with_capacity(codes.len()),
            others: 0,
            blocked: codes.iter().zip(&takes_part).filter(|(code, it)| **it && code.blocked_on().is_some()).count(),
            takes_part,
            steps: Steps::default(),
        };
        for (index, code) in codes.iter().enumerate() {
            run.push(code, index);
        }
        run
    }

    /// Takes at most so many steps. Gives whether all is done.
    pub(crate) fn go_on(
        &mut self,
        simulation: &mut Simulation<'_>,
        codes: &mut [AccessCode],
        events: &mut Vec<NewEvent>,
        most: u64,
    ) -> bool {
        let enough = self.steps.taken + most;
        while self.steps.taken < enough {
            let Some(Reverse((at, (_, device_id), (step, _), _, index, version))) = self.coming.pop() else {
                return true;
            };
            if version != self.versions[index] {
                continue;
            }
            let Some((lock, until, _)) = self.locks.get(&device_id) else { continue };
            let Some(locked) = simulation.locked.get(&device_id).copied() else { continue };
            let code = &mut codes[index];
            if code.state.is_retry(step, *until) {
                if self.stop_when == StopWhen::Idle && self.others == 0 {
                    return true;
                }
            } else {
                self.others = self.others.saturating_sub(1);
            }
            let was_blocked = code.blocked_on().is_some();
            let frees = simulation.step(locked, lock, code, at, step, events);
            self.steps.taken += 1;
            self.steps.last = Some(at);
            self.blocked =
                (self.blocked + usize::from(code.blocked_on().is_some())).saturating_sub(usize::from(was_blocked));
            self.push_again(code, index);
            if frees && self.blocked > 0 {
                self.try_blocked_again(codes, device_id, at);
            }
        }
        false
    }

    /// Lets the codes try again that something in a lock's memory was in the way of: it may be gone.
    fn try_blocked_again(&mut self, codes: &mut [AccessCode], device_id: Uuid, at: Timestamp) {
        for (index, code) in codes.iter_mut().enumerate() {
            if code.blocked_on() == Some(device_id) && self.takes_part[index] {
                // What was on the list for it is on it no longer.
                let counted = coming_step(&self.locks, code).is_some_and(|(.., counts)| counts);
                self.others = self.others.saturating_sub(usize::from(counted));
                code.state.try_again(at);
                self.push_again(code, index);
            }
        }
    }

    /// Puts the next step of a code that has changed on the list in place of the one that was there.
    fn push_again(&mut self, code: &AccessCode, index: usize) {
        self.versions[index] = self.versions[index].wrapping_add(1);
        self.push(code, index);
    }

    /// Puts the next step of a code on the list, if it falls due in time.
    fn push(&mut self, code: &AccessCode, index: usize) {
        let Some((at, step, counts)) = coming_step(&self.locks, code).filter(|_| self.takes_part[index]) else {
            return;
        };
        let ordinal = self.locks.get(&code.device_id).map_or(0, |(_, _, ordinal)| *ordinal);
        self.others += usize::from(counts);
        let is_no_removal = code.state.work().is_none_or(|(operation, _)| operation != Operation::Remove);
        let order = (step, is_no_removal);
        let lock = (ordinal, code.device_id);
        let sequence = if code.is_new() { i64::MAX } else { code.sequence };
        self.coming.push(Reverse((at, lock, order, sequence, index, self.versions[index])));
    }
}

/// The next step of a code, if it falls due in time, and whether it is more than a retry.
fn coming_step(locks: &HashMap<Uuid, LockContext>, code: &AccessCode) -> Option<(Timestamp, Step, bool)> {
    let (lock, until, _) = locks.get(&code.device_id)?;
    let (at, step) = code.state.next(lock).filter(|(at, _)| at <= until)?;
    Some((at, step, !code.state.is_retry(step, *until)))
}

/// The name by which faults know an operation.
fn name_of(operation: Operation, state: &CodeState) -> &'static str {
    match operation {
        Operation::Set if state.is_backup => "refill",
        Operation::Set => "set",
        Operation::Update => "update",
        Operation::Remove => "remove",
    }
}

#[cfg(test)]
mod tests;
