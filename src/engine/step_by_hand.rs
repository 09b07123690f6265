//! Manual steps of an access code: requested by a tester instead of run by the scheduler when due.

use super::unit_of_work::UnitOfWork;
use crate::domain::access_code::lifecycle::Step;
use crate::error::{Error, Result};
use uuid::Uuid;

/// Runs the next step of a code: the provider assigns the PIN, or else the lock completes the operation that is in
/// progress or due.
///
/// # Errors
/// [`Error::Conflict`] if the lock has no operation for the code.
pub(crate) async fn step(work: &mut UnitOfWork, access_code_id: Uuid) -> Result<()> {
    let now = work.now;
    let state = &work.codes.get(access_code_id)?.state;
    let locked = work.codes.device_of(access_code_id)?;
    let lock = locked.device.lock(&locked.settings);
    let is_due = state.required_operation().is_some_and(|(_, due)| due <= now)
        && (state.is_offline || lock.reachable_since.is_some());
    let awaits_pin = state.removing_since().is_none() && state.rare_fields.awaits_code;
    let steps: &[Step] = match (awaits_pin, is_due, state.operation_started_at) {
        (true, ..) => &[Step::Assign],
        (false, true, Some(_)) => &[Step::Confirm],
        (false, true, None) => &[Step::Begin, Step::Confirm],
        (false, false, _) => {
            return Err(Error::Conflict(
                "the lock has no operation to do for this access code now. Advance the clock, bring the lock online, \
                 or request a change first."
                    .to_owned(),
            ));
        }
    };
    work.codes.take_steps(&mut work.tx, access_code_id, now, steps).await
}
