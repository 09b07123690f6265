//! Memory limit for imported snapshots.

use crate::error::{Error, Result, Unavailable};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Limits the total size of the imported documents in memory to the maximum size of one document.
#[derive(Debug)]
pub struct ImportBudget {
    kibibytes: Semaphore,
    total: u32,
}

impl ImportBudget {
    /// Creates a budget of this number of bytes.
    pub fn new(bytes: usize) -> Self {
        let total = kibibytes(bytes);
        Self { kibibytes: Semaphore::new(usize::try_from(total).unwrap_or(Semaphore::MAX_PERMITS)), total }
    }

    /// Waits until this number of bytes is free, and reserves it until the permit is dropped. For a number above the
    /// budget, reserves the whole budget.
    ///
    /// # Errors
    /// [`Unavailable::Busy`] if the bytes do not become available within `wait`.
    pub async fn reserve(&self, bytes: usize, wait: Duration) -> Result<SemaphorePermit<'_>> {
        let reserve = self.kibibytes.acquire_many(kibibytes(bytes).min(self.total));
        match tokio::time::timeout(wait, reserve).await {
            Ok(Ok(reserve)) => Ok(reserve),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Error::Unavailable(Unavailable::Busy)),
        }
    }
}

fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}
