//! `/workspaces/*`.

use crate::error::Result;
use crate::http::edge::{Call, Routes};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The routes of this resource.
pub fn routes() -> Routes {
    Routes::default().add("/workspaces/get", get)
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Serialize)]
struct Found {
    workspace: Value,
}

async fn get(call: Call<Nothing>) -> Result<Found> {
    Ok(Found { workspace: call.workspace.to_json() })
}
