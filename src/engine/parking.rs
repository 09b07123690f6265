//! Locks whose codes cannot be lived on: tried again now and then, and named once.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a lock is parked at first.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// How long a lock is parked at most.
const MAX_DELAY: Duration = Duration::from_mins(5);

/// The locks that this process leaves alone for a while.
#[derive(Debug, Default)]
pub struct Parking(Mutex<HashMap<Uuid, Parked>>);

#[derive(Clone, Copy, Debug)]
struct Parked {
    until: Instant,
    pause: Duration,
}

impl Parking {
    /// Parks a lock: for a second, and each time it fails again for twice as long, up to five minutes. It is named in the
    /// log when it fails for the first time.
    pub(super) fn park(&self, device_id: Uuid, error: &dyn std::error::Error) {
        let mut all = self.0.lock();
        let pause = all.get(&device_id).map_or(FIRST_DELAY, |parked| (parked.pause * 2).min(MAX_DELAY));
        if all.insert(device_id, Parked { until: Instant::now() + pause, pause }).is_none() {
            tracing::error!(%error, %device_id, "the access codes of a lock cannot be worked on; they are tried again now and then");
        }
    }

    /// Forgets that a lock was parked.
    pub(super) fn release(&self, device_id: Uuid) {
        self.0.lock().remove(&device_id);
    }

    /// Forgets all locks but these: the others were tried again, and nothing was wrong.
    pub(super) fn keep_only(&self, parked: &[Uuid]) {
        let mut all = self.0.lock();
        all.retain(|device_id, _| parked.contains(device_id));
    }

    /// The locks that are left alone now.
    pub(super) fn parked(&self) -> Vec<Uuid> {
        let now = Instant::now();
        let all = self.0.lock();
        all.iter().filter(|(_, parked)| parked.until > now).map(|(device_id, _)| *device_id).collect()
    }

    /// How many locks failed when they were tried last.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}
