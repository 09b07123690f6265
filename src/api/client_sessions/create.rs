//! `/client_sessions/create`.

use super::params::{Found, NewClientSessionParams};
use crate::api::edge::Call;
use crate::engine::client_sessions::{self, WhenSessionExists};
use crate::error::Result;
use axum::http::Method;

/// Creates a session. If the user has a valid session, a PUT returns that one, and a POST is rejected.
pub(super) async fn create(call: Call<NewClientSessionParams>) -> Result<Found> {
    let when_exists = if call.method == Method::PUT { WhenSessionExists::Return } else { WhenSessionExists::Reject };
    let new = call.input.read(&call.caller)?;
    let created = client_sessions::create(&call.app, &call.caller.workspace, new, when_exists).await?;
    Ok(Found { client_session: created.into() })
}
