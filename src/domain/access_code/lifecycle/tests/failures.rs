//! Failures and delays of operations, and the end of codes.

use super::*;
use crate::domain::access_code::lifecycle::rare_fields::{Failure, OperationError};

/// Lock whose operations are completed by hand.
const BY_HAND: Lock = Lock { programming: None, ..LOCK };

fn fail(error_code: Option<&str>) -> OperationError {
    OperationError { error_code: error_code.map(str::to_owned), ..OperationError::default() }
}

/// Starts the next operation and makes it fail. Returns the domain events.
fn run_failing_operation(state: &mut CodeState, at: Timestamp, fail: OperationError) -> Vec<DomainEvent> {
    let mut domain_events = Vec::new();
    state.apply(&LOCK, at, Step::Begin, (None, None), &mut domain_events);
    state.apply(&LOCK, at, Step::Confirm, (None, Some(fail)), &mut domain_events);
    domain_events.into_iter().map(|(_, domain_event)| domain_event).collect()
}

fn failure(state: &CodeState) -> &Failure {
    state.rare_fields.failure.as_ref().unwrap()
}

#[test]
fn slow_operation_is_reported_once() {
    let mut state = code(true, None);
    let minute = at(0) + TimeDelta::minutes(1);
    assert_eq!(state.run_until(&BY_HAND, at(9)).domain_events, [(minute, DomainEvent::DelayInSetting)]);
    assert_eq!((state.rare_fields.slow_since, state.next(&BY_HAND)), (Some(minute), None));
    let mut domain_events = Vec::new();
    state.apply(&BY_HAND, at(9), Step::Confirm, (None, None), &mut domain_events);
    assert_eq!((domain_events, state.rare_fields.slow_since), (vec![(at(9), SetOnDevice)], None));
}

#[test]
fn slow_removal_is_reported_as_failed_and_continues() {
    let mut state = ran(code(true, None), at(1));
    state.request_deletion(at(2));
    let minute = at(2) + TimeDelta::minutes(1);
    assert_eq!(state.run_until(&BY_HAND, at(9)).domain_events, [(minute, DomainEvent::FailedToRemove)]);
    let Failure { error_code, since, attempts, retry_at, is_final, .. } = failure(&state).clone();
    assert_eq!((error_code.as_str(), since), ("failed_to_remove_from_device", minute));
    assert_eq!((attempts, retry_at, is_final), (0, None, false), "no attempt has failed");
    let mut domain_events = Vec::new();
    state.apply(&BY_HAND, at(9), Step::Confirm, (None, None), &mut domain_events);
    assert_eq!((domain_events, state.rare_fields.failure), (vec![(at(9), RemovedFromDevice), (at(9), Deleted)], None));
}

#[test]
fn removal_from_an_unreachable_lock_is_reported_as_failed_at_once() {
    let since = |unreachable_since: Option<i64>| {
        let lock = Lock { reachable_since: None, unreachable_since: unreachable_since.map(at), ..LOCK };
        let mut state = ran(code(true, None), at(1));
        state.request_deletion(at(2));
        state.run_until(&lock, at(9)).domain_events
    };
    assert_eq!(since(Some(1)), [(at(2), DomainEvent::FailedToRemove)]);
    assert_eq!(since(Some(3)), [(at(3), DomainEvent::FailedToRemove)]);
    assert_eq!(since(None), [(at(2), DomainEvent::FailedToRemove)]);
    let offline = Lock { reachable_since: None, ..LOCK };
    let mut never_held = code(true, None);
    never_held.request_deletion(at(2));
    assert_eq!(never_held.run_until(&offline, at(9)).domain_events, []);
    assert_eq!(never_held.run_until(&BY_HAND, at(19)).domain_events, [], "there is nothing to remove");
    let mut new = code(true, None);
    assert_eq!(new.run_until(&offline, at(9)).domain_events, [], "no delay while the lock is unreachable");
    let back = Lock { reachable_since: Some(at(10)), ..BY_HAND };
    let minute = at(10) + TimeDelta::minutes(1);
    assert_eq!(new.run_until(&back, at(19)).domain_events, [(minute, DomainEvent::DelayInSetting)]);
}

