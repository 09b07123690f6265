//! Creation of access codes. Requests of one workspace that arrive together are decided one after the other and written
//! in one transaction, whose number of statements does not grow with the batch: devices used by several requests are
//! locked once, and each request is checked against the PINs and places that the requests before it have taken.

mod batch;
mod checks;
mod groups;
mod offline;

pub(super) use self::checks::{check_start, check_time_zone};

pub(super) use self::batch::CreateBatch;

use super::app::App;
use super::batcher::batch_of;
use super::commands::{CreateCommand, Created};
use super::unit_of_work::UnitOfWork;
use crate::cause::Cause;
use crate::compute;
use crate::error::{Error, Resource, Result};
use crate::postgres::Transaction;
use std::sync::Arc;
use uuid::Uuid;

/// Creates the access codes of one request, in the order of its devices, or none of them.
///
/// # Errors
/// The errors of [`assign_one`](crate::domain::linked::assign_one) and
/// [`assign_many`](crate::domain::linked::assign_many); an unknown, full, offline or unsuitable device; an invalid time
/// frame. Nothing is written then.
pub async fn create(app: &App, command: CreateCommand) -> Result<Vec<Created>> {
    let workspace_id = command.visibility.workspace_id;
    let work_app = app.clone();
    let work = move |batch: Arc<[CreateCommand]>| {
        let app = work_app.clone();
        async move { batch_of(batch.len(), attempt(&app, workspace_id, &batch).await) }
    };
    let weight = command.device_ids.len();
    app.creates.submit(workspace_id, (command, weight), work).await?
}

/// Number of devices above which choosing the PINs runs through [`compute::run`].
const LONG_REQUEST: usize = 20;

/// Decides and writes a batch. After an error nothing was written; only [`Error::OutcomeUnknown`] leaves that open.
async fn attempt(app: &App, workspace_id: Uuid, batch: &[CreateCommand]) -> Result<Vec<Result<Vec<Created>>>> {
    let decided = async { decide(CreateBatch::begin(app, workspace_id, batch).await?, batch).await };
    let (work, results) = match decided.await {
        Ok(decided) => decided,
        // None of the devices exists: every request gets this error, and none is retried alone.
        Err(Error::NotFound(Resource::Device)) => {
            return Ok(batch.iter().map(|_| Err(Error::NotFound(Resource::Device))).collect());
        }
        Err(error) => return Err(error),
    };
    if results.iter().any(Result::is_ok) {
        let causes: Vec<Cause> = batch.iter().map(|command| command.cause.clone()).collect();
        work.commit(app, &causes).await?;
    }
    Ok(results)
}

/// Decides a batch, one request after the other, and writes the accepted ones in the caller's transaction without
/// committing it. Returns the unit of work and one result per request.
///
/// # Errors
/// [`Error::NotFound`] if none of the devices exists, and errors that do not belong to one request. The transaction can
/// only be rolled back then.
pub(crate) async fn create_in(
    tx: Transaction,
    workspace_id: Uuid,
    commands: &[CreateCommand],
) -> Result<(UnitOfWork, Vec<Result<Vec<Created>>>)> {
    decide(CreateBatch::begin_in(tx, workspace_id, commands).await?, commands).await
}

/// Decides the requests of a batch for [`create_in`].
async fn decide(mut batch: CreateBatch, commands: &[CreateCommand]) -> Result<(UnitOfWork, Vec<Result<Vec<Created>>>)> {
    let mut decided = Vec::with_capacity(commands.len());
    for (index, command) in commands.iter().enumerate() {
        batch.work.codes.recorder.begin_request(index);
        let is_long = command.device_ids.len() > LONG_REQUEST;
        decided.push(compute::sized(is_long, || batch.decide(command)).await);
    }
    batch.work.codes.recorder.end_requests();
    batch.run().await?;
    batch.write().await?;
    let created = |decided: Result<Vec<Uuid>>| decided?.into_iter().map(|id| batch.created(id)).collect();
    let results = decided.into_iter().map(created).collect();
    Ok((batch.work, results))
}
