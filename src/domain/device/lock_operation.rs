//! Operations that a lock performs later: requests to lock or unlock the door that a fault delays, and the automatic
//! lock.

use super::Device;
use crate::clock::Timestamp;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// Maximum number of operations that wait on one lock.
pub(crate) const MAX_LOCK_OPERATIONS: usize = 100;

/// Delay of the automatic lock if a request enables it without one: 30 seconds. Seam documents no default.
const DEFAULT_AUTO_LOCK_DELAY_SECONDS: u32 = 30;

/// Operation that a lock performs later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockOperation {
    /// Instant at which the lock performs it, on the clock of the workspace.
    pub due_at: Timestamp,
    /// The action.
    pub action: LockAction,
}

/// Action of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockAction {
    /// Locks the door, for a request.
    LockDoor(RequestedAction),
    /// Unlocks the door, for a request.
    UnlockDoor(RequestedAction),
    /// Locks the door by itself, some time after it was unlocked.
    AutoLock,
}

/// Action attempt of a request to lock or unlock the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedAction {
    /// Id of the action attempt.
    pub action_attempt_id: Uuid,
    /// Instant of the request, on the clock of the workspace.
    pub created_at: Timestamp,
}

impl Device {
    /// Returns the instant at which the first operation is due; `None`: no operation waits.
    pub(crate) fn next_lock_operation_at(&self) -> Option<Timestamp> {
        self.lock_operations.iter().map(|operation| operation.due_at).min()
    }

    /// Removes and returns the operation that is due first, if it is due by this instant. Operations that are due at
    /// the same instant are returned in the order in which they were requested.
    pub(crate) fn take_due_lock_operation(&mut self, until: Timestamp) -> Option<LockOperation> {
        let due = self.lock_operations.iter().enumerate().filter(|(_, operation)| operation.due_at <= until);
        let (index, _) = due.min_by_key(|(index, operation)| (operation.due_at, *index))?;
        Some(self.lock_operations.remove(index))
    }

    /// Removes and returns the actions that wait for requests, in the order of the requests.
    pub(crate) fn take_requested_actions(&mut self) -> Vec<LockAction> {
        let is_requested = |operation: &LockOperation| operation.action != LockAction::AutoLock;
        let waiting = std::mem::take(&mut self.lock_operations);
        let (requested, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_requested);
        self.lock_operations = others;
        requested.into_iter().map(|operation| operation.action).collect()
    }

    /// Moves the bolt and starts the automatic lock, or ends it.
    pub(crate) fn move_bolt(&mut self, is_locked: bool, at: Timestamp) {
        self.set_locked(is_locked);
        self.lock_operations.retain(|operation| operation.action != LockAction::AutoLock);
        if !is_locked
            && let Some(delay) = self.auto_lock_delay()
            && let Some(due_at) = at.checked_add_signed(delay)
        {
            self.lock_operations.push(LockOperation { due_at, action: LockAction::AutoLock });
        }
    }

    /// Sets the automatic lock. Without a delay, the current delay stays, or the default delay is set. If the door is
    /// unlocked, the delay starts at `at`.
    pub(crate) fn configure_auto_lock(&mut self, is_enabled: bool, delay_seconds: Option<Value>, at: Timestamp) {
        let properties = &mut self.overrides.properties;
        properties.insert("auto_lock_enabled".to_owned(), json!(is_enabled));
        let delay_seconds = delay_seconds.or_else(|| {
            let needs_default = is_enabled && !properties.contains_key("auto_lock_delay_seconds");
            needs_default.then(|| json!(DEFAULT_AUTO_LOCK_DELAY_SECONDS))
        });
        if let Some(delay_seconds) = delay_seconds {
            properties.insert("auto_lock_delay_seconds".to_owned(), delay_seconds);
        }
        self.move_bolt(self.is_locked(), at);
    }

    /// Returns the real state of the bolt, which an unreachable lock does not report.
    fn is_locked(&self) -> bool {
        self.health.locked_unseen.unwrap_or_else(|| self.is_reported_locked())
    }

    /// Returns the state of the bolt as the lock has last reported it.
    pub(crate) fn is_reported_locked(&self) -> bool {
        self.overrides.properties.get("locked").and_then(Value::as_bool).unwrap_or(true)
    }

