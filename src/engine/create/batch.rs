//! A batch of requests that create access codes: the data that decides them, read under locks, and the decisions so
//! far.

use super::checks;
use super::groups::{Group, code_of, device_ids, given_pins, lock_groups, uses_only_given_pin};
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{CodeState, LockCode, PendingMutation};
use crate::domain::action_attempt::NewActionAttempt;
use crate::domain::action_attempt::action_type::CREATE_ACCESS_CODE;
use crate::domain::caller::Visibility;
use crate::domain::device::Device;
use crate::domain::device::health::BackupPool;
use crate::domain::event::event_type;
use crate::domain::linked::{self, Assigned, PinRequest, Reservations};
use crate::domain::locked_device::LockedDevice;
use crate::domain::offline::ExistingOfflineCode;
use crate::domain::rate_limit::RecentAttempts;
use crate::domain::simulation::{Pace, Phase};
use crate::domain::workspace::WorkspaceSettings;
use crate::engine::app::App;
use crate::engine::backup_pool;
use crate::engine::commands::{CreateCommand, Created, NewAccessCode};
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::error::{Error, Resource, Result};
use crate::postgres::Transaction;
use crate::store::access_codes::{self, DeviceSelection, GroupPin};
use crate::store::action_attempts;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Data that decides a batch, with the devices locked, and the decisions so far.
pub(in crate::engine) struct CreateBatch {
    pub(in crate::engine) work: UnitOfWork,
    pub(super) settings: WorkspaceSettings,
    pub(in crate::engine) reservations: Reservations,
    pub(super) groups: BTreeMap<String, Group>,
    /// Offline codes by device, for the quotas. Includes new codes of this batch.
    pub(super) existing_offline_codes: HashMap<Uuid, Vec<ExistingOfflineCode>>,
    /// Recent action attempts to create codes, for the rate limits.
    pub(super) recent: RecentAttempts,
    /// New codes of the requests, by access code id. Backup codes are not included: they have no action attempt.
    pub(super) pending: HashMap<Uuid, PendingCode>,
}

/// A new code of a request, with its action attempt.
pub(super) struct PendingCode {
    /// Action attempt to program the code.
    attempt: NewActionAttempt,
    /// True if the attempt is stored: see [`Created::attempt`].
    keeps_attempt: bool,
    /// True if the lock confirms at once, because the request waits for it.
    is_immediate: bool,
}

impl CreateBatch {
    /// Begins a transaction, locks groups and devices, and reads the reservations on them.
    ///
    /// # Errors
    /// [`Error::NotFound`] of [`Resource::Device`] if none of the devices exists.
    pub(super) async fn begin(app: &App, workspace_id: Uuid, commands: &[CreateCommand]) -> Result<Self> {
        if commands.iter().any(|command| command.params.common_code_key.is_some()) {
            return Self::begin_in(app.pool.begin(workspace_id).await?, workspace_id, commands).await;
        }
        let device_ids = device_ids(commands);
        let devices = DeviceSelection::ByIds(&device_ids);
        let tx = access_codes::begin_with_locked_devices(&app.pool, &Visibility::all_of(workspace_id), devices).await?;
        Self::read(tx, (workspace_id, &device_ids), commands, BTreeMap::new()).await
    }

    /// Like [`CreateBatch::begin`], in this transaction.
    ///
    /// # Errors
    /// The errors of [`CreateBatch::begin`].
    pub(in crate::engine) async fn begin_in(
        mut tx: Transaction,
        workspace_id: Uuid,
        commands: &[CreateCommand],
    ) -> Result<Self> {
        let groups = lock_groups(&mut tx, workspace_id, commands).await?;
        let device_ids = device_ids(commands);
        access_codes::lock_devices(&mut tx, &Visibility::all_of(workspace_id), DeviceSelection::ByIds(&device_ids))
            .await?;
        Self::read(tx, (workspace_id, &device_ids), commands, groups).await
    }

    /// Writes the changes of a unit of work and continues in its transaction. The devices must be locked. The requests
    /// must have no `common_code_key`.
    ///
    /// # Errors
    /// The errors of [`CreateBatch::begin`].
    pub(in crate::engine) async fn continue_from(work: UnitOfWork, commands: &[CreateCommand]) -> Result<Self> {
        let work = work.continue_with(Scope::NewCodes(&device_ids(commands), &BTreeSet::new())).await?;
        Self::read_rest(work, commands, BTreeMap::new()).await
    }

    /// Reads the devices, which are locked, and the reservations on them.
    async fn read(
        tx: Transaction,
        (workspace_id, device_ids): (Uuid, &[Uuid]),
        commands: &[CreateCommand],
        groups: BTreeMap<String, Group>,
    ) -> Result<Self> {
        let pins = given_pins(&groups, commands);
        let visibility = Visibility::all_of(workspace_id);
        let work = UnitOfWork::begin_locked(tx, &visibility, Scope::NewCodes(device_ids, &pins)).await?;
        Self::read_rest(work, commands, groups).await
    }

