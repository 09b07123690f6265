//! The life of an access code, as a function of facts and an instant.
//!
//! A code is two things: what was asked for, and what the lock holds. Everything else follows from the
//! difference, and from how far its life has been lived ([`Life::as_of`]). Nothing in here reads a clock, a
//! database or a request; the scheduler and the services move a life on with [`Life::live_until`], and reads show
//! it as it stands.
//!
//! ```text
//!              opens_at            starts_at                ends_at
//!                 │  (72 h or 60 min before)  │                │
//!  native      unset ──► on the lock, unset ──► set ───────────► removing ──► gone
//!  just in time unset ──► setting ──► set ─────────────────────► removing ──► gone
//!  ongoing      setting ──► set ──────────────── (delete) ─────► removing ──► gone
//! ```

use crate::clock::Instant;
use chrono::TimeDelta;

/// How long before its start a natively scheduled code is put on its lock, which then waits for the start itself.
pub const NATIVE_LEAD: TimeDelta = TimeDelta::hours(72);

/// How long before its start a code is put on a lock that knows no schedule.
pub const JUST_IN_TIME_LEAD: TimeDelta = TimeDelta::minutes(60);

/// The time frame of a time-bound code; `starts_at` lies before `ends_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From this instant on the code opens the door.
    pub starts_at: Instant,
    /// From this instant on it no longer does.
    pub ends_at: Instant,
}

impl Window {
    /// The shortest window that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { starts_at: self.starts_at.min(other.starts_at), ends_at: self.ends_at.max(other.ends_at) }
    }

    /// Whether two codes with these windows would be on a lock at the same time. No window means always.
    pub fn overlap(one: Option<Self>, other: Option<Self>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => one.starts_at < other.ends_at && other.starts_at < one.ends_at,
            _ => true,
        }
    }
}

/// A code as it is asked for, or as it stands in a lock's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, as the caller gave it.
    pub name: Option<String>,
    /// The PIN.
    pub code: String,
    /// The time frame; none for an ongoing code.
    pub window: Option<Window>,
}

/// What the lock contributes to the life of a code on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Since when the lock can be reached; `None` while it is offline, and then nothing gets on it or off it.
    pub reachable_since: Option<Instant>,
    /// How long one operation takes.
    pub programming: TimeDelta,
}

/// The facts of one code's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// When the code was made.
    pub created_at: Instant,
    /// What was asked for.
    pub asked: Entry,
    /// Whether the lock keeps the schedule itself. True only for time-bound codes.
    pub is_natively_scheduled: bool,
    /// When somebody asked for the code to go.
    pub deletion_requested_at: Option<Instant>,
    /// What the lock holds.
    pub held: Option<Entry>,
    /// When the lock first held it.
    pub first_held_at: Option<Instant>,
    /// The instant of the last step: everything that fell due until then has happened.
    pub as_of: Instant,
    /// Since when the lock is busy putting the code on or taking it off.
    pub working_since: Option<Instant>,
    /// When the code had left for good.
    pub gone_at: Option<Instant>,
}

/// Seam's `status` of a code that is not gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not usable yet: not on the lock, or on it and waiting for its start.
    Unset,
    /// Should be usable, and is being put on the lock.
    Setting,
    /// On the lock and usable.
    Set,
    /// Deleted or ended, and being taken off the lock.
    Removing,
}

/// Seam's `pending_mutations`: a difference between what was asked for and what the lock holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingMutation {
    /// Waiting until nearer the start before the code is put on the lock.
    DeferringCreation {
        /// When that will begin.
        scheduled_at: Instant,
    },
    /// Being put on the lock.
    Creating,
    /// Being taken off the lock.
    Deleting,
}

/// One step of a code's life. The passing of an instant is a step like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The time has come to put the code on its lock.
    Open,
    /// The lock takes up the work.
    Begin,
    /// The lock confirms that it is done.
    Confirm,
    /// The window begins.
    Start,
    /// The window ends.
    Expire,
}

/// What a step means to the world outside: an `access_code.*` event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// `access_code.scheduled_on_device`
    ScheduledOnDevice,
    /// `access_code.set_on_device`
    SetOnDevice,
    /// `access_code.removed_from_device`
    RemovedFromDevice,
    /// `access_code.deleted`
    Deleted,
}

/// What [`Life::live_until`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lived {
    /// How many steps were taken.
    pub steps: u64,
    /// What happened, in order, each at its own instant.
    pub happenings: Vec<(Instant, Happening)>,
}

impl Life {
    /// A life that begins at `created_at` with nothing on the lock.
    pub fn begin(created_at: Instant, asked: Entry, is_natively_scheduled: bool) -> Self {
        Self {
            created_at,
            is_natively_scheduled: is_natively_scheduled && asked.window.is_some(),
            asked,
            deletion_requested_at: None,
            held: None,
            first_held_at: None,
            as_of: created_at,
            working_since: None,
            gone_at: None,
        }
    }

    /// When the code is to be put on its lock: at once if it is ongoing, else 72 hours (native) or 60 minutes
    /// (just in time) before its start; at once again if that is past.
    pub fn opens_at(&self) -> Instant {
        let lead = if self.is_natively_scheduled { NATIVE_LEAD } else { JUST_IN_TIME_LEAD };
        self.asked
            .window
            .and_then(|window| window.starts_at.checked_sub_signed(lead))
            .map_or(self.created_at, |opens_at| opens_at.max(self.created_at))
    }

