use super::OfflineKind::{Daily, Hourly, OneTime, OracodeSlot, TimeBound};
use super::*;
use crate::clock::{from_iso, to_iso};
use crate::domain::device::health::DeviceHealth;
use crate::domain::device::{Overrides, brands};
use uuid::Uuid;

mod properties;

const NOW: &str = "2026-03-01T12:00:00Z";

fn at(text: &str) -> Timestamp {
    from_iso(text).unwrap()
}

fn device(device_type: &str, overrides: &Value) -> Device {
    Device {
        device_id: Uuid::from_u128(7),
        workspace_id: Uuid::nil(),
        connected_account_id: Uuid::nil(),
        brand: brands::of(device_type).unwrap(),
        name: "Front Door".to_owned(),
        nickname: None,
        is_managed: true,
        ordinal: 0,
        created_at: at(NOW),
        reachable_since: None,
        health: DeviceHealth { disconnected_at: Some(at(NOW)), ..DeviceHealth::default() },
        backup_pool: None,
        events_made: 0,
        lock_operations: Vec::new(),
        overrides: Overrides::deserialize(overrides).unwrap(),
        custom_metadata: serde_json::Map::new(),
        deleted_at: None,
        space_ids: Vec::new(),
    }
}

fn igloohome() -> Device {
    device("igloohome_lock", &json!({ "time_zone": "America/Los_Angeles" }))
}

/// Creates a door in New York with a slot from 4 p.m. to 10 a.m. and the slots in `more`.
fn door(more: &[Value]) -> Device {
    let mut slots =
        vec![slot("Guest", "16:00:00-05:00[America/New_York]", "10:00:00-05:00[America/New_York]", &json!({}))];
    slots.extend_from_slice(more);
    let metadata = json!({ "iana_timezone": "America/New_York", "site_name": "Pier", "predefined_time_slots": slots });
    device("dormakaba_oracode_door", &json!({ "properties": { "dormakaba_oracode_metadata": metadata } }))
}

fn slot(name: &str, check_in: &str, check_out: &str, more: &Value) -> Value {
    let mut slot = json!({
        "name": name,
        "check_in_time": check_in,
        "check_out_time": check_out,
        "dormakaba_oracode_user_level_id": Uuid::from_u128(9),
    });
    slot.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    slot
}

fn request(starts_at: &str, ends_at: &str) -> OfflineRequest {
    OfflineRequest {
        starts_at: at(starts_at),
        ends_at: (!ends_at.is_empty()).then(|| at(ends_at)),
        is_one_time_use: false,
        has_code: false,
        max_time_rounding: MaxTimeRounding::Hour,
        stay_id: 41,
    }
}

fn by_day(request: OfflineRequest) -> OfflineRequest {
    OfflineRequest { max_time_rounding: MaxTimeRounding::Day, ..request }
}

fn once(request: OfflineRequest) -> OfflineRequest {
    OfflineRequest { is_one_time_use: true, ..request }
}

fn window(starts_at: &str, ends_at: &str) -> Window {
    Window { starts_at: at(starts_at), ends_at: at(ends_at) }
}

fn planned(device: &Device, request: &OfflineRequest) -> (OfflineKind, Window) {
    let plan = plan(device, request, &[], at(NOW)).unwrap();
    (plan.kind, plan.window)
}

fn rejection(device: &Device, request: &OfflineRequest, registered: &[ExistingOfflineCode]) -> (String, Value) {
    match plan(device, request, registered, at(NOW)) {
        Err(Error::InvalidInput { message, validation_errors }) => (message, validation_errors),
        other => panic!("{other:?}"),
    }
}

/// Asserts that the request is rejected with a validation error of this parameter and a message that contains `part`.
#[track_caller]
fn assert_rejected(device: &Device, request: &OfflineRequest, parameter: &str, part: &str) {
    let (message, tree) = rejection(device, request, &[]);
    assert!(message.contains(part), "{message}");
    assert!(tree.get(parameter).is_some(), "{tree}");
}

