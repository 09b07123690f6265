//! Tables: which codes a grant lacks, its label, and the events of its methods.

use super::*;
use crate::clock::{WorkspaceClock, from_iso};
use crate::domain::event::{NewEvent, event_type};
use crate::ids::Ids;
use chrono::TimeDelta;
use std::collections::BTreeMap;

const METHOD: Uuid = Uuid::from_u128(1);
const SPLIT: Uuid = Uuid::from_u128(2);
const DOORS: [Uuid; 3] = [Uuid::from_u128(11), Uuid::from_u128(12), Uuid::from_u128(13)];

fn at(hours: i64) -> Timestamp {
    from_iso("2026-03-01T00:00:00Z").unwrap() + TimeDelta::hours(hours)
}

fn requested(mode: Mode) -> RequestedAccessMethod {
    RequestedAccessMethod {
        mode,
        code: None,
        instant_key_max_use_count: None,
        created_at: at(0),
        is_deleted: false,
        deleted_device_ids: Vec::new(),
    }
}

/// Grant from hour 10 to hour 20 with one requested code.
fn grant() -> AccessGrant {
    AccessGrant {
        access_grant_id: Uuid::from_u128(100),
        workspace_id: Uuid::from_u128(101),
        user_identity_id: Uuid::from_u128(102),
        access_grant_key: None,
        reservation_key: None,
        name: None,
        customization_profile_id: None,
        device_ids: DOORS.to_vec(),
        space_ids: Vec::new(),
        starts_at: at(10),
        ends_at: Some(at(20)),
        created_at: at(0),
        requested_access_methods: vec![requested(Mode::Code)],
        conditions: Conditions::default(),
        changing_times: None,
        granted_at: None,
        deletion_requested_at: None,
        children: 0,
    }
}

fn method(id: Uuid, request: usize) -> AccessMethod {
    AccessMethod { code: Some("1357".to_owned()), ..AccessMethod::new(id, &grant(), request, at(0)) }
}

fn code(access_method_id: Uuid, door: usize, progress: Progress) -> MethodCode {
    MethodCode {
        access_method_id,
        device_id: DOORS[door],
        progress,
        computed_for: None,
        is_disturbed: false,
        is_late: false,
        has_failed: false,
    }
}

fn code_id(index: usize) -> Uuid {
    Uuid::from_u128(1000 + index as u128)
}

fn by_id(codes: &[MethodCode]) -> BTreeMap<Uuid, MethodCode> {
    codes.iter().enumerate().map(|(index, code)| (code_id(index), *code)).collect()
}

/// Indexes of doors that lack a code, by request, and indexes of superfluous codes.
type Expected = (Vec<(usize, Vec<usize>)>, Vec<usize>);

fn check_difference(
    name: &str,
    (grant, methods): (&AccessGrant, &[AccessMethod]),
    covered: &[usize],
    codes: &[MethodCode],
    (missing, superfluous): Expected,
) {
    let ids = |doors: &[usize]| doors.iter().map(|door| DOORS[*door]).collect::<Vec<Uuid>>();
    let expected = missing.iter().map(|(request, doors)| (*request, ids(doors))).collect();
    let found = difference(grant, methods, &ids(covered), &by_id(codes), at(15));
    assert_eq!(found.missing, expected, "{name}");
    assert_eq!(found.superfluous, superfluous.into_iter().map(code_id).collect::<Vec<_>>(), "{name}");
}

