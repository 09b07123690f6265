use super::*;
use crate::domain::access_code::lifecycle::rare_fields::{Duplicate, ExternalChange, ModifiedField};
use crate::domain::samples::{access_code, at, device, entry, held, window};

fn errors(code: &AccessCode) -> Vec<Value> {
    code.errors(&device("august_lock", json!({})).summary(0))
}

fn warnings(code: &AccessCode) -> Vec<Value> {
    code.warnings(&device("august_lock", json!({})).summary(0))
}

fn codes_of(issues: &[Value]) -> Vec<&str> {
    issues
        .iter()
        .map(|issue| issue.get("error_code").or_else(|| issue.get("warning_code")).unwrap().as_str().unwrap())
        .collect()
}

fn ongoing() -> AccessCode {
    access_code(1, &device("august_lock", json!({})), entry("1357", None))
}

fn external(is_honoured: bool, is_removed: bool) -> ExternalChange {
    let field = ModifiedField { field: "name".to_owned(), from: None, to: Some("Bo".to_owned()) };
    ExternalChange { since: at(3), is_removed, modified_fields: vec![field], is_honoured }
}

fn condition(code: &str) -> Condition {
    Condition { code: code.to_owned(), message: "As a tester has it.".to_owned(), created_at: at(9) }
}

#[test]
fn is_new_is_true_until_the_code_is_stored() {
    assert!(AccessCode { sequence: 0, ..ongoing() }.is_new());
    assert!(!ongoing().is_new());
    assert!(AccessCode::new((Uuid::nil(), Uuid::nil()), Uuid::nil(), ongoing().state).is_new());
}

#[test]
fn leave_group_records_the_group_that_the_code_left() {
    let mut code = ongoing();
    code.leave_group();
    assert_eq!((code.common_code_key.clone(), code.left_group.clone()), (None, None));
    code.common_code_key = Some("key".to_owned());
    code.leave_group();
    assert_eq!((code.common_code_key.clone(), code.left_group.as_deref()), (None, Some("key")));
    code.leave_group();
    assert_eq!(code.left_group.as_deref(), Some("key"));
}

#[test]
fn next_child_counts_events_and_action_attempts() {
    let mut code = ongoing();
    assert_eq!([code.next_child(), code.next_child()], [0, 1]);
    assert_eq!(code.children, 2);
}

#[test]
fn backup_code_can_be_pulled_while_on_the_lock_and_not_being_deleted() {
    let lock = device("august_lock", json!({}));
    let backup = |code: AccessCode| AccessCode { pool_device_id: Some(lock.device_id), ..code };
    let held = held(1, &lock, entry("1357", None));
    assert!(backup(held.clone()).can_be_pulled());
    assert!(!held.can_be_pulled(), "the code is in no pool");
    assert!(!backup(ongoing()).can_be_pulled(), "the code is not on the lock");
    let mut deleted = backup(held);
    deleted.state.request_deletion(at(1));
    assert!(!deleted.can_be_pulled());
}

#[test]
fn known_code_is_none_until_the_provider_assigns_the_pin() {
    let mut code = ongoing();
    assert_eq!(code.known_code(), Some("1357"));
    code.state.rare_fields.awaits_code = true;
    assert_eq!(code.known_code(), None);
}

#[test]
fn blocked_on_is_the_lock_for_a_duplicate_pin_or_a_full_memory() {
    let failure = |error_code: &str, duplicate: Option<Duplicate>| Failure {
        error_code: error_code.to_owned(),
        message: "It failed.".to_owned(),
        since: at(2),
        attempts: 1,
        retry_at: None,
        is_final: false,
        duplicate_of: duplicate,
    };
    let mut code = ongoing();
    assert_eq!(code.blocked_on(), None);
    for (error_code, is_blocked) in [
        ("duplicate_code_on_device", true),
        ("no_space_for_access_code_on_device", true),
        ("failed_to_set_on_device", false),
    ] {
        code.state.rare_fields.failure = Some(failure(error_code, None));
        assert_eq!(code.blocked_on(), is_blocked.then_some(code.device_id));
    }
    for (is_managed, key) in [(true, "managed_access_code_id"), (false, "unmanaged_access_code_id")] {
        let duplicate = Duplicate { access_code_id: Uuid::from_u128(7), is_managed };
        code.state.rare_fields.failure = Some(failure("duplicate_code_on_device", Some(duplicate)));
        let expected = json!({
            "error_code": "duplicate_code_on_device", "is_access_code_error": true, "message": "It failed.",
            "created_at": "2026-03-01T02:00:00.000Z", key: Uuid::from_u128(7),
        });
        assert_eq!(errors(&code), [expected]);
    }
}

