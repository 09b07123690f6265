//! Requests that an HTTP fault strikes.

use super::app::App;
use crate::domain::http_fault::{HttpFault, Outcome};
use crate::domain::workspace::Workspace;
use crate::error::Result;
use crate::store::http_faults;
use uuid::Uuid;

/// What strikes a request.
#[derive(Debug)]
pub(crate) struct Struck {
    /// The HTTP fault.
    pub http_fault_id: Uuid,
    /// What becomes of the request.
    pub outcome: Outcome,
}

/// The HTTP fault that strikes a request of a workspace that has any: the oldest that is about it, is not used up and does
/// not let it pass. That it struck is counted in a short transaction of its own.
pub(crate) async fn strike(app: &App, workspace: &Workspace, method: &str, path: &str) -> Result<Option<Struck>> {
    let mut tx = app.pool.begin(workspace.workspace_id).await?;
    let faults = http_faults::lock(&mut tx, workspace.workspace_id).await?;
    let (mut considered, mut struck) = (Vec::new(), None);
    let is_meant = |fault: &HttpFault| fault.is_about(method, path) && !fault.is_exhausted();
    for mut fault in faults.into_iter().filter(is_meant) {
        let strikes = fault.strike(workspace);
        struck = strikes.then(|| Struck { http_fault_id: fault.http_fault_id, outcome: fault.outcome.clone() });
        considered.push(fault);
        if strikes {
            break;
        }
    }
    if !considered.is_empty() {
        http_faults::save(&mut tx, &considered).await?;
        tx.commit().await?;
    }
    Ok(struck)
}
