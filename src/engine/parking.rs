//! Devices whose access codes cannot be processed: retried after growing delays, and logged once.

use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Delay before the first retry.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Maximum delay before a retry.
const MAX_DELAY: Duration = Duration::from_mins(5);

/// The devices that the scheduler of this process skips until their next retry, by device id.
#[derive(Debug, Default)]
pub struct Parking(Mutex<HashMap<Uuid, Parked>>);

#[derive(Clone, Copy, Debug)]
struct Parked {
    until: Instant,
    pause: Duration,
}

impl Parking {
    /// Parks a device: for a second, and after each further failure for twice as long, up to five minutes. Only the
    /// first failure is logged.
    pub(super) fn park(&self, device_id: Uuid, error: &dyn std::error::Error) {
        let mut devices = self.0.lock();
        let pause = devices.get(&device_id).map_or(FIRST_DELAY, |parked| (parked.pause * 2).min(MAX_DELAY));
        if devices.insert(device_id, Parked { until: Instant::now() + pause, pause }).is_none() {
            tracing::error!(%error, %device_id, "the access codes of a lock cannot be processed; retrying at \
                                                 intervals");
        }
    }

    /// Removes the devices of a batch that has succeeded.
    pub(super) fn release_all(&self, processed: &BTreeSet<Uuid>) {
        self.0.lock().retain(|device_id, _| !processed.contains(device_id));
    }

    /// Removes all devices except these. Called when nothing is due on the others.
    pub(super) fn retain(&self, parked: &[Uuid]) {
        self.0.lock().retain(|device_id, _| parked.contains(device_id));
    }

    /// Returns the devices to skip now.
    pub(super) fn parked(&self) -> Vec<Uuid> {
        let now = Instant::now();
        let devices = self.0.lock();
        devices.iter().filter(|(_, parked)| parked.until > now).map(|(device_id, _)| *device_id).collect()
    }

    /// Returns the number of devices that failed at their last try.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}
