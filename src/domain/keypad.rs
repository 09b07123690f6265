//! Entry of a PIN at the keypad of a lock. The result depends only on the lock's own memory and clock.

use super::access_code::AccessCode;
use super::access_code::lifecycle::LockCode;
use super::daylight_saving;
use super::device::Device;
use super::offline::{self, OfflineKind};
use crate::clock::Timestamp;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Duration of the lockout of a keypad after too many consecutive wrong codes: Kwikset's keypad beeps for 15 s and is
/// then locked for a minute.
const LOCKOUT: TimeDelta = TimeDelta::seconds(75);

/// Reason why a lock does not open. The order of the variants is a priority: if several codes have the entered PIN, the
/// smallest reason applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DenialReason {
    /// A fault keeps the bolt from moving.
    Jammed,
    /// The code's time frame has not begun.
    NotYetValid,
    /// A one-time code was used before.
    AlreadyUsed,
    /// A code that must be entered within 24 hours of its start was not entered.
    NeverActivated,
    /// The code's time frame is over.
    ExpiredCode,
    /// No code on the lock has this PIN.
    UnknownCode,
    /// The keypad is locked for a while after too many wrong codes.
    TooManyAttempts,
}

impl DenialReason {
    /// Returns the reason as a sentence for the person at the door.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Jammed => "The lock accepts the code, but a fault blocks its bolt.",
            Self::NotYetValid => "The lock stores this code, but its time frame has not begun.",
            Self::AlreadyUsed => "This one-time code was already used.",
            Self::NeverActivated => "This code was not entered within 24 hours of its start.",
            Self::ExpiredCode => "The lock stores this code, but its time frame is over.",
            Self::UnknownCode => {
                "The lock does not store this code. /_emulator/locks/memory lists the codes that it stores."
            }
            Self::TooManyAttempts => "The keypad is blocked after too many wrong codes. Advance the clock.",
        }
    }

    /// Returns the `reason` of `lock.access_denied`; `None` if Seam has no `reason_code` for it.
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

/// Returns the entry with which the lock compares a PIN: the stored one, with the longer time frame that a lock with
/// unknown time zone may get ([`daylight_saving`]). `None` if the lock does not have the code; this includes the time
/// in which the lock deletes the code and programs it again to update it.
pub(crate) fn effective_entry(code: &AccessCode, device: &Device) -> Option<LockCode> {
    let state = &code.state;
    if state.gone_at.is_some() || (device.brand.recreates_on_update && state.is_being_updated()) {
        return None;
    }
    let mut held = state.held.clone()?;
    if state.is_managed && !state.is_offline && device.needs_daylight_buffer() {
        held.window = held.window.map(|window| daylight_saving::buffered(window).unwrap_or(window));
    }
    Some(held)
}

/// Looks up a PIN on the lock at `now`. Returns the code that has this PIN, and the reason why the lock does not open;
/// the reason is `None` if it opens.
pub(crate) fn enter<'a>(
    codes: impl Iterator<Item = &'a AccessCode>,
    device: &Device,
    pin: &str,
    now: Timestamp,
) -> (Option<&'a AccessCode>, Option<DenialReason>) {
    if device.health.keypad_locked_until.is_some_and(|until| now < until) {
        return (None, Some(DenialReason::TooManyAttempts));
    }
    let entered = codes.filter(|code| code.device_id == device.device_id).filter_map(|code| {
        let entry = effective_entry(code, device).filter(|entry| entry.code == pin)?;
        Some((denial_reason(code, &entry, now), code))
    });
    // `None` is smaller than every reason: a code that opens the lock is preferred.
    let nearest = entered.min_by_key(|(reason, _)| *reason);
    nearest.map_or((None, Some(DenialReason::UnknownCode)), |(reason, code)| (Some(code), reason))
}

/// Returns the reason why a code on the lock does not open it at `now`; `None` if it opens.
fn denial_reason(code: &AccessCode, entry: &LockCode, now: Timestamp) -> Option<DenialReason> {
    let state = &code.state;
    // A lock without native scheduling ignores the time frame of a managed code and accepts it as long as it is in the
    // memory.
    let applies_window = state.is_natively_scheduled || state.is_offline || !state.is_managed;
    let window = entry.window.filter(|_| applies_window)?;
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
            offline::unused_expiry(kind, window).is_some_and(|at| now >= at).then_some(DenialReason::NeverActivated)
        }
    }
}

/// Counts a wrong code at the keypad and locks the keypad if the brand does so. Returns the reason to report; `None` if
/// the brand does not report this attempt.
pub(crate) fn count_wrong_code(device: &mut Device, reason: DenialReason, now: Timestamp) -> Option<DenialReason> {
    let reported_after = device.brand.denial_reported_after?;
    if reason == DenialReason::TooManyAttempts {
        return None;
    }
    let health = &mut device.health;
    health.wrong_codes += 1;
    if health.wrong_codes < reported_after {
        return None;
    }
    health.wrong_codes = 0;
    // A brand that reports from the first wrong code on reports each one with its reason, and never locks the keypad.
    if reported_after == 1 {
        return Some(reason);
    }
    health.keypad_locked_until = now.checked_add_signed(LOCKOUT);
    Some(DenialReason::TooManyAttempts)
}

#[cfg(test)]
mod tests;
