//! `/user_identities/create`.

use super::params::{Found, NewUserIdentityParams};
use crate::api::body;
use crate::api::edge::Call;
use crate::engine::user_identities;
use crate::error::{Error, Resource, Result};
use crate::http::params::client_key;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Create {
    #[serde(flatten)]
    identity: NewUserIdentityParams,
    customer_key: Option<String>,
    #[serde(default)]
    acs_system_ids: Vec<Uuid>,
}

pub(super) async fn create(call: Call<Create>) -> Result<Found> {
    let input = call.input;
    if !input.acs_system_ids.is_empty() {
        return Err(Error::NotFound(Resource::AcsSystem));
    }
    let new = input.identity.read(client_key("customer_key", input.customer_key)?)?;
    let created = user_identities::create(&call.app, call.caller.workspace.workspace_id, new).await?;
    Ok(Found { user_identity: body::user_identity::of(&created) })
}