#[test]
fn difference_of_one_request_follows_the_table() {
    use Progress::{Over, Pending, Ready, WithoutPlace};
    let computed = |from, to| {
        let times = Window { starts_at: at(from), ends_at: at(to) };
        MethodCode { computed_for: Some(times), ..code(METHOD, 0, Ready) }
    };
    let own = |door, progress| code(METHOD, door, progress);
    let split = code(SPLIT, 1, Ready);
    let nothing = || (vec![], vec![]);
    let lacks = |doors: &[usize]| (vec![(0, doors.to_vec())], vec![]);
    let methods = [method(METHOD, 0), method(SPLIT, 0)];
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<usize>, Vec<MethodCode>, Expected)> = vec![
        ("no code yet",                       vec![0, 1], vec![], lacks(&[0, 1])),
        ("in the order of the locks",         vec![2, 0, 1], vec![own(0, Ready)], lacks(&[2, 1])),
        ("all there",                         vec![0, 1], vec![own(0, Ready), own(1, Pending)], nothing()),
        ("a code of a split method counts",   vec![0, 1], vec![own(0, Ready), split], nothing()),
        ("a code that is over does not",      vec![0, 1], vec![own(0, Ready), own(1, Over)], lacks(&[1])),
        ("a lock left the grant",             vec![0], vec![own(0, Ready), own(1, Ready)], (vec![], vec![1])),
        ("a pending code of such a lock",     vec![0], vec![own(0, Ready), own(1, Pending)], (vec![], vec![1])),
        ("its code is over already",          vec![0], vec![own(0, Ready), own(1, Over)], nothing()),
        ("one joined, one left",              vec![0, 2], vec![own(0, Ready), own(1, Ready)], (vec![(0, vec![2])], vec![1])),
        ("covers nothing",                    vec![], vec![own(0, Ready)], (vec![], vec![0])),
        ("no place on the lock yet",          vec![0], vec![own(0, WithoutPlace)], nothing()),
        ("an offline code for these times",   vec![0], vec![computed(10, 20)], nothing()),
        ("an offline code for more",          vec![0], vec![computed(9, 21)], nothing()),
        ("an offline code ends too early",    vec![0], vec![computed(10, 19)], lacks(&[0])),
        ("an offline code starts too late",   vec![0], vec![computed(11, 20)], lacks(&[0])),
        ("a code of another grant",           vec![0], vec![own(0, Ready), code(Uuid::from_u128(9), 1, Ready)], nothing()),
    ];
    for (name, covered, codes, expected) in cases {
        check_difference(name, (&grant(), &methods), &covered, &codes, expected);
    }
}

#[test]
fn difference_depends_on_the_state_of_grant_method_and_request() {
    use Progress::Ready;
    let warning = |kind| GrantWarning { device_id: DOORS[1], created_at: at(0), kind };
    let with = |change: &dyn Fn(&mut AccessGrant)| {
        let mut grant = grant();
        change(&mut grant);
        grant
    };
    let one = [method(METHOD, 0)];
    let on_first = [code(METHOD, 0, Ready)];
    let lacks_second = || (vec![(0, vec![1])], vec![]);
    let deleted = with(&|grant| grant.deletion_requested_at = Some(at(1)));
    check_difference("deleted grant", (&deleted, &one), &[0, 1], &on_first, (vec![], vec![]));
    let over = with(&|grant| grant.ends_at = Some(at(15)));
    check_difference("grant that is over", (&over, &one), &[0, 1], &on_first, (vec![], vec![]));
    let closed = with(&|grant| grant.requested_access_methods[0].is_deleted = true);
    check_difference("deleted request", (&closed, &one), &[0, 1], &on_first, (vec![], vec![]));
    let card = with(&|grant| grant.requested_access_methods[0].mode = Mode::Card);
    check_difference("a card", (&card, &[]), &[0], &[], (vec![], vec![]));
    let two = with(&|grant| grant.requested_access_methods.push(requested(Mode::Code)));
    check_difference("two requests", (&two, &one), &[0], &on_first, (vec![(1, vec![0])], vec![]));
    let unfit = WarningKind::DeviceDoesNotSupportAccessCodes;
    let unfit = with(&|grant| grant.conditions.warnings.push(warning(unfit.clone())));
    check_difference("unfit lock", (&unfit, &one), &[0, 1], &on_first, (vec![], vec![]));
    let reason = TimeConstraint::OngoingNotSupported;
    let times = WarningKind::DeviceTimeConstraintsViolated { reason };
    let times = with(&|grant| grant.conditions.warnings.push(warning(times.clone())));
    check_difference("lock without these times", (&times, &one), &[0, 1], &on_first, (vec![], vec![]));
    let other = WarningKind::RequestedCodeUnavailable { original_code: "1".to_owned(), new_code: "2".to_owned() };
    let other = with(&|grant| grant.conditions.warnings.push(warning(other.clone())));
    check_difference("another PIN", (&other, &one), &[0, 1], &on_first, lacks_second());
    let going = [AccessMethod { deletion_requested_at: Some(at(1)), ..method(METHOD, 0) }, method(SPLIT, 0)];
    let codes = [code(METHOD, 0, Ready), code(SPLIT, 1, Ready)];
    check_difference(
        "lock that left and joins again",
        (&grant(), &going),
        &[0, 1],
        &codes,
        (vec![(0, vec![0])], vec![0]),
    );
    let remembers = with(&|grant| grant.requested_access_methods[0].deleted_device_ids.push(DOORS[0]));
    check_difference("deleted method", (&remembers, &going), &[0, 1], &codes, (vec![], vec![0]));
}

