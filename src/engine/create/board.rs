//! A batch of requests for codes: what it is decided by, read under locks, and what has been decided so far.

use super::checks;
use crate::clock::{Instant, machine_now};
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{Entry, Life, PendingMutation};
use crate::domain::action_attempt::NewActionAttempt;
use crate::domain::device::Device;
use crate::domain::device::health::BackupPool;
use crate::domain::event::{NewEvent, Recorder, event_type};
use crate::domain::linked::{self, Assigned, Claims, WhenCodeCannotBeShared, Wish};
use crate::domain::locked_device::LockedDevice;
use crate::domain::offline::Registered;
use crate::domain::rate_limit::Recent;
use crate::domain::simulation::{Pace, StopWhen};
use crate::domain::workspace::World;
use crate::engine::commands::{CreateCommand, Created, NewAccessCode};
use crate::engine::{backup_pool, simulation};
use crate::error::{Error, Resource, Result};
use crate::ids::Ids;
use crate::store::access_codes::{self, CodeWanted, Placed};
use crate::store::action_attempts;
use sqlx::PgConnection;
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
pub(super) struct Board {
    pub(super) workspace_id: Uuid,
    /// Where ids and PINs of the workspace come from, as it is under the locks.
    pub(super) ids: Ids,
    pub(super) world: World,
    pub(super) now: Instant,
    pub(super) machine_now: Instant,
    pub(super) devices: HashMap<Uuid, LockedDevice>,
    pub(super) claims: Claims,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) registered: HashMap<Uuid, Vec<Registered>>,
    /// Locks whose pool of backup codes is new.
    pub(super) new_pools: Vec<Uuid>,
    /// Codes that were made lately.
    pub(super) recent: Recent,
    /// The place in the batch of the request that is decided.
    pub(super) job: usize,
    pub(super) drafts: Vec<Draft>,
    pub(super) events: Vec<NewEvent>,
}

/// A code that is being made.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) code: AccessCode,
    pub(super) attempt: NewActionAttempt,
    /// The place in the batch of the request that made it.
    pub(super) job: usize,
    /// Whether the attempt is kept: that of a single code is, and where requests are limited they all count.
    pub(super) keeps_attempt: bool,
    /// Whether its lock confirms at once.
    pub(super) at_once: bool,
}

impl Board {
    /// Locks groups and devices and reads the claims on them. `None`: none of the devices is there.
    pub(super) async fn read(
        tx: &mut PgConnection,
        workspace_id: Uuid,
        batch: &[CreateCommand],
    ) -> Result<Option<Self>> {
        let keys: BTreeSet<&str> = batch.iter().filter_map(|it| it.wanted.common_code_key.as_deref()).collect();
        let mut groups = BTreeMap::new();
        if !keys.is_empty() {
            let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
            access_codes::lock_pin_groups(tx, workspace_id, &keys).await?;
            for group in access_codes::pin_groups(tx, workspace_id, &keys).await? {
                let state = Group { code: group.code, has_members: group.has_members, is_changed: false };
                groups.insert(group.common_code_key, state);
            }
        }
        let device_ids: BTreeSet<Uuid> = batch.iter().flat_map(|making| making.device_ids.iter().copied()).collect();
        let device_ids: Vec<Uuid> = device_ids.into_iter().collect();
        let locked = access_codes::lock_devices(tx, workspace_id, &device_ids).await?;
        let Some((ids, world)) = locked.first().map(|it| (it.ids.clone(), it.world)) else { return Ok(None) };
        let machine_now = machine_now();
        let now = world.clock.now(machine_now);
        let recent = action_attempts::recent(tx, workspace_id, &world, now, &device_ids, "CREATE_ACCESS_CODE").await?;
        let mut board = Self {
            workspace_id,
            ids,
            world,
            now,
            machine_now,
            devices: locked.into_iter().map(|it| (it.device.device_id, it)).collect(),
            claims: Claims::default(),
            groups,
            registered: HashMap::new(),
            new_pools: Vec::new(),
            recent,
            job: 0,
            drafts: Vec::new(),
            events: Vec::new(),
        };
        board.read_claims(tx, batch).await?;
        Ok(Some(board))
    }

