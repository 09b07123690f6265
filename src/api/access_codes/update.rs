//! `/access_codes/update`.

use super::params::{external_modification, yes};
use crate::api::body::action_attempt::ActionAttemptBody;
use crate::api::edge::Call;
use crate::cause::Cause;
use crate::engine;
use crate::engine::commands::{AccessCodeType, Update as Changes, UpdateCommand};
use crate::error::Result;
use crate::http::params::optional_instant;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Update {
    access_code_id: Uuid,
    device_id: Option<Uuid>,
    name: Option<String>,
    code: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    r#type: Option<AccessCodeType>,
    is_external_modification_allowed: Option<bool>,
    allow_external_modification: Option<bool>,
    is_managed: Option<bool>,
    #[serde(default = "yes")]
    attempt_for_offline_device: bool,
    #[serde(default)]
    sync: bool,
}

pub(super) async fn update(call: Call<Update>) -> Result<Value> {
    let input = call.input;
    let update = Changes {
        name: input.name,
        code: input.code,
        starts_at: optional_instant("starts_at", input.starts_at.as_deref())?,
        ends_at: optional_instant("ends_at", input.ends_at.as_deref())?,
        kind: input.r#type,
        is_external_modification_allowed: external_modification(
            input.is_external_modification_allowed,
            input.allow_external_modification,
        )?,
        is_managed: input.is_managed,
        refuse_if_offline: !input.attempt_for_offline_device,
    };
    let Update { access_code_id, device_id, sync, .. } = input;
    let command = UpdateCommand {
        visibility: call.caller.visibility(),
        access_code_id,
        device_id,
        update,
        sync,
        cause: Cause::current(),
    };
    let (code, device, attempt) = engine::update::update(&call.app, command).await?;
    let action_attempt = ActionAttemptBody::of_update(&attempt, &code, &device, sync)?;
    Ok(json!({ "action_attempt": action_attempt }))
}