#[test]
fn label_follows_the_table() {
    let issued = AccessMethod { issued_at: Some(at(1)), ..method(METHOD, 0) };
    let deleted_method = AccessMethod { deletion_requested_at: Some(at(1)), ..issued.clone() };
    let open = method(METHOD, 0);
    let endless = AccessGrant { ends_at: None, ..grant() };
    let deleted = AccessGrant { deletion_requested_at: Some(at(1)), ..grant() };
    // Name, grant, method, hour, and the labels of the method and of the grant.
    #[rustfmt::skip]
    let cases = [
        ("not issued",               grant(), &open, 0, Label::AwaitingIssuance, Label::AwaitingIssuance),
        ("not issued in its time",   grant(), &open, 15, Label::AwaitingIssuance, Label::AwaitingIssuance),
        ("issued before its start",  grant(), &issued, 9, Label::Upcoming, Label::Upcoming),
        ("issued, at its start",     grant(), &issued, 10, Label::Active, Label::Active),
        ("issued, before its end",   grant(), &issued, 19, Label::Active, Label::Active),
        ("issued, at its end",       grant(), &issued, 20, Label::Expired, Label::Expired),
        ("never issued, at its end", grant(), &open, 20, Label::Expired, Label::Expired),
        ("without an end",           endless, &issued, 9999, Label::Active, Label::Active),
        ("deleted grant",            deleted.clone(), &issued, 15, Label::BeingDeleted, Label::BeingDeleted),
        ("deleted grant, at its end", deleted, &issued, 20, Label::BeingDeleted, Label::BeingDeleted),
        ("deleted method",           grant(), &deleted_method, 15, Label::BeingDeleted, Label::Active),
    ];
    for (name, grant, method, hour, of_method, of_grant) in cases {
        assert_eq!(method_label(&grant, method, at(hour)), of_method, "{name}");
        assert_eq!(grant_label(&grant, &[method], at(hour)), of_grant, "{name}");
    }
    assert_eq!(grant_label(&grant(), &[], at(15)), Label::AwaitingIssuance, "no methods");
    let both = [&issued, &AccessMethod { access_method_id: SPLIT, ..open }];
    assert_eq!(grant_label(&grant(), &both, at(15)), Label::AwaitingIssuance, "one of two is issued");
}

/// A grant with one method of two doors, whose codes change.
struct Scene {
    locked: LockedGrant,
    events: Vec<NewEvent>,
}

impl Scene {
    fn new(grant: AccessGrant, methods: &[AccessMethod]) -> Self {
        let clock = WorkspaceClock::Held { at: at(0) };
        let mut locked = LockedGrant::new(grant, Ids::of(Some("unit test")), clock);
        locked.methods = methods.to_vec();
        Self { locked, events: Vec::new() }
    }

    /// Grant with a method of two doors whose codes are both ready, issued at hour 1.
    fn issued() -> Self {
        let mut scene = Self::new(grant(), &[method(METHOD, 0)]);
        scene.put(0, code(METHOD, 0, Progress::Ready));
        scene.put(1, code(METHOD, 1, Progress::Ready));
        assert_eq!(
            scene.evaluate(1),
            [event_type::ACCESS_METHOD_ISSUED, event_type::ACCESS_GRANT_ACCESS_GRANTED_TO_ALL_DOORS]
        );
        scene
    }

