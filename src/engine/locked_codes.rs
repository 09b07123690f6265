//! Access codes that a transaction reads and changes while their devices are locked.
//!
//! [`LockedCodes`] has the stored and the current state of each code. [`LockedCodes::write`] writes the differences,
//! together with the recorded events and action attempts. Other code writes access codes only to restore a snapshot, to
//! update the columns `due_at` and `wake_at` after a restore or a change of a clock, and to delete rows.

use super::recorder::Recorder;
use super::{due_lock_operations, simulation};
use crate::clock::Timestamp;
use crate::domain;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::Step;
use crate::domain::access_grant::LockedGrants;
use crate::domain::caller::Visibility;
use crate::domain::device::DeviceSummary;
use crate::domain::event::NewEvent;
use crate::domain::locked_device::LockedDevice;
use crate::domain::simulation::{Pace, Phase, Steps, StopWhen};
use crate::error::{Error, Resource, Result};
use crate::store::access_codes::{self, GroupPin, StoredCode};
use crate::store::access_grants::{self, AccessGrants};
use crate::store::{changes, devices};
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Access codes whose devices are locked until the transaction ends.
#[derive(Debug)]
pub struct LockedCodes {
    /// Devices, ordered by id.
    pub devices: Vec<LockedDevice>,
    /// Recorded events and action attempts.
    pub recorder: Recorder,
    /// Time on the machine's clock.
    pub machine_now: Timestamp,
    /// New PINs of groups of linked codes, to be written.
    pub(crate) group_pins: Vec<GroupPin>,
    /// Access grants of the codes, with their rows locked. [`LockedCodes::run`] adds those that are missing.
    pub(crate) grants: LockedGrants,
    codes: Vec<AccessCode>,
    /// Index in `codes` by access code id.
    indexes: HashMap<Uuid, usize>,
    /// Stored state of each code in `codes`, at the same index; `None`: the code is new.
    stored_codes: Vec<Option<StoredCode>>,
    /// Stored state of `devices`, in the same order.
    stored_devices: Vec<LockedDevice>,
}

impl LockedCodes {
    /// Creates the set from locked devices and their stored codes.
    pub fn new(mut devices: Vec<LockedDevice>, codes: Vec<StoredCode>, machine_now: Timestamp) -> Self {
        devices.sort_unstable_by_key(|locked| locked.device.device_id);
        Self {
            stored_devices: devices.clone(),
            devices,
            recorder: Recorder::default(),
            machine_now,
            group_pins: Vec::new(),
            grants: LockedGrants::default(),
            indexes: codes.iter().enumerate().map(|(index, stored)| (stored.code.access_code_id, index)).collect(),
            codes: codes.iter().map(|stored| stored.code.clone()).collect(),
            stored_codes: codes.into_iter().map(Some).collect(),
        }
    }

    /// Iterates over the codes: first those read, in the order of reading, then the new ones.
    pub fn iter(&self) -> impl Iterator<Item = &AccessCode> {
        self.codes.iter()
    }

    /// Mutable version of [`LockedCodes::iter`].
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut AccessCode> {
        self.codes.iter_mut()
    }

    /// Returns a code; `None` if it is not in this set or is gone.
    pub fn find(&self, access_code_id: Uuid) -> Option<&AccessCode> {
        self.get(access_code_id).ok().filter(|code| code.state.gone_at.is_none())
    }

    /// Returns a code that must be in this set.
    ///
    /// # Errors
    /// [`Error::Internal`] if it is not.
    pub fn get(&self, access_code_id: Uuid) -> Result<&AccessCode> {
        let index = self.indexes.get(&access_code_id);
        index.and_then(|index| self.codes.get(*index)).ok_or_else(|| not_locked(access_code_id))
    }

    /// Mutable version of [`LockedCodes::get`].
    ///
    /// # Errors
    /// The errors of [`LockedCodes::get`].
    pub fn get_mut(&mut self, access_code_id: Uuid) -> Result<&mut AccessCode> {
        let index = self.indexes.get(&access_code_id);
        index.and_then(|index| self.codes.get_mut(*index)).ok_or_else(|| not_locked(access_code_id))
    }

