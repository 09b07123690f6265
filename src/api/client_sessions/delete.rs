//! `/client_sessions/delete`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::client_sessions;
use crate::error::Result;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Delete {
    client_session_id: Uuid,
}

pub(super) async fn delete(call: Call<Delete>) -> Result<EmptyResult> {
    let workspace_id = call.caller.workspace.workspace_id;
    client_sessions::delete(&call.app, workspace_id, call.input.client_session_id).await?;
    Ok(EmptyResult {})
}
