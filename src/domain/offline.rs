//! Offline access codes: PINs that a maker's server computes and a lock accepts without ever being told of them.
//!
//! Pure rules. [`plan`] answers what becomes of a request for one: its kind, its final time frame, the shape of its
//! PIN. Whether the lock can be reached plays no part. Three makers have them: igloohome (algoPIN), Lockly and
//! dormakaba Oracode, whose time slots have a file of their own ([`oracode`]).
//!
//! Where a maker knows only some instants, each end of the time frame moves to the nearest one it knows, half-way up:
//! that is what Seam's own example does (15:45 to 10:15 becomes 16:00 to 10:00), and it keeps the length of a time
//! frame whose ends show the same minutes.

pub(crate) mod oracode;

use super::access_code::lifecycle::Window;
use super::device::Device;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use chrono::{NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use oracode::Stay;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// igloohome: the longest hourly-bound code.
const MAX_HOURLY: TimeDelta = TimeDelta::hours(672);
/// igloohome: the shortest and the longest daily-bound code, in days. Between 672 hours and these there is none.
const DAYS_OF_DAILY: std::ops::RangeInclusive<i64> = 29..=367;
/// igloohome: how long a one-time code waits for its one use.
const ONE_TIME: TimeDelta = TimeDelta::hours(24);
/// igloohome: from this age on a longer code that was never entered is dead.
const ACTIVATION: TimeDelta = TimeDelta::hours(24);
/// igloohome shows algoPINs as three groups of three digits. Some are said to be shorter; nine is the common case.
const ALGOPIN_DIGITS: u8 = 9;
/// Undocumented by Seam. Lockly's manuals say 4 to 12; eight is also the longest PIN of its online codes.
const LOCKLY_DIGITS: u8 = 8;

/// What sort of offline code it is. Sorts differ in quotas and in warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OfflineKind {
    /// igloohome: 1 to 672 whole hours.
    Hourly,
    /// igloohome: 29 to 367 days, ending at the time of day at which it starts.
    Daily,
    /// igloohome and Lockly: opens once.
    OneTime,
    /// Lockly: any time frame.
    TimeBound,
    /// Oracode: from the check-in to the check-out time of one of the door's slots.
    OracodeSlot,
}

/// The number of a stay, from the door's place in its workspace and the code's place on the door. No two codes of a
/// workspace have one, and it is a number that JavaScript keeps exactly.
pub(crate) fn stay_id(device_ordinal: i32, access_code_ordinal: i64) -> i64 {
    const CODES_PER_DOOR: i64 = 4_000_000;
    (i64::from(device_ordinal) + 1) * CODES_PER_DOOR + access_code_ordinal
}

/// How far an end of the time frame may be moved to where the maker knows an instant: Seam's `max_time_rounding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaxTimeRounding {
    /// At most an hour.
    #[default]
    #[serde(rename = "1h", alias = "1hour")]
    Hour,
    /// At most a day.
    #[serde(rename = "1d", alias = "1day")]
    Day,
}

impl MaxTimeRounding {
    /// The furthest that an end may be moved either way.
    pub fn limit(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
        }
    }
}

/// What is asked of an offline code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Its start.
    pub starts_at: Timestamp,
    /// Its end. igloohome's one-time codes have none, all others must.
    pub ends_at: Option<Timestamp>,
    /// Whether it is to open once only.
    pub is_one_time_use: bool,
    /// Whether a PIN was sent along; no maker takes one.
    pub has_code: bool,
    /// How far its ends may be moved.
    pub max_time_rounding: MaxTimeRounding,
    /// A number no other code of the workspace has: Oracode's `stay_id`.
    pub stay_id: i64,
}

/// Another offline code of the same device that is not gone: it counts towards the quotas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registered {
    /// Its sort.
    pub kind: OfflineKind,
    /// Its final time frame.
    pub window: Window,
}

/// What becomes of a request for an offline code.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Its sort.
    pub kind: OfflineKind,
    /// Its final time frame, which may differ from the one that was asked for.
    pub window: Window,
    /// How many digits its PIN has, those of `pin_prefix` included.
    pub digits: u8,
    /// The digits that its PIN begins with; empty where the maker has none. Shorter than `digits`.
    pub pin_prefix: String,
    /// Oracode: what the code's `dormakaba_oracode_metadata` shows.
    pub stay: Option<Stay>,
}

impl Plan {
    fn plain(kind: OfflineKind, window: Window, digits: u8) -> Self {
        Self { kind, window, digits, pin_prefix: String::new(), stay: None }
    }
}

/// Who computes a device's offline codes.
#[derive(Clone, Copy)]
enum Maker {
    Igloohome,
    Lockly,
    Oracode,
}