    /// Pulls the second code from its pool for the first one, until `ends_at`, and records the event.
    ///
    /// # Errors
    /// The errors of [`LockedCodes::get`].
    pub fn pull_backup(&mut self, (code, backup): (Uuid, Uuid), ends_at: Timestamp, now: Timestamp) -> Result<()> {
        let index = |id| self.indexes.get(&id).copied().ok_or_else(|| not_locked(id));
        let indexes = [index(code)?, index(backup)?];
        let Ok([code, backup]) = self.codes.get_disjoint_mut(indexes) else { return Err(not_locked(backup)) };
        let locked = find(&self.devices, code.device_id).ok_or_else(|| not_locked(code.access_code_id))?;
        let events = &mut self.recorder.events;
        domain::simulation::pull_backup(
            &mut self.grants,
            locked,
            (code, backup),
            (ends_at, now),
            self.machine_now,
            events,
        );
        Ok(())
    }

    /// Adds a new code on one of the devices.
    pub fn add(&mut self, code: AccessCode) {
        self.indexes.insert(code.access_code_id, self.codes.len());
        self.codes.push(code);
        self.stored_codes.push(None);
    }

    /// Returns one of the devices.
    ///
    /// # Errors
    /// [`Error::NotFound`] of [`Resource::Device`].
    pub fn device(&self, device_id: Uuid) -> Result<&LockedDevice> {
        find(&self.devices, device_id).ok_or(Error::NotFound(Resource::Device))
    }

    /// Like [`LockedCodes::device`], for a caller that may not see all devices.
    ///
    /// # Errors
    /// The errors of [`LockedCodes::device`].
    pub fn visible_device(&self, device_id: Uuid, visibility: &Visibility) -> Result<&LockedDevice> {
        let locked = self.device(device_id)?;
        let is_visible = visibility.covers(locked.device.connected_account_id);
        if is_visible { Ok(locked) } else { Err(Error::NotFound(Resource::Device)) }
    }

    /// Mutable version of [`LockedCodes::device`].
    ///
    /// # Errors
    /// The errors of [`LockedCodes::device`].
    pub fn device_mut(&mut self, device_id: Uuid) -> Result<&mut LockedDevice> {
        let index = self.devices.binary_search_by_key(&device_id, |locked| locked.device.device_id).ok();
        index.and_then(|index| self.devices.get_mut(index)).ok_or(Error::NotFound(Resource::Device))
    }

    /// Returns the device of a code that must be in this set.
    ///
    /// # Errors
    /// The errors of [`LockedCodes::get`].
    pub fn device_of(&self, access_code_id: Uuid) -> Result<&LockedDevice> {
        self.device(self.get(access_code_id)?.device_id)
            .map_err(|_| Error::inconsistent("access_code", access_code_id, "device_id"))
    }

    /// Returns the summary of a device, from which responses are created.
    ///
    /// # Errors
    /// The errors of [`LockedCodes::device`].
    pub fn summary(&self, device_id: Uuid) -> Result<DeviceSummary> {
        let locked = self.device(device_id)?;
        Ok(locked.device.summary(locked.backups))
    }

    pub fn device_ids(&self) -> Vec<Uuid> {
        self.devices.iter().map(|locked| locked.device.device_id).collect()
    }

