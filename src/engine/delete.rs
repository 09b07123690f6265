//! Deletion of access codes.

use super::app::App;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::domain::access_code::AccessCode;
use crate::domain::action_attempt::NewActionAttempt;
use crate::domain::action_attempt::action_type::DELETE_ACCESS_CODE;
use crate::domain::caller::Visibility;
use crate::error::{Error, Result};
use crate::store::action_attempts;
use uuid::Uuid;

/// Requests the deletion of a managed or (`is_managed` false) unmanaged code and returns the action attempt to remove
/// it from its lock.
///
/// # Errors
/// [`Error::AccessCodeNotFound`] if the code does not exist, or is not on the device that the caller named;
/// [`Error::OfflineAccessCodeNotModifiable`] and [`Error::CannotDeleteUnmanagedAccessCode`] for codes that cannot be
/// deleted.
pub async fn delete(
    app: &App,
    visibility: &Visibility,
    (access_code_id, is_managed): (Uuid, bool),
    device_id: Option<Uuid>,
    sync: bool,
) -> Result<NewActionAttempt> {
    let mut work = UnitOfWork::begin(app, visibility, Scope::Codes(&[access_code_id])).await?;
    let is_requested = |code: &&AccessCode| {
        code.state.is_managed == is_managed
            // A backup code in a pool cannot be deleted by its id.
            && code.pool_device_id.is_none()
            && device_id.is_none_or(|device_id| device_id == code.device_id)
    };
    let Some(code) = work.codes.find(access_code_id).filter(is_requested) else {
        // The code may just have ended: write the steps that were due.
        work.finish(app).await?;
        return Err(Error::AccessCodeNotFound { device_id, access_code_id: Some(access_code_id) });
    };
    code.check_not_of_grant()?;
    let (now, machine_now, device_id) = (work.now, work.machine_now, code.device_id);
    let locked = work.codes.device_of(access_code_id)?;
    locked.device.check_managed()?;
    let settings = locked.settings;
    let recent = action_attempts::recent(
        &mut work.tx,
        visibility.workspace_id,
        &settings,
        now,
        &[device_id],
        DELETE_ACCESS_CODE,
    )
    .await?;
    recent.check(device_id)?;
    let code = work.codes.get_mut(access_code_id)?;
    if code.state.is_offline && !code.state.rare_fields.has_expired {
        return Err(Error::OfflineAccessCodeNotModifiable);
    }
    if !is_managed && code.state.rare_fields.cannot_delete {
        return Err(Error::CannotDeleteUnmanagedAccessCode);
    }
    let action_attempt_id = work.ids.id("action_attempt", access_code_id, code.next_child(), machine_now);
    code.state.request_deletion(now);
    work.run(sync).await?;
    let attempt = NewActionAttempt {
        action_attempt_id,
        workspace_id: visibility.workspace_id,
        action_type: DELETE_ACCESS_CODE,
        device_id,
        access_code_id: Some(access_code_id),
        created_at: now,
        resolved_at: work.codes.get(access_code_id)?.state.gone_at,
        outcome: None,
    };
    work.codes.recorder.record_action_attempt(attempt.clone());
    work.finish(app).await?;
    Ok(attempt)
}
