//! `/user_identities/get`.

use super::params::{Found, find};
use crate::api::body;
use crate::api::edge::Call;
use crate::error::{Error, Result};
use crate::http::params::id_or_key;
use crate::store::user_identities::Names;
use serde::Deserialize;
use serde_json::Value;

/// Parameters of any JSON type: the contract checks only one of them.
#[derive(Deserialize)]
pub(super) struct Get {
    user_identity_id: Option<Value>,
    user_identity_key: Option<Value>,
}

/// Returns a user identity. The id and the key of one that was merged find the one into which it was merged.
pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    let (id, key) = id_or_key(call.input.user_identity_id.as_ref(), call.input.user_identity_key.as_ref());
    let names = match (id, key) {
        (Some(id), None) => Names::Ids(vec![id]),
        (None, Some(key)) => Names::Keys(vec![key]),
        (None, None) => {
            return Err(Error::invalid_request("Either user_identity_id or user_identity_key is required"));
        }
        (Some(_), Some(_)) => {
            return Err(Error::invalid_request("Give either user_identity_id or user_identity_key, not both"));
        }
    };
    let found = find(&call.app.pool, &call.caller.visibility(), &names).await?;
    Ok(Found { user_identity: body::user_identity::of(&found) })
}