    fn put(&mut self, index: usize, code: MethodCode) {
        self.locked.update_code(code_id(index), Some(code));
    }

    fn remove(&mut self, index: usize) {
        self.locked.update_code(code_id(index), None);
    }

    /// Evaluates the method at this hour and returns the types of the new events.
    fn evaluate(&mut self, hour: i64) -> Vec<&'static str> {
        let before = self.events.len();
        self.locked.evaluate(METHOD, (at(hour), at(0)), &mut self.events);
        assert!(self.events[before..].iter().all(|event| event.occurred_at == at(hour)));
        self.events[before..].iter().map(|event| event.event_type).collect()
    }

    fn method(&self) -> &AccessMethod {
        &self.locked.methods[0]
    }
}

#[test]
fn method_is_issued_when_all_of_its_codes_are_ready_and_its_pin_is_known() {
    let mut scene = Scene::new(grant(), &[method(METHOD, 0)]);
    scene.put(0, code(METHOD, 0, Progress::Pending));
    scene.put(1, code(METHOD, 1, Progress::Ready));
    assert_eq!(scene.evaluate(1), [""; 0]);
    scene.put(0, code(METHOD, 0, Progress::Ready));
    scene.locked.methods[0].code = None;
    assert_eq!(scene.evaluate(2), [""; 0], "the PIN is not known");
    scene.locked.methods[0].code = Some("1357".to_owned());
    let expected = [event_type::ACCESS_METHOD_ISSUED, event_type::ACCESS_GRANT_ACCESS_GRANTED_TO_ALL_DOORS];
    assert_eq!(scene.evaluate(3), expected);
    assert_eq!((scene.method().issued_at, scene.locked.grant.granted_at), (Some(at(3)), Some(at(3))));
    let issued = scene.events[0].payload.as_ref().unwrap();
    assert_eq!((&issued["code"], issued.get("is_backup_code")), (&serde_json::json!("1357"), None));
    assert_eq!(scene.evaluate(4), [""; 0], "issued once");
    let mut no_codes = Scene::new(grant(), &[method(METHOD, 0)]);
    assert_eq!((no_codes.evaluate(1), no_codes.method().issued_at), (Vec::new(), None));
}

#[test]
fn method_stays_issued_unless_a_change_at_the_lock_disturbs_it() {
    let mut scene = Scene::issued();
    scene.put(2, code(METHOD, 2, Progress::Pending));
    assert_eq!(scene.evaluate(2), [""; 0], "a lock that joins does not revoke it");
    scene.remove(2);
    scene.put(0, MethodCode { is_disturbed: true, ..code(METHOD, 0, Progress::Pending) });
    assert_eq!(scene.evaluate(3), [event_type::ACCESS_METHOD_REVOKED]);
    assert_eq!(scene.method().issued_at, None);
    scene.put(0, code(METHOD, 0, Progress::Ready));
    assert_eq!(scene.evaluate(4), [event_type::ACCESS_METHOD_REISSUED], "doors were granted before");
    assert_eq!((scene.method().issued_at, scene.locked.grant.granted_at), (Some(at(4)), Some(at(1))));
}

#[test]
fn method_is_reissued_with_the_pin_of_its_backup_code() {
    let mut scene = Scene::issued();
    scene.locked.methods[0].backup_pulled_at = Some(at(2));
    scene.locked.methods[0].code = Some("2468".to_owned());
    scene.locked.methods[0].issued_at = None;
    assert_eq!(scene.evaluate(2), [event_type::ACCESS_METHOD_REISSUED]);
    let payload = scene.events.last().unwrap().payload.as_ref().unwrap();
    assert_eq!((&payload["code"], &payload["is_backup_code"]), (&serde_json::json!("2468"), &serde_json::json!(true)));
}

