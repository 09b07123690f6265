//! Performs the operations of locks that are due: delayed requests to lock or unlock the door, and automatic locks.

use crate::clock::Timestamp;
use crate::compute;
use crate::domain::access_code::lifecycle::FaultOutcome;
use crate::domain::action_attempt::NewActionAttempt;
use crate::domain::bolt;
use crate::domain::device::lock_operation::LockAction;
use crate::domain::event::NewEvent;
use crate::domain::fault::{self, Fault};
use crate::domain::locked_device::LockedDevice;
use crate::domain::simulation::Steps;
use crate::error::Result;
use crate::store::faults;
use sqlx::PgConnection;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use uuid::Uuid;

/// Number of waiting operations from which performing them counts as a long computation.
const FEW_OPERATIONS: usize = 500;

/// Entry of the queue: instant of the next operation of a device, ordinal of the device, and its index. `Reverse`, because
/// a [`BinaryHeap`] returns its greatest element first.
type Due = Reverse<(Timestamp, i32, usize)>;

/// Result of performing the due operations of locks.
#[derive(Debug, Default)]
pub(crate) struct DueOperations {
    /// Number of operations, and the instant of the last one.
    pub steps: Steps,
    pub events: Vec<NewEvent>,
    pub resolved_attempts: Vec<NewActionAttempt>,
}

/// Performs the operations that are due by the instant that `until` returns for the device, each at its own instant, and
/// of several at one instant in the order in which their devices were created. At most `max_steps`; the others stay due.
/// Executes no SQL statement, unless an automatic lock is due in a workspace with faults.
pub(crate) async fn perform(
    tx: &mut PgConnection,
    devices: &mut [LockedDevice],
    until: impl Fn(&LockedDevice) -> Timestamp,
    machine_now: Timestamp,
    max_steps: u64,
) -> Result<DueOperations> {
    let next = |locked: &LockedDevice| locked.device.next_lock_operation_at().filter(|due_at| *due_at <= until(locked));
    let due = devices
        .iter()
        .enumerate()
        .filter_map(|(index, locked)| Some(Reverse((next(locked)?, locked.device.ordinal, index))));
    let mut queue: BinaryHeap<Due> = due.collect();
    let mut done = DueOperations::default();
    if queue.is_empty() {
        return Ok(done);
    }
    let needs_faults =
        devices.iter().any(|locked| locked.settings.has_faults && next(locked).is_some() && starts_auto_lock(locked));
    // The faults of all workspaces are locked at once, as `simulation::load` does afterwards: two transactions that lock
    // them in two steps could wait for each other.
    let with_faults: BTreeSet<Uuid> = devices
        .iter()
        .filter(|locked| needs_faults && locked.settings.has_faults)
        .map(|locked| locked.device.workspace_id)
        .collect();
    let mut faults = if with_faults.is_empty() { Vec::new() } else { faults::lock(tx, &with_faults).await? };
    let waiting: usize = devices.iter().map(|locked| locked.device.lock_operations.len()).sum();
    compute::sized(waiting > FEW_OPERATIONS, || {
        while let Some(Reverse((due_at, ordinal, index))) = queue.pop() {
            if done.steps.taken >= max_steps {
                done.steps.has_reached_limit = true;
                return;
            }
            let Some(locked) = devices.get_mut(index) else { continue };
            if let Some(operation) = locked.device.take_due_lock_operation(due_at) {
                perform_one(locked, &mut faults, (operation.due_at, operation.action), machine_now, &mut done);
            }
            queue.extend(next(locked).map(|due_at| Reverse((due_at, ordinal, index))));
        }
    })
    .await;
    faults::save(tx, &faults).await?;
    Ok(done)
}

/// Returns true if the lock may lock itself: an automatic lock waits, or may follow an operation that waits.
fn starts_auto_lock(locked: &LockedDevice) -> bool {
    let mut operations = locked.device.lock_operations.iter();
    operations.any(|operation| !matches!(operation.action, LockAction::LockDoor(_)))
}

/// Performs one operation. The fault of a requested operation has been applied when it was requested.
fn perform_one(
    locked: &mut LockedDevice,
    faults: &mut [Fault],
    (due_at, action): (Timestamp, LockAction),
    machine_now: Timestamp,
    done: &mut DueOperations,
) {
    done.steps.taken += 1;
    done.steps.last = done.steps.last.max(Some(due_at));
    if action == LockAction::AutoLock
        && let Some(FaultOutcome::Fail(_) | FaultOutcome::Never) = fault::apply(faults, &locked.device, "lock")
    {
        return;
    }
    let performed = bolt::perform(locked, action, None, (due_at, machine_now));
    done.events.extend(performed.events);
    done.resolved_attempts.extend(performed.action_attempt);
}
