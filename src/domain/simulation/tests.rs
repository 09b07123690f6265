use super::*;
use crate::domain::access_code::lifecycle::rare_fields::{CODE_CONSTRAINTS_VIOLATED, Failure, OperationError};
use crate::domain::access_code::lifecycle::{FaultOutcome, LockCode, Status};
use crate::domain::device::Device;
use crate::domain::samples::{access_code, at, device, entry, held, locked, window};
use serde_json::json;

const ALL_CODES: Phase<'static> = (Pace::Usual, &|_| true);

/// Result of a run over the codes of one lock.
struct RunResult {
    codes: Vec<AccessCode>,
    events: Vec<(&'static str, Uuid)>,
    steps: Steps,
    faults: Vec<Fault>,
    backups: i64,
}

/// Lock with its memory and the faults of its operations.
struct TestLock {
    locked: LockedDevice,
    faults: Vec<Fault>,
    memory: Memory,
}

fn scene(device: Device) -> TestLock {
    TestLock { locked: locked(device), faults: Vec::new(), memory: Memory::default() }
}

impl TestLock {
    fn holding(mut self, codes: &[AccessCode]) -> Self {
        let in_memory = |code: &AccessCode| {
            let pin = code.state.held.as_ref()?.code.clone();
            Some(CodeInMemory { access_code_id: code.access_code_id, is_managed: code.state.is_managed, code: pin })
        };
        let held: Vec<CodeInMemory> = codes.iter().filter_map(in_memory).collect();
        if self.locked.device.capacity().is_some() {
            self.memory.counts.insert(self.locked.device.device_id, i64::try_from(held.len()).unwrap());
        }
        self.memory.held.insert(self.locked.device.device_id, held);
        self
    }

