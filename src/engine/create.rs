//! Creates codes. Requests of one workspace that arrive together are decided one after the other and written in one
//! transaction, whose number of statements does not grow with them: the locks they share are locked once, and what
//! one of them takes the next one sees.

mod batch;
mod checks;
mod offline;

pub(super) use self::checks::{check_start, check_time_zone};

use self::batch::CreateBatch;
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

/// Makes the codes of one request, in the order of its locks, or none of them.
///
/// # Errors
/// Those of [`assign_one`](crate::domain::linked::assign_one) and [`assign_many`](crate::domain::linked::assign_many); an
/// unknown, full, offline or unfit lock; a time frame that makes no sense. Then nothing is written.
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

/// Choosing PINs for more locks than this is long computing.
const LONG_REQUEST: usize = 20;

/// Decides and writes a batch. `Err`: nothing of it was written.
async fn attempt(app: &App, workspace_id: Uuid, batch: &[CreateCommand]) -> Result<Vec<Result<Vec<Created>>>> {
    let tx = app.pool.begin(workspace_id).await?;
    let (work, answers) = match create_in(tx, workspace_id, batch).await {
        Ok(decided) => decided,
        // None of the devices is there: that is the answer to each request, and none has to be tried alone.
        Err(Error::NotFound(Resource::Device)) => {
            return Ok(batch.iter().map(|_| Err(Error::NotFound(Resource::Device))).collect());
        }
        Err(error) => return Err(error),
    };
    if answers.iter().any(Result::is_ok) {
        let causes: Vec<Cause> = batch.iter().map(|command| command.cause.clone()).collect();
        work.commit(app, &causes).await?;
    }
    Ok(answers)
}

/// Decides a batch, each request after those before it, and writes what is not refused, in the transaction of whoever
/// has more to write. Gives that, with an answer for each request.
///
/// # Errors
/// [`Error::NotFound`] where none of the devices is there, and what nobody foresaw; the
/// transaction can only be given up.
pub(crate) async fn create_in(
    tx: Transaction,
    workspace_id: Uuid,
    commands: &[CreateCommand],
) -> Result<(UnitOfWork, Vec<Result<Vec<Created>>>)> {
    let mut batch = CreateBatch::read(tx, workspace_id, commands).await?;
    let mut decided = Vec::with_capacity(commands.len());
    for (index, command) in commands.iter().enumerate() {
        batch.work.codes.recorder.begin_request(index);
        let is_long = command.device_ids.len() > LONG_REQUEST;
        decided.push(compute::sized(is_long, || batch.decide(command)).await);
    }
    batch.work.codes.recorder.end_requests();
    batch.run().await?;
    batch.write().await?;
    let answer = |decided: Result<Vec<Uuid>>| decided?.into_iter().map(|id| batch.created(id)).collect();
    let answers = decided.into_iter().map(answer).collect();
    Ok((batch.work, answers))
}
