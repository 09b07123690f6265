//! `/client_sessions/get`.

use super::params::Found;
use crate::api::edge::Call;
use crate::engine::client_sessions::{self, SessionReference};
use crate::error::{Error, Resource, Result};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Get {
    client_session_id: Option<Uuid>,
    user_identifier_key: Option<String>,
}

/// Returns a session. A client session sees only itself, and needs no parameter.
pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    let Get { client_session_id, user_identifier_key } = call.input;
    let own_id = call.caller.credential.session().map(|session| session.client_session_id);
    if own_id.is_none() && client_session_id.is_none() && user_identifier_key.is_none() {
        return Err(Error::invalid_request("Give client_session_id or user_identifier_key"));
    }
    if own_id.is_some() && client_session_id.is_some() && own_id != client_session_id {
        return Err(Error::NotFound(Resource::ClientSession));
    }
    let reference = SessionReference { client_session_id: own_id.or(client_session_id), user_identifier_key };
    let found = client_sessions::get(&call.app, call.caller.workspace.workspace_id, &reference).await?;
    Ok(Found { client_session: found.into() })
}
