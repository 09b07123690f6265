//! Supervision of tasks that must run as long as the server.

use std::time::Duration;

/// Delay before a task that ended is restarted.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Runs a task until this future is dropped. A task that panics or ends is restarted, and the reason is logged.
pub(crate) async fn keep_running<F>(name: &'static str, task: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    restart_after(RESTART_DELAY, name, task).await;
}

async fn restart_after<F>(delay: Duration, name: &'static str, task: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let mut running = AbortOnDrop(tokio::spawn(task()));
        match (&mut running.0).await {
            Ok(()) => tracing::error!(name, "a server task ended; restarting it"),
            Err(error) => tracing::error!(name, %error, "a server task panicked; restarting it"),
        }
        tokio::time::sleep(delay).await;
    }
}

/// A task that is aborted when its owner drops it.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn task_that_panics_or_ends_is_started_again() {
        let (starts, going) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let task = {
            let (starts, going) = (Arc::clone(&starts), Arc::clone(&going));
            move || {
                let (start, going) = (starts.fetch_add(1, Ordering::SeqCst), Arc::clone(&going));
                async move {
                    assert_ne!(start, 0, "the first start panics");
                    if start >= 2 {
                        going.add_permits(1);
                        std::future::pending::<()>().await;
                    }
                }
            }
        };
        let supervisor = tokio::spawn(async move { restart_after(Duration::ZERO, "a test", task).await });
        going.acquire().await.unwrap().forget();
        assert_eq!(starts.load(Ordering::SeqCst), 3);
        supervisor.abort();
    }
}
