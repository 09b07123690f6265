//! What the API does with access codes, each in one transaction.

use super::lifecycle::{Entry, Life, Lived, PendingMutation, Window};
use super::linked::{self, Assigned, WhenCodeCannotBeShared, Wish};
use super::model::AccessCode;
use super::store::{self, LockedDevice, NewActionAttempt, Placed};
use crate::app::App;
use crate::clock::{Instant, machine_now};
use crate::devices::brands::START_DATE_IN_FUTURE;
use crate::devices::model::Device;
use crate::error::{Error, Result};
use crate::events::{NewEvent, event_type};
use crate::workspaces::{Workspace, World};
use chrono::TimeDelta;
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// How often a request starts again because somebody moved the workspace's clock under it, before it gives up.
const ATTEMPTS: u32 = 16;

/// What is asked of every code of a request.
#[derive(Clone, Debug, Default)]
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

/// What `create` made.
#[derive(Debug)]
pub struct Created {
    /// The code.
    pub code: AccessCode,
    /// Its lock.
    pub device: Device,
    /// The attempt to put it there.
    pub attempt: NewActionAttempt,
}

/// Makes one code.
///
/// # Errors
/// Those of [`linked::assign_one`], an unknown, full, offline or unfit lock, a time frame that makes no sense; then
/// nothing is written.
pub async fn create(app: &App, workspace: &Workspace, device_id: Uuid, wanted: &NewAccessCode) -> Result<Created> {
    for _ in 0..ATTEMPTS {
        let mut tx = app.pool.begin().await?;
        let group_code = match &wanted.common_code_key {
            Some(key) => code_of_group(&mut tx, workspace.workspace_id, key, wanted.code.as_deref()).await?,
            None => None,
        };
        let (world, now, locked) = locked_devices(&mut tx, workspace.workspace_id, &[device_id], wanted).await?;
        let code = wanted.code.as_deref().or(group_code.as_deref());
        let wish = wish(wanted, code, now);
        let claims = claims(&mut tx, &locked, &wish).await?;
        let Some(LockedDevice { device, access_code_ordinal, .. }) = locked.first() else {
            return Err(Error::DeviceNotFound);
        };
        linked::check_capacity(device, &claims, &wish)?;
        let draw = |bound| workspace.ids.draw("pin", device_id, ordinal(*access_code_ordinal), bound);
        let code = linked::assign_one(device, &claims, &wish, draw)?;
        if let Some(key) = wanted.common_code_key.as_deref().filter(|_| group_code.is_none()) {
            store::set_pin_group(&mut tx, workspace.workspace_id, key, &code).await?;
        }
        let assigned = [Assigned { code, is_shared: true }];
        let mut batch = Batch::new(workspace, &world, now);
        batch.place(&locked[0], wanted, &assigned[0], wanted.common_code_key.clone());
        if batch.write(&mut tx, true).await? {
            tx.commit().await?;
            app.wake_scheduler();
            let device = device.clone();
            let made = batch.placed.pop().zip(batch.attempts.pop());
            let (placed, attempt) = made.ok_or_else(|| Error::Internal("a batch of one lost its code".into()))?;
            return Ok(Created { code: placed.code, device, attempt });
        }
    }
    Err(clock_keeps_moving())
}