#[test]
fn method_reports_delay_and_failure_once_and_both_end_with_its_issuance() {
    let pending = code(METHOD, 0, Progress::Pending);
    let late = MethodCode { is_late: true, ..pending };
    let mut scene = Scene::new(grant(), &[method(METHOD, 0)]);
    scene.put(0, late);
    assert_eq!(scene.evaluate(2), [event_type::ACCESS_METHOD_DELAY_IN_ISSUING]);
    assert_eq!(scene.evaluate(3), [""; 0]);
    assert_eq!((scene.method().delayed_at, scene.method().failed_at), (Some(at(2)), None));
    scene.put(0, MethodCode { has_failed: true, ..late });
    assert_eq!(scene.evaluate(10), [event_type::ACCESS_METHOD_FAILED_TO_ISSUE]);
    assert_eq!(scene.evaluate(11), [""; 0]);
    assert_eq!((scene.method().delayed_at, scene.method().failed_at), (None, Some(at(10))));
    scene.put(0, MethodCode { progress: Progress::Ready, has_failed: true, ..late });
    assert_eq!(scene.evaluate(12)[0], event_type::ACCESS_METHOD_ISSUED);
    assert_eq!((scene.method().delayed_at, scene.method().failed_at), (None, None));
}

#[test]
fn method_whose_codes_are_gone_is_revoked() {
    let mut scene = Scene::issued();
    scene.remove(0);
    scene.remove(1);
    assert_eq!(scene.evaluate(15), [event_type::ACCESS_METHOD_REVOKED], "its locks are lost");
    assert_eq!((scene.evaluate(21), scene.method().issued_at), (Vec::new(), None));
    let mut never = Scene::new(grant(), &[AccessMethod { failed_at: Some(at(10)), ..method(METHOD, 0) }]);
    never.put(0, code(METHOD, 0, Progress::Over));
    assert_eq!(never.evaluate(20), [""; 0]);
    assert_eq!(never.method().failed_at, None);
}

#[test]
fn method_that_is_deleted_is_gone_with_its_last_code() {
    for (is_grant_deleted, expected) in [
        (false, vec![event_type::ACCESS_METHOD_DELETED]),
        (true, vec![event_type::ACCESS_METHOD_DELETED, event_type::ACCESS_GRANT_DELETED]),
    ] {
        let mut scene = Scene::issued();
        scene.locked.methods[0].deletion_requested_at = Some(at(2));
        scene.locked.grant.deletion_requested_at = Some(at(2)).filter(|_| is_grant_deleted);
        assert_eq!(scene.evaluate(2), [""; 0]);
        scene.put(0, code(METHOD, 0, Progress::Over));
        scene.put(1, code(METHOD, 1, Progress::Over));
        assert_eq!(scene.evaluate(3), [""; 0]);
        scene.remove(0);
        assert_eq!(scene.evaluate(4), [""; 0]);
        scene.remove(1);
        assert_eq!(scene.evaluate(5), expected);
        assert_eq!((scene.locked.is_gone, scene.locked.methods.len()), (is_grant_deleted, 0));
        assert_eq!(scene.locked.gone_methods, [METHOD]);
    }
}

#[test]
fn deletion_request_removes_at_once_what_has_no_codes() {
    let mut scene = Scene::new(grant(), &[method(METHOD, 0), method(SPLIT, 0)]);
    scene.put(0, code(METHOD, 0, Progress::Ready));
    scene.locked.request_deletion((at(2), at(0)), &mut scene.events);
    let types = |scene: &Scene| scene.events.iter().map(|event| event.event_type).collect::<Vec<_>>();
    assert_eq!(types(&scene), [event_type::ACCESS_METHOD_DELETED]);
    assert_eq!((scene.locked.gone_methods.clone(), scene.locked.is_gone), (vec![SPLIT], false));
    scene.locked.request_deletion((at(3), at(0)), &mut scene.events);
    assert_eq!((types(&scene).len(), scene.locked.grant.deletion_requested_at), (1, Some(at(2))), "a second request");
    let mut empty = Scene::new(grant(), &[]);
    empty.locked.request_deletion((at(2), at(0)), &mut empty.events);
    assert_eq!((types(&empty), empty.locked.is_gone), (vec![event_type::ACCESS_GRANT_DELETED], true));
}