    /// Records an event of a code, with the payload of its type.
    ///
    /// # Errors
    /// The errors of [`LockedCodes::get`].
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
        self.recorder.record_event(NewEvent { payload, ..event });
        Ok(())
    }

    /// Performs the operations of the locks that are due by the instant that `until` returns for the device, and runs
    /// the phases one after the other. Each phase takes the steps that are due by that instant, at most `max_steps`.
    ///
    /// Executes no SQL statement if nothing is due.
    pub async fn run(
        &mut self,
        tx: &mut PgConnection,
        phases: &[Phase<'_>],
        until: impl Fn(&LockedDevice) -> Timestamp,
        (stop_when, max_steps): (StopWhen, u64),
    ) -> Result<Steps> {
        self.load_grants(tx).await?;
        let operations =
            due_lock_operations::perform(tx, &mut self.devices, &until, self.machine_now, max_steps).await?;
        let max_steps = max_steps.saturating_sub(operations.steps.taken);
        let start = self.recorder.events.len();
        let mut steps = self.run_codes(tx, phases, &until, (stop_when, max_steps)).await?;
        if let Some(last) = operations.steps.last
            && stop_when == StopWhen::Idle
            && steps.last < Some(last)
        {
            // The codes stopped at an earlier instant: run them up to that of the last operation.
            let later = self.run_codes(tx, phases, |_| last, (StopWhen::TimeIsReached, max_steps)).await?;
            steps.add(&later);
        }
        steps.add(&operations.steps);
        self.recorder.record_in_order(start, operations.events);
        operations.resolved_attempts.into_iter().for_each(|attempt| self.recorder.resolve_action_attempt(attempt));
        self.update_grants(until);
        Ok(steps)
    }

    /// Locks and reads the access grants of the codes, without those that are here already. Also reads the backup codes
    /// of the locks on which a backup may be pulled for one of the codes. Executes no SQL statement for codes without
    /// grants.
    async fn load_grants(&mut self, tx: &mut PgConnection) -> Result<()> {
        let of_grants = self.codes.iter().filter(|code| code.access_method_id.is_some());
        let missing = of_grants.clone().filter_map(|code| code.access_method_id);
        let missing: BTreeSet<Uuid> = missing.filter(|id| !self.grants.has_method(*id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let with_pool = of_grants.filter(|code| {
            let pool = find(&self.devices, code.device_id).and_then(|locked| locked.device.backup_pool);
            pool.is_some_and(|pool| pool.is_enabled) && code.state.rare_fields.issuance.is_some()
        });
        let with_pool: BTreeSet<Uuid> = with_pool.map(|code| code.device_id).collect();
        if !with_pool.is_empty() {
            let in_pools = access_codes::in_pools(tx, &with_pool.into_iter().collect::<Vec<_>>()).await?;
            self.add_stored(in_pools);
        }
        let missing: Vec<Uuid> = missing.into_iter().collect();
        let workspaces = self
            .devices
            .iter()
            .map(|locked| (locked.device.workspace_id, (locked.ids.clone(), locked.settings.clock)))
            .collect();
        for grant in access_grants::lock(tx, AccessGrants::OfMethods(&missing), &workspaces).await? {
            self.grants.add(grant);
        }
        Ok(())
    }

    /// Reads those of these codes that are not in this set yet. Their devices must be locked.
    pub(crate) async fn read(&mut self, tx: &mut PgConnection, access_code_ids: &[Uuid]) -> Result<()> {
        let missing = access_code_ids.iter().filter(|id| !self.indexes.contains_key(*id));
        let missing: Vec<Uuid> = missing.copied().collect();
        if !missing.is_empty() {
            let found = access_codes::by_ids(tx, &missing).await?;
            self.add_stored(found);
        }
        Ok(())
    }

    /// Adds stored codes that are not in this set yet.
    fn add_stored(&mut self, codes: Vec<StoredCode>) {
        for stored in codes {
            if !self.indexes.contains_key(&stored.code.access_code_id) {
                self.indexes.insert(stored.code.access_code_id, self.codes.len());
                self.codes.push(stored.code.clone());
                self.stored_codes.push(Some(stored));
            }
        }
    }

    /// Brings the access methods in line with their codes, which the caller may have changed, and with the connection of
    /// their locks, as of the instant that `until` returns.
    pub(crate) fn update_grants(&mut self, until: impl Fn(&LockedDevice) -> Timestamp) {
        if self.grants.is_empty() {
            return;
        }
        self.update_codes_of_grants();
        let now_in: BTreeMap<Uuid, Timestamp> =
            self.devices.iter().map(|locked| (locked.device.workspace_id, until(locked))).collect();
        for (workspace_id, now) in now_in {
            self.grants.evaluate_in(workspace_id, (now, self.machine_now), &mut self.recorder.events);
        }
        let gone = self.grants.gone_methods();
        // A code that is kept as expired belongs to no grant any more.
        let has_gone_method = |code: &&mut AccessCode| {
            code.state.gone_at.is_none() && code.access_method_id.is_some_and(|id| gone.contains(&id))
        };
        for code in self.codes.iter_mut().filter(has_gone_method) {
            code.leave_grant();
        }
    }

    /// Updates the state of the codes in their access grants, without effect on the access methods.
    pub(crate) fn update_codes_of_grants(&mut self) {
        for code in &self.codes {
            if let Some(locked) = find(&self.devices, code.device_id) {
                self.grants.update_code(code, locked);
            }
        }
    }

    /// Takes a code out of its access grant, because Seam does not control it any more.
    ///
    /// # Errors
    /// The errors of [`LockedCodes::get`].
    pub(crate) fn leave_grant(&mut self, access_code_id: Uuid) -> Result<()> {
        if let Some(method_id) = self.get_mut(access_code_id)?.leave_grant()
            && let Some(grant) = self.grants.of_method_mut(method_id)
        {
            grant.update_code(access_code_id, None);
        }
        Ok(())
    }

    /// Runs the steps of the codes for [`LockedCodes::run`].
    async fn run_codes(
        &mut self,
        tx: &mut PgConnection,
        phases: &[Phase<'_>],
        until: impl Fn(&LockedDevice) -> Timestamp,
        (stop_when, max_steps): (StopWhen, u64),
    ) -> Result<Steps> {
        if !self.is_anything_due(phases, &until) {
            return Ok(Steps::default());
        }
        self.write_if_memory_changed(tx).await?;
        let grants = std::mem::take(&mut self.grants);
        let mut simulation =
            simulation::load(tx, (&self.devices, grants), (&self.codes, phases), &until, self.machine_now).await?;
        let mut total = Steps::default();
        for phase in phases {
            let events = &mut self.recorder.events;
            let codes = (self.codes.as_mut_slice(), *phase);
            let steps = simulation::run(&mut simulation, codes, &until, (stop_when, max_steps), events).await;
            total.add(&steps);
        }
        let (backups, grants) = simulation::store(simulation, tx).await?;
        self.grants = grants;
        self.devices.iter_mut().for_each(|locked| locked.set_backups(&backups));
        Ok(total)
    }

    /// Takes these steps of one code at the instant `at`, whether they are due or not.
    pub async fn take_steps(
        &mut self,
        tx: &mut PgConnection,
        access_code_id: Uuid,
        at: Timestamp,
        steps: &[Step],
    ) -> Result<()> {
        self.load_grants(tx).await?;
        self.write_if_memory_changed(tx).await?;
        // Load the memory of the lock as if all steps were due: one of these steps may confirm an operation early.
        let (far, every_code): (Timestamp, [Phase<'_>; 1]) = (Timestamp::MAX_UTC, [(Pace::Usual, &|_| true)]);
        let grants = std::mem::take(&mut self.grants);
        let mut simulation =
            simulation::load(tx, (&self.devices, grants), (&self.codes, &every_code), |_| far, self.machine_now)
                .await?;
        let index = self.indexes.get(&access_code_id);
        let code = index.and_then(|index| self.codes.get_mut(*index)).ok_or_else(|| not_locked(access_code_id))?;
        let device_id = code.device_id;
        let locked = find(&self.devices, device_id).ok_or_else(|| not_locked(access_code_id))?;
        let lock = Pace::Usual.lock(locked);
        let mut has_freed_memory = false;
        for step in steps {
            has_freed_memory |= simulation.step(locked, &lock, code, at, *step, &mut self.recorder.events);
        }
        let (backups, grants) = simulation::store(simulation, tx).await?;
        self.grants = grants;
        self.devices.iter_mut().for_each(|locked| locked.set_backups(&backups));
        if has_freed_memory {
            self.retry_blocked(at);
        }
        Ok(())
    }

    /// Makes all codes that the memory of a lock blocks due for a retry at `at`, because the cause may be gone.
    pub fn retry_blocked(&mut self, at: Timestamp) {
        self.codes.iter_mut().filter(|code| code.blocked_on().is_some()).for_each(|code| code.state.retry_now(at));
    }

    fn is_anything_due(&self, phases: &[Phase<'_>], until: impl Fn(&LockedDevice) -> Timestamp) -> bool {
        phases.iter().any(|(pace, takes_part)| {
            let locks: HashMap<Uuid, _> = self
                .devices
                .iter()
                .map(|locked| (locked.device.device_id, (pace.lock(locked), until(locked))))
                .collect();
            self.codes.iter().filter(|code| takes_part(code)).any(|code| {
                let next = locks.get(&code.device_id).and_then(|(lock, until)| Some((code.state.next(lock)?.0, until)));
                next.is_some_and(|(due_at, until)| due_at <= *until)
            })
        })
    }

    /// Writes the changes if the entry of a code in the memory of its lock has changed, or a code is gone: queries for
    /// conflicts and reservations must find this in the database.
    pub async fn write_if_memory_changed(&mut self, tx: &mut PgConnection) -> Result<()> {
        let is_stored = |(code, stored): (&AccessCode, &Option<StoredCode>)| {
            let stored = stored.as_ref().map(|stored| &stored.code.state);
            stored.and_then(|state| state.held.as_ref()) == code.state.held.as_ref()
                && stored.is_none_or(|state| state.gone_at == code.state.gone_at)
        };
        if self.codes.iter().zip(&self.stored_codes).all(is_stored) { Ok(()) } else { self.write(tx).await }
    }

    /// Writes the changes and the recorded events and action attempts. The devices stay locked.
    ///
    /// # Errors
    /// [`Error::Internal`] for a code whose device is not locked.
    pub async fn write(&mut self, tx: &mut PgConnection) -> Result<()> {
        self.write_devices(tx).await?;
        let locks: HashMap<Uuid, &LockedDevice> =
            self.devices.iter().map(|locked| (locked.device.device_id, locked)).collect();
        let has_no_webhooks =
            !self.devices.is_empty() && self.devices.iter().all(|locked| !locked.settings.has_webhooks);
        let mut changes = self.recorder.changes(has_no_webhooks);
        changes.group_pins = std::mem::take(&mut self.group_pins);
        access_grants::save(tx, &mut self.grants).await?;
        for (code, stored) in self.codes.iter().zip(&mut self.stored_codes) {
            let locked = locks.get(&code.device_id).ok_or_else(|| not_locked(code.access_code_id))?;
            let (due_at, wake_at) = StoredCode::due_times(code, locked);
            let is_unchanged =
                |stored: &StoredCode| stored.due_at == due_at && stored.wake_at == wake_at && stored.code == *code;
            if stored.as_ref().is_some_and(is_unchanged) {
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
        let with_new_offline_codes: HashSet<Uuid> =
            new.filter(|(code, _)| code.state.is_offline).map(|(code, _)| code.device_id).collect();
        let changed = self.devices.iter().zip(&self.stored_devices).filter(|(locked, stored)| {
            // Derived ids and the stay ids of offline codes need the ordinal; random ids do not.
            let needs_ordinal = locked.ids.is_derived() || with_new_offline_codes.contains(&locked.device.device_id);
            locked.device != stored.device
                || (needs_ordinal && locked.access_code_ordinal != stored.access_code_ordinal)
        });
        let changed: Vec<LockedDevice> = changed.map(|(locked, _)| locked.clone()).collect();
        if !changed.is_empty() {
            devices::update(tx, changed).await?;
            self.stored_devices.clone_from(&self.devices);
        }
        Ok(())
    }
}

/// Finds a device by binary search; the devices are ordered by id.
fn find(devices: &[LockedDevice], device_id: Uuid) -> Option<&LockedDevice> {
    let index = devices.binary_search_by_key(&device_id, |locked| locked.device.device_id).ok()?;
    devices.get(index)
}

fn not_locked(access_code_id: Uuid) -> Error {
    Error::Internal(format!("access_code {access_code_id} is not among those that are locked").into())
}