    /// Reads what decides the requests, except the devices.
    async fn read_rest(
        mut work: UnitOfWork,
        commands: &[CreateCommand],
        groups: BTreeMap<String, Group>,
    ) -> Result<Self> {
        let (workspace_id, device_ids) = (work.visibility.workspace_id, device_ids(commands));
        let settings = work.codes.devices.first().ok_or(Error::NotFound(Resource::Device))?.settings;
        let (tx, now) = (&mut work.tx, work.now);
        let recent = action_attempts::recent(tx, workspace_id, &settings, now, &device_ids, CREATE_ACCESS_CODE).await?;
        let mut batch = Self {
            work,
            settings,
            reservations: Reservations::default(),
            groups,
            existing_offline_codes: HashMap::new(),
            recent,
            pending: HashMap::new(),
        };
        batch.read_reservations(commands).await?;
        Ok(batch)
    }

    /// Reads the reservations that may conflict. Those of the given PINs are read already; on a device that has a
    /// capacity limit, or on which Latchkey chooses PINs, those of all PINs are needed.
    async fn read_reservations(&mut self, commands: &[CreateCommand]) -> Result<()> {
        let mut device_ids = BTreeSet::new();
        for command in commands {
            let is_given = matches!(code_of(&self.groups, &command.params), Ok(Some(_)));
            let needs_all = !is_given || !uses_only_given_pin(command);
            for device_id in &command.device_ids {
                let Ok(locked) = self.work.codes.device(*device_id) else { continue };
                if needs_all || locked.device.capacity().is_some() {
                    device_ids.insert(*device_id);
                }
            }
        }
        let tx = &mut self.work.tx;
        // The reservations read by device include those read by PIN.
        let of_pins = std::mem::take(&mut self.work.reservations).into_iter();
        self.reservations = of_pins.filter(|reservation| !device_ids.contains(&reservation.device_id)).collect();
        if !device_ids.is_empty() {
            let on_devices = access_codes::reservations_on_devices(tx, &device_ids).await?;
            for reservation in on_devices {
                self.reservations.add(reservation);
            }
        }
        let offline = commands.iter().filter(|command| command.params.offline.is_some());
        let offline: Vec<Uuid> = offline.flat_map(|command| command.device_ids.iter().copied()).collect();
        if !offline.is_empty() {
            self.existing_offline_codes = access_codes::offline_on_devices(tx, &offline).await?;
        }
        Ok(())
    }

    /// Returns the PIN that a request must use: see [`code_of`].
    pub(super) fn code_of(&self, params: &NewAccessCode) -> Result<Option<String>> {
        code_of(&self.groups, params)
    }

    /// Decides one request and reserves its PINs, so that later requests cannot use them. Returns the ids of its codes.
    pub(super) fn decide(&mut self, command: &CreateCommand) -> Result<Vec<Uuid>> {
        // Before the rate limits: a device that the caller may not see is treated as missing.
        let is_hidden = |locked: &LockedDevice| !command.visibility.covers(locked.device.connected_account_id);
        if command.device_ids.iter().any(|id| self.work.codes.device(*id).is_ok_and(is_hidden)) {
            return Err(Error::NotFound(Resource::Device));
        }
        self.check_group_is_visible(command)?;
        for device_id in &command.device_ids {
            self.work.codes.device(*device_id)?.device.check_managed()?;
        }
        command.device_ids.iter().try_for_each(|device_id| self.recent.check(*device_id))?;
        let access_code_ids = self.assign(command)?;
        command.device_ids.iter().for_each(|device_id| self.recent.add(*device_id));
        Ok(access_code_ids)
    }

