//! Lifecycle of an access code: its state, the steps that change the state, and the values derived from the state.
//!
//! The state has two main parts: the requested entry ([`CodeState::requested`]) and the entry stored on the lock
//! ([`CodeState::held`]). Status, pending mutations and the next operation follow from the difference between the two
//! and from the instant of the last step ([`CodeState::as_of`]). This module reads no clock, database or request: every
//! instant is a parameter. [`crate::domain::simulation`] runs the steps of all codes of a lock together; read requests
//! return the state as it is stored.
//!
//! The diagram shows Seam's `status` of a code before, between and after three instants, if the lock works without
//! errors. `programming_due_at` is 72 hours (native) or 60 minutes (just in time) before the start, but not before the
//! creation.
//!
//! ```text
//!                programming_due_at   starts_at        ends_at
//!                        │                │               │
//!  native          unset │ unset (stored  │ set           │ removing, then gone
//!                        │ on the lock)   │               │
//!  just in time    unset │ setting, set   │ set           │ removing, then gone
//!  ongoing         setting, set, and after a deletion: removing, then gone
//! ```

mod changes;
mod issuance;
pub(crate) mod rare_fields;
mod steps;

pub(crate) use self::changes::Change;
pub(crate) use self::rare_fields::{FaultOutcome, RareFields};
pub(crate) use self::steps::is_start_in_past;

use crate::clock::Timestamp;
use crate::domain::workspace::LateIssuanceLimits;
use crate::error::{Error, Result};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Native scheduling: a code is programmed this long before its start. The lock itself keeps it inactive until then.
pub(crate) const NATIVE_LEAD: TimeDelta = TimeDelta::hours(72);

/// Just in time: without native scheduling, a code is programmed this long before its start.
pub(crate) const JUST_IN_TIME_LEAD: TimeDelta = TimeDelta::minutes(60);

/// Time frame of a code; `starts_at` lies before `ends_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First instant at which the code opens the door.
    pub starts_at: Timestamp,
    /// First instant at which the code no longer opens the door.
    pub ends_at: Timestamp,
}

impl Window {
    /// Creates a time frame.
    ///
    /// # Errors
    /// `ends_at` is not after `starts_at`.
    pub fn new(starts_at: Timestamp, ends_at: Timestamp) -> Result<Self> {
        if starts_at < ends_at {
            return Ok(Self { starts_at, ends_at });
        }
        Err(Error::invalid_request("ends_at must be after starts_at"))
    }

    /// Returns `window` with the given instants replaced. A code without a time frame gets one if both are given.
    ///
    /// # Errors
    /// Only one instant is given for a code without a time frame, or `ends_at` is not after `starts_at`.
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

    /// Rejects a time frame that has ended.
    ///
    /// # Errors
    /// `ends_at` is not after `now`.
    pub fn check_not_over(window: Option<Self>, now: Timestamp) -> Result<()> {
        match window {
            Some(window) if window.ends_at <= now => Err(Error::invalid("ends_at", "ends_at must be in the future")),
            _ => Ok(()),
        }
    }
}

impl Window {
    /// Returns the start and the end.
    pub fn bounds(self) -> (Timestamp, Timestamp) {
        (self.starts_at, self.ends_at)
    }

    /// Returns the shortest time frame that contains both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { starts_at: self.starts_at.min(other.starts_at), ends_at: self.ends_at.max(other.ends_at) }
    }

    /// Returns true if the two time frames overlap. `None`, that of an ongoing code, overlaps with every other.
    pub fn overlap(first: Option<Self>, second: Option<Self>) -> bool {
        match (first, second) {
            (Some(first), Some(second)) => first.starts_at < second.ends_at && second.starts_at < first.ends_at,
            _ => true,
        }
    }
}

/// Entry of a code: the properties that are requested, or those that are stored in the memory of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockCode {
    /// Name exactly as the client sent it, or as a person entered it at the lock.
    pub name: Option<String>,
    /// PIN.
    pub code: String,
    /// Time frame; `None` for an ongoing code.
    pub window: Option<Window>,
}

