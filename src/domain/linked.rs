//! Which PIN each lock of a request gets: the rules of single and of linked codes, as functions of values.

mod group;
mod reservations;
#[cfg(test)]
mod tests;

pub(crate) use self::reservations::{Period, Reservation, Reservations};

use self::group::Group;
use super::access_code::lifecycle::{JUST_IN_TIME_LEAD, NATIVE_LEAD, Window};
use super::device::Device;
use super::pin::{self, PinRules};
use super::workspace::SameCode;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use std::collections::HashSet;
use uuid::Uuid;

/// What is asked of all locks of a request alike.
#[derive(Clone, Debug)]
pub(crate) struct PinRequest<'a> {
    /// The PIN, where the caller or the group decides it.
    pub code: Option<&'a str>,
    /// The parameter that decides it, for messages.
    pub code_comes_from: &'static str,
    /// The name, for messages.
    pub name: Option<&'a str>,
    /// The time frame.
    pub window: Option<Window>,
    /// The length to try first where the PIN is ours to choose.
    pub preferred_code_length: Option<u8>,
    /// Whether locks that keep schedules themselves should do so.
    pub prefer_native_scheduling: bool,
    /// Whether the lock may have one PIN twice.
    pub same_code: SameCode,
    /// The workspace's time.
    pub now: Timestamp,
}

impl PinRequest<'_> {
    /// A code of any PIN, ongoing, on a lock that keeps the schedule if it can.
    pub(crate) fn at(now: Timestamp) -> Self {
        Self {
            code: None,
            code_comes_from: "code",
            name: None,
            window: None,
            preferred_code_length: None,
            prefer_native_scheduling: true,
            same_code: SameCode::Never,
            now,
        }
    }

    /// From when to when the code would be on this lock.
    fn on_lock(&self, device: &Device) -> Period {
        occupied(self.window, self.prefer_native_scheduling && device.schedules_natively(), self.now)
    }

    /// Whether a code with the same PIN stands in the way of one that is on the lock in this period.
    fn conflicts_with(&self, reservation: &Reservation, period: Period) -> bool {
        let (from, to) = reservation.on_lock(self.now);
        match self.same_code {
            SameCode::Never => true,
            SameCode::InDisjointWindows => from < period.1 && period.0 < to,
        }
    }
}

/// What to do with locks that cannot take the PIN of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenCodeCannotBeShared {
    /// Refuse the request.
    #[default]
    Throw,
    /// Give them PINs of their own.
    CreateRandomCode,
}

/// The PIN of one lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assigned {
    /// The PIN.
    pub code: String,
    /// Whether it is the one that the locks of the request share.
    pub is_shared: bool,
}

/// Refuses a lock that has no place for one more code at some instant of the wished time.
pub(crate) fn check_capacity(device: &Device, reservations: &Reservations, pin_request: &PinRequest<'_>) -> Result<()> {
    let Some(capacity) = device.capacity() else {
        return Ok(());
    };
    let is_full = |codes: usize| u32::try_from(codes).unwrap_or(u32::MAX) >= capacity;
    // Where they all have a place at once, there is nothing to compare.
    if !is_full(reservations.rooms(device.device_id)) {
        return Ok(());
    }
    let others = reservations.on(device.device_id).iter().filter(|reservation| reservation.takes_room());
    if is_full(peak(others.map(|reservation| reservation.occupies(pin_request.now)), pin_request.on_lock(device))) {
        return Err(Error::NoSpace { device_id: device.device_id, capacity });
    }
    Ok(())
}

/// How many of these codes are on their lock at the most crowded instant of a period.
pub(crate) fn peak(codes: impl Iterator<Item = Period>, within: Period) -> usize {
    let overlapping = codes.filter(|(from, to)| *from <= within.1 && within.0 <= *to);
    let (mut starts, mut ends): (Vec<Timestamp>, Vec<Timestamp>) = overlapping.unzip();
    starts.sort_unstable();
    ends.sort_unstable();
    // The most crowded instant is one at which a code comes on.
    let mut gone = 0;
    let crowd = |(index, start): (usize, &Timestamp)| {
        while ends.get(gone).is_some_and(|end| end < start.max(&within.0)) {
            gone += 1;
        }
        index + 1 - gone
    };
    starts.iter().enumerate().map(crowd).max().unwrap_or(0)
}

