//! Which PIN each lock of a request gets: the rules of single and of linked codes, as functions of values.

use super::lifecycle::{Entry, JUST_IN_TIME_LEAD, NATIVE_LEAD, Window};
use super::model::AccessCode;
use super::pin::{self, CodeLengths, PinRules};
use crate::clock::Instant;
use crate::devices::model::Device;
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A code that a lock already has to hold: its PIN is taken for that time, and it needs a place in the memory.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Claim {
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
pub type Period = (Instant, Instant);

impl Claim {
    /// When the code is on its lock, as far as that can be known.
    fn on_lock(&self, now: Instant) -> Period {
        if self.is_being_removed {
            return (Instant::MIN_UTC, Instant::MAX_UTC);
        }
        self.occupies(now)
    }

    /// When it takes a place in the lock's memory.
    pub fn occupies(&self, now: Instant) -> Period {
        occupied(self.window, self.is_natively_scheduled, now)
    }
}

/// The claims that matter to a request or to several, by lock.
#[derive(Clone, Debug, Default)]
pub struct Claims(HashMap<Uuid, Vec<Claim>>);

impl Claims {
    /// Adds a claim.
    pub fn add(&mut self, claim: Claim) {
        self.0.entry(claim.device_id).or_default().push(claim);
    }

    /// Adds what a code claims: what is asked for and, where that differs, what the lock holds.
    pub fn add_life(&mut self, code: &AccessCode) {
        let life = &code.life;
        let claim = |entry: &Entry, needs_room| Claim {
            access_code_id: code.access_code_id,
            device_id: code.device_id,
            code: entry.code.clone(),
            window: entry.window,
            is_natively_scheduled: life.is_natively_scheduled,
            is_managed: life.is_managed,
            needs_room,
            is_in_pool: code.pool_device_id.is_some(),
            is_being_removed: life.removing_since().is_some() && life.held.is_some(),
        };
        // A backup that did not find room takes none from guests.
        self.add(claim(&life.asked, !life.is_backup || life.held.is_some()));
        if let Some(held) = life.held.as_ref().filter(|held| **held != life.asked) {
            self.add(claim(held, false));
        }
    }

    /// Takes away those of one code.
    pub fn remove(&mut self, device_id: Uuid, access_code_id: Uuid) {
        if let Some(claims) = self.0.get_mut(&device_id) {
            claims.retain(|claim| claim.access_code_id != access_code_id);
        }
    }

    /// Those on one lock.
    pub fn on(&self, device_id: Uuid) -> &[Claim] {
        self.0.get(&device_id).map_or(&[], Vec::as_slice)
    }
}

impl FromIterator<Claim> for Claims {
    fn from_iter<I: IntoIterator<Item = Claim>>(all: I) -> Self {
        let mut claims = Self::default();
        all.into_iter().for_each(|claim| claims.add(claim));
        claims
    }
}

/// What is asked of all locks of a request alike.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
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
    pub now: Instant,
}

impl Wish<'_> {
    /// A code of any PIN, ongoing, on a lock that keeps the schedule if it can.
    pub fn at(now: Instant) -> Self {
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
    fn conflicts_with(&self, claim: &Claim, period: Period) -> bool {
        let (from, to) = claim.on_lock(self.now);
        match self.same_code {
            SameCode::Never => true,
            SameCode::InDisjointWindows => from < period.1 && period.0 < to,
        }
    }
}

/// Whether managed codes on one lock may have the same PIN (access-codes-api, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameCode {
    /// A PIN is taken, whatever the time frame, until its code is gone.
    Never,
    /// A PIN is taken while its code is on the lock: from 72 hours or 60 minutes before its start until it is off.
    InDisjointWindows,
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
pub struct Assigned {
    /// The PIN.
    pub code: String,
    /// Whether it is the one that the locks of the request share.
    pub is_shared: bool,
}

/// Refuses a lock that has no place for one more code at some instant of the wished time.
pub fn check_capacity(device: &Device, claims: &Claims, wish: &Wish<'_>) -> Result<()> {
    let Some(capacity) = device.capacity() else {
        return Ok(());
    };
    let wanted = wish.on_lock(device);
    let others = claims.on(device.device_id).iter().filter(|claim| claim.is_managed && claim.needs_room);
    let peak = peak(others.map(|claim| claim.occupies(wish.now)), wanted);
    if u32::try_from(peak).unwrap_or(u32::MAX) >= capacity {
        return Err(Error::NoSpace { device_id: device.device_id, capacity });
    }
    Ok(())
}

