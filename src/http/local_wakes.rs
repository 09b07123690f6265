//! Wakes of a task by itself, without the scheduler of tokio.
//!
//! hyper wakes the task of a connection while the task runs: when a request body arrives for the handler, which runs in
//! the same task. tokio then queues the task again and wakes another thread for it, once per request, although nothing
//! is left to do.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Maximum number of polls in a row. Then the task is queued, so that other tasks can run.
const MAX_POLLS: usize = 8;

/// A future that is polled again at once if it was woken while it was polled.
pub(super) struct LocalWakes<F> {
    future: Pin<Box<F>>,
    /// `None` before the first poll.
    local: Option<Local>,
}

/// Wakes of the future, with the waker that counts them.
struct Local {
    wakes: Arc<Wakes>,
    counted: Waker,
}

/// Wakes of one future.
struct Wakes {
    task: Waker,
    is_polled: AtomicBool,
    /// True if the future was woken since its last poll began.
    is_woken: AtomicBool,
}

impl<F> LocalWakes<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future: Box::pin(future), local: None }
    }
}

impl Local {
    fn of(task: &Waker) -> Self {
        let (is_polled, is_woken) = (AtomicBool::new(false), AtomicBool::new(false));
        let wakes = Arc::new(Wakes { task: task.clone(), is_polled, is_woken });
        Self { counted: Waker::from(Arc::clone(&wakes)), wakes }
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        // While the future is polled, the poll itself looks at `is_woken` afterwards.
        if !self.is_polled.load(Ordering::SeqCst) {
            self.task.wake_by_ref();
        }
    }
}

impl<F: Future> Future for LocalWakes<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let local = this.local.take().filter(|local| local.wakes.task.will_wake(cx.waker()));
        let Local { wakes, counted } = this.local.insert(local.unwrap_or_else(|| Local::of(cx.waker())));
        for _ in 0..MAX_POLLS {
            // In this order: a wake that finds `is_polled` true is then seen by this poll, or by the check after it.
            wakes.is_woken.swap(false, Ordering::SeqCst);
            wakes.is_polled.store(true, Ordering::SeqCst);
            let polled = this.future.as_mut().poll(&mut Context::from_waker(counted));
            wakes.is_polled.store(false, Ordering::SeqCst);
            if polled.is_ready() || !wakes.is_woken.load(Ordering::SeqCst) {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    /// Waker that counts its wakes.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Polls a future once that wakes itself in its first polls, this number of times. Returns the result, the number
    /// of its polls, and the number of wakes of the task.
    fn poll(own_wakes: usize) -> (Poll<()>, usize, usize) {
        let (count, mut polls) = (Arc::new(Count::default()), 0);
        let future = poll_fn(|cx| {
            polls += 1;
            if polls > own_wakes {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        let mut future = LocalWakes::new(future);
        let waker = Waker::from(Arc::clone(&count));
        let result = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
        drop(future);
        (result, polls, count.0.load(Ordering::SeqCst))
    }

    #[test]
    fn local_wakes_poll_again_without_waking_the_task() {
        assert_eq!(poll(0), (Poll::Ready(()), 1, 0));
        assert_eq!(poll(3), (Poll::Ready(()), 4, 0));
    }

    #[test]
    fn local_wakes_let_other_tasks_run_after_many_polls() {
        assert_eq!(poll(usize::MAX), (Poll::Pending, MAX_POLLS, 1));
    }

    #[test]
    fn wake_between_two_polls_wakes_the_task() {
        let (count, mut kept) = (Arc::new(Count::default()), None);
        let mut future = LocalWakes::new(poll_fn(|cx| {
            kept = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        let waker = Waker::from(Arc::clone(&count));
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(future);
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        kept.unwrap().wake();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }
}
