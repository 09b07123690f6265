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
use crate::domain::linked::Reservation;
use crate::domain::simulation::{Pace, Phase, StopWhen};
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::postgres::Transaction;
use crate::store::access_codes::{self, DeviceSelection, LockedAccessCodes, PinChange, PinQuery};
use crate::store::{devices, workspaces};
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::BTreeSet;
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
    /// These devices without their access codes.
    DevicesOnly(&'a [Uuid]),
    /// These devices without their access codes, to add new ones, with the reservations of these PINs.
    NewCodes(&'a [Uuid], &'a BTreeSet<PinQuery>),
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
    /// Reservations of the PINs of [`Scope::NewCodes`].
    pub(crate) reservations: Vec<Reservation>,
}

impl UnitOfWork {
    /// Locks and reads the rows of the scope. Then runs the steps that are already due, each at its due time, so that
    /// their events do not get the time of this request.
    ///
    /// # Errors
    /// [`Error::NotFound`] of [`Resource::Workspace`](crate::error::Resource::Workspace) if the workspace does not
    /// exist; [`Error::TooManySteps`] if more steps are due than one request may run.
    pub async fn begin(app: &App, visibility: &Visibility, scope: Scope<'_>) -> Result<Self> {
        let workspace_id = visibility.workspace_id;
        match scope.devices() {
            None | Some(DeviceSelection::ByIds([]) | DeviceSelection::OfAccessCodes([])) => {
                Self::begin_in(app.pool.begin(workspace_id).await?, visibility, scope).await
            }
            Some(devices) => {
                let tx = access_codes::begin_with_locked_devices(&app.pool, visibility, devices).await?;
                Self::begin_locked(tx, visibility, scope).await
            }
        }
    }

    /// Like [`UnitOfWork::begin`], in a transaction that already holds the locks that must be acquired before device
    /// locks.
    ///
    /// # Errors
    /// The errors of [`UnitOfWork::begin`].
    pub async fn begin_in(mut tx: Transaction, visibility: &Visibility, scope: Scope<'_>) -> Result<Self> {
        let workspace_id = visibility.workspace_id;
        if let Some(devices) = scope.devices() {
            access_codes::lock_devices(&mut tx, visibility, devices).await?;
            return Self::begin_locked(tx, visibility, scope).await;
        }
        workspaces::lock(&mut tx, workspace_id).await?;
        let device_ids = devices::ids(&mut tx, workspace_id).await?;
        access_codes::lock_devices(&mut tx, visibility, DeviceSelection::ByIds(&device_ids)).await?;
        Self::begin_locked(tx, visibility, Scope::Devices(&device_ids)).await
    }

    /// Like [`UnitOfWork::begin`], in a transaction that has locked the devices of the scope.
    ///
    /// # Errors
    /// The errors of [`UnitOfWork::begin`].
    pub async fn begin_locked(mut tx: Transaction, visibility: &Visibility, scope: Scope<'_>) -> Result<Self> {
        let LockedAccessCodes { locked, codes, conflicts, reservations } = read(&mut tx, visibility, scope).await?;
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
        let visibility = visibility.clone();
        let mut work = Self { tx, visibility, ids, clock, now, machine_now, codes, conflicts, reservations };
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
        let now = self.now;
        self.codes.update_grants(|_| now);
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

impl<'a> Scope<'a> {
    /// Returns the devices to lock; `None`: all of the workspace.
    fn devices(&self) -> Option<DeviceSelection<'a>> {
        match self {
            Self::Codes(access_code_ids) | Self::Changes(access_code_ids, _) => {
                Some(DeviceSelection::OfAccessCodes(access_code_ids))
            }
            Self::Devices(device_ids) | Self::DevicesOnly(device_ids) | Self::NewCodes(device_ids, _) => {
                Some(DeviceSelection::ByIds(device_ids))
            }
            Self::Workspace => None,
        }
    }
}

/// Reads the rows of the scope, whose devices are locked.
async fn read(tx: &mut PgConnection, visibility: &Visibility, scope: Scope<'_>) -> Result<LockedAccessCodes> {
    let no_pins = BTreeSet::new();
    let (device_ids, pins) = match scope {
        Scope::Codes(ids) => return access_codes::locked_access_codes(tx, visibility, ids, &[]).await,
        Scope::Changes(ids, pins) => return access_codes::locked_access_codes(tx, visibility, ids, pins).await,
        Scope::NewCodes(device_ids, pins) => (device_ids, pins),
        Scope::Devices(device_ids) | Scope::DevicesOnly(device_ids) => (device_ids, &no_pins),
        Scope::Workspace => return Err(Error::Internal("the devices of a workspace are locked by their ids".into())),
    };
    let devices = DeviceSelection::ByIds(device_ids);
    let (locked, reservations) =
        access_codes::locked_devices_and_reservations(tx, Some(visibility), devices, pins).await?;
    let codes = if matches!(scope, Scope::Devices(_)) {
        let ids: Vec<Uuid> = locked.iter().map(|locked_device| locked_device.device.device_id).collect();
        access_codes::on_devices(tx, &ids).await?
    } else {
        Vec::new()
    };
    Ok(LockedAccessCodes { locked, reservations, codes, conflicts: Vec::new() })
}
