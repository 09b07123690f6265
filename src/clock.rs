//! Time: the machine's clock, and the clock of each workspace.
//!
//! This is the only file that reads the machine's clock; all other code receives instants as parameters. All instants
//! are whole milliseconds, the precision in which Seam writes them, so that an instant read from a response equals the
//! stored one.

use chrono::{DateTime, Datelike, DurationRound, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};

/// An instant in UTC, on the machine's clock or on the clock of a workspace.
pub type Timestamp = DateTime<Utc>;

/// The last instant that can be written in Seam's format, at the end of the year 9999. A running clock stops here.
pub(crate) const MAX_TIMESTAMP: Timestamp = match DateTime::from_timestamp_millis(253_402_300_799_999) {
    Some(last) => last,
    None => Timestamp::MAX_UTC,
};

/// Returns the time of the machine's clock, cut to whole milliseconds.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
pub fn machine_now() -> Timestamp {
    whole_milliseconds(Utc::now())
}

/// Cuts an instant to whole milliseconds.
pub(crate) fn whole_milliseconds(instant: Timestamp) -> Timestamp {
    instant.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(instant)
}

/// Formats an instant as Seam does: UTC with milliseconds and `Z`.
pub fn to_iso(instant: Timestamp) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Message of the validation issue for a string that is not an instant.
pub(crate) const INVALID_INSTANT: &str = "Invalid datetime: give ISO 8601, like 2026-01-31T15:00:00Z";

/// Parses an instant as JavaScript's `new Date()` parses ISO 8601: a date (`2026-03-01` or `2026-03`), or a date and a
/// time of day after `T` or a space, with `Z`, with an offset with or without a colon, or with neither. With
/// neither, the time is in UTC. Fractions of a second are cut to milliseconds. `None`: the text is not an instant, or the
/// instant is outside the years 1 to 9999.
///
/// Unlike JavaScript, rejects a year alone, dates that do not exist in the calendar, and dates in other formats than
/// ISO 8601: the instants that JavaScript reads from them are not the intended ones.
pub fn from_iso(text: &str) -> Option<Timestamp> {
    let (year, rest) = (number(text.get(..4)?)?, text.get(4..)?);
    let (month, rest) = (number(rest.get(1..3).filter(|_| rest.starts_with('-'))?)?, rest.get(3..)?);
    let (day, rest) = match rest.strip_prefix('-') {
        Some(rest) => (number(rest.get(..2)?)?, rest.get(2..)?),
        None if rest.is_empty() => (1, rest),
        None => return None,
    };
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let since_midnight = match rest.strip_prefix(['T', 't', ' ']) {
        Some(time) => time_of_day(time)?,
        None if rest.is_empty() => TimeDelta::zero(),
        None => return None,
    };
    let instant = date.and_time(NaiveTime::MIN).and_utc().checked_add_signed(since_midnight)?;
    (1..=9999).contains(&instant.year()).then_some(instant)
}

/// Parses a time of day with its offset. Returns the time in UTC since midnight UTC of the written date: negative, or
/// more than a day, if the offset leads to another date in UTC.
fn time_of_day(text: &str) -> Option<TimeDelta> {
    let (hours, rest) = (number(text.get(..2)?)?, text.get(2..)?);
    let (minutes, rest) = (number(rest.strip_prefix(':')?.get(..2)?)?, rest.get(3..)?);
    let (seconds, rest) = match rest.strip_prefix(':') {
        Some(rest) => (number(rest.get(..2)?)?, rest.get(2..)?),
        None => (0, rest),
    };
    // A fraction is accepted only after seconds, which begin after the colon at index 5.
    let (milliseconds, rest) = match rest.strip_prefix('.').filter(|_| text.get(5..6) == Some(":")) {
        Some(fraction) => {
            let end = fraction.find(|character: char| !character.is_ascii_digit()).unwrap_or(fraction.len());
            (
                number(&format!("{:0<3}", fraction.get(..end.min(3)).filter(|digits| !digits.is_empty())?))?,
                fraction.get(end..)?,
            )
        }
        None => (0, rest),
    };
    let is_midnight = (hours, minutes, seconds, milliseconds) == (24, 0, 0, 0);
    if !(hours < 24 || is_midnight) || minutes > 59 || seconds > 59 {
        return None;
    }
    let in_milliseconds = |hours: u32, minutes: u32| i64::from(hours) * 3_600_000 + i64::from(minutes) * 60_000;
    let local = in_milliseconds(hours, minutes) + i64::from(seconds) * 1000 + i64::from(milliseconds);
    let offset = match rest {
        "" | "Z" | "z" => 0,
        offset => {
            let sign = if offset.starts_with('-') { -1 } else { 1 };
            let digits = offset.strip_prefix(['+', '-'])?;
            let (hours, minutes) = digits.split_once(':').or_else(|| digits.split_at_checked(2))?;
            let is_written_out = hours.len() == 2 && minutes.len() == 2;
            let (hours, minutes) = (number(hours)?, number(minutes)?);
            if !is_written_out || hours > 23 || minutes > 59 {
                return None;
            }
            sign * in_milliseconds(hours, minutes)
        }
    };
    Some(TimeDelta::milliseconds(local - offset))
}

