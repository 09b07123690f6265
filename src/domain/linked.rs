//! Assignment of PINs to the locks of a request, for single and for linked codes. Pure functions.

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

/// Parameters of a request that apply to all its locks.
#[derive(Clone, Debug)]
pub(crate) struct PinRequest<'a> {
    /// PIN set by the caller or by the existing linked codes; `None`: Latchkey chooses it.
    pub code: Option<&'a str>,
    /// Name of the parameter that sets the PIN, for error messages.
    pub code_comes_from: &'static str,
    /// Name of the access code, for error messages.
    pub name: Option<&'a str>,
    /// Time frame; `None` for an ongoing code.
    pub window: Option<Window>,
    /// PIN length to try first if Latchkey chooses the PIN.
    pub preferred_code_length: Option<u8>,
    /// True if locks with native scheduling should use it.
    pub prefer_native_scheduling: bool,
    /// Rule for codes with the same PIN on one lock.
    pub same_code: SameCode,
    /// True if another PIN is chosen instead of a requested one that an unmanaged code has.
    pub avoids_unmanaged: bool,
    /// Current time of the workspace.
    pub now: Timestamp,
}

impl PinRequest<'_> {
    /// Returns the default parameters at this time: an ongoing code whose PIN Latchkey chooses. Callers replace fields.
    /// If they set a time frame, native scheduling is used where the lock supports it.
    pub(crate) fn at(now: Timestamp) -> Self {
        Self {
            code: None,
            code_comes_from: "code",
            name: None,
            window: None,
            preferred_code_length: None,
            prefer_native_scheduling: true,
            same_code: SameCode::Never,
            avoids_unmanaged: false,
            now,
        }
    }

    /// Returns the period in which the code would be on this lock.
    fn on_lock(&self, device: &Device) -> Period {
        occupied(self.window, self.prefer_native_scheduling && device.schedules_natively(), self.now)
    }

    /// Returns true if `reservation`, with the same PIN, conflicts with a code that is on the lock in `period`. Periods
    /// that only touch do not conflict: at one instant, a lock removes codes before it programs others.
    fn conflicts_with(&self, reservation: &Reservation, period: Period) -> bool {
        let (from, to) = reservation.on_lock(self.now);
        match self.same_code {
            SameCode::Never => true,
            SameCode::InDisjointWindows => from < period.1 && period.0 < to,
        }
    }
}

/// Handling of locks that cannot use the shared PIN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenCodeCannotBeShared {
    /// Reject the request.
    #[default]
    Throw,
    /// Assign separate PINs to these locks.
    CreateRandomCode,
}

/// PIN assigned to one lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub code: String,
    /// True if it is the PIN shared by the locks of the request.
    pub is_shared: bool,
}

/// Checks that the lock has capacity for one more code throughout the requested period.
///
/// # Errors
/// [`Error::NoSpace`] if the lock is full at any instant of that period.
pub(crate) fn check_capacity(device: &Device, reservations: &Reservations, pin_request: &PinRequest<'_>) -> Result<()> {
    let Some(capacity) = device.capacity() else {
        return Ok(());
    };
    let is_full = |codes: usize| u32::try_from(codes).unwrap_or(u32::MAX) >= capacity;
    // If all codes fit on the lock at the same time, their periods need not be compared.
    if !is_full(reservations.used_slot_count(device.device_id)) {
        return Ok(());
    }
    let counted = reservations.on(device.device_id).iter().filter(|reservation| reservation.counts_against_capacity());
    if is_full(peak(counted.map(|reservation| reservation.slot_period(pin_request.now)), pin_request.on_lock(device))) {
        return Err(Error::NoSpace { device_id: device.device_id, capacity });
    }
    Ok(())
}

/// Returns the largest number of these codes that are on their lock at the same instant, within a period.
pub(crate) fn peak(codes: impl Iterator<Item = Period>, within: Period) -> usize {
    let overlapping = codes.filter(|(from, to)| *from <= within.1 && within.0 <= *to);
    let (mut starts, mut ends): (Vec<Timestamp>, Vec<Timestamp>) = overlapping.unzip();
    starts.sort_unstable();
    ends.sort_unstable();
    // The maximum is reached at an instant at which a period starts, or at the start of `within`. At each of them,
    // count the periods that have started, without the `ended` ones.
    let mut ended = 0;
    let count_at = |(index, start): (usize, &Timestamp)| {
        while ends.get(ended).is_some_and(|end| end < start.max(&within.0)) {
            ended += 1;
        }
        index + 1 - ended
    };
    starts.iter().enumerate().map(count_at).max().unwrap_or(0)
}

/// Returns the period in which a code uses a slot in the lock's memory; all time for an ongoing code. A natively
/// scheduled code is in the memory from 72 hours before its start, any other code from 60 minutes before. It counts
/// from then on (Seam's `max_active_codes_supported`).
fn occupied(window: Option<Window>, native: bool, now: Timestamp) -> Period {
    let lead = if native { NATIVE_LEAD } else { JUST_IN_TIME_LEAD };
    window.map_or((Timestamp::MIN_UTC, Timestamp::MAX_UTC), |window| {
        let from = window.starts_at.checked_sub_signed(lead).unwrap_or(Timestamp::MIN_UTC);
        // A code that has ended but is not removed yet is still on the lock.
        (from, window.ends_at.max(now))
    })
}

