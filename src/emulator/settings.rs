//! `/_emulator/workspaces/update`: settings of a workspace that decide what is answered where Seam's own answer is
//! uncertain.

use super::Control;
use crate::error::{Error, Result};
use crate::workspaces::store::{self, WorkspaceSettings};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Updated {
    settings: Settings,
}

#[derive(Serialize)]
struct Settings {
    allow_same_code_in_disjoint_windows: bool,
    refuse_begun_windows: bool,
}

pub(super) async fn update(call: Control<WorkspaceSettings>) -> Result<Updated> {
    let wanted = call.input;
    if wanted.allow_same_code_in_disjoint_windows.or(wanted.refuse_begun_windows).is_none() {
        let message = "Give allow_same_code_in_disjoint_windows or refuse_begun_windows";
        return Err(Error::invalid_request(message));
    }
    let workspace_id = call.workspace().await?.workspace_id;
    let mut tx = call.app.pool.begin(workspace_id).await?;
    let set = store::update_settings(&mut tx, workspace_id, wanted).await?.ok_or(Error::WorkspaceNotFound)?;
    tx.commit().await?;
    let (allow_same_code_in_disjoint_windows, refuse_begun_windows) = set;
    Ok(Updated { settings: Settings { allow_same_code_in_disjoint_windows, refuse_begun_windows } })
}
