//! Changes requested by callers and changes made at the lock.

use super::*;
use crate::domain::access_code::lifecycle::rare_fields::{ExternalChange, ModifiedField, Unmanage, modified_fields};

fn entry(name: &str, code: &str, window: Option<(i64, i64)>) -> LockCode {
    let window = window.map(|(start, end)| Window { starts_at: at(start), ends_at: at(end) });
    LockCode { name: Some(name.to_owned()), code: code.to_owned(), window }
}

/// Returns an ongoing code that is on the lock.
fn code_on_lock() -> CodeState {
    ran(code(false, None), at(1))
}

fn text_change(from: &str, to: &str) -> (Option<String>, Option<String>) {
    (Some(from.to_owned()), Some(to.to_owned()))
}

fn kinds(ran: &Ran) -> Vec<DomainEvent> {
    ran.domain_events.iter().map(|(_, domain_event)| domain_event.clone()).collect()
}

#[test]
fn update_is_pending_per_property_until_the_lock_confirms() {
    let mut state = code_on_lock();
    let change = state.request_update(at(2), entry("other", "2468", None), false);
    assert_eq!(
        change,
        Change {
            name: Some(text_change("guest", "other")),
            code: Some(text_change("1357", "2468")),
            ..Change::default()
        }
    );
    let name = (at(2), PendingMutation::UpdatingName { from: Some("guest".to_owned()), to: Some("other".to_owned()) });
    let pin = (at(2), PendingMutation::UpdatingCode { from: "1357".to_owned(), to: "2468".to_owned() });
    assert_eq!(state.pending_mutations(), [name, pin.clone()]);
    assert_eq!(state.required_operation(), Some((Operation::Update, at(2))));
    assert_eq!((state.is_being_updated(), state.status(true)), (false, Set), "the lock has not started the operation");
    state.run_until(&LOCK, at(2));
    assert_eq!((state.is_being_updated(), state.status(true), state.status(false)), (true, Setting, Set));
    state.request_update(at(3), entry("guest", "2468", None), false);
    assert_eq!(state.pending_mutations(), [pin]);
    let ran = state.run_until(&LOCK, at(4));
    let confirmed = Change { code: Some(text_change("1357", "2468")), is_on_device: true, ..Change::default() };
    assert_eq!(ran.domain_events, [(after(3, 250), DomainEvent::Changed(confirmed))]);
    assert_eq!(
        (state.pending_mutations(), state.required_operation(), state.is_being_updated()),
        (vec![], None, false)
    );
}

#[test]
fn update_without_a_difference_changes_nothing() {
    let mut state = code_on_lock();
    let before = state.clone();
    assert!(state.request_update(at(2), entry("guest", "1357", None), true).is_empty());
    assert_eq!(state, before);
}

#[test]
fn update_of_a_code_not_on_the_lock_records_no_change() {
    let mut state = code(true, Some((100, 200)));
    state.request_update(at(1), entry("other", "2468", Some((100, 200))), true);
    assert_eq!(state.rare_fields.updating.since(), None);
    let ran = state.run_until(&LOCK, at(150));
    assert_eq!(ran.domain_events, [(after(28, 250), ScheduledOnDevice), (at(100), SetOnDevice)]);
}

#[test]
fn update_restarts_the_operation_in_progress() {
    let mut state = code(true, None);
    state.run_until(&LOCK, at(0));
    assert!(state.operation_started_at.is_some());
    state.rare_fields.slow_since = Some(at(0));
    state.request_update(after(0, 100), entry("guest", "2468", None), true);
    assert_eq!((state.operation_started_at, state.rare_fields.slow_since), (None, None));
    assert_eq!(state.run_until(&LOCK, at(1)).domain_events, [(after(0, 350), SetOnDevice)]);
}

#[test]
fn just_in_time_code_is_removed_when_its_start_moves_to_later() {
    let mut state = ran(code(false, Some((1, 10))), at(2));
    state.request_update(at(3), entry("guest", "1357", Some((100, 200))), false);
    assert_eq!(state.required_operation(), Some((Operation::Remove, at(3))));
    let ran = state.run_until(&LOCK, at(50));
    assert_eq!(ran.domain_events.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [after(3, 250); 2]);
    assert!(matches!(kinds(&ran)[..], [RemovedFromDevice, DomainEvent::Changed(Change { window: Some(_), .. })]));
    let deferred = (at(0), PendingMutation::DeferringCreation { scheduled_at: at(99) });
    assert_eq!((state.status(false), state.pending_mutations()), (Unset, vec![deferred]));
    assert_eq!(state.run_until(&LOCK, at(150)).domain_events, [(after(99, 250), SetOnDevice)]);
}

