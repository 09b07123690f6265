//! Changes to the state of a code by API requests and by people at the lock. All steps due before the change have
//! been taken by then.

use super::rare_fields::{ExternalChange, ModifiedField, Updating, modified_fields};
use super::{CodeState, LockCode, Window};
use crate::clock::Timestamp;
use uuid::Uuid;

/// Change of a code's properties, as pairs of old and new value; `None` for an unchanged property.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub name: Option<(Option<String>, Option<String>)>,
    /// PIN; the old value is `None` when the provider assigns the first PIN.
    pub code: Option<(Option<String>, Option<String>)>,
    /// Time frame; a value of `None` means ongoing.
    pub window: Option<(Option<Window>, Option<Window>)>,
    /// True if the lock has the change, false if only Seam has it.
    pub is_on_device: bool,
}

impl Change {
    /// Returns the difference between two entries.
    pub fn between(from: &LockCode, to: &LockCode, is_on_device: bool) -> Self {
        let name = (from.name != to.name).then(|| (from.name.clone(), to.name.clone()));
        let code = (from.code != to.code).then(|| (Some(from.code.clone()), Some(to.code.clone())));
        let window = (from.window != to.window).then_some((from.window, to.window));
        Self { name, code, window, is_on_device }
    }

    /// Returns true if no property differs.
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.code.is_none() && self.window.is_none()
    }
}

impl CodeState {
    /// Requests the deletion of the code and aborts the operation in progress. If the code is already being removed,
    /// because of an earlier request or because it has ended, its removal continues. The deletion is stored all the
    /// same: with `keeps_expired`, a code that ended without a deletion stays visible.
    pub fn request_deletion(&mut self, at: Timestamp) {
        let is_being_removed = self.removing_since().is_some();
        self.deletion_requested_at.get_or_insert(at);
        if !is_being_removed {
            self.as_of = self.as_of.max(at);
            self.restart_operation();
        }
    }

    /// Ends the code at once, without an operation of the lock, because Seam does not control its device any more.
    pub fn end_at_once(&mut self, at: Timestamp) {
        self.as_of = self.as_of.max(at);
        self.deletion_requested_at.get_or_insert(at);
        self.restart_operation();
        self.held = None;
        self.gone_at = Some(at);
    }

    /// Requests new properties for the code. The operation in progress is aborted and starts again. A code that was
    /// removed at the lock is set again, even if changes at the lock are allowed.
    ///
    /// Returns the requested change. The lock has the change only after it has confirmed the update; a code that is not
    /// on the lock yet needs no update.
    pub fn request_update(&mut self, at: Timestamp, requested: LockCode, is_natively_scheduled: bool) -> Change {
        let change = Change::between(&self.requested, &requested, false);
        if change.is_empty() {
            return change;
        }
        self.as_of = self.as_of.max(at);
        // The schedule of a code that becomes ongoing stays on the lock until the lock confirms the update.
        let keeps_schedule = self.is_natively_scheduled && self.held.as_ref().is_some_and(|held| held.window.is_some());
        self.is_natively_scheduled = if requested.window.is_some() { is_natively_scheduled } else { keeps_schedule };
        if change.window.is_some_and(|(from, to)| from.map(|from| from.starts_at) != to.map(|to| to.starts_at)) {
            self.rare_fields.lock_starts_at = None;
        }
        self.requested = requested;
        self.rare_fields.external = None;
        self.restart_operation();
        self.record_pending_since(at);
        change
    }

    /// Records for each property since when the entry on the lock differs from the requested one.
    fn record_pending_since(&mut self, at: Timestamp) {
        let (before, code_to_program) = (self.rare_fields.updating, self.code_to_program());
        let since = |differs: bool, since: Option<Timestamp>| differs.then(|| since.unwrap_or(at));
        self.rare_fields.updating = self.held.as_ref().map_or_else(Updating::default, |held| Updating {
            name: since(held.name != self.requested.name, before.name),
            code: since(held.code != self.requested.code, before.code),
            window: since(held.window != code_to_program.window, before.window),
        });
    }

    /// Aborts the operation in progress so that it starts again, and clears the recorded failure and delay.
    fn restart_operation(&mut self) {
        self.abort_operation();
        self.rare_fields.failure = None;
        self.rare_fields.slow_since = None;
    }