/// From when to when a code takes a place in the lock's memory: native codes lie there from 72 hours before their
/// start on, and count (Seam's `max_active_codes_supported`).
fn occupied(window: Option<Window>, native: bool, now: Timestamp) -> Period {
    let lead = if native { NATIVE_LEAD } else { JUST_IN_TIME_LEAD };
    window.map_or((Timestamp::MIN_UTC, Timestamp::MAX_UTC), |window| {
        let from = window.starts_at.checked_sub_signed(lead).unwrap_or(Timestamp::MIN_UTC);
        // What has ended and is not gone yet is still there.
        (from, window.ends_at.max(now))
    })
}

/// Why a lock cannot hold a given PIN; `None`: it can, as far as its rules go.
pub(crate) fn broken_rule(device: &Device, code: &str) -> Option<String> {
    if device.provider_chooses_codes() {
        return Some("its provider chooses the code: leave code out".to_owned());
    }
    broken_digits(device, code)
}

/// Why a lock cannot hold a PIN, whoever chose it.
pub(crate) fn broken_digits(device: &Device, code: &str) -> Option<String> {
    let lengths = device.code_lengths();
    if !u8::try_from(code.len()).is_ok_and(|length| lengths.takes(length)) {
        return Some(format!("it takes codes of {lengths} digits"));
    }
    let rules = device.digit_rules();
    rules.into_iter().find(|rule| !rule.allows(code)).map(|rule| rule.explain().to_owned())
}

/// The managed code that has this PIN already and stands in the way of one more.
fn taken_by<'a>(
    device: &Device,
    code: &str,
    reservations: &'a Reservations,
    pin_request: &PinRequest<'_>,
) -> Option<&'a Reservation> {
    let period = pin_request.on_lock(device);
    let is_in_the_way =
        |reservation: &&Reservation| reservation.is_managed && pin_request.conflicts_with(reservation, period);
    reservations.with_code(device.device_id, code).find(is_in_the_way)
}

/// The PIN for one lock.
///
/// # Errors
/// `invalid_input` for a PIN the lock cannot hold, 409 `duplicate_access_code` for one that a managed code on it has
/// already, `no_code_left` where it is ours to choose and none is free.
pub(crate) fn assign_one(
    device: &Device,
    reservations: &Reservations,
    pin_request: &PinRequest<'_>,
    draw: impl FnMut(u64) -> u64,
) -> Result<String> {
    let Some(code) = pin_request.code else {
        return choose(device, reservations, pin_request, draw).ok_or(Error::NoCodeLeft);
    };
    if let Some(reason) = broken_rule(device, code) {
        return Err(Error::invalid(pin_request.code_comes_from, format!("The device cannot hold this code: {reason}")));
    }
    check_not_taken(device, reservations, pin_request)?;
    Ok(code.to_owned())
}

/// Refuses a given PIN that a managed code on the lock has already.
pub(crate) fn check_not_taken(
    device: &Device,
    reservations: &Reservations,
    pin_request: &PinRequest<'_>,
) -> Result<()> {
    match pin_request.code {
        Some(code) => taken_by(device, code, reservations, pin_request)
            .map_or(Ok(()), |other| Err(duplicate(code, pin_request, other))),
        None => Ok(()),
    }
}

fn duplicate(code: &str, pin_request: &PinRequest<'_>, other: &Reservation) -> Error {
    let is_disjoint = !Window::overlap(other.window, pin_request.window);
    let hint = if pin_request.code_comes_from == "common_code_key" {
        "Codes with one common_code_key have one PIN, and an access code on this device has it already: use another \
         common_code_key, or delete that one first"
    } else if pin_request.same_code == SameCode::InDisjointWindows && is_disjoint {
        "The time frames do not overlap, but the access codes would be on the device at the same time"
    } else if is_disjoint {
        "An access code on this device has it in another time frame; the workspace's setting \
         allow_same_code_in_disjoint_windows allows that"
    } else {
        ""
    };
    Error::DuplicateAccessCode {
        code: code.to_owned(),
        name: pin_request.name.map(str::to_owned),
        period: pin_request.window.map(Window::ends),
        access_code_id: other.access_code_id,
        hint,
    }
}

