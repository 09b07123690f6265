//! `/spaces/get`.

use super::params::{Found, reference};
use crate::api::body;
use crate::api::edge::Call;
use crate::error::Result;
use crate::http::params::id_or_key;
use crate::store::spaces;
use serde::Deserialize;
use serde_json::Value;

/// Parameters of any JSON type: the contract checks only one of them.
#[derive(Deserialize)]
pub(super) struct Get {
    space_id: Option<Value>,
    space_key: Option<Value>,
}

pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    let (space_id, space_key) = id_or_key(call.input.space_id.as_ref(), call.input.space_key.as_ref());
    let reference = reference(space_id, space_key)?;
    let found = spaces::get(&call.app.pool, &call.caller.visibility(), &reference).await?;
    Ok(Found { space: body::space::of(&found) })
}