/// Returns the reason why a lock cannot store a PIN set by the caller; `None` if the lock's rules allow it.
pub(crate) fn rejection_reason(device: &Device, code: &str) -> Option<String> {
    if device.provider_chooses_codes() {
        return Some("its provider chooses the code: omit code".to_owned());
    }
    digits_rejection_reason(device, code)
}

/// Returns the reason why a lock cannot store a PIN, regardless of who chose it. `None` if its length and digits are
/// allowed.
pub(crate) fn digits_rejection_reason(device: &Device, code: &str) -> Option<String> {
    let lengths = device.code_lengths();
    if !u8::try_from(code.len()).is_ok_and(|length| lengths.accepts(length)) {
        return Some(format!("it accepts codes of {lengths} digits"));
    }
    let rules = device.digit_rules();
    rules.into_iter().find(|rule| !rule.allows(code)).map(|rule| rule.explain().to_owned())
}

/// Returns the code that already uses this PIN and conflicts with the request: a managed one, or also an unmanaged one
/// with [`PinRequest::avoids_unmanaged`].
fn taken_by<'a>(
    device: &Device,
    code: &str,
    reservations: &'a Reservations,
    pin_request: &PinRequest<'_>,
) -> Option<&'a Reservation> {
    let period = pin_request.on_lock(device);
    let is_conflict = |reservation: &&Reservation| {
        let counts = reservation.is_managed || pin_request.avoids_unmanaged;
        counts && pin_request.conflicts_with(reservation, period)
    };
    reservations.with_code(device.device_id, code).find(is_conflict)
}

/// Returns the PIN for one lock: the requested one, or one that is drawn.
///
/// # Errors
/// `invalid_input` for a PIN that the lock cannot store, 409 `duplicate_access_code` for a PIN that a managed code on
/// the lock already uses, `no_code_left` if Latchkey has to choose the PIN and none is free.
pub(crate) fn assign_one(
    device: &Device,
    reservations: &Reservations,
    pin_request: &PinRequest<'_>,
    draw: impl FnMut(u64) -> u64,
) -> Result<String> {
    let Some(code) = pin_request.code else {
        return choose(device, reservations, pin_request, draw).ok_or(Error::NoFreeCode);
    };
    if let Some(reason) = rejection_reason(device, code) {
        return Err(Error::invalid(pin_request.code_comes_from, format!("The device cannot hold this code: {reason}")));
    }
    check_not_taken(device, reservations, pin_request)?;
    Ok(code.to_owned())
}

/// Checks that no managed code on the lock already uses the requested PIN.
///
/// # Errors
/// [`Error::DuplicateAccessCode`] if one does.
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
        "Access codes with one common_code_key share one PIN, and another access code on this device already has it: \
         use another common_code_key, or delete that access code first"
    } else if pin_request.same_code == SameCode::InDisjointWindows && is_disjoint {
        "The time frames do not overlap, but the access codes would be on the device at the same time"
    } else if is_disjoint {
        "Another access code on this device has this PIN in another time frame. The workspace setting \
         allow_same_code_in_disjoint_windows allows that"
    } else {
        ""
    };
    Error::DuplicateAccessCode {
        code: code.to_owned(),
        name: pin_request.name.map(str::to_owned),
        period: pin_request.window.map(Window::bounds),
        access_code_id: other.access_code_id,
        hint,
    }
}

/// Returns the PINs for several locks, in the order of the locks: one shared PIN for all locks that can use it.
///
/// If the request sets no PIN, the locks join the group in their order. A lock with which no PIN would be free for the
/// whole group does not join and cannot share. `draw` receives a bound and returns a number from `0..bound`.
///
/// # Errors
/// With [`WhenCodeCannotBeShared::Throw`], [`Error::CodeCannotBeShared`] if a lock cannot share the PIN, and
/// [`Error::DuplicateAccessCode`] if all locks can store the requested PIN but it is taken on one of them.
/// [`Error::NoFreeCode`] if no PIN is free on a lock.
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
            Some(code) => rejection_reason(device, code).map_or(Ok(()), Err),
            None if devices.len() == 1 => {
                group.add_unchecked(device, reservations, pin_request);
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
        None => Some(group.choose(&mut draw).ok_or(Error::NoFreeCode)?),
    };
    let sharing: HashSet<Uuid> = sharers.iter().map(|device| device.device_id).collect();
    let own_request = PinRequest { code: None, ..pin_request.clone() };
    devices
        .iter()
        .map(|device| match &shared {
            Some(code) if sharing.contains(&device.device_id) => Ok(Assigned { code: code.clone(), is_shared: true }),
            _ => choose(device, reservations, &own_request, &mut draw)
                .map(|code| Assigned { code, is_shared: false })
                .ok_or(Error::NoFreeCode),
        })
        .collect()
}

/// Returns the PINs that are not free on a lock, including those of unmanaged codes.
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

/// Draws a PIN uniformly among those that the lock accepts and that are free on it. Lengths are tried in the order of
/// [`pin::lengths_to_try`]; the first one with a free PIN is used.
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
