//! Tests of the batcher: jobs that run together, alone, or not at all.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

impl Item for u32 {
    fn mark_begun(&self) {}
}

type Numbers = Batcher<u8, u32, Vec<u32>>;

/// Returns work that waits for a permit of the gate and then returns the whole batch as the result of each job.
fn gated(
    gate: &Arc<Semaphore>,
) -> impl Fn(Arc<[u32]>) -> futures_util::future::BoxFuture<'static, Batch<Vec<u32>>> + Clone + use<> {
    let gate = Arc::clone(gate);
    move |items| {
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            Batch::Done(vec![items.to_vec(); items.len()])
        })
    }
}

/// Returns the results of these jobs, which are all submitted before the first one runs.
async fn batches(items: &[(u32, usize)]) -> Vec<Vec<u32>> {
    let batcher: Arc<Numbers> = Arc::default();
    let gate = Arc::new(Semaphore::new(0));
    let mut results: Vec<_> = items.iter().map(|item| Box::pin(batcher.submit(1, *item, gated(&gate)))).collect();
    for result in &mut results {
        assert!(poll_once(result).is_none(), "no job finishes before the gate opens");
        tokio::task::yield_now().await;
    }
    gate.add_permits(items.len());
    let mut completed = Vec::new();
    for result in results {
        completed.push(result.await.unwrap());
    }
    completed
}

#[tokio::test]
async fn jobs_that_arrive_while_one_is_worked_on_are_done_together_in_order() {
    let results = batches(&[(0, 1), (1, 1), (2, 1), (3, 1)]).await;
    assert_eq!(results, [vec![0], vec![1, 2, 3], vec![1, 2, 3], vec![1, 2, 3]]);
}

#[tokio::test]
async fn batch_is_full_at_its_weight_and_takes_one_job_of_any_weight() {
    let results = batches(&[(0, 1), (1, 600), (2, 400), (3, 1), (4, 5000), (5, 1)]).await;
    assert_eq!(results, [vec![0], vec![1, 2], vec![1, 2], vec![3], vec![4], vec![5]]);
}

#[tokio::test]
async fn queue_that_is_full_rejects_jobs() {
    let batcher: Arc<Numbers> = Arc::default();
    let gate = Arc::new(Semaphore::new(0));
    let mut results: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(batcher.submit(1, (0, 1), gated(&gate)))).collect();
    for result in &mut results {
        assert!(poll_once(result).is_none());
    }
    // The first job is still queued, because the worker task has not run yet.
    let rejected = batcher.submit(1, (0, 1), gated(&gate)).await;
    assert_eq!(rejected, Err(Unanswered::QueueFull));
}

#[tokio::test]
async fn panic_fails_the_batch_but_not_the_next_one() {
    let batcher: Arc<Numbers> = Arc::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let work = move |items: Arc<[u32]>| {
        let is_first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            assert!(!is_first, "the first batch panics");
            Batch::Done(vec![items.to_vec()])
        }
    };
    assert_eq!(batcher.submit(1, (7, 1), work.clone()).await, Err(Unanswered::Aborted));
    assert_eq!(batcher.submit(1, (8, 1), work).await, Ok(vec![8]));
}

#[tokio::test]
async fn batch_that_failed_is_retried_job_by_job_for_callers_that_still_wait() {
    let batcher: Arc<Numbers> = Arc::default();
    let gate = Arc::new(Semaphore::new(0));
    let tried: Arc<Mutex<Vec<Vec<u32>>>> = Arc::default();
    let work = {
        let (gate, tried) = (Arc::clone(&gate), Arc::clone(&tried));
        move |items: Arc<[u32]>| {
            let (gate, tried) = (Arc::clone(&gate), Arc::clone(&tried));
            async move {
                tried.lock().push(items.to_vec());
                gate.acquire().await.unwrap().forget();
                if items.len() > 1 { Batch::RetryEach } else { Batch::Done(vec![items.to_vec()]) }
            }
        }
    };
    let mut results: Vec<_> = (0..4).map(|item| Box::pin(batcher.submit(1, (item, 1), work.clone()))).collect();
    for result in &mut results {
        assert!(poll_once(result).is_none());
        tokio::task::yield_now().await;
    }
    // The first job finishes. The others form a batch, and one of their callers stops waiting while it runs.
    gate.add_permits(1);
    results.remove(0).await.unwrap();
    while tried.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    drop(results.remove(1));
    gate.add_permits(3);
    for result in results {
        result.await.unwrap();
    }
    assert_eq!(*tried.lock(), [vec![0], vec![1, 2, 3], vec![1], vec![3]]);
}

fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}
