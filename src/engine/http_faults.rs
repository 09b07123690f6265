//! Application of HTTP faults to requests.

use super::app::App;
use crate::domain::http_fault::{HttpFault, HttpFaultOutcome};
use crate::domain::workspace::Workspace;
use crate::error::Result;
use crate::store::http_faults;
use uuid::Uuid;

/// An HTTP fault that is applied to a request.
#[derive(Debug)]
pub(crate) struct InjectedHttpFault {
    pub http_fault_id: Uuid,
    /// Effect on the request.
    pub outcome: HttpFaultOutcome,
}

/// Returns the HTTP fault to apply to a request: the oldest one that matches the request, is not exhausted and, given
/// its probability, applies. The counters of the faults are updated in a short transaction of their own. Call it only
/// for a workspace that has HTTP faults.
pub(crate) async fn applied_fault(
    app: &App,
    workspace: &Workspace,
    method: &str,
    path: &str,
) -> Result<Option<InjectedHttpFault>> {
    let mut tx = app.pool.begin(workspace.workspace_id).await?;
    let faults = http_faults::lock(&mut tx, workspace.workspace_id).await?;
    let (mut considered, mut injected) = (Vec::new(), None);
    let may_apply = |fault: &HttpFault| fault.matches(method, path) && !fault.is_exhausted();
    for mut fault in faults.into_iter().filter(may_apply) {
        let is_applied = fault.count_request(workspace);
        injected = is_applied
            .then(|| InjectedHttpFault { http_fault_id: fault.http_fault_id, outcome: fault.outcome.clone() });
        considered.push(fault);
        if is_applied {
            break;
        }
    }
    if !considered.is_empty() {
        http_faults::save(&mut tx, &considered).await?;
        tx.commit().await?;
    }
    Ok(injected)
}
