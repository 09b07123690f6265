use super::*;
use crate::clock::{WorkspaceClock, to_iso};
use crate::domain::access_code::lifecycle::rare_fields::{Condition, FAILED_TO_SET, Failure};
use crate::domain::access_code::lifecycle::{Change, DomainEvent, LockCode};
use crate::domain::samples::{access_code, at, device, entry, locked, window};
use serde_json::json;

/// Returns the types and payloads of the events recorded for a domain event.
fn events_of(domain_event: DomainEvent) -> Vec<(&'static str, Option<Value>)> {
    let locked = locked(device("august_lock", json!({})));
    let mut code = access_code(1, &locked.device, entry("1357", None));
    let mut events = Vec::new();
    record_domain_event(&mut code, &locked, (at(1), domain_event), 0, at(2), &mut events);
    assert_eq!(usize::try_from(code.children).unwrap(), events.len());
    events.into_iter().map(|event| (event.event_type, event.payload)).collect()
}

#[test]
fn access_code_event_has_the_ids_of_its_code_and_both_instants() {
    let mut locked = locked(device("august_lock", json!({})));
    let mut code = access_code(1, &locked.device, entry("1357", None));
    let first = NewEvent::of_access_code(&mut code, &locked, event_type::SET_ON_DEVICE, at(1), at(2));
    let second = NewEvent::of_access_code(&mut code, &locked, event_type::CHANGED, at(1), at(2));
    assert_ne!(first.event_id, second.event_id);
    assert_eq!(code.children, 2);
    assert_eq!(first.workspace_id, code.workspace_id);
    assert_eq!(first.device_id, Some(code.device_id));
    assert_eq!(first.connected_account_id, Some(locked.device.connected_account_id));
    assert_eq!(first.access_code_id, Some(code.access_code_id));
    assert_eq!((first.occurred_at, first.created_at), (at(1), at(1)), "equal on a held clock");
    assert_eq!((first.code.as_deref(), second.code), (Some("1357"), None));
    code.state.rare_fields.awaits_code = true;
    locked.settings.clock = WorkspaceClock::Live;
    let third = NewEvent::of_access_code(&mut code, &locked, event_type::DELETED, at(1), at(2));
    assert_eq!(third.code.as_deref(), Some("1357"), "the contract requires a PIN");
    let fourth = NewEvent::of_access_code(&mut code, &locked, event_type::SCHEDULED_ON_DEVICE, at(1), at(2));
    assert_eq!(fourth.code, None, "the PIN is not assigned yet");
    assert_eq!((third.occurred_at, third.created_at), (at(1), at(2)));
}

#[test]
fn device_event_is_counted_on_the_device() {
    let mut locked = locked(device("august_lock", json!({})));
    let mut next = || NewEvent::of_device(&mut locked, event_type::DEVICE_CONNECTED, at(1), at(2));
    let (first, second) = (next(), next());
    assert_ne!(first.event_id, second.event_id);
    assert_eq!((first.device_id, first.access_code_id), (Some(locked.device.device_id), None));
    assert_eq!(first.connected_account_id, Some(locked.device.connected_account_id));
    assert_eq!((first.workspace_id, locked.device.events_made), (locked.device.workspace_id, 2));
}

#[test]
fn carries_code_is_true_for_event_types_with_the_pin() {
    let with_pin = ["access_code.scheduled_on_device", "access_code.set_on_device", "access_code.deleted"];
    for event_type in with_pin {
        assert!(event_type::carries_code(event_type));
    }
    for event_type in ["access_code.created", "access_code.removed_from_device", "device.added"] {
        assert!(!event_type::carries_code(event_type));
    }
}

#[test]
fn event_types_that_are_recorded_have_a_description() {
    assert_eq!(event_type::description("access_code.created"), Some("An access code was created."));
    assert_eq!(event_type::description("lock.unlocked"), Some("A lock was unlocked."));
    assert_eq!(event_type::description("access_code.exploded"), None);
}

#[test]
fn event_types_are_all_in_the_documentation() {
    let documentation = include_str!("../../../docs/behaviour.md");
    let (_, list) = documentation.split_once("**Events.**").unwrap();
    let (list, _) = list.split_once("\n## ").unwrap();
    let mut documented = Vec::new();
    for item in list.split("\n- ").skip(1) {
        let (prefix, names) = item.split_once(": ").unwrap();
        let prefix = prefix.trim_matches('`');
        documented.extend(names.split(',').map(|name| format!("{prefix}{}", name.trim().trim_matches('`'))));
    }
    documented.sort();
    let mut recorded = event_type::ALL.to_vec();
    recorded.sort_unstable();
    assert_eq!(documented, recorded);
}

#[test]
fn domain_event_is_recorded_with_its_type_and_payload() {
    for (domain_event, expected) in [
        (DomainEvent::ScheduledOnDevice, "access_code.scheduled_on_device"),
        (DomainEvent::SetOnDevice, "access_code.set_on_device"),
        (DomainEvent::RemovedFromDevice, "access_code.removed_from_device"),
        (DomainEvent::Deleted, "access_code.deleted"),
        (DomainEvent::UnmanagedRemoved, "access_code.unmanaged.removed"),
    ] {
        assert_eq!(events_of(domain_event), [(expected, None)]);
    }
    let property = json!({ "property": "is_managed", "from": "true", "to": "false" });
    let unmanaged = Some(json!({ "changed_properties": [property] }));
    assert_eq!(events_of(DomainEvent::Unmanaged), [("access_code.changed", unmanaged)]);
    let no_issues = json!({
        "access_code_errors": [], "access_code_warnings": [], "device_errors": [], "device_warnings": [],
        "connected_account_errors": [], "connected_account_warnings": [],
    });
    for (domain_event, expected) in [
        (DomainEvent::DelayInSetting, "access_code.delay_in_setting_on_device"),
        (DomainEvent::FailedToSet, "access_code.failed_to_set_on_device"),
        (DomainEvent::FailedToRemove, "access_code.failed_to_remove_from_device"),
    ] {
        assert_eq!(events_of(domain_event), [(expected, Some(no_issues.clone()))]);
    }
}

