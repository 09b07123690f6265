//! Work of one kind that arrives together is done together.
//!
//! While one batch of a key's jobs is worked on, the next gathers; nobody waits for a batch to fill. A job that
//! arrives alone is a batch of one. Jobs of one key are worked on in the order in which they came. A batch, the queue
//! behind it and the time for one batch have limits.

use crate::error::{Error, Result, Unavailable};
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How heavy a batch becomes, unless its first job is heavier.
const MAX_BATCH_WEIGHT: usize = 1000;

/// How many jobs wait for one key at most.
const MAX_WAITING: usize = 10_000;

/// How long one batch may take.
const BATCH_TIMEOUT: Duration = Duration::from_mins(2);

/// What can be done together with others of its kind.
pub trait Item: Clone + Send + Sync + 'static {
    /// Notes that work on it begins: from here on it may be done although nobody waits for it any more.
    fn begins(&self);
}

/// A job, its weight, and the one who waits for its answer.
#[derive(Debug)]
struct Waiting<J, A> {
    item: J,
    weight: usize,
    answer: oneshot::Sender<A>,
}

/// How a batch ended.
#[derive(Debug)]
pub enum Batch<A> {
    /// With an answer to each job, in their order.
    Answered(Vec<A>),
    /// With nothing done, perhaps because of one of its jobs: each is to be tried alone.
    EachAlone,
}

/// Why a job has no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unanswered {
    /// Too many jobs wait; it was not taken.
    QueueFull,
    /// Its batch broke off, or took too long: it may have been done.
    BrokenOff,
}

impl From<Unanswered> for Error {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::QueueFull => Self::Unavailable(Unavailable::Busy),
            Unanswered::BrokenOff => Self::OutcomeUnknown("the batch of the request broke off".into()),
        }
    }
}

/// How a batch ended. After an error that one of its requests may have caused, each is tried alone, so that the others
/// do not suffer from it. That is not so where the database was lost: then each is told the same.
pub(crate) fn batch_of<A>(requests: usize, outcome: Result<Vec<Result<A>>>) -> Batch<Result<A>> {
    match outcome {
        Ok(answers) => Batch::Answered(answers),
        Err(error) if requests == 1 => Batch::Answered(vec![Err(error)]),
        Err(error @ (Error::Unavailable(_) | Error::OutcomeUnknown(_))) => {
            Batch::Answered((0..requests).map(|_| Err(error.for_another())).collect())
        }
        Err(_) => Batch::EachAlone,
    }
}

/// Jobs that wait, by key. A key that is here is being worked on.
#[derive(Debug)]
pub struct Batcher<K, J, A> {
    waiting: Mutex<HashMap<K, Vec<Waiting<J, A>>>>,
}

impl<K, J, A> Default for Batcher<K, J, A> {
    fn default() -> Self {
        Self { waiting: Mutex::new(HashMap::new()) }
    }
}

impl<K, J, A> Batcher<K, J, A>
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
    J: Item,
    A: Send + 'static,
{
    /// Has `work` do a job of this weight, together with whatever else waits for the same key. A job whose caller no
    /// longer waits is passed over if its batch has not begun.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn submit<F, W>(self: &Arc<Self>, key: K, (item, weight): (J, usize), work: F) -> Result<A, Unanswered>
    where
        F: Fn(Arc<[J]>) -> W + Send + Sync + 'static,
        W: Future<Output = Batch<A>> + Send,
    {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { item, weight, answer };
        let is_first = match self.lock().entry(key) {
            Entry::Occupied(others) if others.get().len() >= MAX_WAITING => return Err(Unanswered::QueueFull),
            Entry::Occupied(mut others) => {
                others.get_mut().push(waiting);
                false
            }
            Entry::Vacant(entry) => {
                entry.insert(vec![waiting]);
                true
            }
        };
        if is_first {
            // A task of its own: the callers of the others must not depend on whether this one stays.
            let worker = Worker { of: Arc::clone(self), key };
            tokio::spawn(async move {
                while let Some(batch) = worker.next_batch() {
                    // After a time-out the answers are dropped, and whoever waits is told that it broke off.
                    drop(tokio::time::timeout(BATCH_TIMEOUT, work_on(batch, &work)).await);
                }
            });
        }
        answered.await.map_err(|_| Unanswered::BrokenOff)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Vec<Waiting<J, A>>>> {
        self.waiting.lock()
    }
}

/// Does a batch, or each of its jobs alone.
async fn work_on<J, A, F, W>(batch: Vec<Waiting<J, A>>, work: &F)
where
    J: Clone,
    F: Fn(Arc<[J]>) -> W,
    W: Future<Output = Batch<A>>,
{
    if batch.is_empty() {
        return;
    }
    let (items, callers): (Vec<J>, Vec<_>) = batch.into_iter().map(|waiting| (waiting.item, waiting.answer)).unzip();
    let items: Arc<[J]> = items.into();
    if let Batch::Answered(answers) = work(Arc::clone(&items)).await {
        for (answer, caller) in answers.into_iter().zip(callers) {
            // Whoever stopped waiting does not want to know.
            drop(caller.send(answer));
        }
        return;
    }
    for (item, caller) in items.iter().zip(callers) {
        if caller.is_closed() {
            continue;
        }
        if let Batch::Answered(answers) = work([item.clone()].into()).await
            && let Some(answer) = answers.into_iter().next()
        {
            drop(caller.send(answer));
        }
    }
}

/// The right to work on a key's jobs.
struct Worker<K: Copy + Eq + Hash, J, A> {
    of: Arc<Batcher<K, J, A>>,
    key: K,
}

impl<K: Copy + Eq + Hash, J: Item, A> Worker<K, J, A> {
    /// What has gathered and is still waited for, up to the weight of a batch; `None` ends the turn.
    fn next_batch(&self) -> Option<Vec<Waiting<J, A>>> {
        let mut batch = self.drain()?;
        // Whoever gives up before this is not worked for, and whoever gives up after it sees that work has begun.
        for waiting in &batch {
            waiting.item.begins();
        }
        batch.retain(|waiting| !waiting.answer.is_closed());
        Some(batch)
    }

    fn drain(&self) -> Option<Vec<Waiting<J, A>>> {
        let mut waiting = self.of.waiting.lock();
        let gathered = waiting.get_mut(&self.key)?;
        gathered.retain(|waiting| !waiting.answer.is_closed());
        if gathered.is_empty() {
            waiting.remove(&self.key);
            return None;
        }
        let mut weight = 0;
        let fits = |waiting: &&Waiting<J, A>| {
            weight += waiting.weight;
            weight <= MAX_BATCH_WEIGHT
        };
        let count = gathered.iter().take_while(fits).count().max(1);
        Some(gathered.drain(..count).collect())
    }
}

impl<K: Copy + Eq + Hash, J, A> Drop for Worker<K, J, A> {
    /// After a panic nobody may be left waiting for a turn that is over.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.of.waiting.lock().remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
