//! Lifecycle of a code: a table of cases in the order of Seam's documentation, and property tests.

mod changes;
mod failures;
mod issuance;

use super::*;
use crate::clock::from_iso;
use DomainEvent::{Deleted, RemovedFromDevice, ScheduledOnDevice, SetOnDevice};
use Status::{Removing, Set, Setting, Unset};
use proptest::prelude::*;

/// Result of [`CodeState::run_until`].
#[derive(Clone, Debug, Default, PartialEq)]
struct Ran {
    /// Number of steps taken.
    steps: u64,
    /// Domain events in order, each with its instant.
    domain_events: Vec<(Timestamp, DomainEvent)>,
}

impl CodeState {
    /// Takes every step due until `until`, inclusive, each at its own instant, on a lock without faults or obstacles.
    /// The result does not depend on the number of calls in which the time passes.
    fn run_until(&mut self, lock: &Lock, until: Timestamp) -> Ran {
        let mut ran = Ran::default();
        while let Some((at, step)) = self.next(lock).filter(|(at, _)| *at <= until) {
            self.apply(lock, at, step, (None, None), &mut ran.domain_events);
            ran.steps += 1;
        }
        ran
    }
}

const LOCK: Lock = Lock {
    reachable_since: Some(Timestamp::MIN_UTC),
    unreachable_since: None,
    programming: Some(TimeDelta::milliseconds(250)),
    slow_after: TimeDelta::minutes(1),
    keeps_expired: false,
    past_start_lead: None,
    late_issuance: LateIssuanceLimits::USUAL,
};

fn at(hours: i64) -> Timestamp {
    from_iso("2026-03-01T00:00:00Z").unwrap() + TimeDelta::hours(hours)
}

fn after(hours: i64, milliseconds: i64) -> Timestamp {
    at(hours) + TimeDelta::milliseconds(milliseconds)
}

/// Creates a code at hour 0, with a time frame in hours or ongoing.
fn code(native: bool, window: Option<(i64, i64)>) -> CodeState {
    let window = window.map(|(start, end)| Window { starts_at: at(start), ends_at: at(end) });
    CodeState::new_managed(at(0), LockCode { name: Some("guest".to_owned()), code: "1357".to_owned(), window }, native)
}

fn ran(mut state: CodeState, until: Timestamp) -> CodeState {
    state.run_until(&LOCK, until);
    state
}

