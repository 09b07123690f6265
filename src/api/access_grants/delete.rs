//! `/access_grants/delete`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::access_grants;
use crate::error::Result;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Delete {
    access_grant_id: Uuid,
}

pub(super) async fn delete(call: Call<Delete>) -> Result<EmptyResult> {
    access_grants::delete_grant(&call.app, &call.caller.visibility(), call.input.access_grant_id).await?;
    Ok(EmptyResult {})
}