/// How many of these codes are on their lock at the most crowded instant of a period.
pub fn peak(codes: impl Iterator<Item = Period>, within: Period) -> usize {
    let overlapping = codes.filter(|(from, to)| *from <= within.1 && within.0 <= *to);
    let (mut starts, mut ends): (Vec<Instant>, Vec<Instant>) = overlapping.unzip();
    starts.sort_unstable();
    ends.sort_unstable();
    // The most crowded instant is one at which a code comes on.
    let mut gone = 0;
    let crowd = |(place, start): (usize, &Instant)| {
        while ends.get(gone).is_some_and(|end| end < start.max(&within.0)) {
            gone += 1;
        }
        place + 1 - gone
    };
    starts.iter().enumerate().map(crowd).max().unwrap_or(0)
}

/// From when to when a code takes a place in the lock's memory: native codes lie there from 72 hours before their
/// start on, and count (Seam's `max_active_codes_supported`).
fn occupied(window: Option<Window>, native: bool, now: Instant) -> Period {
    let lead = if native { NATIVE_LEAD } else { JUST_IN_TIME_LEAD };
    window.map_or((Instant::MIN_UTC, Instant::MAX_UTC), |window| {
        let from = window.starts_at.checked_sub_signed(lead).unwrap_or(Instant::MIN_UTC);
        // What has ended and is not gone yet is still there.
        (from, window.ends_at.max(now))
    })
}

/// Why a lock cannot hold a given PIN; `None`: it can, as far as its rules go.
pub fn broken_rule(device: &Device, code: &str) -> Option<String> {
    if device.provider_chooses_codes() {
        return Some("its provider chooses the code: leave code out".to_owned());
    }
    broken_digits(device, code)
}

/// Why a lock cannot hold a PIN, whoever chose it.
pub fn broken_digits(device: &Device, code: &str) -> Option<String> {
    let lengths = device.code_lengths();
    if !u8::try_from(code.len()).is_ok_and(|length| lengths.takes(length)) {
        return Some(format!("it takes codes of {lengths} digits"));
    }
    let rules = device.digit_rules();
    rules.into_iter().find(|rule| !rule.allows(code)).map(|rule| rule.explain().to_owned())
}

/// The managed code that has this PIN already and stands in the way of one more.
fn taken_by<'a>(device: &Device, code: &str, claims: &'a Claims, wish: &Wish<'_>) -> Option<&'a Claim> {
    let period = wish.on_lock(device);
    let has_it = |claim: &&Claim| claim.is_managed && claim.code == code && wish.conflicts_with(claim, period);
    claims.on(device.device_id).iter().find(has_it)
}

/// The PIN for one lock.
///
/// # Errors
/// `invalid_input` for a PIN the lock cannot hold, 409 `duplicate_access_code` for one that a managed code on it has
/// already, `no_code_left` where it is ours to choose and none is free.
pub fn assign_one(device: &Device, claims: &Claims, wish: &Wish<'_>, draw: impl FnMut(u64) -> u64) -> Result<String> {
    let Some(code) = wish.code else {
        return choose(&[device], claims, wish, draw).ok_or(Error::NoCodeLeft);
    };
    if let Some(reason) = broken_rule(device, code) {
        return Err(Error::invalid(wish.code_comes_from, format!("The device cannot hold this code: {reason}")));
    }
    check_not_taken(device, claims, wish)?;
    Ok(code.to_owned())
}

/// Refuses a given PIN that a managed code on the lock has already.
pub fn check_not_taken(device: &Device, claims: &Claims, wish: &Wish<'_>) -> Result<()> {
    match wish.code {
        Some(code) => taken_by(device, code, claims, wish).map_or(Ok(()), |other| Err(duplicate(code, wish, other))),
        None => Ok(()),
    }
}