#[test]
fn just_in_time_code_stays_if_its_new_lead_begins_during_the_removal() {
    let mut state = ran(code(false, Some((1, 10))), at(2));
    let never = Lock { programming: None, slow_after: TimeDelta::days(365), ..LOCK };
    state.request_update(at(3), entry("guest", "1357", Some((100, 200))), false);
    state.run_until(&never, at(98));
    assert!(state.operation_started_at.is_some() && state.held.is_some(), "the removal is still in progress");
    state.run_until(&never, at(99));
    assert_eq!(
        state.required_operation().map(|(operation, _)| operation),
        Some(Operation::Update),
        "the lead time before the new start has begun"
    );
}

#[test]
fn native_scheduling_follows_an_added_or_removed_time_frame() {
    let mut state = ran(code(true, Some((1, 10))), at(2));
    assert!(state.is_scheduled_on_device());
    state.request_update(at(2), entry("guest", "1357", None), true);
    assert!(state.is_natively_scheduled && state.is_scheduled_on_device(), "unchanged until the lock confirms");
    state.run_until(&LOCK, at(3));
    assert!(!state.is_natively_scheduled && !state.is_scheduled_on_device());
    state.request_update(at(3), entry("guest", "1357", Some((5, 10))), true);
    assert_eq!((state.is_natively_scheduled, state.status(false)), (true, Set), "the lock has no time frame yet");
    let ran = state.run_until(&LOCK, at(4));
    assert!(matches!(kinds(&ran)[..], [DomainEvent::Changed(_)]));
    assert_eq!((state.status(false), state.is_scheduled_on_device()), (Unset, true));
    assert_eq!(state.run_until(&LOCK, at(6)).domain_events, [(at(5), SetOnDevice)]);
    let mut unheld = code(true, Some((100, 200)));
    unheld.request_update(at(1), entry("guest", "1357", None), true);
    assert!(!unheld.is_natively_scheduled);
}

#[test]
fn start_in_the_past_is_replaced_on_locks_that_reject_it() {
    let kwikset = Lock { past_start_lead: Some(TimeDelta::minutes(3)), ..LOCK };
    let mut state = code(true, Some((-1, 9)));
    let ran = state.run_until(&kwikset, at(1));
    let three_minutes = at(0) + TimeDelta::minutes(3);
    assert_eq!(ran.domain_events, [(after(0, 250), ScheduledOnDevice), (three_minutes, SetOnDevice)]);
    assert_eq!(state.held.as_ref().unwrap().window.unwrap().bounds(), (three_minutes, at(9)));
    assert_eq!(state.held.as_ref(), Some(&state.code_to_program()));
    assert_eq!((state.required_operation(), state.pending_mutations()), (None, vec![]), "as requested");
    state.is_natively_scheduled = false;
    assert_eq!(state.code_to_program(), state.requested, "only native scheduling replaces the start");
    state.is_natively_scheduled = true;
    // Other changes keep the start on the lock. A changed start is programmed anew.
    state.request_update(at(2), entry("other", "1357", Some((-1, 9))), true);
    state.run_until(&kwikset, at(3));
    assert_eq!(state.held.as_ref().unwrap().window.unwrap().starts_at, three_minutes);
    state.request_update(at(3), entry("other", "1357", Some((-1, 12))), true);
    assert_eq!(state.rare_fields.lock_starts_at, Some(three_minutes));
    state.request_update(at(3), entry("other", "1357", Some((2, 12))), true);
    assert_eq!(state.rare_fields.lock_starts_at, None);
    state.run_until(&kwikset, at(4));
    assert_eq!(state.held.as_ref().unwrap().window.unwrap().starts_at, at(3) + TimeDelta::minutes(3));
}

#[test]
fn start_in_the_past_stays_if_the_lock_has_or_accepts_it() {
    let kwikset = Lock { past_start_lead: Some(TimeDelta::minutes(3)), ..LOCK };
    let mut early = ran(code(true, Some((1, 9))), at(2));
    early.request_update(at(2), entry("other", "1357", Some((1, 9))), true);
    early.run_until(&kwikset, at(3));
    assert_eq!(early.held, Some(early.requested.clone()), "the lock stored the code before its start");
    for (state, lock) in [(code(true, Some((-1, 9))), LOCK), (code(false, Some((-1, 9))), kwikset)] {
        let mut state = state;
        state.run_until(&lock, at(1));
        assert_eq!((state.held, state.rare_fields.lock_starts_at), (Some(state.requested), None));
    }
    let mut ends_soon = code(true, None);
    let ends_at = at(0) + TimeDelta::minutes(2);
    ends_soon.requested.window = Some(Window { starts_at: at(-1), ends_at });
    ends_soon.is_natively_scheduled = true;
    ends_soon.run_until(&kwikset, at(0));
    assert_eq!(ends_soon.rare_fields.lock_starts_at, Some(ends_at), "the start must not be after the end");
    for (lead, starts_at, is_begun) in [(0, 0, false), (0, -1, true), (3, 0, true), (3, 1, false)] {
        assert_eq!(is_start_in_past(at(starts_at), TimeDelta::minutes(lead), at(0)), is_begun, "{lead} {starts_at}");
    }
}

