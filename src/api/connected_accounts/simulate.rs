//! `/connected_accounts/simulate/*`. Seam supports it in sandboxes only; Latchkey supports it for every account. A
//! request for a state that the account already has is no error and changes nothing.

use crate::api::edge::{Call, EmptyResult, Routes};
use crate::engine::connectivity;
use crate::error::Result;
use serde::Deserialize;
use uuid::Uuid;

/// Returns the routes of this resource.
pub(super) fn routes() -> Routes {
    Routes::default().add("/connected_accounts/simulate/disconnect", disconnect)
}

#[derive(Deserialize)]
struct OneAccount {
    connected_account_id: Uuid,
}

async fn disconnect(call: Call<OneAccount>) -> Result<EmptyResult> {
    let visibility = call.caller.visibility();
    let tx = call.app.pool.begin(visibility.workspace_id).await?;
    let account = call.input.connected_account_id;
    connectivity::set_account(tx, &visibility, account, false).await?.finish(&call.app).await?;
    Ok(EmptyResult {})
}
