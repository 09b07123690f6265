//! The loop that makes due things happen.
//!
//! The lock is the unit: it has one memory. A tick claims locks with codes that are due, lives the codes on by the rules
//! of [`crate::domain::access_code::lifecycle`], and writes codes, their next due times and events in one transaction whose
//! number of statements does not grow with the batch. Any number of processes may tick on one database: a claimed lock
//! is passed over by the others, and what a killed one had begun never happened.
//!
//! A lock whose codes cannot be lived on, say because a row does not decode, is found and parked, so that the others go
//! on. How much of a tick is computing is limited as well: what is left falls due in the next one. While some workspaces
//! have more that is due than a batch takes, a second loop looks after the others.

use super::app::{App, SchedulerRound};
use crate::clock::{Timestamp, machine_now};
use crate::domain::locked_device::LockedDevice;
use crate::domain::simulation::{Pace, StopWhen};
use crate::engine::locked_codes::LockedCodes;
use crate::error::{Error, Result, Unavailable};
use crate::store::access_codes::{self, DueOn};
use futures_util::FutureExt as _;
use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use uuid::Uuid;

/// How many codes one transaction takes, some 50 ms of work: requests for their locks wait for it, and so does whatever
/// else falls due.
const BATCH: usize = 400;

/// A workspace with this part of a full batch is busy: others are looked for beside it.
const BUSY_PART: usize = BATCH / 10;

/// How many steps one transaction takes at most.
const BATCH_STEPS: u64 = 20_000;

/// How long one transaction may take.
const BATCH_TIMEOUT: Duration = Duration::from_mins(1);

/// The shortest time between two rounds: under load many small pieces of work become few larger ones.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

/// The shortest time between two rounds while all that is due is held by somebody else.
const MIN_INTERVAL_WHILE_HELD: Duration = Duration::from_millis(50);

/// The longest sleep: how late work is noticed that another process has left behind.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// Makes due things happen until the future is dropped.
pub(crate) async fn run(app: App) {
    loop {
        let (outcome, has_done_something) = round(&app).await;
        app.scheduler_went_round(SchedulerRound { ended_at: machine_now(), has_succeeded: outcome.is_ok() });
        let interval = if has_done_something { MIN_INTERVAL } else { MIN_INTERVAL_WHILE_HELD };
        let sleep = match outcome {
            Ok(Some(wake_at)) => (wake_at - machine_now()).to_std().unwrap_or_default().clamp(interval, MAX_SLEEP),
            Ok(None) => MAX_SLEEP,
            Err(error) => {
                tracing::error!(%error, "the scheduler failed and will try again");
                MAX_SLEEP
            }
        };
        // A request that makes something due sooner than the sleep would end cuts it short, but not below the shortest interval.
        tokio::time::sleep(MIN_INTERVAL.min(sleep)).await;
        tokio::select! {
            () = tokio::time::sleep(sleep.saturating_sub(MIN_INTERVAL)) => {}
            () = app.scheduler_woken() => {}
        }
    }
}

/// Does what is due. Gives when something falls due next, and whether anything was done.
async fn round(app: &App) -> (Result<Option<Timestamp>>, bool) {
    let mut has_done_something = false;
    loop {
        match batch(app, Lane::Oldest).await {
            Err(error) => return (Err(error), has_done_something),
            Ok(done) => {
                has_done_something |= done > 0;
                // A batch that is not full was the last: what fell due meanwhile is left for the next round.
                if done < BATCH {
                    break;
                }
            }
        }
        // A long round is no stopped scheduler.
        app.scheduler_went_round(SchedulerRound { ended_at: machine_now(), has_succeeded: true });
    }
    (next_wake(app).await, has_done_something)
}

/// When something falls due next. What is due by now is on locks that another transaction holds. Its workspaces count as
/// busy, because a batch that looks for other codes has to read past all of it.
async fn next_wake(app: &App) -> Result<Option<Timestamp>> {
    let parked = app.parking.parked();
    let wake_at = access_codes::next_wake(&app.background, &parked).await?;
    let machine_now = machine_now();
    let busy = match wake_at {
        Some(wake_at) if wake_at <= machine_now => {
            busy_ones(&access_codes::longest_due(&app.background, machine_now, &parked, BATCH).await?)
        }
        _ => Vec::new(),
    };
    app.busy_workspaces.send_replace(busy);
    Ok(wake_at)
}

/// Makes what has just fallen due in quiet workspaces happen beside what is overdue in busy ones, until the future is
/// dropped.
pub(crate) async fn run_beside(app: App) {
    let mut busy = app.busy_workspaces.subscribe();
    loop {
        let busy = match busy.wait_for(|busy| !busy.is_empty()).await {
            Ok(busy) => busy.clone(),
            // The sender lives in the app.
            Err(_) => return,
        };
        let sleep = match batch(&app, Lane::NewestBut(&busy)).await {
            Ok(_) => MIN_INTERVAL,
            // The workspaces stay busy while the database is away: one line a second, and not fifty.
            Err(error) => {
                tracing::error!(%error, "the scheduler failed beside busy workspaces and will try again");
                MAX_SLEEP
            }
        };
        tokio::time::sleep(sleep).await;
    }
}

/// Which of the codes that are due a batch takes.
#[derive(Clone, Copy)]
enum Lane<'a> {
    /// Those that wait longest.
    Oldest,
    /// Those that wait shortest, of all workspaces but these, with all else that is due on their locks.
    NewestBut(&'a [Uuid]),
}

