use super::*;
use crate::clock::from_iso;
use crate::domain::samples::{at, device};
use serde_json::json;

fn condition(code: &str, hours: i64) -> Condition {
    Condition { code: code.to_owned(), message: "As a tester has it.".to_owned(), created_at: at(hours) }
}

/// Returns the codes of errors or warnings with their `created_at`, in hours.
fn brief(issues: &[Value]) -> Vec<(&str, i64)> {
    let hours = |issue: &Value| {
        assert!(!issue["message"].as_str().unwrap().is_empty());
        (from_iso(issue["created_at"].as_str().unwrap()).unwrap() - at(0)).num_hours()
    };
    let code = |issue| Value::get(issue, "error_code").or_else(|| issue.get("warning_code")).unwrap().as_str().unwrap();
    issues.iter().map(|issue| (code(issue), hours(issue))).collect()
}

#[test]
fn device_is_unreachable_since_its_first_connection_problem() {
    let health =
        |disconnected: Option<i64>, hub: Option<i64>, removed: Option<i64>, account: Option<i64>| DeviceHealth {
            disconnected_at: disconnected.map(at),
            hub_disconnected_at: hub.map(at),
            removed_at: removed.map(at),
            account_disconnected_at: account.map(at),
            ..DeviceHealth::default()
        };
    for (health, since, by) in [
        (health(None, None, None, None), None, None),
        (health(Some(1), None, None, None), Some(1), Some("device_disconnected")),
        (health(None, None, Some(2), None), Some(2), Some("device_disconnected")),
        (health(Some(4), Some(3), None, None), Some(3), Some("hub_disconnected")),
        (health(Some(1), Some(2), Some(3), Some(4)), Some(1), Some("account_disconnected")),
    ] {
        assert_eq!((health.unreachable_since(), health.disconnected_by()), (since.map(at), by));
    }
}

#[test]
fn device_health_without_problems_is_serialized_as_an_empty_object() {
    assert_eq!(serde_json::to_value(DeviceHealth::default()).unwrap(), json!({}));
    let counted = DeviceHealth { wrong_codes: 2, ..DeviceHealth::default() };
    assert_eq!(serde_json::to_value(counted).unwrap(), json!({ "wrong_codes": 2 }));
}

#[test]
fn device_errors_are_ordered_and_marked_as_device_or_account_errors() {
    let mut lock = device("august_lock", json!({}));
    lock.health = DeviceHealth {
        disconnected_at: Some(at(1)),
        hub_disconnected_at: Some(at(2)),
        removed_at: Some(at(3)),
        account_disconnected_at: Some(at(4)),
        errors: vec![condition("lockly_missing_wifi_bridge", 5), condition("insufficient_permissions", 6)],
        ..DeviceHealth::default()
    };
    lock.backup_pool = Some(BackupPool { is_enabled: true, since: at(7) });
    let errors = lock.summary(0).errors();
    let expected = [
        ("account_disconnected", 4),
        ("device_removed", 3),
        ("device_disconnected", 1),
        ("hub_disconnected", 2),
        ("empty_backup_access_code_pool", 7),
        ("lockly_missing_wifi_bridge", 5),
        ("insufficient_permissions", 6),
    ];
    assert_eq!(brief(&errors), expected);
    for error in &errors {
        let is_of_account =
            ["account_disconnected", "insufficient_permissions"].contains(&error["error_code"].as_str().unwrap());
        assert_eq!(error["is_device_error"], json!(!is_of_account), "{error}");
        assert_eq!(error.get("is_connected_account_error"), is_of_account.then_some(&json!(true)), "{error}");
    }
}

#[test]
fn bridge_error_is_marked_neither_as_device_nor_as_account_error() {
    let mut lock = device("august_lock", json!({}));
    lock.health.errors = vec![condition("bridge_disconnected", 1)];
    let message = "As a tester has it.";
    let expected = json!({ "error_code": "bridge_disconnected", "message": message,
                           "created_at": "2026-03-01T01:00:00.000Z", "is_bridge_error": true });
    assert_eq!(lock.summary(0).errors(), [expected]);
}

#[test]
fn backup_pool_is_empty_while_enabled_without_backup_codes_to_pull() {
    let mut lock = device("august_lock", json!({}));
    for (is_enabled, backups, is_empty, has_backups) in
        [(true, 0, true, false), (true, 1, false, true), (false, 0, false, false), (false, 1, false, false)]
    {
        lock.backup_pool = Some(BackupPool { is_enabled, since: at(1) });
        let summary = lock.summary(backups);
        assert_eq!((!summary.errors().is_empty(), summary.has_backups()), (is_empty, has_backups));
    }
    lock.backup_pool = None;
    assert!(lock.summary(0).errors().is_empty() && !lock.summary(1).has_backups());
}

#[test]
fn backup_pool_warnings_depend_on_failed_refills_and_pulled_codes() {
    let mut lock = device("august_lock", json!({ "backup_access_code_pool_size": 3 }));
    let stats = |backups, failed_refills, pulled_backups| DeviceStats {
        backups,
        failed_refills,
        pulled_backups,
        ..DeviceStats::default()
    };
    let (partial, many) = (("partial_backup_access_code_pool", 1), ("many_active_backup_codes", 1));
    for (is_enabled, stats, expected) in [
        (true, stats(0, 1, 0), vec![]),
        (true, stats(1, 0, 0), vec![]),
        (true, stats(1, 1, 0), vec![partial]),
        (true, stats(2, 1, 0), vec![partial]),
        (true, stats(3, 1, 0), vec![]),
        (true, stats(3, 0, 3), vec![]),
        (true, stats(3, 0, 4), vec![many]),
        (true, stats(1, 1, 4), vec![partial, many]),
        (false, stats(1, 1, 4), vec![]),
    ] {
        lock.backup_pool = Some(BackupPool { is_enabled, since: at(1) });
        assert_eq!(brief(&lock.warnings(&stats)), expected, "{stats:?}");
    }
}

#[test]
fn full_memory_warning_has_its_start_and_the_number_of_codes() {
    let lock = device("august_lock", json!({ "max_active_codes_supported": 3 }));
    let stats =
        |held, held_since: Option<i64>| DeviceStats { held, held_since: held_since.map(at), ..DeviceStats::default() };
    assert_eq!(lock.warnings(&stats(2, Some(1))), [json!(null); 0]);
    for (held, since, hours) in [(3, Some(1), 1), (4, Some(2), 2), (3, None, 0)] {
        let warnings = lock.warnings(&stats(held, since));
        assert_eq!(brief(&warnings), [("max_access_codes_reached", hours)]);
        assert_eq!(warnings[0]["active_access_code_count"], held);
        assert_eq!(warnings[0]["max_active_access_code_count"], 3);
    }
    let mut troubled = device("august_lock", json!({}));
    troubled.health.warnings = vec![condition("low_battery", 5)];
    assert_eq!(brief(&troubled.warnings(&stats(100, None))), [("low_battery", 5)]);
}

#[test]
fn device_warnings_need_stats_with_a_backup_pool_or_a_capacity() {
    let mut lock = device("august_lock", json!({}));
    assert!(!lock.needs_stats());
    lock.backup_pool = Some(BackupPool { is_enabled: false, since: at(0) });
    assert!(lock.needs_stats());
    assert!(device("nuki_lock", json!({})).needs_stats());
}