#[test]
fn igloohome_code_is_hourly_up_to_672_hours_and_daily_from_29_to_367_days() {
    for (request, expected) in [
        (request("2026-03-02T15:00:00Z", "2026-03-02T16:00:00Z"), Hourly),
        (request("2026-04-01T15:00:00Z", "2026-04-29T15:00:00Z"), Hourly),
        (request("2026-04-01T15:00:00Z", "2026-04-30T15:00:00Z"), Daily),
        (request("2026-04-01T15:00:00Z", "2027-04-03T15:00:00Z"), Daily),
    ] {
        let unchanged = Window { starts_at: request.starts_at, ends_at: request.ends_at.unwrap() };
        assert_eq!(planned(&igloohome(), &request), (expected, unchanged));
    }
    for (starts_at, ends_at, part) in [
        ("2026-03-02T15:00:00Z", "2026-03-02T15:20:00Z", "at least an hour"),
        ("2026-04-01T15:00:00Z", "2026-04-29T16:00:00Z", "1 to 672 hours or 29 to 367 days"),
        ("2026-04-01T15:00:00Z", "2027-04-04T15:00:00Z", "1 to 672 hours or 29 to 367 days"),
    ] {
        for rounded in [request(starts_at, ends_at), by_day(request(starts_at, ends_at))] {
            assert_rejected(&igloohome(), &rounded, "ends_at", part);
        }
    }
}

#[test]
fn igloohome_codes_start_and_end_at_the_nearest_hour() {
    for (starts_at, ends_at, start, end) in [
        ("2026-03-02T15:20:00Z", "2026-03-02T17:45:00Z", "2026-03-02T15:00:00Z", "2026-03-02T18:00:00Z"),
        ("2026-03-02T15:30:00Z", "2026-03-02T17:29:59Z", "2026-03-02T16:00:00Z", "2026-03-02T17:00:00Z"),
        // The maximum duration, with a start and an end that are not full hours.
        ("2026-04-01T15:20:00Z", "2026-04-29T15:20:00Z", "2026-04-01T15:00:00Z", "2026-04-29T15:00:00Z"),
    ] {
        assert_eq!(planned(&igloohome(), &request(starts_at, ends_at)), (Hourly, window(start, end)));
    }
    let in_india = device("igloohome_lock", &json!({ "time_zone": "Asia/Kolkata" }));
    assert_eq!(
        planned(&in_india, &request("2026-03-02T10:20:00+05:30", "2026-03-02T12:00:00+05:30")),
        (Hourly, window("2026-03-02T10:00:00+05:30", "2026-03-02T12:00:00+05:30")),
        "rounded to hours of the lock's time zone"
    );
    let somewhere = device("igloohome_lock", &json!({ "time_zone": null }));
    assert_eq!(
        planned(&somewhere, &request("2026-03-02T10:20:00Z", "2026-03-02T12:00:00Z")),
        (Hourly, window("2026-03-02T10:00:00Z", "2026-03-02T12:00:00Z"))
    );
}

#[test]
fn igloohome_daily_code_ends_at_the_time_of_day_at_which_it_starts() {
    let start = "2026-04-01T15:00:00-07:00";
    let uneven = request(start, "2026-05-05T11:00:00-07:00");
    assert_rejected(
        &igloohome(),
        &uneven,
        "ends_at",
        "set ends_at to 2026-05-05T22:00:00.000Z, or max_time_rounding to 1d",
    );
    assert_eq!(planned(&igloohome(), &by_day(uneven)), (Daily, window(start, "2026-05-05T15:00:00-07:00")));
    assert_eq!(
        planned(&igloohome(), &request(start, "2026-05-05T16:00:00-07:00")),
        (Daily, window(start, "2026-05-05T15:00:00-07:00")),
        "an hour is within the default"
    );
    assert_eq!(
        planned(&igloohome(), &request("2026-04-01T15:20:00-07:00", "2026-05-05T15:20:00-07:00")),
        (Daily, window(start, "2026-05-05T15:00:00-07:00"))
    );
}

