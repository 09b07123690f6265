//! `/connected_accounts/sync`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::connected_accounts;
use crate::error::Result;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Sync {
    connected_account_id: Uuid,
}

pub(super) async fn sync(call: Call<Sync>) -> Result<EmptyResult> {
    let visibility = call.caller.visibility();
    connected_accounts::sync(&call.app, &visibility, call.input.connected_account_id).await?;
    Ok(EmptyResult {})
}
