//! Faults: outcomes that a tester configured for operations of locks.

use super::access_code::lifecycle::FaultOutcome;
use super::device::Device;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use uuid::Uuid;

/// Fault with the number of operations it was considered for.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub fault_id: Uuid,
    pub workspace_id: Uuid,
    /// Operation that the fault applies to: `set`, `update`, `remove`, `refill`, `lock` or `unlock`.
    pub operation: String,
    /// Lock that the fault applies to; `None`: all locks.
    pub device_id: Option<Uuid>,
    /// Device type that the fault applies to; `None`: all types.
    pub device_type: Option<String>,
    /// Outcome of the operation.
    pub outcome: FaultOutcome,
    /// Number of matching operations that are skipped first.
    pub after: i32,
    /// Number of operations that the fault applies to after that; `None`: all.
    pub times: Option<i32>,
    /// Number of matching operations so far, skipped ones included. Operations to which an earlier fault was applied,
    /// and those after `times` is reached, are not counted.
    pub seen: i32,
    /// Instant of creation, by the clock of the workspace.
    pub created_at: Timestamp,
    /// True if `seen` has changed since the fault was read from the database.
    pub has_changed: bool,
}

/// Errors of access codes that a fault can cause.
const ACCESS_CODE_ERRORS: [&str; 11] = [
    "provider_issue",
    "failed_to_set_on_device",
    "failed_to_remove_from_device",
    "duplicate_code_on_device",
    "no_space_for_access_code_on_device",
    "conflicting_external_modification",
    "access_code_inactive",
    "code_constraints_violated",
    "failed_to_issue",
    "failed_to_update",
    "failed_to_delete",
];

/// Rejects an error code that the failed operation cannot have. An operation on an access code has one of the errors of
/// access codes; the error of an action attempt to lock or unlock the door may have any type.
///
/// # Errors
/// [`Error::InvalidInput`] that names the error codes of access codes.
pub(crate) fn check_error_code(operation: &str, outcome: &FaultOutcome) -> Result<()> {
    let FaultOutcome::Fail(error) = outcome else { return Ok(()) };
    let is_accepted = |code: &String| ACCESS_CODE_ERRORS.contains(&code.as_str());
    if matches!(operation, "lock" | "unlock") || error.error_code.as_ref().is_none_or(is_accepted) {
        return Ok(());
    }
    let known = ACCESS_CODE_ERRORS.map(|code| format!("'{code}'")).join(" | ");
    Err(Error::invalid("outcome", format!("An access code has no such error_code. Expected {known}")))
}

impl Fault {
    fn matches(&self, device: &Device, operation: &str) -> bool {
        self.workspace_id == device.workspace_id
            && self.operation == operation
            && self.device_id.is_none_or(|device_id| device_id == device.device_id)
            && self.device_type.as_deref().is_none_or(|device_type| device_type == device.brand.device_type)
    }

    /// Returns the number of operations that the fault has been applied to.
    pub(crate) fn used(&self) -> i32 {
        let used = (self.seen - self.after).max(0);
        self.times.map_or(used, |times| used.min(times))
    }

    /// Returns true if the fault has been applied `times` times.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.times.is_some_and(|times| self.used() >= times)
    }
}

/// Returns the outcome for an operation that starts now: that of the first matching fault that does not skip it.
/// `None`: the usual outcome. `faults` is in the order of creation. Each matching fault up to that one counts the
/// operation, except exhausted ones.
pub(crate) fn apply(faults: &mut [Fault], device: &Device, operation: &str) -> Option<FaultOutcome> {
    for fault in faults.iter_mut().filter(|fault| fault.matches(device, operation)) {
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
    use crate::domain::access_code::lifecycle::rare_fields::OperationError;
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
    fn fault_applies_to_matching_operations_only() {
        let lock = device("august_lock", json!({}));
        let (device_id, of_type) = (Some(lock.device_id), |name: &str| Some(name.to_owned()));
        for (fault, operation, applies) in [
            (fault(), "set", true),
            (fault(), "update", false),
            (Fault { workspace_id: Uuid::nil(), ..fault() }, "set", false),
            (Fault { device_id, ..fault() }, "set", true),
            (Fault { device_id: Some(Uuid::nil()), ..fault() }, "set", false),
            (Fault { device_type: of_type("august_lock"), ..fault() }, "set", true),
            (Fault { device_type: of_type("yale_lock"), ..fault() }, "set", false),
        ] {
            let mut faults = [fault];
            assert_eq!(apply(&mut faults, &lock, operation).is_some(), applies, "{faults:?}");
            assert_eq!((faults[0].seen, faults[0].has_changed), (i32::from(applies), applies));
        }
    }

    #[test]
    fn fault_of_an_access_code_has_one_of_its_errors() {
        let fail = |code: Option<&str>| {
            let error_code = code.map(str::to_owned);
            FaultOutcome::Fail(OperationError { error_code, ..OperationError::default() })
        };
        for (operation, outcome, is_accepted) in [
            ("set", fail(None), true),
            ("set", fail(Some("provider_issue")), true),
            ("remove", fail(Some("jammed")), false),
            ("refill", FaultOutcome::Never, true),
            ("lock", fail(Some("jammed")), true),
            ("unlock", fail(Some("jammed")), true),
        ] {
            assert_eq!(check_error_code(operation, &outcome).is_ok(), is_accepted, "{operation} {outcome:?}");
        }
    }

    #[test]
    fn fault_skips_after_and_applies_times_and_then_the_next_fault_applies() {
        let lock = device("august_lock", json!({}));
        let later = Fault { outcome: FaultOutcome::Delay("PT1H".to_owned()), ..fault() };
        let mut faults = [Fault { after: 1, times: Some(2), ..fault() }, later];
        let (delayed, never) = (Some(FaultOutcome::Delay("PT1H".to_owned())), Some(FaultOutcome::Never));
        for (expected, used, is_exhausted) in [
            // The first fault skips the operation, so the second one applies.
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
