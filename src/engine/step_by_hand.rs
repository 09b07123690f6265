//! One step of an access code, taken because a tester says so and not because it is due.

use super::unit_of_work::UnitOfWork;
use crate::domain::access_code::lifecycle::Step;
use crate::error::{Error, Result};
use uuid::Uuid;

/// Takes the next step of a code: the provider tells the PIN; else the lock finishes what it is doing with the
/// code, or what it is about to do.
///
/// # Errors
/// [`Error::Conflict`] where the lock has nothing to do with the code.
pub(crate) async fn step(work: &mut UnitOfWork, access_code_id: Uuid) -> Result<()> {
    let now = work.now;
    let state = &work.codes.get(access_code_id)?.state;
    let locked = work.codes.device_of(access_code_id)?;
    let lock = locked.device.lock(&locked.settings);
    let is_due =
        state.work().is_some_and(|(_, due)| due <= now) && (state.is_offline || lock.reachable_since.is_some());
    let is_assigned = state.removing_since().is_none() && state.rare_fields.awaits_code;
    let steps: &[Step] = match (is_assigned, is_due, state.working_since) {
        (true, ..) => &[Step::Assign],
        (false, true, Some(_)) => &[Step::Confirm],
        (false, true, None) => &[Step::Begin, Step::Confirm],
        (false, false, _) => {
            return Err(Error::Conflict(
                "the lock has nothing to do with this access code now. Move the clock, bring the lock online, or ask \
                 for a change first."
                    .to_owned(),
            ));
        }
    };
    work.codes.take_steps(&mut work.tx, access_code_id, now, steps).await
}
