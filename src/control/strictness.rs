//! `/_emulator/strictness/set`: sets whether unknown parameters are ignored or rejected.

use super::Control;
use crate::error::{Error, Resource, Result};
use crate::store::workspaces;
use serde::{Deserialize, Serialize};

/// Treatment of parameters that are not in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Strictness {
    /// They are ignored, as at Seam.
    Seam,
    /// They are rejected.
    Strict,
}

#[derive(Deserialize)]
pub(super) struct Set {
    strictness: Strictness,
}

#[derive(Serialize)]
pub(super) struct SetResponse {
    strictness: Strictness,
}

pub(super) async fn set(call: Control<Set>) -> Result<SetResponse> {
    let workspace_id = call.workspace().await?.workspace_id;
    let strictness = call.input.strictness;
    let mut tx = call.app.pool.begin(workspace_id).await?;
    if !workspaces::set_strictness(&mut tx, workspace_id, strictness == Strictness::Strict).await? {
        return Err(Error::NotFound(Resource::Workspace));
    }
    tx.commit().await?;
    call.app.callers.forget(workspace_id);
    Ok(SetResponse { strictness })
}