    /// Reads what stands in the way. Where the PIN is given and the lock has no limit, only its own doubles do.
    pub(super) async fn read_claims(&mut self, tx: &mut PgConnection, batch: &[CreateCommand]) -> Result<()> {
        let (mut of_codes, mut of_devices) = (BTreeSet::new(), BTreeSet::new());
        for making in batch {
            let wanted = &making.wanted;
            let code = self.code_of(wanted).ok().flatten();
            let may_choose = making.linking == Some(WhenCodeCannotBeShared::CreateRandomCode);
            for device_id in &making.device_ids {
                let Some(locked) = self.devices.get(device_id) else { continue };
                match &code {
                    Some(code) if locked.device.capacity().is_none() && !may_choose && !wanted.use_backup_pool => {
                        of_codes.insert(CodeWanted { device_id: *device_id, code: code.clone() });
                    }
                    _ => drop(of_devices.insert(*device_id)),
                }
            }
        }
        // What is read by lock has what is read by PIN in it.
        of_codes.retain(|wanted| !of_devices.contains(&wanted.device_id));
        if !of_codes.is_empty() {
            access_codes::claims_of_codes(tx, &of_codes).await?.into_iter().for_each(|claim| self.claims.add(claim));
        }
        if !of_devices.is_empty() {
            access_codes::claims_on_devices(tx, &of_devices)
                .await?
                .into_iter()
                .for_each(|claim| self.claims.add(claim));
        }
        let offline = batch.iter().filter(|making| making.wanted.offline.is_some());
        let offline: Vec<Uuid> = offline.flat_map(|making| making.device_ids.iter().copied()).collect();
        if !offline.is_empty() {
            self.registered = access_codes::offline_on_devices(tx, &offline).await?;
        }
        Ok(())
    }

    /// The PIN a request has to take: its own, or its group's.
    pub(super) fn code_of(&self, wanted: &NewAccessCode) -> Result<Option<String>> {
        let group = wanted.common_code_key.as_ref().and_then(|key| self.groups.get(key));
        // A group that nobody is in any more begins anew.
        let Some(code) = group.filter(|group| group.has_members).and_then(|group| group.code.as_ref()) else {
            return Ok(wanted.code.clone());
        };
        match &wanted.code {
            Some(asked_for) if asked_for != code => {
                let key = wanted.common_code_key.as_deref().unwrap_or_default();
                let message =
                    format!("Codes with the common_code_key {key} have another code. Leave code out to share it");
                Err(Error::invalid("code", message))
            }
            Some(asked_for) => Ok(Some(asked_for.clone())),
            None => Ok(Some(code.clone())),
        }
    }

    /// Decides one request; what it takes is taken for those behind it. Gives the places of its drafts.
    pub(super) fn make(&mut self, making: &CreateCommand) -> Result<Vec<usize>> {
        making.device_ids.iter().try_for_each(|device_id| self.recent.check(*device_id))?;
        let places = self.place_all(making)?;
        making.device_ids.iter().for_each(|device_id| self.recent.note(*device_id));
        Ok(places)
    }

    pub(super) fn place_all(&mut self, making: &CreateCommand) -> Result<Vec<usize>> {
        let wanted = &making.wanted;
        let in_order: Vec<&LockedDevice> =
            making.device_ids.iter().filter_map(|device_id| self.devices.get(device_id)).collect();
        if in_order.len() != making.device_ids.len() {
            return Err(Error::NotFound(Resource::Device));
        }
        if wanted.offline.is_some() {
            return self.make_offline(making);
        }
        checks::check_time(&in_order, wanted, self.now)?;
        let code = self.code_of(wanted)?;
        let wish = Wish {
            code: code.as_deref(),
            code_comes_from: if wanted.code.is_some() { "code" } else { "common_code_key" },
            name: wanted.name.as_deref(),
            window: wanted.window,
            preferred_code_length: wanted.preferred_code_length,
            prefer_native_scheduling: wanted.prefer_native_scheduling,
            same_code: self.world.same_code,
            now: self.now,
        };
        for locked in &in_order {
            linked::check_capacity(&locked.device, &self.claims, &wish)?;
        }
        let Some(first) = in_order.first() else { return Err(Error::NotFound(Resource::Device)) };
        let (first_id, first_ordinal) = (first.device.device_id, first.next_ordinal());
        let mut draws = 0;
        let mut draw = |bound| {
            draws += 1;
            self.ids.draw("pin", first_id, (first_ordinal << 16) + draws, bound)
        };
        let (assigned, key) = match making.linking {
            None => {
                let code = linked::assign_one(&first.device, &self.claims, &wish, &mut draw)?;
                (vec![Assigned { code, is_shared: true }], wanted.common_code_key.clone())
            }
            Some(behavior) => {
                let devices: Vec<&Device> = in_order.iter().map(|locked| &locked.device).collect();
                let assigned = linked::assign_many(&devices, &self.claims, &wish, behavior, &mut draw)?;
                // With a PIN of the caller's the codes are not linked: they cannot be moved as a group.
                (assigned, wanted.code.is_none().then(|| self.new_key(first_id, first_ordinal)))
            }
        };
        if let (Some(key), Some(shared)) = (&key, assigned.iter().find(|assigned| assigned.is_shared)) {
            self.join_group(key, &shared.code);
        }
        let mut places = Vec::with_capacity(assigned.len());
        for (device_id, assigned) in making.device_ids.iter().zip(&assigned) {
            let key = key.clone().filter(|_| assigned.is_shared);
            places.extend(self.place(*device_id, making, assigned, key));
        }
        if wanted.use_backup_pool {
            making.device_ids.iter().for_each(|device_id| self.enable_pool(*device_id));
        }
        Ok(places)
    }