/// Makes one code on each of several locks, with one PIN as far as they can share it, or none at all.
///
/// # Errors
/// Those of [`linked::assign_many`], an unknown, full, offline or unfit lock, a time frame that makes no sense; then
/// nothing is written.
pub async fn create_multiple(
    app: &App,
    workspace: &Workspace,
    device_ids: &[Uuid],
    wanted: &NewAccessCode,
    behavior: WhenCodeCannotBeShared,
) -> Result<Vec<(AccessCode, Device)>> {
    for _ in 0..ATTEMPTS {
        let mut tx = app.pool.begin().await?;
        let (world, now, locked) = locked_devices(&mut tx, workspace.workspace_id, device_ids, wanted).await?;
        let wish = wish(wanted, wanted.code.as_deref(), now);
        let mut claims = claims(&mut tx, &locked, &wish).await?;
        let by_id: HashMap<Uuid, &LockedDevice> = locked.iter().map(|it| (it.device.device_id, it)).collect();
        let in_order: Vec<&LockedDevice> = device_ids.iter().filter_map(|id| by_id.get(id).copied()).collect();
        let devices: Vec<&Device> = in_order.iter().map(|it| &it.device).collect();
        for device in &devices {
            linked::check_capacity(device, &claims, &wish)?;
        }
        let needs_own_code = wanted.code.is_some() && behavior == WhenCodeCannotBeShared::CreateRandomCode;
        if needs_own_code {
            claims = store::claims_of_devices(&mut tx, device_ids, wish.window).await?;
        }
        let (first_id, first_ordinal) =
            in_order.first().map_or((Uuid::nil(), 0), |it| (it.device.device_id, ordinal(it.access_code_ordinal)));
        let mut draws = 0;
        let draw = |bound| {
            draws += 1;
            workspace.ids.draw("shared_pin", first_id, (first_ordinal << 16) + draws, bound)
        };
        let assigned = linked::assign_many(&devices, &claims, &wish, behavior, draw)?;
        // With a PIN of the caller's the codes are not linked: they cannot be moved as a group.
        let key = wanted.code.is_none().then(|| {
            let id = workspace.ids.id("common_code_key", first_id, first_ordinal, machine_now());
            format!("auto_set_by_create_multiple_{id}")
        });
        if let (Some(key), Some(shared)) = (&key, assigned.iter().find(|it| it.is_shared)) {
            store::set_pin_group(&mut tx, workspace.workspace_id, key, &shared.code).await?;
        }
        let mut batch = Batch::new(workspace, &world, now);
        for (device, assigned) in in_order.iter().zip(&assigned) {
            batch.place(device, wanted, assigned, key.clone().filter(|_| assigned.is_shared));
        }
        if batch.write(&mut tx, false).await? {
            tx.commit().await?;
            app.wake_scheduler();
            let codes = batch.placed.into_iter().map(|placed| placed.code);
            return Ok(codes.zip(devices.into_iter().cloned()).collect());
        }
    }
    Err(clock_keeps_moving())
}

fn clock_keeps_moving() -> Error {
    Error::Conflict("the workspace's clock was moved while the request was served. Send it again.".to_owned())
}

fn ordinal(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

fn wish<'a>(wanted: &'a NewAccessCode, code: Option<&'a str>, now: Instant) -> Wish<'a> {
    Wish {
        code,
        name: wanted.name.as_deref(),
        window: wanted.window,
        preferred_code_length: wanted.preferred_code_length,
        prefer_native_scheduling: wanted.prefer_native_scheduling,
        now,
    }
}

/// The PIN that a group has already. Holds the group until the transaction ends.
async fn code_of_group(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    key: &str,
    asked_for: Option<&str>,
) -> Result<Option<String>> {
    let Some(code) = store::lock_pin_group(tx, workspace_id, key).await? else {
        return Ok(None);
    };
    // A group that nobody is in any more may begin anew with another PIN.
    let differs = asked_for.is_some_and(|asked_for| asked_for != code);
    if !differs {
        return Ok(Some(code));
    }
    if store::pin_group_has_members(tx, workspace_id, key).await? {
        let message = format!("Codes with the common_code_key {key} have another code. Leave code out to share theirs");
        return Err(Error::invalid("code", message));
    }
    Ok(None)
}

/// Locks the devices and refuses what no PIN could mend.
async fn locked_devices(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    device_ids: &[Uuid],
    wanted: &NewAccessCode,
) -> Result<(World, Instant, Vec<LockedDevice>)> {
    let locked = store::lock_devices(tx, workspace_id, device_ids).await?;
    if locked.len() != device_ids.len() {
        return Err(Error::DeviceNotFound);
    }
    let world = locked.first().map(|it| it.world).ok_or(Error::DeviceNotFound)?;
    let now = world.clock.now(machine_now());
    if wanted.window.is_some_and(|window| window.ends_at <= now) {
        return Err(Error::invalid("ends_at", "ends_at must be in the future"));
    }
    for LockedDevice { device, .. } in &locked {
        check_device(device, wanted, now)?;
    }
    Ok((world, now, locked))
}

fn check_device(device: &Device, wanted: &NewAccessCode, now: Instant) -> Result<()> {
    if !device.can_program_online_access_codes() {
        return Err(Error::CannotProgramOnlineAccessCodes(device.device_id));
    }
    if !wanted.attempt_for_offline_device && device.reachable_since.is_none() {
        return Err(Error::DeviceOffline(device.device_id));
    }
    let Some(window) = wanted.window else {
        return Ok(());
    };
    if device.brand.needs_time_zone && device.time_zone().is_none() {
        let brand = device.brand.display_name;
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
        let brand = device.brand.display_name;
        return Err(Error::invalid("starts_at", format!("starts_at must be in the future on {brand} devices")));
    }
    Ok(())
}

/// What stands in the way of the wish. Where the PIN is given and no lock has a limit, only its own doubles do.
async fn claims(tx: &mut PgConnection, locked: &[LockedDevice], wish: &Wish<'_>) -> Result<Vec<linked::Claim>> {
    let device_ids: Vec<Uuid> = locked.iter().map(|it| it.device.device_id).collect();
    match wish.code {
        Some(code) if locked.iter().all(|it| it.device.capacity().is_none()) => {
            store::claims_of_code(tx, &device_ids, code, wish.window).await
        }
        _ => store::claims_of_devices(tx, &device_ids, wish.window).await,
    }
}

/// Codes that are being made together, with everything that is written with them.
struct Batch<'a> {
    workspace: &'a Workspace,
    world: &'a World,
    now: Instant,
    machine_now: Instant,
    placed: Vec<Placed>,
    attempts: Vec<NewActionAttempt>,
    events: Vec<NewEvent>,
}

