//! Readiness of a code for the guest of its access method. Rules: access grants §6.

use super::rare_fields::LateIssuance;
use super::{CodeState, Lock, PendingMutation};
use crate::clock::Timestamp;

impl CodeState {
    /// Returns true if the guest can rely on the code: the lock has it, a backup code was pulled for it, or its
    /// programming waits for its time on a lock that can be reached (`is_reachable`).
    pub(crate) fn is_ready_to_issue(&self, is_reachable: bool) -> bool {
        if self.removing_since().is_some() || self.rare_fields.has_expired || self.rare_fields.awaits_code {
            return false;
        }
        if self.rare_fields.backup_pulled_at.is_some() {
            return true;
        }
        match self.pending_mutations().as_slice() {
            [] => self.held.is_some(),
            [(_, PendingMutation::DeferringCreation { .. })] => is_reachable,
            _ => false,
        }
    }

    /// Returns true if the lock was full when the code was created, and has had no place for it since.
    pub(crate) fn awaits_place(&self) -> bool {
        let lock_was_full = self.rare_fields.issuance.is_some_and(|issuance| issuance.lock_was_full);
        let is_set = self.held.is_some() || self.rare_fields.backup_pulled_at.is_some();
        lock_was_full && !is_set && self.removing_since().is_none() && !self.rare_fields.has_expired
    }

    /// Returns the instant at which the code is reported as late: at the lead of the workspace before its
    /// start, and as failed: at its start, but not before it had its grace period to become ready. `None` if it is ready, or belongs to no access
    /// method.
    pub(super) fn late_issuance_due(&self, lock: &Lock) -> Option<Timestamp> {
        let issuance = self.rare_fields.issuance?;
        let is_over = self.gone_at.is_some() || self.removing_since().is_some() || self.rare_fields.has_expired;
        if is_over || self.is_ready_to_issue(lock.reachable_since.is_some()) {
            return None;
        }
        let starts_at = self.requested.window.map_or(issuance.since, |window| window.starts_at);
        match issuance.reported {
            None => {
                let pending = self.pending_mutations().first().map_or(issuance.since, |(since, _)| *since);
                let mut unready_since = pending.max(issuance.since);
                if self.as_of < self.programming_due_at() {
                    // Its programming only waits for its time: the unreachable lock is the reason.
                    unready_since = lock.unreachable_since.map_or(unready_since, |since| since.max(unready_since));
                }
                let late_at = starts_at.checked_sub_signed(lock.late_issuance.lead)?;
                Some(unready_since.checked_add_signed(lock.late_issuance.grace)?.max(late_at).max(self.as_of))
            }
            Some(LateIssuance::Delayed) => Some(starts_at.max(self.as_of)),
            Some(LateIssuance::Failed) => None,
        }
    }

    /// Reports the code as late or, from its start on, as failed.
    pub(super) fn report_late_issuance(&mut self, at: Timestamp) {
        let starts_at = self.requested.window.map(|window| window.starts_at);
        if let Some(issuance) = &mut self.rare_fields.issuance {
            let has_started = starts_at.unwrap_or(issuance.since) <= at;
            issuance.reported = Some(if has_started { LateIssuance::Failed } else { LateIssuance::Delayed });
        }
    }
}