    /// A `common_code_key` for codes that Latchkey links.
    fn new_key(&self, device_id: Uuid, ordinal: i64) -> String {
        let id = self.ids.id("common_code_key", device_id, ordinal, self.machine_now);
        format!("auto_set_by_create_multiple_{id}")
    }

    /// Has a lock keep backup codes from now on, and makes them. One that does already is left as it is.
    pub(super) fn enable_pool(&mut self, device_id: Uuid) {
        let now = self.now;
        let Some(locked) = self.devices.get_mut(&device_id) else { return };
        if locked.device.backup_pool.is_some_and(|pool| pool.is_enabled) {
            return;
        }
        locked.device.backup_pool = Some(BackupPool { is_enabled: true, since: now });
        self.new_pools.push(device_id);
        for _ in 0..locked.device.pool_size() {
            let made = {
                let Some(locked) = self.devices.get_mut(&device_id) else { return };
                backup_pool::make(locked, &self.claims, (now, self.machine_now))
            };
            let Some((mut code, attempt)) = made else { return };
            self.claims.add_life(&code);
            if let Some(locked) = self.devices.get(&device_id) {
                let recorder = Recorder { locked, machine_now: self.machine_now };
                self.events.push(recorder.event(&mut code, now, event_type::CREATED));
            }
            self.drafts.push(Draft { code, attempt, job: self.job, keeps_attempt: false, at_once: true });
        }
    }

    pub(super) fn join_group(&mut self, key: &str, code: &str) {
        let is_changed =
            self.groups.get(key).is_none_or(|group| group.is_changed || group.code.as_deref() != Some(code));
        self.groups.insert(key.to_owned(), Group { code: Some(code.to_owned()), has_members: true, is_changed });
    }

    /// Begins the life of one code and notes what is to be written of it. Gives the place of its draft.
    pub(super) fn place(
        &mut self,
        device_id: Uuid,
        making: &CreateCommand,
        assigned: &Assigned,
        key: Option<String>,
    ) -> Option<usize> {
        let ids = &self.ids;
        let wanted = &making.wanted;
        let locked = self.devices.get_mut(&device_id)?;
        let native = wanted.prefer_native_scheduling && locked.device.schedules_natively();
        let asked = Entry { name: wanted.name.clone(), code: assigned.code.clone(), window: wanted.window };
        let mut life = Life::begin(self.now, asked, native);
        life.particulars.awaits_code = locked.device.provider_chooses_codes();
        let access_code_id = ids.id("access_code", device_id, locked.next_ordinal(), self.machine_now);
        let mut code = AccessCode {
            common_code_key: key,
            is_external_modification_allowed: wanted.is_external_modification_allowed,
            ..AccessCode::new((access_code_id, device_id), self.workspace_id, life)
        };
        locked.access_code_ordinal += 1;
        let locked = &*locked;
        let action_attempt_id = ids.id("action_attempt", code.access_code_id, code.next_child(), self.machine_now);
        let recorder = Recorder { locked, machine_now: self.machine_now };
        self.events.push(recorder.event(&mut code, self.now, event_type::CREATED));
        let attempt = NewActionAttempt {
            action_attempt_id,
            action_type: "CREATE_ACCESS_CODE",
            access_code_id: code.access_code_id,
            device_id,
            created_at: self.now,
            resolved_at: None,
            outcome: None,
        };
        self.claims.add_life(&code);
        let keeps_attempt = making.linking.is_none() || self.world.rate_limits.is_some();
        self.drafts.push(Draft { code, attempt, job: self.job, keeps_attempt, at_once: wanted.sync });
        Some(self.drafts.len() - 1)
    }

