//! Codes whose locks are locked: lived up to now, to be changed, and written with everything that happened.

use super::app::App;
use crate::cause::Cause;
use crate::clock::{Instant, WorkspaceClock, machine_now};
use crate::domain::access_code::AccessCode;
use crate::domain::action_attempt::NewActionAttempt;
use crate::domain::device::DeviceSummary;
use crate::domain::event::{NewEvent, Recorder};
use crate::domain::locked_device::LockedDevice;
use crate::domain::simulation::{Pace, StopWhen};
use crate::engine::simulation;
use crate::error::{Error, Resource, Result};
use crate::ids::Ids;
use crate::postgres::Transaction;
use crate::store::access_codes::{self, LockedAccessCodes, PinWanted, Placed};
use crate::store::{devices, workspaces};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// What to lock.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// These codes, and so their locks.
    Codes(&'a [Uuid]),
    /// The same, with what may stand in the way of the PINs that they are to have.
    Changes(&'a [Uuid], &'a [PinWanted]),
    /// These locks with all their codes.
    Devices(&'a [Uuid]),
    /// The workspace itself and all its locks with all their codes.
    Workspace,
}

/// Codes whose locks are locked until this is written or dropped.
#[derive(Debug)]
pub struct LockedCodes {
    /// The transaction.
    pub tx: Transaction,
    /// The workspace.
    pub workspace_id: Uuid,
    /// The locks.
    pub locked: Vec<LockedDevice>,
    /// The codes that are not gone, each lived up to now.
    pub codes: Vec<AccessCode>,
    /// The codes that may stand in the way of the PINs wanted, as they are stored.
    pub rivals: Vec<AccessCode>,
    /// What happened, in order.
    pub events: Vec<NewEvent>,
    /// What was asked for.
    pub attempts: Vec<NewActionAttempt>,
    /// Where ids of the workspace come from.
    pub ids: Ids,
    /// The workspace's clock.
    pub clock: WorkspaceClock,
    /// The workspace's time.
    pub now: Instant,
    /// The machine's.
    pub machine_now: Instant,
    touched: Vec<bool>,
    /// How many of the events, the first, fell due before anything was asked.
    overdue: usize,
    /// Events that fell due before anything was asked, and those that were caused by it: written already.
    written: [Vec<NewEvent>; 2],
    /// Whether codes came to locks or left them since the last write, so that the database does not know.
    memory_has_changed: bool,
}

impl LockedCodes {
    /// Locks and reads. What fell due until now happens first, so that each event keeps its instant.
    ///
    /// # Errors
    /// [`Error::NotFound`] of [`Resource::Workspace`] where the workspace is to be locked and is gone.
    pub async fn begin(app: &App, workspace_id: Uuid, scope: Scope<'_>) -> Result<Self> {
        let tx = app.pool.begin(workspace_id).await?;
        Self::begin_in(tx, workspace_id, scope).await
    }

    /// The same in a transaction that has locked what comes before locks.
    pub async fn begin_in(mut tx: Transaction, workspace_id: Uuid, scope: Scope<'_>) -> Result<Self> {
        let LockedAccessCodes { locked, codes, rivals } = match scope {
            Scope::Codes(ids) => access_codes::lock_access_codes(&mut tx, workspace_id, ids, &[]).await?,
            Scope::Changes(ids, wanted) => access_codes::lock_access_codes(&mut tx, workspace_id, ids, wanted).await?,
            Scope::Devices(device_ids) => with_codes(&mut tx, workspace_id, device_ids).await?,
            Scope::Workspace => {
                if !workspaces::lock(&mut tx, workspace_id).await? {
                    return Err(Error::NotFound(Resource::Workspace));
                }
                let device_ids = devices::ids(&mut tx, workspace_id).await?;
                with_codes(&mut tx, workspace_id, &device_ids).await?
            }
        };
        let (ids, clock) = match locked.first() {
            Some(locked) => (locked.ids.clone(), locked.world.clock),
            None => read_clock(&mut tx, workspace_id).await?,
        };
        let machine_now = machine_now();
        let now = clock.now(machine_now);
        let touched = vec![false; codes.len()];
        let (events, attempts) = (Vec::new(), Vec::new());
        let mut all = Self {
            tx,
            workspace_id,
            locked,
            codes,
            rivals,
            events,
            attempts,
            ids,
            clock,
            now,
            machine_now,
            touched,
            overdue: 0,
            written: [Vec::new(), Vec::new()],
            memory_has_changed: false,
        };
        all.live(false).await?;
        all.overdue = all.events.len();
        Ok(all)
    }

    /// Writes what was changed, and goes on in the same transaction with other locks. What happened so far is told
    /// when all of it is committed.
    ///
    /// # Errors
    /// Those of [`LockedCodes::begin`].
    pub async fn go_on_with(mut self, scope: Scope<'_>) -> Result<Self> {
        self.write().await?;
        let [overdue, caused] = self.written;
        let mut next = Self::begin_in(self.tx, self.workspace_id, scope).await?;
        next.written[0].splice(0..0, overdue);
        next.written[1].splice(0..0, caused);
        Ok(next)
    }

    /// The place of a code that is not gone.
    pub fn find(&self, access_code_id: Uuid) -> Option<usize> {
        let is_it = |code: &AccessCode| code.access_code_id == access_code_id && code.life.gone_at.is_none();
        self.codes.iter().position(is_it)
    }

    /// The lock of the code at this place.
    pub fn lock_of(&self, place: usize) -> Result<&LockedDevice> {
        self.locked
            .iter()
            .find(|it| it.device.device_id == self.codes[place].device_id)
            .ok_or_else(|| Error::inconsistent("access_code", self.codes[place].access_code_id, "device_id"))
    }

    /// Takes up a code that was just written: the next one is decided with it in mind.
    pub fn admit(&mut self, code: AccessCode) {
        self.codes.push(code);
        self.touched.push(false);
    }

    /// Notes that the code at this place is to be written.
    pub fn touch(&mut self, place: usize) {
        self.touched[place] = true;
    }

    /// Notes that all codes are to be written: their locks are not what they were.
    pub fn touch_all(&mut self) {
        self.touched.fill(true);
    }

    /// Records something that happens now to the code at this place, with what such events carry.
    pub fn tell(&mut self, place: usize, event_type: &'static str, payload: Option<serde_json::Value>) -> Result<()> {
        let device_id = self.codes[place].device_id;
        let locked =
            self.locked.iter().find(|it| it.device.device_id == device_id).ok_or(Error::NotFound(Resource::Device))?;
        let recorder = Recorder { locked, machine_now: self.machine_now };
        let event = recorder.event(&mut self.codes[place], self.now, event_type);
        self.events.push(NewEvent { payload, ..event });
        self.touched[place] = true;
        Ok(())
    }

    /// Makes everything happen that is due by now. `at_once`: operations take no time, as for a caller who waits.
    pub async fn live(&mut self, at_once: bool) -> Result<()> {
        let now = self.now;
        let pace = if at_once { Pace::Immediate } else { Pace::Usual };
        let locks: HashMap<Uuid, _> = self.locked.iter().map(|it| (it.device.device_id, pace.lock(it))).collect();
        let is_due = |code: &AccessCode| {
            locks.get(&code.device_id).and_then(|lock| code.life.next(lock)).is_some_and(|(at, _)| at <= now)
        };
        if self.codes.iter().any(is_due) {
            self.settle().await?;
            let mut simulated =
                simulation::load(&mut self.tx, &self.locked, &[(&self.codes, pace)], |_| now, self.machine_now).await?;
            let codes = (self.codes.as_mut_slice(), pace);
            let steps =
                simulation::run_within_limit(&mut simulated, codes, |_| now, StopWhen::TimeIsReached, &mut self.events)
                    .await?;
            let backups = simulation::store(simulated, &mut self.tx).await?;
            for locked in &mut self.locked {
                locked.count_backups(&backups);
            }
            for (touched, stepped) in self.touched.iter_mut().zip(steps.touched) {
                *touched |= stepped;
                self.memory_has_changed |= stepped;
            }
        }
        Ok(())
    }

    /// Writes what was changed, and lets go. Gives the codes as they are then, and their locks.
    pub async fn finish(self, app: &App) -> Result<(Vec<AccessCode>, Vec<LockedDevice>)> {
        let (codes, locked, caused) = self.commit(app).await?;
        Cause::current().note(caused.iter().map(Into::into));
        Ok((codes, locked))
    }

    /// The same for several requests: gives also the events that they caused, in order.
    pub async fn commit(mut self, app: &App) -> Result<(Vec<AccessCode>, Vec<LockedDevice>, Vec<NewEvent>)> {
        self.write().await?;
        self.tx.commit().await?;
        app.wake_scheduler();
        let [overdue, caused] = self.written;
        app.requests.recorded(&overdue);
        app.requests.recorded(&caused);
        Ok((self.codes, self.locked, caused))
    }

    /// How many events were caused so far.
    pub fn caused(&self) -> usize {
        self.written[1].len() + self.events.len() - self.overdue
    }

    /// Takes note of events that were written otherwise.
    pub fn wrote(&mut self, events: impl IntoIterator<Item = NewEvent>) {
        self.written[1].extend(events);
    }

    /// Notes that what locks hold was changed other than by their own work.
    pub fn memory_changed(&mut self) {
        self.memory_has_changed = true;
    }

    /// Sees to it that the database knows what the locks hold: whoever works on them reads it there.
    pub async fn settle(&mut self) -> Result<()> {
        if self.memory_has_changed { self.write().await } else { Ok(()) }
    }

    /// Writes what was changed; everything stays locked.
    pub async fn write(&mut self) -> Result<()> {
        let touched = self.codes.iter().zip(&self.touched).filter(|(_, touched)| **touched);
        let placed = Placed::all(touched.map(|(code, _)| code.clone()), &self.locked)?;
        if !placed.is_empty() || !self.events.is_empty() || !self.attempts.is_empty() {
            access_codes::save(&mut self.tx, self.workspace_id, &placed, &self.events, &self.attempts).await?;
        }
        self.written[0].extend(self.events.drain(..self.overdue));
        self.written[1].append(&mut self.events);
        self.overdue = 0;
        self.attempts.clear();
        self.touched.fill(false);
        self.memory_has_changed = false;
        Ok(())
    }
}

/// Where a workspace's ids come from and how its time passes, where nothing of it is locked.
async fn read_clock(tx: &mut PgConnection, workspace_id: Uuid) -> Result<(Ids, WorkspaceClock)> {
    let (ids, world) = workspaces::worlds(tx, &[workspace_id])
        .await?
        .remove(&workspace_id)
        .ok_or(Error::NotFound(Resource::Workspace))?;
    Ok((ids, world.clock))
}

async fn with_codes(tx: &mut PgConnection, workspace_id: Uuid, device_ids: &[Uuid]) -> Result<LockedAccessCodes> {
    let locked = access_codes::lock_devices(tx, workspace_id, device_ids).await?;
    let ids: Vec<Uuid> = locked.iter().map(|it| it.device.device_id).collect();
    let codes = access_codes::on_devices(tx, &ids).await?;
    Ok(LockedAccessCodes { locked, codes, rivals: Vec::new() })
}

/// What answers need to know of the device of a code.
pub fn summary(locked: &[LockedDevice], device_id: Uuid) -> Result<DeviceSummary> {
    let locked = locked.iter().find(|it| it.device.device_id == device_id).ok_or(Error::NotFound(Resource::Device))?;
    Ok(locked.device.summary(locked.backups))
}