impl<'a> Batch<'a> {
    fn new(workspace: &'a Workspace, world: &'a World, now: Instant) -> Self {
        Self {
            workspace,
            world,
            now,
            machine_now: machine_now(),
            placed: Vec::new(),
            attempts: Vec::new(),
            events: Vec::new(),
        }
    }

    fn place(
        &mut self,
        locked: &LockedDevice,
        wanted: &NewAccessCode,
        assigned: &Assigned,
        common_code_key: Option<String>,
    ) {
        let ids = &self.workspace.ids;
        let device = &locked.device;
        let of_device = ordinal(locked.access_code_ordinal);
        let native = wanted.prefer_native_scheduling && device.schedules_natively();
        let asked = Entry { name: wanted.name.clone(), code: assigned.code.clone(), window: wanted.window };
        let mut code = AccessCode {
            access_code_id: ids.id("access_code", device.device_id, of_device, self.machine_now),
            workspace_id: self.workspace.workspace_id,
            device_id: device.device_id,
            common_code_key,
            is_external_modification_allowed: wanted.is_external_modification_allowed,
            life: Life::begin(self.now, asked, native),
            children: 0,
        };
        let attempt_id = ids.id("action_attempt", code.access_code_id, code.next_child(), self.machine_now);
        self.events.push(NewEvent::of_access_code(
            &mut code,
            device,
            event_type::CREATED,
            (self.now, self.now),
            ids,
            self.machine_now,
        ));
        let programming = if wanted.sync { TimeDelta::zero() } else { self.world.programming };
        let lock = device.lock(programming);
        let lived = code.life.live_until(&lock, self.now);
        record(&mut self.events, &mut code, locked, &lived, self.machine_now);
        // A code that has to wait weeks for its lock does not keep the attempt open: it counts as accepted.
        let is_deferred = matches!(code.life.pending_mutation(), Some((_, PendingMutation::DeferringCreation { .. })));
        self.attempts.push(NewActionAttempt {
            action_attempt_id: attempt_id,
            action_type: "CREATE_ACCESS_CODE",
            access_code_id: code.access_code_id,
            resolved_at: (is_deferred || code.life.held.is_some()).then_some(self.now),
        });
        self.placed.push(Placed::new(code, device, self.world));
    }

    async fn write(&self, tx: &mut PgConnection, with_attempts: bool) -> Result<bool> {
        let attempts = if with_attempts { self.attempts.as_slice() } else { &[] };
        // Random ids need no ordinal.
        if self.workspace.is_seeded() {
            let device_ids: Vec<Uuid> = self.placed.iter().map(|it| it.code.device_id).collect();
            store::count(tx, &device_ids).await?;
        }
        let workspace_id = self.workspace.workspace_id;
        store::insert(tx, workspace_id, self.world, &self.placed, &self.events, attempts).await
    }
}

