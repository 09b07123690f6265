use super::*;
use crate::domain::access_code::lifecycle::Step;
use crate::domain::samples::{access_code, at, device, entry, held, window};
use crate::domain::workspace::WorkspaceSettings;
use uuid::Uuid;

/// Enters the PIN `1357` on an August lock with one code, five hours after the start. Returns if a code was found, and
/// the reason why the lock does not open.
fn entered(code: &AccessCode) -> (bool, Option<DenialReason>) {
    entered_at(&device("august_lock", json!({})), code, 5)
}

fn entered_at(device: &Device, code: &AccessCode, hours: i64) -> (bool, Option<DenialReason>) {
    let (found, reason) = enter([code].into_iter(), device, "1357", at(hours));
    (found.is_some(), reason)
}

#[test]
fn keypad_accepts_codes_on_the_lock_during_their_time_frame() {
    let lock = device("august_lock", json!({}));
    let timed = |from, to| held(1, &lock, entry("1357", Some(window(from, to))));
    let gone = || {
        let mut code = timed(0, 10);
        code.state.gone_at = Some(at(1));
        code
    };
    for (code, expected) in [
        (held(1, &lock, entry("1357", None)), (true, None)),
        (held(1, &lock, entry("2468", None)), (false, Some(DenialReason::UnknownCode))),
        (access_code(1, &lock, entry("1357", None)), (false, Some(DenialReason::UnknownCode))),
        (gone(), (false, Some(DenialReason::UnknownCode))),
        (timed(5, 10), (true, None)),
        (timed(6, 10), (true, Some(DenialReason::NotYetValid))),
        (timed(1, 6), (true, None)),
        (timed(1, 5), (true, Some(DenialReason::ExpiredCode))),
        (AccessCode { device_id: Uuid::nil(), ..timed(0, 10) }, (false, Some(DenialReason::UnknownCode))),
    ] {
        assert_eq!(entered(&code), expected, "{code:?}");
    }
}

#[test]
fn keypad_ignores_time_frames_without_native_scheduling() {
    let lock = device("august_lock", json!({ "native_scheduling": false }));
    let mut code = held(1, &lock, entry("1357", Some(window(6, 7))));
    assert_eq!(entered_at(&lock, &code, 5), (true, None));
    // An unmanaged code with a time frame is enforced by the lock.
    code.state.is_managed = false;
    assert_eq!(entered_at(&lock, &code, 5), (true, Some(DenialReason::NotYetValid)));
    code.state.is_managed = true;
    code.state.is_offline = true;
    assert_eq!(entered_at(&lock, &code, 5), (true, Some(DenialReason::NotYetValid)));
}

#[test]
fn keypad_prefers_the_code_that_opens_among_codes_with_the_same_pin() {
    let lock = device("august_lock", json!({}));
    let timed = |number, from, to| held(number, &lock, entry("1357", Some(window(from, to))));
    let [expired, valid, not_yet_valid] = [timed(1, 0, 2), timed(2, 0, 9), timed(3, 7, 9)];
    let nearest = |codes: [&AccessCode; 2]| {
        let (code, reason) = enter(codes.into_iter(), &lock, "1357", at(5));
        (code.unwrap().sequence, reason)
    };
    assert_eq!(nearest([&expired, &valid]), (2, None));
    assert_eq!(nearest([&expired, &not_yet_valid]), (3, Some(DenialReason::NotYetValid)));
    assert_eq!(nearest([&not_yet_valid, &expired]), (3, Some(DenialReason::NotYetValid)));
}

#[test]
fn keypad_rejects_a_code_while_the_lock_programs_it_again_for_an_update() {
    for (device_type, in_memory_meanwhile) in [("august_lock", false), ("nuki_lock", true)] {
        let lock = device(device_type, json!({}));
        let mut code = held(1, &lock, entry("1357", None));
        code.state.request_update(at(1), entry("2468", None), false);
        assert!(effective_entry(&code, &lock).is_some(), "the lock has not started the operation");
        let settings: WorkspaceSettings = crate::domain::samples::settings();
        code.state.apply(&lock.lock(&settings), at(1), Step::Begin, (None, None), &mut Vec::new());
        assert_eq!(effective_entry(&code, &lock).is_some(), in_memory_meanwhile, "{device_type}");
    }
}

