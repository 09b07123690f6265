//! Readiness of a code for the guest of its access method, and the reports that it is late.

use super::*;
use crate::domain::access_code::lifecycle::rare_fields::{ExternalChange, Issuance, LateIssuance};
use LateIssuance::{Delayed, Failed};

/// Returns a lock that is unreachable since this hour.
fn offline_since(hour: i64) -> Lock {
    Lock { reachable_since: None, unreachable_since: Some(at(hour)), ..LOCK }
}

/// Marks a code as that of an access method, created at hour 0.
fn of_method(mut state: CodeState) -> CodeState {
    state.rare_fields.issuance = Some(Issuance::since(at(0)));
    state
}

fn reported(mut state: CodeState, report: LateIssuance) -> CodeState {
    state.rare_fields.issuance = Some(Issuance { reported: Some(report), ..Issuance::since(at(0)) });
    state
}

fn changed(mut state: CodeState, change: impl FnOnce(&mut CodeState)) -> CodeState {
    change(&mut state);
    state
}

fn minutes(count: i64) -> Timestamp {
    at(0) + TimeDelta::minutes(count)
}

#[test]
fn readiness_for_issuance_follows_the_table() {
    let far = Some((100, 200));
    let removed = |is_honoured| {
        let external = ExternalChange { since: at(5), is_removed: true, modified_fields: Vec::new(), is_honoured };
        changed(ran(code(true, None), at(1)), |state| {
            (state.held, state.rare_fields.external) = (None, Some(external));
        })
    };
    let expired = changed(ran(code(true, far), at(150)), |state| state.rare_fields.has_expired = true);
    let deleted = |state: CodeState| changed(state, |state| state.request_deletion(at(1)));
    let renamed = changed(ran(code(true, None), at(1)), |state| state.requested.name = Some("other".to_owned()));
    let awaiting = |state: CodeState| changed(state, |state| state.rare_fields.awaits_code = true);
    let with_backup = |state: CodeState| changed(state, |state| state.rare_fields.backup_pulled_at = Some(at(1)));
    // Name, state, and whether it is ready on a lock that is reachable, and on one that is not.
    #[rustfmt::skip]
    let cases: Vec<(&str, CodeState, bool, bool)> = vec![
        ("ongoing, just made",                   code(true, None), false, false),
        ("ongoing, on the lock",                 ran(code(true, None), at(1)), true, true),
        ("native, start far away",               code(true, far), true, false),
        ("native, a millisecond before 72 h",    ran(code(true, far), after(28, -1)), true, false),
        ("native, at 72 h",                      ran(code(true, far), at(28)), false, false),
        ("native, on the lock and waiting",      ran(code(true, far), after(28, 250)), true, true),
        ("native, at its start",                 ran(code(true, far), at(100)), true, true),
        ("just in time, start far away",         code(false, far), true, false),
        ("just in time, at 60 min",              ran(code(false, far), at(99)), false, false),
        ("just in time, on the lock",            ran(code(false, far), after(99, 250)), true, true),
        ("inside its window, just made",         code(true, Some((-1, 2))), false, false),
        ("changed, the lock has the old entry",  renamed, false, false),
        ("removed at the lock, is set again",    removed(false), false, false),
        ("removed at the lock, stays removed",   removed(true), false, false),
        ("PIN not known, start far away",        awaiting(code(true, far)), false, false),
        ("PIN not known, on the lock",           awaiting(ran(code(true, None), at(1))), false, false),
        ("backup pulled, not on the lock",       with_backup(code(true, None)), true, true),
        ("deleted",                              deleted(ran(code(true, None), at(1))), false, false),
        ("deleted before it was programmed",     deleted(code(true, far)), false, false),
        ("backup pulled and deleted",            deleted(with_backup(code(true, None))), false, false),
        ("at its end",                           ran(code(true, far), at(200)), false, false),
        ("expired and kept",                     expired, false, false),
    ];
    for (name, state, if_reachable, if_unreachable) in cases {
        assert_eq!(state.is_ready_to_issue(true), if_reachable, "{name}, reachable");
        assert_eq!(state.is_ready_to_issue(false), if_unreachable, "{name}, unreachable");
    }
}