impl Maker {
    /// `None`: the device has no offline codes.
    fn of(device: &Device) -> Option<Self> {
        let maker = match device.brand.device_type {
            "igloohome_lock" => Self::Igloohome,
            "lockly_lock" => Self::Lockly,
            "dormakaba_oracode_door" => Self::Oracode,
            _ => return None,
        };
        device.overrides.can_program_offline_access_codes.unwrap_or(device.brand.offline_codes).then_some(maker)
    }
}

/// Decides on a request for an offline code at `now`, where `others` are the device's other offline codes.
///
/// # Errors
/// A device without offline codes; a PIN sent along; a time frame that is not one, or that the maker does not offer
/// even when its ends are moved as far as the caller allows; a quota that is used up. Seam's limits throughout.
pub(crate) fn plan(device: &Device, asked: &Asked, others: &[Registered], now: Timestamp) -> Result<Plan> {
    let Some(maker) = Maker::of(device) else {
        let device_id = device.device_id;
        return Err(Error::invalid_request(format!(
            "device {device_id} cannot program offline access codes. See can_program_offline_access_codes."
        )));
    };
    if asked.has_code {
        let brand = device.brand.display_name;
        return Err(Error::invalid(
            "code",
            format!("leave out code: {brand} chooses the PIN of an offline access code"),
        ));
    }
    match maker {
        Maker::Igloohome => igloohome(device, asked, others, now),
        Maker::Lockly => lockly(device, asked, now),
        Maker::Oracode => oracode::plan(device, asked, now),
    }
}

/// The device's `offline_time_frame_options` in Seam's shape. `None`: it has no offline codes, or none can be had
/// from its time slots as they stand. igloohome's one-time codes are not in it: they are asked for without an end.
pub(crate) fn time_frame_options(device: &Device) -> Option<Value> {
    match Maker::of(device)? {
        Maker::Igloohome => Some(json!([
            { "display_name": "Hourly", "min_duration": "PT1H", "max_duration": "PT672H" },
            { "display_name": "Daily", "min_duration": "P29D", "max_duration": "P367D", "matching_start_end_time": true },
        ])),
        Maker::Lockly => Some(json!([{ "display_name": "Time-bound" }])),
        Maker::Oracode => oracode::time_frame_options(device),
    }
}

/// Whether the code dies unless it is entered within 24 hours of its start: Seam's warning
/// `igloo_algopin_must_be_used_within_24_hours`, for igloohome's codes of more than 24 hours.
pub(crate) fn must_be_used_within_24_hours(kind: OfflineKind, window: Window) -> bool {
    matches!(kind, OfflineKind::Hourly | OfflineKind::Daily) && window.ends_at - window.starts_at > ACTIVATION
}

/// When such a code is dead if it was not entered before; none for codes that live on.
pub(crate) fn dies_unused_at(kind: OfflineKind, window: Window) -> Option<Timestamp> {
    must_be_used_within_24_hours(kind, window).then(|| window.starts_at.checked_add_signed(ACTIVATION)).flatten()
}

fn igloohome(device: &Device, asked: &Asked, others: &[Registered], now: Timestamp) -> Result<Plan> {
    if asked.starts_at < now {
        return Err(Error::invalid("starts_at", "starts_at must not be in the past on igloohome devices"));
    }
    let zone = time_zone(device)?.unwrap_or(Tz::UTC);
    let (kind, window) = if asked.is_one_time_use {
        if asked.ends_at.is_some() {
            return Err(Error::invalid(
                "ends_at",
                "leave out ends_at: a one-time offline code of igloohome always lasts 24 hours",
            ));
        }
        let starts_at = to_nearest_hour(zone, asked.starts_at);
        (OfflineKind::OneTime, Window { starts_at, ends_at: starts_at + ONE_TIME })
    } else {
        hourly_or_daily(zone, time_frame(asked, now)?, asked.max_time_rounding)?
    };
    check_quota(zone, kind, window, others)?;
    Ok(Plan::plain(kind, window, ALGOPIN_DIGITS))
}

/// The category of igloohome's into which a time frame falls, and where its ends come to lie.
fn hourly_or_daily(zone: Tz, asked: Window, rounding: MaxTimeRounding) -> Result<(OfflineKind, Window)> {
    let starts_at = to_nearest_hour(zone, asked.starts_at);
    let ends_at = to_nearest_hour(zone, asked.ends_at);
    if ends_at <= starts_at {
        return Err(Error::invalid("ends_at", "ends_at must be at least an hour after starts_at on igloohome devices"));
    }
    if ends_at - starts_at <= MAX_HOURLY {
        return Ok((OfflineKind::Hourly, Window { starts_at, ends_at }));
    }
    let (start, end) = (local(zone, starts_at), local(zone, asked.ends_at));
    let daily_end = nearest(end, start.time());
    let days = (daily_end.date() - start.date()).num_days();
    if !DAYS_OF_DAILY.contains(&days) {
        return Err(Error::invalid(
            "ends_at",
            "igloohome's offline codes last 1 to 672 hours or 29 to 367 days. Choose another ends_at.",
        ));
    }
    if (daily_end - end).abs() > rounding.limit() {
        return Err(Error::invalid(
            "ends_at",
            format!(
                "an offline code of 29 or more days has to end at the time of day at which it starts: set ends_at to {}, \
                or max_time_rounding to 1d",
                crate::clock::to_iso(instant(zone, daily_end))
            ),
        ));
    }
    Ok((OfflineKind::Daily, Window { starts_at, ends_at: instant(zone, daily_end) }))
}