/// Parses a number that consists of ASCII digits only.
fn number(digits: &str) -> Option<u32> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The longest accepted duration, a hundred years: an instant plus a few such durations stays within the range of the
/// database.
pub(crate) const MAX_DURATION: TimeDelta = TimeDelta::days(36_525);

/// Parses an ISO 8601 duration of weeks, days, hours, minutes and seconds (`P3W`, `P1DT12H`, `PT0.25S`), to the
/// millisecond. `None`: the text is not a duration, is negative, is longer than [`MAX_DURATION`], or has years or
/// months, whose length is not fixed.
pub(crate) fn duration_from_iso(text: &str) -> Option<TimeDelta> {
    let body = text.trim().strip_prefix('P')?;
    let (date, time) = match body.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (body, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let days = milliseconds_of(date, &[('W', 7 * 86_400_000), ('D', 86_400_000)])?;
    let hours = milliseconds_of(time, &[('H', 3_600_000), ('M', 60_000), ('S', 1_000)])?;
    TimeDelta::try_milliseconds(days.checked_add(hours)?).filter(|duration| *duration <= MAX_DURATION)
}

/// Returns the sum in milliseconds of text like `3W2D`, with each unit at most once and in the given order.
fn milliseconds_of(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut total = 0_i64;
    for (unit, length) in units {
        let Some((number, rest)) = text.split_once(*unit) else {
            continue;
        };
        text = rest;
        let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return None;
        }
        let scale = 10_i64.pow(u32::try_from(fraction.len()).ok()?);
        let part = fraction.parse::<i64>().ok()?.checked_mul(*length)? / scale;
        total = whole.parse::<i64>().ok()?.checked_mul(*length)?.checked_add(part)?.checked_add(total)?;
    }
    text.is_empty().then_some(total)
}

/// Clock of a workspace. Its time never goes backwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WorkspaceClock {
    /// Shows the time of the machine's clock.
    Live,
    /// Showed `at` when the machine's clock showed `since`, and runs `rate` times as fast as the machine's clock.
    Running {
        /// Time on the workspace's clock at `since`.
        at: Timestamp,
        /// Time on the machine's clock at which the workspace's clock showed `at`.
        since: Timestamp,
        /// Workspace seconds per machine second; greater than 0.
        rate: f64,
    },
    /// Does not run; changes only when a client moves it.
    Held {
        /// Time that the clock shows.
        at: Timestamp,
    },
}

impl WorkspaceClock {
    /// Returns the time on the workspace's clock when the machine's clock shows `machine_now`.
    pub fn now(&self, machine_now: Timestamp) -> Timestamp {
        match *self {
            Self::Live => machine_now,
            Self::Held { at } => at,
            Self::Running { at, since, rate } => {
                let passed = scaled(machine_now - since, rate).max(TimeDelta::zero());
                at.checked_add_signed(passed).map_or(MAX_TIMESTAMP, |now| now.min(MAX_TIMESTAMP))
            }
        }
    }

