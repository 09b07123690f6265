//! `/_emulator/clock*`: reads, holds, runs and moves the clock of a workspace.
//!
//! A move takes all steps that are due up to its target, each at its own instant. The response is sent when all of them
//! are done.

use super::{Control, NoParameters};
use crate::clock::{Timestamp, WorkspaceClock, from_iso, iso, machine_now, to_iso};
use crate::engine::clock::{self, Move};
use crate::engine::outstanding_deliveries;
use crate::error::{Error, Result};
use crate::http::params::{duration, instant, optional_instant};
use crate::store::workspaces;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Serialize)]
pub(super) struct ClockBody {
    mode: &'static str,
    #[serde(with = "iso")]
    now: Timestamp,
    rate: Option<f64>,
}

impl ClockBody {
    pub(super) fn of(clock: WorkspaceClock, machine_now: Timestamp) -> Self {
        let (mode, rate) = match clock {
            WorkspaceClock::Live => ("live", Some(1.0)),
            WorkspaceClock::Running { rate, .. } => ("running", Some(rate)),
            WorkspaceClock::Held { .. } => ("held", None),
        };
        Self { mode, now: clock.now(machine_now), rate }
    }
}

pub(super) async fn get(call: Control<NoParameters>) -> Result<ClockBody> {
    let workspace = call.workspace().await?;
    let workspace_id = workspace.workspace_id;
    let read = call.app.pool.read(workspace_id, |connection| Box::pin(workspaces::settings(connection, workspace_id)));
    let (_, settings) = read.await?;
    Ok(ClockBody::of(settings.clock, machine_now()))
}

#[derive(Deserialize)]
pub(super) struct Hold {
    at: Option<String>,
}

pub(super) async fn hold(call: Control<Hold>) -> Result<ClockBody> {
    let at = optional_instant("at", call.input.at.as_deref())?;
    let workspace = call.workspace().await?;
    let moved = clock::move_clock(&call.app, &workspace, |settings, now, _| {
        let at = clock::not_before(now, at.unwrap_or(now), settings)?;
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
    let moved = clock::move_clock(&call.app, &workspace, |settings, now, machine_now| {
        let at = clock::not_before(now, from.unwrap_or(now), settings)?;
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
    /// True to wait, for at most [`MAX_WAIT_FOR_WEBHOOKS`], until each event was sent once to each webhook.
    wait_for_webhooks: Option<bool>,
}

/// Maximum time that `wait_for_webhooks` waits.
const MAX_WAIT_FOR_WEBHOOKS: Duration = Duration::from_mins(1);

/// Parameter `until`.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stop {
    /// The next instant at which a step falls due.
    Next,
    /// The instant of the last step that is not only a retry.
    #[serde(rename = "quiet")]
    Idle,
}

#[derive(Serialize)]
pub(super) struct Advanced {
    #[serde(with = "iso")]
    now: Timestamp,
    transitions: u64,
    events: usize,
}

pub(super) async fn advance(call: Control<Advance>) -> Result<Advanced> {
    enum Goal {
        By(TimeDelta),
        To(Timestamp),
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
    let moved = clock::move_clock(&call.app, &workspace, |settings, now, _| {
        let WorkspaceClock::Held { .. } = settings.clock else {
            return Err(Error::Conflict(
                "only a held clock can be advanced, and this clock is not held. Hold it first: POST \
                 /_emulator/clock/hold."
                    .to_owned(),
            ));
        };
        let at = match goal {
            Goal::By(by) => now.checked_add_signed(by).filter(|at| from_iso(&to_iso(*at)).is_some()),
            Goal::To(to) => Some(clock::not_before(now, to, settings)?),
            Goal::Until(Stop::Next) => return Ok(Move::ToNext),
            Goal::Until(Stop::Idle) => return Ok(Move::UntilIdle),
        };
        let at = at.ok_or_else(|| Error::invalid("by", "The clock would pass the year 9999"))?;
        Ok(Move::To(at, WorkspaceClock::Held { at }))
    })
    .await?;
    if call.input.wait_for_webhooks == Some(true) {
        outstanding_deliveries::wait(&call.app, workspace.workspace_id, MAX_WAIT_FOR_WEBHOOKS).await?;
    }
    Ok(Advanced { now: moved.clock.now(machine_now()), transitions: moved.transitions, events: moved.events })
}
