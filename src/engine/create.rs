//! Creates codes. Requests of one workspace that arrive together are decided one after the other and written in one
//! transaction, whose number of statements does not grow with them: the locks they share are locked once, and what
//! one of them takes the next one sees.

mod board;
mod checks;
mod offline;

pub(super) use self::checks::{check_start, check_time_zone};

use self::board::Board;
use super::app::App;
use super::batcher::batch_of;
use super::commands::{CreateCommand, Created};
use crate::compute;
use crate::domain::event::NewEvent;
use crate::error::{Error, Resource, Result};
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// Makes the codes of one request, in the order of its locks, or none of them.
///
/// # Errors
/// Those of [`assign_one`](crate::domain::linked::assign_one) and [`assign_many`](crate::domain::linked::assign_many); an
/// unknown, full, offline or unfit lock; a time frame that makes no sense. Then nothing is written.
pub async fn create(app: &App, workspace_id: Uuid, making: CreateCommand) -> Result<Vec<Created>> {
    let work_app = app.clone();
    let work = move |batch: Arc<[CreateCommand]>| {
        let app = work_app.clone();
        async move { batch_of(batch.len(), attempt(&app, workspace_id, &batch).await) }
    };
    let weight = making.device_ids.len();
    app.creates.submit(workspace_id, (making, weight), work).await?
}

/// Choosing PINs for more locks than this is long computing.
const LONG_REQUEST: usize = 20;

/// Decides and writes a batch. `Err`: nothing of it was written.
async fn attempt(app: &App, workspace_id: Uuid, batch: &[CreateCommand]) -> Result<Vec<Result<Vec<Created>>>> {
    let mut tx = app.pool.begin(workspace_id).await?;
    let (answers, events) = create_in(&mut tx, workspace_id, batch).await?;
    if answers.iter().any(Result::is_ok) {
        tx.commit().await?;
        app.wake_scheduler();
        app.requests.recorded(&events);
    }
    Ok(answers)
}

/// Decides a batch, each request after those before it, and writes what is not refused, in the transaction of whoever
/// has more to write. An answer for each, and the events.
///
/// # Errors
/// What nobody foresaw; the transaction can only be given up.
pub async fn create_in(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    batch: &[CreateCommand],
) -> Result<(Vec<Result<Vec<Created>>>, Vec<NewEvent>)> {
    let Some(mut board) = Board::read(tx, workspace_id, batch).await? else {
        return Ok((batch.iter().map(|_| Err(Error::NotFound(Resource::Device))).collect(), Vec::new()));
    };
    let mut decided = Vec::with_capacity(batch.len());
    for (job, making) in batch.iter().enumerate() {
        board.job = job;
        let is_long = making.device_ids.len() > LONG_REQUEST;
        decided.push(compute::sized(is_long, || board.make(making)).await);
    }
    if !board.drafts.is_empty() {
        board.live(tx).await?;
        board.write(tx).await?;
        board.attribute(batch);
    }
    let answer = |decided: Result<Vec<usize>>| decided?.iter().map(|place| board.made(*place)).collect();
    let answers = decided.into_iter().map(answer).collect();
    Ok((answers, board.events))
}
