//! What the API does with access codes besides making them ([`super::create`]), each in one transaction.

use super::linked::{self, Wish};
use super::locked_codes::{LockedCodes, Scope};
use super::store::{self, NewActionAttempt};
use crate::action_attempts::limits::Recent;
use crate::app::App;
use crate::clock::machine_now;
use crate::error::{Error, Result};
use crate::ids::ordinal_after;
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

/// Asks for a code to go, ours or (`is_managed` false) somebody else's, and gives the attempt to take it off its lock.
///
/// # Errors
/// [`Error::AccessCodeNotFound`] where there is none, or not on the device the caller named;
/// [`Error::OfflineAccessCodeNotModifiable`] and [`Error::CannotDeleteUnmanagedAccessCode`] where nobody can.
pub async fn delete(
    app: &App,
    workspace_id: Uuid,
    (access_code_id, is_managed): (Uuid, bool),
    device_id: Option<Uuid>,
    sync: bool,
) -> Result<NewActionAttempt> {
    let mut all = LockedCodes::begin(app, workspace_id, Scope::Codes(&[access_code_id])).await?;
    let is_asked_for = |place: &usize| {
        let code = &all.codes[*place];
        code.life.is_managed == is_managed
            // A backup that waits in its pool is nobody's yet.
            && code.pool_device_id.is_none()
            && device_id.is_none_or(|device_id| device_id == code.device_id)
    };
    let Some(place) = all.find(access_code_id).filter(is_asked_for) else {
        // It may have ended meanwhile: then that has happened, whoever asks next.
        all.finish(app).await?;
        return Err(Error::AccessCodeNotFound { device_id, access_code_id: Some(access_code_id) });
    };
    let now = all.now;
    let (world, lock) = (all.lock_of(place)?.world, [all.codes[place].device_id]);
    let recent = Recent::read(&mut all.tx, all.workspace_id, &world, now, &lock, "DELETE_ACCESS_CODE").await?;
    recent.check(lock[0])?;
    let code = &mut all.codes[place];
    if code.life.is_offline && !code.life.particulars.has_expired {
        return Err(Error::OfflineAccessCodeNotModifiable);
    }
    if !is_managed && code.life.particulars.cannot_delete {
        return Err(Error::CannotDeleteUnmanagedAccessCode);
    }
    let ordinal = code.next_child();
    let action_attempt_id = all.ids.id("action_attempt", access_code_id, ordinal, all.machine_now);
    code.life.request_deletion(now);
    all.touch(place);
    all.live(sync).await?;
    let code = &all.codes[place];
    let attempt = NewActionAttempt {
        action_attempt_id,
        action_type: "DELETE_ACCESS_CODE",
        access_code_id,
        device_id: code.device_id,
        created_at: now,
        resolved_at: code.life.gone_at,
        outcome: None,
    };
    all.attempts.push(attempt.clone());
    all.finish(app).await?;
    Ok(attempt)
}

/// A PIN that the device could take now, without keeping it.
pub async fn generate_code(app: &App, workspace_id: Uuid, device_id: Uuid) -> Result<String> {
    let read = app.pool.read(workspace_id, |connection| {
        Box::pin(async move {
            let found = crate::devices::store::with_world(connection, workspace_id, device_id).await?;
            let found = found.ok_or(Error::DeviceNotFound)?;
            Ok((found, store::claims_on_devices(connection, &BTreeSet::from([device_id])).await?))
        })
    });
    let ((ids, world, device), claims) = read.await?;
    let wish = Wish::at(world.clock.now(machine_now()));
    let made = ordinal_after(claims.len());
    let draw = |bound| ids.draw("generated_code", device_id, made, bound);
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

/// Sets which lengths of PINs a lock takes, as somebody reports who knows it.
///
/// # Errors
/// [`Error::DeviceNotFound`]; `device_type_not_supported` for a lock that tells itself.
pub async fn report_code_lengths(app: &App, workspace_id: Uuid, device_id: Uuid, mut lengths: Vec<u8>) -> Result<()> {
    let mut all = LockedCodes::begin(app, workspace_id, Scope::Devices(&[device_id])).await?;
    let now = all.now;
    let device = &mut all.locked.first_mut().ok_or(Error::DeviceNotFound)?.device;
    if !device.brand.takes_reported_code_lengths {
        return Err(Error::DeviceTypeNotSupported(device.brand.device_type));
    }
    lengths.sort_unstable();
    lengths.dedup();
    device.overrides.supported_code_lengths = Some(Some(lengths));
    let device = device.clone();
    crate::devices::store::update(&mut all.tx, &[device]).await?;
    // What did not fit before may fit now.
    all.codes.iter_mut().for_each(|code| code.life.try_again(now));
    all.touch_all();
    all.live(false).await?;
    all.finish(app).await?;
    Ok(())
}
