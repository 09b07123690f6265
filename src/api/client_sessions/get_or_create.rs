//! `/client_sessions/get_or_create`.

use super::params::{Found, NewClientSessionParams};
use crate::api::edge::Call;
use crate::engine::client_sessions::{self, WhenSessionExists};
use crate::error::Result;

pub(super) async fn get_or_create(call: Call<NewClientSessionParams>) -> Result<Found> {
    let new = call.input.read(&call.caller)?;
    let found = client_sessions::create(&call.app, &call.caller.workspace, new, WhenSessionExists::Return).await?;
    Ok(Found { client_session: found.into() })
}
