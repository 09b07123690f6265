//! `/access_codes/delete`.

use crate::api::body::action_attempt::ActionAttemptBody;
use crate::api::edge::Call;
use crate::engine;
use crate::error::Result;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Delete {
    access_code_id: Uuid,
    device_id: Option<Uuid>,
    #[serde(default)]
    sync: bool,
}

pub(super) async fn delete(call: Call<Delete>) -> Result<Value> {
    let Delete { access_code_id, device_id, sync } = call.input;
    // `true`: the code must be managed.
    let attempt =
        engine::delete::delete(&call.app, &call.caller.visibility(), (access_code_id, true), device_id, sync).await?;
    Ok(json!({ "action_attempt": ActionAttemptBody::of_deletion(&attempt) }))
}
