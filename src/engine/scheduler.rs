//! Scheduler: the loop that runs due steps of access codes and due operations of locks.
//!
//! The unit of work is a device, because its codes share one memory. A tick claims devices with due work, runs the due
//! steps by the rules of [`crate::domain::access_code::lifecycle`], and writes codes, their next due times and events
//! in one transaction, whose number of statements does not grow with the batch. Any number of processes may tick on one
//! database: they skip devices claimed by another process, and the transaction of a killed process is rolled back.
//!
//! A device whose codes cannot be processed, for example because a row does not decode, is isolated and parked, so that
//! the other devices continue. The number of steps of a tick is limited as well: the remaining steps stay due for the
//! next tick. While more codes are due than a batch takes, several batches run at the same time, on different devices.
//! While some workspaces have many due codes, a second loop processes the other workspaces.

use super::app::{App, SchedulerRound};
use crate::clock::{Timestamp, machine_now};
use crate::domain::locked_device::LockedDevice;
use crate::domain::simulation::{Pace, StopWhen};
use crate::engine::locked_codes::LockedCodes;
use crate::error::{Error, Result, Unavailable};
use crate::store::access_codes::{self, DeviceSelection, DueOn};
use crate::store::devices;
use futures_util::FutureExt as _;
use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Maximum number of codes per transaction, about 20 ms of work. Requests for their devices, and other codes that fall
/// due, wait for it.
const BATCH: usize = 400;

/// Maximum number of codes per transaction while batches of requests create or change codes: they wait for the devices
/// of the transaction.
const BATCH_BESIDE_REQUESTS: usize = 64;

/// Number of batches at the same time while more codes are due than a batch takes. Each needs a connection. On two cores
/// they take three quarters of the time of one after the other, and more than two are hardly faster.
const PARALLEL_BATCHES: usize = 2;

/// Number of due codes among which a batch looks for codes to claim. Other batches of this process may have locked the
/// devices of the first of them.
const WINDOW: usize = (PARALLEL_BATCHES + 1) * BATCH;

/// Limit for the window while batches find the devices of all codes in it locked.
const MAX_WINDOW: usize = 8 * WINDOW;

/// Part of a batch from which a workspace is busy: the second loop then processes the other workspaces.
const BUSY_PART: usize = 10;

/// Maximum number of steps per transaction.
const BATCH_STEPS: u64 = 20_000;

/// Maximum duration of one transaction.
const BATCH_TIMEOUT: Duration = Duration::from_mins(1);

/// Minimum time between two rounds: under load, many small batches become a few larger ones.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

/// Minimum time between two rounds that find nothing to process although codes are due, because other transactions hold
/// the locks of their devices.
const MIN_INTERVAL_WHILE_HELD: Duration = Duration::from_millis(50);

/// Maximum sleep, which is also the maximum delay until work left by another process is found.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// Runs due steps until the future is dropped.
pub(crate) async fn run(app: App) {
    loop {
        let (outcome, has_done_something) = round(&app).await;
        app.record_scheduler_round(SchedulerRound { ended_at: machine_now(), has_succeeded: outcome.is_ok() });
        let interval = if has_done_something { MIN_INTERVAL } else { MIN_INTERVAL_WHILE_HELD };
        let sleep = match outcome {
            Ok(Some(wake_at)) => (wake_at - machine_now()).to_std().unwrap_or_default().clamp(interval, MAX_SLEEP),
            Ok(None) => MAX_SLEEP,
            Err(error) => {
                tracing::error!(%error, "the scheduler failed; retrying");
                MAX_SLEEP
            }
        };
        // A request that makes a step due earlier ends the sleep, but not before the minimum interval has passed.
        tokio::time::sleep(MIN_INTERVAL.min(sleep)).await;
        tokio::select! {
            () = tokio::time::sleep(sleep.saturating_sub(MIN_INTERVAL)) => {}
            () = app.scheduler_woken() => {}
        }
    }
}