    fn run(
        self,
        mut codes: Vec<AccessCode>,
        phase: Phase<'_>,
        hours: i64,
        (stop_when, max_steps): (StopWhen, u64),
    ) -> RunResult {
        let devices = [self.locked];
        let mut simulation = Simulation::new(&devices, (self.faults, self.memory), LockedGrants::default(), at(0));
        let mut run = Run::new(&simulation, &codes, phase, |_| at(hours), stop_when);
        let mut events = Vec::new();
        let is_done = run.run_steps(&mut simulation, &mut codes, &mut events, max_steps);
        assert_eq!(is_done, run.steps.taken < max_steps, "a run is incomplete only if it used all allowed steps");
        let events = events.iter().map(|event| (event.event_type, event.access_code_id.unwrap())).collect();
        let faults = simulation.faults().to_vec();
        let backups = simulation.into_parts().0[&devices[0].device.device_id];
        RunResult { codes, events, steps: run.steps, faults, backups }
    }
}

const TO_THE_END: (StopWhen, u64) = (StopWhen::TimeIsReached, 1000);

fn fault(operation: &str, outcome: FaultOutcome, times: Option<i32>) -> Fault {
    Fault {
        fault_id: Uuid::nil(),
        workspace_id: Uuid::from_u128(2),
        operation: operation.to_owned(),
        device_id: None,
        device_type: None,
        outcome,
        after: 0,
        times,
        seen: 0,
        created_at: at(0),
        has_changed: false,
    }
}

fn error_of(code: &AccessCode) -> Option<&str> {
    code.state.rare_fields.failure.as_ref().map(|failure| failure.error_code.as_str())
}

#[test]
fn run_takes_the_steps_of_all_codes_in_the_order_of_their_instants() {
    let lock = device("august_lock", json!({}));
    let codes =
        vec![access_code(1, &lock, entry("1357", Some(window(100, 200)))), access_code(2, &lock, entry("2468", None))];
    let ids = codes.iter().map(|code| code.access_code_id).collect::<Vec<_>>();
    let ran = scene(lock.clone()).run(codes.clone(), ALL_CODES, 150, TO_THE_END);
    let expected = [
        ("access_code.set_on_device", ids[1]),
        ("access_code.scheduled_on_device", ids[0]),
        ("access_code.set_on_device", ids[0]),
    ];
    assert_eq!(ran.events, expected);
    assert_eq!(ran.codes.iter().map(|code| code.state.status(false)).collect::<Vec<_>>(), [Status::Set; 2]);
    // `Begin` and `Confirm` for both codes, and `ProgrammingDue` and `Start` for the first one.
    assert_eq!((ran.steps.taken, ran.steps.last), (6, Some(at(100))));
    let ran = scene(lock).run(codes, ALL_CODES, 150, (StopWhen::TimeIsReached, 2));
    assert_eq!((ran.steps.taken, ran.events), (2, expected[..1].to_vec()), "at most the allowed number of steps");
}

#[test]
fn run_skips_codes_outside_the_phase_and_steps_due_later() {
    let lock = device("august_lock", json!({}));
    let codes = vec![access_code(1, &lock, entry("1357", None)), access_code(2, &lock, entry("2468", None))];
    let second: Phase<'_> = (Pace::Immediate, &|code| code.sequence == 2);
    let ran = scene(lock).run(codes, second, 0, TO_THE_END);
    assert_eq!(ran.events.len(), 1);
    assert!(ran.codes[0].state.held.is_none() && ran.codes[1].state.held.is_some(), "only the second code");
    let lock = device("august_lock", json!({}));
    let ran = scene(lock.clone()).run(vec![access_code(1, &lock, entry("1357", None))], ALL_CODES, 0, TO_THE_END);
    assert_eq!((ran.steps.taken, ran.events.len()), (1, 0), "the operation has begun, but is not confirmed");
}

#[test]
fn run_steps_stored_codes_before_new_ones_and_removals_first() {
    let lock = device("august_lock", json!({ "max_active_codes_supported": 1 }));
    let new = AccessCode { sequence: 0, ..access_code(1, &lock, entry("1357", None)) };
    let stored = access_code(2, &lock, entry("2468", None));
    let first = scene(lock.clone()).holding(&[]).run(vec![new.clone(), stored.clone()], ALL_CODES, 0, TO_THE_END);
    assert_eq!(first.steps.taken, 2);
    let ran = scene(lock.clone()).holding(&[]).run(vec![new.clone(), stored], ALL_CODES, 1, (StopWhen::Idle, 1000));
    assert_eq!(ran.codes.iter().map(|code| code.state.held.is_some()).collect::<Vec<_>>(), [false, true]);
    let mut being_removed = held(3, &lock, entry("9753", None));
    being_removed.state.request_deletion(at(0));
    let codes = vec![access_code(1, &lock, entry("1357", None)), being_removed];
    let ran = scene(lock).holding(&codes).run(codes, ALL_CODES, 1, (StopWhen::Idle, 1000));
    assert_eq!(
        ran.events.iter().map(|(event_type, _)| *event_type).collect::<Vec<_>>(),
        ["access_code.removed_from_device", "access_code.deleted", "access_code.set_on_device",]
    );
}

#[test]
fn full_lock_stores_a_code_as_soon_as_another_is_removed() {
    let lock = device("august_lock", json!({ "max_active_codes_supported": 1 }));
    let codes = vec![held(1, &lock, entry("1357", Some(window(0, 5)))), access_code(2, &lock, entry("2468", None))];
    let until_idle = scene(lock.clone()).holding(&codes).run(codes.clone(), ALL_CODES, 4, (StopWhen::Idle, 1000));
    assert_eq!(error_of(&until_idle.codes[1]), Some("no_space_for_access_code_on_device"));
    assert!(until_idle.steps.last < Some(at(1)), "a run with only retries left is idle");
    let ran = scene(lock.clone()).holding(&codes).run(codes.clone(), ALL_CODES, 4, TO_THE_END);
    assert_eq!(error_of(&ran.codes[1]), Some("no_space_for_access_code_on_device"));
    assert!(ran.steps.last > Some(at(3)), "the code is retried until the end of the run");
    let ran = scene(lock).holding(&codes).run(codes, ALL_CODES, 6, (StopWhen::Idle, 1000));
    assert!(ran.codes[0].state.gone_at.is_some() && ran.codes[1].state.held.is_some());
    let set_at = ran.codes[1].state.first_held_at.unwrap();
    // The first code is removed after one second. The second one is retried at once and set after another second.
    assert_eq!(set_at, at(5) + TimeDelta::seconds(2));
}

#[test]
fn retry_skips_codes_outside_the_phase_and_on_other_locks() {
    let lock = device("august_lock", json!({ "max_active_codes_supported": 1 }));
    let mut being_removed = held(1, &lock, entry("1357", None));
    being_removed.state.request_deletion(at(0));
    let blocked = |number, hours| {
        let mut code = access_code(number, &lock, entry("2468", None));
        code.state.rare_fields.failure = Some(Failure {
            error_code: "no_space_for_access_code_on_device".to_owned(),
            message: String::new(),
            since: at(0),
            attempts: 3,
            retry_at: Some(at(hours)),
            is_final: false,
            duplicate_of: None,
        });
        code
    };
    let codes =
        vec![being_removed, blocked(2, 9), blocked(3, 9), AccessCode { device_id: Uuid::nil(), ..blocked(4, 9) }];
    let phase: Phase<'_> = (Pace::Usual, &|code| code.sequence != 3);
    let ran = scene(lock).holding(&codes).run(codes, phase, 1, TO_THE_END);
    assert!(ran.codes[1].state.held.is_some());
    for code in &ran.codes[2..] {
        assert_eq!(code.state.rare_fields.failure.as_ref().unwrap().retry_at, Some(at(9)));
    }
}

#[test]
fn duplicate_pin_is_set_after_the_other_code_is_removed() {
    let lock = device("august_lock", json!({}));
    let mut being_removed = held(1, &lock, entry("1357", Some(window(0, 5))));
    being_removed.state.is_managed = true;
    let codes = vec![being_removed, access_code(2, &lock, entry("1357", None))];
    let ran = scene(lock.clone()).holding(&codes).run(codes.clone(), ALL_CODES, 1, TO_THE_END);
    let failure = ran.codes[1].state.rare_fields.failure.clone().unwrap();
    assert_eq!(failure.error_code, "duplicate_code_on_device");
    let duplicate = failure.duplicate_of.unwrap();
    assert_eq!((duplicate.access_code_id, duplicate.is_managed), (codes[0].access_code_id, true));
    let ran = scene(lock).holding(&codes).run(codes, ALL_CODES, 6, TO_THE_END);
    assert_eq!(error_of(&ran.codes[1]), None);
    assert!(ran.codes[1].state.held.is_some());
}

#[test]
fn lock_rejects_a_pin_that_violates_its_rules_unless_already_stored() {
    let lock = device("nuki_lock", json!({}));
    let codes = vec![access_code(1, &lock, entry("103579", None))];
    let ran = scene(lock.clone()).run(codes, ALL_CODES, 1, TO_THE_END);
    let failure = ran.codes[0].state.rare_fields.failure.clone().unwrap();
    assert_eq!((failure.error_code.as_str(), failure.is_final), (CODE_CONSTRAINTS_VIOLATED, true));
    let mut renamed = held(1, &lock, entry("103579", None));
    renamed.state.request_update(at(0), LockCode { name: None, ..entry("103579", None) }, false);
    let codes = vec![renamed];
    let ran = scene(lock.clone()).holding(&codes).run(codes, ALL_CODES, 1, TO_THE_END);
    assert_eq!(error_of(&ran.codes[0]), None);
    let mut offline = access_code(1, &lock, entry("103579", None));
    offline.state.is_offline = true;
    assert_eq!(Memory::default().obstacle(&lock, &offline, 0), None, "the manufacturer chose the PIN");
}

#[test]
fn backup_code_uses_only_space_that_guest_codes_never_need() {
    let lock = device("august_lock", json!({ "max_active_codes_supported": 2 }));
    let mut backup = access_code(1, &lock, entry("1357", None));
    backup.pool_device_id = Some(lock.device_id);
    let guest = access_code(2, &lock, entry("2468", Some(window(500, 600))));
    let is_full = |windows: &[(u8, i64, i64)], spares| {
        let guest_codes =
            windows.iter().map(|(id, from, to)| (Uuid::from_u128((*id).into()), window(*from, *to).bounds()));
        let memory = Memory {
            counts: [(lock.device_id, 0)].into(),
            guest_codes: [(lock.device_id, guest_codes.collect())].into(),
            ..Memory::default()
        };
        memory.obstacle(&lock, &backup, spares).is_some()
    };
    assert!(!is_full(&[], 0) && !is_full(&[], 1) && is_full(&[], 2));
    assert!(!is_full(&[(1, 0, 5)], 0) && is_full(&[(1, 0, 5)], 1));
    assert!(is_full(&[(1, 0, 5), (2, 3, 8)], 0), "two codes at the same time");
    assert!(!is_full(&[(1, 0, 5), (2, 6, 8)], 0), "two codes one after the other");
    // For a guest code, only the codes on the lock count.
    let memory = Memory {
        counts: [(lock.device_id, 1)].into(),
        guest_codes: [(
            lock.device_id,
            [(Uuid::nil(), window(0, 5).bounds()), (Uuid::max(), window(0, 5).bounds())].into(),
        )]
        .into(),
        ..Memory::default()
    };
    assert_eq!(memory.obstacle(&lock, &guest, 5), None);
    assert!(memory.obstacle(&lock, &backup, 0).is_some());
    // The space reserved for a guest code becomes free when the code is gone, even if the lock never stored it.
    let mut memory = memory;
    let mut gone = AccessCode { access_code_id: Uuid::max(), ..guest };
    memory.forget_gone_guest(&gone);
    assert!(memory.obstacle(&lock, &backup, 0).is_some());
    gone.state.gone_at = Some(at(1));
    memory.forget_gone_guest(&gone);
    assert_eq!(memory.obstacle(&lock, &backup, 0), None);
}

#[test]
fn memory_changed_updates_the_content_and_reports_freed_space_or_pin() {
    let lock = device("august_lock", json!({}));
    let mut memory = Memory { counts: [(lock.device_id, 1)].into(), ..Memory::default() };
    let mut code = held(1, &lock, entry("1357", None));
    assert!(!memory.update_entry(&code, None));
    assert_eq!(memory.counts[&lock.device_id], 2);
    let before = code.state.held.replace(entry("2468", None));
    assert!(memory.update_entry(&code, before.as_ref()), "the old PIN is free");
    assert_eq!(memory.counts[&lock.device_id], 2);
    let before = code.state.held.replace(LockCode { name: None, ..entry("2468", None) });
    assert!(!memory.update_entry(&code, before.as_ref()));
    let held: Vec<_> =
        memory.held[&lock.device_id].iter().map(|entry| (entry.access_code_id, entry.code.as_str())).collect();
    assert_eq!(held, [(code.access_code_id, "2468")]);
    let before = code.state.held.take();
    assert!(memory.update_entry(&code, before.as_ref()));
    assert_eq!((memory.counts[&lock.device_id], memory.held[&lock.device_id].len()), (1, 0));
    code.state.is_offline = true;
    assert!(!memory.update_entry(&code, before.as_ref()));
}

#[test]
fn fault_applies_to_the_starting_operation_of_its_name() {
    let lock = device("august_lock", json!({}));
    let fail =
        FaultOutcome::Fail(OperationError { error_code: Some("bad_day".to_owned()), ..OperationError::default() });
    let mut updated = held(2, &lock, entry("2468", None));
    updated.state.request_update(at(0), entry("9753", None), false);
    let mut deleted = held(3, &lock, entry("8642", None));
    deleted.state.request_deletion(at(0));
    let mut backup = access_code(4, &lock, entry("3579", None));
    backup.state.is_backup = true;
    let codes = vec![access_code(1, &lock, entry("1357", None)), updated, deleted, backup];
    for (index, operation) in ["set", "update", "remove", "refill"].into_iter().enumerate() {
        let mut scene = scene(lock.clone()).holding(&codes);
        scene.faults = vec![fault(operation, fail.clone(), Some(1))];
        let ran = scene.run(codes.clone(), ALL_CODES, 0, (StopWhen::TimeIsReached, 1000));
        assert_eq!(ran.faults[0].seen, 1, "{operation}");
        let applied: Vec<bool> =
            ran.codes.iter().map(|code| code.state.rare_fields.injected_outcome.is_some()).collect();
        assert_eq!(applied, (0..4).map(|other| other == index).collect::<Vec<_>>(), "{operation}");
    }
}

#[test]
fn run_counts_the_backup_codes_that_can_be_pulled() {
    let lock = device("august_lock", json!({}));
    let mut backup = access_code(1, &lock, entry("1357", None));
    backup.pool_device_id = Some(lock.device_id);
    backup.state.is_backup = true;
    let ran = scene(lock.clone()).run(vec![backup.clone()], ALL_CODES, 1, TO_THE_END);
    assert_eq!(ran.backups, 1);
    assert_eq!(
        scene(lock).run(vec![backup], ALL_CODES, 0, TO_THE_END).backups,
        0,
        "the operation has begun, but is not confirmed"
    );
}

#[test]
fn step_that_converts_a_code_to_unmanaged_removes_it_from_its_group() {
    let lock = device("august_lock", json!({}));
    let mut code = access_code(1, &lock, entry("1357", None));
    code.common_code_key = Some("key".to_owned());
    let ran = scene(lock.clone()).run(vec![code.clone()], ALL_CODES, 1, TO_THE_END);
    assert_eq!(ran.codes[0].common_code_key.as_deref(), Some("key"));
    code.state.request_conversion_to_unmanaged(at(0), Uuid::nil());
    let ran = scene(lock).run(vec![code], ALL_CODES, 1, TO_THE_END);
    assert!(!ran.codes[0].state.is_managed);
    assert_eq!((ran.codes[0].common_code_key.as_deref(), ran.codes[0].left_group.as_deref()), (None, Some("key")));
}

#[test]
fn immediate_pace_has_no_duration_unless_completed_by_hand() {
    let mut locked = locked(device("august_lock", json!({})));
    let programming = |pace: Pace, locked: &LockedDevice| pace.lock(locked).programming;
    assert_eq!(programming(Pace::Usual, &locked), Some(TimeDelta::seconds(1)));
    assert_eq!(programming(Pace::Immediate, &locked), Some(TimeDelta::zero()));
    locked.settings.programming = None;
    assert_eq!(programming(Pace::Immediate, &locked), None);
}
