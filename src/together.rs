//! Work of one kind that arrives together is done together.
//!
//! While one batch of a key's jobs is worked on, the next gathers; nobody waits for a batch to fill. A job that
//! arrives alone is a batch of one. Jobs of one key are worked on in the order in which they came.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A job and the one who waits for its answer.
type Waiting<J, A> = (J, oneshot::Sender<A>);

/// Jobs that wait, by key. A key that is here is being worked on.
#[derive(Debug)]
pub struct Together<K, J, A> {
    waiting: Mutex<HashMap<K, Vec<Waiting<J, A>>>>,
}

impl<K, J, A> Default for Together<K, J, A> {
    fn default() -> Self {
        Self { waiting: Mutex::new(HashMap::new()) }
    }
}

impl<K, J, A> Together<K, J, A>
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
    J: Send + 'static,
    A: Send + 'static,
{
    /// Has `work` do a job, together with whatever else waits for the same key; it answers the jobs of a batch in
    /// their order. `None`: the work was given up half way. A job whose caller no longer waits is passed over if
    /// its batch has not begun.
    pub async fn done<F, W>(self: &Arc<Self>, key: K, job: J, work: F) -> Option<A>
    where
        F: Fn(Vec<J>) -> W + Send + 'static,
        W: Future<Output = Vec<A>> + Send,
    {
        let (answer, answered) = oneshot::channel();
        let is_first = match self.lock().entry(key) {
            Entry::Occupied(mut others) => {
                others.get_mut().push((job, answer));
                false
            }
            Entry::Vacant(place) => {
                place.insert(vec![(job, answer)]);
                true
            }
        };
        if is_first {
            // A task of its own: the callers of the others must not depend on whether this one stays.
            let turn = Turn { of: Arc::clone(self), key };
            tokio::spawn(async move {
                while let Some(batch) = turn.next_batch() {
                    let (jobs, waiting): (Vec<J>, Vec<_>) = batch.into_iter().unzip();
                    for (answer, waiting) in work(jobs).await.into_iter().zip(waiting) {
                        // Whoever stopped waiting does not want to know.
                        drop(waiting.send(answer));
                    }
                }
            });
        }
        answered.await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Vec<Waiting<J, A>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to work on a key's jobs.
struct Turn<K: Copy + Eq + Hash, J, A> {
    of: Arc<Together<K, J, A>>,
    key: K,
}

impl<K: Copy + Eq + Hash, J, A> Turn<K, J, A> {
    /// What has gathered; `None` ends the turn.
    fn next_batch(&self) -> Option<Vec<Waiting<J, A>>> {
        let mut waiting = self.of.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let gathered = waiting.get_mut(&self.key)?;
        gathered.retain(|(_, caller)| !caller.is_closed());
        if gathered.is_empty() {
            waiting.remove(&self.key);
            return None;
        }
        Some(mem::take(gathered))
    }
}

impl<K: Copy + Eq + Hash, J, A> Drop for Turn<K, J, A> {
    /// After a panic nobody may be left waiting for a turn that is over.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.of.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn jobs_that_arrive_while_one_is_worked_on_are_done_together_and_in_order() {
        let together: Arc<Together<u8, u32, Vec<u32>>> = Arc::default();
        let gate = Arc::new(Semaphore::new(0));
        let work = {
            let gate = Arc::clone(&gate);
            move |jobs: Vec<u32>| {
                let gate = Arc::clone(&gate);
                async move {
                    gate.acquire().await.unwrap().forget();
                    vec![jobs.clone(); jobs.len()]
                }
            }
        };
        let mut answers: Vec<_> = (0..4).map(|job| Box::pin(together.done(1, job, work.clone()))).collect();
        for answer in &mut answers {
            assert!(futures_poll(answer).is_none(), "nothing is done before the gate opens");
            tokio::task::yield_now().await;
        }
        gate.add_permits(2);
        let mut batches = Vec::new();
        for answer in answers {
            batches.push(answer.await.unwrap());
        }
        assert_eq!(batches, [vec![0], vec![1, 2, 3], vec![1, 2, 3], vec![1, 2, 3]]);
    }

    #[tokio::test]
    async fn a_panic_answers_nobody_and_does_not_stand_in_the_way_of_the_next() {
        let together: Arc<Together<u8, u32, u32>> = Arc::default();
        let calls = Arc::new(AtomicUsize::new(0));
        let work = {
            let calls = Arc::clone(&calls);
            move |jobs: Vec<u32>| {
                let is_first = calls.fetch_add(1, Ordering::SeqCst) == 0;
                async move {
                    assert!(!is_first, "the first batch breaks");
                    jobs
                }
            }
        };
        assert_eq!(together.done(1, 7, work.clone()).await, None);
        assert_eq!(together.done(1, 8, work).await, Some(8));
    }

    /// Polls once.
    fn futures_poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