    /// When the code was deleted or ended, if it was.
    pub fn removing_since(&self) -> Option<Instant> {
        let ended = self.asked.window.map(|window| window.ends_at).filter(|ends_at| self.as_of >= *ends_at);
        match (self.deletion_requested_at, ended) {
            (Some(deleted), Some(ended)) => Some(deleted.min(ended)),
            (deleted, ended) => deleted.or(ended),
        }
    }

    /// Seam's status of the code, as far as its life has been lived.
    pub fn status(&self) -> Status {
        if self.removing_since().is_some() {
            return Status::Removing;
        }
        let started = self.asked.window.is_none_or(|window| self.as_of >= window.starts_at);
        match self.held {
            Some(_) if self.is_natively_scheduled && !started => Status::Unset,
            Some(_) => Status::Set,
            // A native code that is late shows it only from its start on; a just-in-time one from its lead on.
            None if started || (!self.is_natively_scheduled && self.as_of >= self.opens_at()) => Status::Setting,
            None => Status::Unset,
        }
    }

    /// The difference between what was asked for and what the lock holds, with the instant since when it is there.
    pub fn pending_mutation(&self) -> Option<(Instant, PendingMutation)> {
        if let Some(since) = self.removing_since() {
            return Some((since, PendingMutation::Deleting));
        }
        let opens_at = self.opens_at();
        match self.held {
            Some(_) => None,
            None if self.as_of < opens_at => {
                Some((self.created_at, PendingMutation::DeferringCreation { scheduled_at: opens_at }))
            }
            None => Some((opens_at, PendingMutation::Creating)),
        }
    }

    /// Whether a natively scheduled code is stored on its lock (`is_scheduled_on_device`).
    pub fn is_scheduled_on_device(&self) -> bool {
        self.is_natively_scheduled && self.held.is_some()
    }

    /// The next step and the instant at which it falls due; `None` where nothing ever will by itself.
    pub fn next(&self, lock: &Lock) -> Option<(Instant, Step)> {
        if self.gone_at.is_some() {
            return None;
        }
        let removing_since = self.removing_since();
        let mut steps = [None; 4];
        if removing_since.is_none() {
            if let Some(window) = self.asked.window {
                steps[0] = Some((window.ends_at, Step::Expire));
                steps[1] = (self.as_of < window.starts_at).then_some((window.starts_at, Step::Start));
            }
            let opens_at = self.opens_at();
            steps[2] = (self.as_of < opens_at).then_some((opens_at, Step::Open));
        }
        let work_is_due_at = match (removing_since, &self.held) {
            (Some(since), _) => Some(since),
            (None, None) => Some(self.opens_at()),
            (None, Some(_)) => None,
        };
        if let (Some(due), Some(reachable_since)) = (work_is_due_at, lock.reachable_since) {
            steps[3] = match self.working_since {
                Some(since) => {
                    since.checked_add_signed(lock.programming).map(|done| (done.max(self.as_of), Step::Confirm))
                }
                None => Some((due.max(reachable_since).max(self.as_of), Step::Begin)),
            };
        }
        // Of steps that fall due together the first in this order is taken: what has ended is not set any more.
        steps.into_iter().flatten().min_by_key(|(instant, _)| *instant)
    }

    /// Takes one step.
    fn take(&mut self, at: Instant, step: Step, happenings: &mut Vec<(Instant, Happening)>) {
        self.as_of = at;
        match step {
            Step::Open => {}
            Step::Begin => self.working_since = Some(at),
            Step::Expire => self.working_since = None,
            Step::Start => {
                if self.held.is_some() && self.is_natively_scheduled {
                    happenings.push((at, Happening::SetOnDevice));
                }
            }
            Step::Confirm if self.removing_since().is_some() => {
                if self.held.take().is_some() {
                    happenings.push((at, Happening::RemovedFromDevice));
                }
                happenings.push((at, Happening::Deleted));
                self.working_since = None;
                self.gone_at = Some(at);
            }
            Step::Confirm => {
                self.working_since = None;
                self.held = Some(self.asked.clone());
                self.first_held_at.get_or_insert(at);
                happenings.push((
                    at,
                    match self.status() {
                        Status::Unset => Happening::ScheduledOnDevice,
                        _ => Happening::SetOnDevice,
                    },
                ));
            }
        }
    }

    /// Takes every step that falls due until `until`, that instant included, each at its own instant. Doing so in
    /// one stride or in many makes no difference.
    pub fn live_until(&mut self, lock: &Lock, until: Instant) -> Lived {
        let mut lived = Lived::default();
        while let Some((at, step)) = self.next(lock).filter(|(at, _)| *at <= until) {
            self.take(at, step, &mut lived.happenings);
            lived.steps += 1;
        }
        lived
    }

    /// Asks for the code to go. What the lock was doing with it is broken off.
    pub fn request_deletion(&mut self, at: Instant) {
        if self.removing_since().is_none() {
            self.deletion_requested_at = Some(at);
            self.as_of = self.as_of.max(at);
            self.working_since = None;
        }
    }

    /// The lock went offline: what it was doing with the code is broken off, to begin anew when it is back.
    pub fn break_off(&mut self) {
        self.working_since = None;
    }
}

#[cfg(test)]
mod tests;
