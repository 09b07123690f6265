//! Steps of the lifecycle of a code: selection of the next step with its due time, and the effect of each step.

use super::rare_fields::{CODE_CONSTRAINTS_VIOLATED, FAILED_TO_REMOVE, FAILED_TO_SET, Failure, OperationError};
use super::{Change, CodeState, DomainEvent, FaultOutcome, Lock, LockCode, Operation, Step};
use crate::clock::{Timestamp, duration_from_iso};
use chrono::TimeDelta;

/// Delay between the first failed attempt and its retry. It doubles with each further failed attempt.
const FIRST_RETRY_DELAY: TimeDelta = TimeDelta::seconds(10);

/// Maximum delay between two attempts: the interval at which Seam checks its devices.
const MAX_RETRY_DELAY: TimeDelta = TimeDelta::minutes(10);

/// Message of a removal that takes longer than the device's usual time.
const NOT_CONFIRMED: &str = "The device has not confirmed yet that the access code was removed. Seam keeps trying.";

impl CodeState {
    /// Returns the next step and the instant at which it is due; `None` if no step becomes due by the passing of time.
    pub fn next(&self, lock: &Lock) -> Option<(Timestamp, Step)> {
        if self.gone_at.is_some() {
            return None;
        }
        let mut next: Option<(Timestamp, Step)> = None;
        // Of steps due at the same instant, the first in the order of `Step` is taken. So a code whose end and
        // programming are due at the same instant ends, and is not programmed.
        let mut consider = |step: (Timestamp, Step)| next = Some(next.map_or(step, |earliest| earliest.min(step)));
        if self.removing_since().is_none() && !self.rare_fields.has_expired {
            if let Some(window) = self.requested.window {
                // A change made at the lock can move the end to before the last step.
                consider((window.ends_at.max(self.as_of), Step::Expire));
            }
            let held_window = self.held.as_ref().and_then(|held| held.window).filter(|_| self.is_natively_scheduled);
            // While an update is pending, the lock enforces the start that it stores, not the requested one.
            for window in [self.requested.window, held_window].into_iter().flatten() {
                if self.as_of < window.starts_at {
                    consider((window.starts_at, Step::Start));
                }
            }
            let programming_due_at = self.programming_due_at();
            if self.as_of < programming_due_at
                && (self.held.is_none() || !self.is_natively_scheduled)
                && self.is_managed
            {
                consider((programming_due_at, Step::ProgrammingDue));
            }
            // The provider takes as long to assign a PIN as the lock takes for an operation.
            let assigned_at = lock.programming.and_then(|programming| self.created_at.checked_add_signed(programming));
            if let Some(assigned_at) = assigned_at.filter(|_| self.rare_fields.awaits_code) {
                consider((assigned_at.max(self.as_of), Step::Assign));
            }
        }
        if let Some(window) = self.requested.window.filter(|_| !self.is_managed && self.deletion_requested_at.is_some())
        {
            // The lock drops an unmanaged code at its end, even if it is unreachable for the removal.
            consider((window.ends_at.max(self.as_of), Step::Expire));
        }
        if let Some((operation, due)) = self.required_operation() {
            let reachable_since = if self.is_offline { Some(self.created_at) } else { lock.reachable_since };
            self.work_steps(lock, reachable_since, due).map(&mut consider);
            self.slow_step(lock, reachable_since, operation, due).map(&mut consider);
        }
        if let Some(at) = self.late_issuance_due(lock) {
            consider((at, Step::ReportLateIssuance));
        }
        next
    }

    /// Returns when the lock starts the operation that is due, or finishes the one in progress.
    fn work_steps(&self, lock: &Lock, reachable_since: Option<Timestamp>, due: Timestamp) -> Option<(Timestamp, Step)> {
        let reachable_since = reachable_since?;
        let Some(since) = self.operation_started_at else {
            let due = match &self.rare_fields.failure {
                Some(failure) if failure.is_final => return None,
                Some(failure) => failure.retry_at.unwrap_or(due),
                None => due,
            };
            return Some((due.max(reachable_since).max(self.as_of), Step::Begin));
        };
        if self.rare_fields.awaits_code && self.removing_since().is_none() {
            // The lock cannot store a PIN that the provider has not assigned yet.
            return None;
        }
        let duration = match &self.rare_fields.injected_outcome {
            Some(FaultOutcome::Never) => return None,
            Some(FaultOutcome::Delay(delay)) => duration_from_iso(delay).or(lock.programming)?,
            _ => lock.programming?,
        };
        since.checked_add_signed(duration).map(|done_at| (done_at.max(self.as_of), Step::Confirm))
    }