#[test]
fn keypad_extends_time_frames_across_clock_changes_without_a_time_zone() {
    // The clocks change on the eighth of March.
    let across_change = Some(window(24, 240));
    let lock = device("schlage_lock", json!({}));
    let mut code = held(1, &lock, entry("1357", across_change));
    assert_eq!(effective_entry(&code, &lock).unwrap().window, Some(window(24, 241)));
    let with_zone = device("schlage_lock", json!({ "time_zone": "America/New_York" }));
    assert_eq!(effective_entry(&code, &with_zone).unwrap().window, across_change);
    let before_change = held(1, &lock, entry("1357", Some(window(24, 48))));
    assert_eq!(effective_entry(&before_change, &lock).unwrap().window, Some(window(24, 48)));
    code.state.is_offline = true;
    assert_eq!(effective_entry(&code, &lock).unwrap().window, across_change);
    code.state.is_offline = false;
    code.state.is_managed = false;
    assert_eq!(effective_entry(&code, &lock).unwrap().window, across_change);
}

#[test]
fn keypad_applies_one_time_and_first_day_rules_of_offline_codes() {
    let lock = device("igloohome_lock", json!({}));
    let offline = |kind: &str, hours: i64, first_used_at: Option<i64>| {
        let mut code = held(1, &lock, entry("1357", Some(window(0, hours))));
        code.state.is_offline = true;
        code.state.rare_fields.offline = Some(json!({ "kind": kind }));
        code.state.rare_fields.first_used_at = first_used_at.map(at);
        code
    };
    for (code, now, reason) in [
        (offline("one_time", 48, None), 1, None),
        (offline("one_time", 48, Some(1)), 2, Some(DenialReason::AlreadyUsed)),
        (offline("hourly", 48, Some(1)), 30, None),
        (offline("hourly", 48, None), 23, None),
        (offline("hourly", 48, None), 24, Some(DenialReason::NeverActivated)),
        (offline("time_bound", 48, None), 30, None),
        (offline("hourly", 48, Some(1)), 48, Some(DenialReason::ExpiredCode)),
    ] {
        assert_eq!(entered_at(&lock, &code, now), (true, reason), "{code:?}");
    }
}

#[test]
fn keypad_is_locked_for_75_seconds_after_the_wrong_codes_of_its_brand() {
    let mut lock = device("kwikset_lock", json!({}));
    let code = held(1, &lock, entry("1357", None));
    for _ in 0..2 {
        assert_eq!(count_wrong_code(&mut lock, DenialReason::UnknownCode, at(5)), None);
        assert_eq!(entered_at(&lock, &code, 5), (true, None));
    }
    assert_eq!(lock.health.wrong_codes, 2);
    assert_eq!(count_wrong_code(&mut lock, DenialReason::ExpiredCode, at(5)), Some(DenialReason::TooManyAttempts));
    assert_eq!(lock.health.wrong_codes, 0, "the count starts again");
    assert_eq!(lock.health.keypad_locked_until, Some(at(5) + TimeDelta::seconds(75)));
    let reason_after = |seconds| enter([&code].into_iter(), &lock, "1357", at(5) + TimeDelta::seconds(seconds)).1;
    assert_eq!((reason_after(74), reason_after(75)), (Some(DenialReason::TooManyAttempts), None));
    assert_eq!(count_wrong_code(&mut lock.clone(), DenialReason::TooManyAttempts, at(5)), None);
    assert_eq!(lock.health.wrong_codes, 0, "entries are not counted while the keypad is locked out");
}

#[test]
fn keypad_reports_each_wrong_code_or_none_depending_on_its_brand() {
    let mut reports_each = device("igloohome_lock", json!({}));
    assert_eq!(count_wrong_code(&mut reports_each, DenialReason::ExpiredCode, at(5)), Some(DenialReason::ExpiredCode));
    assert_eq!(reports_each.health, device("igloohome_lock", json!({})).health);
    let mut reports_none = device("august_lock", json!({}));
    assert_eq!(count_wrong_code(&mut reports_none, DenialReason::UnknownCode, at(5)), None);
    assert_eq!(reports_none.health.wrong_codes, 0);
}

#[test]
fn keypad_denial_reasons_have_a_message_and_a_seam_reason_code_if_any() {
    use DenialReason::{AlreadyUsed, ExpiredCode, Jammed, NeverActivated, NotYetValid, TooManyAttempts, UnknownCode};
    let mut messages = std::collections::BTreeSet::new();
    for (reason, reason_code) in [
        (Jammed, None),
        (NotYetValid, None),
        (AlreadyUsed, Some("expired_code")),
        (NeverActivated, Some("expired_code")),
        (ExpiredCode, Some("expired_code")),
        (UnknownCode, Some("unknown_code")),
        (TooManyAttempts, Some("too_many_attempts")),
    ] {
        messages.insert(reason.message());
        let expected = reason_code.map(|code| json!({ "reason_code": code, "message": reason.message() }));
        assert_eq!(reason.as_reason(), expected);
    }
    assert_eq!(messages.len(), 7);
    assert!(messages.iter().all(|message| message.ends_with('.')));
}
