//! The loop that makes due things happen.
//!
//! The lock is the unit: it has one memory. A tick takes a batch of codes that are due, claims their locks, lives the
//! codes on by the rules of [`crate::access_codes::lifecycle`], and writes codes, their next due times and events in
//! one transaction whose number of statements does not grow with the batch. Any number of processes may tick on one
//! database: a claimed lock is passed over by the others, and what a killed one had begun never happened.

use crate::access_codes::model::AccessCode;
use crate::access_codes::store::{self, LockedDevice, Placed};
use crate::app::App;
use crate::clock::machine_now;
use crate::error::Result;
use crate::http::service_health::SchedulerRound;
use crate::programming::{Pace, Until, Workshop};
use std::time::Duration;
use uuid::Uuid;

/// How many codes one transaction takes; requests for their locks wait for it.
const BATCH: usize = 2000;

/// The shortest time between two rounds: under load many small pieces of work become few larger ones.
const BREATH: Duration = Duration::from_millis(20);

/// The longest sleep: how late work is noticed that another process has left behind.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Makes due things happen until the future is dropped.
pub async fn run(app: App) {
    loop {
        let round = async {
            // A batch that is not full was the last: what fell due meanwhile is left for the next round.
            while tick(&app).await? >= BATCH {
                // A long round is no stopped scheduler.
                app.scheduler_went_round(SchedulerRound { ended_at: machine_now(), has_succeeded: true });
            }
            store::next_wake(&app.background).await
        };
        let outcome = round.await;
        app.scheduler_went_round(SchedulerRound { ended_at: machine_now(), has_succeeded: outcome.is_ok() });
        let sleep = match outcome {
            Ok(Some(wake_at)) => {
                (wake_at - machine_now()).to_std().unwrap_or(Duration::ZERO).clamp(BREATH, LONGEST_SLEEP)
            }
            Ok(None) => LONGEST_SLEEP,
            Err(error) => {
                tracing::error!(%error, "the scheduler failed and will try again");
                LONGEST_SLEEP
            }
        };
        // A request that makes something due sooner than the sleep would end cuts it short, but not below the breath.
        tokio::time::sleep(BREATH.min(sleep)).await;
        tokio::select! {
            () = tokio::time::sleep(sleep.saturating_sub(BREATH)) => {}
            () = app.scheduler_woken() => {}
        }
    }
}

/// Does what is due for one batch of codes. Gives how many codes it was; 0: nothing is due any more.
pub async fn tick(app: &App) -> Result<usize> {
    let mut tx = app.background.begin(Uuid::nil()).await?;
    let machine_now = machine_now();
    let locked = store::lock_due_devices(&mut tx, machine_now, BATCH).await?;
    if locked.is_empty() {
        return Ok(0);
    }
    let device_ids: Vec<Uuid> = locked.iter().map(|it| it.device.device_id).collect();
    let mut codes = store::due_on_devices(&mut tx, &device_ids, machine_now, BATCH).await?;
    let due = codes.len();
    let until = |it: &LockedDevice| it.world.clock.now(machine_now);
    let mut workshop = Workshop::open(&mut tx, &locked, &[(&codes, Pace::Usual)], until, machine_now).await?;
    let mut events = Vec::new();
    let steps = workshop.live_on((&mut codes, Pace::Usual), until, Until::Instant, &mut events);
    workshop.close(&mut tx).await?;
    // Woken without a step: the machine's clock is coarser than the workspace's. It is given its due time again.
    let is_written = |(code, touched): &(AccessCode, bool)| *touched || code.blocked_on().is_none();
    let written = codes.into_iter().zip(steps.touched).filter(is_written).map(|(code, _)| code);
    let placed = Placed::all(written, &locked)?;
    store::save(&mut tx, Uuid::nil(), &placed, &events, &[]).await?;
    tx.commit().await?;
    app.requests.recorded(&events);
    Ok(due)
}
