//! The steps of a code's life: which comes next and when, and what becomes of the code by it.

use super::rare_fields::{CODE_CONSTRAINTS_VIOLATED, FAILED_TO_REMOVE, FAILED_TO_SET, Fail, Failure};
use super::{Change, CodeState, DomainEvent, FaultOutcome, Lock, LockCode, Operation, Step};
use crate::clock::{Timestamp, duration_from_iso};
use chrono::TimeDelta;

/// How long after a failed attempt the next one begins; twice as long after each further one.
const FIRST_RETRY_DELAY: TimeDelta = TimeDelta::seconds(10);

/// The longest time between two attempts: as often as Seam looks after its devices.
const MAX_RETRY_DELAY: TimeDelta = TimeDelta::minutes(10);

impl CodeState {
    /// The next step and the instant at which it falls due; `None` where nothing ever will by itself.
    pub fn next(&self, lock: &Lock) -> Option<(Timestamp, Step)> {
        if self.gone_at.is_some() {
            return None;
        }
        let mut next: Option<(Timestamp, Step)> = None;
        // Of steps that fall due together the first in the order of `Step` is taken: what has ended is not set any more.
        let mut consider = |step: (Timestamp, Step)| next = Some(next.map_or(step, |earliest| earliest.min(step)));
        if self.removing_since().is_none() && !self.rare_fields.has_expired {
            if let Some(window) = self.asked.window {
                // Somebody at the lock may have moved the end to before now.
                consider((window.ends_at.max(self.as_of), Step::Expire));
            }
            let held_window = self.held.as_ref().and_then(|held| held.window).filter(|_| self.is_natively_scheduled);
            for window in [self.asked.window, held_window].into_iter().flatten() {
                if self.as_of < window.starts_at {
                    consider((window.starts_at, Step::Start));
                }
            }
            let opens_at = self.opens_at();
            if self.as_of < opens_at && (self.held.is_none() || !self.is_natively_scheduled) && self.is_managed {
                consider((opens_at, Step::Open));
            }
            let told_at = lock.programming.and_then(|programming| self.created_at.checked_add_signed(programming));
            if let Some(told_at) = told_at.filter(|_| self.rare_fields.awaits_code) {
                consider((told_at.max(self.as_of), Step::Assign));
            }
        }
        if let Some(window) = self.asked.window.filter(|_| !self.is_managed && self.deletion_requested_at.is_some()) {
            // The lock drops it at its end, whether or not it can be reached to take it off sooner.
            consider((window.ends_at.max(self.as_of), Step::Expire));
        }
        if let Some((operation, due)) = self.work() {
            let reachable_since = if self.is_offline { Some(self.created_at) } else { lock.reachable_since };
            self.work_steps(lock, reachable_since, due).map(&mut consider);
            self.slow_step(lock, reachable_since, operation, due).map(consider);
        }
        next
    }

    /// When the lock takes up the work or is done with it.
    fn work_steps(&self, lock: &Lock, reachable_since: Option<Timestamp>, due: Timestamp) -> Option<(Timestamp, Step)> {
        let reachable_since = reachable_since?;
        let Some(since) = self.working_since else {
            let due = match &self.rare_fields.failure {
                Some(failure) if failure.is_final => return None,
                Some(failure) => failure.retry_at.unwrap_or(due),
                None => due,
            };
            return Some((due.max(reachable_since).max(self.as_of), Step::Begin));
        };
        if self.rare_fields.awaits_code && self.removing_since().is_none() {
            // The lock cannot have a PIN that nobody has told.
            return None;
        }
        let takes = match &self.rare_fields.injected_outcome {
            Some(FaultOutcome::Never) => return None,
            Some(FaultOutcome::Delay(delay)) => duration_from_iso(delay).or(lock.programming)?,
            _ => lock.programming?,
        };
        since.checked_add_signed(takes).map(|done| (done.max(self.as_of), Step::Confirm))
    }

    /// When it is to be noticed that the lock is slow.
    fn slow_step(
        &self,
        lock: &Lock,
        reachable_since: Option<Timestamp>,
        operation: Operation,
        due: Timestamp,
    ) -> Option<(Timestamp, Step)> {
        if self.rare_fields.failure.is_some() || self.rare_fields.slow_since.is_some() {
            return None;
        }
        let noticed_at = match (operation, reachable_since) {
            // Whoever deletes a code from a lock that is out of reach is told at once.
            (Operation::Remove, None) if self.held.is_some() => lock.unreachable_since.unwrap_or(due).max(due),
            (Operation::Remove, _) if self.held.is_none() => return None,
            // What begins anew has its time anew.
            (_, reachable_since) => {
                let begun_at = due.max(reachable_since?).max(self.working_since.unwrap_or(due));
                begun_at.checked_add_signed(lock.slow_after)?
            }
        };
        Some((noticed_at.max(self.as_of), Step::Slow))
    }

