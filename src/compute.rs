//! Long computing, away from the threads that serve requests.
//!
//! The thread that computes is replaced by another one meanwhile, and at most all cores but one compute at a time.

use std::sync::LazyLock;
use std::thread::available_parallelism;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

/// From this many bytes on, reading or writing a document is long computing: a fraction of a millisecond.
pub(crate) const LONG_DOCUMENT: usize = 64 * 1024;

/// The right to compute: one permit for each core but one.
static COMPUTE_PERMITS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))));

/// Computes something that takes long, when it is its turn. The caller can be given up before and after, and not
/// meanwhile: what takes much longer than some milliseconds is to be divided.
pub(crate) async fn run<T>(work: impl FnOnce() -> T) -> T {
    // Between two pieces of a request's work its connection is looked at: has the client gone?
    tokio::task::yield_now().await;
    // It is never closed; without a permit more would be computed at a time.
    let _permit = COMPUTE_PERMITS.acquire().await.ok();
    let has_other_threads = Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::MultiThread);
    if has_other_threads { tokio::task::block_in_place(work) } else { work() }
}

/// Computes something whose size is known: by itself where it is small.
pub(crate) async fn sized<T>(is_long: bool, work: impl FnOnce() -> T) -> T {
    if is_long { run(work).await } else { work() }
}