    /// Makes everything happen to the new codes that is due at once: the guests' first, and backup codes take what they
    /// leave of a lock's memory.
    pub(super) async fn live(&mut self, tx: &mut PgConnection) -> Result<()> {
        let now = self.now;
        let mut groups: [(Vec<usize>, Vec<AccessCode>, Pace); 3] =
            [Pace::Immediate, Pace::Usual, Pace::Immediate].map(|pace| (Vec::new(), Vec::new(), pace));
        for (place, draft) in self.drafts.iter().enumerate() {
            let group = match (draft.code.life.is_backup, draft.at_once) {
                (true, _) => 2,
                (false, true) => 0,
                (false, false) => 1,
            };
            groups[group].0.push(place);
            groups[group].1.push(draft.code.clone());
        }
        let locked: Vec<LockedDevice> = self.devices.values().cloned().collect();
        let all = groups.each_ref().map(|(_, codes, pace)| (codes.as_slice(), *pace));
        let mut simulated = simulation::load(tx, &locked, &all, |_| now, self.machine_now).await?;
        for (_, codes, pace) in &mut groups {
            simulation::run_within_limit(
                &mut simulated,
                (codes, *pace),
                |_| now,
                StopWhen::TimeIsReached,
                &mut self.events,
            )
            .await?;
        }
        simulation::store(simulated, tx).await?;
        for (places, codes, _) in groups {
            for (place, code) in places.into_iter().zip(codes) {
                self.drafts[place].code = code;
            }
        }
        for draft in &mut self.drafts {
            let life = &draft.code.life;
            // A code that has to wait weeks for its lock does not keep the attempt open: it counts as accepted.
            let deferred =
                |(_, it): &(Instant, PendingMutation)| matches!(it, PendingMutation::DeferringCreation { .. });
            let is_deferred = life.pending_mutations().first().is_some_and(deferred);
            draft.attempt.resolved_at = (is_deferred || life.held.is_some()).then_some(now);
            let pool = draft.code.pool_device_id.filter(|_| life.held.is_some());
            if let Some(locked) = pool.and_then(|device_id| self.devices.get_mut(&device_id)) {
                locked.backups += 1;
            }
        }
        Ok(())
    }

    /// Tells the requests of a batch which events they caused: those of their codes.
    pub(super) fn attribute(&self, batch: &[CreateCommand]) {
        let jobs: HashMap<Uuid, usize> =
            self.drafts.iter().map(|draft| (draft.code.access_code_id, draft.job)).collect();
        for event in &self.events {
            let job = event.access_code_id.and_then(|access_code_id| jobs.get(&access_code_id));
            if let Some(making) = job.and_then(|job| batch.get(*job)) {
                making.cause.note([event.into()]);
            }
        }
    }

    /// What is answered of a draft.
    pub(super) fn made(&self, place: usize) -> Result<Created> {
        let draft = self.drafts.get(place).ok_or_else(|| Error::Internal("a new code that nobody wrote".into()))?;
        let locked = self.lock_of(&draft.code)?;
        let device = locked.device.summary(locked.backups);
        Ok(Created { code: draft.code.clone(), device, attempt: draft.attempt.clone() })
    }

    /// The lock of a code of this batch.
    pub(super) fn lock_of(&self, code: &AccessCode) -> Result<&LockedDevice> {
        let locked = self.devices.get(&code.device_id);
        locked.ok_or_else(|| Error::inconsistent("access_code", code.access_code_id, "device_id"))
    }

    /// Writes what was decided.
    pub(super) async fn write(&self, tx: &mut PgConnection) -> Result<()> {
        let workspace_id = self.workspace_id;
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
        // Random ids need no ordinal; stays do.
        let has_stays = self.drafts.iter().any(|draft| draft.code.life.is_offline);
        if has_stays || self.ids.is_derived() {
            let touched = self.devices.values().map(|it| (it.device.device_id, it.access_code_ordinal));
            let (device_ids, ordinals): (Vec<Uuid>, Vec<i64>) = touched.unzip();
            access_codes::set_ordinals(tx, &device_ids, &ordinals).await?;
        }
        if !self.new_pools.is_empty() {
            let pool = BackupPool { is_enabled: true, since: self.now };
            crate::store::devices::set_backup_pools(tx, &self.new_pools, pool).await?;
        }
        let placed = self.drafts.iter().map(|draft| {
            let locked = self.lock_of(&draft.code)?;
            Ok(Placed::new(draft.code.clone(), &locked.device, &self.world))
        });
        let placed: Vec<Placed> = placed.collect::<Result<_>>()?;
        let kept = self.drafts.iter().filter(|draft| draft.keeps_attempt);
        let attempts: Vec<NewActionAttempt> = kept.map(|draft| draft.attempt.clone()).collect();
        access_codes::insert(tx, workspace_id, &placed, &self.events, &attempts).await
    }
}
