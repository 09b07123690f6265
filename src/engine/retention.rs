//! What is older than it is to be kept goes: events, action attempts, and codes that are gone.
//!
//! Age is a matter of time that passes by itself. A live workspace's is the machine's; in a running one what is too old
//! is found at the time its clock showed that long ago. A workspace whose clock is held keeps all: its time only passes
//! when somebody says so, and who moves it by a year still wants to see what happened on the way. So nothing goes that
//! the machine's clock would not call old, and no workspace that is to repeat itself is touched.

use super::app::App;
use crate::clock::{Timestamp, WorkspaceClock, machine_now};
use crate::config::Settings;
use crate::error::Result;
use crate::store::retention;
use chrono::TimeDelta;
use std::time::{Duration, Instant as Monotonic};
use uuid::Uuid;

/// How many rows of a kind go in one transaction, and how many workspaces are looked at together.
const BATCH: i64 = 1000;

/// Looks for what is too old, now and then.
#[derive(Debug)]
pub(crate) struct Retention {
    keep: TimeDelta,
    every: Duration,
    looked: Option<Monotonic>,
}

impl Retention {
    /// What the settings ask for; `None`: everything stays.
    pub(crate) fn of(config: &Settings) -> Option<Self> {
        let keep = config.retention?;
        // A sixtieth of the period late at most, and no need to look more often than once a minute.
        let every = (keep / 60).to_std().unwrap_or_default().min(Duration::from_mins(1));
        Some(Self { keep, every, looked: None })
    }

    /// Removes what is too old, unless that was done a short while ago.
    pub(crate) async fn look(&mut self, app: &App) {
        if self.looked.is_some_and(|at| at.elapsed() < self.every) {
            return;
        }
        self.looked = Some(Monotonic::now());
        if let Err(error) = remove_older_than(app, self.keep).await {
            tracing::error!(%error, "what is older than it is to be kept could not be removed");
        }
    }
}

/// Removes what is older than this. Gives how many rows it was.
pub async fn remove_older_than(app: &App, keep: TimeDelta) -> Result<u64> {
    let (mut behind, mut removed) = (Uuid::nil(), 0);
    loop {
        let machine_now = machine_now();
        let all_settings = retention::passing_by_themselves(&app.background, behind, BATCH).await?;
        let Some((last, _)) = all_settings.last() else { return Ok(removed) };
        behind = *last;
        let old =
            all_settings.iter().filter_map(|(id, settings)| Some((*id, too_old(settings.clock, machine_now, keep)?)));
        let (ids, before): (Vec<Uuid>, Vec<Timestamp>) = old.unzip();
        if ids.is_empty() {
            continue;
        }
        loop {
            let (rows, is_all) = retention::remove_batch(&app.background, &ids, &before, BATCH).await?;
            removed += rows;
            if is_all {
                break;
            }
        }
    }
}

/// The workspace's time before which everything is too old; `None`: nothing is.
fn too_old(clock: WorkspaceClock, machine_now: Timestamp, keep: TimeDelta) -> Option<Timestamp> {
    let then = machine_now.checked_sub_signed(keep)?;
    match clock {
        WorkspaceClock::Live => Some(then),
        // What happened before it ran may have happened a moment before.
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
    fn only_what_time_itself_has_left_behind_is_too_old() {
        let (now, keep) = (at("2026-03-31T00:00:00Z"), TimeDelta::days(10));
        assert_eq!(too_old(WorkspaceClock::Live, now, keep), Some(at("2026-03-21T00:00:00Z")));
        let long_ago = WorkspaceClock::Held { at: at("2020-01-01T00:00:00Z") };
        assert_eq!(too_old(long_ago, now, keep), None, "a held clock has left nothing behind");
        let running = |since| WorkspaceClock::Running { at: at("2030-01-01T00:00:00Z"), since: at(since), rate: 24.0 };
        let two_days_of_running = Some(at("2030-02-18T00:00:00Z"));
        assert_eq!(too_old(running("2026-03-19T00:00:00Z"), now, keep), two_days_of_running);
        assert_eq!(too_old(running("2026-03-22T00:00:00Z"), now, keep), None, "it has not run for so long");
        assert_eq!(too_old(WorkspaceClock::Live, now, TimeDelta::MAX), None);
    }
}
