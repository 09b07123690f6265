//! Retention: removes old events, old action attempts, and codes that have been gone for a long time.
//!
//! Only time that passes without a client moving the clock counts as age. The limit for a live workspace is the
//! machine's time minus the retention period. The limit for a running workspace is the time that its clock showed at
//! that machine time. A workspace with a held clock keeps everything: its time passes only when a client moves the
//! clock, and a client that moves it by a year still wants to see the events of that year. A row is therefore removed
//! only if it is old on the machine's clock too. Tests on a held clock find the same rows in each run.

use super::app::App;
use crate::clock::{Timestamp, WorkspaceClock, machine_now};
use crate::config::Settings;
use crate::error::Result;
use crate::store::retention;
use chrono::TimeDelta;
use std::time::{Duration, Instant as Monotonic};
use uuid::Uuid;

/// Maximum number of rows of one kind per transaction, and of workspaces per query.
const BATCH: i64 = 1000;

/// Removes old rows at regular intervals.
#[derive(Debug)]
pub(crate) struct Retention {
    keep: TimeDelta,
    interval: Duration,
    last_run: Option<Monotonic>,
}

impl Retention {
    /// Creates it from the settings; `None`: no retention period is set, and nothing is removed.
    pub(crate) fn of(config: &Settings) -> Option<Self> {
        let keep = config.retention?;
        // One sixtieth of the retention period, at most a minute.
        let interval = (keep / 60).to_std().unwrap_or_default().min(Duration::from_mins(1));
        Some(Self { keep, interval, last_run: None })
    }

    /// Removes old rows, unless the interval since the last run has not passed.
    pub(crate) async fn run_if_due(&mut self, app: &App) {
        if self.last_run.is_some_and(|at| at.elapsed() < self.interval) {
            return;
        }
        self.last_run = Some(Monotonic::now());
        if let Err(error) = remove_older_than(app, self.keep).await {
            tracing::error!(%error, "could not delete expired events, action attempts and access codes");
        }
    }
}

/// Removes rows older than `keep` and returns their number.
pub async fn remove_older_than(app: &App, keep: TimeDelta) -> Result<u64> {
    let (mut last_id, mut removed) = (Uuid::nil(), 0);
    loop {
        let machine_now = machine_now();
        let workspaces = retention::with_moving_clock(&app.background, last_id, BATCH).await?;
        let Some((last, _)) = workspaces.last() else { return Ok(removed) };
        last_id = *last;
        let limits =
            workspaces.iter().filter_map(|(id, settings)| Some((*id, too_old(settings.clock, machine_now, keep)?)));
        let (ids, before): (Vec<Uuid>, Vec<Timestamp>) = limits.unzip();
        if ids.is_empty() {
            continue;
        }
        loop {
            let (rows, is_complete) = retention::remove_batch(&app.background, &ids, &before, BATCH).await?;
            removed += rows;
            if is_complete {
                break;
            }
        }
    }
}

/// Returns the time on the workspace's clock before which rows are too old; `None`: no row is.
fn too_old(clock: WorkspaceClock, machine_now: Timestamp, keep: TimeDelta) -> Option<Timestamp> {
    let then = machine_now.checked_sub_signed(keep)?;
    match clock {
        WorkspaceClock::Live => Some(then),
        // If the clock began to run within the retention period, keep all rows: those from before its start may have
        // been written only a moment before it, whatever their time on the workspace's clock.
        WorkspaceClock::Running { since, .. } => (since <= then).then(|| clock.now(then)),
        WorkspaceClock::Held { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_iso;

    fn at(text: &str) -> Timestamp {
        from_iso(text).unwrap()
    }

    #[test]
    fn retention_limit_follows_live_and_running_clocks_but_not_held_ones() {
        let (now, keep) = (at("2026-03-31T00:00:00Z"), TimeDelta::days(10));
        assert_eq!(too_old(WorkspaceClock::Live, now, keep), Some(at("2026-03-21T00:00:00Z")));
        let long_ago = WorkspaceClock::Held { at: at("2020-01-01T00:00:00Z") };
        assert_eq!(too_old(long_ago, now, keep), None, "nothing becomes too old on a held clock");
        let running = |since| WorkspaceClock::Running { at: at("2030-01-01T00:00:00Z"), since: at(since), rate: 24.0 };
        let two_days_of_running = Some(at("2030-02-18T00:00:00Z"));
        assert_eq!(too_old(running("2026-03-19T00:00:00Z"), now, keep), two_days_of_running);
        assert_eq!(too_old(running("2026-03-22T00:00:00Z"), now, keep), None, "running for a shorter time");
        assert_eq!(too_old(WorkspaceClock::Live, now, TimeDelta::MAX), None);
    }
}
