//! Deleting codes.

use super::app::App;
use super::locked_codes::{LockedCodes, Scope};
use crate::domain::action_attempt::NewActionAttempt;
use crate::error::{Error, Result};
use crate::store::action_attempts;
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
    let recent =
        action_attempts::recent(&mut all.tx, all.workspace_id, &world, now, &lock, "DELETE_ACCESS_CODE").await?;
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
