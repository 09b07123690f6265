//! What a lock does when somebody enters a PIN at its keypad: it looks into its own memory and at its own clock, and asks
//! nobody.

use super::access_code::AccessCode;
use super::access_code::lifecycle::LockCode;
use super::daylight;
use super::device::Device;
use super::offline::{self, OfflineKind};
use crate::clock::Timestamp;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long a keypad takes nothing after too many wrong codes in a row: Kwikset's beeps for 15 s and is then dead for a
/// minute.
const LOCKOUT: TimeDelta = TimeDelta::seconds(75);

/// Why a lock does not open; of several codes with the PIN entered, that of the one that comes nearest to opening counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DenialReason {
    /// The bolt does not move, as a fault has it.
    Jammed,
    /// The code's time frame has not begun.
    NotYetValid,
    /// A code that opens once has done so.
    AlreadyUsed,
    /// A code that had to be entered within 24 hours of its start was not.
    NeverActivated,
    /// The code's time frame is over.
    ExpiredCode,
    /// The lock holds no such code.
    UnknownCode,
    /// The keypad takes nothing for a while after too many wrong codes.
    TooManyAttempts,
}

impl DenialReason {
    /// What it says to whoever stands at the door.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Jammed => "The lock takes the code, but its bolt does not move: a fault has struck it.",
            Self::NotYetValid => "The lock holds this code, but its time frame has not begun.",
            Self::AlreadyUsed => "This code opens the lock once, and it has done so.",
            Self::NeverActivated => "This code had to be entered within 24 hours of its start, and it was not.",
            Self::ExpiredCode => "The lock holds this code, but its time frame is over.",
            Self::UnknownCode => "The lock does not hold such a code. /_emulator/locks/memory shows what it holds.",
            Self::TooManyAttempts => "After too many wrong codes the keypad takes none for a while. Advance the clock.",
        }
    }

    /// The `reason` of `lock.access_denied`; none where Seam has no word for it.
    pub(crate) fn as_reason(self) -> Option<Value> {
        let reason_code = match self {
            Self::UnknownCode => "unknown_code",
            Self::ExpiredCode | Self::AlreadyUsed | Self::NeverActivated => "expired_code",
            Self::TooManyAttempts => "too_many_attempts",
            Self::NotYetValid | Self::Jammed => return None,
        };
        Some(json!({ "reason_code": reason_code, "message": self.message() }))
    }
}

/// What the lock itself has of a code. None: nothing, or nothing while it is deleted and made anew to change it.
pub(crate) fn in_memory(code: &AccessCode, device: &Device) -> Option<LockCode> {
    let state = &code.state;
    if state.gone_at.is_some() || (device.brand.recreates && state.is_being_updated()) {
        return None;
    }
    let mut held = state.held.clone()?;
    if state.is_managed && !state.is_offline && device.needs_daylight_buffer() {
        held.window = held.window.map(|window| daylight::buffered(window).unwrap_or(window));
    }
    Some(held)
}

/// Which of a lock's codes a PIN is now, and why it does not open the lock; no reason: it does.
pub(crate) fn enter<'a>(
    codes: impl Iterator<Item = &'a AccessCode>,
    device: &Device,
    pin: &str,
    now: Timestamp,
) -> (Option<&'a AccessCode>, Option<DenialReason>) {
    if device.health.keypad_dead_until.is_some_and(|until| now < until) {
        return (None, Some(DenialReason::TooManyAttempts));
    }
    let entered = codes.filter(|code| code.device_id == device.device_id).filter_map(|code| {
        let entry = in_memory(code, device).filter(|entry| entry.code == pin)?;
        Some((refusal(code, &entry, now), code))
    });
    // No refusal comes before any.
    let nearest = entered.min_by_key(|(refusal, _)| *refusal);
    nearest.map_or((None, Some(DenialReason::UnknownCode)), |(refusal, code)| (Some(code), refusal))
}

fn refusal(code: &AccessCode, entry: &LockCode, now: Timestamp) -> Option<DenialReason> {
    let state = &code.state;
    // A lock without schedules opens to what it holds for as long as it holds it.
    let knows_times = state.is_natively_scheduled || state.is_offline || !state.is_managed;
    let window = entry.window.filter(|_| knows_times)?;
    if now < window.starts_at {
        return Some(DenialReason::NotYetValid);
    }
    if now >= window.ends_at {
        return Some(DenialReason::ExpiredCode);
    }
    let kind =
        state.rare_fields.offline.as_ref().and_then(|offline| OfflineKind::deserialize(&offline["kind"]).ok())?;
    match state.rare_fields.first_used_at {
        Some(_) => (kind == OfflineKind::OneTime).then_some(DenialReason::AlreadyUsed),
        None => {
            offline::dies_unused_at(kind, window).is_some_and(|at| now >= at).then_some(DenialReason::NeverActivated)
        }
    }
}

/// What the keypad makes of a code that did not open the lock. Gives the reason to be told, if the brand tells of it now.
pub(crate) fn count_wrong_code(device: &mut Device, refusal: DenialReason, now: Timestamp) -> Option<DenialReason> {
    let told_after = device.brand.denial_told_after?;
    if refusal == DenialReason::TooManyAttempts {
        return None;
    }
    let health = &mut device.health;
    health.wrong_codes += 1;
    if health.wrong_codes < told_after {
        return None;
    }
    health.wrong_codes = 0;
    if told_after == 1 {
        return Some(refusal);
    }
    health.keypad_dead_until = now.checked_add_signed(LOCKOUT);
    Some(DenialReason::TooManyAttempts)
}

#[cfg(test)]
mod tests;