#[test]
fn change_of_times_ends_with_the_last_method_that_waits_for_it() {
    let change = TimesChange { since: at(1), starts_at: at(9), ends_at: None };
    let changing = |id| AccessMethod { changing_times: Some(change), was_issued: true, ..method(id, 0) };
    let changing_grant = AccessGrant { changing_times: Some(change), granted_at: Some(at(0)), ..grant() };
    let mut scene = Scene::new(changing_grant, &[changing(METHOD), changing(SPLIT)]);
    scene.put(0, code(METHOD, 0, Progress::Ready));
    scene.put(1, code(SPLIT, 1, Progress::Pending));
    assert_eq!(scene.evaluate(2), [event_type::ACCESS_METHOD_REISSUED]);
    assert_eq!((scene.method().changing_times, scene.locked.grant.changing_times), (None, Some(change)));
    scene.put(1, code(SPLIT, 1, Progress::Ready));
    scene.locked.evaluate(SPLIT, (at(3), at(0)), &mut scene.events);
    assert_eq!(scene.locked.grant.changing_times, None);
}

#[test]
fn change_of_times_ends_if_all_codes_wait_for_a_place_and_the_method_can_fail() {
    let change = TimesChange { since: at(1), starts_at: at(9), ends_at: None };
    let changing = AccessMethod { changing_times: Some(change), was_issued: true, ..method(METHOD, 0) };
    let mut scene = Scene::new(AccessGrant { changing_times: Some(change), ..grant() }, &[changing]);
    scene.put(0, code(METHOD, 0, Progress::Pending));
    scene.put(1, code(METHOD, 1, Progress::WithoutPlace));
    assert_eq!((scene.evaluate(2), scene.method().changing_times), (vec![], Some(change)));
    scene.put(0, code(METHOD, 0, Progress::WithoutPlace));
    assert_eq!((scene.evaluate(3), scene.method().changing_times), (vec![], None));
    assert_eq!(scene.locked.grant.changing_times, None);
    scene.put(0, MethodCode { is_late: true, has_failed: true, ..code(METHOD, 0, Progress::WithoutPlace) });
    assert_eq!(scene.evaluate(10), [event_type::ACCESS_METHOD_FAILED_TO_ISSUE]);
}

#[test]
fn method_is_issued_without_the_locks_that_have_no_place() {
    let conditions = Conditions { not_created_since: Some(at(0)), ..Conditions::default() };
    let mut scene = Scene::new(AccessGrant { conditions, ..grant() }, &[method(METHOD, 0)]);
    scene.put(1, code(METHOD, 1, Progress::WithoutPlace));
    assert_eq!(scene.evaluate(1), [""; 0], "the only lock has no place");
    scene.put(0, code(METHOD, 0, Progress::Pending));
    assert_eq!(scene.evaluate(2), [""; 0]);
    scene.put(0, code(METHOD, 0, Progress::Ready));
    assert_eq!(scene.evaluate(3), [event_type::ACCESS_METHOD_ISSUED]);
}

#[test]
fn doors_are_granted_when_the_last_of_several_methods_is_issued() {
    let mut scene = Scene::new(grant(), &[method(METHOD, 0), method(SPLIT, 0)]);
    scene.put(0, code(METHOD, 0, Progress::Ready));
    scene.put(1, code(SPLIT, 1, Progress::Pending));
    assert_eq!(scene.evaluate(1), [event_type::ACCESS_METHOD_ISSUED]);
    assert_eq!(scene.locked.grant.granted_at, None);
    scene.put(1, code(SPLIT, 1, Progress::Ready));
    scene.locked.evaluate(SPLIT, (at(2), at(0)), &mut scene.events);
    assert_eq!(scene.events.last().unwrap().event_type, event_type::ACCESS_GRANT_ACCESS_GRANTED_TO_ALL_DOORS);
    let conditions = Conditions { not_created_since: Some(at(0)), ..Conditions::default() };
    let mut partial = Scene::new(AccessGrant { conditions, ..grant() }, &[method(METHOD, 0)]);
    partial.put(0, code(METHOD, 0, Progress::Ready));
    assert_eq!(partial.evaluate(1), [event_type::ACCESS_METHOD_ISSUED], "a lock has no code");
}