#[test]
fn igloohome_daily_code_keeps_the_local_time_across_a_clock_change() {
    // Summer time starts in Los Angeles on 8 March 2026.
    assert_eq!(
        planned(&igloohome(), &request("2026-03-02T15:00:00-08:00", "2026-04-10T15:00:00-07:00")),
        (Daily, window("2026-03-02T23:00:00Z", "2026-04-10T22:00:00Z"))
    );
}

#[test]
fn igloohome_one_time_code_takes_only_a_start_and_lasts_a_day() {
    assert_eq!(
        planned(&igloohome(), &once(request("2026-03-02T15:20:00Z", ""))),
        (OneTime, window("2026-03-02T15:00:00Z", "2026-03-03T15:00:00Z"))
    );
    let with_end = once(request("2026-03-02T15:00:00Z", "2026-03-03T15:00:00Z"));
    assert_rejected(&igloohome(), &with_end, "ends_at", "omit ends_at");
    assert_rejected(&igloohome(), &request("2026-03-02T15:00:00Z", ""), "ends_at", "give ends_at too");
}

#[test]
fn igloohome_codes_do_not_start_in_the_past() {
    assert_eq!(planned(&igloohome(), &request(NOW, "2026-03-01T14:00:00Z")).0, Hourly);
    for past in [request("2026-03-01T11:59:59Z", "2026-03-01T14:00:00Z"), once(request("2026-03-01T11:59:59Z", ""))] {
        assert_rejected(&igloohome(), &past, "starts_at", "must not be in the past");
    }
    assert_eq!(planned(&door(&[]), &request("2026-02-28T16:00:00-05:00", "2026-03-02T10:00:00-05:00")).0, OracodeSlot);
}

#[test]
fn igloohome_quotas_limit_the_codes_that_start_in_one_slot() {
    let hourly = request("2026-03-02T15:10:00Z", "2026-03-02T17:00:00Z");
    let next_hour = request("2026-03-02T16:00:00Z", "2026-03-02T17:00:00Z");
    let daily = request("2026-04-01T15:00:00-07:00", "2026-05-05T15:00:00-07:00");
    let same_day = request("2026-04-01T23:00:00-07:00", "2026-06-05T23:00:00-07:00");
    let next_day = request("2026-04-02T00:00:00-07:00", "2026-05-05T00:00:00-07:00");
    let one_time = once(request("2026-03-02T15:10:00Z", ""));
    let next_one_time = once(request("2026-03-02T16:10:00Z", ""));
    let lock = igloohome();
    for (request, full, elsewhere, most) in
        [(hourly, hourly, next_hour, 3), (daily, same_day, next_day, 3), (one_time, one_time, next_one_time, 5)]
    {
        let (kind, window) = planned(&lock, &request);
        let mut registered = vec![ExistingOfflineCode { kind, window }; most - 1];
        assert!(plan(&lock, &full, &registered, at(NOW)).is_ok());
        registered.push(ExistingOfflineCode { kind, window });
        let (message, tree) = rejection(&lock, &full, &registered);
        assert!(message.contains(&format!("at most {most}")) && tree.get("starts_at").is_some(), "{message} {tree}");
        assert!(plan(&lock, &elsewhere, &registered, at(NOW)).is_ok(), "the quota of another slot is not used up");
    }
    let (_, window) = planned(&lock, &hourly);
    let of_other_kind = [ExistingOfflineCode { kind: OneTime, window }; 3];
    assert!(plan(&lock, &hourly, &of_other_kind, at(NOW)).is_ok(), "each kind has a separate quota");
}

#[test]
fn algopins_of_more_than_a_day_must_be_used_within_24_hours() {
    let day = window("2026-03-02T15:00:00Z", "2026-03-03T15:00:00Z");
    let longer = window("2026-03-02T15:00:00Z", "2026-03-03T16:00:00Z");
    assert!(must_be_used_within_24_hours(Hourly, longer) && must_be_used_within_24_hours(Daily, longer));
    assert!(!must_be_used_within_24_hours(Hourly, day) && !must_be_used_within_24_hours(OneTime, day));
    assert!(!must_be_used_within_24_hours(TimeBound, longer) && !must_be_used_within_24_hours(OracodeSlot, longer));
}

