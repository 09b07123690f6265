//! `/locks/simulate/*`: actions of a person at the keypad of a lock. Seam supports them for August locks only.

use super::move_bolt::Requested;
use crate::api::edge::{Call, Routes};
use crate::engine::keypad;
use crate::error::Result;
use serde::Deserialize;
use uuid::Uuid;

/// Returns the routes of this resource.
pub(super) fn routes() -> Routes {
    Routes::default()
        .add("/locks/simulate/keypad_code_entry", keypad_code_entry)
        .add("/locks/simulate/manual_lock_via_keypad", manual_lock_via_keypad)
}

#[derive(Deserialize)]
struct KeypadCodeEntry {
    device_id: Uuid,
    code: String,
}

async fn keypad_code_entry(call: Call<KeypadCodeEntry>) -> Result<Requested> {
    let KeypadCodeEntry { device_id, code } = &call.input;
    let attempt = keypad::simulate_code_entry(&call.app, &call.caller.visibility(), *device_id, code).await?;
    Ok(Requested::of(&attempt, false))
}

#[derive(Deserialize)]
struct ManualLock {
    device_id: Uuid,
}

async fn manual_lock_via_keypad(call: Call<ManualLock>) -> Result<Requested> {
    let attempt = keypad::simulate_manual_lock(&call.app, &call.caller.visibility(), call.input.device_id).await?;
    Ok(Requested::of(&attempt, false))
}
