//! How often a device takes requests of one kind: Seam's limits, where a tester wants them.
//!
//! Nothing is counted. The action attempts are there already: `store::action_attempts::recent` reads them under the lock of
//! their device, on the workspace's clock. What was refused has no attempt and does not count.

use super::action_attempt::action_type;
use crate::clock::{Instant, to_iso};
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
    now: Instant,
    /// When each was made, the newest first.
    of_device: HashMap<Uuid, Vec<Instant>>,
}

impl Recent {
    /// The attempts of a type that were made on devices up to now, each device's newest first, with what a device takes: so
    /// many within this time.
    pub(crate) fn new(
        action_type: &'static str,
        (limit, per): (u32, TimeDelta),
        now: Instant,
        of_device: HashMap<Uuid, Vec<Instant>>,
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
        let Some(oldest) = limit.checked_sub(1).and_then(|place| made.get(place)) else { return Ok(()) };
        let again_at = oldest.checked_add_signed(per).unwrap_or(Instant::MAX_UTC);
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
