//! Moves of a workspace's clock. All steps that fall due up to the target run, each at its own instant.

use super::app::App;
use super::locked_codes::LockedCodes;
use super::locked_workspace;
use super::simulation::MAX_STEPS;
use crate::clock::{MAX_TIMESTAMP, Timestamp, WorkspaceClock, machine_now, to_iso};
use crate::domain::caller::Visibility;
use crate::domain::simulation::{Pace, StopWhen};
use crate::domain::workspace::{Workspace, WorkspaceSettings};
use crate::error::{Error, Result};
use crate::store::access_codes::{self, DeviceSelection};
use crate::store::{devices, workspaces};
use chrono::TimeDelta;

/// Maximum move of `until: "quiet"`.
const MAX_IDLE_ADVANCE: TimeDelta = TimeDelta::days(400);

/// Returns the requested instant.
///
/// # Errors
/// [`Error::Conflict`] if it is before `now`.
pub(crate) fn not_before(now: Timestamp, requested: Timestamp, settings: &WorkspaceSettings) -> Result<Timestamp> {
    if requested >= now {
        return Ok(requested);
    }
    let how = if matches!(settings.clock, WorkspaceClock::Held { .. }) { "is held at" } else { "is already" };
    Err(Error::Conflict(format!(
        "the clock never moves backwards: the workspace's clock {how} {}, and {} is before that. Create a workspace \
         that starts there: POST /_emulator/workspaces/create with clock.held_at.",
        to_iso(now),
        to_iso(requested)
    )))
}

/// Target of a move of the clock.
pub(crate) enum Move {
    /// To this instant, after which the clock has this state.
    To(Timestamp, WorkspaceClock),
    /// To the next instant at which a step falls due, if any.
    ToNext,
    /// To the instant of the last step that is not only a retry, see [`StopWhen::Idle`].
    UntilIdle,
}

/// Result of a move of the clock.
pub(crate) struct Moved {
    /// The clock after the move.
    pub clock: WorkspaceClock,
    /// Number of steps of access codes and of operations of locks.
    pub transitions: u64,
    /// Number of recorded events.
    pub events: usize,
}

/// Moves a clock. All devices of the workspace are locked, so that no other transaction uses the old time meanwhile.
///
/// `decide` receives the settings, the time on the workspace's clock and the time on the machine's clock, all read
/// under these locks. If the clock runs afterwards, the caller must wake the scheduler.
pub(crate) async fn move_clock(
    app: &App,
    workspace: &Workspace,
    decide: impl FnOnce(&WorkspaceSettings, Timestamp, Timestamp) -> Result<Move>,
) -> Result<Moved> {
    let workspace_id = workspace.workspace_id;
    let mut tx = locked_workspace::begin_long(app, workspace_id).await?;
    let device_ids = devices::ids(&mut tx, workspace_id).await?;
    let devices = DeviceSelection::ByIds(&device_ids);
    let visibility = Visibility::all_of(workspace_id);
    access_codes::lock_devices(&mut tx, &visibility, devices).await?;
    let mut locked = access_codes::locked_devices(&mut tx, Some(&visibility), devices).await?;
    // Read the clock after the locks: it may have moved while this transaction waited for them.
    let (_, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    let machine_now = machine_now();
    let now = settings.clock.now(machine_now);
    let chosen = decide(&settings, now, machine_now)?;
    let target = match &chosen {
        Move::To(at, _) => *at,
        Move::ToNext => {
            let of_codes = access_codes::next_due(&mut tx, workspace_id).await?;
            let of_locks = locked.iter().filter_map(|locked| locked.device.next_lock_operation_at());
            let due_at = of_locks.chain(of_codes).min().filter(|due_at| *due_at <= MAX_TIMESTAMP);
            due_at.map_or(now, |due_at| due_at.max(now))
        }
        Move::UntilIdle => {
            now.checked_add_signed(MAX_IDLE_ADVANCE).map_or(MAX_TIMESTAMP, |until| until.min(MAX_TIMESTAMP))
        }
    };
    // Run and record the steps as on a held clock, each at its own instant.
    for device in &mut locked {
        device.settings = WorkspaceSettings { clock: WorkspaceClock::Held { at: target }, ..settings };
    }
    let due = access_codes::due_in_workspace(&mut tx, workspace_id, &device_ids, target).await?;
    let mut codes = LockedCodes::new(locked, due, machine_now);
    let stop_when = if matches!(chosen, Move::UntilIdle) { StopWhen::Idle } else { StopWhen::TimeIsReached };
    let steps = codes.run(&mut tx, &[(Pace::Usual, &|_| true)], |_| target, (stop_when, MAX_STEPS)).await?;
    if steps.has_reached_limit {
        return Err(Error::TooManySteps { steps: steps.taken, limit: MAX_STEPS });
    }
    let clock = match chosen {
        Move::To(_, clock) => clock,
        Move::ToNext => WorkspaceClock::Held { at: target },
        Move::UntilIdle => WorkspaceClock::Held { at: steps.last.unwrap_or(now).max(now) },
    };
    let moved = Moved { clock, transitions: steps.taken, events: codes.recorder.events.len() };
    codes.write(&mut tx).await?;
    workspaces::set_clock(&mut tx, workspace_id, clock).await?;
    access_codes::set_wake_times(&mut tx, workspace_id, clock).await?;
    devices::set_wake_times(&mut tx, &codes.devices, clock).await?;
    tx.commit().await?;
    // Client sessions may have expired.
    app.callers.forget(workspace_id);
    codes.recorder.publish(app, &[]);
    Ok(moved)
}