fn external(state: &CodeState) -> Option<ExternalChange> {
    state.rare_fields.external.clone()
}

fn field(field: &str, from: &str, to: &str) -> ModifiedField {
    ModifiedField { field: field.to_owned(), from: Some(from.to_owned()), to: Some(to.to_owned()) }
}

#[test]
fn external_change_is_reverted_without_a_changed_event() {
    let mut state = code_on_lock();
    state.apply_external_change(at(2), Some(entry("guest", "9753", None)), false);
    let expected = ExternalChange {
        since: at(2),
        is_removed: false,
        modified_fields: vec![field("code", "1357", "9753")],
        is_honoured: false,
    };
    assert_eq!(external(&state), Some(expected));
    assert_eq!((state.status(false), state.required_operation()), (Setting, Some((Operation::Update, at(2)))));
    let pin = PendingMutation::UpdatingCode { from: "9753".to_owned(), to: "1357".to_owned() };
    assert_eq!(state.pending_mutations(), [(at(2), pin)]);
    assert_eq!(state.run_until(&LOCK, at(3)).domain_events, []);
    assert_eq!((external(&state), state.held.clone(), state.status(false)), (None, Some(state.requested.clone()), Set));
}

#[test]
fn external_changes_accumulate_and_cancel_each_other() {
    let mut state = code_on_lock();
    state.apply_external_change(at(2), Some(entry("guest", "9753", None)), false);
    state.apply_external_change(at(3), Some(entry("Bo", "8642", None)), false);
    let changed = external(&state).unwrap();
    assert_eq!(changed.since, at(2));
    assert_eq!(changed.modified_fields, [field("code", "1357", "8642"), field("name", "guest", "Bo")]);
    state.apply_external_change(at(4), Some(entry("guest", "1357", None)), false);
    assert_eq!((external(&state), state.status(false)), (None, Set));
    state.held = None;
    state.apply_external_change(at(5), Some(entry("Bo", "8642", None)), false);
    assert_eq!((state.held.clone(), external(&state)), (None, None), "a code not on the lock cannot change");
}

#[test]
fn external_change_becomes_the_requested_entry_if_it_is_allowed() {
    let mut state = code_on_lock();
    state.rare_fields.lock_starts_at = Some(at(0));
    state.apply_external_change(at(2), Some(entry("guest", "9753", None)), true);
    assert_eq!(state.requested.code, "9753");
    assert!(external(&state).unwrap().is_honoured);
    assert_eq!((state.status(false), state.pending_mutations(), state.required_operation()), (Set, vec![], None));
    assert_eq!(state.rare_fields.lock_starts_at, None);
    state.disallow_external_changes(at(3));
    assert_eq!((external(&state), state.requested.code.as_str()), (None, "9753"));
}

#[test]
fn external_removal_is_reverted_unless_it_is_allowed() {
    let mut state = code_on_lock();
    state.apply_external_change(at(2), None, false);
    let removed = ExternalChange { since: at(2), is_removed: true, modified_fields: vec![], is_honoured: false };
    assert_eq!(external(&state), Some(removed.clone()));
    assert_eq!((state.status(false), state.required_operation()), (Setting, Some((Operation::Set, at(2)))));
    assert_eq!(state.pending_mutations(), [(at(2), PendingMutation::Creating)]);
    assert_eq!(state.run_until(&LOCK, at(3)).domain_events, [(after(2, 250), SetOnDevice)]);
    let mut state = code_on_lock();
    state.apply_external_change(at(2), None, true);
    assert_eq!(external(&state), Some(ExternalChange { is_honoured: true, ..removed }));
    assert_eq!((state.status(false), state.required_operation(), state.pending_mutations()), (Unset, None, vec![]));
    assert_eq!(state.run_until(&LOCK, at(3)).domain_events, []);
    state.disallow_external_changes(at(4));
    assert_eq!(state.run_until(&LOCK, at(5)).domain_events, [(after(4, 250), SetOnDevice)]);
    let mut reverted = code_on_lock();
    reverted.apply_external_change(at(2), None, false);
    let before = reverted.clone();
    reverted.disallow_external_changes(at(3));
    assert_eq!(reverted, before, "the removal is already being reverted");
}

