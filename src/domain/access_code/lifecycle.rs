//! The life of an access code, as a function of facts and an instant.
//!
//! A code is two things: what was asked for, and what the lock holds. Everything else follows from the
//! difference, and from how far its life has been lived ([`CodeState::as_of`]). Nothing in here reads a clock, a
//! database or a request; [`crate::domain::simulation`] moves the lives of a lock's codes on together, and reads show
//! them as they stand.
//!
//! ```text
//!              opens_at            starts_at                ends_at
//!                 │  (72 h or 60 min before)  │                │
//!  native      unset ──► on the lock, unset ──► set ───────────► removing ──► gone
//!  just in time unset ──► setting ──► set ─────────────────────► removing ──► gone
//!  ongoing      setting ──► set ──────────────── (delete) ─────► removing ──► gone
//! ```

mod changes;
pub(crate) mod rare_fields;
mod steps;

pub(crate) use self::changes::Change;
pub(crate) use self::rare_fields::{FaultOutcome, RareFields};
pub(crate) use self::steps::begun;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use chrono::TimeDelta;
use uuid::Uuid;

/// How long before its start a natively scheduled code is put on its lock, which then waits for the start itself.
pub(crate) const NATIVE_LEAD: TimeDelta = TimeDelta::hours(72);

/// How long before its start a code is put on a lock that knows no schedule.
pub(crate) const JUST_IN_TIME_LEAD: TimeDelta = TimeDelta::minutes(60);

/// The time frame of a time-bound code; `starts_at` lies before `ends_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From this instant on the code opens the door.
    pub starts_at: Timestamp,
    /// From this instant on it no longer does.
    pub ends_at: Timestamp,
}

impl Window {
    /// A time frame of two instants.
    ///
    /// # Errors
    /// One that ends before it starts.
    pub fn new(starts_at: Timestamp, ends_at: Timestamp) -> Result<Self> {
        if starts_at < ends_at {
            return Ok(Self { starts_at, ends_at });
        }
        Err(Error::invalid_request("ends_at must be after starts_at"))
    }

    /// What becomes of a time frame, or of none, by the instants that are given for it.
    ///
    /// # Errors
    /// Half a time frame, and one that ends before it starts.
    pub fn changed(
        window: Option<Self>,
        starts_at: Option<Timestamp>,
        ends_at: Option<Timestamp>,
    ) -> Result<Option<Self>> {
        match (window, starts_at, ends_at) {
            (window, None, None) => Ok(window),
            (Some(window), ..) => {
                Self::new(starts_at.unwrap_or(window.starts_at), ends_at.unwrap_or(window.ends_at)).map(Some)
            }
            (None, Some(starts_at), Some(ends_at)) => Self::new(starts_at, ends_at).map(Some),
            (None, ..) => Err(Error::invalid_request("Both starts_at and ends_at must be provided if one is")),
        }
    }

    /// Refuses a time frame that has ended.
    ///
    /// # Errors
    /// One that has.
    pub fn check_not_over(window: Option<Self>, now: Timestamp) -> Result<()> {
        match window {
            Some(window) if window.ends_at <= now => Err(Error::invalid("ends_at", "ends_at must be in the future")),
            _ => Ok(()),
        }
    }
}

impl Window {
    /// Its start and its end.
    pub fn ends(self) -> (Timestamp, Timestamp) {
        (self.starts_at, self.ends_at)
    }

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
pub struct LockCode {
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
    pub reachable_since: Option<Timestamp>,
    /// Since when it cannot be reached; `None` while it can.
    pub unreachable_since: Option<Timestamp>,
    /// How long one operation takes; `None`: until somebody ends it by hand.
    pub programming: Option<TimeDelta>,
    /// After how long an operation that is not done is unusually slow.
    pub slow_after: TimeDelta,
    /// Whether codes that have ended stay to be seen.
    pub keeps_expired: bool,
    /// For a lock that takes no start in the past: how long after the present a schedule starts that it is given in place
    /// of one that has begun. `None`: it takes any start.
    pub begun_start_lead: Option<TimeDelta>,
}

/// The facts of one code's life.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct CodeState {
    /// When the code was made.
    pub created_at: Timestamp,
    /// What was asked for.
    pub asked: LockCode,
    /// Whether it is ours; else it is what somebody else put on the lock.
    pub is_managed: bool,
    /// Whether the lock keeps the schedule itself. True only for time-bound codes, and those that become ongoing until
    /// the lock confirms.
    pub is_natively_scheduled: bool,
    /// Whether the code is registered with the lock's maker instead of being put on the lock, which may be out of
    /// reach. "Held by the lock" then means: known to the maker.
    pub is_offline: bool,
    /// Whether it is a backup code.
    pub is_backup: bool,
    /// When somebody asked for the code to go.
    pub deletion_requested_at: Option<Timestamp>,
    /// What the lock holds.
    pub held: Option<LockCode>,
    /// When the lock first held it.
    pub first_held_at: Option<Timestamp>,
    /// The instant of the last step: everything that fell due until then has happened.
    pub as_of: Timestamp,
    /// Since when the lock is busy putting the code on or taking it off.
    pub working_since: Option<Timestamp>,
    /// When the code had left for good.
    pub gone_at: Option<Timestamp>,
    /// What few codes have.
    pub rare_fields: RareFields,
}

