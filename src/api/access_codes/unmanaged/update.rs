//! `/access_codes/unmanaged/update`.

use crate::api::access_codes::params::external_modification;
use crate::api::edge::{Call, EmptyResult};
use crate::engine;
use crate::error::{Error, Result};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Update {
    access_code_id: Uuid,
    is_managed: bool,
    is_external_modification_allowed: Option<bool>,
    allow_external_modification: Option<bool>,
}

pub(super) async fn update(call: Call<Update>) -> Result<EmptyResult> {
    let input = call.input;
    let is_modification_allowed =
        external_modification(input.is_external_modification_allowed, input.allow_external_modification)?;
    if !input.is_managed {
        let message = "is_managed must be true. Use /access_codes/update to convert access codes to unmanaged";
        return Err(Error::invalid("is_managed", message));
    }
    let is_modification_allowed = is_modification_allowed.unwrap_or(false);
    engine::convert_to_managed::convert_to_managed(
        &call.app,
        &call.caller.visibility(),
        input.access_code_id,
        is_modification_allowed,
    )
    .await?;
    Ok(EmptyResult {})
}
