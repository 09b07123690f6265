//! `/user_identities/update`.

use super::params::check_contact;
use crate::api::edge::{Call, EmptyResult};
use crate::domain::device::some;
use crate::engine::user_identities::{self, UserIdentityUpdate};
use crate::error::Result;
use crate::http::params::client_key;
use serde::Deserialize;
use uuid::Uuid;

/// Parameters; `Some(None)` clears a property.
#[derive(Deserialize)]
pub(super) struct Update {
    user_identity_id: Uuid,
    #[serde(default, deserialize_with = "some")]
    user_identity_key: Option<Option<String>>,
    #[serde(default, deserialize_with = "some")]
    full_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "some")]
    email_address: Option<Option<String>>,
    #[serde(default, deserialize_with = "some")]
    phone_number: Option<Option<String>>,
}

pub(super) async fn update(call: Call<Update>) -> Result<EmptyResult> {
    let input = call.input;
    let text = |value: &Option<Option<String>>| value.clone().flatten();
    check_contact(text(&input.email_address).as_deref(), text(&input.phone_number).as_deref())?;
    let update = UserIdentityUpdate {
        user_identity_key: input.user_identity_key.map(|key| client_key("user_identity_key", key)).transpose()?,
        full_name: input.full_name,
        email_address: input.email_address,
        phone_number: input.phone_number,
    };
    user_identities::update(&call.app, &call.caller.visibility(), input.user_identity_id, update).await?;
    Ok(EmptyResult {})
}