#[test]
fn late_issuance_is_due_at_the_instants_of_the_table() {
    let far = Some((100, 200));
    let deleted = |state: CodeState| changed(state, |state| state.request_deletion(at(0)));
    let near_limit = Some((36, 200));
    // Name, state, lock, and when the next report is due.
    #[rustfmt::skip]
    let cases: Vec<(&str, CodeState, Lock, Option<Timestamp>)> = vec![
        ("of no method",                          code(true, far), offline_since(0), None),
        ("ready: on the lock",                    of_method(ran(code(true, None), at(1))), LOCK, None),
        ("ready: on a lock that is offline now",  of_method(ran(code(true, None), at(1))), offline_since(2), None),
        ("ready: waits on a reachable lock",      of_method(code(true, far)), LOCK, None),
        ("native, offline from the beginning",    of_method(code(true, far)), offline_since(0), Some(at(64))),
        ("just in time, offline",                 of_method(code(false, far)), offline_since(0), Some(at(64))),
        ("just in time, offline later",           of_method(code(false, far)), offline_since(40), Some(at(64))),
        ("offline within the 36 hours",           of_method(ran(code(false, far), at(70))), offline_since(70), Some(at(70) + TimeDelta::minutes(5))),
        ("late booking",                          of_method(code(true, Some((2, 9)))), offline_since(0), Some(minutes(5))),
        ("late booking of a reachable lock",      of_method(code(true, Some((2, 9)))), LOCK, Some(minutes(5))),
        ("booked exactly 36 hours before",        of_method(code(true, near_limit)), offline_since(0), Some(minutes(5))),
        ("booked inside its window",              of_method(code(true, Some((-1, 9)))), offline_since(0), Some(minutes(5))),
        ("ongoing",                               of_method(code(true, None)), offline_since(0), Some(minutes(5))),
        ("reported as late",                      reported(code(true, far), Delayed), offline_since(0), Some(at(100))),
        ("reported as late, now ready",           reported(ran(code(true, far), at(30)), Delayed), LOCK, None),
        ("reported as failed",                    reported(code(true, far), Failed), offline_since(0), None),
        ("deleted",                               deleted(of_method(code(true, far))), offline_since(0), None),
        ("at its end",                            of_method(ran(code(true, far), at(200))), LOCK, None),
    ];
    for (name, state, lock, due) in cases {
        assert_eq!(state.late_issuance_due(&lock), due, "{name}");
        let next = state.next(&lock).filter(|(_, step)| *step == Step::ReportLateIssuance);
        assert!(next.is_none_or(|(at, _)| Some(at) == due), "{name}: {next:?}");
    }
}

#[test]
fn late_issuance_counts_from_the_last_change_of_times() {
    let mut state = code(true, Some((10, 200)));
    state.rare_fields.issuance = Some(Issuance::since(at(3)));
    state.as_of = at(3);
    assert_eq!(state.late_issuance_due(&offline_since(0)), Some(at(3) + TimeDelta::minutes(5)));
}

#[test]
fn late_issuance_is_reported_as_delayed_and_from_the_start_on_as_failed() {
    // Name, time frame in hours, and the reports with their instants.
    #[rustfmt::skip]
    let cases = [
        ("far stay",       Some((100, 200)), vec![(at(64), Delayed), (at(100), Failed)]),
        ("late booking",   Some((2, 200)),   vec![(minutes(5), Delayed), (at(2), Failed)]),
        ("in its window",  Some((-1, 200)),  vec![(minutes(5), Failed)]),
        ("ongoing",        None,             vec![(minutes(5), Failed)]),
    ];
    let lock = offline_since(0);
    for (name, window, expected) in cases {
        let mut state = of_method(code(true, window));
        let mut found = Vec::new();
        while let Some((at, step)) = state.next(&lock).filter(|(at, _)| *at < self::at(200)) {
            let mut domain_events = Vec::new();
            state.apply(&lock, at, step, (None, None), &mut domain_events);
            assert_eq!(domain_events, [], "{name}: the report is no event of the code");
            if step == Step::ReportLateIssuance {
                found.push((at, state.rare_fields.issuance.unwrap().reported.unwrap()));
            }
        }
        assert_eq!(found, expected, "{name}");
    }
}