/// Properties of the lock that determine the steps of its codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Instant since which the lock is reachable; `None` while it is offline. Then no operation starts or finishes.
    pub reachable_since: Option<Timestamp>,
    /// Instant since which the lock is unreachable; `None` while it is reachable.
    pub unreachable_since: Option<Timestamp>,
    /// Duration of one programming operation; `None`: it runs until a tester completes it by hand.
    pub programming: Option<TimeDelta>,
    /// Time after which an unfinished operation is reported as slow.
    pub slow_after: TimeDelta,
    /// True if codes stay visible in the API after their end.
    pub keeps_expired: bool,
    /// For a lock that rejects schedules that start in the past: such a start is replaced by the current instant plus
    /// this lead. `None`: the lock accepts any start.
    pub past_start_lead: Option<TimeDelta>,
    /// Times after which a code of an access grant is late.
    pub late_issuance: LateIssuanceLimits,
}

/// State of one code, from which its status, pending mutations and next step are derived.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct CodeState {
    pub created_at: Timestamp,
    /// Requested entry.
    pub requested: LockCode,
    /// True for a managed code, false for an unmanaged code.
    pub is_managed: bool,
    /// True for native scheduling: the lock itself stores and enforces the time frame. False for ongoing codes. If a
    /// code on the lock becomes ongoing, the value stays true until the lock has confirmed the change.
    pub is_natively_scheduled: bool,
    /// True for an offline code: the manufacturer registers it, and the lock accepts it without being programmed or
    /// reachable. `held` is then the entry that the manufacturer has registered.
    pub is_offline: bool,
    /// True for a backup code, also after it was pulled and has left the pool ([`super::AccessCode::pool_device_id`]).
    pub is_backup: bool,
    /// Instant at which the deletion was requested.
    pub deletion_requested_at: Option<Timestamp>,
    /// Entry stored on the lock; `None` if the lock does not have the code.
    pub held: Option<LockCode>,
    /// Instant at which the lock first stored the code.
    pub first_held_at: Option<Timestamp>,
    /// Instant of the last step or change. All steps due before it have been taken.
    pub as_of: Timestamp,
    /// Start of the operation in progress on the lock; `None` if none is in progress.
    pub operation_started_at: Option<Timestamp>,
    /// Instant at which the code ceased to exist: deleted or ended, and no longer on the lock.
    pub gone_at: Option<Timestamp>,
    pub rare_fields: RareFields,
}

/// Seam's `status` of a code that is not gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not usable: not on the lock, or on it and waiting for its start.
    Unset,
    /// Should be usable, but the lock has not confirmed the programming yet.
    Setting,
    /// On the lock and usable.
    Set,
    /// Deleted or ended, and being removed from the lock.
    Removing,
    /// The connected account is disconnected, so the state on the lock cannot be read. [`CodeState::status`] does not
    /// return this value: it depends on the device, not on the code.
    Unknown,
}

/// One of Seam's `pending_mutations`: a difference between the requested entry and the entry on the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingMutation {
    /// The code will be programmed closer to its start.
    DeferringCreation {
        /// Instant at which programming becomes due.
        scheduled_at: Timestamp,
    },
    /// The code is being programmed on the lock.
    Creating,
    /// The lock has a different name.
    UpdatingName {
        /// Value on the lock.
        from: Option<String>,
        /// Requested value.
        to: Option<String>,
    },
    /// The lock has a different PIN.
    UpdatingCode {
        /// Value on the lock.
        from: String,
        /// Requested value.
        to: String,
    },
    /// The lock has a different time frame.
    UpdatingTimeFrame {
        /// Time frame on the lock; `None`: ongoing.
        from: Option<Window>,
        /// Requested time frame; `None`: ongoing.
        to: Option<Window>,
    },
    /// The code is being removed from the lock.
    Deleting,
}

/// Programming operation of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Stores the code on the lock.
    Set,
    /// Changes the stored code.
    Update,
    /// Removes the code from the lock.
    Remove,
}

/// One step of a code's lifecycle. Reaching an instant, such as the start of the time frame, is a step too. If several
/// steps are due at the same instant, the order of the variants decides which is taken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The time frame ends.
    Expire,
    /// The time frame starts.
    Start,
    /// Programming the code becomes due.
    ProgrammingDue,
    /// The provider assigns the PIN.
    Assign,
    /// The lock finishes the operation, successfully or not.
    Confirm,
    /// The lock starts the operation.
    Begin,
    /// The operation is reported as slow.
    Slow,
    /// The code of an access method is reported as not ready for its guest.
    ReportLateIssuance,
}

