//! `/workspaces/reset_sandbox`.

use crate::api::body::action_attempt::{ActionAttemptBody, AttemptStatus};
use crate::api::edge::{Call, NoParameters};
use crate::domain::action_attempt::action_type::RESET_SANDBOX_WORKSPACE;
use crate::engine::resets;
use crate::error::Result;
use serde::Serialize;
use serde_json::json;

#[derive(Serialize)]
pub(super) struct Reset {
    action_attempt: ActionAttemptBody,
}

/// Restores the initial state. The attempt is successful when the response is sent.
pub(super) async fn reset_sandbox(call: Call<NoParameters>) -> Result<Reset> {
    let id = resets::reset_sandbox(&call.app, &call.caller.workspace).await?;
    let action_attempt = ActionAttemptBody::new(id, RESET_SANDBOX_WORKSPACE, AttemptStatus::Success(json!({})));
    Ok(Reset { action_attempt })
}
