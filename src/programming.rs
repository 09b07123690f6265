//! What locks do with the codes on them, step by step and all together.
//!
//! The rules of one code's life are in [`crate::access_codes::lifecycle`]; here the codes of a lock meet: they share
//! its memory, and faults that testers arranged for its operations. Nothing in here but [`Workshop::open`] and
//! [`Workshop::close`] reads or writes the database.

use crate::access_codes::lifecycle::particulars::{
    CODE_CONSTRAINTS_VIOLATED, DUPLICATE_CODE_ON_DEVICE, Duplicate, Fail, NO_SPACE_ON_DEVICE,
};
use crate::access_codes::lifecycle::{Entry, Life, Lock, Operation, Step};
use crate::access_codes::linked::{Claims, Period, broken_digits, peak};
use crate::access_codes::model::AccessCode;
use crate::access_codes::store::{self, LockedDevice};
use crate::clock::Instant;
use crate::devices::model::Device;
use crate::emulator::faults::{self, Fault};
use crate::error::Result;
use crate::events::{NewEvent, Recorder};
use chrono::TimeDelta;
use sqlx::PgConnection;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use uuid::Uuid;

/// A code in a lock's memory.
#[derive(Clone, Debug)]
pub struct Held {
    /// The code.
    pub access_code_id: Uuid,
    /// Whether it is ours.
    pub is_managed: bool,
    /// Its PIN.
    pub code: String,
}

/// As much of the memory of locks as the operations on them can run into.
#[derive(Debug, Default)]
pub struct Memory {
    /// By lock: codes with PINs that are to be set.
    held: HashMap<Uuid, Vec<Held>>,
    /// By lock with a limit: how many codes it holds.
    counts: HashMap<Uuid, usize>,
    /// By lock with a limit that is to hold backup codes: the codes that come first, whether it holds them or is to hold
    /// them later.
    guests: HashMap<Uuid, HashMap<Uuid, Period>>,
}

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