    /// Returns when the operation is reported as slow.
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
        let reported_at = match (operation, reachable_since) {
            // A removal from an unreachable lock is reported at once.
            (Operation::Remove, None) if self.held.is_some() => lock.unreachable_since.unwrap_or(due).max(due),
            (Operation::Remove, _) if self.held.is_none() => return None,
            // An operation that starts again gets the full time again.
            (_, reachable_since) => {
                let started_at = due.max(reachable_since?).max(self.operation_started_at.unwrap_or(due));
                started_at.checked_add_signed(lock.slow_after)?
            }
        };
        Some((reported_at.max(self.as_of), Step::Slow))
    }

    /// Returns true if `step`, the next step of this code, only retries a failed operation. False if the code ends by
    /// `until`, because then a step follows that is more than a retry. False also after [`Self::retry_now`], because
    /// the next attempt may succeed.
    pub fn is_retry(&self, step: Step, until: Timestamp) -> bool {
        let has_failed = self.rare_fields.failure.as_ref().is_some_and(|failure| failure.attempts > 0);
        let is_over = self.removing_since().is_some() || self.rare_fields.has_expired;
        let ends = !is_over && self.requested.window.is_some_and(|window| window.ends_at <= until);
        matches!(step, Step::Begin | Step::Confirm) && has_failed && !ends
    }

    /// Takes one step. `injected_outcome` is the outcome that a fault gives to an operation that starts with this step;
    /// `obstacle` is the error with which the memory of the lock makes a finishing operation fail.
    pub fn apply(
        &mut self,
        lock: &Lock,
        at: Timestamp,
        step: Step,
        (injected_outcome, obstacle): (Option<FaultOutcome>, Option<OperationError>),
        domain_events: &mut Vec<(Timestamp, DomainEvent)>,
    ) {
        let was_usable = self.is_usable();
        self.as_of = at;
        match step {
            Step::ProgrammingDue => {
                // The start of a code on the lock was moved to later, and its removal was pending. Now the code stays.
                if self.held.is_some() {
                    self.abort_operation();
                }
            }
            Step::Begin => {
                self.operation_started_at = Some(at);
                self.rare_fields.injected_outcome = injected_outcome;
                self.choose_lock_start(lock, at);
            }
            Step::Assign => {
                self.rare_fields.awaits_code = false;
                let code = Some((None, Some(self.requested.code.clone())));
                domain_events.push((at, DomainEvent::Changed(Change { code, ..Change::default() })));
            }
            Step::Expire => self.expire(lock, at, domain_events),
            Step::Start => {
                if !was_usable && self.is_usable() && self.is_managed {
                    domain_events.push((at, DomainEvent::SetOnDevice));
                }
            }
            Step::Slow => self.report_slow(at, domain_events),
            Step::ReportLateIssuance => self.report_late_issuance(at),
            Step::Confirm => {
                self.operation_started_at = None;
                let Some((operation, _)) = self.required_operation() else { return };
                let error = match self.rare_fields.injected_outcome.take() {
                    Some(FaultOutcome::Fail(fail)) => Some(fail),
                    _ => obstacle,
                };
                match error {
                    Some(error) => self.fail(at, operation, error, domain_events),
                    None => self.confirm(lock, at, operation, was_usable, domain_events),
                }
            }
        }
    }

    /// Chooses the start to program, because some brands reject a start in the past (`tests/it/ledger.md`, lifecycle
    /// §6). A start that is already on the lock stays.
    fn choose_lock_start(&mut self, lock: &Lock, at: Timestamp) {
        let Some(window) = self.requested.window.filter(|_| self.is_natively_scheduled && !self.is_offline) else {
            return;
        };
        let held = self.held.as_ref().and_then(|held| held.window).map(|window| window.starts_at);
        if held.is_some() && held == self.rare_fields.lock_starts_at {
            return;
        }
        let is_held = held == Some(window.starts_at);
        let lead = lock.past_start_lead.filter(|lead| !is_held && is_start_in_past(window.starts_at, *lead, at));
        let starts_at = lead.and_then(|lead| at.checked_add_signed(lead));
        self.rare_fields.lock_starts_at = starts_at.map(|starts_at| starts_at.min(window.ends_at));
    }

    fn expire(&mut self, lock: &Lock, at: Timestamp, domain_events: &mut Vec<(Timestamp, DomainEvent)>) {
        self.abort_operation();
        self.rare_fields.failure = None;
        self.rare_fields.slow_since = None;
        // An offline code and an unmanaged code end without an operation. For any other code, `required_operation`
        // returns the removal from now on.
        if self.is_offline || !self.is_managed {
            self.held = None;
            if lock.keeps_expired && self.is_managed {
                self.rare_fields.has_expired = true;
                return;
            }
            self.gone_at = Some(at);
            let domain_event = if self.is_managed { DomainEvent::Deleted } else { DomainEvent::UnmanagedRemoved };
            domain_events.push((at, domain_event));
        }
    }

    fn report_slow(&mut self, at: Timestamp, domain_events: &mut Vec<(Timestamp, DomainEvent)>) {
        if self.removing_since().is_some() {
            self.rare_fields.failure = Some(Failure {
                error_code: FAILED_TO_REMOVE.to_owned(),
                message: NOT_CONFIRMED.to_owned(),
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

    /// Records a failed attempt and the time of its retry. Adds a domain event only if the error code differs from that
    /// of the previous attempt.
    fn fail(
        &mut self,
        at: Timestamp,
        operation: Operation,
        fail: OperationError,
        domain_events: &mut Vec<(Timestamp, DomainEvent)>,
    ) {
        let is_removal = operation == Operation::Remove;
        let (default_code, message, domain_event) = if is_removal {
            (FAILED_TO_REMOVE, "could not be removed from the device", DomainEvent::FailedToRemove)
        } else {
            (FAILED_TO_SET, "could not be set on the device", DomainEvent::FailedToSet)
        };
        let error_code = fail.error_code.unwrap_or_else(|| default_code.to_owned());
        let previous = self.rare_fields.failure.take();
        let attempts = previous.as_ref().map_or(0, |previous| previous.attempts) + 1;
        let same_error_since =
            previous.filter(|previous| previous.error_code == error_code).map(|previous| previous.since);
        if same_error_since.is_none() {
            domain_events.push((at, domain_event));
        }
        self.rare_fields.failure = Some(Failure {
            is_final: !is_removal && error_code == CODE_CONSTRAINTS_VIOLATED,
            message: fail.message.unwrap_or_else(|| format!("The access code {message}. Seam keeps trying.")),
            error_code,
            since: same_error_since.unwrap_or(at),
            attempts,
            retry_at: at.checked_add_signed(retry_delay(attempts)),
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
            Operation::Remove => self.confirm_removal(lock, at, domain_events),
            Operation::Set | Operation::Update => {
                let previous = self.held.replace(self.code_to_program());
                self.is_natively_scheduled &= self.requested.window.is_some();
                self.first_held_at.get_or_insert(at);
                if let Some(issuance) = &mut self.rare_fields.issuance {
                    issuance.lock_was_full = false;
                }
                if let Some(change) = previous.and_then(|previous| self.take_confirmed_change(&previous)) {
                    domain_events.push((at, DomainEvent::Changed(change)));
                }
                // A start that was moved at the lock made a usable code unusable until now. Its `set_on_device` event
                // is already recorded.
                let was_recorded = self.rare_fields.external.take().is_some_and(|external| {
                    !external.is_removed
                        && self.requested.window.is_none_or(|window| external.since >= window.starts_at)
                });
                if !was_usable && self.is_usable() {
                    if !was_recorded {
                        domain_events.push((at, DomainEvent::SetOnDevice));
                    }
                } else if operation == Operation::Set && !self.is_offline {
                    domain_events.push((at, DomainEvent::ScheduledOnDevice));
                }
                if self.rare_fields.unmanage.is_some() && self.convert_to_unmanaged(at) {
                    domain_events.push((at, DomainEvent::Unmanaged));
                }
            }
        }
    }

    /// Returns the requested changes that the lock has now, and clears all pending ones. A property that only differed
    /// because of a change made at the lock, now reverted, is not returned.
    fn take_confirmed_change(&mut self, previous: &LockCode) -> Option<Change> {
        let updating = std::mem::take(&mut self.rare_fields.updating);
        let change = Change::between(previous, &self.requested, true);
        let change = Change {
            name: change.name.filter(|_| updating.name.is_some()),
            code: change.code.filter(|_| updating.code.is_some()),
            window: change.window.filter(|_| updating.window.is_some()),
            is_on_device: true,
        };
        (!change.is_empty()).then_some(change)
    }

    fn confirm_removal(&mut self, lock: &Lock, at: Timestamp, domain_events: &mut Vec<(Timestamp, DomainEvent)>) {
        let previous = self.held.take();
        if !self.is_managed {
            self.gone_at = Some(at);
            domain_events.push((at, DomainEvent::UnmanagedRemoved));
            return;
        }
        if previous.is_some() && !self.is_offline {
            domain_events.push((at, DomainEvent::RemovedFromDevice));
        }
        if self.removing_since().is_none() {
            // The start was moved to later: the code is set again closer to the new start. That reverts a change made at
            // the lock too.
            self.rare_fields.external = self.rare_fields.external.take().filter(|external| external.is_honoured);
            if let Some(change) = previous.and_then(|previous| self.take_confirmed_change(&previous)) {
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

/// Returns true if a lock that rejects a start in the past rejects `starts_at`. `lead` is its
/// [`Lock::past_start_lead`]. A lock with a lead greater than zero also rejects a start at the current instant.
pub(crate) fn is_start_in_past(starts_at: Timestamp, lead: TimeDelta, now: Timestamp) -> bool {
    if lead.is_zero() { starts_at < now } else { starts_at <= now }
}

/// Returns the delay before the next attempt after this many consecutive failed attempts.
fn retry_delay(attempts: u32) -> TimeDelta {
    let doublings = attempts.saturating_sub(1).min(16);
    FIRST_RETRY_DELAY.checked_mul(1 << doublings).map_or(MAX_RETRY_DELAY, |delay| delay.min(MAX_RETRY_DELAY))
}
