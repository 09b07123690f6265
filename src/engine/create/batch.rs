//! A batch of requests for codes: what it is decided by, read under locks, and what has been decided so far.

use super::checks;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{CodeState, LockCode, PendingMutation};
use crate::domain::action_attempt::NewActionAttempt;
use crate::domain::action_attempt::action_type::CREATE_ACCESS_CODE;
use crate::domain::caller::Visibility;
use crate::domain::device::Device;
use crate::domain::device::health::BackupPool;
use crate::domain::event::event_type;
use crate::domain::linked::{self, Assigned, PinRequest, Reservations, WhenCodeCannotBeShared};
use crate::domain::locked_device::LockedDevice;
use crate::domain::offline::Registered;
use crate::domain::rate_limit::Recent;
use crate::domain::simulation::{Pace, Phase};
use crate::domain::workspace::WorkspaceSettings;
use crate::engine::backup_pool;
use crate::engine::commands::{CreateCommand, Created, NewAccessCode};
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::error::{Error, Resource, Result};
use crate::postgres::Transaction;
use crate::store::access_codes::{self, PinQuery};
use crate::store::action_attempts;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// The PIN group of a key while a batch is decided.
#[derive(Debug)]
pub(super) struct Group {
    /// Its PIN, if one was chosen.
    pub(super) code: Option<String>,
    /// Whether any code has it.
    pub(super) has_members: bool,
    /// Whether the PIN is new and has to be written.
    pub(super) is_changed: bool,
}

/// Everything a batch is decided by, locked, and what has been decided so far.
pub(super) struct CreateBatch {
    pub(super) work: UnitOfWork,
    pub(super) settings: WorkspaceSettings,
    pub(super) reservations: Reservations,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) registered: HashMap<Uuid, Vec<Registered>>,
    /// Codes that were made lately.
    pub(super) recent: Recent,
    /// What is to become of the new codes, besides backup codes, by id.
    pub(super) pending: HashMap<Uuid, PendingCode>,
}

/// A new code that its lock does not have yet.
pub(super) struct PendingCode {
    /// The attempt to put it there.
    attempt: NewActionAttempt,
    /// Whether the attempt is kept: that of a single code is, and where requests are limited they all count.
    keeps_attempt: bool,
    /// Whether the lock confirms at once.
    at_once: bool,
}

impl CreateBatch {
    /// Locks groups and devices and reads the reservations on them.
    ///
    /// # Errors
    /// [`Error::NotFound`] of [`Resource::Device`] where none of the devices is there.
    pub(super) async fn read(mut tx: Transaction, workspace_id: Uuid, commands: &[CreateCommand]) -> Result<Self> {
        let keys: BTreeSet<&str> = commands.iter().filter_map(|it| it.params.common_code_key.as_deref()).collect();
        let mut groups = BTreeMap::new();
        if !keys.is_empty() {
            let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
            access_codes::lock_pin_groups(&mut tx, workspace_id, &keys).await?;
            for group in access_codes::pin_groups(&mut tx, workspace_id, &keys).await? {
                let state = Group { code: group.code, has_members: group.has_members, is_changed: false };
                groups.insert(group.common_code_key, state);
            }
        }
        let device_ids: BTreeSet<Uuid> = commands.iter().flat_map(|it| it.device_ids.iter().copied()).collect();
        let device_ids: Vec<Uuid> = device_ids.into_iter().collect();
        let mut work =
            UnitOfWork::begin_in(tx, &Visibility::all_of(workspace_id), Scope::DevicesOnly(&device_ids)).await?;
        let settings = work.codes.devices.first().ok_or(Error::NotFound(Resource::Device))?.settings;
        let (tx, now) = (&mut work.tx, work.now);
        let recent = action_attempts::recent(tx, workspace_id, &settings, now, &device_ids, CREATE_ACCESS_CODE).await?;
        let mut batch = Self {
            work,
            settings,
            reservations: Reservations::default(),
            groups,
            registered: HashMap::new(),
            recent,
            pending: HashMap::new(),
        };
        batch.read_reservations(commands).await?;
        Ok(batch)
    }

