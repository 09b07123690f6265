//! `/_emulator/access_codes/*`: injects errors and warnings that the emulation itself does not cause, and runs steps by
//! hand. Lists codes with what the lock stores and the next step.

mod list;

pub(super) use self::list::{count, list};

use super::Control;
use crate::api::body::access_code::managed_or_unmanaged;
use crate::clock::Timestamp;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::rare_fields::Condition;
use crate::domain::caller::Visibility;
use crate::engine::app::App;
use crate::engine::step_by_hand;
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

#[derive(Serialize)]
pub(super) struct AccessCodeResult {
    access_code: Value,
}

#[derive(Clone, Deserialize)]
pub(super) struct AddError {
    access_code_id: Uuid,
    error_code: String,
    message: Option<String>,
}

pub(super) async fn add_error(call: Control<AddError>) -> Result<AccessCodeResult> {
    let AddError { access_code_id, error_code, message } = call.input.clone();
    change(&call, access_code_id, |code, now| {
        code.state.rare_fields.errors.push(condition(error_code, message, now));
    })
    .await
}

#[derive(Clone, Deserialize)]
pub(super) struct AddWarning {
    access_code_id: Uuid,
    warning_code: String,
    message: Option<String>,
}

pub(super) async fn add_warning(call: Control<AddWarning>) -> Result<AccessCodeResult> {
    let AddWarning { access_code_id, warning_code, message } = call.input.clone();
    change(&call, access_code_id, |code, now| {
        code.state.rare_fields.warnings.push(condition(warning_code, message, now));
    })
    .await
}

#[derive(Deserialize)]
pub(super) struct One {
    access_code_id: Uuid,
}

/// Removes the injected errors and warnings from a code.
pub(super) async fn clear(call: Control<One>) -> Result<AccessCodeResult> {
    change(&call, call.input.access_code_id, |code, _| {
        let rare_fields = &mut code.state.rare_fields;
        rare_fields.errors.clear();
        rare_fields.warnings.clear();
    })
    .await
}

fn condition(code: String, message: Option<String>, now: Timestamp) -> Condition {
    let message = message.unwrap_or_else(|| format!("{code}, added by a tester."));
    Condition { code, message, created_at: now }
}

async fn change<I>(
    call: &Control<I>,
    access_code_id: Uuid,
    change: impl FnOnce(&mut AccessCode, Timestamp),
) -> Result<AccessCodeResult> {
    let mut work = begin(call, access_code_id).await?;
    let now = work.now;
    change(work.codes.get_mut(access_code_id)?, now);
    finish(&call.app, work, access_code_id).await
}

async fn begin<I>(call: &Control<I>, access_code_id: Uuid) -> Result<UnitOfWork> {
    let visibility = Visibility::all_of(call.workspace().await?.workspace_id);
    let work = UnitOfWork::begin(&call.app, &visibility, Scope::Codes(&[access_code_id])).await?;
    work.codes.find(access_code_id).ok_or(Error::no_access_code(access_code_id))?;
    Ok(work)
}

/// Writes and commits the changes. Returns the code; null if the code is gone.
async fn finish(app: &App, work: UnitOfWork, access_code_id: Uuid) -> Result<AccessCodeResult> {
    let codes = work.finish(app).await?;
    let code = codes.get(access_code_id)?;
    if code.state.gone_at.is_some() {
        return Ok(AccessCodeResult { access_code: Value::Null });
    }
    Ok(AccessCodeResult { access_code: managed_or_unmanaged(code, &codes.summary(code.device_id)?)? })
}

/// Runs the next step of a code: the provider assigns the PIN, or else the lock completes the operation that is in
/// progress or due.
pub(super) async fn step(call: Control<One>) -> Result<AccessCodeResult> {
    let access_code_id = call.input.access_code_id;
    let mut work = begin(&call, access_code_id).await?;
    step_by_hand::step(&mut work, access_code_id).await?;
    finish(&call.app, work, access_code_id).await
}
