//! `/connected_accounts/delete`.

use crate::api::action_attempts::outcome::final_outcome;
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
    let account = call.input.connected_account_id;
    connected_accounts::delete(&call.app, &visibility, account, final_outcome).await?;
    Ok(EmptyResult {})
}
