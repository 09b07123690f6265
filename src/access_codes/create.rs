//! Making codes. Requests of one workspace that arrive together are decided one after the other and written in one
//! transaction, whose number of statements does not grow with them: the locks they share are locked once, and what
//! one of them takes the next one sees.

use super::lifecycle::{Entry, Life, PendingMutation, Window};
use super::linked::{self, Assigned, Claim, Claims, WhenCodeCannotBeShared, Wish};
use super::model::AccessCode;
use super::service::record;
use super::store::{self, CodeWanted, LockedDevice, NewActionAttempt, Placed, TimesWanted};
use crate::app::App;
use crate::clock::{Instant, machine_now};
use crate::devices::brands::START_DATE_IN_FUTURE;
use crate::devices::model::{Device, DeviceSummary};
use crate::error::{Error, Result};
use crate::events::{NewEvent, event_type};
use crate::workspaces::{Workspace, World};
use chrono::TimeDelta;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// What is asked of every code of a request.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "Seam's request has them")]
pub struct NewAccessCode {
    /// The PIN; `None`: Latchkey chooses.
    pub code: Option<String>,
    /// The name, kept as it is.
    pub name: Option<String>,
    /// The time frame; `None`: ongoing.
    pub window: Option<Window>,
    /// Codes with one key have one PIN.
    pub common_code_key: Option<String>,
    /// The length to try first.
    pub preferred_code_length: Option<u8>,
    /// Whether locks that keep schedules themselves should do so.
    pub prefer_native_scheduling: bool,
    /// Whether somebody at the lock may change the code.
    pub is_external_modification_allowed: bool,
    /// Whether to take the request although a lock is offline.
    pub attempt_for_offline_device: bool,
    /// Whether the locks confirm before the request is answered.
    pub sync: bool,
}

/// One request for codes.
#[derive(Clone, Debug)]
pub struct Making {
    /// The locks, each once.
    pub device_ids: Vec<Uuid>,
    /// What is asked of each code.
    pub wanted: NewAccessCode,
    /// For codes that are to share a PIN: what to do where they cannot. `None`: it is a single code.
    pub linking: Option<WhenCodeCannotBeShared>,
}

/// A code that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The code.
    pub code: AccessCode,
    /// Its lock.
    pub device: DeviceSummary,
    /// The attempt to put it there; only that of a single code is kept.
    pub attempt: NewActionAttempt,
}

/// Makes the codes of one request, in the order of its locks, or none of them.
///
/// # Errors
/// Those of [`linked::assign_one`] and [`linked::assign_many`]; an unknown, full, offline or unfit lock; a time frame
/// that makes no sense. Then nothing is written.
pub async fn create(app: &App, workspace: &Arc<Workspace>, making: Making) -> Result<Vec<Made>> {
    let (work_app, work_workspace) = (app.clone(), Arc::clone(workspace));
    let work = move |batch: Vec<Making>| {
        let (app, workspace) = (work_app.clone(), Arc::clone(&work_workspace));
        async move { create_together(&app, &workspace, &batch).await }
    };
    let answer = app.making.done(workspace.workspace_id, making, work).await;
    answer.unwrap_or_else(|| Err(Error::Internal("the work on new codes broke off".into())))
}

async fn create_together(app: &App, workspace: &Workspace, batch: &[Making]) -> Vec<Result<Vec<Made>>> {
    match attempt(app, workspace, batch).await {
        Ok(answers) => answers,
        Err(error) if batch.len() == 1 => vec![Err(error)],
        // Whichever of them broke the transaction, the others shall not suffer from it.
        Err(_) => {
            let mut answers = Vec::with_capacity(batch.len());
            for making in batch {
                let alone = attempt(app, workspace, std::slice::from_ref(making)).await;
                answers.push(alone.and_then(|mut answers| answers.pop().unwrap_or(Ok(Vec::new()))));
            }
            answers
        }
    }
}