    /// Returns the time on the machine's clock at which the workspace's clock will show `instant`; `None`: it never
    /// will without being moved.
    pub fn machine_time_of(&self, instant: Timestamp) -> Option<Timestamp> {
        match *self {
            Self::Live => Some(instant),
            Self::Held { .. } => None,
            Self::Running { .. } if instant > MAX_TIMESTAMP => None,
            // Add a millisecond for rounding, so that the workspace's clock has reached the instant at that time.
            Self::Running { at, since, rate } => scaled(instant - at, rate.recip())
                .checked_add(&TimeDelta::milliseconds(1))
                .and_then(|passes| since.checked_add_signed(passes)),
        }
    }

    /// Returns the time of recording for an event that occurred at `occurred_at`. On a held clock that is `occurred_at`
    /// itself, so that the result does not depend on the number of moves that lead to an instant.
    pub fn recorded_at(&self, occurred_at: Timestamp, machine_now: Timestamp) -> Timestamp {
        match self {
            Self::Held { .. } => occurred_at,
            Self::Live | Self::Running { .. } => self.now(machine_now).max(occurred_at),
        }
    }
}

/// Returns `span` times `factor`, to the millisecond, at most [`TimeDelta::MAX`].
fn scaled(span: TimeDelta, factor: f64) -> TimeDelta {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "exact below 2^53 ms, 285,000 years"
    )]
    let milliseconds = (span.num_milliseconds() as f64 * factor) as i64;
    TimeDelta::try_milliseconds(milliseconds).unwrap_or(TimeDelta::MAX)
}

/// Serializes instants with [`to_iso`].
pub(crate) mod iso {
    use super::{Timestamp, to_iso};
    use serde::Serializer;