#[test]
fn lockly_codes_accept_any_time_frame_without_rounding() {
    let lock = device("lockly_lock", &json!({}));
    let (start, end) = ("2026-03-02T15:20:00Z", "2029-03-02T17:45:13Z");
    assert_eq!(planned(&lock, &request(start, end)), (TimeBound, window(start, end)));
    assert_eq!(planned(&lock, &once(request(start, end))), (OneTime, window(start, end)));
    assert_rejected(&lock, &once(request(start, "")), "ends_at", "give ends_at too");
    let without_zone = device("lockly_lock", &json!({ "time_zone": null }));
    assert_eq!(
        rejection(&without_zone, &request(start, end), &[]).0,
        "Time zone required for offline access codes on Lockly devices"
    );
    let invalid_zone = device("lockly_lock", &json!({ "time_zone": "Mars/Olympus" }));
    assert!(rejection(&invalid_zone, &request(start, end), &[]).0.contains("Mars/Olympus is not an IANA time zone"));
}

#[test]
fn oracode_code_gets_the_times_of_the_nearest_slot() {
    let (start, end) = ("2026-03-05T16:00:00-05:00", "2026-03-07T10:00:00-05:00");
    for (starts_at, ends_at) in [
        (start, end),
        ("2026-03-05T15:45:00-05:00", "2026-03-07T10:15:00-05:00"),
        ("2026-03-05T17:00:00-05:00", "2026-03-07T09:00:00-05:00"),
    ] {
        assert_eq!(planned(&door(&[]), &request(starts_at, ends_at)), (OracodeSlot, window(start, end)), "{starts_at}");
    }
    let far = request("2026-03-05T14:00:00-05:00", end);
    assert_eq!(rejection(&door(&[]), &far, &[]).0, "No time slots found");
    assert_eq!(planned(&door(&[]), &by_day(far)), (OracodeSlot, window(start, end)));
    let later = request(start, "2026-03-07T11:00:01-05:00");
    assert_eq!(rejection(&door(&[]), &later, &[]).0, "No time slots found");
    let nearer = door(&[slot("Late", "16:00", "11:00", &json!({}))]);
    assert_eq!(planned(&nearer, &later), (OracodeSlot, window(start, "2026-03-07T11:00:00-05:00")));
    // At four in the morning the stay that has begun is nearer than the next one, although its start is further away.
    let night = by_day(request("2026-03-06T04:00:00-05:00", "2026-03-06T04:00:01-05:00"));
    assert_eq!(planned(&door(&[]), &night), (OracodeSlot, window(start, "2026-03-06T10:00:00-05:00")));
    // The next check-out is used, although the check-out before the check-in would be nearer.
    let short = by_day(request("2026-03-05T16:00:00-05:00", "2026-03-05T18:00:00-05:00"));
    assert_eq!(planned(&door(&[]), &short), (OracodeSlot, window(start, "2026-03-06T10:00:00-05:00")));
}

#[test]
fn oracode_slots_follow_the_local_time_of_the_door() {
    assert_eq!(
        planned(&door(&[]), &request("2026-03-07T16:00:00-05:00", "2026-03-09T10:00:00-04:00")),
        (OracodeSlot, window("2026-03-07T21:00:00Z", "2026-03-09T14:00:00Z"))
    );
    let elsewhere = device("dormakaba_oracode_door", &json!({ "time_zone": "Europe/Vienna" }));
    let (start, end) = ("2026-03-05T16:00:00+01:00", "2026-03-07T10:00:00+01:00");
    assert_eq!(planned(&elsewhere, &request(start, end)), (OracodeSlot, window(start, end)));
    let without_zone = device("dormakaba_oracode_door", &json!({ "time_zone": null }));
    assert!(rejection(&without_zone, &request(start, end), &[]).0.starts_with("Time zone required"));
}

