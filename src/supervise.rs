//! Tasks that have to run as long as the server does.

use std::time::Duration;

/// How long a task that ended is left alone before it is started again.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Runs a task until this future is dropped. One that panics, or ends by itself, is started again, with a line in the
/// log that says why.
pub(crate) async fn keep_running<F>(name: &'static str, task: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let mut running = AbortOnDrop(tokio::spawn(task()));
        match (&mut running.0).await {
            Ok(()) => tracing::error!(name, "a task of the server ended; it is started again"),
            Err(error) => tracing::error!(name, %error, "a task of the server broke off; it is started again"),
        }
        tokio::time::sleep(RESTART_DELAY).await;
    }
}

/// A task that ends with its owner.
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

    #[tokio::test(start_paused = true)]
    async fn task_that_panics_or_ends_is_started_again_until_it_is_given_up() {
        let (starts, going) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let task = {
            let (starts, going) = (Arc::clone(&starts), Arc::clone(&going));
            move || {
                let (start, going) = (starts.fetch_add(1, Ordering::SeqCst), Arc::clone(&going));
                async move {
                    assert_ne!(start, 0, "the first one panics");
                    if start >= 2 {
                        going.add_permits(1);
                        std::future::pending::<()>().await;
                    }
                }
            }
        };
        let kept = tokio::spawn(async move { keep_running("a test", task).await });
        going.acquire().await.unwrap().forget();
        assert_eq!(starts.load(Ordering::SeqCst), 3);
        kept.abort();
    }
}
