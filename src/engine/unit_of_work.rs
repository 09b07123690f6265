//! One change of a workspace in one transaction: lock devices, read their access codes, make happen what is due, decide,
//! run, write, commit. What is asked of a workspace's codes and devices goes this way.

use super::app::App;
use super::locked_codes::LockedCodes;
use super::simulation::MAX_STEPS;
use crate::cause::Cause;
use crate::clock::{Timestamp, WorkspaceClock, machine_now};
use crate::domain::access_code::AccessCode;
use crate::domain::caller::Visibility;
use crate::domain::simulation::{Pace, Phase, StopWhen};
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::postgres::Transaction;
use crate::store::access_codes::{self, LockedAccessCodes, PinChange};
use crate::store::{devices, workspaces};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// What to lock.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// These codes, and so their devices.
    Codes(&'a [Uuid]),
    /// The same, with what may stand in the way of the PINs that they are to have.
    Changes(&'a [Uuid], &'a [PinChange]),
    /// These devices with all their codes.
    Devices(&'a [Uuid]),
    /// These devices without the codes that they have: for new ones.
    DevicesOnly(&'a [Uuid]),
    /// The workspace itself and all its devices with all their codes.
    Workspace,
}

/// A transaction on locked devices of one workspace.
#[derive(Debug)]
pub struct UnitOfWork {
    /// The transaction.
    pub tx: Transaction,
    /// What may be seen and changed.
    pub visibility: Visibility,
    /// Where ids of the workspace come from.
    pub ids: Ids,
    /// The workspace's clock.
    pub clock: WorkspaceClock,
    /// The workspace's time.
    pub now: Timestamp,
    /// The machine's.
    pub machine_now: Timestamp,
    /// The locked devices and, of their codes, those of the [`Scope`] and those that something on the devices blocks; run up to
    /// now.
    pub codes: LockedCodes,
    /// The codes that may stand in the way of the PINs wanted, as they are stored.
    pub conflicts: Vec<AccessCode>,
}

impl UnitOfWork {
    /// Locks and reads. What fell due until now happens first, so that each event keeps its instant.
    ///
    /// # Errors
    /// [`Error::NotFound`] of [`Resource::Workspace`](crate::error::Resource::Workspace) where the workspace is gone;
    /// [`Error::TooManySteps`] where more fell due than one request makes happen.
    pub async fn begin(app: &App, visibility: &Visibility, scope: Scope<'_>) -> Result<Self> {
        let tx = app.pool.begin(visibility.workspace_id).await?;
        Self::begin_in(tx, visibility, scope).await
    }

    /// The same in a transaction that has locked what comes before devices.
    ///
    /// # Errors
    /// Those of [`UnitOfWork::begin`].
    pub async fn begin_in(mut tx: Transaction, visibility: &Visibility, scope: Scope<'_>) -> Result<Self> {
        let LockedAccessCodes { locked, codes, conflicts } = lock(&mut tx, visibility, scope).await?;
        let (ids, clock) = if let Some(locked) = locked.first() {
            (locked.ids.clone(), locked.settings.clock)
        } else {
            let (ids, settings) = workspaces::settings(&mut tx, visibility.workspace_id).await?;
            (ids, settings.clock)
        };
        let machine_now = machine_now();
        let now = clock.now(machine_now);
        let conflicts = conflicts.into_iter().map(|stored| stored.code).collect();
        let codes = LockedCodes::new(locked, codes, machine_now);
        let mut work = Self { tx, visibility: visibility.clone(), ids, clock, now, machine_now, codes, conflicts };
        work.run(false).await?;
        work.codes.recorder.begin_request(0);
        Ok(work)
    }

    /// Writes what was changed, and goes on in the same transaction with other locks. What happened so far is told
    /// when all of it is committed.
    ///
    /// # Errors
    /// Those of [`UnitOfWork::begin`].
    pub async fn go_on_with(mut self, scope: Scope<'_>) -> Result<Self> {
        self.write().await?;
        let mut recorder = self.codes.recorder;
        let mut next = Self::begin_in(self.tx, &self.visibility, scope).await?;
        recorder.append(std::mem::take(&mut next.codes.recorder));
        next.codes.recorder = recorder;
        Ok(next)
    }

    /// Records something that happens now to a code, with what such events carry.
    ///
    /// # Errors
    /// Those of [`LockedCodes::get`].
    pub fn record(&mut self, access_code_id: Uuid, event_type: &'static str, payload: Option<Value>) -> Result<()> {
        self.codes.record(access_code_id, event_type, self.now, payload)
    }

    /// Makes everything happen that is due by now to the codes that were there before. `at_once`: operations take no time, as
    /// for a caller who waits.
    ///
    /// # Errors
    /// [`Error::TooManySteps`].
    pub async fn run(&mut self, at_once: bool) -> Result<()> {
        let pace = if at_once { Pace::Immediate } else { Pace::Usual };
        self.run_phases(&[(pace, &|code| !code.is_new())]).await
    }

    /// Makes everything happen that is due by now to some codes after the other.
    ///
    /// # Errors
    /// [`Error::TooManySteps`].
    pub async fn run_phases(&mut self, phases: &[Phase<'_>]) -> Result<()> {
        let now = self.now;
        let steps = self.codes.run(&mut self.tx, phases, |_| now, (StopWhen::TimeIsReached, MAX_STEPS)).await?;
        if steps.is_cut_short {
            return Err(Error::TooManySteps { steps: steps.taken, limit: MAX_STEPS });
        }
        Ok(())
    }

    /// Writes what was changed; everything stays locked.
    ///
    /// # Errors
    /// Those of [`LockedCodes::write`].
    pub async fn write(&mut self) -> Result<()> {
        self.codes.write(&mut self.tx).await
    }

    /// Writes what was changed, and lets go. Gives the codes and devices as they are then.
    ///
    /// # Errors
    /// Those of [`LockedCodes::write`].
    pub async fn finish(self, app: &App) -> Result<LockedCodes> {
        self.commit(app, &[Cause::current()]).await
    }

    /// The same for several requests.
    ///
    /// # Errors
    /// Those of [`LockedCodes::write`].
    pub async fn commit(mut self, app: &App, requests: &[Cause]) -> Result<LockedCodes> {
        self.write().await?;
        self.tx.commit().await?;
        app.wake_scheduler();
        std::mem::take(&mut self.codes.recorder).committed(app, requests);
        Ok(self.codes)
    }
}

async fn lock(tx: &mut PgConnection, visibility: &Visibility, scope: Scope<'_>) -> Result<LockedAccessCodes> {
    let device_ids = match scope {
        Scope::Codes(ids) => return access_codes::lock_access_codes(tx, visibility, ids, &[]).await,
        Scope::Changes(ids, params) => return access_codes::lock_access_codes(tx, visibility, ids, params).await,
        Scope::DevicesOnly(device_ids) => {
            let locked = access_codes::lock_devices(tx, visibility, device_ids).await?;
            return Ok(LockedAccessCodes { locked, ..LockedAccessCodes::default() });
        }
        Scope::Devices(device_ids) => device_ids.to_vec(),
        Scope::Workspace => {
            workspaces::lock(tx, visibility.workspace_id).await?;
            devices::ids(tx, visibility.workspace_id).await?
        }
    };
    let locked = access_codes::lock_devices(tx, visibility, &device_ids).await?;
    let ids: Vec<Uuid> = locked.iter().map(|it| it.device.device_id).collect();
    let codes = access_codes::on_devices(tx, &ids).await?;
    Ok(LockedAccessCodes { locked, codes, conflicts: Vec::new() })
}