#[test]
fn retry_delay_doubles_up_to_ten_minutes() {
    let mut state = code(true, None);
    let mut now = at(0);
    for (attempts, seconds) in [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 600), (8, 600)] {
        let domain_events = run_failing_operation(&mut state, now, fail(None));
        assert_eq!(domain_events.len(), usize::from(attempts == 1), "only the first failure has an event");
        assert_eq!((failure(&state).attempts, failure(&state).since), (attempts, at(0)));
        assert_eq!(failure(&state).retry_at, Some(now + TimeDelta::seconds(seconds)));
        let (next, step) = state.next(&LOCK).unwrap();
        assert_eq!((next, step), (now + TimeDelta::seconds(seconds), Step::Begin));
        assert!(state.is_retry(step, at(99)));
        now = next;
    }
    state.run_until(&LOCK, now + TimeDelta::seconds(1));
    assert_eq!((state.rare_fields.failure.as_ref(), state.status(false)), (None, Set));
}

#[test]
fn failure_has_the_default_code_and_message_unless_they_are_given() {
    let mut state = code(true, None);
    assert_eq!(run_failing_operation(&mut state, at(0), fail(None)), [DomainEvent::FailedToSet]);
    assert_eq!(failure(&state).error_code, "failed_to_set_on_device");
    assert_eq!(failure(&state).message, "The access code could not be set on the device. Seam keeps trying.");
    let other = OperationError { message: Some("A bad day.".to_owned()), ..fail(Some("bad_day")) };
    assert_eq!(run_failing_operation(&mut state, at(1), other), [DomainEvent::FailedToSet], "a new error has an event");
    assert_eq!((failure(&state).message.as_str(), failure(&state).since), ("A bad day.", at(1)));
    let mut removed = ran(code(true, None), at(1));
    removed.request_deletion(at(2));
    assert_eq!(run_failing_operation(&mut removed, at(2), fail(None)), [DomainEvent::FailedToRemove]);
    assert_eq!(failure(&removed).error_code, "failed_to_remove_from_device");
    assert_eq!(failure(&removed).message, "The access code could not be removed from the device. Seam keeps trying.");
}

#[test]
fn pin_that_violates_the_code_constraints_is_not_retried() {
    let mut state = code(true, None);
    run_failing_operation(&mut state, at(0), fail(Some("code_constraints_violated")));
    assert!(failure(&state).is_final);
    assert_eq!(state.next(&LOCK), None);
    state.request_deletion(at(1));
    assert_eq!(state.run_until(&LOCK, at(2)).domain_events, [(after(1, 250), Deleted)]);
    let mut removed = ran(code(true, None), at(1));
    removed.request_deletion(at(2));
    run_failing_operation(&mut removed, at(2), fail(Some("code_constraints_violated")));
    assert!(!failure(&removed).is_final, "removals are retried without limit");
}

#[test]
fn try_again_makes_the_retry_due_at_once_and_resets_the_attempts() {
    let mut state = code(true, None);
    state.retry_now(at(0));
    assert_eq!(state.rare_fields.failure, None);
    for hours in 0..3 {
        run_failing_operation(&mut state, at(hours), fail(Some("no_space_for_access_code_on_device")));
    }
    assert!(failure(&state).is_blocked());
    state.retry_now(at(3));
    assert_eq!((failure(&state).attempts, failure(&state).retry_at), (0, Some(at(3))));
    assert!(!state.is_retry(Step::Begin, at(99)), "the blocked code is due at once, which is not a retry");
    let mut slow = ran(code(true, None), at(1));
    slow.request_deletion(at(2));
    slow.run_until(&BY_HAND, at(9));
    let before = slow.clone();
    slow.retry_now(at(10));
    assert_eq!(slow, before, "no further attempt is scheduled");
}

