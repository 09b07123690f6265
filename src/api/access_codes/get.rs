//! `/access_codes/get`.

use super::params::OneAccessCode;
use crate::api::body::access_code::AccessCodeBody;
use crate::api::edge::Call;
use crate::engine;
use crate::error::Result;
use crate::store::access_codes::{self, Ownership};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Found {
    access_code: AccessCodeBody,
}

pub(super) async fn get(call: Call<OneAccessCode>) -> Result<Found> {
    let filter = call.input.filter(Ownership::Managed)?;
    let visibility = call.caller.visibility();
    // Requests whose callers see the whole workspace can share a statement.
    let found = match (filter.access_code_ids, filter.device_id, &visibility.connected_account_ids) {
        (Some([id]), None, None) => {
            engine::get::managed_code(&call.app, visibility.workspace_id, *id).await?.into_iter().collect()
        }
        _ => access_codes::list(&call.app.pool, &visibility, &filter).await?,
    };
    // A code whose PIN the provider has not assigned yet cannot be found by PIN.
    let found = found.iter().filter(|(code, _)| call.input.code.is_none() || code.known_code().is_some());
    // Several codes can use the same PIN one after the other: the one that starts first is returned.
    let first = found.min_by_key(|(code, _)| code.state.requested.window.map(|window| window.starts_at));
    let (code, device) = first.ok_or_else(|| call.input.not_found())?;
    Ok(Found { access_code: AccessCodeBody::of(code, device) })
}
