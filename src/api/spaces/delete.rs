//! `/spaces/delete`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::spaces;
use crate::error::Result;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Delete {
    space_id: Uuid,
}

pub(super) async fn delete(call: Call<Delete>) -> Result<EmptyResult> {
    spaces::delete(&call.app, &call.caller.visibility(), call.input.space_id).await?;
    Ok(EmptyResult {})
}