#[test]
fn errors_of_a_code_come_before_those_of_its_device() {
    let mut code = ongoing();
    code.state.rare_fields.external = Some(external(false, false));
    code.state.rare_fields.errors = vec![condition("account_disconnected")];
    let mut lock = device("august_lock", json!({}));
    lock.health.disconnected_at = Some(at(1));
    let errors = code.errors(&lock.summary(0));
    let expected = ["conflicting_external_modification", "account_disconnected", "device_disconnected"];
    assert_eq!(codes_of(&errors), expected);
    assert_eq!(errors[0]["change_type"], "modified");
    assert_eq!(errors[0]["modified_fields"], json!([{ "field": "name", "from": null, "to": "Bo" }]));
    assert_eq!(errors[0]["created_at"], to_iso(at(3)));
}

#[test]
fn external_modification_is_an_error_or_a_warning_if_it_is_allowed() {
    let mut code = ongoing();
    for (is_removed, change_type) in [(true, "removed"), (false, "modified")] {
        code.state.rare_fields.external = Some(external(false, is_removed));
        assert_eq!(errors(&code)[0]["change_type"], change_type);
        assert!(warnings(&code).is_empty());
        code.state.rare_fields.external = Some(external(true, is_removed));
        assert!(errors(&code).is_empty());
        let warnings = warnings(&code);
        assert_eq!(codes_of(&warnings), ["external_modification_in_effect"]);
        assert_eq!(warnings[0]["change_type"], change_type);
        assert_eq!(warnings[0]["modified_fields"], json!([{ "field": "name", "from": null, "to": "Bo" }]));
        assert_eq!(warnings[0]["created_at"], to_iso(at(3)));
    }
}

#[test]
fn warnings_follow_from_the_state_of_the_code() {
    let mut code = ongoing();
    assert_eq!(warnings(&code), [json!(null); 0]);
    code.state.rare_fields.slow_since = Some(at(4));
    code.state.rare_fields.backup_pulled_at = Some(at(5));
    code.state.rare_fields.warnings = vec![condition("third_party_integration_detected")];
    code.state.request_deletion(at(6));
    code.state.rare_fields.slow_since = Some(at(4));
    let actual = warnings(&code);
    let expected = [
        ("being_deleted", 6),
        ("delay_in_setting_on_device", 4),
        ("using_backup_access_code", 5),
        ("third_party_integration_detected", 9),
    ];
    assert_eq!(codes_of(&actual), expected.map(|(code, _)| code));
    for (warning, (_, hours)) in actual.iter().zip(expected) {
        assert_eq!(warning["created_at"], to_iso(at(hours)), "{warning}");
    }
    code.state.is_managed = false;
    assert!(!codes_of(&warnings(&code)).contains(&"being_deleted"), "only managed codes have this warning");
}

#[test]
fn time_frame_warning_is_given_for_locks_without_a_time_zone() {
    let over_clock_change = entry("1357", Some(window(24, 240)));
    let is_warned = |device_type, requested: &lifecycle::LockCode, is_managed| {
        let lock = device(device_type, json!({}));
        let mut code = access_code(1, &lock, requested.clone());
        code.state.is_managed = is_managed;
        let warnings = code.warnings(&lock.summary(0));
        assert!(warnings.iter().all(|warning| warning["created_at"] == to_iso(at(0))));
        codes_of(&warnings).contains(&"time_frame_adjusted_for_unknown_time_zone")
    };
    assert!(is_warned("schlage_lock", &over_clock_change, true));
    assert!(!is_warned("schlage_lock", &over_clock_change, false));
    assert!(!is_warned("schlage_lock", &entry("1357", Some(window(24, 48))), true));
    assert!(!is_warned("schlage_lock", &entry("1357", None), true));
    assert!(!is_warned("august_lock", &over_clock_change, true));
}

#[test]
fn algopin_warning_is_given_for_hourly_codes_longer_than_24_hours() {
    let lock = device("igloohome_lock", json!({}));
    for (kind, hours, is_warned) in [("hourly", 48, true), ("hourly", 24, false), ("one_time", 48, false)] {
        let mut code = access_code(1, &lock, entry("1357", Some(window(0, hours))));
        code.state.is_offline = true;
        code.state.rare_fields.offline = Some(json!({ "kind": kind }));
        let expected: &[&str] = if is_warned { &["igloo_algopin_must_be_used_within_24_hours"] } else { &[] };
        assert_eq!(codes_of(&code.warnings(&lock.summary(0))), expected, "{kind} {hours}");
    }
}

#[test]
fn cannot_be_managed_follows_from_the_code_or_its_brand() {
    let mut code = ongoing();
    let brand = |device_type| device(device_type, json!({})).brand;
    assert!(!code.cannot_be_managed(brand("august_lock")));
    assert!(code.cannot_be_managed(brand("kwikset_lock")));
    code.state.rare_fields.cannot_be_managed = true;
    assert!(code.cannot_be_managed(brand("august_lock")));
}
