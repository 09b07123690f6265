//! The loop that makes due things happen.
//!
//! The lock is the unit: it has one memory. A tick claims a batch of locks on which something is due, lives their
//! due codes on by the rules of [`crate::access_codes::lifecycle`], and writes codes, their next due times and events in
//! one transaction whose number of statements does not grow with the batch. Any number of processes may tick on one
//! database: a claimed lock is passed over by the others, and what a killed one had begun never happened.

use crate::access_codes::model::AccessCode;
use crate::access_codes::service::record;
use crate::access_codes::store::{self, LockedDevice, Placed};
use crate::app::App;
use crate::clock::{Instant, machine_now};
use crate::devices::model::Device;
use crate::error::Result;
use crate::events::NewEvent;
use crate::workspaces::World;
use sqlx::PgConnection;
use std::collections::HashMap;
use std::mem;
use std::time::Duration;
use uuid::Uuid;

/// How many locks one transaction takes; requests for these locks wait for it.
const BATCH: usize = 32;

/// The shortest time between two rounds: under load many small pieces of work become few larger ones.
const BREATH: Duration = Duration::from_millis(20);

/// The longest sleep: how late work is noticed that another process has left behind.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Makes due things happen until the future is dropped.
pub async fn run(app: App) {
    loop {
        let round = async {
            // A batch that is not full was the last: what fell due meanwhile is left for the next round.
            while tick(&app).await? == BATCH {}
            store::next_wake(&app.pool).await
        };
        let sleep = match round.await {
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

/// Does what is due on one batch of locks. Gives how many locks it was; 0: nothing is due any more.
pub async fn tick(app: &App) -> Result<usize> {
    let mut tx = app.pool.begin().await?;
    let machine_now = machine_now();
    let locked = store::lock_due_devices(&mut tx, machine_now, BATCH).await?;
    if locked.is_empty() {
        return Ok(0);
    }
    let device_ids: Vec<Uuid> = locked.iter().map(|it| it.device.device_id).collect();
    let codes = store::due_on_devices(&mut tx, &device_ids, machine_now).await?;
    let until = |it: &LockedDevice| it.world.clock.now(machine_now);
    live_on(codes, &locked, until, machine_now).save(&mut tx).await?;
    tx.commit().await?;
    Ok(locked.len())
}

/// Lives codes on until the instant given for the lock of each.
pub fn live_on(
    codes: Vec<AccessCode>,
    locked: &[LockedDevice],
    until: impl Fn(&LockedDevice) -> Instant,
    machine_now: Instant,
) -> Lived {
    let by_id: HashMap<Uuid, &LockedDevice> = locked.iter().map(|it| (it.device.device_id, it)).collect();
    let mut lived = Lived::default();
    for mut code in codes {
        let Some(locked) = by_id.get(&code.device_id) else { continue };
        let part = code.life.live_until(&locked.device.lock(locked.world.programming), until(locked));
        lived.steps += part.steps;
        record(&mut lived.events, &mut code, locked, &part, machine_now);
        lived.placed.push(Placed::new(code, &locked.device, &locked.world));
    }
    lived
}

/// Codes that were lived on, with what happened, to be written together.
#[derive(Debug, Default)]
pub struct Lived {
    placed: Vec<Placed>,
    events: Vec<NewEvent>,
    /// How many steps were taken.
    pub steps: u64,
}

impl Lived {
    /// Has the codes go on with their device as it is from now on: when they are next due depends on it, and one that
    /// went offline breaks off what it was doing.
    pub fn go_on_with(&mut self, device: &Device, world: &World) {
        let go_on = |mut placed: Placed| {
            if device.reachable_since.is_none() {
                placed.code.life.break_off();
            }
            Placed::new(placed.code, device, world)
        };
        self.placed = mem::take(&mut self.placed).into_iter().map(go_on).collect();
    }

    /// How many events there are.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// The instant of the last thing that happened to any code.
    pub fn last_step(&self) -> Option<Instant> {
        self.placed.iter().map(|placed| placed.code.life.as_of).max()
    }

    /// Writes it all, events in the order in which they occurred; those of one instant lock by lock and code by
    /// code, so that the order does not depend on how the work was cut into batches.
    pub async fn save(mut self, tx: &mut PgConnection) -> Result<()> {
        if self.placed.is_empty() {
            return Ok(());
        }
        self.events.sort_by_key(|event| (event.occurred_at, event.device_id, event.access_code_id));
        store::save(tx, &self.placed, &self.events).await
    }
}
