//! `/_emulator/access_codes/*`: conditions that have no natural cause here, and progress by hand.

use super::Control;
use crate::api::body::access_code::{AccessCodeBody, UnmanagedAccessCodeBody};
use crate::domain::access_code::lifecycle::particulars::Condition;
use crate::engine::app::App;
use crate::engine::locked_codes::{LockedCodes, Scope, summary};
use crate::engine::step_by_hand;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

#[derive(Serialize)]
pub(super) struct Found {
    access_code: Value,
}

#[derive(Clone, Deserialize)]
pub(super) struct AddError {
    access_code_id: Uuid,
    error_code: String,
    message: Option<String>,
}

pub(super) async fn add_error(call: Control<AddError>) -> Result<Found> {
    let AddError { access_code_id, error_code, message } = call.input.clone();
    change(&call, access_code_id, |all, place| {
        let condition = condition(error_code, message, all);
        all.codes[place].life.particulars.errors.push(condition);
    })
    .await
}

#[derive(Clone, Deserialize)]
pub(super) struct AddWarning {
    access_code_id: Uuid,
    warning_code: String,
    message: Option<String>,
}

pub(super) async fn add_warning(call: Control<AddWarning>) -> Result<Found> {
    let AddWarning { access_code_id, warning_code, message } = call.input.clone();
    change(&call, access_code_id, |all, place| {
        let condition = condition(warning_code, message, all);
        all.codes[place].life.particulars.warnings.push(condition);
    })
    .await
}

#[derive(Deserialize)]
pub(super) struct One {
    access_code_id: Uuid,
}

/// Takes back what a tester put on a code.
pub(super) async fn clear(call: Control<One>) -> Result<Found> {
    change(&call, call.input.access_code_id, |all, place| {
        let particulars = &mut all.codes[place].life.particulars;
        particulars.errors.clear();
        particulars.warnings.clear();
    })
    .await
}

fn condition(code: String, message: Option<String>, all: &LockedCodes) -> Condition {
    let message = message.unwrap_or_else(|| format!("{code}, as arranged by a tester."));
    Condition { code, message, created_at: all.now }
}

async fn change<I>(
    call: &Control<I>,
    access_code_id: Uuid,
    change: impl FnOnce(&mut LockedCodes, usize),
) -> Result<Found> {
    let (mut all, place) = begin(call, access_code_id).await?;
    change(&mut all, place);
    all.touch(place);
    finish(&call.app, all, place).await
}

async fn begin<I>(call: &Control<I>, access_code_id: Uuid) -> Result<(LockedCodes, usize)> {
    let workspace = call.workspace().await?;
    let all = LockedCodes::begin(&call.app, workspace.workspace_id, Scope::Codes(&[access_code_id])).await?;
    let place = all.find(access_code_id).ok_or(Error::no_access_code(access_code_id))?;
    Ok((all, place))
}

async fn finish(app: &App, all: LockedCodes, place: usize) -> Result<Found> {
    let (codes, locked) = all.finish(app).await?;
    let code = &codes[place];
    let device = summary(&locked, code.device_id)?;
    let access_code = match (code.life.gone_at, code.life.is_managed) {
        (Some(_), _) => Value::Null,
        (None, true) => serde_json::to_value(AccessCodeBody::of(code, &device))?,
        (None, false) => serde_json::to_value(UnmanagedAccessCodeBody::of(code, &device))?,
    };
    Ok(Found { access_code })
}

/// Takes one step by hand: the provider tells the PIN; else the lock finishes what it is doing with the code, or what it
/// is about to do.
pub(super) async fn step(call: Control<One>) -> Result<Found> {
    let (mut all, place) = begin(&call, call.input.access_code_id).await?;
    step_by_hand::step(&mut all, place).await?;
    finish(&call.app, all, place).await
}
