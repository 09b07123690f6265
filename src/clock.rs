//! Time: the machine's, and that of each workspace.
//!
//! This is the only file that asks the machine what time it is; everything else is handed an instant. All
//! instants are whole milliseconds, the precision in which Seam writes them, so that an instant read from an
//! answer compares equal to the one that is stored.

use chrono::{DateTime, Datelike, DurationRound, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};

/// An instant, in UTC, of the machine or of a workspace.
pub type Timestamp = DateTime<Utc>;

/// The last instant there is: what comes after it cannot be written as Seam writes instants. A running clock stops here.
pub(crate) const MAX_TIMESTAMP: Timestamp = match DateTime::from_timestamp_millis(253_402_300_799_999) {
    Some(last) => last,
    None => Timestamp::MAX_UTC,
};

/// The machine's time, cut to whole milliseconds.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
pub fn machine_now() -> Timestamp {
    whole_milliseconds(Utc::now())
}

/// Cuts an instant to whole milliseconds.
pub(crate) fn whole_milliseconds(instant: Timestamp) -> Timestamp {
    instant.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(instant)
}

/// Writes an instant as Seam does: UTC with milliseconds and `Z`.
pub fn to_iso(instant: Timestamp) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The text of the issue with a text that is no instant.
pub(crate) const INVALID_INSTANT: &str = "Invalid datetime: give ISO 8601, like 2026-01-31T15:00:00Z";

/// Reads an instant as JavaScript's `new Date()` reads ISO 8601: a date, or a date and a time of day behind `T` or a
/// blank, with `Z`, an offset with or without a colon, or neither. Without an offset it is in UTC; fractions of a second
/// are cut to milliseconds. `None`: it is not one, or it lies outside the years 1 to 9999.
///
/// Unlike JavaScript it refuses dates that the calendar does not have, and dates that are not ISO 8601: nobody means
/// what becomes of them there.
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

/// Reads a time of day with its offset: the time since midnight in UTC.
fn time_of_day(text: &str) -> Option<TimeDelta> {
    let (hours, rest) = (number(text.get(..2)?)?, text.get(2..)?);
    let (minutes, rest) = (number(rest.strip_prefix(':')?.get(..2)?)?, rest.get(3..)?);
    let (seconds, rest) = match rest.strip_prefix(':') {
        Some(rest) => (number(rest.get(..2)?)?, rest.get(2..)?),
        None => (0, rest),
    };
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

/// A number of nothing but digits.
fn number(digits: &str) -> Option<u32> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The longest duration that is taken, a hundred years: no sum of an instant and some of these leaves what the database
/// can keep.
pub(crate) const MAX_DURATION: TimeDelta = TimeDelta::days(36_525);

/// Reads an ISO 8601 duration of weeks, days, hours, minutes and seconds (`P3W`, `P1DT12H`, `PT0.25S`), to the
/// millisecond. `None`: it is not one, it is negative, it is longer than [`MAX_DURATION`], or it has years or months,
/// whose length is not fixed.
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

/// Sums up `3W2D` and the like; each unit at most once and in the given order.
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

/// How time passes in a workspace. It never goes backwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WorkspaceClock {
    /// The machine's time.
    Live,
    /// Was `at` when the machine's time was `since`, and passes `rate` times as fast.
    Running {
        /// The workspace's time at `since`.
        at: Timestamp,
        /// The machine's time at which the workspace's was `at`.
        since: Timestamp,
        /// Workspace seconds per machine second; more than 0.
        rate: f64,
    },
    /// Stands still until it is told to move.
    Held {
        /// The time it stands at.
        at: Timestamp,
    },
}

impl WorkspaceClock {
    /// The workspace's time when the machine's is `machine_now`.
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

    /// The machine's time at which the workspace's will be `instant`; `None` where no passing of time leads there.
    pub fn machine_time_of(&self, instant: Timestamp) -> Option<Timestamp> {
        match *self {
            Self::Live => Some(instant),
            Self::Held { .. } => None,
            Self::Running { .. } if instant > MAX_TIMESTAMP => None,
            // Rounded up by a millisecond: woken then, the workspace's time has surely come.
            Self::Running { at, since, rate } => scaled(instant - at, rate.recip())
                .checked_add(&TimeDelta::milliseconds(1))
                .and_then(|passes| since.checked_add_signed(passes)),
        }
    }

    /// When an event that happened at `occurred_at` counts as recorded. On a held clock each step is recorded at
    /// its own instant, so that the width of the strides in which time is moved leaves no trace.
    pub fn recorded_at(&self, occurred_at: Timestamp, machine_now: Timestamp) -> Timestamp {
        match self {
            Self::Held { .. } => occurred_at,
            Self::Live | Self::Running { .. } => self.now(machine_now).max(occurred_at),
        }
    }
}

/// `span` times `factor`, to the millisecond, and never more than a [`TimeDelta`] can hold.
fn scaled(span: TimeDelta, factor: f64) -> TimeDelta {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "exact below 2^53 ms, 285,000 years"
    )]
    let milliseconds = (span.num_milliseconds() as f64 * factor) as i64;
    TimeDelta::try_milliseconds(milliseconds).unwrap_or(TimeDelta::MAX)
}

/// Writes instants in JSON as [`to_iso`] does.
pub(crate) mod iso {
    use super::{Timestamp, to_iso};
    use serde::Serializer;

    /// For `#[serde(with = "iso")]` fields that are only written.
    pub(crate) fn serialize<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_iso(*instant))
    }

    /// The same for instants that may be missing: `null`.
    pub(crate) mod option {
        use super::{Serializer, Timestamp};

        /// For `#[serde(with = "iso::option")]` fields that are only written.
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
    fn an_instant_is_read_as_javascript_reads_it_and_written_as_seam_writes_it() {
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
    fn an_instant_that_javascript_does_not_read_or_nobody_means_is_refused() {
        for wrong in [
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
            assert_eq!(from_iso(wrong), None, "{wrong}");
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
        for wrong in
            ["", "P", "PT", "72H", "-PT1H", "PT-1H", "P1Y", "P1M", "PT1H1H", "PT1S1M", "P1DT", "PT.5S", "PT1e3S"]
        {
            assert_eq!(duration_from_iso(wrong), None, "{wrong}");
        }
        assert_eq!(duration_from_iso("PT99999999999999999999H"), None);
    }

    #[test]
    fn a_held_clock_stands_still_and_a_running_one_keeps_its_rate() {
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
        assert_eq!(slow.machine_time_of(later), None, "the machine's time ends before that");
    }

    #[test]
    fn a_running_clock_of_any_rate_stays_within_the_years_that_can_be_written() {
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
