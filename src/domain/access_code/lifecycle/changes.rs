//! What the API and people at the lock do to a code's life, at an instant up to which it has been lived.

use super::rare_fields::{ExternalChange, ModifiedField, Updating, modified_fields};
use super::{CodeState, LockCode, Window};
use crate::clock::Timestamp;
use uuid::Uuid;

/// A change of a code's properties: from what to what. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Of the name.
    pub name: Option<(Option<String>, Option<String>)>,
    /// Of the PIN; from `None` where the provider tells it for the first time.
    pub code: Option<(Option<String>, Option<String>)>,
    /// Of the time frame; `None` on the side on which the code is ongoing.
    pub window: Option<(Option<Window>, Option<Window>)>,
    /// Whether the lock has it, or only Seam.
    pub is_on_device: bool,
}

impl Change {
    /// What differs between two entries.
    pub fn between(from: &LockCode, to: &LockCode, is_on_device: bool) -> Self {
        let name = (from.name != to.name).then(|| (from.name.clone(), to.name.clone()));
        let code = (from.code != to.code).then(|| (Some(from.code.clone()), Some(to.code.clone())));
        let window = (from.window != to.window).then_some((from.window, to.window));
        Self { name, code, window, is_on_device }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.code.is_none() && self.window.is_none()
    }
}

impl CodeState {
    /// Asks for the code to go. What the lock was doing with it is broken off.
    pub fn request_deletion(&mut self, at: Timestamp) {
        if self.removing_since().is_none() {
            self.deletion_requested_at = Some(at);
            self.as_of = self.as_of.max(at);
            self.begin_anew();
        }
    }

    /// Asks for the code to be otherwise. What the lock was doing with it is broken off and begins anew.
    ///
    /// Gives what is asked to change; the lock has it only once it confirms. Where the lock does not hold the code
    /// yet there is nothing to confirm.
    pub fn request_update(&mut self, at: Timestamp, asked: LockCode, is_natively_scheduled: bool) -> Change {
        let change = Change::between(&self.asked, &asked, false);
        if change.is_empty() {
            return change;
        }
        self.as_of = self.as_of.max(at);
        // The schedule of a code that becomes ongoing stays on the lock until that confirms.
        let is_kept = self.is_natively_scheduled && self.held.as_ref().is_some_and(|held| held.window.is_some());
        self.is_natively_scheduled = if asked.window.is_some() { is_natively_scheduled } else { is_kept };
        if change.window.is_some_and(|(from, to)| from.map(|it| it.starts_at) != to.map(|it| it.starts_at)) {
            self.rare_fields.lock_starts_at = None;
        }
        self.asked = asked;
        self.rare_fields.external = None;
        self.begin_anew();
        self.note_what_is_pending(at);
        change
    }

    /// Notes since when the lock's entry differs from what is asked for.
    fn note_what_is_pending(&mut self, at: Timestamp) {
        let (before, asked_of_lock) = (self.rare_fields.updating, self.asked_of_lock());
        let since = |differs: bool, since: Option<Timestamp>| differs.then(|| since.unwrap_or(at));
        self.rare_fields.updating = self.held.as_ref().map_or_else(Updating::default, |held| Updating {
            name: since(held.name != self.asked.name, before.name),
            code: since(held.code != self.asked.code, before.code),
            window: since(held.window != asked_of_lock.window, before.window),
        });
    }

    /// Breaks off what the lock is doing with the code, and forgets what went wrong so far.
    fn begin_anew(&mut self) {
        self.break_off();
        self.rare_fields.failure = None;
        self.rare_fields.slow_since = None;
    }

    /// The lock went offline: what it was doing with the code is broken off, to begin anew when it is back.
    pub fn break_off(&mut self) {
        self.working_since = None;
        self.rare_fields.injected_outcome = None;
    }

    /// What stood in the way is gone: the next attempt begins at once, and counts as the first.
    pub fn try_again(&mut self, at: Timestamp) {
        if let Some(failure) = &mut self.rare_fields.failure
            && failure.retry_at.is_some()
        {
            failure.retry_at = Some(at);
            failure.attempts = 0;
        }
    }

    /// Somebody changed the code at the lock, or removed it (`None`). Honoured where that `is_allowed`: then it is
    /// what is asked for from now on.
    pub fn change_outside(&mut self, at: Timestamp, now_held: Option<LockCode>, is_allowed: bool) {
        self.as_of = self.as_of.max(at);
        let Some(was) = self.held.take() else {
            return;
        };
        self.held = now_held;
        self.begin_anew();
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
        for new in modified_fields(&was, held) {
            match fields.iter_mut().find(|field| field.field == new.field) {
                Some(known) => known.to = new.to,
                None => fields.push(new),
            }
        }
        // Whoever changes it back has changed nothing.
        fields.retain(|ModifiedField { from, to, .. }| from != to);
        if is_allowed {
            self.asked = held.clone();
            self.rare_fields.lock_starts_at = None;
            self.rare_fields.updating = Updating::default();
        }
        if !fields.is_empty() {
            self.rare_fields.external =
                Some(ExternalChange { since, is_removed: false, modified_fields: fields, is_honoured: is_allowed });
        }
    }

    /// From now on nobody may change the code at the lock: what somebody changed stays, as it has become what is asked
    /// for, and what somebody removed is set again.
    pub fn forbid_changes_outside(&mut self, at: Timestamp) {
        if self.rare_fields.external.as_ref().is_some_and(|external| external.is_honoured) {
            self.as_of = self.as_of.max(at);
            self.rare_fields.external = None;
            self.begin_anew();
        }
    }

    /// Seam takes over a code that somebody else put on the lock. One with a time frame has shown that the lock keeps
    /// schedules.
    pub fn make_managed(&mut self, at: Timestamp) {
        self.as_of = self.as_of.max(at);
        self.is_managed = true;
        self.is_natively_scheduled = self.asked.window.is_some();
    }

    /// Seam lets go of the code: what the lock holds is all there is of it. `false`: the lock does not hold it yet, so it
    /// stays managed.
    pub fn make_unmanaged(&mut self, at: Timestamp) -> bool {
        let Some(held) = self.held.clone() else { return false };
        self.as_of = self.as_of.max(at);
        self.begin_anew();
        self.rare_fields.updating = Updating::default();
        self.rare_fields.external = None;
        self.rare_fields.lock_starts_at = None;
        self.is_managed = false;
        self.asked = held;
        true
    }

    /// Asks for the code to become unmanaged, by this action attempt: at once where the lock holds it, else as soon as it
    /// does. Gives whether it is unmanaged now. To delete the code, or its end, comes before that.
    pub fn request_unmanaging(&mut self, at: Timestamp, action_attempt_id: Uuid) -> bool {
        if self.make_unmanaged(at) {
            return true;
        }
        let unmanage = self.rare_fields.unmanage.get_or_insert_default();
        unmanage.action_attempt_ids.push(action_attempt_id);
        false
    }
}