fn change(is_on_device: bool) -> Change {
    let from = LockCode { name: None, code: "1357".to_owned(), window: None };
    let to = LockCode { name: Some("guest".to_owned()), code: "2468".to_owned(), window: Some(window(1, 2)) };
    Change::between(&from, &to, is_on_device)
}

#[test]
fn change_is_recorded_as_a_whole_and_per_property_if_on_the_lock() {
    let (starts_at, ends_at) = (to_iso(at(1)), to_iso(at(2)));
    let whole = json!({ "changed_properties": [
        { "property": "name", "from": null, "to": "guest" },
        { "property": "code", "from": "1357", "to": "2468" },
        { "property": "starts_at", "from": null, "to": starts_at },
        { "property": "ends_at", "from": null, "to": ends_at },
    ] });
    assert_eq!(events_of(DomainEvent::Changed(change(false))), [("access_code.changed", Some(whole.clone()))]);
    let payload = |property: &str, from: Value, to: Value| {
        let description = format!("The {property} of the access code was changed on the device.");
        Some(json!({ "from": from, "to": to, "description": description }))
    };
    let frames = (json!({ "starts_at": null, "ends_at": null }), json!({ "starts_at": starts_at, "ends_at": ends_at }));
    let expected = [
        ("access_code.changed", Some(whole)),
        ("access_code.name_changed", payload("name", json!({ "name": null }), json!({ "name": "guest" }))),
        ("access_code.code_changed", payload("code", json!({ "code": "1357" }), json!({ "code": "2468" }))),
        ("access_code.time_frame_changed", payload("time frame", frames.0, frames.1)),
    ];
    assert_eq!(events_of(DomainEvent::Changed(change(true))), expected);
    let later = Change { window: Some((Some(window(1, 2)), Some(window(1, 3)))), ..Change::default() };
    let property = json!({ "property": "ends_at", "from": ends_at, "to": to_iso(at(3)) });
    let expected = Some(json!({ "changed_properties": [property] }));
    assert_eq!(events_of(DomainEvent::Changed(later)), [("access_code.changed", expected)], "only the end has changed");
}

#[test]
fn requested_mutations_are_those_of_the_change() {
    assert_eq!(payload::requested_mutations(&Change::default()), json!({ "requested_mutations": [] }));
    let to_window = json!({ "starts_at": to_iso(at(1)), "ends_at": to_iso(at(2)) });
    assert_eq!(
        payload::requested_mutations(&change(false)),
        json!({ "requested_mutations": [
            { "mutation_code": "updating_name", "from": { "name": null }, "to": { "name": "guest" } },
            { "mutation_code": "updating_code", "from": { "code": "1357" }, "to": { "code": "2468" } },
            { "mutation_code": "updating_time_frame", "from": { "starts_at": null, "ends_at": null },
              "to": to_window },
        ] })
    );
}

#[test]
fn issues_are_grouped_by_code_device_and_connected_account() {
    let mut lock = device("august_lock", json!({}));
    lock.health.disconnected_at = Some(at(1));
    lock.health.account_disconnected_at = Some(at(2));
    let warning = Condition { code: "low_battery".to_owned(), message: "Low.".to_owned(), created_at: at(3) };
    lock.health.warnings = vec![warning];
    let mut code = access_code(1, &lock, entry("1357", None));
    code.state.rare_fields.slow_since = Some(at(4));
    code.state.rare_fields.failure = Some(Failure {
        error_code: FAILED_TO_SET.to_owned(),
        message: "Failed.".to_owned(),
        since: at(5),
        attempts: 1,
        retry_at: None,
        is_final: false,
        duplicate_of: None,
    });
    let issues = payload::issues(&code, &lock.summary(0));
    let errors = |key: &str| {
        let codes = |issue: &Value| {
            assert_eq!(issue.as_object().unwrap().len(), 3, "only the fields that all issues have: {issue}");
            let code = issue.get("error_code").or_else(|| issue.get("warning_code")).unwrap();
            (code.as_str().unwrap().to_owned(), issue["created_at"].as_str().unwrap().to_owned())
        };
        issues[key].as_array().unwrap().iter().map(codes).collect::<Vec<_>>()
    };
    let issue = |code: &str, hours| vec![(code.to_owned(), to_iso(at(hours)))];
    assert_eq!(errors("access_code_errors"), issue("failed_to_set_on_device", 5));
    assert_eq!(errors("access_code_warnings"), issue("delay_in_setting_on_device", 4));
    assert_eq!(errors("device_errors"), issue("device_disconnected", 1));
    assert_eq!(errors("device_warnings"), issue("low_battery", 3));
    assert_eq!(errors("connected_account_errors"), issue("account_disconnected", 2));
    assert_eq!(errors("connected_account_warnings"), []);
}

#[test]
fn event_ref_has_the_ids_and_type_of_the_event() {
    let locked = locked(device("august_lock", json!({})));
    let mut code = access_code(1, &locked.device, entry("1357", None));
    let event = NewEvent::of_access_code(&mut code, &locked, event_type::CREATED, at(1), at(1));
    let event_ref = EventRef::from(&event);
    assert_eq!((event_ref.event_id, event_ref.event_type), (event.event_id, event_type::CREATED));
    assert_eq!(event_ref.access_code_id, Some(code.access_code_id));
}
