//! Batches: what is done together, alone, or not at all.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

impl Item for u32 {
    fn begins(&self) {}
}

type Numbers = Batcher<u8, u32, Vec<u32>>;

/// Work that answers each job with its whole batch, as soon as the gate has a permit.
fn gated(
    gate: &Arc<Semaphore>,
) -> impl Fn(Arc<[u32]>) -> futures_util::future::BoxFuture<'static, Batch<Vec<u32>>> + Clone + use<> {
    let gate = Arc::clone(gate);
    move |items| {
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            Batch::Answered(vec![items.to_vec(); items.len()])
        })
    }
}

/// What these jobs, which wait while the first is worked on, are answered.
async fn batches(items: &[(u32, usize)]) -> Vec<Vec<u32>> {
    let together: Arc<Numbers> = Arc::default();
    let gate = Arc::new(Semaphore::new(0));
    let mut answers: Vec<_> = items.iter().map(|item| Box::pin(together.submit(1, *item, gated(&gate)))).collect();
    for answer in &mut answers {
        assert!(poll_once(answer).is_none(), "nothing is done before the gate opens");
        tokio::task::yield_now().await;
    }
    gate.add_permits(items.len());
    let mut batches = Vec::new();
    for answer in answers {
        batches.push(answer.await.unwrap());
    }
    batches
}

#[tokio::test]
async fn jobs_that_arrive_while_one_is_worked_on_are_done_together_in_order() {
    let answered = batches(&[(0, 1), (1, 1), (2, 1), (3, 1)]).await;
    assert_eq!(answered, [vec![0], vec![1, 2, 3], vec![1, 2, 3], vec![1, 2, 3]]);
}

#[tokio::test]
async fn batch_is_full_at_its_weight_and_takes_one_job_of_any_weight() {
    let answered = batches(&[(0, 1), (1, 600), (2, 400), (3, 1), (4, 5000), (5, 1)]).await;
    assert_eq!(answered, [vec![0], vec![1, 2], vec![1, 2], vec![3], vec![4], vec![5]]);
}

#[tokio::test]
async fn queue_that_is_full_takes_no_job() {
    let together: Arc<Numbers> = Arc::default();
    let gate = Arc::new(Semaphore::new(0));
    let mut answers: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(together.submit(1, (0, 1), gated(&gate)))).collect();
    for answer in &mut answers {
        assert!(poll_once(answer).is_none());
    }
    // The first is not worked on yet: its task had no turn.
    let refused = together.submit(1, (0, 1), gated(&gate)).await;
    assert_eq!(refused, Err(Unanswered::QueueFull));
}

#[tokio::test]
async fn panic_answers_nobody_and_does_not_stand_in_the_way_of_the_next() {
    let together: Arc<Numbers> = Arc::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let work = move |items: Arc<[u32]>| {
        let is_first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            assert!(!is_first, "the first batch breaks");
            Batch::Answered(vec![items.to_vec()])
        }
    };
    assert_eq!(together.submit(1, (7, 1), work.clone()).await, Err(Unanswered::BrokenOff));
    assert_eq!(together.submit(1, (8, 1), work).await, Ok(vec![8]));
}

#[tokio::test]
async fn batch_that_failed_is_done_job_by_job_for_those_who_still_wait() {
    let together: Arc<Numbers> = Arc::default();
    let gate = Arc::new(Semaphore::new(0));
    let tried: Arc<Mutex<Vec<Vec<u32>>>> = Arc::default();
    let work = {
        let (gate, tried) = (Arc::clone(&gate), Arc::clone(&tried));
        move |items: Arc<[u32]>| {
            let (gate, tried) = (Arc::clone(&gate), Arc::clone(&tried));
            async move {
                tried.lock().push(items.to_vec());
                gate.acquire().await.unwrap().forget();
                if items.len() > 1 { Batch::EachAlone } else { Batch::Answered(vec![items.to_vec()]) }
            }
        }
    };
    let mut answers: Vec<_> = (0..4).map(|item| Box::pin(together.submit(1, (item, 1), work.clone()))).collect();
    for answer in &mut answers {
        assert!(poll_once(answer).is_none());
        tokio::task::yield_now().await;
    }
    // The first is done; the others are a batch, and one of them hangs up while it is worked on.
    gate.add_permits(1);
    answers.remove(0).await.unwrap();
    while tried.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    drop(answers.remove(1));
    gate.add_permits(3);
    for answer in answers {
        answer.await.unwrap();
    }
    assert_eq!(*tried.lock(), [vec![0], vec![1, 2, 3], vec![1], vec![3]]);
}

/// Polls once.
fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}
