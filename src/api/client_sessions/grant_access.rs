//! `/client_sessions/grant_access`.

use super::params::{Access, Found};
use crate::api::edge::Call;
use crate::engine::client_sessions::{self, SessionReference};
use crate::error::{Error, Resource, Result};
use crate::http::params::id_of;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct GrantAccess {
    client_session_id: Option<String>,
    user_identifier_key: Option<String>,
    #[serde(flatten)]
    access: Access,
}

pub(super) async fn grant_access(call: Call<GrantAccess>) -> Result<Found> {
    let GrantAccess { client_session_id, user_identifier_key, access } = call.input;
    if client_session_id.is_none() && user_identifier_key.is_none() {
        return Err(Error::invalid_request("Give client_session_id or user_identifier_key"));
    }
    let client_session_id = client_session_id.map(|text| id_of(Resource::ClientSession, &text)).transpose()?;
    let access = access.read()?;
    let reference = SessionReference { client_session_id, user_identifier_key };
    let workspace_id = call.caller.workspace.workspace_id;
    let granted = client_sessions::grant_access(&call.app, workspace_id, &reference, access).await?;
    Ok(Found { client_session: granted.into() })
}
