//! `/_emulator/client_sessions/*`: properties of client sessions that the API cannot set.

use super::Control;
use crate::api::body::client_session::ClientSessionBody;
use crate::engine::client_sessions;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Update {
    client_session_id: Uuid,
    is_read_only: bool,
}

#[derive(Serialize)]
pub(super) struct Updated {
    client_session: ClientSessionBody,
}

pub(super) async fn update(call: Control<Update>) -> Result<Updated> {
    let workspace_id = call.workspace().await?.workspace_id;
    let Update { client_session_id, is_read_only } = call.input;
    let updated = client_sessions::set_read_only(&call.app, workspace_id, client_session_id, is_read_only).await?;
    Ok(Updated { client_session: updated.into() })
}
