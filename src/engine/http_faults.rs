//! HTTP faults that are applied to requests.

use super::app::App;
use crate::domain::http_fault::{HttpFault, HttpFaultOutcome};
use crate::domain::workspace::Workspace;
use crate::error::Result;
use crate::store::http_faults;
use uuid::Uuid;

/// An HTTP fault that is applied to a request.
#[derive(Debug)]
pub(crate) struct InjectedHttpFault {
    /// The HTTP fault.
    pub http_fault_id: Uuid,
    /// What becomes of the request.
    pub outcome: HttpFaultOutcome,
}

/// The HTTP fault that is applied to a request of a workspace that has any: the oldest that is about it, is not used up and
/// does not let it pass. A short transaction of its own counts it.
pub(crate) async fn applied_fault(
    app: &App,
    workspace: &Workspace,
    method: &str,
    path: &str,
) -> Result<Option<InjectedHttpFault>> {
    let mut tx = app.pool.begin(workspace.workspace_id).await?;
    let faults = http_faults::lock(&mut tx, workspace.workspace_id).await?;
    let (mut considered, mut injected) = (Vec::new(), None);
    let is_meant = |fault: &HttpFault| fault.is_about(method, path) && !fault.is_exhausted();
    for mut fault in faults.into_iter().filter(is_meant) {
        let applies = fault.applies(workspace);
        injected =
            applies.then(|| InjectedHttpFault { http_fault_id: fault.http_fault_id, outcome: fault.outcome.clone() });
        considered.push(fault);
        if applies {
            break;
        }
    }
    if !considered.is_empty() {
        http_faults::save(&mut tx, &considered).await?;
        tx.commit().await?;
    }
    Ok(injected)
}
