//! Rate limits per device and action type, if a test sets them: Seam's limits or other ones.
//!
//! No separate counter is stored. `store::action_attempts::recent` reads the action attempts under the row lock of
//! their device, on the workspace's clock. A rejected request has no action attempt and does not count.

use super::action_attempt::action_type;
use crate::clock::{Timestamp, to_iso};
use crate::error::{Error, Result};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use uuid::Uuid;

/// Maximum number of requests of each kind per device within a period; `None`: unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimits {
    /// Creations of access codes.
    pub create: Option<u32>,
    /// Updates of access codes.
    pub update: Option<u32>,
    /// Deletions of access codes.
    pub delete: Option<u32>,
    /// Requests to lock the door.
    pub lock: Option<u32>,
    /// Requests to unlock the door.
    pub unlock: Option<u32>,
    /// The period, in milliseconds of the workspace's clock.
    pub per_ms: i64,
}

impl RateLimits {
    /// Limits that Seam documents, per device and minute.
    pub const SEAM: Self =
        Self { create: Some(10), update: Some(10), delete: Some(20), lock: Some(15), unlock: Some(15), per_ms: 60_000 };

    /// Returns the maximum number of attempts of this type and the period; `None`: unlimited.
    pub fn of(&self, action_type: &str) -> Option<(u32, TimeDelta)> {
        let limit = match action_type {
            action_type::CREATE_ACCESS_CODE => self.create,
            action_type::UPDATE_ACCESS_CODE => self.update,
            action_type::DELETE_ACCESS_CODE => self.delete,
            action_type::LOCK_DOOR => self.lock,
            action_type::UNLOCK_DOOR => self.unlock,
            _ => None,
        };
        Some((limit?, TimeDelta::milliseconds(self.per_ms)))
    }
}

/// Action attempts of one type on locked devices within the period of the limit.
#[derive(Debug, Default)]
pub(crate) struct RecentAttempts {
    action_type: &'static str,
    /// Maximum number and period; `None`: no limit, and no attempts were read.
    limit: Option<(usize, TimeDelta)>,
    now: Timestamp,
    /// Creation times of the attempts by device, newest first.
    of_device: HashMap<Uuid, Vec<Timestamp>>,
}

impl RecentAttempts {
    /// Creates the list of attempts of one type. `limit` is the maximum number per device within `per`. `of_device`
    /// contains the creation times within the period that ends at `now`, by device, newest first.
    pub(crate) fn new(
        action_type: &'static str,
        (limit, per): (u32, TimeDelta),
        now: Timestamp,
        of_device: HashMap<Uuid, Vec<Timestamp>>,
    ) -> Self {
        Self { action_type, limit: Some((usize::try_from(limit).unwrap_or(usize::MAX), per)), now, of_device }
    }

    /// Checks that the limit allows one more attempt on this device.
    ///
    /// # Errors
    /// [`Error::RateLimited`] with the time from which the next attempt is allowed.
    pub(crate) fn check(&self, device_id: Uuid) -> Result<()> {
        let Some((limit, per)) = self.limit else { return Ok(()) };
        let attempts = self.of_device.get(&device_id).map_or(&[][..], Vec::as_slice);
        if attempts.len() < limit {
            return Ok(());
        }
        // The next attempt is allowed once the oldest of the newest `limit` attempts is out of the period. A limit of
        // zero, which only an imported snapshot can contain, allows none.
        let oldest = limit.checked_sub(1).and_then(|index| attempts.get(index)).unwrap_or(&self.now);
        let again_at = oldest.checked_add_signed(per).unwrap_or(Timestamp::MAX_UTC);
        let wait_ms = (again_at - self.now).num_milliseconds().max(1);
        Err(Error::RateLimited {
            device_id,
            action_type: self.action_type,
            again_at: to_iso(again_at),
            retry_after: u64::try_from(wait_ms.div_euclid(1000) + i64::from(wait_ms % 1000 != 0)).unwrap_or(1),
        })
    }

