//! `/access_codes/unmanaged/get`.

use crate::api::access_codes::params::OneAccessCode;
use crate::api::body::access_code::UnmanagedAccessCodeBody;
use crate::api::edge::Call;
use crate::error::Result;
use crate::store::access_codes::{self, Ownership};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Found {
    access_code: UnmanagedAccessCodeBody,
}

pub(super) async fn get(call: Call<OneAccessCode>) -> Result<Found> {
    let filter = call.input.filter(Ownership::Unmanaged)?;
    let found = access_codes::list(&call.app.pool, &call.caller.visibility(), &filter).await?;
    // A PIN that the brand hides cannot be used to find its code.
    let visible = found.iter().filter(|(_, device)| {
        device.brand.shows_unmanaged_codes && (call.input.code.is_none() || !device.brand.hides_unmanaged_pins)
    });
    let first = visible.min_by_key(|(code, _)| code.state.requested.window.map(|window| window.starts_at));
    let (code, device) = first.ok_or_else(|| call.input.not_found())?;
    Ok(Found { access_code: UnmanagedAccessCodeBody::of(code, device) })
}
