//! Making codes. Requests of one workspace that arrive together are decided one after the other and written in one
//! transaction, whose number of statements does not grow with them: the locks they share are locked once, and what
//! one of them takes the next one sees.

mod board;
mod checks;
mod offline;

pub(super) use self::checks::{check_start, check_time_zone};

use self::board::Board;
use super::lifecycle::Window;
use super::linked::WhenCodeCannotBeShared;
use super::model::AccessCode;
use super::offline::MaxTimeRounding;
use super::store::NewActionAttempt;
use crate::app::App;
use crate::clock::Instant;
use crate::compute;
use crate::devices::model::DeviceSummary;
use crate::error::{Error, Result};
use crate::events::NewEvent;
use crate::events::cause::Cause;
use crate::together::{Batch, Job};
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// What is asked of every code of a request.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "Seam's request has them")]
pub struct NewAccessCode {
    /// The PIN; `None`: Latchkey chooses.
    pub code: Option<String>,
    /// The name, kept as it is.
    pub name: Option<String>,
    /// The time frame; `None`: ongoing.
    pub window: Option<Window>,
    /// Codes with one key have one PIN.
    pub common_code_key: Option<String>,
    /// The length to try first.
    pub preferred_code_length: Option<u8>,
    /// Whether locks that keep schedules themselves should do so.
    pub prefer_native_scheduling: bool,
    /// Whether somebody at the lock may change the code.
    pub is_external_modification_allowed: bool,
    /// Whether to take the request although a lock is offline.
    pub attempt_for_offline_device: bool,
    /// Whether the locks confirm before the request is answered.
    pub sync: bool,
    /// Whether the locks are to keep backup codes from now on.
    pub use_backup_pool: bool,
    /// What is asked of a code that the lock's maker is to compute.
    pub offline: Option<OfflineWish>,
}

/// What is asked of a code that the lock's maker is to compute.
#[derive(Clone, Copy, Debug)]
pub struct OfflineWish {
    /// Its start.
    pub starts_at: Instant,
    /// Its end, where it has one.
    pub ends_at: Option<Instant>,
    /// Whether it is to open once only.
    pub is_one_time_use: bool,
    /// How far its ends may be moved.
    pub max_time_rounding: MaxTimeRounding,
}

/// One request for codes.
#[derive(Clone, Debug)]
pub struct Making {
    /// The locks, each once.
    pub device_ids: Vec<Uuid>,
    /// What is asked of each code.
    pub wanted: NewAccessCode,
    /// For codes that are to share a PIN: what to do where they cannot. `None`: it is a single code.
    pub linking: Option<WhenCodeCannotBeShared>,
    /// The request itself.
    pub cause: Cause,
}

impl Job for Making {
    fn begins(&self) {
        self.cause.begins_to_change();
    }
}

/// A code that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The code.
    pub code: AccessCode,
    /// Its lock.
    pub device: DeviceSummary,
    /// The attempt to put it there; only that of a single code is kept.
    pub attempt: NewActionAttempt,
}

/// Makes the codes of one request, in the order of its locks, or none of them.
///
/// # Errors
/// Those of [`super::linked::assign_one`] and [`super::linked::assign_many`]; an unknown, full, offline or unfit lock; a time frame
/// that makes no sense. Then nothing is written.
pub async fn create(app: &App, workspace_id: Uuid, making: Making) -> Result<Vec<Made>> {
    let work_app = app.clone();
    let work = move |batch: Arc<[Making]>| {
        let app = work_app.clone();
        async move { batch_of(batch.len(), attempt(&app, workspace_id, &batch).await) }
    };
    let weight = making.device_ids.len();
    app.making.done(workspace_id, (making, weight), work).await?
}

/// How a batch ended. After an error that one of its requests may have caused, each is tried alone, so that the others
/// do not suffer from it. That is not so where the database was lost: then each is told the same.
pub(super) fn batch_of<A>(requests: usize, outcome: Result<Vec<Result<A>>>) -> Batch<Result<A>> {
    match outcome {
        Ok(answers) => Batch::Answered(answers),
        Err(error) if requests == 1 => Batch::Answered(vec![Err(error)]),
        Err(error @ (Error::Unavailable(_) | Error::OutcomeUnknown(_))) => {
            Batch::Answered((0..requests).map(|_| Err(error.for_another())).collect())
        }
        Err(_) => Batch::EachAlone,
    }
}

/// Choosing PINs for more locks than this is long computing.
const LONG_REQUEST: usize = 20;

/// Decides and writes a batch. `Err`: nothing of it was written.
async fn attempt(app: &App, workspace_id: Uuid, batch: &[Making]) -> Result<Vec<Result<Vec<Made>>>> {
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
    batch: &[Making],
) -> Result<(Vec<Result<Vec<Made>>>, Vec<NewEvent>)> {
    let Some(mut board) = Board::read(tx, workspace_id, batch).await? else {
        return Ok((batch.iter().map(|_| Err(Error::DeviceNotFound)).collect(), Vec::new()));
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
