//! Long computations that do not block the threads that serve requests.
//!
//! Meanwhile, another thread takes the place of the computing thread. The number of computations at one time is the
//! number of cores minus one, but at least one.

use std::sync::LazyLock;
use std::thread::available_parallelism;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

/// Number of bytes from which reading or writing a document counts as a long computation: it takes a fraction of a
/// millisecond.
pub(crate) const LONG_DOCUMENT: usize = 64 * 1024;

/// One permit for each core except one, but at least one permit.
static COMPUTE_PERMITS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))));

/// Runs a long computation as soon as a permit is free. The calling task can be cancelled before and after the
/// computation, but not during it: work of much more than a few milliseconds must be divided.
pub(crate) async fn run<T>(work: impl FnOnce() -> T) -> T {
    // Yield between two parts of a request's work, so that a disconnect of the client is noticed.
    tokio::task::yield_now().await;
    // The semaphore is never closed. Without a permit the computation would still run, only beyond the limit.
    let _permit = COMPUTE_PERMITS.acquire().await.ok();
    let has_other_threads =
        Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if has_other_threads { tokio::task::block_in_place(work) } else { work() }
}

/// Runs a computation: through [`run`] if it is long, or else directly.
pub(crate) async fn sized<T>(is_long: bool, work: impl FnOnce() -> T) -> T {
    if is_long { run(work).await } else { work() }
}
