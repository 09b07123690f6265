//! Reset of a sandbox workspace as an action attempt.

use super::app::App;
use super::snapshots;
use crate::clock::machine_now;
use crate::domain::action_attempt::{StoredOutcome, action_type};
use crate::domain::workspace::Workspace;
use crate::error::{CredentialError, Result};
use crate::store::{action_attempts, workspaces};
use serde_json::json;
use uuid::Uuid;

/// Restores the initial state of a workspace, and returns the id of the action attempt, which is the only one in the
/// workspace then. API keys and personal access tokens stay valid. Client sessions are part of the state.
///
/// # Errors
/// [`CredentialError::WorkspaceNotSandbox`]; the errors of [`snapshots::reset`].
pub(crate) async fn reset_sandbox(app: &App, workspace: &Workspace) -> Result<Uuid> {
    if !workspace.is_sandbox {
        return Err(CredentialError::WorkspaceNotSandbox.into());
    }
    let workspace_id = workspace.workspace_id;
    let (mut tx, now) = snapshots::begin_reset(app, workspace).await?;
    let ordinal = workspaces::next_reset(&mut tx, workspace_id).await?;
    let action_attempt_id = workspace.ids.id("action_attempt", workspace_id, ordinal, machine_now());
    let kind = (action_attempt_id, action_type::RESET_SANDBOX_WORKSPACE);
    let outcome = StoredOutcome::Result(json!({}));
    action_attempts::insert_of_workspace(&mut tx, workspace_id, kind, now, outcome).await?;
    snapshots::finish_restore(app, workspace, tx).await?;
    Ok(action_attempt_id)
}
