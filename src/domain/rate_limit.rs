//! How often a device takes requests of one kind: Seam's limits, where a tester wants them.
//!
//! Nothing is counted. The action attempts are there already: `store::action_attempts::recent` reads them under the lock of
//! their device, on the workspace's clock. What was refused has no attempt and does not count.

use super::action_attempt::action_type;
use crate::clock::{Timestamp, to_iso};
use crate::error::{Error, Result};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use uuid::Uuid;

/// How many requests of each kind one device takes within a time; `None`: as many as come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimits {
    /// Access codes made.
    pub create: Option<u32>,
    /// Access codes changed.
    pub update: Option<u32>,
    /// Access codes deleted.
    pub delete: Option<u32>,
    /// Times it was locked.
    pub lock: Option<u32>,
    /// Times it was unlocked.
    pub unlock: Option<u32>,
    /// The time, in milliseconds of the workspace's clock.
    pub per_ms: i64,
}

impl RateLimits {
    /// Those that Seam documents: per device and minute.
    pub const SEAM: Self =
        Self { create: Some(10), update: Some(10), delete: Some(20), lock: Some(15), unlock: Some(15), per_ms: 60_000 };

    /// How many attempts of this type within which time; `None`: as many as come.
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

/// The attempts of one type on locked devices within the time that counts.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    action_type: &'static str,
    /// `None`: there is no limit, and nothing was read.
    limit: Option<(usize, TimeDelta)>,
    now: Timestamp,
    /// When each was made, the newest first.
    of_device: HashMap<Uuid, Vec<Timestamp>>,
}

impl Recent {
    /// The attempts of a type that were made on devices up to now, each device's newest first, with what a device takes: so
    /// many within this time.
    pub(crate) fn new(
        action_type: &'static str,
        (limit, per): (u32, TimeDelta),
        now: Timestamp,
        of_device: HashMap<Uuid, Vec<Timestamp>>,
    ) -> Self {
        Self { action_type, limit: Some((usize::try_from(limit).unwrap_or(usize::MAX), per)), now, of_device }
    }

    /// Refuses one more on this device where it has had as many as it takes.
    ///
    /// # Errors
    /// [`Error::RateLimited`], which says when there is room again.
    pub(crate) fn check(&self, device_id: Uuid) -> Result<()> {
        let (Some((limit, per)), Some(made)) = (self.limit, self.of_device.get(&device_id)) else { return Ok(()) };
        // There is room again when the oldest of the newest so many has left the time that counts.
        let Some(oldest) = limit.checked_sub(1).and_then(|index| made.get(index)) else { return Ok(()) };
        let again_at = oldest.checked_add_signed(per).unwrap_or(Timestamp::MAX_UTC);
        let waits = (again_at - self.now).num_milliseconds().max(1);
        Err(Error::RateLimited {
            device_id,
            action_type: self.action_type,
            again_at: to_iso(again_at),
            retry_after: u64::try_from(waits.div_euclid(1000) + i64::from(waits % 1000 != 0)).unwrap_or(1),
        })
    }

    /// Takes note of one more that is made now.
    pub(crate) fn note(&mut self, device_id: Uuid) {
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
        let own =
            RateLimits { create: Some(1), update: Some(2), delete: None, lock: Some(4), unlock: Some(5), per_ms: 250 };
        let per = TimeDelta::milliseconds(250);
        assert_eq!(own.of("CREATE_ACCESS_CODE"), Some((1, per)));
        assert_eq!(own.of("UPDATE_ACCESS_CODE"), Some((2, per)));
        assert_eq!(own.of("DELETE_ACCESS_CODE"), None);
        assert_eq!(own.of("LOCK_DOOR"), Some((4, per)));
        assert_eq!(own.of("UNLOCK_DOOR"), Some((5, per)));
        assert_eq!(own.of("CONVERT_ACCESS_CODE_TO_MANAGED"), None);
        assert_eq!(RateLimits::SEAM.of("DELETE_ACCESS_CODE"), Some((20, TimeDelta::minutes(1))));
    }

    /// Attempts so many milliseconds before now, of which two are taken a minute.
    fn recent(limit: u32, before: &[i64]) -> Recent {
        let made = before.iter().map(|before| at(0) - TimeDelta::milliseconds(*before)).collect();
        Recent::new("CREATE_ACCESS_CODE", (limit, TimeDelta::minutes(1)), at(0), [(DEVICE, made)].into())
    }

    fn retry_after(recent: &Recent) -> Option<(u64, String)> {
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
    fn rate_limit_says_in_whole_seconds_when_there_is_room_again() {
        let again = |text: &str| text.to_owned();
        for (limit, before, expected) in [
            (2, vec![], None),
            (2, vec![0], None),
            (2, vec![0, 20_000], Some((40, again("2026-03-01T00:00:40.000Z")))),
            (2, vec![0, 20_000, 30_000], Some((40, again("2026-03-01T00:00:40.000Z")))),
            (2, vec![0, 19_999], Some((41, again("2026-03-01T00:00:40.001Z")))),
            (2, vec![0, 59_999], Some((1, again("2026-03-01T00:00:00.001Z")))),
            (1, vec![0], Some((60, again("2026-03-01T00:01:00.000Z")))),
            // Its time is just over, and it was read all the same.
            (1, vec![60_000], Some((1, again("2026-03-01T00:00:00.000Z")))),
            (0, vec![0], None),
        ] {
            assert_eq!(retry_after(&recent(limit, &before)), expected, "{limit} {before:?}");
        }
    }

    #[test]
    fn rate_limit_counts_what_is_made_now_on_the_device_alone() {
        let mut limited = recent(2, &[]);
        limited.note(Uuid::max());
        limited.note(Uuid::max());
        limited.note(DEVICE);
        assert_eq!(retry_after(&limited), None);
        limited.note(DEVICE);
        assert_eq!(retry_after(&limited).unwrap().0, 60);
        let mut unlimited = Recent::default();
        unlimited.note(DEVICE);
        assert!(unlimited.of_device.is_empty());
        assert_eq!(retry_after(&unlimited), None);
    }
}
