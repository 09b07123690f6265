//! `/workspaces/get`.

use crate::api::body;
use crate::api::edge::{Call, NoParameters};
use crate::error::Result;
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
pub(super) struct Found {
    workspace: Value,
}

pub(super) async fn get(call: Call<NoParameters>) -> Result<Found> {
    Ok(Found { workspace: body::workspace::of(&call.caller.workspace) })
}