/// Event that a step adds. It is recorded as one or more of Seam's `access_code.*` events.
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
    /// `access_code.changed`; if the lock has the change, also one event for each changed property.
    Changed(Change),
    /// `access_code.delay_in_setting_on_device`
    DelayInSetting,
    /// `access_code.failed_to_set_on_device`
    FailedToSet,
    /// `access_code.failed_to_remove_from_device`
    FailedToRemove,
    /// `access_code.unmanaged.removed`
    UnmanagedRemoved,
    /// `access_code.changed` for a code that was converted to unmanaged.
    Unmanaged,
}

impl CodeState {
    /// Creates the state of a managed code that is not on the lock yet.
    pub fn new_managed(created_at: Timestamp, requested: LockCode, is_natively_scheduled: bool) -> Self {
        Self {
            created_at,
            is_managed: true,
            is_natively_scheduled: is_natively_scheduled && requested.window.is_some(),
            is_offline: false,
            is_backup: false,
            requested,
            deletion_requested_at: None,
            held: None,
            first_held_at: None,
            as_of: created_at,
            operation_started_at: None,
            gone_at: None,
            rare_fields: RareFields::default(),
        }
    }

    /// Returns the entry to program: the requested one, with another start if the lock rejects the requested start.
    pub fn code_to_program(&self) -> LockCode {
        let starts_at = self.rare_fields.lock_starts_at.filter(|_| self.is_natively_scheduled);
        let window =
            self.requested.window.map(|window| Window { starts_at: starts_at.unwrap_or(window.starts_at), ..window });
        LockCode { window, ..self.requested.clone() }
    }

    /// Returns true if the entry on the lock needs no update.
    fn is_up_to_date(&self, held: &LockCode) -> bool {
        *held == self.requested || (self.rare_fields.lock_starts_at.is_some() && *held == self.code_to_program())
    }

    /// Returns the instant from which on the code is programmed: 72 hours (native) or 60 minutes (just in time) before
    /// its start, but not before its creation. Ongoing and offline codes: their creation.
    pub fn programming_due_at(&self) -> Timestamp {
        if self.is_offline {
            return self.created_at;
        }
        let lead = if self.is_natively_scheduled { NATIVE_LEAD } else { JUST_IN_TIME_LEAD };
        self.requested
            .window
            .and_then(|window| window.starts_at.checked_sub_signed(lead))
            .map_or(self.created_at, |programming_due_at| programming_due_at.max(self.created_at))
    }

    /// Returns true if the code has left its lock after its end, and is kept.
    pub fn has_only_expired(&self) -> bool {
        self.rare_fields.has_expired && self.deletion_requested_at.is_none()
    }

    /// Returns the instant since which the code is being removed: its deletion or its end, whichever came first. For an
    /// unmanaged code, and for one that has expired and left the lock, only the deletion counts.
    pub fn removing_since(&self) -> Option<Timestamp> {
        if self.rare_fields.has_expired || !self.is_managed {
            return self.deletion_requested_at;
        }
        let ended = self.requested.window.map(|window| window.ends_at).filter(|ends_at| self.as_of >= *ends_at);
        match (self.deletion_requested_at, ended) {
            (Some(deleted), Some(ended)) => Some(deleted.min(ended)),
            (deleted, ended) => deleted.or(ended),
        }
    }

    /// Returns true if the code opens the lock: the lock stores it and, if the lock itself enforces the start, the
    /// start is reached. The end is not checked: [`Step::Expire`] handles it.
    fn is_usable(&self) -> bool {
        let waits_for_start = self.is_natively_scheduled || self.is_offline || !self.is_managed;
        self.held
            .as_ref()
            .is_some_and(|held| !waits_for_start || held.window.is_none_or(|window| self.as_of >= window.starts_at))
    }

    /// Returns true if the code was removed at the lock and Seam does not set it again.
    fn is_removal_kept(&self) -> bool {
        self.held.is_none()
            && self.rare_fields.external.as_ref().is_some_and(|external| external.is_removed && external.is_honoured)
    }

    /// Returns Seam's `status` as of the last step. `recreates_on_update`: true if the lock updates a code by deleting
    /// and creating it again, so that the code is unusable during an update.
    pub fn status(&self, recreates_on_update: bool) -> Status {
        if !self.is_managed {
            return if self.is_usable() { Status::Set } else { Status::Unset };
        }
        if self.removing_since().is_some() {
            return Status::Removing;
        }
        if self.rare_fields.has_expired || self.is_removal_kept() {
            return Status::Unset;
        }
        let is_reverted_by_seam = self.rare_fields.external.as_ref().is_some_and(|external| !external.is_honoured);
        let started = self.requested.window.is_none_or(|window| self.as_of >= window.starts_at);
        let on_time = !self.is_natively_scheduled && !self.is_offline && self.as_of >= self.programming_due_at();
        match self.held {
            // Seam is reverting a change made at the lock, or the lock has deleted the code to create it again.
            Some(_)
                if self.is_usable() && (is_reverted_by_seam || (recreates_on_update && self.is_being_updated())) =>
            {
                Status::Setting
            }
            Some(_) if self.is_usable() => Status::Set,
            // Not usable yet. A natively scheduled or offline code is `Setting` from its start on, a just-in-time code
            // as soon as its programming is due.
            _ if started || on_time => Status::Setting,
            _ => Status::Unset,
        }
    }

