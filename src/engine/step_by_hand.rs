//! One step of an access code, taken because a tester says so and not because it is due.

use super::locked_codes::LockedCodes;
use super::simulation;
use crate::clock::Instant;
use crate::domain::access_code::lifecycle::Step;
use crate::domain::simulation::Pace;
use crate::error::{Error, Result};

/// Takes the next step of the code at this place: the provider tells the PIN; else the lock finishes what it is doing with the
/// code, or what it is about to do.
///
/// # Errors
/// [`Error::Conflict`] where the lock has nothing to do with the code.
pub async fn step(all: &mut LockedCodes, place: usize) -> Result<()> {
    let now = all.now;
    let life = &all.codes[place].life;
    let locked = all.lock_of(place)?.clone();
    let lock = locked.device.lock(&locked.world);
    let is_due = life.work().is_some_and(|(_, due)| due <= now) && (life.is_offline || lock.reachable_since.is_some());
    let is_assigned = life.removing_since().is_none() && life.particulars.awaits_code;
    let steps: &[Step] = match (is_assigned, is_due, life.working_since) {
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
    all.settle().await?;
    let LockedCodes { tx, locked: locks, codes, events, machine_now, .. } = all;
    // Whatever falls due until then, the lock's memory is needed: it may confirm now.
    let far = Instant::MAX_UTC;
    let mut simulated = simulation::load(tx, locks, &[(codes, Pace::Usual)], |_| far, *machine_now).await?;
    let mut frees = false;
    for step in steps {
        frees |= simulated.step(&locked, &lock, &mut codes[place], now, *step, events);
    }
    let backups = simulation::store(simulated, tx).await?;
    for locked in locks.iter_mut() {
        locked.count_backups(&backups);
    }
    all.touch(place);
    for other in 0..all.codes.len() {
        if frees && all.codes[other].blocked_on() == Some(locked.device.device_id) {
            all.codes[other].life.try_again(now);
            all.touch(other);
        }
    }
    Ok(())
}