    /// Rejects a `common_code_key` of codes that the caller may not see: the new code would reveal their PIN.
    fn check_group_is_visible(&self, command: &CreateCommand) -> Result<()> {
        let group = command.params.common_code_key.as_ref().and_then(|key| self.groups.get(key));
        if group.is_some_and(|group| group.account_ids.iter().any(|id| !command.visibility.covers(*id))) {
            return Err(Error::Conflict(
                "this common_code_key is in use in the workspace, by access codes that the client session cannot \
                 access. Choose another."
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Chooses PINs for all codes of one request and adds them.
    fn assign(&mut self, command: &CreateCommand) -> Result<Vec<Uuid>> {
        let params = &command.params;
        let codes = &self.work.codes;
        let in_order: Vec<&LockedDevice> = command
            .device_ids
            .iter()
            .map(|id| codes.visible_device(*id, &command.visibility))
            .collect::<Result<_>>()?;
        if params.offline.is_some() {
            return self.add_offline(command);
        }
        checks::check_devices(&in_order, params, self.work.now)?;
        let code = self.code_of(params)?;
        let pin_request = PinRequest {
            code: code.as_deref(),
            code_comes_from: if params.code.is_some() { "code" } else { "common_code_key" },
            name: params.name.as_deref(),
            window: params.window,
            preferred_code_length: params.preferred_code_length,
            prefer_native_scheduling: params.prefer_native_scheduling,
            same_code: self.settings.same_code,
            avoids_unmanaged: false,
            now: self.work.now,
        };
        for locked in &in_order {
            linked::check_capacity(&locked.device, &self.reservations, &pin_request)?;
        }
        let Some(first) = in_order.first() else { return Err(Error::NotFound(Resource::Device)) };
        let (first_id, first_ordinal) = (first.device.device_id, first.next_ordinal());
        // Each code has its own range of 65,536 ordinals, so that no two draws have the same ordinal.
        let mut draws = 0;
        let mut draw = |bound| {
            draws += 1;
            self.work.ids.draw("pin", first_id, (first_ordinal << 16) + draws, bound)
        };
        let (assigned, key) = match command.linking {
            None => {
                // With a key of the request, the code shares its PIN with the other codes of that key.
                let code = linked::assign_one(&first.device, &self.reservations, &pin_request, &mut draw)?;
                (vec![Assigned { code, is_shared: true }], params.common_code_key.clone())
            }
            Some(behavior) => {
                let devices: Vec<&Device> = in_order.iter().map(|locked| &locked.device).collect();
                let assigned = linked::assign_many(&devices, &self.reservations, &pin_request, behavior, &mut draw)?;
                // Codes with a PIN chosen by the caller are not linked and cannot be updated as a group.
                (assigned, params.code.is_none().then(|| self.new_key(first_id, first_ordinal)))
            }
        };
        if let (Some(key), Some(shared)) = (&key, assigned.iter().find(|assigned| assigned.is_shared)) {
            let account_ids = in_order.iter().map(|locked| locked.device.connected_account_id).collect();
            self.join_group(key, &shared.code, account_ids);
        }
        self.add_all(command, assigned, key.as_deref())
    }

    /// Adds the codes of a request with these PINs, in the order of its devices. `key` links the codes that share a PIN.
    fn add_all(&mut self, command: &CreateCommand, assigned: Vec<Assigned>, key: Option<&str>) -> Result<Vec<Uuid>> {
        let params = &command.params;
        let mut access_code_ids = Vec::with_capacity(assigned.len());
        for (device_id, assigned) in command.device_ids.iter().zip(assigned) {
            let key = key.filter(|_| assigned.is_shared).map(str::to_owned);
            let code = self.new_code(*device_id, params, (assigned.code, key))?;
            access_code_ids.push(code.access_code_id);
            self.add(code, command)?;
        }
        if params.use_backup_pool {
            command.device_ids.iter().try_for_each(|device_id| self.enable_pool(*device_id))?;
        }
        Ok(access_code_ids)
    }

    /// Returns a `common_code_key` for codes that Latchkey links.
    fn new_key(&self, device_id: Uuid, ordinal: i64) -> String {
        let id = self.work.ids.id("common_code_key", device_id, ordinal, self.work.machine_now);
        format!("auto_set_by_create_multiple_{id}")
    }

    /// Enables the backup pool of a device and creates its codes. Does nothing if the pool is enabled already.
    pub(in crate::engine) fn enable_pool(&mut self, device_id: Uuid) -> Result<()> {
        let now = self.work.now;
        let locked = self.work.codes.device_mut(device_id)?;
        if locked.device.backup_pool.is_some_and(|pool| pool.is_enabled) {
            return Ok(());
        }
        locked.device.backup_pool = Some(BackupPool { is_enabled: true, since: now });
        for _ in 0..locked.device.pool_size() {
            if !backup_pool::add_code(&mut self.work, &mut self.reservations, device_id)? {
                break;
            }
        }
        Ok(())
    }

    /// Registers that the group of this key has codes of these accounts, with this PIN. Creates the group if it does
    /// not exist.
    pub(in crate::engine) fn join_group(&mut self, key: &str, code: &str, mut account_ids: BTreeSet<Uuid>) {
        let is_changed =
            self.groups.get(key).is_none_or(|group| group.is_changed || group.code.as_deref() != Some(code));
        account_ids.extend(self.groups.get(key).into_iter().flat_map(|group| &group.account_ids));
        let group = Group { code: Some(code.to_owned()), has_members: true, is_changed, account_ids };
        self.groups.insert(key.to_owned(), group);
    }

    /// Returns a new code on one device, with this PIN and `common_code_key`.
    pub(in crate::engine) fn new_code(
        &self,
        device_id: Uuid,
        params: &NewAccessCode,
        (code, common_code_key): (String, Option<String>),
    ) -> Result<AccessCode> {
        let locked = self.work.codes.device(device_id)?;
        let is_native = params.prefer_native_scheduling && locked.device.schedules_natively();
        let requested = LockCode { name: params.name.clone(), code, window: params.window };
        let mut state = CodeState::new_managed(self.work.now, requested, is_native);
        state.rare_fields.awaits_code = locked.device.provider_chooses_codes();
        let id = self.work.ids.id("access_code", device_id, locked.next_ordinal(), self.work.machine_now);
        Ok(AccessCode {
            common_code_key,
            is_external_modification_allowed: params.is_external_modification_allowed,
            ..AccessCode::new((id, device_id), self.work.visibility.workspace_id, state)
        })
    }

    /// Adds a new code and records its creation.
    pub(in crate::engine) fn add(&mut self, mut code: AccessCode, command: &CreateCommand) -> Result<()> {
        let (access_code_id, device_id) = (code.access_code_id, code.device_id);
        let (now, machine_now) = (self.work.now, self.work.machine_now);
        let attempt = NewActionAttempt {
            action_attempt_id: self.work.ids.id("action_attempt", access_code_id, code.next_child(), machine_now),
            workspace_id: self.work.visibility.workspace_id,
            action_type: CREATE_ACCESS_CODE,
            device_id,
            access_code_id: Some(access_code_id),
            created_at: now,
            resolved_at: None,
            outcome: None,
        };
        self.reservations.add_code(&code);
        self.work.codes.device_mut(device_id)?.access_code_ordinal += 1;
        self.work.codes.add(code);
        self.work.codes.recorder.register_subject(access_code_id, device_id);
        self.work.record(access_code_id, event_type::CREATED, None)?;
        let keeps_attempt = command.linking.is_none() || self.settings.rate_limits.is_some();
        let is_immediate = command.params.sync;
        self.pending.insert(access_code_id, PendingCode { attempt, keeps_attempt, is_immediate });
        Ok(())
    }

    /// Runs the due steps of the new codes. Backup codes run last, so that the other codes have priority in the lock's
    /// memory.
    pub(in crate::engine) async fn run(&mut self) -> Result<()> {
        let pending = &self.pending;
        let is_immediate =
            |code: &AccessCode| pending.get(&code.access_code_id).is_some_and(|pending| pending.is_immediate);
        let phases: [Phase<'_>; 3] = [
            (Pace::Immediate, &|code| !code.state.is_backup && is_immediate(code)),
            (Pace::Usual, &|code| !code.state.is_backup && !is_immediate(code)),
            (Pace::Immediate, &|code| code.state.is_backup),
        ];
        self.work.run_phases(&phases).await?;
        let mut attempts = Vec::new();
        for code in self.work.codes.iter() {
            let Some(pending) = self.pending.get_mut(&code.access_code_id) else { continue };
            // If programming is deferred until the start of the time frame is closer, the attempt is resolved at once:
            // otherwise it could stay pending for weeks.
            let is_deferred =
                matches!(code.state.pending_mutations().first(), Some((_, PendingMutation::DeferringCreation { .. })));
            pending.attempt.resolved_at = (is_deferred || code.state.held.is_some()).then_some(self.work.now);
            attempts.extend(pending.keeps_attempt.then(|| pending.attempt.clone()));
        }
        for attempt in attempts {
            self.work.codes.recorder.record_action_attempt(attempt);
        }
        Ok(())
    }

    /// Returns the result for a new code.
    pub(super) fn created(&self, access_code_id: Uuid) -> Result<Created> {
        let code = self.work.codes.get(access_code_id)?.clone();
        let pending = self.pending.get(&access_code_id);
        let pending = pending.ok_or_else(|| Error::Internal("a new access code without an action attempt".into()))?;
        let attempt = pending.attempt.clone();
        Ok(Created { device: self.work.codes.summary(code.device_id)?, code, attempt })
    }

    /// Writes the decisions without committing.
    pub(in crate::engine) async fn write(&mut self) -> Result<()> {
        let (tx, workspace_id) = (&mut self.work.tx, self.work.visibility.workspace_id);
        let changed = self.groups.iter().filter(|(_, group)| group.is_changed);
        let changed = changed.filter_map(|(common_code_key, group)| {
            Some(GroupPin { workspace_id, common_code_key: common_code_key.clone(), code: group.code.clone()? })
        });
        self.work.codes.group_pins.extend(changed);
        // Locking the groups inserted the missing ones: delete those whose requests were all rejected.
        let unused = self.groups.iter().filter(|(_, group)| !group.has_members);
        let unused: Vec<String> = unused.map(|(key, _)| key.clone()).collect();
        if !unused.is_empty() {
            access_codes::delete_pin_groups(tx, workspace_id, &unused).await?;
        }
        self.work.write().await
    }
}
