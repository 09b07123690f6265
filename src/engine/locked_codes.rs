//! Locked devices and access codes on them, as the database has them and as they have become: what differs is written,
//! with everything that was recorded. Nothing else writes access codes, but for the instants at which they are woken when a
//! clock has changed.

use super::recorder::Recorder;
use super::simulation;
use crate::clock::Timestamp;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::Step;
use crate::domain::caller::Visibility;
use crate::domain::device::DeviceSummary;
use crate::domain::event::NewEvent;
use crate::domain::locked_device::LockedDevice;
use crate::domain::simulation::{Pace, Phase, Steps, StopWhen};
use crate::error::{Error, Resource, Result};
use crate::store::access_codes::StoredCode;
use crate::store::{changes, devices};
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Access codes whose devices are locked until the transaction ends.
#[derive(Debug)]
pub struct LockedCodes {
    /// The devices, in the order of their ids.
    pub devices: Vec<LockedDevice>,
    /// What happened and what was asked for.
    pub recorder: Recorder,
    /// The machine's time.
    pub machine_now: Timestamp,
    codes: Vec<AccessCode>,
    /// By id of the code: its place in `codes`.
    indexes: HashMap<Uuid, usize>,
    /// The codes as the database has them; `None`: the code is new.
    stored_codes: Vec<Option<StoredCode>>,
    stored_devices: Vec<LockedDevice>,
}

impl LockedCodes {
    /// Devices that are locked, and codes on them as they are stored.
    pub fn new(mut devices: Vec<LockedDevice>, codes: Vec<StoredCode>, machine_now: Timestamp) -> Self {
        devices.sort_unstable_by_key(|locked| locked.device.device_id);
        Self {
            stored_devices: devices.clone(),
            devices,
            recorder: Recorder::default(),
            machine_now,
            indexes: codes.iter().enumerate().map(|(index, it)| (it.code.access_code_id, index)).collect(),
            codes: codes.iter().map(|it| it.code.clone()).collect(),
            stored_codes: codes.into_iter().map(Some).collect(),
        }
    }

    /// The codes: as they were read, and then the new ones.
    pub fn iter(&self) -> impl Iterator<Item = &AccessCode> {
        self.codes.iter()
    }