#[test]
fn oracode_code_lasts_at_most_31_days_and_must_end_in_the_future() {
    let start = "2026-04-01T16:00:00-04:00";
    assert_eq!(planned(&door(&[]), &request(start, "2026-05-02T10:00:00-04:00")).0, OracodeSlot);
    assert_rejected(&door(&[]), &request(start, "2026-05-03T10:00:00-04:00"), "ends_at", "at most 31 days");
    let ending = request("2026-02-27T16:00:00-05:00", "2026-03-01T07:30:00-05:00");
    let with_early_slot = device(
        "dormakaba_oracode_door",
        &json!({
            "time_zone": "America/New_York",
            "properties": { "dormakaba_oracode_metadata": {
                "predefined_time_slots": [slot("Early", "16:00", "07:00", &json!({}))],
            } },
        }),
    );
    assert_eq!(rejection(&with_early_slot, &ending, &[]).0, "No time slots found");
}

#[test]
fn oracode_master_one_time_and_biweekly_slots_reject_ordinary_stays() {
    for mode in ["is_master", "is_one_shot", "is_biweekly_mode"] {
        let door = door(&[slot("Odd", "12:00", "12:00", &json!({ mode: true }))]);
        let noon = request("2026-03-10T12:00:00-04:00", "2026-03-12T12:00:00-04:00");
        assert_eq!(rejection(&door, &noon, &[]).0, "No time slots found", "{mode}");
        let two_weeks = request("2026-03-10T12:00:00-04:00", "2026-03-24T12:00:00-04:00");
        let is_biweekly = mode == "is_biweekly_mode";
        assert_eq!(plan(&door, &two_weeks, &[], at(NOW)).is_ok(), is_biweekly, "{mode}");
    }
    let stay = request("2026-03-05T16:00:00-05:00", "2026-03-07T10:00:00-05:00");
    assert_rejected(&door(&[]), &once(stay), "is_one_time_use", "no one-time offline codes");
}

#[test]
fn oracode_code_has_stay_metadata_and_a_pin_with_the_user_level_prefix() {
    let stay = request("2026-03-05T12:00:00-05:00", "2026-03-07T12:00:00-05:00");
    for name in ["dormakaba_oracode_user_level_prefix", "ext_dormakaba_oracode_user_level_prefix"] {
        let door = door(&[slot("Daily", "12:00", "12:00", &json!({ name: 123 }))]);
        let plan = plan(&door, &stay, &[], at(NOW)).unwrap();
        assert_eq!((plan.digits, plan.pin_prefix.as_str()), (6, "123"));
        assert_eq!(
            serde_json::to_value(plan.stay).unwrap(),
            json!({
                "stay_id": 41,
                "user_level_id": Uuid::from_u128(9),
                "user_level_name": "Daily",
                "site_name": "Pier",
                "is_cancellable": false,
                "is_extendable": false,
                "is_early_checkin_able": false,
                "is_overridable": false,
            })
        );
    }
}

#[test]
fn oracode_error_describes_invalid_slots() {
    let stay = request("2026-03-05T12:00:00-05:00", "2026-03-07T12:00:00-05:00");
    let daily = |more: &Value| slot("Daily", "12:00", "12:00", more);
    for (invalid, part) in [
        (json!("always"), "invalid type"),
        (json!({ "name": "Daily" }), "missing field `check_in_time`"),
        (slot("Daily", "noon", "12:00", &json!({})), "noon is not a time of day"),
        (daily(&json!({ "dormakaba_oracode_user_level_prefix": 123_456 })), "prefix 123456 leaves no digit"),
    ] {
        let (message, _) = rejection(&door(&[invalid]), &stay, &[]);
        assert!(message.contains("predefined_time_slots cannot be parsed") && message.contains(part), "{message}");
    }
}