/// Decides and writes a batch. `Err`: nothing of it was written.
async fn attempt(app: &App, workspace: &Workspace, batch: &[Making]) -> Result<Vec<Result<Vec<Made>>>> {
    let mut tx = app.pool.begin().await?;
    let Some(mut board) = Board::read(&mut tx, workspace, batch).await? else {
        return Ok(batch.iter().map(|_| Err(Error::DeviceNotFound)).collect());
    };
    let answers = batch.iter().map(|making| board.make(making)).collect();
    if !board.placed.is_empty() {
        board.write(&mut tx).await?;
        tx.commit().await?;
        app.wake_scheduler();
    }
    Ok(answers)
}

/// The PIN group of a key while a batch is decided.
#[derive(Debug)]
struct Group {
    /// Its PIN, if one was chosen.
    code: Option<String>,
    /// Whether any code has it.
    has_members: bool,
    /// Whether the PIN is new and has to be written.
    is_changed: bool,
}

/// Everything a batch is decided by, locked, and what has been decided so far.
struct Board<'a> {
    workspace: &'a Workspace,
    world: World,
    now: Instant,
    machine_now: Instant,
    devices: HashMap<Uuid, LockedDevice>,
    claims: Claims,
    groups: BTreeMap<String, Group>,
    placed: Vec<Placed>,
    attempts: Vec<NewActionAttempt>,
    events: Vec<NewEvent>,
}

impl<'a> Board<'a> {
    /// Locks groups and devices and reads the claims on them. `None`: none of the devices is there.
    async fn read(tx: &mut PgConnection, workspace: &'a Workspace, batch: &[Making]) -> Result<Option<Self>> {
        let keys: BTreeSet<&str> = batch.iter().filter_map(|it| it.wanted.common_code_key.as_deref()).collect();
        let mut groups = BTreeMap::new();
        if !keys.is_empty() {
            let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
            store::lock_pin_groups(tx, workspace.workspace_id, &keys).await?;
            for group in store::pin_groups(tx, workspace.workspace_id, &keys).await? {
                let state = Group { code: group.code, has_members: group.has_members, is_changed: false };
                groups.insert(group.common_code_key, state);
            }
        }
        let device_ids: BTreeSet<Uuid> = batch.iter().flat_map(|making| making.device_ids.iter().copied()).collect();
        let device_ids: Vec<Uuid> = device_ids.into_iter().collect();
        let locked = store::lock_devices(tx, workspace.workspace_id, &device_ids).await?;
        let Some(world) = locked.first().map(|it| it.world) else { return Ok(None) };
        let machine_now = machine_now();
        let mut board = Self {
            workspace,
            world,
            now: world.clock.now(machine_now),
            machine_now,
            devices: locked.into_iter().map(|it| (it.device.device_id, it)).collect(),
            claims: Claims::default(),
            groups,
            placed: Vec::new(),
            attempts: Vec::new(),
            events: Vec::new(),
        };
        board.read_claims(tx, batch).await?;
        Ok(Some(board))
    }

    /// Reads what stands in the way. Where the PIN is given and the lock has no limit, only its own doubles do.
    async fn read_claims(&mut self, tx: &mut PgConnection, batch: &[Making]) -> Result<()> {
        let (mut of_codes, mut of_times) = (BTreeSet::new(), TimesWanted::new());
        for making in batch {
            let wanted = &making.wanted;
            let code = self.code_of(wanted).ok().flatten();
            let may_choose = making.linking == Some(WhenCodeCannotBeShared::CreateRandomCode);
            for device_id in &making.device_ids {
                let Some(locked) = self.devices.get(device_id) else { continue };
                match &code {
                    Some(code) if locked.device.capacity().is_none() && !may_choose => {
                        of_codes.insert(CodeWanted { device_id: *device_id, code: code.clone() });
                    }
                    _ => {
                        let hull = of_times.entry(*device_id).or_insert(wanted.window);
                        *hull = hull.zip(wanted.window).map(|(one, other)| one.hull(other));
                    }
                }
            }
        }
        if !of_codes.is_empty() {
            store::claims_of_codes(tx, &of_codes).await?.into_iter().for_each(|claim| self.claims.add(claim));
        }
        if !of_times.is_empty() {
            store::claims_of_times(tx, &of_times).await?.into_iter().for_each(|claim| self.claims.add(claim));
        }
        Ok(())
    }

