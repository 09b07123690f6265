use super::*;
use crate::domain::samples::{at, device, settings};
use serde_json::json;

/// Returns all overrides, with values that differ from the default of the brand.
fn all_overrides() -> Value {
    json!({
        "supported_code_lengths": [9],
        "max_active_codes_supported": 3,
        "code_constraints": [{ "constraint_type": "no_zeros" }],
        "native_scheduling": false,
        "can_program_online_access_codes": false,
        "can_program_offline_access_codes": true,
        "supports_backup_access_code_pool": false,
        "battery_level": 0.5,
        "backup_access_code_pool_size": 2,
        "time_zone": "Asia/Tokyo",
        "properties": { "locked": true },
    })
}

#[test]
fn overrides_replace_the_defaults_of_the_brand() {
    let (plain, other) = (device("august_lock", json!({})), device("august_lock", all_overrides()));
    assert_eq!((plain.schedules_natively(), other.schedules_natively()), (true, false));
    assert_eq!(plain.reported_code_lengths(), Some(&[4, 5, 6, 7, 8][..]));
    assert_eq!(other.reported_code_lengths(), Some(&[9][..]));
    assert!(plain.code_lengths().accepts(4) && !plain.code_lengths().accepts(9));
    assert!(!other.code_lengths().accepts(4) && other.code_lengths().accepts(9));
    assert_eq!((plain.capacity(), other.capacity()), (None, Some(3)));
    assert_eq!((plain.digit_rules(), other.digit_rules()), (vec![], vec![DigitRule::NoZeros]));
    assert_eq!((plain.code_constraints().len(), other.code_constraints().len()), (0, 1));
    assert_eq!((plain.can_program_online_access_codes(), other.can_program_online_access_codes()), (true, false));
    assert_eq!((plain.can_program_offline_access_codes(), other.can_program_offline_access_codes()), (false, true));
    assert_eq!((plain.supports_backup_pool(), other.supports_backup_pool()), (true, false));
    assert_eq!((plain.pool_size(), other.pool_size()), (5, 2));
    assert_eq!((plain.time_zone(), other.time_zone()), (Some("America/Los_Angeles"), Some("Asia/Tokyo")));
    let nuki = device("nuki_lock", json!({}));
    assert_eq!(nuki.digit_rules(), [DigitRule::CannotStartWith12, DigitRule::NoZeros]);
    assert_eq!(nuki.capacity(), Some(100));
    let without = json!({ "supported_code_lengths": null, "max_active_codes_supported": null, "time_zone": null });
    let without = device("nuki_lock", without);
    assert_eq!((without.reported_code_lengths(), without.capacity(), without.time_zone()), (None, None, None));
    assert!(without.code_lengths().accepts(12));
    let invalid = device("nuki_lock", json!({ "supported_code_lengths": [2] }));
    assert_eq!(invalid.reported_code_lengths(), None, "lengths stored by an older version count as none");
}

#[test]
fn overrides_merge_replaces_older_values_with_newer_ones() {
    let parse = |value: Value| Overrides::deserialize(value).unwrap();
    let mut merged = parse(all_overrides());
    merged.merge(Overrides::default());
    assert_eq!(merged, parse(all_overrides()), "absent values change nothing");
    let mut merged = Overrides::default();
    merged.merge(parse(all_overrides()));
    assert_eq!(merged, parse(all_overrides()));
    merged.merge(parse(json!({ "time_zone": null, "properties": { "online": false } })));
    assert_eq!(merged.time_zone, Some(None));
    assert_eq!(json!(merged.properties), json!({ "locked": true, "online": false }));
    assert_eq!(serde_json::to_value(Overrides::default()).unwrap(), json!({}));
}

#[test]
fn overrides_in_properties_move_to_their_own_fields() {
    let normalize = |value: Value| Overrides::deserialize(value).unwrap().normalize();
    let own = json!({
        "supported_code_lengths": [4], "max_active_codes_supported": 7, "code_constraints": [],
        "supports_backup_access_code_pool": false, "battery_level": 1.0,
    });
    let mut given = own.clone();
    given["locked"] = json!(true);
    let mut expected = own;
    expected["properties"] = json!({ "locked": true });
    assert_eq!(serde_json::to_value(normalize(json!({ "properties": given })).unwrap()).unwrap(), expected);
    let with_both = json!({ "battery_level": 0.5, "properties": { "battery_level": 0.75 } });
    assert_eq!(normalize(with_both).unwrap().battery_level, Some(Some(0.5)), "the top-level value counts");
    assert!(normalize(json!({ "properties": { "battery_level": "full" } })).is_err());
    for lengths in [json!([]), json!([3]), json!([13])] {
        assert!(normalize(json!({ "supported_code_lengths": lengths })).is_err(), "{lengths}");
    }
    assert!(normalize(json!({ "supported_code_lengths": null })).is_ok());
    assert!(normalize(json!({ "supported_code_lengths": [3, 4] })).is_ok());
}

