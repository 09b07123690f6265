//! Conversion of unmanaged access codes to managed ones.

use super::app::App;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::domain::access_code::lifecycle::CodeState;
use crate::domain::action_attempt::action_type::CONVERT_ACCESS_CODE_TO_MANAGED;
use crate::domain::action_attempt::{NewActionAttempt, StoredOutcome};
use crate::domain::caller::Visibility;
use crate::domain::event::{event_type, payload};
use crate::domain::linked::{self, PinRequest, Reservations};
use crate::error::{Error, Result};
use crate::store::access_codes::{self, PinQuery};
use serde_json::json;
use uuid::Uuid;

/// Converts an unmanaged code to managed; the code keeps its id. The action attempt and an event report success or
/// failure.
///
/// # Errors
/// [`Error::AccessCodeNotFound`] if no such unmanaged code exists.
pub async fn convert_to_managed(
    app: &App,
    visibility: &Visibility,
    access_code_id: Uuid,
    is_external_modification_allowed: bool,
) -> Result<NewActionAttempt> {
    let mut work = UnitOfWork::begin(app, visibility, Scope::Codes(&[access_code_id])).await?;
    let is_unmanaged = |state: &CodeState| !state.is_managed && state.removing_since().is_none();
    let found = work.codes.find(access_code_id).filter(|code| is_unmanaged(&code.state));
    let device_id = found.ok_or(Error::no_access_code(access_code_id))?.device_id;
    work.codes.device(device_id)?.device.check_managed()?;
    let (now, machine_now) = (work.now, work.machine_now);
    let obstacle = obstacle(&mut work, access_code_id).await?;
    let code = work.codes.get_mut(access_code_id)?;
    let action_attempt_id = work.ids.id("action_attempt", access_code_id, code.next_child(), machine_now);
    let outcome = if let Some((kind, message)) = obstacle {
        let issues = payload::issues(work.codes.get(access_code_id)?, &work.codes.summary(device_id)?);
        work.record(access_code_id, event_type::UNMANAGED_FAILED_TO_CONVERT, Some(issues))?;
        StoredOutcome::Error(json!({ "type": kind, "message": message }))
    } else {
        code.is_external_modification_allowed = is_external_modification_allowed;
        code.state.convert_to_managed(now);
        work.record(access_code_id, event_type::UNMANAGED_CONVERTED, None)?;
        StoredOutcome::Result(json!({}))
    };
    let attempt = NewActionAttempt {
        action_attempt_id,
        workspace_id: visibility.workspace_id,
        action_type: CONVERT_ACCESS_CODE_TO_MANAGED,
        device_id,
        access_code_id: Some(access_code_id),
        created_at: now,
        resolved_at: Some(now),
        outcome: Some(outcome),
    };
    work.codes.recorder.record_action_attempt(attempt.clone());
    work.run(false).await?;
    work.finish(app).await?;
    Ok(attempt)
}

/// Returns the error type and message if the code cannot be converted.
async fn obstacle(work: &mut UnitOfWork, access_code_id: Uuid) -> Result<Option<(&'static str, String)>> {
    let locked = work.codes.device_of(access_code_id)?.clone();
    let code = work.codes.get(access_code_id)?;
    if code.cannot_be_managed(locked.device.brand) {
        let brand = locked.device.brand.display_name;
        let message = format!("{brand} does not let Seam manage access codes that it did not create");
        return Ok(Some(("cannot_be_managed", message)));
    }
    let requested = code.state.requested.clone();
    let pin = PinQuery { device_id: code.device_id, code: requested.code.clone() };
    // Reservations are read from the database: store the results of the steps that have just run.
    work.codes.write_if_memory_changed(&mut work.tx).await?;
    let reservations: Reservations = access_codes::reservations_of_code(&mut work.tx, pin).await?.into_iter().collect();
    let pin_request = PinRequest {
        code: Some(&requested.code),
        name: requested.name.as_deref(),
        window: requested.window,
        same_code: locked.settings.same_code,
        ..PinRequest::at(work.now)
    };
    let conflict = linked::check_not_taken(&locked.device, &reservations, &pin_request).err();
    Ok(conflict.map(|error| ("duplicate_access_code", error.to_string())))
}