/// Runs batches as long as they are full: the first one alone, the others at the same time. Returns the next time at
/// which codes are due, and whether any were processed.
async fn round(app: &App) -> (Result<Option<Timestamp>>, bool) {
    let mut has_done_something = false;
    let wake_at = round_until_idle(app, &mut has_done_something).await;
    (wake_at, has_done_something)
}

async fn round_until_idle(app: &App, has_done_something: &mut bool) -> Result<Option<Timestamp>> {
    let first = oldest_batch(app, WINDOW).await?;
    *has_done_something = first != Batch::Empty;
    if first == Batch::Full {
        process_backlog(app).await?;
    }
    let wake_at = next_wake_at(app).await?;
    if wake_at.is_some_and(|wake_at| wake_at <= machine_now()) {
        // Other transactions may have locked the devices of all codes in the window: look past them.
        *has_done_something |= oldest_batch(app, usize::MAX).await? != Batch::Empty;
    }
    Ok(wake_at)
}

/// Runs batches as long as they are full, [`PARALLEL_BATCHES`] at the same time. They process different devices.
///
/// # Errors
/// The first error of a batch, after all others have ended.
async fn process_backlog(app: &App) -> Result<()> {
    let mut loops = JoinSet::new();
    for _ in 0..PARALLEL_BATCHES {
        let app = app.clone();
        loops.spawn(async move {
            let mut window = WINDOW;
            loop {
                match oldest_batch(&app, window).await? {
                    Batch::Full => {}
                    // Other servers run batches too.
                    Batch::Empty if window < MAX_WINDOW => window *= 2,
                    Batch::Empty | Batch::Partial => return Ok(()),
                }
                // Report progress, so that a long round does not look like a stopped scheduler.
                app.record_scheduler_round(SchedulerRound { ended_at: machine_now(), has_succeeded: true });
            }
        });
    }
    let mut outcome = Ok(());
    while let Some(ended) = loops.join_next().await {
        outcome = outcome.and(ended.unwrap_or_else(|error| Err(Error::Internal(error.into()))));
    }
    outcome
}

/// Size of a batch that was processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Batch {
    Empty,
    Partial,
    Full,
}

/// Returns true if probably more codes are due than this batch has. Batches have fewer codes than the maximum also if
/// their devices have fewer due codes than the average.
fn is_full(done: usize, most: usize) -> bool {
    done >= most / 2
}

/// Processes a batch of the `window` codes that have been due for the longest time.
async fn oldest_batch(app: &App, window: usize) -> Result<Batch> {
    let has_requests = !app.creates.is_idle() || !app.updates.is_idle();
    let size = if has_requests { BATCH_BESIDE_REQUESTS } else { BATCH };
    Ok(match batch(app, Lane::Oldest { window }, size).await? {
        0 => Batch::Empty,
        done if is_full(done, size) => Batch::Full,
        _ => Batch::Partial,
    })
}

/// Returns the next time at which codes are due, and updates the busy workspaces. If codes are still due after a round,
/// most of them are on devices that other transactions have locked. Workspaces with many such codes count as busy,
/// because a batch has to read past these codes to find others.
async fn next_wake_at(app: &App) -> Result<Option<Timestamp>> {
    let parked = app.parking.parked();
    let wake_at = access_codes::next_wake_at(&app.background, &parked).await?;
    let machine_now = machine_now();
    let busy = match wake_at {
        Some(wake_at) if wake_at <= machine_now => {
            busy_workspaces(&access_codes::longest_due(&app.background, machine_now, &parked, BATCH).await?, BATCH)
        }
        _ => {
            // Nothing is due on devices whose delay has ended.
            app.parking.retain(&parked);
            Vec::new()
        }
    };
    app.busy_workspaces.send_replace(busy);
    Ok(wake_at)
}

