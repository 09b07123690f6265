//! Unit of work: one change of a workspace in one transaction. It locks devices, reads their access codes, runs the
//! steps that were already due, applies the change, runs the steps that are due because of it, writes and commits.
//! Requests that change access codes or devices use it.

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

/// Rows to lock and read.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// These access codes, with their devices locked.
    Codes(&'a [Uuid]),
    /// Like `Codes`, with the codes that may conflict with the requested PINs or time frames.
    Changes(&'a [Uuid], &'a [PinChange]),
    /// These devices with all their access codes.
    Devices(&'a [Uuid]),
    /// These devices without their access codes, to add new ones.
    DevicesOnly(&'a [Uuid]),
    /// The workspace row and all its devices with all their access codes.
    Workspace,
}

/// A transaction on locked devices of one workspace.
#[derive(Debug)]
pub struct UnitOfWork {
    pub tx: Transaction,
    /// Part of the workspace that the caller may read and change.
    pub visibility: Visibility,
    /// Generator of the workspace's ids.
    pub ids: Ids,
    pub clock: WorkspaceClock,
    /// Time on the workspace's clock.
    pub now: Timestamp,
    /// Time on the machine's clock.
    pub machine_now: Timestamp,
    /// The locked devices and the codes of the [`Scope`]. For `Codes` and `Changes` also the codes on these devices
    /// that are blocked by a duplicate PIN or a full memory, because a change may free what they need. All steps due by
    /// `now` have run.
    pub codes: LockedCodes,
    /// Codes that may conflict with the requested PINs or time frames, as stored before the due steps ran. Only for
    /// [`Scope::Changes`].
    pub conflicts: Vec<AccessCode>,
}

impl UnitOfWork {
    /// Locks and reads the rows of the scope. Then runs the steps that are already due, each at its due time, so that
    /// their events do not get the time of this request.
    ///
    /// # Errors
    /// [`Error::NotFound`] of [`Resource::Workspace`](crate::error::Resource::Workspace) if the workspace does not
    /// exist; [`Error::TooManySteps`] if more steps are due than one request may run.
    pub async fn begin(app: &App, visibility: &Visibility, scope: Scope<'_>) -> Result<Self> {
        let tx = app.pool.begin(visibility.workspace_id).await?;
        Self::begin_in(tx, visibility, scope).await
    }

    /// Like [`UnitOfWork::begin`], in a transaction that already holds the locks that must be acquired before device
    /// locks.
    ///
    /// # Errors
    /// The errors of [`UnitOfWork::begin`].
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
        // Attribute only the following events to the request: the steps above were due before it.
        work.codes.recorder.begin_request(0);
        Ok(work)
    }

    /// Writes the changes and continues in the same transaction with another scope. The events of both parts are
    /// published after the commit.
    ///
    /// # Errors
    /// The errors of [`UnitOfWork::begin`].
    pub async fn continue_with(mut self, scope: Scope<'_>) -> Result<Self> {
        self.write().await?;
        let mut recorder = self.codes.recorder;
        let mut next = Self::begin_in(self.tx, &self.visibility, scope).await?;
        recorder.append(std::mem::take(&mut next.codes.recorder));
        next.codes.recorder = recorder;
        Ok(next)
    }

    /// Records an event of an access code at the current time, with the payload of its type.
    ///
    /// # Errors
    /// The errors of [`LockedCodes::get`].
    pub fn record(&mut self, access_code_id: Uuid, event_type: &'static str, payload: Option<Value>) -> Result<()> {
        self.codes.record(access_code_id, event_type, self.now, payload)
    }

    /// Runs all steps due by now, except those of codes created in this transaction. `is_immediate`: operations take no
    /// time, for a request that waits for the lock.
    ///
    /// # Errors
    /// [`Error::TooManySteps`].
    pub async fn run(&mut self, is_immediate: bool) -> Result<()> {
        let pace = if is_immediate { Pace::Immediate } else { Pace::Usual };
        self.run_phases(&[(pace, &|code| !code.is_new())]).await
    }

    /// Runs all steps due by now, one phase after the other.
    ///
    /// # Errors
    /// [`Error::TooManySteps`].
    pub async fn run_phases(&mut self, phases: &[Phase<'_>]) -> Result<()> {
        let now = self.now;
        let steps = self.codes.run(&mut self.tx, phases, |_| now, (StopWhen::TimeIsReached, MAX_STEPS)).await?;
        if steps.has_reached_limit {
            return Err(Error::TooManySteps { steps: steps.taken, limit: MAX_STEPS });
        }
        Ok(())
    }

    /// Writes the changes without ending the transaction; all locks remain.
    ///
    /// # Errors
    /// The errors of [`LockedCodes::write`].
    pub async fn write(&mut self) -> Result<()> {
        self.codes.write(&mut self.tx).await
    }

    /// Writes the changes and commits. Returns the codes and devices in their new state.
    ///
    /// # Errors
    /// The errors of [`LockedCodes::write`].
    pub async fn finish(self, app: &App) -> Result<LockedCodes> {
        self.commit(app, &[Cause::current()]).await
    }

    /// Like [`UnitOfWork::finish`], for a batch of requests.
    ///
    /// # Errors
    /// The errors of [`LockedCodes::write`].
    pub async fn commit(mut self, app: &App, requests: &[Cause]) -> Result<LockedCodes> {
        self.write().await?;
        self.tx.commit().await?;
        app.wake_scheduler();
        std::mem::take(&mut self.codes.recorder).publish(app, requests);
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
    let ids: Vec<Uuid> = locked.iter().map(|locked_device| locked_device.device.device_id).collect();
    let codes = access_codes::on_devices(tx, &ids).await?;
    Ok(LockedAccessCodes { locked, codes, conflicts: Vec::new() })
}