    /// Reads what stands in the way. Where the PIN is given and the lock has no limit, only its own doubles do.
    async fn read_reservations(&mut self, commands: &[CreateCommand]) -> Result<()> {
        let (mut of_codes, mut of_devices) = (BTreeSet::new(), BTreeSet::new());
        for command in commands {
            let params = &command.params;
            let code = self.code_of(params).ok().flatten();
            let may_choose = command.linking == Some(WhenCodeCannotBeShared::CreateRandomCode);
            for device_id in &command.device_ids {
                let Ok(locked) = self.work.codes.device(*device_id) else { continue };
                match &code {
                    Some(code) if locked.device.capacity().is_none() && !may_choose && !params.use_backup_pool => {
                        of_codes.insert(PinQuery { device_id: *device_id, code: code.clone() });
                    }
                    _ => drop(of_devices.insert(*device_id)),
                }
            }
        }
        // What is read by lock has what is read by PIN in it.
        of_codes.retain(|params| !of_devices.contains(&params.device_id));
        let tx = &mut self.work.tx;
        if !of_codes.is_empty() {
            access_codes::reservations_of_codes(tx, &of_codes)
                .await?
                .into_iter()
                .for_each(|reservation| self.reservations.add(reservation));
        }
        if !of_devices.is_empty() {
            access_codes::reservations_on_devices(tx, &of_devices)
                .await?
                .into_iter()
                .for_each(|reservation| self.reservations.add(reservation));
        }
        let offline = commands.iter().filter(|command| command.params.offline.is_some());
        let offline: Vec<Uuid> = offline.flat_map(|command| command.device_ids.iter().copied()).collect();
        if !offline.is_empty() {
            self.registered = access_codes::offline_on_devices(tx, &offline).await?;
        }
        Ok(())
    }

    /// The PIN a request has to take: its own, or its group's.
    pub(super) fn code_of(&self, params: &NewAccessCode) -> Result<Option<String>> {
        let group = params.common_code_key.as_ref().and_then(|key| self.groups.get(key));
        // A group that nobody is in any more begins anew.
        let Some(code) = group.filter(|group| group.has_members).and_then(|group| group.code.as_ref()) else {
            return Ok(params.code.clone());
        };
        match &params.code {
            Some(asked_for) if asked_for != code => {
                let key = params.common_code_key.as_deref().unwrap_or_default();
                let message =
                    format!("Codes with the common_code_key {key} have another code. Leave code out to share it");
                Err(Error::invalid("code", message))
            }
            Some(asked_for) => Ok(Some(asked_for.clone())),
            None => Ok(Some(code.clone())),
        }
    }

    /// Decides one request; what it takes is taken for those behind it. Gives the ids of its codes.
    pub(super) fn decide(&mut self, command: &CreateCommand) -> Result<Vec<Uuid>> {
        // What the caller may not see is not there, and so has no limit either.
        let is_hidden = |locked: &LockedDevice| !command.visibility.covers(locked.device.connected_account_id);
        if command.device_ids.iter().any(|id| self.work.codes.device(*id).is_ok_and(is_hidden)) {
            return Err(Error::NotFound(Resource::Device));
        }
        command.device_ids.iter().try_for_each(|device_id| self.recent.check(*device_id))?;
        let access_code_ids = self.assign(command)?;
        command.device_ids.iter().for_each(|device_id| self.recent.note(*device_id));
        Ok(access_code_ids)
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
        checks::check_time(&in_order, params, self.work.now)?;
        let code = self.code_of(params)?;
        let pin_request = PinRequest {
            code: code.as_deref(),
            code_comes_from: if params.code.is_some() { "code" } else { "common_code_key" },
            name: params.name.as_deref(),
            window: params.window,
            preferred_code_length: params.preferred_code_length,
            prefer_native_scheduling: params.prefer_native_scheduling,
            same_code: self.settings.same_code,
            now: self.work.now,
        };
        for locked in &in_order {
            linked::check_capacity(&locked.device, &self.reservations, &pin_request)?;
        }
        let Some(first) = in_order.first() else { return Err(Error::NotFound(Resource::Device)) };
        let (first_id, first_ordinal) = (first.device.device_id, first.next_ordinal());
        let mut draws = 0;
        let mut draw = |bound| {
            draws += 1;
            self.work.ids.draw("pin", first_id, (first_ordinal << 16) + draws, bound)
        };
        let (assigned, key) = match command.linking {
            None => {
                let code = linked::assign_one(&first.device, &self.reservations, &pin_request, &mut draw)?;
                (vec![Assigned { code, is_shared: true }], params.common_code_key.clone())
            }
            Some(behavior) => {
                let devices: Vec<&Device> = in_order.iter().map(|locked| &locked.device).collect();
                let assigned = linked::assign_many(&devices, &self.reservations, &pin_request, behavior, &mut draw)?;
                // With a PIN of the caller's the codes are not linked: they cannot be moved as a group.
                (assigned, params.code.is_none().then(|| self.new_key(first_id, first_ordinal)))
            }
        };
        if let (Some(key), Some(shared)) = (&key, assigned.iter().find(|assigned| assigned.is_shared)) {
            self.join_group(key, &shared.code);
        }
        let mut access_code_ids = Vec::with_capacity(assigned.len());
        for (device_id, assigned) in command.device_ids.iter().zip(assigned) {
            let key = key.clone().filter(|_| assigned.is_shared);
            let code = self.new_code(*device_id, params, (assigned.code, key))?;
            access_code_ids.push(code.access_code_id);
            self.add(code, command)?;
        }
        if params.use_backup_pool {
            command.device_ids.iter().try_for_each(|device_id| self.enable_pool(*device_id))?;
        }
        Ok(access_code_ids)
    }