    /// Aborts the operation in progress, for example because the lock went offline. It starts again when it is next
    /// due, at the earliest when the lock is reachable.
    pub fn abort_operation(&mut self) {
        self.operation_started_at = None;
        self.rare_fields.injected_outcome = None;
    }

    /// Makes the retry of a failed operation due at `at` and resets the number of attempts, because the cause of the
    /// failure may be gone.
    pub fn retry_now(&mut self, at: Timestamp) {
        if let Some(failure) = &mut self.rare_fields.failure
            && failure.retry_at.is_some()
        {
            failure.retry_at = Some(at);
            failure.attempts = 0;
        }
    }

    /// Applies a change made at the lock to a managed code; `now_held` is `None` if the code was removed. If
    /// `is_allowed`, a changed entry becomes the requested one and a removed code stays off the lock; otherwise the
    /// lock is programmed again. Consecutive changes are recorded as one [`ExternalChange`].
    pub fn apply_external_change(&mut self, at: Timestamp, now_held: Option<LockCode>, is_allowed: bool) {
        self.as_of = self.as_of.max(at);
        let Some(previous) = self.held.take() else {
            return;
        };
        self.held = now_held;
        self.restart_operation();
        let Some(held) = &self.held else {
            let since = self.rare_fields.external.as_ref().map_or(at, |external| external.since);
            self.rare_fields.external =
                Some(ExternalChange { since, is_removed: true, modified_fields: Vec::new(), is_honoured: is_allowed });
            self.rare_fields.updating = Updating::default();
            return;
        };
        let earlier = self.rare_fields.external.take();
        let since = earlier.as_ref().map_or(at, |external| external.since);
        let mut fields = earlier.map_or_else(Vec::new, |external| external.modified_fields);
        for new in modified_fields(&previous, held) {
            match fields.iter_mut().find(|field| field.field == new.field) {
                Some(existing) => existing.to = new.to,
                None => fields.push(new),
            }
        }
        // A property that was changed back is not modified.
        fields.retain(|ModifiedField { from, to, .. }| from != to);
        if is_allowed {
            self.requested = held.clone();
            self.rare_fields.lock_starts_at = None;
            self.rare_fields.updating = Updating::default();
        }
        if !fields.is_empty() {
            self.rare_fields.external =
                Some(ExternalChange { since, is_removed: false, modified_fields: fields, is_honoured: is_allowed });
        }
    }

    /// Stops allowing changes at the lock. Earlier allowed changes stay, because they became the requested entry. A
    /// code that was removed is set again.
    pub fn disallow_external_changes(&mut self, at: Timestamp) {
        if self.rare_fields.external.as_ref().is_some_and(|external| external.is_honoured) {
            self.as_of = self.as_of.max(at);
            self.rare_fields.external = None;
            self.restart_operation();
        }
    }

    /// Converts the code to managed. A code with a time frame is then scheduled natively, because the lock has shown
    /// that it stores schedules.
    pub fn convert_to_managed(&mut self, at: Timestamp) {
        self.as_of = self.as_of.max(at);
        self.is_managed = true;
        self.is_natively_scheduled = self.requested.window.is_some();
    }

    /// Converts the code to unmanaged: the entry on the lock becomes the requested one. Returns false and changes
    /// nothing if the code is not on the lock yet.
    pub fn convert_to_unmanaged(&mut self, at: Timestamp) -> bool {
        let Some(held) = self.held.clone() else { return false };
        self.as_of = self.as_of.max(at);
        self.restart_operation();
        self.rare_fields.updating = Updating::default();
        self.rare_fields.external = None;
        self.rare_fields.lock_starts_at = None;
        self.is_managed = false;
        self.requested = held;
        true
    }

    /// Requests, on behalf of an action attempt, to convert the code to unmanaged. A code that is not on the lock is
    /// converted when the lock confirms it, unless it is deleted or ends first. Returns true if the code is unmanaged
    /// now.
    pub fn request_conversion_to_unmanaged(&mut self, at: Timestamp, action_attempt_id: Uuid) -> bool {
        if self.convert_to_unmanaged(at) {
            return true;
        }
        let unmanage = self.rare_fields.unmanage.get_or_insert_default();
        unmanage.action_attempt_ids.push(action_attempt_id);
        false
    }
}