    /// Returns true if this action attempt requested to convert the code to unmanaged before the lock stored it. Stays
    /// true after the conversion.
    pub fn requested_unmanage(&self, action_attempt_id: Uuid) -> bool {
        let unmanage = self.rare_fields.unmanage.as_ref();
        unmanage.is_some_and(|unmanage| unmanage.action_attempt_ids.contains(&action_attempt_id))
    }

    /// Returns true while an update of the code is in progress on the lock.
    pub fn is_being_updated(&self) -> bool {
        self.operation_started_at.is_some()
            && self.required_operation().is_some_and(|(operation, _)| operation == Operation::Update)
    }

    /// Returns the differences between the requested entry and the entry on the lock, each with the instant since which
    /// it exists.
    pub fn pending_mutations(&self) -> Vec<(Timestamp, PendingMutation)> {
        if let Some(since) = self.removing_since() {
            return vec![(since, PendingMutation::Deleting)];
        }
        if !self.is_managed || self.rare_fields.has_expired || self.is_removal_kept() {
            return Vec::new();
        }
        let external = self.rare_fields.external.as_ref().map(|external| external.since);
        let Some(held) = &self.held else {
            let programming_due_at = self.programming_due_at();
            return vec![if self.as_of < programming_due_at {
                (self.created_at, PendingMutation::DeferringCreation { scheduled_at: programming_due_at })
            } else {
                (
                    external.map_or(programming_due_at, |external| external.max(programming_due_at)),
                    PendingMutation::Creating,
                )
            }];
        };
        let Change { name, code, window, .. } = Change::between(held, &self.requested, true);
        // If the lock stores a later start because it rejects the requested one, no change is pending.
        let window = window.filter(|_| held.window != self.code_to_program().window);
        let since = |requested_at: Option<Timestamp>| requested_at.or(external).unwrap_or(self.as_of);
        let updating = &self.rare_fields.updating;
        let name = name.map(|(from, to)| (since(updating.name), PendingMutation::UpdatingName { from, to }));
        let code = code.and_then(|(from, to)| from.zip(to));
        let code = code.map(|(from, to)| (since(updating.code), PendingMutation::UpdatingCode { from, to }));
        let window = window.map(|(from, to)| (since(updating.window), PendingMutation::UpdatingTimeFrame { from, to }));
        [name, code, window].into_iter().flatten().collect()
    }

    /// Returns Seam's `is_scheduled_on_device`: true if the lock stores the code together with its time frame.
    pub fn is_scheduled_on_device(&self) -> bool {
        self.is_natively_scheduled && self.held.as_ref().is_some_and(|held| held.window.is_some())
    }

    /// Returns the operation that the lock must perform to reach the requested state, and the instant at which it
    /// became or becomes due. `None` if no operation is required.
    pub fn required_operation(&self) -> Option<(Operation, Timestamp)> {
        if self.gone_at.is_some() {
            return None;
        }
        if let Some(since) = self.removing_since() {
            return Some((Operation::Remove, since));
        }
        if !self.is_managed || self.rare_fields.has_expired || self.is_removal_kept() {
            return None;
        }
        let external = self.rare_fields.external.as_ref().map(|external| external.since);
        let changed_at = self.rare_fields.updating.since().or(external).unwrap_or(self.as_of);
        let programming_due_at = self.programming_due_at();
        match &self.held {
            None => {
                Some((Operation::Set, external.map_or(programming_due_at, |external| external.max(programming_due_at))))
            }
            // A lock without native scheduling accepts every code that it stores. So it must not store a code whose
            // start was moved to more than 60 minutes ahead.
            Some(_) if !self.is_natively_scheduled && self.as_of < programming_due_at => {
                Some((Operation::Remove, changed_at))
            }
            Some(held) if !self.is_up_to_date(held) => Some((Operation::Update, changed_at)),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
