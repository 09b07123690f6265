//! Buffer for locks with native scheduling in local time whose time zone is unknown (Schlage).
//!
//! If a window crosses a change between winter and summer time, Seam cannot convert it to the lock's local time. Seam
//! then extends the window by an hour and adds the warning `time_frame_adjusted_for_unknown_time_zone` to the code.

use super::access_code::lifecycle::Window;
use crate::clock::Timestamp;
use chrono::{Datelike, TimeDelta, TimeZone, Utc};
use chrono_tz::{OffsetComponents, Tz};

/// Possible time zones of such a lock. The manufacturer's market is the United States, where the clocks change at the
/// same local time in each zone: at five instants, an hour apart. The lock's zone is unknown, so all five are
/// considered.
const ZONES: [Tz; 5] = [Tz::US__Eastern, Tz::US__Central, Tz::US__Mountain, Tz::US__Pacific, Tz::US__Alaska];
/// Possible error of the lock's clock after a change.
const BUFFER: TimeDelta = TimeDelta::hours(1);

/// Clock changes that a window crosses. A window of slightly more than a year always crosses both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crossing {
    /// Change from winter to summer time.
    pub spring: bool,
    /// Change from summer to winter time.
    pub autumn: bool,
}

/// Returns the clock changes of the United States, in any zone, that lie after the window's start and not after its
/// end.
pub(crate) fn crossing(window: Window) -> Crossing {
    let instants = instants_between_changes(window);
    let crosses = |into_summer: bool| {
        let crosses_in = |zone: Tz| {
            instants
                .windows(2)
                .any(|pair| is_summer(zone, pair[0]) != into_summer && is_summer(zone, pair[1]) == into_summer)
        };
        ZONES.into_iter().any(crosses_in)
    };
    Crossing { spring: crosses(true), autumn: crosses(false) }
}

/// Returns the extended window for the lock; `None` if the window crosses no change and stays as it is.
///
/// The window ends an hour later if it crosses the change in spring, and starts an hour earlier if it crosses the
/// change in autumn.
pub(crate) fn buffered(window: Window) -> Option<Window> {
    let Crossing { spring, autumn } = crossing(window);
    let starts_at = if autumn { window.starts_at - BUFFER } else { window.starts_at };
    let ends_at = if spring { window.ends_at + BUFFER } else { window.ends_at };
    (spring || autumn).then_some(Window { starts_at, ends_at })
}

/// Returns instants in order, for a comparison of neighbours: the start of the window, each 1 January (winter) and 1
/// July (summer) within it, up to the second year after that of the start, and its end. Up to the last 1 July, at most
/// one change lies between two neighbours. In a window that lasts longer, both kinds of change have been found by then.
fn instants_between_changes(window: Window) -> Vec<Timestamp> {
    let year = window.starts_at.year();
    let months = (year..=year + 2).flat_map(|year| [(year, 1), (year, 7)]);
    let instants = months.filter_map(|(year, month)| Utc.with_ymd_and_hms(year, month, 1, 0, 0, 0).single());
    let within = instants.filter(|instant| window.starts_at < *instant && *instant < window.ends_at);
    std::iter::once(window.starts_at).chain(within).chain([window.ends_at]).collect()
}

fn is_summer(zone: Tz, instant: Timestamp) -> bool {
    !zone.offset_from_utc_datetime(&instant.naive_utc()).dst_offset().is_zero()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_iso;
    use proptest::prelude::*;

    fn window(starts_at: &str, ends_at: &str) -> Window {
        Window { starts_at: from_iso(starts_at).unwrap(), ends_at: from_iso(ends_at).unwrap() }
    }

    #[test]
    fn daylight_buffer_extends_a_window_across_a_clock_change_by_an_hour() {
        // In 2026 the clocks change on 8 March and on 1 November.
        for (starts_at, ends_at, buffered_start, buffered_end) in [
            ("2026-03-06T20:00:00Z", "2026-03-09T16:00:00Z", "2026-03-06T20:00:00Z", "2026-03-09T17:00:00Z"),
            ("2026-10-30T20:00:00Z", "2026-11-02T16:00:00Z", "2026-10-30T19:00:00Z", "2026-11-02T16:00:00Z"),
            ("2026-03-01T00:00:00Z", "2026-12-01T00:00:00Z", "2026-02-28T23:00:00Z", "2026-12-01T01:00:00Z"),
            ("2026-10-01T00:00:00Z", "2027-04-01T00:00:00Z", "2026-09-30T23:00:00Z", "2027-04-01T01:00:00Z"),
            ("2026-06-01T00:00:00Z", "2096-06-01T00:00:00Z", "2026-05-31T23:00:00Z", "2096-06-01T01:00:00Z"),
        ] {
            let expected = Some(window(buffered_start, buffered_end));
            assert_eq!(buffered(window(starts_at, ends_at)), expected, "{starts_at} {ends_at}");
        }
    }

    #[test]
    fn daylight_buffer_leaves_a_window_without_a_clock_change_as_it_is() {
        for (starts_at, ends_at) in [
            ("2026-03-01T00:00:00Z", "2026-03-08T06:59:59Z"),
            ("2026-03-08T11:00:00Z", "2026-11-01T05:59:59Z"),
            ("2026-11-01T10:00:00Z", "2027-03-14T06:59:59Z"),
        ] {
            assert_eq!(buffered(window(starts_at, ends_at)), None, "{starts_at} {ends_at}");
        }
    }

    #[test]
    fn daylight_crossing_considers_the_change_of_each_zone() {
        for hour in 7..12 {
            let at_change = from_iso("2026-03-08T00:00:00Z").unwrap() + TimeDelta::hours(hour);
            let minute = TimeDelta::minutes(1);
            let around = Window { starts_at: at_change - minute, ends_at: at_change + minute };
            assert_eq!(crossing(around), Crossing { spring: true, autumn: false }, "{hour} UTC");
            let after = Window { starts_at: at_change + minute, ends_at: at_change + minute * 2 };
            assert_eq!(crossing(after), Crossing { spring: false, autumn: false }, "{hour} UTC");
        }
    }

    proptest! {
        #[test]
        fn daylight_crossing_of_an_inner_window_is_part_of_the_outer_one(
            start in 1_700_000_000_i64..3_000_000_000, lengths in proptest::array::uniform3(1_i64..90_000_000)
        ) {
            let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0).unwrap();
            let [before, inner, behind] = lengths;
            let outer = crossing(Window { starts_at: at(start), ends_at: at(start + before + inner + behind) });
            let inner = crossing(Window { starts_at: at(start + before), ends_at: at(start + before + inner) });
            prop_assert!(outer.spring || !inner.spring);
            prop_assert!(outer.autumn || !inner.autumn);
        }

        #[test]
        fn daylight_crossing_of_a_year_contains_both_changes(
            start in 1_700_000_000_i64..3_000_000_000, longer in 0_i64..1_000_000_000
        ) {
            let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0).unwrap();
            // The date of the change may be up to a week later than in the year before.
            let year = Window { starts_at: at(start), ends_at: at(start + 373 * 86_400 + longer) };
            prop_assert_eq!(crossing(year), Crossing { spring: true, autumn: true });
        }
    }
}
