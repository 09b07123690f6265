//! What the API does with access codes besides making them ([`super::create`]), each in one transaction.

use super::lifecycle::Lived;
use super::linked::{self, Wish};
use super::model::AccessCode;
use super::store::{self, LockedDevice, NewActionAttempt, Placed, TimesWanted};
use crate::app::App;
use crate::clock::{Instant, machine_now};
use crate::error::{Error, Result};
use crate::events::{NewEvent, event_type};
use crate::workspaces::Workspace;
use chrono::TimeDelta;
use std::collections::HashSet;
use uuid::Uuid;

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
        device_id: code.device_id,
        created_at: now,
        resolved_at: code.life.gone_at,
    };
    store::insert_action_attempt(&mut tx, workspace.workspace_id, &attempt).await?;
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
    let wish = Wish {
        code: None,
        code_comes_from: "code",
        name: None,
        window: None,
        preferred_code_length: None,
        prefer_native_scheduling: true,
        now: world.clock.now(machine_now()),
    };
    let claims = store::claims_of_times(&mut connection, &TimesWanted::from([(device_id, None)])).await?;
    let made = claims.len() as u64;
    let draw = |bound| workspace.ids.draw("generated_code", device_id, made, bound);
    linked::assign_one(&device, &claims.into_iter().collect(), &wish, draw)
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