    /// The same to be changed.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut AccessCode> {
        self.codes.iter_mut()
    }

    /// A code that is not gone.
    pub fn find(&self, access_code_id: Uuid) -> Option<&AccessCode> {
        self.get(access_code_id).ok().filter(|code| code.state.gone_at.is_none())
    }

    /// A code that is known to be here.
    ///
    /// # Errors
    /// [`Error::Internal`]: it is not.
    pub fn get(&self, access_code_id: Uuid) -> Result<&AccessCode> {
        let index = self.indexes.get(&access_code_id);
        index.and_then(|index| self.codes.get(*index)).ok_or_else(|| not_locked(access_code_id))
    }

    /// The same to be changed.
    ///
    /// # Errors
    /// Those of [`LockedCodes::get`].
    pub fn get_mut(&mut self, access_code_id: Uuid) -> Result<&mut AccessCode> {
        let index = self.indexes.get(&access_code_id);
        index.and_then(|index| self.codes.get_mut(*index)).ok_or_else(|| not_locked(access_code_id))
    }

    /// Adds a new code on one of the devices.
    pub fn add(&mut self, code: AccessCode) {
        self.indexes.insert(code.access_code_id, self.codes.len());
        self.codes.push(code);
        self.stored_codes.push(None);
    }

    /// One of the devices.
    ///
    /// # Errors
    /// [`Error::NotFound`] of [`Resource::Device`].
    pub fn device(&self, device_id: Uuid) -> Result<&LockedDevice> {
        find(&self.devices, device_id).ok_or(Error::NotFound(Resource::Device))
    }

    /// The same, for a caller who may not see all of them.
    ///
    /// # Errors
    /// Those of [`LockedCodes::device`].
    pub fn visible_device(&self, device_id: Uuid, visibility: &Visibility) -> Result<&LockedDevice> {
        let locked = self.device(device_id)?;
        let is_visible = visibility.covers(locked.device.connected_account_id);
        if is_visible { Ok(locked) } else { Err(Error::NotFound(Resource::Device)) }
    }

    /// The same to be changed.
    ///
    /// # Errors
    /// Those of [`LockedCodes::device`].
    pub fn device_mut(&mut self, device_id: Uuid) -> Result<&mut LockedDevice> {
        let index = self.devices.binary_search_by_key(&device_id, |locked| locked.device.device_id).ok();
        index.and_then(|index| self.devices.get_mut(index)).ok_or(Error::NotFound(Resource::Device))
    }

    /// The device of a code that is known to be here.
    ///
    /// # Errors
    /// Those of [`LockedCodes::get`].
    pub fn device_of(&self, access_code_id: Uuid) -> Result<&LockedDevice> {
        self.device(self.get(access_code_id)?.device_id)
            .map_err(|_| Error::inconsistent("access_code", access_code_id, "device_id"))
    }

    /// What answers need to know of one of the devices.
    ///
    /// # Errors
    /// Those of [`LockedCodes::device`].
    pub fn summary(&self, device_id: Uuid) -> Result<DeviceSummary> {
        let locked = self.device(device_id)?;
        Ok(locked.device.summary(locked.backups))
    }

    /// The ids of the devices.
    pub fn device_ids(&self) -> Vec<Uuid> {
        self.devices.iter().map(|locked| locked.device.device_id).collect()
    }

    /// Records an event of a code, with what its type carries.
    ///
    /// # Errors
    /// Those of [`LockedCodes::get`].
    pub fn record(
        &mut self,
        access_code_id: Uuid,
        event_type: &'static str,
        occurred_at: Timestamp,
        payload: Option<Value>,
    ) -> Result<()> {
        let index = self.indexes.get(&access_code_id).ok_or_else(|| not_locked(access_code_id))?;
        let code = self.codes.get_mut(*index).ok_or_else(|| not_locked(access_code_id))?;
        let locked = find(&self.devices, code.device_id).ok_or_else(|| not_locked(access_code_id))?;
        let event = NewEvent::of_access_code(code, locked, event_type, occurred_at, self.machine_now);
        self.recorder.event(NewEvent { payload, ..event });
        Ok(())
    }

    /// Makes everything happen that falls due, for each device until the instant given for it: one turn after the other, and
    /// at most so many steps in each.
    ///
    /// Where nothing falls due this is no statement.
    pub async fn run(
        &mut self,
        tx: &mut PgConnection,
        phases: &[Phase<'_>],
        until: impl Fn(&LockedDevice) -> Timestamp,
        (stop_when, most): (StopWhen, u64),
    ) -> Result<Steps> {
        if !self.is_anything_due(phases, &until) {
            return Ok(Steps::default());
        }
        self.write_memory(tx).await?;
        let mut simulation =
            simulation::load(tx, &self.devices, (&self.codes, phases), &until, self.machine_now).await?;
        let mut total = Steps::default();
        for phase in phases {
            let events = &mut self.recorder.events;
            let codes = (self.codes.as_mut_slice(), *phase);
            let steps = simulation::run(&mut simulation, codes, &until, (stop_when, most), events).await;
            total.taken += steps.taken;
            total.last = total.last.max(steps.last);
            total.is_cut_short |= steps.is_cut_short;
        }
        let backups = simulation::store(simulation, tx).await?;
        self.devices.iter_mut().for_each(|locked| locked.count_backups(&backups));
        Ok(total)
    }

    /// Takes these steps of one code at an instant, due or not.
    pub async fn take_steps(
        &mut self,
        tx: &mut PgConnection,
        access_code_id: Uuid,
        at: Timestamp,
        steps: &[Step],
    ) -> Result<()> {
        self.write_memory(tx).await?;
        // Whatever falls due until then, the lock's memory is needed: it may confirm now.
        let (far, every_code): (Timestamp, [Phase<'_>; 1]) = (Timestamp::MAX_UTC, [(Pace::Usual, &|_| true)]);
        let mut simulation =
            simulation::load(tx, &self.devices, (&self.codes, &every_code), |_| far, self.machine_now).await?;
        let index = self.indexes.get(&access_code_id);
        let code = index.and_then(|index| self.codes.get_mut(*index)).ok_or_else(|| not_locked(access_code_id))?;
        let device_id = code.device_id;
        let locked = find(&self.devices, device_id).ok_or_else(|| not_locked(access_code_id))?;
        let lock = Pace::Usual.lock(locked);
        let mut frees = false;
        for step in steps {
            frees |= simulation.step(locked, &lock, code, at, *step, &mut self.recorder.events);
        }
        let backups = simulation::store(simulation, tx).await?;
        self.devices.iter_mut().for_each(|locked| locked.count_backups(&backups));
        if frees {
            self.try_blocked_again(at);
        }
        Ok(())
    }

    /// Lets the codes try again that something in a lock's memory was in the way of: it may be gone.
    pub fn try_blocked_again(&mut self, at: Timestamp) {
        self.codes.iter_mut().filter(|code| code.blocked_on().is_some()).for_each(|code| code.state.try_again(at));
    }

    fn is_anything_due(&self, phases: &[Phase<'_>], until: impl Fn(&LockedDevice) -> Timestamp) -> bool {
        phases.iter().any(|(pace, takes_part)| {
            let locks: HashMap<Uuid, _> =
                self.devices.iter().map(|it| (it.device.device_id, (pace.lock(it), until(it)))).collect();
            self.codes.iter().filter(|code| takes_part(code)).any(|code| {
                let next = locks.get(&code.device_id).and_then(|(lock, until)| Some((code.state.next(lock)?.0, until)));
                next.is_some_and(|(due_at, until)| due_at <= *until)
            })
        })
    }

    /// Sees to it that the database knows what the locks hold: what may stand in the way of a code is read there.
    pub async fn write_memory(&mut self, tx: &mut PgConnection) -> Result<()> {
        let is_known = |(code, stored): (&AccessCode, &Option<StoredCode>)| {
            let stored = stored.as_ref().map(|stored| &stored.code.state);
            stored.and_then(|state| state.held.as_ref()) == code.state.held.as_ref()
                && stored.is_none_or(|state| state.gone_at == code.state.gone_at)
        };
        if self.codes.iter().zip(&self.stored_codes).all(is_known) { Ok(()) } else { self.write(tx).await }
    }

    /// Writes what has changed and what was recorded; everything stays locked.
    ///
    /// # Errors
    /// A code whose device is not locked: it would not be written.
    pub async fn write(&mut self, tx: &mut PgConnection) -> Result<()> {
        self.write_devices(tx).await?;
        let locks: HashMap<Uuid, &LockedDevice> = self.devices.iter().map(|it| (it.device.device_id, it)).collect();
        let mut changes = self.recorder.changes();
        for (code, stored) in self.codes.iter().zip(&mut self.stored_codes) {
            let locked = locks.get(&code.device_id).ok_or_else(|| not_locked(code.access_code_id))?;
            let (due_at, wake_at) = StoredCode::due_times(code, locked);
            if stored.as_ref().is_some_and(|it| it.due_at == due_at && it.wake_at == wake_at && it.code == *code) {
                continue;
            }
            let current = StoredCode { code: code.clone(), due_at, wake_at };
            let is_new = stored.replace(current.clone()).is_none();
            if is_new { &mut changes.new_codes } else { &mut changes.changed_codes }.push(current);
        }
        changes::write(tx, changes).await
    }

    async fn write_devices(&mut self, tx: &mut PgConnection) -> Result<()> {
        let new = self.codes.iter().zip(&self.stored_codes).filter(|(_, stored)| stored.is_none());
        let with_stays: HashSet<Uuid> =
            new.filter(|(code, _)| code.state.is_offline).map(|(code, _)| code.device_id).collect();
        let changed = self.devices.iter().zip(&self.stored_devices).filter(|(locked, stored)| {
            // Random ids need no ordinal; stays do.
            let counts = locked.ids.is_derived() || with_stays.contains(&locked.device.device_id);
            locked.device != stored.device || (counts && locked.access_code_ordinal != stored.access_code_ordinal)
        });
        let changed: Vec<LockedDevice> = changed.map(|(locked, _)| locked.clone()).collect();
        if !changed.is_empty() {
            devices::update(tx, changed).await?;
            self.stored_devices.clone_from(&self.devices);
        }
        Ok(())
    }
}

/// One of these devices, which are in the order of their ids.
fn find(devices: &[LockedDevice], device_id: Uuid) -> Option<&LockedDevice> {
    let index = devices.binary_search_by_key(&device_id, |locked| locked.device.device_id).ok()?;
    devices.get(index)
}

fn not_locked(access_code_id: Uuid) -> Error {
    Error::Internal(format!("access_code {access_code_id} is not among those that are locked").into())
}
