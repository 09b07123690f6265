//! `/access_codes/unmanaged/convert_to_managed`.

use crate::api::access_codes::params::external_modification;
use crate::api::body::action_attempt::ActionAttemptBody;
use crate::api::edge::Call;
use crate::engine;
use crate::error::Result;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// The parameters `force`, for codes of another workspace, and `sync` have no effect: workspaces share no codes, and
/// the conversion takes no time.
#[derive(Deserialize)]
pub(super) struct Convert {
    access_code_id: Uuid,
    is_external_modification_allowed: Option<bool>,
    allow_external_modification: Option<bool>,
}

pub(super) async fn convert_to_managed(call: Call<Convert>) -> Result<Value> {
    let input = call.input;
    let is_modification_allowed =
        external_modification(input.is_external_modification_allowed, input.allow_external_modification)?;
    let is_modification_allowed = is_modification_allowed.unwrap_or(false);
    let attempt = engine::convert_to_managed::convert_to_managed(
        &call.app,
        &call.caller.visibility(),
        input.access_code_id,
        is_modification_allowed,
    )
    .await?;
    Ok(json!({ "action_attempt": ActionAttemptBody::resolved(&attempt) }))
}