/// igloohome: at most three hourly codes may start in an hour, three daily ones on a day, five one-time ones in an
/// hour.
fn check_quota(zone: Tz, kind: OfflineKind, window: Window, others: &[Registered]) -> Result<()> {
    let start = local(zone, window.starts_at);
    let same_slot = |other: &Registered| match kind {
        OfflineKind::Daily => local(zone, other.window.starts_at).date() == start.date(),
        _ => other.window.starts_at == window.starts_at,
    };
    let (most, sort, slot) = match kind {
        OfflineKind::Daily => (3, "daily-bound", "on one day"),
        OfflineKind::OneTime => (5, "one-time", "in one hour"),
        _ => (3, "hourly-bound", "in one hour"),
    };
    let taken = others.iter().filter(|other| other.kind == kind && same_slot(other)).count();
    if taken < most {
        return Ok(());
    }
    Err(Error::invalid(
        "starts_at",
        format!(
            "at most {most} {sort} offline codes of an igloohome device can start {slot}. Choose another starts_at."
        ),
    ))
}

fn lockly(device: &Device, asked: &Asked, now: Timestamp) -> Result<Plan> {
    let window = time_frame(asked, now)?;
    time_zone(device)?.ok_or_else(|| time_zone_required(device))?;
    let kind = if asked.is_one_time_use { OfflineKind::OneTime } else { OfflineKind::TimeBound };
    Ok(Plan::plain(kind, window, LOCKLY_DIGITS))
}

/// The time frame of a request, which has to be one that is not over.
fn time_frame(asked: &Asked, now: Timestamp) -> Result<Window> {
    let starts_at = asked.starts_at;
    let Some(ends_at) = asked.ends_at else {
        return Err(Error::invalid("ends_at", "offline access codes are time-bound: give ends_at too"));
    };
    if ends_at <= starts_at {
        return Err(Error::invalid("ends_at", "ends_at must be after starts_at"));
    }
    if ends_at <= now {
        return Err(Error::invalid("ends_at", "ends_at must be in the future"));
    }
    Ok(Window { starts_at, ends_at })
}

fn time_zone_required(device: &Device) -> Error {
    let brand = device.brand.display_name;
    Error::invalid_request(format!("Time zone required for offline access codes on {brand} devices"))
}

/// The device's time zone, if it has one.
fn time_zone(device: &Device) -> Result<Option<Tz>> {
    device.time_zone().map(named_zone).transpose()
}

fn named_zone(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| {
        Error::invalid_request(format!("the device's time zone {name} is not an IANA time zone. Set another one."))
    })
}

/// What a clock in the zone shows at this instant.
fn local(zone: Tz, instant: Timestamp) -> NaiveDateTime {
    instant.with_timezone(&zone).naive_local()
}

/// When a clock in the zone shows this: the first time if it does so twice, and where it is put forward over it, as
/// long after that as it should have been.
fn instant(zone: Tz, local: NaiveDateTime) -> Timestamp {
    zone.from_local_datetime(&local).earliest().map_or_else(
        || (local - zone.offset_from_utc_datetime(&(local - TimeDelta::days(1))).fix()).and_utc(),
        |found| found.to_utc(),
    )
}

/// The nearest instant at which a clock in the zone shows a whole hour: not every zone is whole hours from UTC.
fn to_nearest_hour(zone: Tz, instant: Timestamp) -> Timestamp {
    const HOUR: i64 = 3_600_000;
    let shown = local(zone, instant).and_utc().timestamp_millis();
    let nearest = (shown + HOUR / 2).div_euclid(HOUR) * HOUR;
    instant + TimeDelta::milliseconds(nearest - shown)
}

/// The dates and times around this one at which a clock shows `time`, in order.
fn around(shown: NaiveDateTime, time: NaiveTime) -> impl DoubleEndedIterator<Item = NaiveDateTime> {
    let today = shown.date().and_time(time);
    (-1..=1).map(move |days| today + TimeDelta::days(days))
}

/// The nearest date and time at which a clock shows `time`, half-way up.
fn nearest(shown: NaiveDateTime, time: NaiveTime) -> NaiveDateTime {
    // Of two that are equally near the first is taken: begin with the later ones.
    around(shown, time).rev().min_by_key(|candidate| (*candidate - shown).abs()).unwrap_or(shown)
}

#[cfg(test)]
mod tests;
