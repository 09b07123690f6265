//! Batching: jobs of one kind that arrive at about the same time run together.
//!
//! While one batch of a key runs, new jobs of the key are queued for the next one; a batch never waits to be filled. A
//! job that arrives alone is a batch of one. Jobs of one key run in the order of their arrival. The weight of a batch,
//! the length of the queue and the duration of a batch are limited.

use crate::error::{Error, Result, Unavailable};
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Maximum weight of a batch, unless its first job is heavier. The weight of a job is the number of access codes that
/// it reads, creates or changes.
const MAX_BATCH_WEIGHT: usize = 1000;

/// Maximum number of queued jobs per key.
const MAX_WAITING: usize = 10_000;

/// Maximum duration of one batch.
const BATCH_TIMEOUT: Duration = Duration::from_mins(2);

/// A job that can run together with others of its kind.
pub trait Item: Clone + Send + Sync + 'static {
    /// Marks the job as begun: from here on it may be executed even if its caller stops waiting.
    fn mark_begun(&self);
}

/// A queued job with its weight and the channel to its caller.
#[derive(Debug)]
struct Waiting<J, A> {
    item: J,
    weight: usize,
    caller: oneshot::Sender<A>,
}

/// Outcome of a batch.
#[derive(Debug)]
pub enum Batch<A> {
    /// One result per job, in the order of the jobs.
    Done(Vec<A>),
    /// Nothing was done, perhaps because of one of the jobs: each job is to be retried alone.
    RetryEach,
}

/// Reason why a job has no result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unanswered {
    /// The queue is full, and the job was rejected.
    QueueFull,
    /// The batch was aborted or timed out: the job may have been executed.
    Aborted,
}

impl From<Unanswered> for Error {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::QueueFull => Self::Unavailable(Unavailable::Busy),
            Unanswered::Aborted => Self::OutcomeUnknown("the batch of the request was aborted".into()),
        }
    }
}

/// Returns the outcome of a batch. After an error that one of the requests may have caused, each request is retried
/// alone, so that one request does not fail the others. If the database was unavailable or lost, or a lock timed out,
/// every request gets that error instead.
pub(crate) fn batch_of<A>(requests: usize, outcome: Result<Vec<Result<A>>>) -> Batch<Result<A>> {
    match outcome {
        Ok(results) => Batch::Done(results),
        Err(error) if requests == 1 => Batch::Done(vec![Err(error)]),
        Err(error @ (Error::Unavailable(_) | Error::OutcomeUnknown(_))) => {
            Batch::Done((0..requests).map(|_| Err(error.for_same_batch())).collect())
        }
        Err(_) => Batch::RetryEach,
    }
}

/// Queued jobs by key. A key is in the map while a worker processes its jobs.
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
    /// Runs a job of this weight with `work`, together with the other queued jobs of the key. A job whose caller stops
    /// waiting before its batch has begun is skipped.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn submit<F, W>(self: &Arc<Self>, key: K, (item, weight): (J, usize), work: F) -> Result<A, Unanswered>
    where
        F: Fn(Arc<[J]>) -> W + Send + Sync + 'static,
        W: Future<Output = Batch<A>> + Send,
    {
        let (caller, result) = oneshot::channel();
        let waiting = Waiting { item, weight, caller };
        let is_first = match self.lock().entry(key) {
            Entry::Occupied(queue) if queue.get().len() >= MAX_WAITING => return Err(Unanswered::QueueFull),
            Entry::Occupied(mut queue) => {
                queue.get_mut().push(waiting);
                false
            }
            Entry::Vacant(entry) => {
                entry.insert(vec![waiting]);
                true
            }
        };
        if is_first {
            // Run the batches in a separate task, so that they do not end when this caller is cancelled.
            let worker = Worker { batcher: Arc::clone(self), key };
            tokio::spawn(async move {
                while let Some(batch) = worker.next_batch() {
                    // A timeout drops the channels to the callers, which then return `Unanswered::Aborted`.
                    drop(tokio::time::timeout(BATCH_TIMEOUT, work_on(batch, &work)).await);
                }
            });
        }
        result.await.map_err(|_| Unanswered::Aborted)
    }

    /// Returns true if no job is running or waiting.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Vec<Waiting<J, A>>>> {
        self.waiting.lock()
    }
}

/// Runs a batch, or each of its jobs alone.
async fn work_on<J, A, F, W>(batch: Vec<Waiting<J, A>>, work: &F)
where
    J: Clone,
    F: Fn(Arc<[J]>) -> W,
    W: Future<Output = Batch<A>>,
{
    if batch.is_empty() {
        return;
    }
    let (items, callers): (Vec<J>, Vec<_>) = batch.into_iter().map(|waiting| (waiting.item, waiting.caller)).unzip();
    let items: Arc<[J]> = items.into();
    if let Batch::Done(results) = work(Arc::clone(&items)).await {
        for (result, caller) in results.into_iter().zip(callers) {
            // Sending fails if the caller has stopped waiting.
            drop(caller.send(result));
        }
        return;
    }
    for (item, caller) in items.iter().zip(callers) {
        if caller.is_closed() {
            continue;
        }
        if let Batch::Done(results) = work([item.clone()].into()).await
            && let Some(result) = results.into_iter().next()
        {
            drop(caller.send(result));
        }
    }
}

/// The only worker that processes the jobs of a key.
struct Worker<K: Copy + Eq + Hash, J, A> {
    batcher: Arc<Batcher<K, J, A>>,
    key: K,
}

impl<K: Copy + Eq + Hash, J: Item, A> Worker<K, J, A> {
    /// Removes the next batch from the queue, without the jobs whose callers have stopped waiting. `None`: the queue is
    /// empty, and the worker ends.
    fn next_batch(&self) -> Option<Vec<Waiting<J, A>>> {
        let mut batch = self.drain()?;
        // Mark the jobs as begun before the last check of the callers: a job whose caller stops waiting before the mark
        // is skipped, and a caller that stops waiting after it can see that the job has begun.
        for waiting in &batch {
            waiting.item.mark_begun();
        }
        batch.retain(|waiting| !waiting.caller.is_closed());
        Some(batch)
    }

    /// Removes the oldest jobs from the queue, up to the maximum weight. If the queue is empty, removes the queue
    /// itself, so that the next job starts a new worker.
    fn drain(&self) -> Option<Vec<Waiting<J, A>>> {
        let mut queues = self.batcher.waiting.lock();
        let queue = queues.get_mut(&self.key)?;
        queue.retain(|waiting| !waiting.caller.is_closed());
        if queue.is_empty() {
            queues.remove(&self.key);
            return None;
        }
        let mut weight = 0;
        let fits = |waiting: &&Waiting<J, A>| {
            weight += waiting.weight;
            weight <= MAX_BATCH_WEIGHT
        };
        let count = queue.iter().take_while(fits).count().max(1);
        Some(queue.drain(..count).collect())
    }
}

impl<K: Copy + Eq + Hash, J, A> Drop for Worker<K, J, A> {
    /// Removes the queue after a panic, so that no caller waits for a worker that has ended.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.batcher.waiting.lock().remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