    /// Serializer for `#[serde(with = "iso")]` fields that are only written.
    pub(crate) fn serialize<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_iso(*instant))
    }

    /// Serializes optional instants; `None` becomes `null`.
    pub(crate) mod option {
        use super::{Serializer, Timestamp};

        /// Serializer for `#[serde(with = "iso::option")]` fields that are only written.
        #[expect(clippy::ref_option, reason = "serde calls it so")]
        pub(crate) fn serialize<S: Serializer>(instant: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
            match instant {
                Some(instant) => super::serialize(instant, serializer),
                None => serializer.serialize_none(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        from_iso(text).unwrap()
    }

    #[test]
    fn instants_are_parsed_like_in_javascript_and_written_like_seam_does() {
        for (text, written) in [
            ("2026-03-01T07:00:00Z", "2026-03-01T07:00:00.000Z"),
            ("2026-03-01T07:00:00-07:00", "2026-03-01T14:00:00.000Z"),
            ("2026-03-01T07:00:00-00:00", "2026-03-01T07:00:00.000Z"),
            ("2026-03-01T07:00:00+0000", "2026-03-01T07:00:00.000Z"),
            ("2026-03-01T07:00:00-0600", "2026-03-01T13:00:00.000Z"),
            ("2026-03-01 07:00:00+00:00", "2026-03-01T07:00:00.000Z"),
            ("2026-03-01T07:00:00", "2026-03-01T07:00:00.000Z"),
            ("2026-03-01 07:00:00", "2026-03-01T07:00:00.000Z"),
            ("2026-03-01T07:00", "2026-03-01T07:00:00.000Z"),
            ("2026-03-01T07:00+01:00", "2026-03-01T06:00:00.000Z"),
            ("3001-01-01", "3001-01-01T00:00:00.000Z"),
            ("2026-03", "2026-03-01T00:00:00.000Z"),
            ("2026-03-01T07:00:00.123456789012Z", "2026-03-01T07:00:00.123Z"),
            ("2026-03-01T07:00:00.5", "2026-03-01T07:00:00.500Z"),
            ("2026-03-01t07:00:00z", "2026-03-01T07:00:00.000Z"),
            ("2026-03-01T24:00:00Z", "2026-03-02T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(from_iso(text).map(to_iso).as_deref(), Some(written), "{text}");
        }
    }

    #[test]
    fn instants_in_other_formats_or_outside_the_calendar_are_rejected() {
        for invalid in [
            "",
            "tomorrow",
            "2026",
            "1767225600",
            "20260305T150000Z",
            "2026-W10-4",
            "2026-064",
            "2026-3-1",
            "2026/03/05",
            "March 5, 2026",
            "2026-03-01T07:00:00+00",
            "2026-03-01T07:00:00 +00:00",
            "2026-03-01T07:00:00+00:00:00",
            "2026-03-01T07:00:00+0:00",
            "2026-03-01T07:00:00+24:00",
            "2026-03-01T07:00:00,5Z",
            "2026-03-01T07:00:00.Z",
            "2026-03-01T07:00.5Z",
            "2026-03-01T07Z",
            "2026-03-01T",
            "2026-03-01Z",
            " 2026-03-01T07:00:00Z",
            "2026-03-01T07:00:00Z ",
            "2026-03-01  07:00:00Z",
            "2026-03-01T25:00:00Z",
            "2026-03-01T24:00:01Z",
            "2026-03-01T23:60:00Z",
            "2026-03-01T23:59:60Z",
            "2026-13-01T07:00:00Z",
            "2026-02-30",
            "0000-01-01",
            "9999-12-31T23:59:59-01:00",
            "0001-01-01T00:00:00+01:00",
            "2026-03-0\u{661}",
        ] {
            assert_eq!(from_iso(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn durations_are_read_to_the_millisecond() {
        for (text, milliseconds) in [
            ("PT72H", 72 * 3_600_000),
            ("PT0.25S", 250),
            ("P1DT12H", 36 * 3_600_000),
            ("P2W", 14 * 86_400_000),
            ("PT0S", 0),
        ] {
            assert_eq!(duration_from_iso(text), TimeDelta::try_milliseconds(milliseconds), "{text}");
        }
        for invalid in
            ["", "P", "PT", "72H", "-PT1H", "PT-1H", "P1Y", "P1M", "PT1H1H", "PT1S1M", "P1DT", "PT.5S", "PT1e3S"]
        {
            assert_eq!(duration_from_iso(invalid), None, "{invalid}");
        }
        assert_eq!(duration_from_iso("PT99999999999999999999H"), None);
    }

    #[test]
    fn clock_stands_still_when_held_and_keeps_its_rate_when_running() {
        let (start, later) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:10Z"));
        assert_eq!(WorkspaceClock::Held { at: start }.now(later), start);
        assert_eq!(WorkspaceClock::Held { at: start }.machine_time_of(later), None);
        assert_eq!(WorkspaceClock::Live.now(later), later);
        let fast = WorkspaceClock::Running { at: start, since: start, rate: 60.0 };
        assert_eq!(fast.now(later), at("2026-01-01T00:10:00Z"));
        let woken = fast.machine_time_of(at("2026-01-01T00:10:00Z")).unwrap();
        assert!(fast.now(woken) >= at("2026-01-01T00:10:00Z"));
        assert_eq!(fast.now(at("2025-01-01T00:00:00Z")), start, "time never goes backwards");
        let slow = WorkspaceClock::Running { at: start, since: start, rate: 1e-300 };
        assert_eq!(slow.machine_time_of(later), None, "the machine's time cannot represent that instant");
    }

    #[test]
    fn running_clock_of_any_rate_stays_within_the_years_that_can_be_written() {
        let (start, later) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:10Z"));
        let of_rate = |rate| WorkspaceClock::Running { at: start, since: start, rate };
        for rate in [1e12, 1e300, f64::MAX] {
            assert_eq!(to_iso(of_rate(rate).now(later)), "9999-12-31T23:59:59.999Z");
            let never = of_rate(rate).now(later) + TimeDelta::milliseconds(1);
            assert_eq!(of_rate(rate).machine_time_of(never), None);
        }
        for rate in [1e-300, f64::MIN_POSITIVE] {
            assert_eq!(of_rate(rate).now(later), start);
            assert_eq!(of_rate(rate).machine_time_of(later), None);
        }
    }
}
