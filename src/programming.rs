//! What locks do with the codes on them, step by step and all together.
//!
//! The rules of one code's life are in [`crate::access_codes::lifecycle`]; here the codes of a lock meet: they share
//! its memory, and faults that testers arranged for its operations. Nothing in here but [`Workshop::open`] and
//! [`Workshop::close`] reads or writes the database.

mod memory;

pub use memory::{Held, Memory};

use crate::access_codes::lifecycle::{Life, Lock, Operation, Step};
use crate::access_codes::model::AccessCode;
use crate::access_codes::store::LockedDevice;
use crate::clock::Instant;
use crate::compute;
use crate::emulator::faults::{self, Fault};
use crate::error::{Error, Result};
use crate::events::{NewEvent, Recorder};
use chrono::TimeDelta;
use sqlx::PgConnection;
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
        let lock = locked.device.lock(&locked.world);
        match self {
            Self::Usual => lock,
            Self::Immediate => Lock { programming: lock.programming.map(|_| TimeDelta::zero()), ..lock },
        }
    }
}

/// How many steps one request takes at most, those of all codes together: ten times what a year of ten thousand codes
/// takes (`bench/year.sh`).
pub const MAX_STEPS: u64 = 640_000;

/// How many steps are taken at a stretch: some milliseconds of computing, after which others have their turn and a
/// request whose client has gone ends.
const STRETCH: u64 = 2000;

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Everything that falls due until the instant given.
    Instant,
    /// The same, but no further than to the last step that does not only try again what has failed.
    Quiet,
}

/// What [`Workshop::live_on`] did.
#[derive(Debug, Default)]
pub struct Steps {
    /// How many steps were taken.
    pub taken: u64,
    /// For each code whether it took any.
    pub touched: Vec<bool>,
    /// The instant of the last one.
    pub last: Option<Instant>,
    /// Whether there was more to do than was allowed; what is left falls due when it did.
    pub is_cut_short: bool,
}

/// Locks at work, with their rows locked.
#[derive(Debug)]
pub struct Workshop<'a> {
    locked: HashMap<Uuid, &'a LockedDevice>,
    faults: Vec<Fault>,
    memory: Memory,
    /// By lock: how many backup codes of its pool can be pulled by now.
    backups: HashMap<Uuid, i64>,
    machine_now: Instant,
}

/// A lock, how far its codes are to be lived on, and its place among the locks.
type AtWork = (Lock, Instant, i32);

/// A step that is to come: instant, lock, kind (of those that confirm, removals first), code.
type Coming = Reverse<(Instant, (i32, Uuid), (Step, bool), i64, usize, u32)>;

impl<'a> Workshop<'a> {
    /// Reads what operations on these codes, each at its pace, until the instant given for its lock can run into.
    pub async fn open(
        tx: &mut PgConnection,
        locked: &'a [LockedDevice],
        codes: &[(&[AccessCode], Pace)],
        until: impl Fn(&LockedDevice) -> Instant,
        machine_now: Instant,
    ) -> Result<Self> {
        let mut workspaces: Vec<Uuid> =
            locked.iter().filter(|it| it.world.has_faults).map(|it| it.device.workspace_id).collect();
        workspaces.sort_unstable();
        workspaces.dedup();
        let faults = if workspaces.is_empty() { Vec::new() } else { faults::lock(tx, &workspaces).await? };
        let locked: HashMap<Uuid, &LockedDevice> = locked.iter().map(|it| (it.device.device_id, it)).collect();
        let mut all: Vec<(&AccessCode, Pace)> = Vec::new();
        for (codes, pace) in codes {
            all.extend(codes.iter().map(|code| (code, *pace)));
        }
        let may_be_set = all.iter().filter(|(code, pace)| {
            let Some(locked) = locked.get(&code.device_id) else { return false };
            let mut lock = pace.lock(locked);
            if locked.world.has_faults {
                // A fault may have it done sooner than usual.
                lock.programming = None;
            }
            comes_to_the_lock(&code.life, &lock, until(locked))
        });
        let may_be_set: Vec<&AccessCode> = may_be_set.map(|(code, _)| *code).collect();
        let all: Vec<&AccessCode> = all.into_iter().map(|(code, _)| code).collect();
        let memory = Memory::read(tx, &locked, &may_be_set, &all).await?;
        let backups = locked.iter().map(|(device_id, it)| (*device_id, it.backups)).collect();
        Ok(Self { locked, faults, memory, backups, machine_now })
    }

