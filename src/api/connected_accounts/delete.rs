//! `/connected_accounts/delete`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::connected_accounts;
use crate::error::Result;
use serde::Deserialize;
use uuid::Uuid;

/// Parameters. The account is always deleted before the response, with and without `sync`.
#[derive(Deserialize)]
pub(super) struct Delete {
    connected_account_id: Uuid,
}

pub(super) async fn delete(call: Call<Delete>) -> Result<EmptyResult> {
    let visibility = call.caller.visibility();
    connected_accounts::delete(&call.app, &visibility, call.input.connected_account_id).await?;
    Ok(EmptyResult {})
}
