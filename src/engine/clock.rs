//! Moving a workspace's clock: all that falls due on the way happens, each step at its own instant.

use super::app::App;
use super::locked_codes::LockedCodes;
use super::locked_workspace;
use super::simulation::MAX_STEPS;
use crate::clock::{MAX_TIMESTAMP, Timestamp, WorkspaceClock, machine_now, to_iso};
use crate::domain::caller::Visibility;
use crate::domain::simulation::{Pace, StopWhen};
use crate::domain::workspace::{Workspace, WorkspaceSettings};
use crate::error::{Error, Result};
use crate::store::{access_codes, devices, workspaces};
use chrono::TimeDelta;

/// How far `until: "quiet"` looks ahead.
const MAX_IDLE_ADVANCE: TimeDelta = TimeDelta::days(400);

/// The instant wanted, unless that is before the present.
pub(crate) fn not_before(now: Timestamp, params: Timestamp, settings: &WorkspaceSettings) -> Result<Timestamp> {
    if params >= now {
        return Ok(params);
    }
    let how = if matches!(settings.clock, WorkspaceClock::Held { .. }) { "is held at" } else { "is already" };
    Err(Error::Conflict(format!(
        "time never goes backwards: the workspace's clock {how} {}, and {} is before that. Make a new workspace that \
         begins there: POST /_emulator/workspaces/create with clock.held_at.",
        to_iso(now),
        to_iso(params)
    )))
}

/// Where a clock is to go.
pub(crate) enum Move {
    /// To this instant, and on from there in this way.
    To(Timestamp, WorkspaceClock),
    /// To the next instant at which something falls due, if there is one.
    ToNext,
    /// To the last instant at which something happens.
    UntilIdle,
}

/// What moving a clock did.
pub(crate) struct Moved {
    /// The clock as it is now.
    pub clock: WorkspaceClock,
    /// How many steps access codes took.
    pub transitions: u64,
    /// How many events were recorded.
    pub events: usize,
}

/// Moves a clock, with all devices of the workspace locked so that nobody decides by the old time meanwhile.
pub(crate) async fn change(
    app: &App,
    workspace: &Workspace,
    decide: impl FnOnce(&WorkspaceSettings, Timestamp, Timestamp) -> Result<Move>,
) -> Result<Moved> {
    let workspace_id = workspace.workspace_id;
    let mut tx = locked_workspace::begin_long(app, workspace_id).await?;
    let device_ids = devices::ids(&mut tx, workspace_id).await?;
    let mut locked = access_codes::lock_devices(&mut tx, &Visibility::all_of(workspace_id), &device_ids).await?;
    // Read again: while the locks were waited for, the clock may have moved.
    let (_, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    let machine_now = machine_now();
    let now = settings.clock.now(machine_now);
    let chosen = decide(&settings, now, machine_now)?;
    let target = match &chosen {
        Move::To(at, _) => *at,
        Move::ToNext => {
            let due_at = access_codes::next_due(&mut tx, workspace_id).await?.filter(|due_at| *due_at <= MAX_TIMESTAMP);
            due_at.map_or(now, |due_at| due_at.max(now))
        }
        Move::UntilIdle => {
            now.checked_add_signed(MAX_IDLE_ADVANCE).map_or(MAX_TIMESTAMP, |until| until.min(MAX_TIMESTAMP))
        }
    };
    // Steps on the way are taken, and recorded, as on a held clock: each at its own instant.
    for device in &mut locked {
        device.settings = WorkspaceSettings { clock: WorkspaceClock::Held { at: target }, ..settings };
    }
    let due = access_codes::due_in_workspace(&mut tx, workspace_id, &device_ids, target).await?;
    let mut codes = LockedCodes::new(locked, due, machine_now);
    let goal = if matches!(chosen, Move::UntilIdle) { StopWhen::Idle } else { StopWhen::TimeIsReached };
    let steps = codes.run(&mut tx, &[(Pace::Usual, &|_| true)], |_| target, (goal, MAX_STEPS)).await?;
    if steps.is_cut_short {
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
    tx.commit().await?;
    codes.recorder.committed(app, &[]);
    Ok(moved)
}
