//! Property tests: invariants of offline codes for arbitrary requests.

use super::*;
use proptest::prelude::*;

fn any_zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "America/Los_Angeles",
        "Europe/London",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "UTC",
    ])
}

proptest! {
    #[test]
    fn igloohome_code_keeps_its_category_and_its_rounding_limit(
        zone in any_zone(), start in 0_i64..40_000_000, length in 1_i64..35_000_000, day: bool
    ) {
        let lock = device("igloohome_lock", &json!({ "time_zone": zone }));
        let (starts_at, rounding) = (at(NOW) + TimeDelta::seconds(start), if day { MaxTimeRounding::Day } else { MaxTimeRounding::Hour });
        let ends_at = starts_at + TimeDelta::seconds(length);
        let request = OfflineRequest { starts_at, ends_at: Some(ends_at), max_time_rounding: rounding, ..request(NOW, "") };
        if let Ok(Plan { kind, window, .. }) = plan(&lock, &request, &[], at(NOW)) {
            let zone = lock.time_zone().unwrap().parse().unwrap();
            let (from, to) = (local(zone, window.starts_at), local(zone, window.ends_at));
            prop_assert!((window.starts_at - starts_at).abs() <= TimeDelta::minutes(30));
            // A clock change may add an hour to the distance.
            prop_assert!((window.ends_at - ends_at).abs() <= rounding.limit() + TimeDelta::hours(1));
            match kind {
                Hourly => {
                    let hours = (window.ends_at - window.starts_at).num_minutes() / 60;
                    prop_assert!((1..=672).contains(&hours), "{}", hours);
                }
                Daily => {
                    prop_assert!((29..=367).contains(&(to.date() - from.date()).num_days()));
                    let zone_skips = to.time() != from.time();
                    prop_assert!(!zone_skips || (to - from).num_hours() % 24 <= 1, "{} {}", from, to);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        } else if length >= 3600 {
            // Only a time frame that is too long for an hourly code (672 hours after rounding) can be rejected: it has
                // less than 29 or more than 367 days, or does not end at the time of day at which it starts.
            prop_assert!(ends_at - starts_at > TimeDelta::hours(671), "{}", to_iso(ends_at));
        }
    }

    #[test]
    fn oracode_code_always_has_the_times_of_a_slot(
        zone in any_zone(), start in 0_i64..40_000_000, length in 1_i64..3_000_000, day: bool
    ) {
        let lock = device("dormakaba_oracode_door", &json!({ "time_zone": zone }));
        let rounding = if day { MaxTimeRounding::Day } else { MaxTimeRounding::Hour };
        let starts_at = at(NOW) + TimeDelta::seconds(start);
        let ends_at = starts_at + TimeDelta::seconds(length);
        let request = OfflineRequest { starts_at, ends_at: Some(ends_at), max_time_rounding: rounding, ..request(NOW, "") };
        match plan(&lock, &request, &[], at(NOW)) {
            Ok(plan) => {
                let zone: Tz = zone.parse().unwrap();
                let shown = |instant| local(zone, instant).format("%H:%M:%S").to_string();
                let (from, to) = (shown(plan.window.starts_at), shown(plan.window.ends_at));
                let slots = oracode::default_slots();
                prop_assert!(slots.iter().any(|slot| slot.check_in_time == from && slot.check_out_time == to), "{} {}", from, to);
                prop_assert!(plan.window.starts_at < plan.window.ends_at && plan.window.ends_at > at(NOW));
                prop_assert!((plan.window.starts_at - starts_at).abs() <= rounding.limit() + TimeDelta::hours(1));
            }
            Err(_) => prop_assert!(!day || ends_at - starts_at > TimeDelta::days(30), "a day is enough for any slot"),
        }
    }

    #[test]
    fn local_time_converts_to_an_instant_and_back(zone in any_zone(), seconds in 0_i64..400_000_000) {
        let zone = zone.parse().unwrap();
        let before = local(zone, at(NOW) + TimeDelta::seconds(seconds));
        prop_assert_eq!(local(zone, instant(zone, before)), before);
    }
}