    /// Whether this step, the next one, only tries again what has failed, with nothing else than time gone by since
    /// and nothing else to come until `until`.
    pub fn is_retry(&self, step: Step, until: Timestamp) -> bool {
        let has_failed = self.rare_fields.failure.as_ref().is_some_and(|failure| failure.attempts > 0);
        let is_over = self.removing_since().is_some() || self.rare_fields.has_expired;
        let ends = !is_over && self.asked.window.is_some_and(|window| window.ends_at <= until);
        matches!(step, Step::Begin | Step::Confirm) && has_failed && !ends
    }

    /// Takes one step. `injected_outcome` is what is to become of an operation that begins; `obstacle` what the lock finds in the
    /// way of one that it confirms.
    pub fn apply(
        &mut self,
        lock: &Lock,
        at: Timestamp,
        step: Step,
        (injected_outcome, obstacle): (Option<FaultOutcome>, Option<Fail>),
        domain_events: &mut Vec<(Timestamp, DomainEvent)>,
    ) {
        let was_usable = self.is_usable();
        self.as_of = at;
        match step {
            Step::Open => {
                if self.held.is_some() {
                    self.break_off();
                }
            }
            Step::Begin => {
                self.working_since = Some(at);
                self.rare_fields.injected_outcome = injected_outcome;
                self.choose_lock_start(lock, at);
            }
            Step::Assign => {
                self.rare_fields.awaits_code = false;
                let code = Some((None, Some(self.asked.code.clone())));
                domain_events.push((at, DomainEvent::Changed(Change { code, ..Change::default() })));
            }
            Step::Expire => self.expire(lock, at, domain_events),
            Step::Start => {
                if !was_usable && self.is_usable() && self.is_managed {
                    domain_events.push((at, DomainEvent::SetOnDevice));
                }
            }
            Step::Slow => self.be_slow(at, domain_events),
            Step::Confirm => {
                self.working_since = None;
                let Some((operation, _)) = self.work() else { return };
                let fails = match self.rare_fields.injected_outcome.take() {
                    Some(FaultOutcome::Fail(fail)) => Some(fail),
                    _ => obstacle,
                };
                match fails {
                    Some(fail) => self.fail(at, operation, fail, domain_events),
                    None => self.confirm(lock, at, operation, was_usable, domain_events),
                }
            }
        }
    }

    /// Decides which start the lock is given: its brand may take none in the past (lifecycle, 6.1). A start that the lock
    /// has already stays.
    fn choose_lock_start(&mut self, lock: &Lock, at: Timestamp) {
        let Some(window) = self.asked.window.filter(|_| self.is_natively_scheduled && !self.is_offline) else { return };
        let held = self.held.as_ref().and_then(|held| held.window).map(|window| window.starts_at);
        if held.is_some() && held == self.rare_fields.lock_starts_at {
            return;
        }
        let is_held = held == Some(window.starts_at);
        let lead = lock.begun_start_lead.filter(|lead| !is_held && begun(window.starts_at, *lead, at));
        let starts_at = lead.and_then(|lead| at.checked_add_signed(lead));
        self.rare_fields.lock_starts_at = starts_at.map(|starts_at| starts_at.min(window.ends_at));
    }

    fn expire(&mut self, lock: &Lock, at: Timestamp, domain_events: &mut Vec<(Timestamp, DomainEvent)>) {
        self.break_off();
        self.rare_fields.failure = None;
        self.rare_fields.slow_since = None;
        // What the maker computed ends by itself, and so does what somebody else put on the lock.
        if self.is_offline || !self.is_managed {
            self.held = None;
            if lock.keeps_expired && self.is_managed {
                self.rare_fields.has_expired = true;
                return;
            }
            self.gone_at = Some(at);
            let gone = if self.is_managed { DomainEvent::Deleted } else { DomainEvent::UnmanagedRemoved };
            domain_events.push((at, gone));
        }
    }

    fn be_slow(&mut self, at: Timestamp, domain_events: &mut Vec<(Timestamp, DomainEvent)>) {
        if self.removing_since().is_some() {
            self.rare_fields.failure = Some(Failure {
                error_code: FAILED_TO_REMOVE.to_owned(),
                message: "The device has not confirmed yet that the access code is gone. Seam keeps trying.".to_owned(),
                since: at,
                attempts: 0,
                retry_at: None,
                is_final: false,
                duplicate_of: None,
            });
            domain_events.push((at, DomainEvent::FailedToRemove));
        } else {
            self.rare_fields.slow_since = Some(at);
            domain_events.push((at, DomainEvent::DelayInSetting));
        }
    }