#[test]
fn is_retry_is_false_if_the_code_ends_by_then() {
    let failed = |window| {
        let mut state = code(true, window);
        run_failing_operation(&mut state, at(0), fail(None));
        state
    };
    assert!(!code(true, None).is_retry(Step::Begin, at(99)));
    for step in [Step::Begin, Step::Confirm] {
        assert!(failed(None).is_retry(step, at(99)));
        assert!(failed(Some((0, 100))).is_retry(step, at(99)));
        assert!(!failed(Some((0, 99))).is_retry(step, at(99)));
    }
    assert!(!failed(None).is_retry(Step::Slow, at(99)));
    let mut being_removed = ran(code(true, Some((0, 50))), at(1));
    being_removed.request_deletion(at(2));
    run_failing_operation(&mut being_removed, at(2), fail(None));
    assert!(being_removed.is_retry(Step::Begin, at(99)), "the end has no effect on a code that is being removed");
}

#[test]
fn fault_delays_an_operation_or_fails_it_or_never_finishes_it() {
    let started = |injected_outcome: FaultOutcome| {
        let mut state = code(true, None);
        state.apply(&LOCK, at(0), Step::Begin, (Some(injected_outcome), None), &mut Vec::new());
        state
    };
    let minute = at(0) + TimeDelta::minutes(1);
    let mut never = started(FaultOutcome::Never);
    assert_eq!(never.run_until(&LOCK, at(9)).domain_events, [(minute, DomainEvent::DelayInSetting)]);
    let mut late = started(FaultOutcome::Delay("PT30S".to_owned()));
    assert_eq!(late.run_until(&LOCK, at(9)).domain_events, [(at(0) + TimeDelta::seconds(30), SetOnDevice)]);
    let mut by_hand = started(FaultOutcome::Delay("PT30S".to_owned()));
    assert_eq!(by_hand.run_until(&BY_HAND, at(9)).domain_events, [(at(0) + TimeDelta::seconds(30), SetOnDevice)]);
    let mut failing = started(FaultOutcome::Fail(fail(Some("bad_day"))));
    assert_eq!(
        failing.run_until(&LOCK, at(0) + TimeDelta::seconds(5)).domain_events,
        [(after(0, 250), DomainEvent::FailedToSet)]
    );
    assert_eq!(
        (failure(&failing).error_code.as_str(), failing.rare_fields.injected_outcome.clone()),
        ("bad_day", None)
    );
    assert_eq!(failing.run_until(&LOCK, at(1)).domain_events.len(), 1, "the next attempt has no injected outcome");
}

#[test]
fn break_off_aborts_the_operation_until_the_lock_is_back_online() {
    let mut state = code(true, None);
    state.apply(&LOCK, at(0), Step::Begin, (Some(FaultOutcome::Never), None), &mut Vec::new());
    state.abort_operation();
    assert_eq!((state.operation_started_at, state.rare_fields.injected_outcome.clone()), (None, None));
    let back = Lock { reachable_since: Some(at(5)), ..LOCK };
    assert_eq!(state.run_until(&back, at(9)).domain_events, [(after(5, 250), SetOnDevice)]);
}

#[test]
fn expired_code_stays_visible_if_the_workspace_keeps_expired_codes() {
    let keeping_lock = Lock { keeps_expired: true, ..LOCK };
    let mut state = code(true, Some((1, 5)));
    let ended = state.run_until(&keeping_lock, at(9)).domain_events;
    assert_eq!(ended.last(), Some(&(after(5, 250), RemovedFromDevice)));
    assert!(state.rare_fields.has_expired);
    assert_eq!((state.gone_at, state.status(false), state.next(&keeping_lock)), (None, Unset, None));
    assert_eq!((state.required_operation(), state.pending_mutations(), state.removing_since()), (None, vec![], None));
    state.request_deletion(at(10));
    assert_eq!((state.status(false), state.removing_since()), (Removing, Some(at(10))));
    assert_eq!(state.run_until(&keeping_lock, at(11)).domain_events, [(after(10, 250), Deleted)]);
    let mut deleted = code(true, Some((1, 5)));
    deleted.run_until(&keeping_lock, at(2));
    deleted.request_deletion(at(2));
    deleted.run_until(&keeping_lock, at(9));
    assert_eq!((deleted.gone_at, deleted.rare_fields.has_expired), (Some(after(2, 250)), false));
}

