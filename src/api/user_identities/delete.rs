//! `/user_identities/delete`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::user_identities;
use crate::error::Result;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Delete {
    user_identity_id: Uuid,
}

pub(super) async fn delete(call: Call<Delete>) -> Result<EmptyResult> {
    user_identities::delete(&call.app, &call.caller.visibility(), call.input.user_identity_id).await?;
    Ok(EmptyResult {})
}