/// Turns what happened to a code into events.
pub fn record(
    events: &mut Vec<NewEvent>,
    code: &mut AccessCode,
    locked: &LockedDevice,
    lived: &Lived,
    machine_now: Instant,
) {
    for (occurred_at, happening) in &lived.happenings {
        let instants = (*occurred_at, locked.world.clock.recorded_at(*occurred_at, machine_now));
        let event_type = event_type::of(*happening);
        events.push(NewEvent::of_access_code(code, &locked.device, event_type, instants, &locked.ids, machine_now));
    }
}

/// Asks for a code to go, and gives the attempt to take it off its lock.
///
/// # Errors
/// [`Error::AccessCodeNotFound`] where there is none, or not on the device the caller named.
pub async fn delete(
    app: &App,
    workspace: &Workspace,
    access_code_id: Uuid,
    device_id: Option<Uuid>,
    sync: bool,
) -> Result<NewActionAttempt> {
    let mut tx = app.pool.begin().await?;
    let found = store::lock_access_code(&mut tx, workspace.workspace_id, access_code_id).await?;
    let (locked, mut code) = found
        .filter(|(locked, _)| device_id.is_none_or(|device_id| device_id == locked.device.device_id))
        .ok_or(Error::AccessCodeNotFound { device_id, access_code_id })?;
    let machine_now = machine_now();
    let LockedDevice { device, world, .. } = &locked;
    let now = world.clock.now(machine_now);
    let mut events = Vec::new();
    // What fell due before the request came is lived through first, so that each event keeps its instant.
    let lived = code.life.live_until(&device.lock(world.programming), now);
    record(&mut events, &mut code, &locked, &lived, machine_now);
    if code.life.gone_at.is_some() {
        return Err(Error::AccessCodeNotFound { device_id, access_code_id });
    }
    code.life.request_deletion(now);
    let programming = if sync { TimeDelta::zero() } else { world.programming };
    let lived = code.life.live_until(&device.lock(programming), now);
    record(&mut events, &mut code, &locked, &lived, machine_now);
    let attempt = NewActionAttempt {
        action_attempt_id: workspace.ids.id("action_attempt", access_code_id, code.next_child(), machine_now),
        action_type: "DELETE_ACCESS_CODE",
        access_code_id,
        resolved_at: code.life.gone_at,
    };
    store::insert_action_attempt(&mut tx, &code, &attempt, now).await?;
    let placed = [Placed::new(code, device, world)];
    store::save(&mut tx, &placed, &events).await?;
    tx.commit().await?;
    app.wake_scheduler();
    Ok(attempt)
}

/// A PIN that the device could take now, without keeping it.
pub async fn generate_code(app: &App, workspace: &Workspace, device_id: Uuid) -> Result<String> {
    let mut connection = app.pool.acquire().await?;
    let (world, device) = crate::devices::store::with_world(&mut connection, workspace.workspace_id, device_id)
        .await?
        .ok_or(Error::DeviceNotFound)?;
    let wanted = NewAccessCode::default();
    let wish = wish(&wanted, None, world.clock.now(machine_now()));
    let claims = store::claims_of_devices(&mut connection, &[device_id], None).await?;
    let made = claims.len() as u64;
    linked::assign_one(&device, &claims, &wish, |bound| workspace.ids.draw("generated_code", device_id, made, bound))
}

/// Refuses a list of devices that names one twice, or too many.
pub fn check_device_ids(device_ids: &[Uuid]) -> Result<()> {
    const MOST: usize = 500;
    if device_ids.is_empty() {
        return Err(Error::invalid("device_ids", "Array must contain at least 1 element(s)"));
    }
    if device_ids.len() > MOST {
        return Err(Error::invalid("device_ids", format!("Array must contain at most {MOST} element(s)")));
    }
    let mut seen = HashSet::with_capacity(device_ids.len());
    match device_ids.iter().find(|device_id| !seen.insert(**device_id)) {
        Some(double) => Err(Error::invalid("device_ids", format!("Each device can be named once; {double} is twice"))),
        None => Ok(()),
    }
}