#[test]
fn removing_since_is_the_earlier_of_deletion_and_end() {
    let mut state = ran(code(true, Some((1, 5))), at(3));
    assert_eq!(state.removing_since(), None);
    state.deletion_requested_at = Some(at(4));
    assert_eq!(state.removing_since(), Some(at(4)));
    state.as_of = at(5);
    assert_eq!(state.removing_since(), Some(at(4)));
    state.deletion_requested_at = Some(at(6));
    assert_eq!(state.removing_since(), Some(at(5)));
}

#[test]
fn expire_clears_the_failure_and_the_delay() {
    let mut state = code(true, Some((-1, 5)));
    run_failing_operation(&mut state, at(0), fail(None));
    state.rare_fields.slow_since = Some(at(0));
    state.apply(&LOCK, at(5), Step::Expire, (None, None), &mut Vec::new());
    assert_eq!(
        (state.rare_fields.failure.clone(), state.rare_fields.slow_since, state.operation_started_at),
        (None, None, None)
    );
}

#[test]
fn assigned_pin_is_recorded_before_the_code_is_set() {
    let mut state = code(true, None);
    state.rare_fields.awaits_code = true;
    let change = Change { code: Some((None, Some("1357".to_owned()))), ..Change::default() };
    let expected = [(after(0, 250), DomainEvent::Changed(change)), (after(0, 250), SetOnDevice)];
    assert_eq!(state.clone().run_until(&LOCK, at(1)).domain_events, expected);
    let offline = Lock { reachable_since: None, ..LOCK };
    assert_eq!(state.clone().run_until(&offline, at(1)).domain_events, expected[..1], "even on an offline lock");
    let unassigned = state.run_until(&BY_HAND, at(1)).domain_events;
    assert_eq!(unassigned, [(at(0) + TimeDelta::minutes(1), DomainEvent::DelayInSetting)]);
    assert!(state.rare_fields.awaits_code && state.next(&LOCK).is_some_and(|(_, step)| step == Step::Assign));
    state.request_deletion(at(2));
    assert_eq!(state.run_until(&LOCK, at(3)).domain_events, [(after(2, 250), Deleted)]);
}

#[test]
fn offline_code_needs_no_reachable_lock_to_be_set_or_to_end() {
    let unreachable = Lock { reachable_since: None, unreachable_since: Some(at(0)), ..LOCK };
    let mut state = CodeState { is_offline: true, ..code(true, Some((100, 200))) };
    assert_eq!(state.programming_due_at(), at(0));
    let ran = state.run_until(&unreachable, at(150));
    assert_eq!(ran.domain_events, [(at(100), SetOnDevice)]);
    assert_eq!((state.first_held_at, state.status(false)), (Some(after(0, 250)), Set));
    assert_eq!(state.run_until(&unreachable, at(300)).domain_events, [(at(200), Deleted)]);
    let keeping_lock = Lock { keeps_expired: true, ..unreachable };
    let mut expired = CodeState { is_offline: true, ..code(true, Some((100, 200))) };
    assert_eq!(expired.run_until(&keeping_lock, at(300)).domain_events, [(at(100), SetOnDevice)]);
    assert_eq!((expired.rare_fields.has_expired, expired.gone_at, expired.held), (true, None, None));
    let mut deleted = CodeState { is_offline: true, ..code(true, Some((100, 200))) };
    deleted.run_until(&unreachable, at(50));
    assert_eq!(deleted.status(false), Unset, "the code waits for its start");
    let mut not_native = CodeState { is_offline: true, ..code(false, Some((100, 200))) };
    not_native.run_until(&unreachable, at(50));
    assert_eq!((not_native.held.is_some(), not_native.status(false)), (true, Unset), "not native");
    deleted.request_deletion(at(50));
    assert_eq!(deleted.run_until(&unreachable, at(60)).domain_events, [(after(50, 250), Deleted)]);
}

#[test]
fn gone_code_has_no_next_step() {
    let mut state = code(true, Some((100, 200)));
    state.gone_at = Some(at(1));
    assert_eq!((state.next(&LOCK), state.required_operation()), (None, None));
}
