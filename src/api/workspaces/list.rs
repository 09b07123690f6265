//! `/workspaces/list`.

use crate::api::body;
use crate::api::edge::{Call, NoParameters};
use crate::domain::caller::Sender;
use crate::error::Result;
use crate::store::workspaces;
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
pub(super) struct Listed {
    workspaces: Vec<Value>,
}

/// Lists the workspaces of the person, or the one workspace of a credential that belongs to no person.
pub(super) async fn list(call: Call<NoParameters, Sender>) -> Result<Listed> {
    let workspaces = match (call.caller.person_id(), call.caller.workspace()) {
        (Some(person_id), _) => {
            let found = workspaces::of_person(&call.app.pool, person_id, None).await?;
            found.iter().map(body::workspace::of).collect()
        }
        (None, workspace) => workspace.map(|workspace| body::workspace::of(workspace)).into_iter().collect(),
    };
    Ok(Listed { workspaces })
}
