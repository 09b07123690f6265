//! `/_emulator/clock*`: the workspace's time, held, moved and let go.
//!
//! Moving it makes everything happen that falls due on the way, each step at its own instant, and answers only
//! when all of it is done.

use super::Control;
use super::worlds::Nothing;
use crate::access_codes::store::{self, Placed};
use crate::app::App;
use crate::clock::{Instant, LAST, WorkspaceClock, from_iso, iso, machine_now, to_iso};
use crate::devices::store as devices;
use crate::error::{Error, Result};
use crate::http::params::{duration, instant, optional_instant};
use crate::programming::{Pace, Until, Workshop};
use crate::workspaces::{Workspace, World, store as workspaces};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// How far `until: "quiet"` looks ahead.
const QUIET_WITHIN: TimeDelta = TimeDelta::days(400);

#[derive(Serialize)]
pub(super) struct ClockBody {
    mode: &'static str,
    #[serde(with = "iso")]
    now: Instant,
    rate: Option<f64>,
}

impl ClockBody {
    pub(super) fn of(clock: WorkspaceClock, machine_now: Instant) -> Self {
        let (mode, rate) = match clock {
            WorkspaceClock::Live => ("live", Some(1.0)),
            WorkspaceClock::Running { rate, .. } => ("running", Some(rate)),
            WorkspaceClock::Held { .. } => ("held", None),
        };
        Self { mode, now: clock.now(machine_now), rate }
    }
}

pub(super) async fn get(call: Control<Nothing>) -> Result<ClockBody> {
    let workspace = call.workspace().await?;
    let workspace_id = workspace.workspace_id;
    let read = call.app.pool.read(workspace_id, |connection| Box::pin(workspaces::world(connection, workspace_id)));
    let world = read.await?.ok_or(Error::WorkspaceNotFound)?;
    Ok(ClockBody::of(world.clock, machine_now()))
}

#[derive(Deserialize)]
pub(super) struct Hold {
    at: Option<String>,
}

pub(super) async fn hold(call: Control<Hold>) -> Result<ClockBody> {
    let at = optional_instant("at", call.input.at.as_deref())?;
    let workspace = call.workspace().await?;
    let moved = change(&call.app, &workspace, |world, now, _| {
        let at = not_before(now, at.unwrap_or(now), world)?;
        Ok(Move::To(at, WorkspaceClock::Held { at }))
    })
    .await?;
    Ok(ClockBody::of(moved.clock, machine_now()))
}

#[derive(Deserialize)]
pub(super) struct Run {
    from: Option<String>,
    rate: Option<f64>,
}

pub(super) async fn run(call: Control<Run>) -> Result<ClockBody> {
    let from = optional_instant("from", call.input.from.as_deref())?;
    let rate = call.input.rate.unwrap_or(1.0);
    let workspace = call.workspace().await?;
    let moved = change(&call.app, &workspace, |world, now, machine_now| {
        let at = not_before(now, from.unwrap_or(now), world)?;
        Ok(Move::To(at, WorkspaceClock::Running { at, since: machine_now, rate }))
    })
    .await?;
    call.app.wake_scheduler();
    Ok(ClockBody::of(moved.clock, machine_now()))
}