/// Seam's `status` of a code that is not gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not usable yet, or no longer: not on the lock, or on it and waiting for its start.
    Unset,
    /// Should be usable, and is being put on the lock.
    Setting,
    /// On the lock and usable.
    Set,
    /// Deleted or ended, and being taken off the lock.
    Removing,
    /// The account is disconnected: nobody can tell.
    Unknown,
}

/// Seam's `pending_mutations`: a difference between what was asked for and what the lock holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingMutation {
    /// Waiting until nearer the start before the code is put on the lock.
    DeferringCreation {
        /// When that will begin.
        scheduled_at: Timestamp,
    },
    /// Being put on the lock.
    Creating,
    /// The lock has another name.
    UpdatingName {
        /// What the lock has.
        from: Option<String>,
        /// What is asked for.
        to: Option<String>,
    },
    /// The lock has another PIN.
    UpdatingCode {
        /// What the lock has.
        from: String,
        /// What is asked for.
        to: String,
    },
    /// The lock has another time frame.
    UpdatingTimeFrame {
        /// What the lock has; none: it is ongoing there.
        from: Option<Window>,
        /// What is asked for; none: ongoing.
        to: Option<Window>,
    },
    /// Being taken off the lock.
    Deleting,
}

/// What a lock does with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Put it on.
    Set,
    /// Change it.
    Update,
    /// Take it off.
    Remove,
}

/// One step of a code's life. The passing of an instant is a step like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The window ends.
    Expire,
    /// The window begins.
    Start,
    /// The time has come to put the code on its lock.
    Open,
    /// The provider tells the PIN.
    Assign,
    /// The lock confirms that it is done.
    Confirm,
    /// The lock takes up the work.
    Begin,
    /// The lock is unusually slow.
    Slow,
}

/// What a step means to the world outside: `access_code.*` events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainEvent {
    /// `access_code.scheduled_on_device`
    ScheduledOnDevice,
    /// `access_code.set_on_device`
    SetOnDevice,
    /// `access_code.removed_from_device`
    RemovedFromDevice,
    /// `access_code.deleted`
    Deleted,
    /// `access_code.changed`, and what of it is told in events of their own.
    Changed(Change),
    /// `access_code.delay_in_setting_on_device`
    DelayInSetting,
    /// `access_code.failed_to_set_on_device`
    FailedToSet,
    /// `access_code.failed_to_remove_from_device`
    FailedToRemove,
    /// `access_code.unmanaged.removed`
    UnmanagedRemoved,
    /// `access_code.changed`: the code has become unmanaged.
    Unmanaged,
}

impl CodeState {
    /// A life that begins at `created_at` with nothing on the lock.
    pub fn begin(created_at: Timestamp, asked: LockCode, is_natively_scheduled: bool) -> Self {
        Self {
            created_at,
            is_managed: true,
            is_natively_scheduled: is_natively_scheduled && asked.window.is_some(),
            is_offline: false,
            is_backup: false,
            asked,
            deletion_requested_at: None,
            held: None,
            first_held_at: None,
            as_of: created_at,
            working_since: None,
            gone_at: None,
            rare_fields: RareFields::default(),
        }
    }

    /// What is asked of the lock: what was asked for, with the start that the lock takes where the asked one had begun.
    pub fn asked_of_lock(&self) -> LockCode {
        let starts_at = self.rare_fields.lock_starts_at.filter(|_| self.is_natively_scheduled);
        let window =
            self.asked.window.map(|window| Window { starts_at: starts_at.unwrap_or(window.starts_at), ..window });
        LockCode { window, ..self.asked.clone() }
    }

    /// Whether the lock holds the code as it is asked of it.
    fn is_as_asked(&self, held: &LockCode) -> bool {
        *held == self.asked || (self.rare_fields.lock_starts_at.is_some() && *held == self.asked_of_lock())
    }

    /// When the code is to be put on its lock: at once if it is ongoing, else 72 hours (native) or 60 minutes
    /// (just in time) before its start; at once again if that is past.
    pub fn opens_at(&self) -> Timestamp {
        if self.is_offline {
            return self.created_at;
        }
        let lead = if self.is_natively_scheduled { NATIVE_LEAD } else { JUST_IN_TIME_LEAD };
        self.asked
            .window
            .and_then(|window| window.starts_at.checked_sub_signed(lead))
            .map_or(self.created_at, |opens_at| opens_at.max(self.created_at))
    }

    /// When the code was deleted or ended, if it was and has not left the lock since.
    pub fn removing_since(&self) -> Option<Timestamp> {
        if self.rare_fields.has_expired || !self.is_managed {
            return self.deletion_requested_at;
        }
        let ended = self.asked.window.map(|window| window.ends_at).filter(|ends_at| self.as_of >= *ends_at);
        match (self.deletion_requested_at, ended) {
            (Some(deleted), Some(ended)) => Some(deleted.min(ended)),
            (deleted, ended) => deleted.or(ended),
        }
    }

