//! `/user_identities/create`.

use super::params::{Found, check_contact};
use crate::api::body;
use crate::api::edge::Call;
use crate::engine::user_identities::{self, NewUserIdentity};
use crate::error::{Error, Resource, Result};
use crate::http::params::client_key;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Create {
    user_identity_key: Option<String>,
    full_name: Option<String>,
    email_address: Option<String>,
    phone_number: Option<String>,
    customer_key: Option<String>,
    #[serde(default)]
    acs_system_ids: Vec<Uuid>,
}

pub(super) async fn create(call: Call<Create>) -> Result<Found> {
    let input = call.input;
    check_contact(input.email_address.as_deref(), input.phone_number.as_deref())?;
    if !input.acs_system_ids.is_empty() {
        return Err(Error::NotFound(Resource::AcsSystem));
    }
    let new = NewUserIdentity {
        user_identity_key: client_key("user_identity_key", input.user_identity_key)?,
        full_name: input.full_name,
        email_address: input.email_address,
        phone_number: input.phone_number,
        customer_key: client_key("customer_key", input.customer_key)?,
    };
    let created = user_identities::create(&call.app, call.caller.workspace.workspace_id, new).await?;
    Ok(Found { user_identity: body::user_identity::of(&created) })
}