/// The PINs for several locks, in their order: one for all, as far as they can share it.
///
/// Without a given PIN the locks are taken in their order, and one that leaves no PIN for those before it and
/// itself cannot share. `draw` draws from `0..bound`.
///
/// # Errors
/// [`Error::CodeCannotBeShared`] if some cannot and `behavior` is to refuse, [`Error::DuplicateAccessCode`] if a
/// given PIN is taken on one that could hold it, [`Error::NoCodeLeft`] if a lock has no PIN left at all.
pub(crate) fn assign_many(
    devices: &[&Device],
    reservations: &Reservations,
    pin_request: &PinRequest<'_>,
    behavior: WhenCodeCannotBeShared,
    mut draw: impl FnMut(u64) -> u64,
) -> Result<Vec<Assigned>> {
    let mut sharers: Vec<&Device> = Vec::with_capacity(devices.len());
    let mut unable = Vec::new();
    let mut group = Group::new(pin_request);
    for device in devices {
        let joined = match pin_request.code {
            Some(code) => broken_rule(device, code).map_or(Ok(()), Err),
            None if devices.len() == 1 => {
                group.take_in(device, reservations, pin_request);
                Ok(())
            }
            None => group.join(device, reservations, pin_request),
        };
        match joined {
            Ok(()) => sharers.push(device),
            Err(reason) => unable.push((device.device_id, reason)),
        }
    }
    if behavior == WhenCodeCannotBeShared::Throw {
        if unable.is_empty() {
            sharers.iter().try_for_each(|device| check_not_taken(device, reservations, pin_request))?;
        }
        if !unable.is_empty() {
            return Err(Error::CodeCannotBeShared(unable));
        }
    } else if let Some(code) = pin_request.code {
        sharers.retain(|device| taken_by(device, code, reservations, pin_request).is_none());
    }
    let shared = match pin_request.code {
        _ if sharers.is_empty() => None,
        Some(code) => Some(code.to_owned()),
        None => Some(group.choose(&mut draw).ok_or(Error::NoCodeLeft)?),
    };
    let sharing: HashSet<Uuid> = sharers.iter().map(|device| device.device_id).collect();
    let own = PinRequest { code: None, ..pin_request.clone() };
    devices
        .iter()
        .map(|device| match &shared {
            Some(code) if sharing.contains(&device.device_id) => Ok(Assigned { code: code.clone(), is_shared: true }),
            _ => choose(device, reservations, &own, &mut draw)
                .map(|code| Assigned { code, is_shared: false })
                .ok_or(Error::NoCodeLeft),
        })
        .collect()
}

/// The PINs that are not free on a lock, unmanaged codes' too.
fn taken_codes<'a>(
    device: &Device,
    reservations: &'a Reservations,
    pin_request: &PinRequest<'_>,
) -> impl Iterator<Item = &'a str> {
    let period = pin_request.on_lock(device);
    let reservations = reservations.on(device.device_id).iter();
    reservations
        .filter(move |reservation| pin_request.conflicts_with(reservation, period))
        .map(|reservation| reservation.code.as_str())
}

/// A PIN drawn uniformly among those that a lock can hold and that are free on it: of the preferred length if it takes
/// that, else of the shortest one that has any left.
fn choose(
    device: &Device,
    reservations: &Reservations,
    pin_request: &PinRequest<'_>,
    mut draw: impl FnMut(u64) -> u64,
) -> Option<String> {
    let rules = PinRules::new(device.digit_rules());
    pin::lengths_to_try(&[device.code_lengths()], pin_request.preferred_code_length)
        .into_iter()
        .find_map(|length| rules.choose(usize::from(length), taken_codes(device, reservations, pin_request), &mut draw))
}
