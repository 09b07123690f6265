//! How much memory imported snapshots take at once.

use crate::error::{Error, Result, Unavailable};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many bytes of imported documents are in memory at once: as many as one document may have.
#[derive(Debug)]
pub struct ImportBudget {
    kibibytes: Semaphore,
    all: u32,
}

impl ImportBudget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let all = kibibytes(bytes);
        Self { kibibytes: Semaphore::new(usize::try_from(all).unwrap_or(Semaphore::MAX_PERMITS)), all }
    }

    /// A share of so many bytes, once there are so many.
    ///
    /// # Errors
    /// [`Unavailable::Busy`] where there are not within this time.
    pub async fn share(&self, bytes: usize, wait: Duration) -> Result<SemaphorePermit<'_>> {
        let share = self.kibibytes.acquire_many(kibibytes(bytes).min(self.all));
        match tokio::time::timeout(wait, share).await {
            Ok(Ok(share)) => Ok(share),
            // It is never closed.
            Ok(Err(_)) | Err(_) => Err(Error::Unavailable(Unavailable::Busy)),
        }
    }
}

fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}