/// Does what is due for one batch of codes. Gives how many codes it was; 0: nothing is due any more that is not parked or
/// held by somebody else.
///
/// # Errors
/// A database that cannot be reached. What is wrong with single locks parks those.
pub async fn tick(app: &App) -> Result<usize> {
    batch(app, Lane::Oldest).await
}

/// Works on one batch of this lane. Gives how many codes it was.
async fn batch(app: &App, lane: Lane<'_>) -> Result<usize> {
    let parked = app.parking.parked();
    let mut claimed = BTreeSet::new();
    match attempt(app, Devices::AllBut(&parked, lane), &mut claimed).await {
        Ok(done) => {
            if matches!(lane, Lane::Oldest) {
                app.parking.keep_only(&parked);
            }
            Ok(done)
        }
        Err(error) if claimed.is_empty() || is_of_the_database(&error) => Err(error),
        Err(error) => {
            tracing::warn!(%error, "a batch of due access codes failed; each lock of it is tried alone");
            one_by_one(app, &claimed.into_iter().collect::<Vec<_>>()).await
        }
    }
}

/// Whether an error is not the fault of what was worked on.
fn is_of_the_database(error: &Error) -> bool {
    match error {
        // A row that somebody else holds for long belongs to one workspace.
        Error::Unavailable(unavailable) => *unavailable != Unavailable::LockTimeout,
        error => matches!(error, Error::OutcomeUnknown(_)),
    }
}

/// Works on these locks, half of them at a time, down to those that fail alone, which are parked.
async fn one_by_one(app: &App, device_ids: &[Uuid]) -> Result<usize> {
    let mut done = 0;
    let mut left: Vec<&[Uuid]> = vec![device_ids];
    while let Some(devices) = left.pop() {
        if devices.is_empty() {
            continue;
        }
        match attempt(app, Devices::These(devices), &mut BTreeSet::new()).await {
            Ok(codes) => {
                done += codes;
                for device_id in devices {
                    app.parking.release(*device_id);
                }
            }
            Err(error) if is_of_the_database(&error) => return Err(error),
            Err(error) => match devices {
                [device_id] => app.parking.park(*device_id, &error),
                devices => {
                    let (first, second) = devices.split_at(devices.len() / 2);
                    left.extend([second, first]);
                }
            },
        }
    }
    Ok(done)
}

/// Which locks to work on.
#[derive(Clone, Copy)]
enum Devices<'a> {
    AllBut(&'a [Uuid], Lane<'a>),
    These(&'a [Uuid]),
}

/// Works on a batch, and puts down the locks that it claims; a panic is an error like others, and so is a batch that takes
/// too long.
async fn attempt(app: &App, devices: Devices<'_>, claimed: &mut BTreeSet<Uuid>) -> Result<usize> {
    let begun = std::time::Instant::now();
    let worked =
        tokio::time::timeout(BATCH_TIMEOUT, AssertUnwindSafe(work(app, devices, claimed)).catch_unwind()).await;
    match worked {
        Ok(Ok(done)) => {
            let codes = done.as_ref().copied().unwrap_or(0);
            if codes > 0 {
                tracing::debug!(codes, took_ms = begun.elapsed().as_millis(), "worked on due access codes");
            }
            done
        }
        Ok(Err(_)) => Err(Error::Internal("the work on due access codes panicked".into())),
        Err(_) => Err(Error::Internal("the work on due access codes took more than a minute".into())),
    }
}

async fn work(app: &App, devices: Devices<'_>, claimed: &mut BTreeSet<Uuid>) -> Result<usize> {
    let mut tx = app.background.begin(Uuid::nil()).await?;
    let machine_now = machine_now();
    let due = match devices {
        Devices::AllBut(parked, Lane::Oldest) => {
            access_codes::claim_due(&mut tx, machine_now, DueOn::AllBut(parked), BATCH).await?
        }
        Devices::AllBut(parked, Lane::NewestBut(busy)) => {
            access_codes::claim_newly_due(&mut tx, machine_now, (parked, busy), BATCH).await?
        }
        Devices::These(these) => access_codes::claim_due(&mut tx, machine_now, DueOn::These(these), BATCH).await?,
    };
    if due.is_empty() {
        return Ok(0);
    }
    claimed.extend(due.iter().map(|due| due.device_id));
    if due.len() >= BATCH && matches!(devices, Devices::AllBut(_, Lane::Oldest)) {
        // From now on, and not only when this batch is done, the others are looked after beside it.
        let workspaces: Vec<Uuid> = due.iter().map(|due| due.workspace_id).collect();
        app.busy_workspaces.send_replace(busy_ones(&workspaces));
    }
    let locked = access_codes::claimed_devices(&mut tx, &due).await?;
    let codes = access_codes::claimed_codes(&mut tx, &due, machine_now).await?;
    let mut codes = LockedCodes::new(locked, codes, machine_now);
    let until = |it: &LockedDevice| it.settings.clock.now(machine_now);
    codes.run(&mut tx, &[(Pace::Usual, &|_| true)], until, (StopWhen::TimeIsReached, BATCH_STEPS)).await?;
    codes.write(&mut tx).await?;
    tx.commit().await?;
    codes.recorder.committed(app, &[]);
    Ok(due.len())
}

/// The workspaces that much of a batch is for, of which each code's workspace is given.
fn busy_ones(workspaces: &[Uuid]) -> Vec<Uuid> {
    let mut counts: HashMap<Uuid, usize> = HashMap::new();
    for workspace_id in workspaces {
        *counts.entry(*workspace_id).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count >= BUSY_PART).map(|(workspace_id, _)| workspace_id).collect()
}
