//! `/access_codes/unmanaged/delete`.

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
    #[serde(default)]
    sync: bool,
}

pub(super) async fn delete(call: Call<Delete>) -> Result<Value> {
    let Delete { access_code_id, sync } = call.input;
    // `false`: the code must be unmanaged. `None`: it may be on any device.
    let attempt =
        engine::delete::delete(&call.app, &call.caller.visibility(), (access_code_id, false), None, sync).await?;
    Ok(json!({ "action_attempt": ActionAttemptBody::of_deletion(&attempt) }))
}