/// Runs the due steps of workspaces that are not busy while others are, until the future is dropped.
pub(crate) async fn run_beside_busy(app: App) {
    let mut busy = app.busy_workspaces.subscribe();
    loop {
        let busy = match busy.wait_for(|busy| !busy.is_empty()).await {
            Ok(busy) => busy.clone(),
            // Does not happen: `app` owns the sender.
            Err(_) => return,
        };
        let sleep = match batch(&app, Lane::NewestExcept(&busy), BATCH).await {
            Ok(0) => MIN_INTERVAL_WHILE_HELD,
            Ok(_) => MIN_INTERVAL,
            // While the database is unavailable, the workspaces stay busy: log one line per second instead of fifty.
            Err(error) => {
                tracing::error!(%error, "the scheduler for workspaces that are not busy failed; retrying");
                MAX_SLEEP
            }
        };
        tokio::time::sleep(sleep).await;
    }
}

/// Selection of the due codes for a batch.
#[derive(Clone, Copy)]
enum Lane<'a> {
    /// The codes that have been due for the longest time, on devices of the first `window` of them.
    Oldest { window: usize },
    /// The codes that have been due for the shortest time, except those of these workspaces, with all other due codes
    /// on their devices.
    NewestExcept(&'a [Uuid]),
}

/// Processes one batch of due codes and returns their number; 0: no codes are due, except on devices that are parked or
/// locked by another transaction.
///
/// # Errors
/// Those of the database, and any error before a device is claimed. Errors of single devices park these devices.
pub async fn tick(app: &App) -> Result<usize> {
    batch(app, Lane::Oldest { window: usize::MAX }, BATCH).await
}

/// Processes one batch of this lane, at most this number of codes, and returns their number.
async fn batch(app: &App, lane: Lane<'_>, most: usize) -> Result<usize> {
    let parked = app.parking.parked();
    let mut claimed = BTreeSet::new();
    match attempt(app, Devices::AllExcept(&parked, lane), most, &mut claimed).await {
        Ok(done) => Ok(done),
        // Without claimed devices, no device can be the cause.
        Err(error) if claimed.is_empty() || is_database_error(&error) => Err(error),
        Err(error) => {
            tracing::warn!(%error, "a batch of due access codes failed; retrying each lock alone");
            isolate_failures(app, &claimed.into_iter().collect::<Vec<_>>()).await
        }
    }
}

/// Returns true if the error concerns the database and not the processed devices.
fn is_database_error(error: &Error) -> bool {
    match error {
        // A lock timeout concerns the rows of one workspace.
        Error::Unavailable(unavailable) => *unavailable != Unavailable::LockTimeout,
        error => matches!(error, Error::OutcomeUnknown(_)),
    }
}

/// Processes these devices. A group that fails is divided into halves, and a device that fails alone is parked.
async fn isolate_failures(app: &App, device_ids: &[Uuid]) -> Result<usize> {
    let mut done = 0;
    let mut groups: Vec<&[Uuid]> = vec![device_ids];
    while let Some(devices) = groups.pop() {
        if devices.is_empty() {
            continue;
        }
        match attempt(app, Devices::Only(devices), BATCH, &mut BTreeSet::new()).await {
            Ok(codes) => done += codes,
            Err(error) if is_database_error(&error) => return Err(error),
            Err(error) => match devices {
                [device_id] => app.parking.park(*device_id, &error),
                devices => {
                    let (first, second) = devices.split_at(devices.len() / 2);
                    groups.extend([second, first]);
                }
            },
        }
    }
    Ok(done)
}

/// Devices to process.
#[derive(Clone, Copy)]
enum Devices<'a> {
    AllExcept(&'a [Uuid], Lane<'a>),
    Only(&'a [Uuid]),
}

/// Processes a batch and adds the claimed devices to `claimed`. A panic and a timeout are returned as errors.
async fn attempt(app: &App, devices: Devices<'_>, most: usize, claimed: &mut BTreeSet<Uuid>) -> Result<usize> {
    let begun = std::time::Instant::now();
    let outcome =
        tokio::time::timeout(BATCH_TIMEOUT, AssertUnwindSafe(work(app, devices, most, claimed)).catch_unwind()).await;
    match outcome {
        Ok(Ok(done)) => {
            let codes = done.as_ref().copied().unwrap_or(0);
            if done.is_ok() {
                app.parking.release_all(claimed);
            }
            if codes > 0 {
                app.metrics.record_processed_access_codes(codes);
                tracing::debug!(codes, took_ms = begun.elapsed().as_millis(), "processed due access codes");
            }
            done
        }
        Ok(Err(_)) => Err(Error::Internal("processing due access codes panicked".into())),
        Err(_) => Err(Error::Internal("processing due access codes took more than a minute".into())),
    }
}

