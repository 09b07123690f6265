use super::*;

#[test]
fn brands_are_unique_for_each_lock_type_of_seam() {
    let types: std::collections::BTreeSet<_> = BRANDS.iter().map(|brand| brand.device_type).collect();
    assert_eq!((types.len(), BRANDS.len()), (31, 31));
}

#[test]
fn brand_constraints_are_serialized_in_the_format_of_seam() {
    let of_type = |device_type| serde_json::to_value(of(device_type).unwrap().code_constraints()).unwrap();
    assert_eq!(of_type("august_lock"), serde_json::json!([]));
    assert_eq!(
        of_type("nuki_lock"),
        serde_json::json!([
            { "constraint_type": "cannot_start_with_12" },
            { "constraint_type": "no_zeros" },
            { "constraint_type": "name_length", "max_length": 20 },
        ])
    );
}

/// Returns the capabilities of a brand in the notation of the test's table.
fn abilities(brand: &Brand) -> String {
    let number = |limit: Option<u32>| limit.map_or_else(String::new, |limit| limit.to_string());
    let mut words = Vec::new();
    let mut add = |is_so: bool, ability: &str| {
        if is_so {
            words.push(ability.to_owned());
        }
    };
    add(brand.native_scheduling, "native");
    let lengths: Vec<String> = brand.code_lengths.unwrap_or_default().iter().map(u8::to_string).collect();
    add(brand.code_lengths.is_some(), &format!("digits={}", lengths.join(",")));
    for constraint in brand.code_constraints() {
        let (min, max) = (number(constraint.min_length), number(constraint.max_length));
        let bounds = if constraint.constraint_type == "name_length" { format!("={min}-{max}") } else { String::new() };
        add(true, &format!("{}{bounds}", constraint.constraint_type));
    }
    add(brand.name_style == NameStyle::FirstAndLast, "first_and_last_name");
    add(brand.capacity.is_some(), &format!("holds={}", number(brand.capacity)));
    add(!brand.online_codes, "no_online_codes");
    add(brand.offline_codes, "offline_codes");
    add(brand.recreates_on_update, "recreates");
    add(!brand.converts_unmanaged_codes, "adopts_none");
    add(brand.hides_unmanaged_pins, "hides_pins");
    add(!brand.shows_unmanaged_codes, "shows_none");
    add(brand.accepts_reported_code_lengths, "takes_lengths");
    add(brand.hides_time_zone, "no_time_zone");
    add(!brand.backup_pool, "no_backups");
    add(brand.needs_time_zone, "needs_time_zone");
    add(brand.starts_not_in_the_past, "no_past_start");
    add(brand.reports_used_code, "whose_code");
    add(brand.reports_entries, "entries");
    add(brand.reports_door_open, "door_open");
    add(brand.denial_reported_after.is_some(), &format!("denies_after={}", number(brand.denial_reported_after)));
    words.join(" ")
}

#[test]
fn brands_have_the_capabilities_of_the_brand_sheet() {
    let sequence = "no_ascending_or_descending_sequence";
    #[rustfmt::skip]
    let expected = [
        ("august_lock", "native digits=4,5,6,7,8 first_and_last_name recreates whose_code entries door_open"),
        ("yale_lock", "native digits=4,5,6,7,8 first_and_last_name recreates whose_code entries door_open"),
        ("schlage_lock", "native digits=4,5,6,7,8 unique_first_four_digits name_length=-9 recreates no_time_zone whose_code entries"),
        ("kwikset_lock", "native digits=4,5,6,7,8 start_date_in_future name_length=2-14 adopts_none shows_none whose_code entries denies_after=3"),
        ("nuki_lock", "native digits=6 cannot_start_with_12 no_zeros name_length=-20 holds=100 entries"),
        ("igloohome_lock", "native digits=4,5,6 holds=199 offline_codes adopts_none no_past_start denies_after=1"),
        ("tedee_lock", &format!("native digits=5,6,7,8 {sequence} at_least_three_unique_digits whose_code entries")),
        ("salto_lock", "native digits=6,7,8,9,10 cannot_specify_pin_code pin_code_matches_existing_set holds=100 no_backups whose_code entries"),
        ("ttlock_lock", "native whose_code entries"),
        ("wyze_lock", "native hides_pins"),
        ("two_n_intercom", "native digits=4,5,6,7,8"),
        ("lockly_lock", "digits=6,7,8 offline_codes"),
        ("dormakaba_oracode_door", "digits=6 cannot_specify_pin_code no_online_codes offline_codes no_backups"),
        ("smartthings_lock", "adopts_none hides_pins takes_lengths"),
        ("ultraloq_lock", "digits=4,5,6,7,8 needs_time_zone"),
        ("omnitec_lock", ""),
        ("keyincode_lock", &format!("{sequence} no_all_same_digits")),
        ("brivo_access_point", "no_triple_consecutive_ints"),
    ];
    for (device_type, expected) in expected {
        assert_eq!(abilities(of(device_type).unwrap()), expected, "{device_type}");
    }
    for brand in &BRANDS[expected.len()..] {
        assert_eq!(abilities(brand), "", "{}", brand.device_type);
    }
    assert_eq!(of("august"), None);
}

#[test]
fn brands_have_seams_names() {
    let named = |device_type| of(device_type).map(|brand| (brand.display_name, brand.provider)).unwrap();
    assert_eq!(named("salto_lock"), ("Salto", "salto_ks"));
    assert_eq!(named("two_n_intercom"), ("2N", "two_n"));
    assert!(BRANDS.iter().all(|brand| !brand.display_name.is_empty() && !brand.provider.is_empty()));
}

#[test]
fn brands_that_report_no_time_zone_or_require_one_have_no_default() {
    let without: Vec<&str> =
        BRANDS.iter().filter(|brand| brand.default_time_zone().is_none()).map(|brand| brand.device_type).collect();
    assert_eq!(without, ["schlage_lock", "ultraloq_lock"]);
    assert_eq!(of("august_lock").unwrap().default_time_zone(), Some("America/Los_Angeles"));
}