    fn fail(
        &mut self,
        at: Timestamp,
        operation: Operation,
        fail: Fail,
        domain_events: &mut Vec<(Timestamp, DomainEvent)>,
    ) {
        let is_removal = operation == Operation::Remove;
        let (usual, message, domain_event) = if is_removal {
            (FAILED_TO_REMOVE, "could not be removed from the device", DomainEvent::FailedToRemove)
        } else {
            (FAILED_TO_SET, "could not be set on the device", DomainEvent::FailedToSet)
        };
        let error_code = fail.error_code.unwrap_or_else(|| usual.to_owned());
        let before = self.rare_fields.failure.take();
        let attempts = before.as_ref().map_or(0, |before| before.attempts) + 1;
        let known_since = before.filter(|before| before.error_code == error_code).map(|before| before.since);
        if known_since.is_none() {
            domain_events.push((at, domain_event));
        }
        self.rare_fields.failure = Some(Failure {
            is_final: !is_removal && error_code == CODE_CONSTRAINTS_VIOLATED,
            message: fail.message.unwrap_or_else(|| format!("The access code {message}. Seam keeps trying.")),
            error_code,
            since: known_since.unwrap_or(at),
            attempts,
            retry_at: at.checked_add_signed(retry_after(attempts)),
            duplicate_of: fail.duplicate_of,
        });
    }

    fn confirm(
        &mut self,
        lock: &Lock,
        at: Timestamp,
        operation: Operation,
        was_usable: bool,
        domain_events: &mut Vec<(Timestamp, DomainEvent)>,
    ) {
        self.rare_fields.failure = None;
        self.rare_fields.slow_since = None;
        match operation {
            Operation::Remove => self.removed(lock, at, domain_events),
            Operation::Set | Operation::Update => {
                let was = self.held.replace(self.asked_of_lock());
                self.is_natively_scheduled &= self.asked.window.is_some();
                self.first_held_at.get_or_insert(at);
                if let Some(change) = was.and_then(|was| self.confirmed_change(&was)) {
                    domain_events.push((at, DomainEvent::Changed(change)));
                }
                // Whoever moved its start at the lock kept it from opening the door for a while; it was told to be set before.
                let was_told = self.rare_fields.external.take().is_some_and(|external| {
                    !external.is_removed && self.asked.window.is_none_or(|window| external.since >= window.starts_at)
                });
                if !was_usable && self.is_usable() {
                    if !was_told {
                        domain_events.push((at, DomainEvent::SetOnDevice));
                    }
                } else if operation == Operation::Set && !self.is_offline {
                    domain_events.push((at, DomainEvent::ScheduledOnDevice));
                }
                if self.rare_fields.unmanage.is_some() && self.make_unmanaged(at) {
                    domain_events.push((at, DomainEvent::Unmanaged));
                }
            }
        }
    }

    /// What the lock has now as it was asked for. What somebody did to it there and was put right is no change.
    fn confirmed_change(&mut self, was: &LockCode) -> Option<Change> {
        let updating = std::mem::take(&mut self.rare_fields.updating);
        let change = Change::between(was, &self.asked, true);
        let change = Change {
            name: change.name.filter(|_| updating.name.is_some()),
            code: change.code.filter(|_| updating.code.is_some()),
            window: change.window.filter(|_| updating.window.is_some()),
            is_on_device: true,
        };
        (!change.is_empty()).then_some(change)
    }

    fn removed(&mut self, lock: &Lock, at: Timestamp, domain_events: &mut Vec<(Timestamp, DomainEvent)>) {
        let was = self.held.take();
        if !self.is_managed {
            self.gone_at = Some(at);
            domain_events.push((at, DomainEvent::UnmanagedRemoved));
            return;
        }
        if was.is_some() && !self.is_offline {
            domain_events.push((at, DomainEvent::RemovedFromDevice));
        }
        if self.removing_since().is_none() {
            // Put off: it is set again nearer its new start.
            if let Some(change) = was.and_then(|was| self.confirmed_change(&was)) {
                domain_events.push((at, DomainEvent::Changed(change)));
            }
        } else if lock.keeps_expired && self.deletion_requested_at.is_none() {
            self.rare_fields.has_expired = true;
        } else {
            domain_events.push((at, DomainEvent::Deleted));
            self.gone_at = Some(at);
        }
    }
}

/// Whether a start lies in the past for a lock that is given one with this lead instead. One that needs a lead takes no
/// start at the present instant either.
pub(crate) fn begun(starts_at: Timestamp, lead: TimeDelta, now: Timestamp) -> bool {
    if lead.is_zero() { starts_at < now } else { starts_at <= now }
}

/// How long after this many failed attempts in a row the next one begins.
fn retry_after(attempts: u32) -> TimeDelta {
    let doublings = attempts.saturating_sub(1).min(16);
    FIRST_RETRY_DELAY.checked_mul(1 << doublings).map_or(MAX_RETRY_DELAY, |after| after.min(MAX_RETRY_DELAY))
}
