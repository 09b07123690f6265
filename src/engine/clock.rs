//! Moving a workspace's clock: all that falls due on the way happens, each step at its own instant.

use super::app::App;
use super::simulation;
use crate::clock::{Instant, LAST, WorkspaceClock, machine_now, to_iso};
use crate::domain::simulation::{Pace, StopWhen};
use crate::domain::workspace::{Workspace, World};
use crate::error::{Error, Resource, Result};
use crate::store::access_codes::{self, Placed};
use crate::store::{devices, workspaces};
use chrono::TimeDelta;

/// How far `until: "quiet"` looks ahead.
const QUIET_WITHIN: TimeDelta = TimeDelta::days(400);

/// The instant wanted, unless that is before the present.
pub fn not_before(now: Instant, wanted: Instant, world: &World) -> Result<Instant> {
    if wanted >= now {
        return Ok(wanted);
    }
    let how = if matches!(world.clock, WorkspaceClock::Held { .. }) { "is held at" } else { "is already" };
    Err(Error::Conflict(format!(
        "time never goes backwards: the workspace's clock {how} {}, and {} is before that. Make a new workspace that \
         begins there: POST /_emulator/workspaces/create with clock.held_at.",
        to_iso(now),
        to_iso(wanted)
    )))
}

/// Where a clock is to go.
pub enum Move {
    /// To this instant, and on from there in this way.
    To(Instant, WorkspaceClock),
    /// To the next instant at which something falls due, if there is one.
    ToNext,
    /// To the last instant at which something happens.
    UntilQuiet,
}

/// What moving a clock did.
pub struct Moved {
    /// The clock as it is now.
    pub clock: WorkspaceClock,
    /// How many steps access codes took.
    pub transitions: u64,
    /// How many events were recorded.
    pub events: usize,
}

/// Moves a clock, with all devices of the workspace locked so that nobody decides by the old time meanwhile.
pub async fn change(
    app: &App,
    workspace: &Workspace,
    decide: impl FnOnce(&World, Instant, Instant) -> Result<Move>,
) -> Result<Moved> {
    let mut tx = app.pool.begin(workspace.workspace_id).await?;
    tx.allow_long().await?;
    let workspace_id = workspace.workspace_id;
    if !workspaces::lock(&mut tx, workspace_id).await? {
        return Err(Error::NotFound(Resource::Workspace));
    }
    let device_ids = devices::ids(&mut tx, workspace_id).await?;
    let mut locked = access_codes::lock_devices(&mut tx, workspace_id, &device_ids).await?;
    // Read again: while the locks were waited for, the clock may have moved.
    let world = workspaces::world(&mut tx, workspace_id).await?.ok_or(Error::NotFound(Resource::Workspace))?;
    let machine_now = machine_now();
    let now = world.clock.now(machine_now);
    let chosen = decide(&world, now, machine_now)?;
    let target = match &chosen {
        Move::To(at, _) => *at,
        Move::ToNext => {
            let due_at = access_codes::next_due(&mut tx, workspace_id).await?.filter(|due_at| *due_at <= LAST);
            due_at.map_or(now, |due_at| due_at.max(now))
        }
        Move::UntilQuiet => now.checked_add_signed(QUIET_WITHIN).map_or(LAST, |until| until.min(LAST)),
    };
    // Steps on the way are taken, and recorded, as on a held clock: each at its own instant.
    for device in &mut locked {
        device.world = World { clock: WorkspaceClock::Held { at: target }, ..world };
    }
    let mut codes = access_codes::due_in_workspace(&mut tx, workspace_id, &device_ids, target).await?;
    let mut simulated = simulation::load(&mut tx, &locked, &[(&codes, Pace::Usual)], |_| target, machine_now).await?;
    let goal = if matches!(chosen, Move::UntilQuiet) { StopWhen::Idle } else { StopWhen::TimeIsReached };
    let mut events = Vec::new();
    let steps =
        simulation::run_within_limit(&mut simulated, (&mut codes, Pace::Usual), |_| target, goal, &mut events).await?;
    simulation::store(simulated, &mut tx).await?;
    let clock = match chosen {
        Move::To(_, clock) => clock,
        Move::ToNext => WorkspaceClock::Held { at: target },
        Move::UntilQuiet => WorkspaceClock::Held { at: steps.last.unwrap_or(now).max(now) },
    };
    let moved = Moved { clock, transitions: steps.taken, events: events.len() };
    let touched = codes.into_iter().zip(steps.touched).filter(|(_, touched)| *touched).map(|(code, _)| code);
    let placed = Placed::all(touched, &locked)?;
    if !placed.is_empty() {
        access_codes::save(&mut tx, workspace_id, &placed, &events, &[]).await?;
    }
    workspaces::set_clock(&mut tx, workspace_id, clock).await?;
    access_codes::set_wake_times(&mut tx, workspace_id, clock).await?;
    tx.commit().await?;
    app.requests.recorded(&events);
    Ok(moved)
}
