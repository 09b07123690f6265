//! `/_emulator/locks/enter_code` and `/press_lock`: actions of a person at the keypad.

use super::Control;
use crate::api::body::access_code::managed_or_unmanaged;
use crate::domain::caller::Visibility;
use crate::domain::keypad::DenialReason;
use crate::engine::keypad;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct EnterCode {
    device_id: Uuid,
    code: String,
}

#[derive(Serialize)]
pub(super) struct Entered {
    result: &'static str,
    reason: Option<DenialReason>,
    message: &'static str,
    access_code: Option<Value>,
    event_id: Option<Uuid>,
}

/// Enters a PIN at the keypad.
pub(super) async fn enter_code(call: Control<EnterCode>) -> Result<Entered> {
    let visibility = Visibility::all_of(call.workspace().await?.workspace_id);
    let entered = keypad::enter_code(&call.app, &visibility, call.input.device_id, &call.input.code).await?;
    Ok(Entered {
        result: if entered.denial_reason.is_none() { "unlocked" } else { "denied" },
        reason: entered.denial_reason,
        message: entered
            .denial_reason
            .map_or("The lock stores this code, and its time frame allows it now.", DenialReason::message),
        access_code: entered.code.map(|code| managed_or_unmanaged(&code, &entered.device)).transpose()?,
        event_id: entered.event_id,
    })
}

#[derive(Deserialize)]
pub(super) struct PressLock {
    device_id: Uuid,
}

#[derive(Serialize)]
pub(super) struct Pressed {
    result: &'static str,
    event_id: Option<Uuid>,
}

/// Presses the button that locks the door.
pub(super) async fn press_lock(call: Control<PressLock>) -> Result<Pressed> {
    let visibility = Visibility::all_of(call.workspace().await?.workspace_id);
    let pressed = keypad::press_lock(&call.app, &visibility, call.input.device_id).await?;
    Ok(Pressed { result: if pressed.is_jammed { "jammed" } else { "locked" }, event_id: pressed.event_id })
}