    /// The PIN a request has to take: its own, or its group's.
    fn code_of(&self, wanted: &NewAccessCode) -> Result<Option<String>> {
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

    /// Decides one request; what it takes is taken for those behind it.
    fn make(&mut self, making: &Making) -> Result<Vec<Made>> {
        let wanted = &making.wanted;
        let in_order: Vec<&LockedDevice> =
            making.device_ids.iter().filter_map(|device_id| self.devices.get(device_id)).collect();
        if in_order.len() != making.device_ids.len() {
            return Err(Error::DeviceNotFound);
        }
        check_time(&in_order, wanted, self.now)?;
        let code = self.code_of(wanted)?;
        let wish = Wish {
            code: code.as_deref(),
            code_comes_from: if wanted.code.is_some() { "code" } else { "common_code_key" },
            name: wanted.name.as_deref(),
            window: wanted.window,
            preferred_code_length: wanted.preferred_code_length,
            prefer_native_scheduling: wanted.prefer_native_scheduling,
            now: self.now,
        };
        for locked in &in_order {
            linked::check_capacity(&locked.device, &self.claims, &wish)?;
        }
        let Some(first) = in_order.first() else { return Err(Error::DeviceNotFound) };
        let (first_id, first_ordinal) = (first.device.device_id, first.next_ordinal());
        let mut draws = 0;
        let mut draw = |bound| {
            draws += 1;
            self.workspace.ids.draw("pin", first_id, (first_ordinal << 16) + draws, bound)
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
                let key = wanted.code.is_none().then(|| {
                    let id = self.workspace.ids.id("common_code_key", first_id, first_ordinal, self.machine_now);
                    format!("auto_set_by_create_multiple_{id}")
                });
                (assigned, key)
            }
        };
        if let (Some(key), Some(shared)) = (&key, assigned.iter().find(|assigned| assigned.is_shared)) {
            self.join_group(key, &shared.code);
        }
        let made = making.device_ids.iter().zip(&assigned).filter_map(|(device_id, assigned)| {
            self.place(*device_id, making, assigned, key.clone().filter(|_| assigned.is_shared))
        });
        Ok(made.collect())
    }

    fn join_group(&mut self, key: &str, code: &str) {
        let is_changed =
            self.groups.get(key).is_none_or(|group| group.is_changed || group.code.as_deref() != Some(code));
        self.groups.insert(key.to_owned(), Group { code: Some(code.to_owned()), has_members: true, is_changed });
    }

    /// Begins the life of one code and notes everything that is to be written of it.
    fn place(&mut self, device_id: Uuid, making: &Making, assigned: &Assigned, key: Option<String>) -> Option<Made> {
        let ids = &self.workspace.ids;
        let wanted = &making.wanted;
        let locked = self.devices.get_mut(&device_id)?;
        let native = wanted.prefer_native_scheduling && locked.device.schedules_natively();
        let asked = Entry { name: wanted.name.clone(), code: assigned.code.clone(), window: wanted.window };
        let mut code = AccessCode {
            access_code_id: ids.id("access_code", device_id, locked.next_ordinal(), self.machine_now),
            workspace_id: self.workspace.workspace_id,
            device_id,
            common_code_key: key,
            is_external_modification_allowed: wanted.is_external_modification_allowed,
            life: Life::begin(self.now, asked, native),
            children: 0,
        };
        locked.access_code_ordinal += 1;
        let locked = &*locked;
        let attempt_id = ids.id("action_attempt", code.access_code_id, code.next_child(), self.machine_now);
        let instants = (self.now, self.now);
        let created =
            NewEvent::of_access_code(&mut code, &locked.device, event_type::CREATED, instants, ids, self.machine_now);
        self.events.push(created);
        let programming = if wanted.sync { TimeDelta::zero() } else { self.world.programming };
        let lived = code.life.live_until(&locked.device.lock(programming), self.now);
        record(&mut self.events, &mut code, locked, &lived, self.machine_now);
        // A code that has to wait weeks for its lock does not keep the attempt open: it counts as accepted.
        let is_deferred = matches!(code.life.pending_mutation(), Some((_, PendingMutation::DeferringCreation { .. })));
        let attempt = NewActionAttempt {
            action_attempt_id: attempt_id,
            action_type: "CREATE_ACCESS_CODE",
            access_code_id: code.access_code_id,
            device_id,
            created_at: self.now,
            resolved_at: (is_deferred || code.life.held.is_some()).then_some(self.now),
        };
        if making.linking.is_none() {
            self.attempts.push(attempt.clone());
        }
        self.claims.add(Claim {
            device_id,
            code: assigned.code.clone(),
            window: wanted.window,
            is_natively_scheduled: code.life.is_natively_scheduled,
        });
        let made = Made { code: code.clone(), device: locked.device.summary(), attempt };
        self.placed.push(Placed::new(code, &locked.device, &self.world));
        Some(made)
    }