fn duplicate(code: &str, wish: &Wish<'_>, other: &Claim) -> Error {
    let is_disjoint = !Window::overlap(other.window, wish.window);
    let hint = if wish.code_comes_from == "common_code_key" {
        "Codes with one common_code_key have one PIN, and an access code on this device has it already: use another \
         common_code_key, or delete that one first"
    } else if wish.same_code == SameCode::InDisjointWindows && is_disjoint {
        "The time frames do not overlap, but the access codes would be on the device at the same time"
    } else if is_disjoint {
        "An access code on this device has it in another time frame; the workspace's setting \
         allow_same_code_in_disjoint_windows allows that"
    } else {
        ""
    };
    Error::DuplicateAccessCode {
        code: code.to_owned(),
        name: wish.name.map(str::to_owned),
        window: wish.window,
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
pub fn assign_many(
    devices: &[&Device],
    claims: &Claims,
    wish: &Wish<'_>,
    behavior: WhenCodeCannotBeShared,
    mut draw: impl FnMut(u64) -> u64,
) -> Result<Vec<Assigned>> {
    let mut sharers: Vec<&Device> = Vec::with_capacity(devices.len());
    let mut unable = Vec::new();
    for device in devices {
        match reason_against_sharing(device, &sharers, devices.len() == 1, claims, wish) {
            None => sharers.push(device),
            Some(reason) => unable.push((device.device_id, reason)),
        }
    }
    if behavior == WhenCodeCannotBeShared::Throw {
        if unable.is_empty() {
            sharers.iter().try_for_each(|device| check_not_taken(device, claims, wish))?;
        }
        if !unable.is_empty() {
            return Err(Error::CodeCannotBeShared(unable));
        }
    } else if let Some(code) = wish.code {
        sharers.retain(|device| taken_by(device, code, claims, wish).is_none());
    }
    let shared = match wish.code {
        _ if sharers.is_empty() => None,
        Some(code) => Some(code.to_owned()),
        None => Some(choose(&sharers, claims, wish, &mut draw).ok_or(Error::NoCodeLeft)?),
    };
    let sharing: HashSet<Uuid> = sharers.iter().map(|device| device.device_id).collect();
    let own = Wish { code: None, ..wish.clone() };
    devices
        .iter()
        .map(|device| match &shared {
            Some(code) if sharing.contains(&device.device_id) => Ok(Assigned { code: code.clone(), is_shared: true }),
            _ => choose(&[device], claims, &own, &mut draw)
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
    claims: &Claims,
    wish: &Wish<'_>,
) -> Option<String> {
    if let Some(code) = wish.code {
        return broken_rule(device, code);
    }
    if is_alone {
        return None;
    }
    if device.provider_chooses_codes() {
        return Some("its provider chooses the code".to_owned());
    }
    let group: Vec<&Device> = sharers.iter().copied().chain([device]).collect();
    let lengths = common_lengths(&group, wish);
    if lengths.is_empty() {
        return Some(format!("it takes codes of {} digits, which the others do not", device.code_lengths()));
    }
    // Locks alike in their rules as the others cannot narrow the choice by rules; only what they hold can.
    let rules = group_rules(&group);
    if lengths.iter().all(|length| rules.count(usize::from(*length)) == 0) {
        return Some("no code satisfies its constraints and those of the others".to_owned());
    }
    let taken = taken_codes(&group, claims, wish);
    let free = lengths.iter().any(|length| rules.choose(usize::from(*length), taken.iter().copied(), |_| 0).is_some());
    (!free).then(|| "no code is free on it and on the others".to_owned())
}

fn common_lengths(devices: &[&Device], wish: &Wish<'_>) -> Vec<u8> {
    let lengths: Vec<CodeLengths> = devices.iter().map(|device| device.code_lengths()).collect();
    pin::lengths_to_try(&lengths, wish.preferred_code_length)
}

fn group_rules(devices: &[&Device]) -> PinRules {
    PinRules::new(devices.iter().flat_map(|device| device.digit_rules()))
}

/// The PINs that are not free on one of these locks, unmanaged codes' too.
fn taken_codes<'a>(devices: &[&Device], claims: &'a Claims, wish: &Wish<'_>) -> Vec<&'a str> {
    let on_device = |device: &&Device| {
        let period = wish.on_lock(device);
        claims.on(device.device_id).iter().filter(move |claim| wish.conflicts_with(claim, period))
    };
    devices.iter().flat_map(on_device).map(|claim| claim.code.as_str()).collect()
}

/// A PIN drawn uniformly among those all these locks can hold and that is free on all of them: of the preferred length if they share it, else of the shortest one they share that has any left.
fn choose(devices: &[&Device], claims: &Claims, wish: &Wish<'_>, mut draw: impl FnMut(u64) -> u64) -> Option<String> {
    let rules = group_rules(devices);
    let taken = taken_codes(devices, claims, wish);
    common_lengths(devices, wish)
        .into_iter()
        .find_map(|length| rules.choose(usize::from(length), taken.iter().copied(), &mut draw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_codes::lifecycle::Life;

    #[test]
    fn a_backup_takes_room_from_guests_only_once_the_lock_holds_it() {
        let entry = Entry { name: None, code: "1357".to_owned(), window: None };
        let life = Life { is_backup: true, ..Life::begin(Instant::default(), entry.clone(), false) };
        let mut backup = AccessCode {
            access_code_id: Uuid::nil(),
            workspace_id: Uuid::nil(),
            device_id: Uuid::nil(),
            sequence: 0,
            common_code_key: None,
            left_group: None,
            is_external_modification_allowed: false,
            pool_device_id: Some(Uuid::nil()),
            pulled_backup_access_code_id: None,
            life,
            children: 0,
        };
        let needs_room = |code: &AccessCode| {
            let mut claims = Claims::default();
            claims.add_life(code);
            claims.on(code.device_id).iter().any(|claim| claim.needs_room)
        };
        assert!(!needs_room(&backup));
        backup.life.held = Some(entry);
        assert!(needs_room(&backup));
    }
}