    /// A `common_code_key` for codes that Latchkey links.
    fn new_key(&self, device_id: Uuid, ordinal: i64) -> String {
        let id = self.work.ids.id("common_code_key", device_id, ordinal, self.work.machine_now);
        format!("auto_set_by_create_multiple_{id}")
    }

    /// Has a lock keep backup codes from now on, and makes them. One that does already is left as it is.
    fn enable_pool(&mut self, device_id: Uuid) -> Result<()> {
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

    fn join_group(&mut self, key: &str, code: &str) {
        let is_changed =
            self.groups.get(key).is_none_or(|group| group.is_changed || group.code.as_deref() != Some(code));
        self.groups.insert(key.to_owned(), Group { code: Some(code.to_owned()), has_members: true, is_changed });
    }

    /// A new code of one lock, with its PIN and its key.
    pub(super) fn new_code(
        &self,
        device_id: Uuid,
        params: &NewAccessCode,
        (code, common_code_key): (String, Option<String>),
    ) -> Result<AccessCode> {
        let locked = self.work.codes.device(device_id)?;
        let native = params.prefer_native_scheduling && locked.device.schedules_natively();
        let asked = LockCode { name: params.name.clone(), code, window: params.window };
        let mut state = CodeState::begin(self.work.now, asked, native);
        state.rare_fields.awaits_code = locked.device.provider_chooses_codes();
        let id = self.work.ids.id("access_code", device_id, locked.next_ordinal(), self.work.machine_now);
        Ok(AccessCode {
            common_code_key,
            is_external_modification_allowed: params.is_external_modification_allowed,
            ..AccessCode::new((id, device_id), self.work.visibility.workspace_id, state)
        })
    }

    /// Adds a new code, and records it.
    pub(super) fn add(&mut self, mut code: AccessCode, command: &CreateCommand) -> Result<()> {
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
        self.work.codes.recorder.concerns(access_code_id, device_id);
        self.work.record(access_code_id, event_type::CREATED, None)?;
        let keeps_attempt = command.linking.is_none() || self.settings.rate_limits.is_some();
        self.pending.insert(access_code_id, PendingCode { attempt, keeps_attempt, at_once: command.params.sync });
        Ok(())
    }

    /// Makes everything happen to the new codes that is due at once: the guests' first, and backup codes take what they
    /// leave of a lock's memory.
    pub(super) async fn run(&mut self) -> Result<()> {
        let pending = &self.pending;
        let at_once = |code: &AccessCode| pending.get(&code.access_code_id).is_some_and(|pending| pending.at_once);
        let phases: [Phase<'_>; 3] = [
            (Pace::Immediate, &|code| !code.state.is_backup && at_once(code)),
            (Pace::Usual, &|code| !code.state.is_backup && !at_once(code)),
            (Pace::Immediate, &|code| code.state.is_backup),
        ];
        self.work.run_phases(&phases).await?;
        let mut kept = Vec::new();
        for code in self.work.codes.iter() {
            let Some(pending) = self.pending.get_mut(&code.access_code_id) else { continue };
            // A code that has to wait weeks for its lock does not keep the attempt open: it counts as accepted.
            let is_deferred =
                matches!(code.state.pending_mutations().first(), Some((_, PendingMutation::DeferringCreation { .. })));
            pending.attempt.resolved_at = (is_deferred || code.state.held.is_some()).then_some(self.work.now);
            kept.extend(pending.keeps_attempt.then(|| pending.attempt.clone()));
        }
        for attempt in kept {
            self.work.codes.recorder.action_attempt(attempt);
        }
        Ok(())
    }

    /// What is answered of a new code.
    pub(super) fn created(&self, access_code_id: Uuid) -> Result<Created> {
        let code = self.work.codes.get(access_code_id)?.clone();
        let pending = self.pending.get(&access_code_id);
        let pending = pending.ok_or_else(|| Error::Internal("a new access code without an action attempt".into()))?;
        let attempt = pending.attempt.clone();
        Ok(Created { device: self.work.codes.summary(code.device_id)?, code, attempt })
    }

    /// Writes what was decided.
    pub(super) async fn write(&mut self) -> Result<()> {
        let (tx, workspace_id) = (&mut self.work.tx, self.work.visibility.workspace_id);
        let changed = self.groups.iter().filter(|(_, group)| group.is_changed);
        let (keys, codes): (Vec<String>, Vec<String>) =
            changed.filter_map(|(key, group)| Some((key.clone(), group.code.clone()?))).unzip();
        if !keys.is_empty() {
            access_codes::set_pin_groups(tx, workspace_id, &keys, &codes).await?;
        }
        // A key whose only requests were refused leaves nothing behind.
        let unused = self.groups.iter().filter(|(_, group)| !group.has_members);
        let unused: Vec<String> = unused.map(|(key, _)| key.clone()).collect();
        if !unused.is_empty() {
            access_codes::delete_pin_groups(tx, workspace_id, &unused).await?;
        }
        self.work.write().await
    }
}