    /// Returns the delay of the automatic lock; `None`: it is disabled.
    fn auto_lock_delay(&self) -> Option<TimeDelta> {
        let property = |name: &str| self.overrides.properties.get(name);
        if property("auto_lock_enabled") != Some(&Value::Bool(true)) {
            return None;
        }
        let seconds = property("auto_lock_delay_seconds").and_then(Value::as_f64);
        let seconds = seconds.unwrap_or_else(|| f64::from(DEFAULT_AUTO_LOCK_DELAY_SECONDS));
        std::time::Duration::try_from_secs_f64(seconds).ok().and_then(|delay| TimeDelta::from_std(delay).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::{at, device};

    fn auto_lock(due_at: Timestamp) -> LockOperation {
        LockOperation { due_at, action: LockAction::AutoLock }
    }

    #[test]
    fn due_lock_operation_is_the_earliest_and_of_equals_the_first() {
        let mut lock = device("august_lock", json!({}));
        let requested = |number| RequestedAction { action_attempt_id: Uuid::from_u128(number), created_at: at(0) };
        let operation = |hours, action| LockOperation { due_at: at(hours), action };
        let first = operation(2, LockAction::LockDoor(requested(1)));
        let second = operation(2, LockAction::UnlockDoor(requested(2)));
        let third = operation(1, LockAction::UnlockDoor(requested(3)));
        assert_eq!((lock.next_lock_operation_at(), lock.take_due_lock_operation(at(9))), (None, None));
        lock.lock_operations = vec![first.clone(), second.clone(), third.clone()];
        assert_eq!(lock.next_lock_operation_at(), Some(at(1)));
        assert_eq!(lock.take_due_lock_operation(at(0)), None);
        assert_eq!(lock.take_due_lock_operation(at(1)), Some(third));
        assert_eq!(lock.take_due_lock_operation(at(1)), None);
        assert_eq!(lock.take_due_lock_operation(at(2)), Some(first));
        assert_eq!(lock.take_due_lock_operation(at(2)), Some(second));
    }

    #[test]
    fn auto_lock_follows_each_unlocking_while_it_is_enabled() {
        let mut lock = device("august_lock", json!({}));
        lock.move_bolt(false, at(0));
        assert_eq!(lock.lock_operations, [], "it is disabled by default");
        lock.configure_auto_lock(true, None, at(1));
        assert_eq!(lock.overrides.properties["auto_lock_delay_seconds"], 30);
        assert_eq!(lock.lock_operations, [auto_lock(at(1) + TimeDelta::seconds(30))]);
        lock.configure_auto_lock(true, Some(json!(1.5)), at(2));
        assert_eq!(lock.lock_operations, [auto_lock(at(2) + TimeDelta::milliseconds(1500))]);
        lock.move_bolt(true, at(3));
        assert_eq!(lock.lock_operations, []);
        lock.configure_auto_lock(true, None, at(4));
        assert_eq!((lock.lock_operations.len(), lock.is_locked()), (0, true), "the door is locked");
        assert_eq!(lock.overrides.properties["auto_lock_delay_seconds"], 1.5);
        lock.move_bolt(false, at(5));
        lock.move_bolt(false, at(6));
        assert_eq!(lock.lock_operations, [auto_lock(at(6) + TimeDelta::milliseconds(1500))]);
        lock.configure_auto_lock(false, None, at(7));
        assert_eq!(lock.lock_operations, []);
    }

    #[test]
    fn auto_lock_of_an_unreachable_lock_follows_the_real_state_of_the_bolt() {
        let mut lock = device("august_lock", json!({ "properties": { "auto_lock_enabled": true } }));
        lock.change(at(0), |device| device.health.disconnected_at = Some(at(0)));
        lock.move_bolt(false, at(1));
        assert_eq!((lock.is_locked(), lock.health.locked_unseen), (false, Some(false)));
        assert_eq!(lock.lock_operations, [auto_lock(at(1) + TimeDelta::seconds(30))]);
    }

    #[test]
    fn auto_lock_with_an_impossible_delay_does_not_start() {
        for delay in [-1.0, f64::MAX] {
            let properties = json!({ "auto_lock_enabled": true, "auto_lock_delay_seconds": delay });
            let mut lock = device("august_lock", json!({ "properties": properties }));
            lock.move_bolt(false, at(1));
            assert_eq!(lock.lock_operations, [], "{delay}");
        }
    }
}
