//! `/client_sessions/revoke`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::client_sessions;
use crate::error::Result;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Revoke {
    client_session_id: Uuid,
}

pub(super) async fn revoke(call: Call<Revoke>) -> Result<EmptyResult> {
    let workspace_id = call.caller.workspace.workspace_id;
    client_sessions::revoke(&call.app, workspace_id, call.input.client_session_id).await?;
    Ok(EmptyResult {})
}