/// How many steps one code takes in one go: enough for ten years of trying again what fails for ever. Whoever needs more
/// goes in shorter strides.
const MOST_STEPS: u32 = 1_000_000;

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
    /// Whether a code had more to do than can be done in one go; then not everything is done.
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
    pub fn live_on(
        &mut self,
        (codes, pace): (&mut [AccessCode], Pace),
        until: impl Fn(&LockedDevice) -> Instant,
        goal: Until,
        events: &mut Vec<NewEvent>,
    ) -> Steps {
        let mut steps = Steps { touched: vec![false; codes.len()], ..Steps::default() };
        let at_work = |it: &&LockedDevice| (it.device.device_id, (pace.lock(it), until(it), it.device.ordinal));
        let locks: HashMap<Uuid, AtWork> = self.locked.values().map(at_work).collect();
        let mut versions = vec![0_u32; codes.len()];
        let mut coming: BinaryHeap<Coming> = BinaryHeap::with_capacity(codes.len());
        let mut others = 0_usize;
        for (place, code) in codes.iter().enumerate() {
            push(&mut coming, &mut others, &locks, code, place, 0);
        }
        let mut blocked = codes.iter().filter(|code| code.blocked_on().is_some()).count();
        while let Some(Reverse((at, (_, device_id), (step, _), _, place, version))) = coming.pop() {
            if version != versions[place] {
                continue;
            }
            if version >= MOST_STEPS {
                steps.is_cut_short = true;
                break;
            }
            let Some((lock, locked)) = locks.get(&device_id).zip(self.locked.get(&device_id).copied()) else {
                continue;
            };
            let code = &mut codes[place];
            if code.life.is_retry(step, lock.1) {
                if goal == Until::Quiet && others == 0 {
                    break;
                }
            } else {
                others -= 1;
            }
            let was_blocked = code.blocked_on().is_some();
            let frees = self.step(locked, &lock.0, code, at, step, events);
            steps.taken += 1;
            steps.touched[place] = true;
            steps.last = Some(at);
            blocked = blocked + usize::from(code.blocked_on().is_some()) - usize::from(was_blocked);
            versions[place] += 1;
            push(&mut coming, &mut others, &locks, code, place, versions[place]);
            if !frees || blocked == 0 {
                continue;
            }
            // What stood in the way may be gone.
            for (place, code) in codes.iter_mut().enumerate() {
                if code.blocked_on() == Some(device_id) {
                    // What was on the list for it is on it no longer.
                    others -= usize::from(coming_step(&locks, code).is_some_and(|(.., counts)| counts));
                    code.life.try_again(at);
                    steps.touched[place] = true;
                    versions[place] += 1;
                    push(&mut coming, &mut others, &locks, code, place, versions[place]);
                }
            }
        }
        steps
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

/// Puts the next step of a code on the list, if it falls due in time.
fn push(
    coming: &mut BinaryHeap<Coming>,
    others: &mut usize,
    locks: &HashMap<Uuid, AtWork>,
    code: &AccessCode,
    place: usize,
    version: u32,
) {
    let Some((at, step, counts)) = coming_step(locks, code) else { return };
    let ordinal = locks.get(&code.device_id).map_or(0, |(_, _, ordinal)| *ordinal);
    *others += usize::from(counts);
    let is_no_removal = code.life.work().is_none_or(|(operation, _)| operation != Operation::Remove);
    coming.push(Reverse((at, (ordinal, code.device_id), (step, is_no_removal), code.sequence, place, version)));
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

impl Memory {
    async fn read(
        tx: &mut PgConnection,
        locked: &HashMap<Uuid, &LockedDevice>,
        may_be_set: &[&AccessCode],
        all: &[&AccessCode],
    ) -> Result<Self> {
        let mut memory = Self::default();
        let (mut wanted, mut limited, mut with_spares) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for code in may_be_set {
            wanted.insert((code.device_id, code.life.asked.code.clone()));
            let capacity = locked.get(&code.device_id).and_then(|locked| locked.device.capacity());
            if capacity.is_some() && code.life.held.is_none() {
                limited.insert(code.device_id);
                if code.pool_device_id.is_some() {
                    with_spares.insert(code.device_id);
                }
            }
        }
        if !wanted.is_empty() {
            memory.held = store::held_with_codes(tx, &wanted).await?;
        }
        if !limited.is_empty() {
            memory.counts = store::held_counts(tx, &limited.into_iter().collect::<Vec<_>>()).await?;
        }
        if !with_spares.is_empty() {
            memory.guests = guests(tx, &with_spares, all).await?;
        }
        Ok(memory)
    }

    /// Whether a lock has no place for one more code. A backup code takes only what the guests leave, those included that
    /// the lock is to hold later; `spares` is how many backup codes it holds.
    fn is_full(&self, device: &Device, code: &AccessCode, spares: i64) -> bool {
        let Some(capacity) = device.capacity().and_then(|capacity| usize::try_from(capacity).ok()) else {
            return false;
        };
        let held = self.counts.get(&device.device_id).copied().unwrap_or(0);
        let guests = self.guests.get(&device.device_id).filter(|_| code.pool_device_id.is_some());
        let promised = guests.map_or(0, |guests| {
            let spares = usize::try_from(spares).unwrap_or(0);
            peak(guests.values().copied(), (Instant::MIN_UTC, Instant::MAX_UTC)) + spares
        });
        held.max(promised) >= capacity
    }

    /// What keeps a lock from holding a code as it is asked for.
    fn obstacle(&self, device: &Device, code: &AccessCode, spares: i64) -> Option<Fail> {
        let life = &code.life;
        if life.is_offline {
            return None;
        }
        let holds_it = life.held.as_ref().is_some_and(|held| held.code == life.asked.code);
        if !holds_it && let Some(reason) = broken_digits(device, &life.asked.code) {
            return Some(Fail {
                error_code: Some(CODE_CONSTRAINTS_VIOLATED.to_owned()),
                message: Some(format!("The device cannot hold this code: {reason}. Change the code.")),
                duplicate_of: None,
            });
        }
        let others = self.held.get(&device.device_id).map_or(&[][..], Vec::as_slice);
        let same =
            others.iter().find(|other| other.access_code_id != code.access_code_id && other.code == life.asked.code);
        if let Some(other) = same {
            let Held { access_code_id, is_managed, .. } = *other;
            return Some(Fail {
                error_code: Some(DUPLICATE_CODE_ON_DEVICE.to_owned()),
                message: Some(
                    "The device already has an access code with this PIN. Delete or adopt that one.".to_owned(),
                ),
                duplicate_of: Some(Duplicate { access_code_id, is_managed }),
            });
        }
        (life.held.is_none() && self.is_full(device, code, spares)).then(|| Fail {
            error_code: Some(NO_SPACE_ON_DEVICE.to_owned()),
            message: Some("The device holds as many access codes as it can. Delete one first.".to_owned()),
            duplicate_of: None,
        })
    }

    /// Removes a code that is gone from those that come before backup codes, whether or not the lock ever held it.
    fn forget_gone_guest(&mut self, code: &AccessCode) {
        if code.life.gone_at.is_some()
            && let Some(guests) = self.guests.get_mut(&code.device_id)
        {
            guests.remove(&code.access_code_id);
        }
    }

    /// Takes note of what a lock holds now of a code. Gives whether something became free.
    fn changed(&mut self, code: &AccessCode, before: Option<&Entry>) -> bool {
        let life = &code.life;
        if life.is_offline {
            return false;
        }
        let held = self.held.entry(code.device_id).or_default();
        held.retain(|other| other.access_code_id != code.access_code_id);
        if let Some(entry) = &life.held {
            held.push(Held {
                access_code_id: code.access_code_id,
                is_managed: life.is_managed,
                code: entry.code.clone(),
            });
        }
        if let Some(count) = self.counts.get_mut(&code.device_id) {
            *count = (*count + usize::from(life.held.is_some())).saturating_sub(usize::from(before.is_some()));
        }
        before.is_some_and(|before| life.held.as_ref().is_none_or(|held| held.code != before.code))
    }
}

/// The codes on these locks that come before backup codes, each with when it takes a place: those that are written, as
/// these ones are by now, and these ones.
async fn guests(
    tx: &mut PgConnection,
    device_ids: &BTreeSet<Uuid>,
    codes: &[&AccessCode],
) -> Result<HashMap<Uuid, HashMap<Uuid, Period>>> {
    let mut claims: Claims = store::claims_on_devices(tx, device_ids).await?.into_iter().collect();
    for code in codes.iter().filter(|code| device_ids.contains(&code.device_id)) {
        claims.remove(code.device_id, code.access_code_id);
        if code.life.gone_at.is_none() && !code.life.is_offline {
            claims.add_life(code);
        }
    }
    let of_device = |device_id: &Uuid| {
        let guests = claims.on(*device_id).iter().filter(|claim| claim.needs_room && !claim.is_in_pool);
        (*device_id, guests.map(|claim| (claim.access_code_id, claim.occupies(Instant::MIN_UTC))).collect())
    };
    Ok(device_ids.iter().map(of_device).collect())
}