#[test]
fn offline_code_requests_with_a_pin_or_for_other_brands_are_rejected() {
    let with_code = OfflineRequest { has_code: true, ..request("2026-03-05T12:00:00Z", "2026-03-07T12:00:00Z") };
    for lock in [igloohome(), door(&[]), device("lockly_lock", &json!({}))] {
        assert_rejected(&lock, &with_code, "code", "omit code");
    }
    for lock in [
        device("august_lock", &json!({})),
        device("august_lock", &json!({ "can_program_offline_access_codes": true })),
        device("igloohome_lock", &json!({ "can_program_offline_access_codes": false })),
    ] {
        let (message, _) = rejection(&lock, &with_code, &[]);
        assert!(message.contains("cannot program offline access codes"), "{message}");
        assert_eq!(time_frame_options(&lock), None);
    }
}

#[test]
fn offline_code_time_frame_must_end_after_its_start_and_in_the_future() {
    for lock in [igloohome(), door(&[]), device("lockly_lock", &json!({}))] {
        let backward = request("2026-03-05T12:00:00Z", "2026-03-05T12:00:00Z");
        assert_rejected(&lock, &backward, "ends_at", "ends_at must be after starts_at");
    }
    for lock in [door(&[]), device("lockly_lock", &json!({}))] {
        assert_rejected(&lock, &request("2026-02-05T12:00:00Z", NOW), "ends_at", "ends_at must be in the future");
    }
}

#[test]
fn time_frame_options_list_the_supported_time_frames() {
    let options = time_frame_options(&igloohome()).unwrap();
    assert_eq!((&options[0]["max_duration"], &options[1]["matching_start_end_time"]), (&json!("PT672H"), &json!(true)));
    assert_eq!(time_frame_options(&device("lockly_lock", &json!({}))), Some(json!([{ "display_name": "Time-bound" }])));
    let master = slot("Master", "00:00", "00:00", &json!({ "is_master": true }));
    assert_eq!(
        time_frame_options(&door(&[master])),
        Some(json!([{
            "display_name": "User level",
            "max_duration": "P31D",
            "time_pairs": [{ "display_name": "Guest", "start_time": "16:00", "end_time": "10:00" }],
            "time_zone": "America/New_York",
        }]))
    );
    let default = time_frame_options(&device("dormakaba_oracode_door", &json!({}))).unwrap();
    assert_eq!(default[0]["time_pairs"].as_array().unwrap().len(), oracode::default_slots().len());
    assert_eq!(default[0]["time_zone"], "America/Los_Angeles");
}

#[test]
fn offline_kinds_and_roundings_have_their_stored_and_sent_names() {
    let kinds = [Hourly, Daily, OneTime, TimeBound, OracodeSlot];
    assert_eq!(
        serde_json::to_value(kinds).unwrap(),
        json!(["hourly", "daily", "one_time", "time_bound", "oracode_slot"])
    );
    for (text, expected) in [
        ("1h", MaxTimeRounding::Hour),
        ("1hour", MaxTimeRounding::Hour),
        ("1d", MaxTimeRounding::Day),
        ("1day", MaxTimeRounding::Day),
    ] {
        assert_eq!(serde_json::from_value::<MaxTimeRounding>(json!(text)).unwrap(), expected);
    }
}

#[test]
fn local_time_that_is_skipped_or_occurs_twice_has_an_instant() {
    let zone = Tz::America__New_York;
    let shown = |text: &str| text.parse::<NaiveDateTime>().unwrap();
    assert_eq!(instant(zone, shown("2026-03-08T02:30:00")), at("2026-03-08T03:30:00-04:00"));
    assert_eq!(instant(zone, shown("2026-11-01T01:30:00")), at("2026-11-01T01:30:00-04:00"));
}

#[test]
fn stay_ids_are_unique_within_a_workspace() {
    let mut seen = std::collections::BTreeSet::new();
    for door in [0, 1, 2, 9_999] {
        for code in 0..3000 {
            assert!(seen.insert(stay_id(door, code)), "code {code} of door {door}");
        }
    }
    assert!(stay_id(i32::MAX, 3_999_999) < 1 << 53, "JavaScript represents the number exactly");
}
