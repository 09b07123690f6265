//! The rules of shared PINs in the plainest words: what a group has in common is found anew for each lock.

use super::*;
use crate::domain::pin::CodeLengths;

/// Refuses a lock that has no place for one more code at some instant of the wished time.
pub(super) fn check_capacity(device: &Device, reservations: &Reservations, pin_request: &PinRequest<'_>) -> Result<()> {
    let Some(capacity) = device.capacity() else {
        return Ok(());
    };
    let wanted = pin_request.on_lock(device);
    let others =
        reservations.on(device.device_id).iter().filter(|reservation| reservation.is_managed && reservation.needs_room);
    let peak = peak(others.map(|reservation| reservation.occupies(pin_request.now)), wanted);
    if u32::try_from(peak).unwrap_or(u32::MAX) >= capacity {
        return Err(Error::NoSpace { device_id: device.device_id, capacity });
    }
    Ok(())
}

/// The managed code that has this PIN already and stands in the way of one more.
fn taken_by<'a>(
    device: &Device,
    code: &str,
    reservations: &'a Reservations,
    pin_request: &PinRequest<'_>,
) -> Option<&'a Reservation> {
    let period = pin_request.on_lock(device);
    let has_it = |reservation: &&Reservation| {
        reservation.is_managed && reservation.code == code && pin_request.conflicts_with(reservation, period)
    };
    reservations.on(device.device_id).iter().find(has_it)
}

pub(super) fn assign_many(
    devices: &[&Device],
    reservations: &Reservations,
    pin_request: &PinRequest<'_>,
    behavior: WhenCodeCannotBeShared,
    mut draw: impl FnMut(u64) -> u64,
) -> Result<Vec<Assigned>> {
    let mut sharers: Vec<&Device> = Vec::with_capacity(devices.len());
    let mut unable = Vec::new();
    for device in devices {
        match reason_against_sharing(device, &sharers, devices.len() == 1, reservations, pin_request) {
            None => sharers.push(device),
            Some(reason) => unable.push((device.device_id, reason)),
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
        None => Some(choose(&sharers, reservations, pin_request, &mut draw).ok_or(Error::NoCodeLeft)?),
    };
    let sharing: HashSet<Uuid> = sharers.iter().map(|device| device.device_id).collect();
    let own = PinRequest { code: None, ..pin_request.clone() };
    devices
        .iter()
        .map(|device| match &shared {
            Some(code) if sharing.contains(&device.device_id) => Ok(Assigned { code: code.clone(), is_shared: true }),
            _ => choose(&[device], reservations, &own, &mut draw)
                .map(|code| Assigned { code, is_shared: false })
                .ok_or(Error::NoCodeLeft),
        })
        .collect()
}

/// Why a lock cannot join those that share already; `None`: it can.
fn reason_against_sharing(
    device: &Device,
    sharers: &[&Device],
    is_alone: bool,
    reservations: &Reservations,
    pin_request: &PinRequest<'_>,
) -> Option<String> {
    if let Some(code) = pin_request.code {
        return broken_rule(device, code);
    }
    if is_alone {
        return None;
    }
    if device.provider_chooses_codes() {
        return Some("its provider chooses the code".to_owned());
    }
    let group: Vec<&Device> = sharers.iter().copied().chain([device]).collect();
    let lengths = common_lengths(&group, pin_request);
    if lengths.is_empty() {
        return Some(format!("it takes codes of {} digits, which the others do not", device.code_lengths()));
    }
    // Locks alike in their rules as the others cannot narrow the choice by rules; only what they hold can.
    let rules = group_rules(&group);
    if lengths.iter().all(|length| rules.count(usize::from(*length)) == 0) {
        return Some("no code satisfies its constraints and those of the others".to_owned());
    }
    let taken = taken_codes(&group, reservations, pin_request);
    let free = lengths.iter().any(|length| rules.choose(usize::from(*length), taken.iter().copied(), |_| 0).is_some());
    (!free).then(|| "no code is free on it and on the others".to_owned())
}

fn common_lengths(devices: &[&Device], pin_request: &PinRequest<'_>) -> Vec<u8> {
    let lengths: Vec<CodeLengths> = devices.iter().map(|device| device.code_lengths()).collect();
    pin::lengths_to_try(&lengths, pin_request.preferred_code_length)
}

fn group_rules(devices: &[&Device]) -> PinRules {
    PinRules::new(devices.iter().flat_map(|device| device.digit_rules()))
}

/// The PINs that are not free on one of these locks, unmanaged codes' too.
fn taken_codes<'a>(devices: &[&Device], reservations: &'a Reservations, pin_request: &PinRequest<'_>) -> Vec<&'a str> {
    let on_device = |device: &&Device| {
        let period = pin_request.on_lock(device);
        reservations
            .on(device.device_id)
            .iter()
            .filter(move |reservation| pin_request.conflicts_with(reservation, period))
    };
    devices.iter().flat_map(on_device).map(|reservation| reservation.code.as_str()).collect()
}

/// A PIN drawn uniformly among those all these locks can hold and that is free on all of them: of the preferred length if they share it, else of the shortest one they share that has any left.
fn choose(
    devices: &[&Device],
    reservations: &Reservations,
    pin_request: &PinRequest<'_>,
    mut draw: impl FnMut(u64) -> u64,
) -> Option<String> {
    let rules = group_rules(devices);
    let taken = taken_codes(devices, reservations, pin_request);
    common_lengths(devices, pin_request)
        .into_iter()
        .find_map(|length| rules.choose(usize::from(length), taken.iter().copied(), &mut draw))
}