#[test]
fn external_change_of_the_start_records_set_on_device_only_once() {
    let moved = |hours| {
        let mut state = ran(code(true, Some((1, 50))), at(hours));
        state.apply_external_change(at(hours), Some(entry("guest", "1357", Some((20, 50)))), false);
        state.run_until(&LOCK, at(hours + 1)).domain_events
    };
    assert_eq!(moved(5), [], "set_on_device was recorded before");
    let mut early = ran(code(true, Some((10, 50))), at(1));
    early.apply_external_change(at(2), Some(entry("guest", "1357", Some((20, 50)))), false);
    assert_eq!(early.run_until(&LOCK, at(15)).domain_events, [(at(10), SetOnDevice)]);
}

#[test]
fn convert_to_unmanaged_waits_until_the_code_is_on_the_lock() {
    let id = Uuid::from_u128(7);
    let mut state = code_on_lock();
    state.rare_fields.external =
        Some(ExternalChange { since: at(0), is_removed: false, modified_fields: vec![], is_honoured: true });
    state.request_update(at(1), entry("other", "1357", None), false);
    assert!(state.request_conversion_to_unmanaged(at(2), id));
    assert!(!state.is_managed && !state.requested_unmanage(id));
    assert_eq!(state.requested.name.as_deref(), Some("guest"), "the code has the values that the lock stores");
    assert_eq!((state.status(false), state.required_operation(), state.pending_mutations()), (Set, None, vec![]));
    assert_eq!((state.rare_fields.updating.since(), external(&state)), (None, None));
    let mut state = code(true, None);
    assert!(!state.request_conversion_to_unmanaged(at(0), id));
    assert!(state.is_managed && state.requested_unmanage(id) && !state.requested_unmanage(Uuid::nil()));
    let ran = state.run_until(&LOCK, at(1));
    assert_eq!(ran.domain_events, [(after(0, 250), SetOnDevice), (after(0, 250), DomainEvent::Unmanaged)]);
    assert!(!state.is_managed);
    assert_eq!(state.rare_fields.unmanage, Some(Unmanage { action_attempt_ids: vec![id] }), "the ids are stored");
}

#[test]
fn unmanaged_code_is_set_in_its_time_frame_and_ends_without_an_operation() {
    let mut state = ran(code(true, Some((5, 9))), at(1));
    state.convert_to_unmanaged(at(1));
    let unreachable = Lock { reachable_since: None, unreachable_since: Some(at(1)), ..LOCK };
    assert_eq!((state.status(false), state.is_scheduled_on_device()), (Unset, true));
    assert_eq!(state.run_until(&unreachable, at(6)).domain_events, []);
    assert_eq!((state.status(false), state.removing_since()), (Set, None));
    assert_eq!(state.run_until(&unreachable, at(10)).domain_events, [(at(9), DomainEvent::UnmanagedRemoved)]);
    assert_eq!(state.gone_at, Some(at(9)));
    let mut deleted = ran(code(true, Some((5, 9))), at(1));
    deleted.convert_to_unmanaged(at(1));
    deleted.request_deletion(at(2));
    assert_eq!(deleted.removing_since(), Some(at(2)));
    let mut on_offline_lock = deleted.clone();
    assert_eq!(deleted.run_until(&LOCK, at(3)).domain_events, [(after(2, 250), DomainEvent::UnmanagedRemoved)]);
    let ran = on_offline_lock.run_until(&unreachable, at(10));
    assert_eq!(kinds(&ran), [DomainEvent::FailedToRemove, DomainEvent::UnmanagedRemoved]);
    assert_eq!(on_offline_lock.gone_at, Some(at(9)), "the lock removes the code at its end");
}

#[test]
fn convert_to_managed_schedules_a_code_with_a_time_frame_natively() {
    for (window, native) in [(Some((5, 9)), true), (None, false)] {
        let mut state = ran(code(true, window), at(1));
        state.convert_to_unmanaged(at(1));
        state.is_natively_scheduled = false;
        state.convert_to_managed(at(2));
        assert_eq!((state.is_managed, state.is_natively_scheduled, state.as_of), (true, native, at(2)));
        assert_eq!(state.required_operation(), None);
    }
}

#[test]
fn modified_fields_lists_differing_properties_by_seams_names() {
    let none = modified_fields(&entry("a", "1357", None), &entry("a", "1357", None));
    assert_eq!(none, []);
    let fields = modified_fields(&entry("a", "1357", Some((1, 2))), &entry("b", "2468", Some((3, 4))));
    assert_eq!(
        fields.iter().map(|field| field.field.as_str()).collect::<Vec<_>>(),
        ["name", "code", "starts_at", "ends_at"]
    );
    let ends = modified_fields(&entry("a", "1357", None), &entry("a", "1357", Some((3, 4))));
    assert_eq!(
        ends[0],
        ModifiedField { field: "starts_at".to_owned(), from: None, to: Some("2026-03-01T03:00:00.000Z".to_owned()) }
    );
    assert_eq!(ends.len(), 2);
}
