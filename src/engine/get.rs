//! Reads of single access codes. Requests of one workspace that arrive together share one statement: with many clients,
//! most of the time of such a request is spent on the exchange with the database.

use super::app::App;
use super::batcher::batch_of;
use super::commands::{CodeWithDevice, GetCommand};
use crate::domain::caller::Visibility;
use crate::error::{Error, Result, Unavailable};
use crate::store::access_codes::{self, Filter};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// Returns a managed access code of a workspace, with its device; `None` if there is none with this id.
pub(crate) async fn managed_code(
    app: &App,
    workspace_id: Uuid,
    access_code_id: Uuid,
) -> Result<Option<CodeWithDevice>> {
    let work_app = app.clone();
    let work = move |batch: Arc<[GetCommand]>| {
        let app = work_app.clone();
        async move { batch_of(batch.len(), read(&app, workspace_id, &batch).await) }
    };
    let read = app.gets.submit(workspace_id, (GetCommand(access_code_id), 1), work).await;
    // A read has changed nothing, so the client can always repeat it.
    read.map_err(|_| Error::Unavailable(Unavailable::Busy))?
}

/// Returns the access codes of a batch, in the order of its requests.
async fn read(app: &App, workspace_id: Uuid, batch: &[GetCommand]) -> Result<Vec<Result<Option<CodeWithDevice>>>> {
    let ids: BTreeSet<Uuid> = batch.iter().map(|command| command.0).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let filter = Filter { access_code_ids: Some(&ids), ..Filter::default() };
    let found = access_codes::list(&app.pool, &Visibility::all_of(workspace_id), &filter).await?;
    let found: HashMap<Uuid, _> = found.into_iter().map(|found| (found.0.access_code_id, found)).collect();
    Ok(batch.iter().map(|command| Ok(found.get(&command.0).cloned())).collect())
}
