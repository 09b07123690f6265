//! The codes that stand in the way of new ones, by lock and by PIN.

use super::occupied;
use crate::clock::Timestamp;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{LockCode, Window};
use std::collections::HashMap;
use uuid::Uuid;

/// A code that a lock already has to hold: its PIN is taken for that time, and it needs a place in the memory.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Reservation {
    /// The code.
    pub access_code_id: Uuid,
    /// The lock.
    pub device_id: Uuid,
    /// The PIN.
    pub code: String,
    /// When it counts.
    pub window: Option<Window>,
    /// Whether the lock keeps its schedule itself.
    pub is_natively_scheduled: bool,
    /// Whether it is ours. What somebody else put on the lock may clash: that shows when ours is programmed.
    pub is_managed: bool,
    /// Whether it takes a place in the memory of its own.
    pub needs_room: bool,
    /// Whether it is a backup code that waits in its pool.
    pub is_in_pool: bool,
    /// Whether it is deleted or has ended, and the lock has not let go of it: nobody knows when it will.
    pub is_being_removed: bool,
}

/// From when to when a code is on its lock, both ends included.
pub(crate) type Period = (Timestamp, Timestamp);

impl Reservation {
    /// When the code is on its lock, as far as that can be known.
    pub(super) fn on_lock(&self, now: Timestamp) -> Period {
        if self.is_being_removed {
            return (Timestamp::MIN_UTC, Timestamp::MAX_UTC);
        }
        self.occupies(now)
    }

    /// When it takes a place in the lock's memory.
    pub(crate) fn occupies(&self, now: Timestamp) -> Period {
        occupied(self.window, self.is_natively_scheduled, now)
    }

    /// Whether it counts against the capacity of the lock.
    pub(crate) fn takes_room(&self) -> bool {
        self.is_managed && self.needs_room
    }
}

/// The reservations that matter to a request or to several, by lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reservations(HashMap<Uuid, OnLock>);

/// The reservations on one lock, in the order in which they were added.
#[derive(Clone, Debug, Default)]
struct OnLock {
    reservations: Vec<Reservation>,
    /// The places of those with each PIN, ascending.
    by_code: HashMap<String, Vec<usize>>,
    /// How many of them are ours and take a place in the memory, whenever that is.
    rooms: usize,
}

impl OnLock {
    fn add(&mut self, reservation: Reservation) {
        self.by_code.entry(reservation.code.clone()).or_default().push(self.reservations.len());
        self.rooms += usize::from(reservation.takes_room());
        self.reservations.push(reservation);
    }

    fn remove(&mut self, access_code_id: Uuid) {
        while let Some(index) =
            self.reservations.iter().position(|reservation| reservation.access_code_id == access_code_id)
        {
            let reservation = self.reservations.remove(index);
            self.rooms -= usize::from(reservation.takes_room());
            self.by_code.retain(|_, places| {
                places.retain(|other| *other != index);
                places.iter_mut().filter(|other| **other > index).for_each(|other| *other -= 1);
                !places.is_empty()
            });
        }
    }
}

impl Reservations {
    /// Adds a reservation.
    pub(crate) fn add(&mut self, reservation: Reservation) {
        self.0.entry(reservation.device_id).or_default().add(reservation);
    }

    /// Adds what a code reserves: what is asked for and, where that differs, what the lock holds.
    pub(crate) fn add_code(&mut self, code: &AccessCode) {
        let state = &code.state;
        let reservation = |entry: &LockCode, needs_room| Reservation {
            access_code_id: code.access_code_id,
            device_id: code.device_id,
            code: entry.code.clone(),
            window: entry.window,
            is_natively_scheduled: state.is_natively_scheduled,
            is_managed: state.is_managed,
            needs_room,
            is_in_pool: code.pool_device_id.is_some(),
            is_being_removed: state.removing_since().is_some() && state.held.is_some(),
        };
        // A backup that did not find room takes none from guests.
        self.add(reservation(&state.asked, !state.is_backup || state.held.is_some()));
        if let Some(held) = state.held.as_ref().filter(|held| **held != state.asked) {
            self.add(reservation(held, false));
        }
    }

    /// Takes away those of one code.
    pub(crate) fn remove(&mut self, device_id: Uuid, access_code_id: Uuid) {
        if let Some(lock) = self.0.get_mut(&device_id) {
            lock.remove(access_code_id);
        }
    }

    /// Those on one lock.
    pub(crate) fn on(&self, device_id: Uuid) -> &[Reservation] {
        self.0.get(&device_id).map_or(&[], |lock| &lock.reservations)
    }

    /// Those on one lock that have this PIN, without a look at the others.
    pub(crate) fn with_code(&self, device_id: Uuid, code: &str) -> impl Iterator<Item = &Reservation> {
        let lock = self.0.get(&device_id);
        let places = lock.and_then(|lock| lock.by_code.get(code)).into_iter().flatten();
        places.filter_map(move |index| lock?.reservations.get(*index))
    }

    /// How many managed codes take a place in the memory of one lock at any time. At no instant there are more.
    pub(crate) fn rooms(&self, device_id: Uuid) -> usize {
        self.0.get(&device_id).map_or(0, |lock| lock.rooms)
    }
}

impl FromIterator<Reservation> for Reservations {
    fn from_iter<I: IntoIterator<Item = Reservation>>(all: I) -> Self {
        let mut reservations = Self::default();
        all.into_iter().for_each(|reservation| reservations.add(reservation));
        reservations
    }
}