    /// Writes what was decided.
    async fn write(&self, tx: &mut PgConnection) -> Result<()> {
        let workspace_id = self.workspace.workspace_id;
        let changed = self.groups.iter().filter(|(_, group)| group.is_changed);
        let (keys, codes): (Vec<String>, Vec<String>) =
            changed.filter_map(|(key, group)| Some((key.clone(), group.code.clone()?))).unzip();
        if !keys.is_empty() {
            store::set_pin_groups(tx, workspace_id, &keys, &codes).await?;
        }
        // A key whose only requests were refused leaves nothing behind.
        let unused = self.groups.iter().filter(|(_, group)| group.code.is_none());
        let unused: Vec<String> = unused.map(|(key, _)| key.clone()).collect();
        if !unused.is_empty() {
            store::delete_pin_groups(tx, workspace_id, &unused).await?;
        }
        // Random ids need no ordinal.
        if self.workspace.is_seeded() {
            let touched = self.devices.values().map(|it| (it.device.device_id, it.access_code_ordinal));
            let (device_ids, ordinals): (Vec<Uuid>, Vec<i64>) = touched.unzip();
            store::set_ordinals(tx, &device_ids, &ordinals).await?;
        }
        store::insert(tx, workspace_id, &self.placed, &self.events, &self.attempts).await
    }
}

/// Refuses a time frame, or a lock for it, that no PIN could mend.
fn check_time(locked: &[&LockedDevice], wanted: &NewAccessCode, now: Instant) -> Result<()> {
    if wanted.window.is_some_and(|window| window.ends_at <= now) {
        return Err(Error::invalid("ends_at", "ends_at must be in the future"));
    }
    locked.iter().try_for_each(|locked| check_device(&locked.device, wanted, now))
}

fn check_device(device: &Device, wanted: &NewAccessCode, now: Instant) -> Result<()> {
    if !device.can_program_online_access_codes() {
        return Err(Error::CannotProgramOnlineAccessCodes(device.device_id));
    }
    if !wanted.attempt_for_offline_device && device.reachable_since.is_none() {
        return Err(Error::DeviceOffline(device.device_id));
    }
    let Some(window) = wanted.window else { return Ok(()) };
    let brand = device.brand.display_name;
    if device.brand.needs_time_zone && device.time_zone().is_none() {
        return Err(Error::invalid_request(format!(
            "Time zone required for time-bound access codes on {brand} devices"
        )));
    }
    let too_early = if device.has_constraint(START_DATE_IN_FUTURE) {
        window.starts_at <= now
    } else {
        device.brand.starts_not_in_the_past && window.starts_at < now
    };
    if too_early {
        return Err(Error::invalid("starts_at", format!("starts_at must be in the future on {brand} devices")));
    }
    Ok(())
}
