//! Faults of operations: what a tester has arranged to become of what locks do.

use super::access_code::lifecycle::FaultOutcome;
use super::device::Device;
use crate::clock::Timestamp;
use uuid::Uuid;

/// A fault, with how often it was considered so far.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Its id.
    pub fault_id: Uuid,
    /// Its workspace.
    pub workspace_id: Uuid,
    /// The operation that it is about: `set`, `update`, `remove`, `refill`, `lock` or `unlock`.
    pub operation: String,
    /// The only lock that it is about.
    pub device_id: Option<Uuid>,
    /// The only type of locks that it is about.
    pub device_type: Option<String>,
    /// What becomes of the operation.
    pub outcome: FaultOutcome,
    /// How many operations it passes over at first.
    pub after: i32,
    /// How many it strikes then; `None`: all.
    pub times: Option<i32>,
    /// How many operations it was considered for.
    pub seen: i32,
    /// When it was made, in the workspace's time.
    pub created_at: Timestamp,
    /// Whether it was considered since it was read.
    pub has_changed: bool,
}

impl Fault {
    fn is_about(&self, device: &Device, operation: &str) -> bool {
        self.workspace_id == device.workspace_id
            && self.operation == operation
            && self.device_id.is_none_or(|device_id| device_id == device.device_id)
            && self.device_type.as_deref().is_none_or(|device_type| device_type == device.brand.device_type)
    }

    /// How many operations it has struck.
    pub(crate) fn used(&self) -> i32 {
        let used = (self.seen - self.after).max(0);
        self.times.map_or(used, |times| used.min(times))
    }

    /// Whether it strikes no more.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.times.is_some_and(|times| self.used() >= times)
    }
}

/// What becomes of an operation that begins now; the fault that decides it counts it.
pub(crate) fn apply(faults: &mut [Fault], device: &Device, operation: &str) -> Option<FaultOutcome> {
    for fault in faults.iter_mut().filter(|fault| fault.is_about(device, operation)) {
        if fault.is_exhausted() {
            continue;
        }
        fault.seen = fault.seen.saturating_add(1);
        fault.has_changed = true;
        if fault.seen > fault.after {
            return Some(fault.outcome.clone());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::{at, device};
    use serde_json::json;

    fn fault() -> Fault {
        Fault {
            fault_id: Uuid::from_u128(9),
            workspace_id: Uuid::from_u128(2),
            operation: "set".to_owned(),
            device_id: None,
            device_type: None,
            outcome: FaultOutcome::Never,
            after: 0,
            times: None,
            seen: 0,
            created_at: at(0),
            has_changed: false,
        }
    }

    #[test]
    fn fault_strikes_the_operations_that_it_is_about() {
        let lock = device("august_lock", json!({}));
        let (device_id, of_type) = (Some(lock.device_id), |name: &str| Some(name.to_owned()));
        for (fault, operation, strikes) in [
            (fault(), "set", true),
            (fault(), "update", false),
            (Fault { workspace_id: Uuid::nil(), ..fault() }, "set", false),
            (Fault { device_id, ..fault() }, "set", true),
            (Fault { device_id: Some(Uuid::nil()), ..fault() }, "set", false),
            (Fault { device_type: of_type("august_lock"), ..fault() }, "set", true),
            (Fault { device_type: of_type("yale_lock"), ..fault() }, "set", false),
        ] {
            let mut faults = [fault];
            assert_eq!(apply(&mut faults, &lock, operation).is_some(), strikes, "{faults:?}");
            assert_eq!((faults[0].seen, faults[0].has_changed), (i32::from(strikes), strikes));
        }
    }

    #[test]
    fn fault_passes_over_some_and_strikes_some_and_the_next_one_takes_its_place() {
        let lock = device("august_lock", json!({}));
        let later = Fault { outcome: FaultOutcome::Delay("PT1H".to_owned()), ..fault() };
        let mut faults = [Fault { after: 1, times: Some(2), ..fault() }, later];
        let (delayed, never) = (Some(FaultOutcome::Delay("PT1H".to_owned())), Some(FaultOutcome::Never));
        for (expected, used, is_exhausted) in [
            // The first one passes it over, so it is the second's.
            (&delayed, 0, false),
            (&never, 1, false),
            (&never, 2, true),
            (&delayed, 2, true),
        ] {
            assert_eq!(&apply(&mut faults, &lock, "set"), expected);
            assert_eq!((faults[0].used(), faults[0].is_exhausted()), (used, is_exhausted));
        }
        assert_eq!(faults.map(|fault| fault.seen), [3, 2], "an exhausted fault is not considered");
    }
}
