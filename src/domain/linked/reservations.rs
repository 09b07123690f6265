//! Reservations: existing codes that may conflict with new ones, indexed by lock and by PIN.

use super::occupied;
use crate::clock::Timestamp;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{LockCode, Window};
use std::collections::HashMap;
use uuid::Uuid;

/// An existing code of a lock. Its PIN is taken during its period, and it may use a slot in the lock's memory.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Reservation {
    pub access_code_id: Uuid,
    pub device_id: Uuid,
    /// PIN of the code.
    pub code: String,
    /// Time frame; `None` for an ongoing code.
    pub window: Option<Window>,
    /// True if the lock enforces the time frame itself (native scheduling).
    pub is_natively_scheduled: bool,
    /// False for unmanaged codes. An unmanaged code may have the same PIN as a managed one: the conflict is detected
    /// only when the managed code is programmed.
    pub is_managed: bool,
    /// True if the reservation uses a slot in the lock's memory. If a code has two reservations, only the one for the
    /// requested state can use a slot: the lock replaces the stored entry.
    pub uses_slot: bool,
    /// True for a backup code that is in its backup pool.
    pub is_in_pool: bool,
    /// True if the code is deleted or has ended but is still on the lock. It is unknown when the lock will remove it.
    pub is_being_removed: bool,
}

/// Period in which a code is on its lock, both ends included.
pub(crate) type Period = (Timestamp, Timestamp);

impl Reservation {
    /// Returns the period in which the code is on its lock; all time if it is being removed.
    pub(super) fn on_lock(&self, now: Timestamp) -> Period {
        if self.is_being_removed {
            return (Timestamp::MIN_UTC, Timestamp::MAX_UTC);
        }
        self.slot_period(now)
    }

    /// Returns the period in which the code uses a slot in the lock's memory. Unlike [`Self::on_lock`], it assumes that
    /// the lock removes the code when its time frame ends, or now if it has already ended.
    pub(crate) fn slot_period(&self, now: Timestamp) -> Period {
        occupied(self.window, self.is_natively_scheduled, now)
    }

    /// Returns true if the code counts against the capacity of the lock.
    pub(crate) fn counts_against_capacity(&self) -> bool {
        self.is_managed && self.uses_slot
    }
}

/// Reservations that are relevant to one or more requests, by lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reservations(HashMap<Uuid, LockReservations>);

/// Reservations on one lock, in the order in which they were added.
#[derive(Clone, Debug, Default)]
struct LockReservations {
    reservations: Vec<Reservation>,
    /// Indexes into `reservations` by PIN, ascending.
    by_code: HashMap<String, Vec<usize>>,
    /// Number of reservations that count against the capacity, in any period.
    used_slots: usize,
}

impl LockReservations {
    fn add(&mut self, reservation: Reservation) {
        self.by_code.entry(reservation.code.clone()).or_default().push(self.reservations.len());
        self.used_slots += usize::from(reservation.counts_against_capacity());
        self.reservations.push(reservation);
    }

    fn remove(&mut self, access_code_id: Uuid) {
        while let Some(index) =
            self.reservations.iter().position(|reservation| reservation.access_code_id == access_code_id)
        {
            let reservation = self.reservations.remove(index);
            self.used_slots -= usize::from(reservation.counts_against_capacity());
            self.by_code.retain(|_, indexes| {
                indexes.retain(|other| *other != index);
                indexes.iter_mut().filter(|other| **other > index).for_each(|other| *other -= 1);
                !indexes.is_empty()
            });
        }
    }
}

impl Reservations {
    pub(crate) fn add(&mut self, reservation: Reservation) {
        self.0.entry(reservation.device_id).or_default().add(reservation);
    }

    /// Adds the reservations of a code: one for the requested state and, if it differs, one for the code stored on the
    /// lock.
    pub(crate) fn add_code(&mut self, code: &AccessCode) {
        let state = &code.state;
        let reservation = |entry: &LockCode, uses_slot| Reservation {
            access_code_id: code.access_code_id,
            device_id: code.device_id,
            code: entry.code.clone(),
            window: entry.window,
            is_natively_scheduled: state.is_natively_scheduled,
            is_managed: state.is_managed,
            uses_slot,
            is_in_pool: code.pool_device_id.is_some(),
            is_being_removed: state.removing_since().is_some() && state.held.is_some(),
        };
        // A backup code that is not on the lock does not reduce the capacity for other codes.
        self.add(reservation(&state.requested, !state.is_backup || state.held.is_some()));
        if let Some(held) = state.held.as_ref().filter(|held| **held != state.requested) {
            self.add(reservation(held, false));
        }
    }

    /// Removes all reservations of one code.
    pub(crate) fn remove(&mut self, device_id: Uuid, access_code_id: Uuid) {
        if let Some(lock) = self.0.get_mut(&device_id) {
            lock.remove(access_code_id);
        }
    }

    /// Returns the reservations on one lock.
    pub(crate) fn on(&self, device_id: Uuid) -> &[Reservation] {
        self.0.get(&device_id).map_or(&[], |lock| &lock.reservations)
    }

    /// Returns the reservations on one lock that have this PIN. Uses the index by PIN.
    pub(crate) fn with_code(&self, device_id: Uuid, code: &str) -> impl Iterator<Item = &Reservation> {
        let lock = self.0.get(&device_id);
        let indexes = lock.and_then(|lock| lock.by_code.get(code)).into_iter().flatten();
        indexes.filter_map(move |index| lock?.reservations.get(*index))
    }

    /// Returns the number of managed codes that use a slot in the lock's memory, regardless of their periods: an upper
    /// bound for every instant.
    pub(crate) fn used_slot_count(&self, device_id: Uuid) -> usize {
        self.0.get(&device_id).map_or(0, |lock| lock.used_slots)
    }
}

impl FromIterator<Reservation> for Reservations {
    fn from_iter<I: IntoIterator<Item = Reservation>>(items: I) -> Self {
        let mut reservations = Self::default();
        items.into_iter().for_each(|reservation| reservations.add(reservation));
        reservations
    }
}