    /// Lives these codes on, all of them together, and writes down what happens in the order in which it does. Of
    /// what happens at one instant the order is that in which the locks were made and, on a lock, of the codes' making.
    ///
    /// At most so many steps are taken, a stretch of them at a time: between two of them the task can be given up.
    pub async fn live_on(
        &mut self,
        (codes, pace): (&mut [AccessCode], Pace),
        until: impl Fn(&LockedDevice) -> Instant,
        (goal, most): (Until, u64),
        events: &mut Vec<NewEvent>,
    ) -> Steps {
        let mut run = Run::new(self, codes, pace, until, goal);
        loop {
            let left = most.saturating_sub(run.steps.taken);
            let stretch = STRETCH.min(left);
            let is_done = if codes.len() <= FEW && run.steps.taken == 0 {
                // Too little to be worth another thread.
                run.go_on(self, codes, events, FEW_STEPS.min(left))
            } else {
                compute::run(|| run.go_on(self, codes, events, stretch)).await
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

    /// The same for a request, which is refused where it would take more than [`MAX_STEPS`].
    ///
    /// # Errors
    /// [`Error::TooManySteps`].
    pub async fn live_on_within_limit(
        &mut self,
        codes: (&mut [AccessCode], Pace),
        until: impl Fn(&LockedDevice) -> Instant,
        goal: Until,
        events: &mut Vec<NewEvent>,
    ) -> Result<Steps> {
        let steps = self.live_on(codes, until, (goal, MAX_STEPS), events).await;
        if steps.is_cut_short { Err(Error::TooManySteps { steps: steps.taken, limit: MAX_STEPS }) } else { Ok(steps) }
    }

    /// Takes one step of one code. Gives whether it freed something in the lock's memory.
    pub fn step(
        &mut self,
        locked: &LockedDevice,
        lock: &Lock,
        code: &mut AccessCode,
        at: Instant,
        step: Step,
        events: &mut Vec<NewEvent>,
    ) -> bool {
        let operation = code.life.work().map(|(operation, _)| operation);
        let fate = operation
            .filter(|_| step == Step::Begin)
            .and_then(|operation| faults::strike(&mut self.faults, &locked.device, name_of(operation, &code.life)));
        let is_put_on = matches!(operation, Some(Operation::Set | Operation::Update)) && step == Step::Confirm;
        let spares = self.backups.get(&locked.device.device_id).copied().unwrap_or(0);
        let obstacle = if is_put_on { self.memory.obstacle(&locked.device, code, spares) } else { None };
        let held_before = code.life.held.clone();
        let could_be_pulled = code.can_be_pulled();
        let mut happenings = Vec::new();
        code.life.take(lock, at, step, (fate, obstacle), &mut happenings);
        let backups = self.backups.entry(locked.device.device_id).or_default();
        *backups += i64::from(code.can_be_pulled()) - i64::from(could_be_pulled);
        if !code.life.is_managed {
            // Nobody keeps its PIN like that of the others any more.
            code.leave_group();
        }
        let recorder = Recorder { locked, machine_now: self.machine_now };
        for happened in happenings {
            recorder.happened(code, happened, *backups, events);
        }
        self.memory.forget_gone_guest(code);
        held_before != code.life.held && self.memory.changed(code, held_before.as_ref())
    }

    /// Writes how often faults struck. Gives how many backup codes of each lock can be pulled now.
    pub async fn close(self, tx: &mut PgConnection) -> Result<HashMap<Uuid, i64>> {
        faults::save(tx, &self.faults).await?;
        Ok(self.backups)
    }
}

/// With so few codes, and so few steps, the thread that serves a request computes by itself.
const FEW: usize = 100;
const FEW_STEPS: u64 = 200;

/// Codes of locks lived on together, as far as they have come.
struct Run {
    goal: Until,
    locks: HashMap<Uuid, AtWork>,
    versions: Vec<u32>,
    coming: BinaryHeap<Coming>,
    /// How many steps on the list do more than to try again what has failed.
    others: usize,
    /// How many codes are blocked by what a lock holds.
    blocked: usize,
    steps: Steps,
}

impl Run {
    fn new(
        workshop: &Workshop<'_>,
        codes: &[AccessCode],
        pace: Pace,
        until: impl Fn(&LockedDevice) -> Instant,
        goal: Until,
    ) -> Self {
        let at_work = |it: &&LockedDevice| (it.device.device_id, (pace.lock(it), until(it), it.device.ordinal));
        let mut run = Self {
            goal,
            locks: workshop.locked.values().map(at_work).collect(),
            versions: vec![0; codes.len()],
            coming: BinaryHeap::with_capacity(codes.len()),
            others: 0,
            blocked: codes.iter().filter(|code| code.blocked_on().is_some()).count(),
            steps: Steps { touched: vec![false; codes.len()], ..Steps::default() },
        };
        for (place, code) in codes.iter().enumerate() {
            run.push(code, place);
        }
        run
    }

    /// Takes at most so many steps. Gives whether all is done.
    fn go_on(
        &mut self,
        workshop: &mut Workshop<'_>,
        codes: &mut [AccessCode],
        events: &mut Vec<NewEvent>,
        most: u64,
    ) -> bool {
        let enough = self.steps.taken + most;
        while self.steps.taken < enough {
            let Some(Reverse((at, (_, device_id), (step, _), _, place, version))) = self.coming.pop() else {
                return true;
            };
            if version != self.versions[place] {
                continue;
            }
            let Some((lock, until, _)) = self.locks.get(&device_id) else { continue };
            let Some(locked) = workshop.locked.get(&device_id).copied() else { continue };
            let code = &mut codes[place];
            if code.life.is_retry(step, *until) {
                if self.goal == Until::Quiet && self.others == 0 {
                    return true;
                }
            } else {
                self.others = self.others.saturating_sub(1);
            }
            let was_blocked = code.blocked_on().is_some();
            let frees = workshop.step(locked, lock, code, at, step, events);
            self.steps.taken += 1;
            self.steps.last = Some(at);
            self.blocked =
                (self.blocked + usize::from(code.blocked_on().is_some())).saturating_sub(usize::from(was_blocked));
            self.push_again(code, place);
            if frees && self.blocked > 0 {
                self.try_blocked_again(codes, device_id, at);
            }
        }
        false
    }

    /// Lets the codes try again that something in a lock's memory was in the way of: it may be gone.
    fn try_blocked_again(&mut self, codes: &mut [AccessCode], device_id: Uuid, at: Instant) {
        for (place, code) in codes.iter_mut().enumerate() {
            if code.blocked_on() == Some(device_id) {
                // What was on the list for it is on it no longer.
                let counted = coming_step(&self.locks, code).is_some_and(|(.., counts)| counts);
                self.others = self.others.saturating_sub(usize::from(counted));
                code.life.try_again(at);
                self.push_again(code, place);
            }
        }
    }

    /// Puts the next step of a code that has changed on the list in place of the one that was there.
    fn push_again(&mut self, code: &AccessCode, place: usize) {
        self.steps.touched[place] = true;
        self.versions[place] = self.versions[place].wrapping_add(1);
        self.push(code, place);
    }

    /// Puts the next step of a code on the list, if it falls due in time.
    fn push(&mut self, code: &AccessCode, place: usize) {
        let Some((at, step, counts)) = coming_step(&self.locks, code) else { return };
        let ordinal = self.locks.get(&code.device_id).map_or(0, |(_, _, ordinal)| *ordinal);
        self.others += usize::from(counts);
        let is_no_removal = code.life.work().is_none_or(|(operation, _)| operation != Operation::Remove);
        let order = (step, is_no_removal);
        let lock = (ordinal, code.device_id);
        self.coming.push(Reverse((at, lock, order, code.sequence, place, self.versions[place])));
    }
}

/// The next step of a code, if it falls due in time, and whether it is more than a retry.
fn coming_step(locks: &HashMap<Uuid, AtWork>, code: &AccessCode) -> Option<(Instant, Step, bool)> {
    let (lock, until, _) = locks.get(&code.device_id)?;
    let (at, step) = code.life.next(lock).filter(|(at, _)| at <= until)?;
    Some((at, step, !code.life.is_retry(step, *until)))
}

/// The name by which faults know an operation.
fn name_of(operation: Operation, life: &Life) -> &'static str {
    match operation {
        Operation::Set if life.is_backup => "refill",
        Operation::Set => "set",
        Operation::Update => "update",
        Operation::Remove => "remove",
    }
}

/// Whether a lock may confirm, until this instant, that it holds the PIN asked for, which it does not hold yet.
fn comes_to_the_lock(life: &Life, lock: &Lock, until: Instant) -> bool {
    let holds_it =
        life.held.as_ref().is_some_and(|held| held.code == life.asked.code && held.window == life.asked.window);
    if holds_it || life.is_offline || !life.is_managed {
        return false;
    }
    let since = life.working_since.unwrap_or(life.as_of);
    lock.programming.and_then(|takes| since.checked_add_signed(takes)).is_none_or(|done| done <= until)
}