#[test]
fn device_constraints_replace_those_of_the_brand() {
    let constraints = |types: &[&str]| {
        let constraints: Vec<Value> = types.iter().map(|name| json!({ "constraint_type": name })).collect();
        json!({ "code_constraints": constraints })
    };
    assert!(device("kwikset_lock", json!({})).has_constraint("start_date_in_future"));
    assert!(!device("august_lock", json!({})).has_constraint("start_date_in_future"));
    assert!(!device("kwikset_lock", constraints(&[])).has_constraint("start_date_in_future"));
    assert!(device("august_lock", constraints(&["start_date_in_future"])).has_constraint("start_date_in_future"));
    for (device_type, overrides, provider_chooses) in [
        ("august_lock", json!({}), false),
        ("salto_lock", json!({}), true),
        ("august_lock", constraints(&["cannot_specify_pin_code"]), true),
        ("august_lock", constraints(&["pin_code_matches_existing_set"]), true),
        ("salto_lock", json!({ "properties": { "salto_ks_metadata": {} } }), true),
        (
            "salto_lock",
            json!({ "properties": { "salto_ks_metadata": { "has_custom_pin_subscription": true } } }),
            false,
        ),
    ] {
        assert_eq!(device(device_type, overrides.clone()).provider_chooses_codes(), provider_chooses, "{overrides}");
    }
    for (device_type, lead) in [("kwikset_lock", Some(3)), ("igloohome_lock", Some(0)), ("august_lock", None)] {
        let lead = lead.map(TimeDelta::minutes);
        assert_eq!(device(device_type, json!({})).past_start_lead(), lead, "{device_type}");
    }
}

#[test]
fn device_lock_combines_the_device_and_the_workspace_settings() {
    let mut device = device("kwikset_lock", json!({}));
    let settings = WorkspaceSettings { keeps_expired: true, slow_after: TimeDelta::minutes(2), ..settings() };
    let expected = Lock {
        reachable_since: Some(at(0)),
        unreachable_since: None,
        programming: Some(TimeDelta::seconds(1)),
        slow_after: TimeDelta::minutes(2),
        keeps_expired: true,
        past_start_lead: Some(TimeDelta::minutes(3)),
        late_issuance: settings.late_issuance,
    };
    assert_eq!(device.lock(&settings), expected);
    device.change(at(1), |device| device.health.hub_disconnected_at = Some(at(1)));
    let lock = device.lock(&settings);
    assert_eq!((lock.reachable_since, lock.unreachable_since), (None, Some(at(1))));
}

#[test]
fn device_is_reachable_again_once_all_problems_are_gone() {
    let mut device = device("august_lock", json!({}));
    device.change(at(1), |_| {});
    assert_eq!(device.reachable_since, Some(at(0)), "the device was always reachable");
    device.change(at(1), |device| {
        let health = &mut device.health;
        health.disconnected_at = Some(at(1));
        health.removed_at = Some(at(1));
    });
    device.change(at(2), |device| device.health.disconnected_at = None);
    assert_eq!(device.reachable_since, None);
    device.change(at(3), |device| device.health.removed_at = None);
    assert_eq!(device.reachable_since, Some(at(3)));
}

#[test]
fn bolt_moved_while_the_lock_is_unreachable_is_reported_once_it_is_reachable() {
    let mut device = device("august_lock", json!({}));
    device.set_locked(false);
    assert_eq!(device.overrides.properties.get("locked"), Some(&json!(false)));
    device.change(at(1), |device| device.health.disconnected_at = Some(at(1)));
    device.set_locked(true);
    assert_eq!(device.overrides.properties.get("locked"), Some(&json!(false)));
    device.change(at(2), |device| device.health.removed_at = Some(at(2)));
    assert_eq!(device.health.locked_unseen, Some(true));
    device.change(at(3), |device| (device.health.disconnected_at, device.health.removed_at) = (None, None));
    assert_eq!(device.overrides.properties.get("locked"), Some(&json!(true)));
    assert_eq!(device.health.locked_unseen, None);
}

#[test]
fn device_summary_has_the_data_that_responses_about_codes_need() {
    let mut device = device("schlage_lock", json!({ "time_zone": null }));
    device.backup_pool = Some(BackupPool { is_enabled: true, since: at(0) });
    let summary = device.summary(4);
    assert_eq!((summary.brand, summary.name.as_str(), summary.backups), (device.brand, "Front Door", 4));
    assert_eq!(summary.backup_pool, device.backup_pool);
    assert_eq!(summary.overrides, device.overrides);
    assert!(device.needs_daylight_buffer(), "no time zone is known for the Schlage lock");
    for (device_type, overrides) in [("schlage_lock", json!({ "time_zone": "Asia/Tokyo" })), ("august_lock", json!({}))]
    {
        assert!(!super::super::samples::device(device_type, overrides).needs_daylight_buffer(), "{device_type}");
    }
    assert!(super::super::samples::device("schlage_lock", json!({})).needs_daylight_buffer());
}

#[test]
fn name_length_limits_come_from_the_device_or_its_brand() {
    let limits = |device_type, overrides| device(device_type, overrides).summary(0).name_length();
    assert_eq!(limits("kwikset_lock", json!({})), (Some(2), Some(14)));
    assert_eq!(limits("kwikset_lock", json!({ "code_constraints": [] })), (None, None));
    let own = json!({ "constraint_type": "name_length", "min_length": 1, "max_length": 8 });
    let own = json!({ "code_constraints": [{ "constraint_type": "no_zeros" }, own] });
    assert_eq!(limits("kwikset_lock", own), (Some(1), Some(8)));
}