    /// Whether the lock would open to the code.
    fn is_usable(&self) -> bool {
        let waits = self.is_natively_scheduled || self.is_offline || !self.is_managed;
        self.held.as_ref().is_some_and(|held| !waits || held.window.is_none_or(|window| self.as_of >= window.starts_at))
    }

    /// Whether somebody took the code off the lock, and may.
    fn is_left_off(&self) -> bool {
        self.held.is_none()
            && self.rare_fields.external.as_ref().is_some_and(|external| external.is_removed && external.is_honoured)
    }

    /// Seam's status of the code, as far as its life has been lived. `recreates`: its lock changes a code by deleting
    /// it and making it anew, so that it is not there meanwhile.
    pub fn status(&self, recreates: bool) -> Status {
        if !self.is_managed {
            return if self.is_usable() { Status::Set } else { Status::Unset };
        }
        if self.removing_since().is_some() {
            return Status::Removing;
        }
        if self.rare_fields.has_expired || self.is_left_off() {
            return Status::Unset;
        }
        let is_put_right = self.rare_fields.external.as_ref().is_some_and(|external| !external.is_honoured);
        let started = self.asked.window.is_none_or(|window| self.as_of >= window.starts_at);
        let on_time = !self.is_natively_scheduled && !self.is_offline && self.as_of >= self.opens_at();
        match self.held {
            Some(_) if self.is_usable() && (is_put_right || (recreates && self.is_being_updated())) => Status::Setting,
            Some(_) if self.is_usable() => Status::Set,
            // A native code that is late shows it only from its start on; a just-in-time one from its lead on.
            _ if started || on_time => Status::Setting,
            _ => Status::Unset,
        }
    }

    /// Whether this action attempt is one to make the code unmanaged that came before its lock held it.
    pub fn waits_to_unmanage(&self, action_attempt_id: Uuid) -> bool {
        let unmanage = self.rare_fields.unmanage.as_ref();
        unmanage.is_some_and(|unmanage| unmanage.action_attempt_ids.contains(&action_attempt_id))
    }

    /// Whether the lock is at work on a change of the code.
    pub fn is_being_updated(&self) -> bool {
        self.working_since.is_some() && self.work().is_some_and(|(operation, _)| operation == Operation::Update)
    }

    /// The differences between what was asked for and what the lock holds, each with the instant since when it is
    /// there.
    pub fn pending_mutations(&self) -> Vec<(Timestamp, PendingMutation)> {
        if let Some(since) = self.removing_since() {
            return vec![(since, PendingMutation::Deleting)];
        }
        if !self.is_managed || self.rare_fields.has_expired || self.is_left_off() {
            return Vec::new();
        }
        let external = self.rare_fields.external.as_ref().map(|external| external.since);
        let Some(held) = &self.held else {
            let opens_at = self.opens_at();
            return vec![if self.as_of < opens_at {
                (self.created_at, PendingMutation::DeferringCreation { scheduled_at: opens_at })
            } else {
                (external.map_or(opens_at, |external| external.max(opens_at)), PendingMutation::Creating)
            }];
        };
        let Change { name, code, window, .. } = Change::between(held, &self.asked, true);
        let window = window.filter(|_| held.window != self.asked_of_lock().window);
        let since = |asked: Option<Timestamp>| asked.or(external).unwrap_or(self.as_of);
        let updating = &self.rare_fields.updating;
        let name = name.map(|(from, to)| (since(updating.name), PendingMutation::UpdatingName { from, to }));
        let code = code.and_then(|(from, to)| from.zip(to));
        let code = code.map(|(from, to)| (since(updating.code), PendingMutation::UpdatingCode { from, to }));
        let window = window.map(|(from, to)| (since(updating.window), PendingMutation::UpdatingTimeFrame { from, to }));
        [name, code, window].into_iter().flatten().collect()
    }

    /// Whether a natively scheduled code is stored on its lock (`is_scheduled_on_device`).
    pub fn is_scheduled_on_device(&self) -> bool {
        self.is_natively_scheduled && self.held.as_ref().is_some_and(|held| held.window.is_some())
    }

    /// What the lock has to do with the code, and since when or from when on.
    pub fn work(&self) -> Option<(Operation, Timestamp)> {
        if self.gone_at.is_some() {
            return None;
        }
        if let Some(since) = self.removing_since() {
            return Some((Operation::Remove, since));
        }
        if !self.is_managed || self.rare_fields.has_expired || self.is_left_off() {
            return None;
        }
        let external = self.rare_fields.external.as_ref().map(|external| external.since);
        let changed_at = self.rare_fields.updating.since().or(external).unwrap_or(self.as_of);
        let opens_at = self.opens_at();
        match &self.held {
            None => Some((Operation::Set, external.map_or(opens_at, |external| external.max(opens_at)))),
            // A lock that knows no schedule cannot keep what has been put off.
            Some(_) if !self.is_natively_scheduled && self.as_of < opens_at => Some((Operation::Remove, changed_at)),
            Some(held) if !self.is_as_asked(held) => Some((Operation::Update, changed_at)),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
