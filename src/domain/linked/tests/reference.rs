//! Reference implementation of the rules for shared PINs. It is as simple as possible: the common properties of the
//! group are computed again for each lock.

use super::*;
use crate::domain::pin::CodeLengths;

/// Checks that the lock has capacity for one more code throughout the requested period.
pub(super) fn check_capacity(device: &Device, reservations: &Reservations, pin_request: &PinRequest<'_>) -> Result<()> {
    let Some(capacity) = device.capacity() else {
        return Ok(());
    };
    let requested = pin_request.on_lock(device);
    let counted =
        reservations.on(device.device_id).iter().filter(|reservation| reservation.is_managed && reservation.uses_slot);
    let peak = peak(counted.map(|reservation| reservation.slot_period(pin_request.now)), requested);
    if u32::try_from(peak).unwrap_or(u32::MAX) >= capacity {
        return Err(Error::NoSpace { device_id: device.device_id, capacity });
    }
    Ok(())
}

/// Returns the managed code that already uses this PIN and conflicts with the request.
fn taken_by<'a>(
    device: &Device,
    code: &str,
    reservations: &'a Reservations,
    pin_request: &PinRequest<'_>,
) -> Option<&'a Reservation> {
    let period = pin_request.on_lock(device);
    let is_conflict = |reservation: &&Reservation| {
        reservation.is_managed && reservation.code == code && pin_request.conflicts_with(reservation, period)
    };
    reservations.on(device.device_id).iter().find(is_conflict)
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
        None => Some(choose(&sharers, reservations, pin_request, &mut draw).ok_or(Error::NoFreeCode)?),
    };
    let sharing: HashSet<Uuid> = sharers.iter().map(|device| device.device_id).collect();
    let own_request = PinRequest { code: None, ..pin_request.clone() };
    devices
        .iter()
        .map(|device| match &shared {
            Some(code) if sharing.contains(&device.device_id) => Ok(Assigned { code: code.clone(), is_shared: true }),
            _ => choose(&[device], reservations, &own_request, &mut draw)
                .map(|code| Assigned { code, is_shared: false })
                .ok_or(Error::NoFreeCode),
        })
        .collect()
}

/// Returns the reason why a lock cannot join the locks that already share a PIN; `None` if it can.
fn reason_against_sharing(
    device: &Device,
    sharers: &[&Device],
    is_alone: bool,
    reservations: &Reservations,
    pin_request: &PinRequest<'_>,
) -> Option<String> {
    if let Some(code) = pin_request.code {
        return rejection_reason(device, code);
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
        return Some(format!("it accepts codes of {} digits, the others do not", device.code_lengths()));
    }
    // A lock with the rules of the other locks does not reduce the choice by its rules, only by the codes on it.
    let rules = group_rules(&group);
    if lengths.iter().all(|length| rules.count(usize::from(*length)) == 0) {
        return Some("no code satisfies its constraints and those of the others".to_owned());
    }
    let taken = taken_codes(&group, reservations, pin_request);
    let free = lengths.iter().any(|length| rules.choose(usize::from(*length), taken.iter().copied(), |_| 0).is_some());
    (!free).then(|| "no code is free on it and the others".to_owned())
}

fn common_lengths(devices: &[&Device], pin_request: &PinRequest<'_>) -> Vec<u8> {
    let lengths: Vec<CodeLengths> = devices.iter().map(|device| device.code_lengths()).collect();
    pin::lengths_to_try(&lengths, pin_request.preferred_code_length)
}

fn group_rules(devices: &[&Device]) -> PinRules {
    PinRules::new(devices.iter().flat_map(|device| device.digit_rules()))
}

/// Returns the PINs that are not free on at least one of these locks, including those of unmanaged codes.
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

/// Draws a PIN uniformly among those that all locks accept and that are free on all of them: of the preferred length if
/// it is common to all locks and has a free PIN, otherwise of the shortest common length that has one.
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