/// Claims at most this number of due codes of these devices, and operations of the devices, runs them and commits, in one
/// transaction. Returns the number of claimed codes and of devices with operations.
async fn work(app: &App, devices: Devices<'_>, most: usize, claimed: &mut BTreeSet<Uuid>) -> Result<usize> {
    let mut tx = app.background.begin(Uuid::nil()).await?;
    let machine_now = machine_now();
    let due = match devices {
        Devices::AllExcept(parked, Lane::Oldest { window }) => {
            access_codes::claim_due(&mut tx, machine_now, DueOn::AllExcept(parked), (most, window)).await?
        }
        Devices::AllExcept(parked, Lane::NewestExcept(busy)) => {
            access_codes::claim_newly_due(&mut tx, machine_now, (parked, busy), most).await?
        }
        Devices::Only(ids) => access_codes::claim_due(&mut tx, machine_now, DueOn::Only(ids), (most, WINDOW)).await?,
    };
    let (only, parked, busy): (Option<&[Uuid]>, &[Uuid], &[Uuid]) = match devices {
        Devices::AllExcept(parked, Lane::Oldest { .. }) => (None, parked, &[]),
        Devices::AllExcept(parked, Lane::NewestExcept(busy)) => (None, parked, busy),
        Devices::Only(ids) => (Some(ids), &[], &[]),
    };
    let with_operations = devices::claim_due(&mut tx, machine_now, only, (parked, busy), most).await?;
    claimed.extend(due.iter().map(|due| due.device_id).chain(with_operations.iter().copied()));
    if claimed.is_empty() {
        return Ok(0);
    }
    if is_full(due.len(), most) && matches!(devices, Devices::AllExcept(_, Lane::Oldest { .. })) {
        // Publish the busy workspaces before this batch is done, so that the second loop runs during it.
        let workspaces: Vec<Uuid> = due.iter().map(|due| due.workspace_id).collect();
        add_busy(app, busy_workspaces(&workspaces, most));
    }
    // Read again: the statements that claimed the devices may see older data.
    let claimed: Vec<Uuid> = claimed.iter().copied().collect();
    let devices = DeviceSelection::ByIds(&claimed);
    let locked = access_codes::locked_devices(&mut tx, None, devices).await?;
    let codes = access_codes::claimed_codes(&mut tx, &due, machine_now).await?;
    let mut codes = LockedCodes::new(locked, codes, machine_now);
    let until = |locked: &LockedDevice| locked.settings.clock.now(machine_now);
    codes.run(&mut tx, &[(Pace::Usual, &|_| true)], until, (StopWhen::TimeIsReached, BATCH_STEPS)).await?;
    codes.write(&mut tx).await?;
    tx.commit().await?;
    codes.recorder.publish(app, &[]);
    Ok(due.len() + with_operations.len())
}

/// Adds busy workspaces to those of the other batches. The end of the round determines them anew.
fn add_busy(app: &App, workspaces: Vec<Uuid>) {
    app.busy_workspaces.send_if_modified(|busy| {
        let before = busy.len();
        for workspace_id in workspaces {
            if !busy.contains(&workspace_id) {
                busy.push(workspace_id);
            }
        }
        busy.len() > before
    });
}

/// Returns the workspaces with at least one tenth ([`BUSY_PART`]) of a batch of this size. `workspaces` contains the
/// workspace of each code.
fn busy_workspaces(workspaces: &[Uuid], most: usize) -> Vec<Uuid> {
    let mut counts: HashMap<Uuid, usize> = HashMap::new();
    for workspace_id in workspaces {
        *counts.entry(*workspace_id).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count >= most / BUSY_PART).map(|(workspace_id, _)| workspace_id).collect()
}