/// One row of the table: name, code, instant, and the expected status and pending mutation at that instant.
type Case = (&'static str, CodeState, Timestamp, Option<Status>, Option<PendingMutation>);

#[test]
fn status_and_pending_mutations_follow_the_table() {
    let (native, just_in_time, ongoing) = (true, false, None);
    let deferred = |hours| Some(PendingMutation::DeferringCreation { scheduled_at: at(hours) });
    let (creating, deleting) = (|| Some(PendingMutation::Creating), || Some(PendingMutation::Deleting));
    let far = Some((100, 200));
    #[rustfmt::skip]
    let cases: Vec<Case> = vec![
        // created
        ("ongoing, just made",                        code(native, ongoing), at(0), Some(Setting), creating()),
        ("native, start far away",                    code(native, far), at(0), Some(Unset), deferred(28)),
        ("just in time, start far away",              code(just_in_time, far), at(0), Some(Unset), deferred(99)),
        ("native, made within 72 h of its start",     code(native, Some((50, 60))), at(0), Some(Unset), creating()),
        ("just in time, made within 60 min",          code(just_in_time, Some((1, 2))), at(0), Some(Setting), creating()),
        ("native, made inside its window",            code(native, Some((-1, 2))), at(0), Some(Setting), creating()),
        ("just in time, made inside its window",      code(just_in_time, Some((-1, 2))), at(0), Some(Setting), creating()),
        // on the lock
        ("ongoing, confirmed",                        code(native, ongoing), after(0, 250), Some(Set), None),
        ("ongoing, a millisecond before",             code(native, ongoing), after(0, 249), Some(Setting), creating()),
        ("native, a millisecond before 72 h",         code(native, far), after(28, -1), Some(Unset), deferred(28)),
        ("native, at 72 h",                           code(native, far), at(28), Some(Unset), creating()),
        ("native, on the lock and waiting",           code(native, far), after(28, 250), Some(Unset), None),
        ("native, a millisecond before its start",    code(native, far), after(100, -1), Some(Unset), None),
        ("native, at its start",                      code(native, far), at(100), Some(Set), None),
        ("just in time, a millisecond before 60 min", code(just_in_time, far), after(99, -1), Some(Unset), deferred(99)),
        ("just in time, at 60 min",                   code(just_in_time, far), at(99), Some(Setting), creating()),
        ("just in time, set before its start",        code(just_in_time, far), after(99, 250), Some(Set), None),
        // the end
        ("native, a millisecond before its end",      code(native, far), after(200, -1), Some(Set), None),
        ("native, at its end",                        code(native, far), at(200), Some(Removing), deleting()),
        ("native, off the lock",                      code(native, far), after(200, 250), None, None),
        ("just in time, at its end",                  code(just_in_time, far), at(200), Some(Removing), deleting()),
        ("just in time, off the lock",                code(just_in_time, far), after(200, 250), None, None),
    ];
    for (name, state, instant, status, mutation) in cases {
        let state = ran(state, instant);
        assert_eq!(state.gone_at.is_none().then(|| state.status(false)), status, "{name}");
        if status.is_some() {
            assert_eq!(state.pending_mutations().pop().map(|(_, mutation)| mutation), mutation, "{name}");
        }
    }
}

#[test]
fn events_of_a_code_have_the_expected_order_and_instants() {
    let cases = [
        ("ongoing", code(true, None), vec![(after(0, 250), SetOnDevice)]),
        (
            "native",
            code(true, Some((100, 200))),
            vec![
                (after(28, 250), ScheduledOnDevice),
                (at(100), SetOnDevice),
                (after(200, 250), RemovedFromDevice),
                (after(200, 250), Deleted),
            ],
        ),
        (
            "native, confirmed at the very instant of its start",
            {
                let mut state = code(true, Some((1, 2)));
                state.requested.window = Some(Window { starts_at: after(0, 250), ends_at: at(2) });
                state
            },
            vec![(after(0, 250), SetOnDevice), (after(2, 250), RemovedFromDevice), (after(2, 250), Deleted)],
        ),
        (
            "just in time",
            code(false, Some((100, 200))),
            vec![(after(99, 250), SetOnDevice), (after(200, 250), RemovedFromDevice), (after(200, 250), Deleted)],
        ),
        (
            "inside its window",
            code(true, Some((-1, 2))),
            vec![(after(0, 250), SetOnDevice), (after(2, 250), RemovedFromDevice), (after(2, 250), Deleted)],
        ),
    ];
    for (name, mut state, events) in cases {
        assert_eq!(state.run_until(&LOCK, at(1000)).domain_events, events, "{name}");
    }
}

#[test]
fn delete_keeps_the_code_in_removing_until_the_lock_confirms() {
    let mut state = ran(code(true, None), at(1));
    state.request_deletion(at(5));
    assert_eq!(
        (state.status(false), state.pending_mutations().pop()),
        (Removing, Some((at(5), PendingMutation::Deleting)))
    );
    let ran = state.run_until(&LOCK, at(6));
    assert_eq!(ran.domain_events, [(after(5, 250), RemovedFromDevice), (after(5, 250), Deleted)]);
    assert_eq!((state.gone_at, state.held), (Some(after(5, 250)), None));
}

#[test]
fn delete_of_a_code_not_on_the_lock_records_only_a_deleted_event() {
    for mut state in [code(true, Some((100, 200))), code(false, Some((100, 200))), code(true, None)] {
        state.request_deletion(at(0));
        assert_eq!(state.run_until(&LOCK, at(999)).domain_events, [(after(0, 250), Deleted)]);
    }
}

#[test]
fn delete_requested_twice_changes_nothing_the_second_time() {
    let mut state = ran(code(true, None), at(1));
    state.request_deletion(at(5));
    let once = state.clone();
    state.request_deletion(at(7));
    assert_eq!(state, once);
}

#[test]
fn offline_lock_starts_no_operation_until_it_is_back_online() {
    let offline = Lock { reachable_since: None, unreachable_since: Some(at(0)), ..LOCK };
    let mut state = code(true, Some((100, 200)));
    assert_eq!(state.run_until(&offline, at(50)).domain_events, []);
    assert_eq!(
        (state.status(false), state.pending_mutations().pop().map(|(_, mutation)| mutation)),
        (Unset, Some(PendingMutation::Creating))
    );
    state.run_until(&offline, at(150));
    assert_eq!(state.status(false), Setting, "a native code that missed its start");
    let back = Lock { reachable_since: Some(at(160)), ..LOCK };
    assert_eq!(state.run_until(&back, at(170)).domain_events, [(after(160, 250), SetOnDevice)]);
    state.run_until(&offline, at(300));
    assert_eq!((state.status(false), state.held.is_some()), (Removing, true));
}

#[test]
fn window_overlap_is_false_for_adjacent_windows() {
    let window = |start, end| Some(Window { starts_at: at(start), ends_at: at(end) });
    for (first, second, overlap) in [
        (window(0, 2), window(2, 4), false),
        (window(0, 2), window(3, 4), false),
        (window(0, 3), window(2, 4), true),
        (window(0, 9), window(2, 4), true),
        (None, window(2, 4), true),
        (None, None, true),
    ] {
        assert_eq!(Window::overlap(first, second), overlap);
        assert_eq!(Window::overlap(second, first), overlap);
    }
}

prop_compose! {
    /// Generates a code, and the millisecond after hour 0 at which its deletion is requested, if it is.
    fn any_code()(
        native in any::<bool>(),
        window in proptest::option::of((-200_000_i64..800_000_000, 1_i64..400_000_000)),
        deletion in proptest::option::of(0_i64..1_500_000_000),
    ) -> (CodeState, Option<i64>) {
        let window = window.map(|(start, length)| Window { starts_at: after(0, start), ends_at: after(0, start + length) });
        let ends_later = window.is_none_or(|window| window.ends_at > at(0));
        let window = if ends_later { window } else { None };
        (CodeState::new_managed(at(0), LockCode { name: None, code: "1357".to_owned(), window }, native), deletion)
    }
}

/// Runs a code to each of these instants, requests its deletion in between, and calls `inspect` with each state.
fn run_through(
    mut state: CodeState,
    deletion: Option<i64>,
    instants: &[i64],
    mut inspect: impl FnMut(&CodeState),
) -> (CodeState, Vec<(Timestamp, DomainEvent)>) {
    let mut domain_events = Vec::new();
    let mut instants: Vec<i64> = instants.to_vec();
    instants.extend(deletion);
    instants.push(4_000_000_000);
    instants.sort_unstable();
    for now in instants {
        domain_events.extend(state.run_until(&LOCK, after(0, now)).domain_events);
        if deletion == Some(now) && state.gone_at.is_none() {
            state.request_deletion(after(0, now));
        }
        inspect(&state);
    }
    (state, domain_events)
}

proptest! {
    #[test]
    fn run_until_gives_the_same_result_in_any_number_of_calls(
        (state, deletion) in any_code(), instants in proptest::collection::vec(0_i64..2_000_000_000, 0..12)
    ) {
        let in_one_call = run_through(state.clone(), deletion, &[], |_| {});
        let in_many_calls = run_through(state, deletion, &instants, |_| {});
        prop_assert_eq!(in_one_call, in_many_calls);
    }

    #[test]
    fn status_set_respects_the_native_start_and_the_end(
        (state, deletion) in any_code(), instants in proptest::collection::vec(0_i64..2_000_000_000, 0..12)
    ) {
        let (end, domain_events) = run_through(state.clone(), deletion, &instants, |state| {
            if let Some(window) = state.requested.window.filter(|_| state.gone_at.is_none()) {
                assert!(!(state.is_natively_scheduled && state.status(false) == Set && state.as_of < window.starts_at));
                assert!(!(state.status(false) == Set && state.as_of >= window.ends_at));
            }
        });
        for (instant, domain_event) in &domain_events {
            if let (Some(window), SetOnDevice) = (state.requested.window, domain_event) {
                prop_assert!(!state.is_natively_scheduled || *instant >= window.starts_at);
                prop_assert!(*instant < window.ends_at);
            }
        }
        prop_assert_eq!(end.gone_at.is_some(), state.requested.window.is_some() || deletion.is_some());
        prop_assert!(end.gone_at.is_none() || end.held.is_none());
    }

    #[test]
    fn held_entry_equals_the_requested_one_and_matches_the_events(
        (state, deletion) in any_code(), instants in proptest::collection::vec(0_i64..2_000_000_000, 0..12)
    ) {
        let (end, domain_events) = run_through(state, deletion, &instants, |state| {
            assert!(state.held.is_none() || state.held.as_ref() == Some(&state.requested));
            assert!(state.next(&LOCK).is_none_or(|(instant, _)| instant >= state.as_of), "no step is due in the past");
            assert_eq!(state.pending_mutations().is_empty(), state.held.is_some() && state.removing_since().is_none());
        });
        let count = |expected: DomainEvent| {
            domain_events.iter().filter(|(_, domain_event)| *domain_event == expected).count()
        };
        prop_assert!(domain_events.is_sorted_by_key(|(instant, _)| *instant));
        prop_assert!(count(SetOnDevice) <= 1 && count(ScheduledOnDevice) <= 1);
        prop_assert_eq!(count(Deleted), usize::from(end.gone_at.is_some()));
        prop_assert_eq!(count(RemovedFromDevice), usize::from(end.gone_at.is_some() && end.first_held_at.is_some()));
    }
}

#[test]
fn window_new_rejects_an_end_that_is_not_after_the_start() {
    assert_eq!(Window::new(at(1), at(2)).unwrap().bounds(), (at(1), at(2)));
    for (starts_at, ends_at) in [(at(1), at(1)), (at(2), at(1))] {
        assert!(Window::new(starts_at, ends_at).is_err());
    }
    let hull = Window::new(at(1), at(3)).unwrap().hull(Window::new(at(0), at(2)).unwrap());
    assert_eq!(hull.bounds(), (at(0), at(3)));
}

#[test]
fn window_changed_replaces_the_given_instants() {
    let window = |from, to| Some(Window { starts_at: at(from), ends_at: at(to) });
    let changed = |window, from: Option<i64>, to: Option<i64>| Window::changed(window, from.map(at), to.map(at)).ok();
    assert_eq!(changed(None, None, None), Some(None));
    assert_eq!(changed(window(1, 2), None, None), Some(window(1, 2)));
    assert_eq!(changed(window(1, 2), Some(0), None), Some(window(0, 2)));
    assert_eq!(changed(window(1, 2), None, Some(3)), Some(window(1, 3)));
    assert_eq!(changed(window(1, 2), Some(3), Some(4)), Some(window(3, 4)));
    assert_eq!(changed(None, Some(3), Some(4)), Some(window(3, 4)));
    assert_eq!(changed(window(1, 2), Some(3), None), None, "the time frame would end before it starts");
    assert_eq!(changed(None, Some(3), None), None, "a time frame needs both times");
    assert_eq!(changed(None, None, Some(3)), None);
}

#[test]
fn window_is_over_from_its_end_on() {
    let window = Some(Window { starts_at: at(1), ends_at: at(2) });
    assert!(Window::check_not_over(window, at(1)).is_ok());
    assert!(Window::check_not_over(window, at(2)).is_err());
    assert!(Window::check_not_over(None, at(2)).is_ok());
}