#[derive(Deserialize)]
pub(super) struct Advance {
    by: Option<String>,
    to: Option<String>,
    until: Option<Stop>,
    /// Whether to wait for the first attempts of what was sent on the way; nothing is sent yet.
    #[serde(rename = "wait_for_webhooks")]
    _wait_for_webhooks: Option<bool>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stop {
    Next,
    Quiet,
}

#[derive(Serialize)]
pub(super) struct Advanced {
    #[serde(with = "iso")]
    now: Instant,
    transitions: u64,
    events: usize,
}

pub(super) async fn advance(call: Control<Advance>) -> Result<Advanced> {
    enum Goal {
        By(TimeDelta),
        To(Instant),
        Until(Stop),
    }
    let goal = match &call.input {
        Advance { by: Some(by), to: None, until: None, .. } => Goal::By(duration("by", by)?),
        Advance { by: None, to: Some(to), until: None, .. } => Goal::To(instant("to", to)?),
        Advance { by: None, to: None, until: Some(until), .. } => Goal::Until(*until),
        _ => {
            return Err(Error::invalid_request("Give exactly one of by, to and until"));
        }
    };
    let workspace = call.workspace().await?;
    let moved = change(&call.app, &workspace, |world, now, _| {
        let WorkspaceClock::Held { .. } = world.clock else {
            return Err(Error::Conflict(
                "only a held clock can be advanced, and this one goes by itself. Hold it first: POST /_emulator/clock/hold."
                    .to_owned(),
            ));
        };
        let at = match goal {
            Goal::By(by) => now.checked_add_signed(by).filter(|at| from_iso(&to_iso(*at)).is_some()),
            Goal::To(to) => Some(not_before(now, to, world)?),
            Goal::Until(Stop::Next) => return Ok(Move::ToNext),
            Goal::Until(Stop::Quiet) => return Ok(Move::UntilQuiet),
        };
        let at = at.ok_or_else(|| Error::invalid("by", "That leads beyond the year 9999"))?;
        Ok(Move::To(at, WorkspaceClock::Held { at }))
    })
    .await?;
    Ok(Advanced { now: moved.clock.now(machine_now()), transitions: moved.transitions, events: moved.events })
}

fn not_before(now: Instant, wanted: Instant, world: &World) -> Result<Instant> {
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
enum Move {
    /// To this instant, and on from there in this way.
    To(Instant, WorkspaceClock),
    /// To the next instant at which something falls due, if there is one.
    ToNext,
    /// To the last instant at which something happens.
    UntilQuiet,
}

struct Moved {
    clock: WorkspaceClock,
    transitions: u64,
    events: usize,
}

/// Moves a clock, with all devices of the workspace locked so that nobody decides by the old time meanwhile.
async fn change(
    app: &App,
    workspace: &Workspace,
    decide: impl FnOnce(&World, Instant, Instant) -> Result<Move>,
) -> Result<Moved> {
    let mut tx = app.pool.begin(workspace.workspace_id).await?;
    tx.allow_long().await?;
    let workspace_id = workspace.workspace_id;
    if !workspaces::lock(&mut tx, workspace_id).await? {
        return Err(Error::WorkspaceNotFound);
    }
    let device_ids = devices::ids(&mut tx, workspace_id).await?;
    let mut locked = store::lock_devices(&mut tx, workspace_id, &device_ids).await?;
    // Read again: while the locks were waited for, the clock may have moved.
    let world = workspaces::world(&mut tx, workspace_id).await?.ok_or(Error::WorkspaceNotFound)?;
    let machine_now = machine_now();
    let now = world.clock.now(machine_now);
    let chosen = decide(&world, now, machine_now)?;
    let target = match &chosen {
        Move::To(at, _) => *at,
        Move::ToNext => {
            let due_at = store::next_due(&mut tx, workspace_id).await?.filter(|due_at| *due_at <= LAST);
            due_at.map_or(now, |due_at| due_at.max(now))
        }
        Move::UntilQuiet => now.checked_add_signed(QUIET_WITHIN).map_or(LAST, |until| until.min(LAST)),
    };
    // Steps on the way are taken, and recorded, as on a held clock: each at its own instant.
    for device in &mut locked {
        device.world = World { clock: WorkspaceClock::Held { at: target }, ..world };
    }
    let mut codes = store::due_in_workspace(&mut tx, workspace_id, &device_ids, target).await?;
    let mut workshop = Workshop::open(&mut tx, &locked, &[(&codes, Pace::Usual)], |_| target, machine_now).await?;
    let goal = if matches!(chosen, Move::UntilQuiet) { Until::Quiet } else { Until::Instant };
    let mut events = Vec::new();
    let steps = workshop.live_on_within_limit((&mut codes, Pace::Usual), |_| target, goal, &mut events).await?;
    workshop.close(&mut tx).await?;
    let clock = match chosen {
        Move::To(_, clock) => clock,
        Move::ToNext => WorkspaceClock::Held { at: target },
        Move::UntilQuiet => WorkspaceClock::Held { at: steps.last.unwrap_or(now).max(now) },
    };
    let moved = Moved { clock, transitions: steps.taken, events: events.len() };
    let touched = codes.into_iter().zip(steps.touched).filter(|(_, touched)| *touched).map(|(code, _)| code);
    let placed = Placed::all(touched, &locked)?;
    if !placed.is_empty() {
        store::save(&mut tx, workspace_id, &placed, &events, &[]).await?;
    }
    workspaces::set_clock(&mut tx, workspace_id, clock).await?;
    store::set_wake_times(&mut tx, workspace_id, clock).await?;
    tx.commit().await?;
    app.requests.recorded(&events);
    Ok(moved)
}