    /// Adds an attempt at the current time.
    pub(crate) fn add(&mut self, device_id: Uuid) {
        if self.limit.is_some() {
            self.of_device.entry(device_id).or_default().insert(0, self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::at;

    const DEVICE: Uuid = Uuid::nil();

    #[test]
    fn rate_limit_of_each_action_type_is_its_own() {
        let limits =
            RateLimits { create: Some(1), update: Some(2), delete: None, lock: Some(4), unlock: Some(5), per_ms: 250 };
        let per = TimeDelta::milliseconds(250);
        assert_eq!(limits.of("CREATE_ACCESS_CODE"), Some((1, per)));
        assert_eq!(limits.of("UPDATE_ACCESS_CODE"), Some((2, per)));
        assert_eq!(limits.of("DELETE_ACCESS_CODE"), None);
        assert_eq!(limits.of("LOCK_DOOR"), Some((4, per)));
        assert_eq!(limits.of("UNLOCK_DOOR"), Some((5, per)));
        assert_eq!(limits.of("CONVERT_ACCESS_CODE_TO_MANAGED"), None);
        assert_eq!(RateLimits::SEAM.of("DELETE_ACCESS_CODE"), Some((20, TimeDelta::minutes(1))));
    }

    /// Creates attempts that are `ages` milliseconds old, with a limit per minute.
    fn recent(limit: u32, ages: &[i64]) -> RecentAttempts {
        let created_at = ages.iter().map(|age| at(0) - TimeDelta::milliseconds(*age)).collect();
        RecentAttempts::new("CREATE_ACCESS_CODE", (limit, TimeDelta::minutes(1)), at(0), [(DEVICE, created_at)].into())
    }

    fn retry_after(recent: &RecentAttempts) -> Option<(u64, String)> {
        match recent.check(DEVICE) {
            Ok(()) => None,
            Err(Error::RateLimited { device_id, action_type, again_at, retry_after }) => {
                assert_eq!((device_id, action_type), (DEVICE, "CREATE_ACCESS_CODE"));
                Some((retry_after, again_at))
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn rate_limit_error_has_the_remaining_time_in_whole_seconds() {
        let again = |text: &str| text.to_owned();
        for (limit, ages, expected) in [
            (2, vec![], None),
            (2, vec![0], None),
            (2, vec![0, 20_000], Some((40, again("2026-03-01T00:00:40.000Z")))),
            (2, vec![0, 20_000, 30_000], Some((40, again("2026-03-01T00:00:40.000Z")))),
            (2, vec![0, 19_999], Some((41, again("2026-03-01T00:00:40.001Z")))),
            (2, vec![0, 59_999], Some((1, again("2026-03-01T00:00:00.001Z")))),
            (1, vec![0], Some((60, again("2026-03-01T00:01:00.000Z")))),
            // An attempt exactly as old as the period still counts: `check` does not filter by age.
            (1, vec![60_000], Some((1, again("2026-03-01T00:00:00.000Z")))),
            (0, vec![], Some((60, again("2026-03-01T00:01:00.000Z")))),
            (0, vec![20_000], Some((60, again("2026-03-01T00:01:00.000Z")))),
        ] {
            assert_eq!(retry_after(&recent(limit, &ages)), expected, "{limit} {ages:?}");
        }
    }

    #[test]
    fn rate_limit_counts_new_attempts_of_the_same_device_only() {
        let mut limited = recent(2, &[]);
        limited.add(Uuid::max());
        limited.add(Uuid::max());
        limited.add(DEVICE);
        assert_eq!(retry_after(&limited), None);
        limited.add(DEVICE);
        assert_eq!(retry_after(&limited).unwrap().0, 60);
        let mut unlimited = RecentAttempts::default();
        unlimited.add(DEVICE);
        assert!(unlimited.of_device.is_empty());
        assert_eq!(retry_after(&unlimited), None);
    }
}
