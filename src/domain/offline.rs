//! Offline access codes: PINs that a manufacturer's server computes and that a lock accepts without being programmed.
//!
//! Pure functions. [`plan`] returns the kind, the final time frame and the format of the PIN for a request. The result
//! does not depend on whether the lock is reachable. Three manufacturers support offline codes: igloohome (algoPIN),
//! Lockly and dormakaba Oracode, whose time slots are in [`oracode`].
//!
//! If a manufacturer supports only certain instants, each end of the time frame is rounded to the nearest supported
//! one; half-way between two, to the later one. Seam's own example does so: 15:45 to 10:15 becomes 16:00 to 10:00. So a
//! time frame whose ends have the same minutes keeps its length.

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

/// igloohome: maximum duration of an hourly-bound code.
const MAX_HOURLY: TimeDelta = TimeDelta::hours(672);
/// igloohome: duration of a daily-bound code, in days. Durations between 672 hours and 29 days are not supported.
const DAYS_OF_DAILY: std::ops::RangeInclusive<i64> = 29..=367;
/// igloohome: duration of a one-time code.
const ONE_TIME: TimeDelta = TimeDelta::hours(24);
/// igloohome: a code with a time frame longer than this expires at this time after its start if it was never entered.
const ACTIVATION: TimeDelta = TimeDelta::hours(24);
/// igloohome shows algoPINs as three groups of three digits. Some are reported to be shorter; nine digits is the common
/// case.
const ALGOPIN_DIGITS: u8 = 9;
/// Not documented by Seam. Lockly's manuals say 4 to 12; eight is also the maximum PIN length of its online codes.
const LOCKLY_DIGITS: u8 = 8;

/// Kind of an offline code. Quotas and warnings depend on the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OfflineKind {
    /// igloohome: 1 to 672 whole hours.
    Hourly,
    /// igloohome: 29 to 367 days, ending at the time of day at which it starts.
    Daily,
    /// igloohome and Lockly: opens the lock once.
    OneTime,
    /// Lockly: any time frame.
    TimeBound,
    /// Oracode: from the check-in to the check-out time of one of the door's slots.
    OracodeSlot,
}

/// Returns the number of a stay, derived from the ordinals of the door in its workspace and of the code on the door. It
/// is unique within the workspace while each door has fewer than four million codes, and JavaScript can represent it
/// exactly.
pub(crate) fn stay_id(device_ordinal: i32, access_code_ordinal: i64) -> i64 {
    const CODES_PER_DOOR: i64 = 4_000_000;
    (i64::from(device_ordinal) + 1) * CODES_PER_DOOR + access_code_ordinal
}

/// Maximum distance by which an end of the time frame may be rounded: Seam's `max_time_rounding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaxTimeRounding {
    #[default]
    #[serde(rename = "1h", alias = "1hour")]
    Hour,
    #[serde(rename = "1d", alias = "1day")]
    Day,
}

impl MaxTimeRounding {
    /// Returns the maximum distance in either direction.
    pub fn limit(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
        }
    }
}

/// Request for an offline code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfflineRequest {
    pub starts_at: Timestamp,
    /// End; `None` is required for igloohome's one-time codes and rejected for all others.
    pub ends_at: Option<Timestamp>,
    /// True if the code should open the lock only once.
    pub is_one_time_use: bool,
    /// True if the request contains a PIN; no manufacturer accepts one.
    pub has_code: bool,
    pub max_time_rounding: MaxTimeRounding,
    /// Number that is unique within the workspace: Oracode's `stay_id`.
    pub stay_id: i64,
}

/// Another offline code of the same device that is not removed. It counts towards the quotas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExistingOfflineCode {
    pub kind: OfflineKind,
    /// Final time frame.
    pub window: Window,
}

/// Properties of the offline code that results from a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub kind: OfflineKind,
    /// Final time frame, which may differ from the requested one.
    pub window: Window,
    /// Number of digits of the PIN, including `pin_prefix`.
    pub digits: u8,
    /// First digits of the PIN; empty if the manufacturer prescribes none. Shorter than `digits`.
    pub pin_prefix: String,
    /// Oracode: content of the code's `dormakaba_oracode_metadata`.
    pub stay: Option<Stay>,
}

impl Plan {
    fn plain(kind: OfflineKind, window: Window, digits: u8) -> Self {
        Self { kind, window, digits, pin_prefix: String::new(), stay: None }
    }
}

/// Manufacturer that computes the offline codes of a device.
#[derive(Clone, Copy)]
enum Manufacturer {
    Igloohome,
    Lockly,
    Oracode,
}

impl Manufacturer {
    /// Returns the manufacturer; `None` if the device does not support offline codes.
    fn of(device: &Device) -> Option<Self> {
        let manufacturer = match device.brand.device_type {
            "igloohome_lock" => Self::Igloohome,
            "lockly_lock" => Self::Lockly,
            "dormakaba_oracode_door" => Self::Oracode,
            _ => return None,
        };
        device.can_program_offline_access_codes().then_some(manufacturer)
    }
}

/// Returns the plan for a request for an offline code at `now`. `registered` are the device's other offline codes.
///
/// # Errors
/// The device does not support offline codes; the request contains a PIN; the time frame is invalid, or the
/// manufacturer does not support it even after rounding within the limit of the request; a quota is used up. All limits
/// are Seam's.
pub(crate) fn plan(
    device: &Device,
    request: &OfflineRequest,
    registered: &[ExistingOfflineCode],
    now: Timestamp,
) -> Result<Plan> {
    let Some(manufacturer) = Manufacturer::of(device) else {
        let device_id = device.device_id;
        return Err(Error::invalid_request(format!(
            "device {device_id} cannot program offline access codes. See can_program_offline_access_codes."
        )));
    };
    if request.has_code {
        let brand = device.brand.display_name;
        return Err(Error::invalid("code", format!("omit code: {brand} chooses the PIN of an offline access code")));
    }
    match manufacturer {
        Manufacturer::Igloohome => igloohome(device, request, registered, now),
        Manufacturer::Lockly => lockly(device, request, now),
        Manufacturer::Oracode => oracode::plan(device, request, now),
    }
}

/// Returns the device's `offline_time_frame_options` in Seam's format. `None` if the device does not support offline
/// codes, if its time slots or its time zone are missing or invalid, or if no time slot is supported. igloohome's
/// one-time codes are not included: they are requested without an end.
pub(crate) fn time_frame_options(device: &Device) -> Option<Value> {
    match Manufacturer::of(device)? {
        Manufacturer::Igloohome => Some(json!([
            { "display_name": "Hourly", "min_duration": "PT1H", "max_duration": "PT672H" },
            { "display_name": "Daily", "min_duration": "P29D", "max_duration": "P367D", "matching_start_end_time": true },
        ])),
        Manufacturer::Lockly => Some(json!([{ "display_name": "Time-bound" }])),
        Manufacturer::Oracode => oracode::time_frame_options(device),
    }
}

/// Returns true if the code expires unless it is entered within 24 hours of its start: Seam's warning
/// `igloo_algopin_must_be_used_within_24_hours`, for igloohome's codes of more than 24 hours.
pub(crate) fn must_be_used_within_24_hours(kind: OfflineKind, window: Window) -> bool {
    matches!(kind, OfflineKind::Hourly | OfflineKind::Daily) && window.ends_at - window.starts_at > ACTIVATION
}

/// Returns the time at which the code expires if it was not entered before; `None` for codes without this rule.
pub(crate) fn unused_expiry(kind: OfflineKind, window: Window) -> Option<Timestamp> {
    must_be_used_within_24_hours(kind, window).then(|| window.starts_at.checked_add_signed(ACTIVATION)).flatten()
}

fn igloohome(
    device: &Device,
    request: &OfflineRequest,
    registered: &[ExistingOfflineCode],
    now: Timestamp,
) -> Result<Plan> {
    if request.starts_at < now {
        return Err(Error::invalid("starts_at", "starts_at must not be in the past on igloohome devices"));
    }
    let zone = time_zone(device)?.unwrap_or(Tz::UTC);
    let (kind, window) = if request.is_one_time_use {
        if request.ends_at.is_some() {
            return Err(Error::invalid(
                "ends_at",
                "omit ends_at: a one-time offline code of igloohome always lasts 24 hours",
            ));
        }
        let starts_at = to_nearest_hour(zone, request.starts_at);
        (OfflineKind::OneTime, Window { starts_at, ends_at: starts_at + ONE_TIME })
    } else {
        hourly_or_daily(zone, time_frame(request, now)?, request.max_time_rounding)?
    };
    check_quota(zone, kind, window, registered)?;
    Ok(Plan::plain(kind, window, ALGOPIN_DIGITS))
}

/// Returns igloohome's category of a time frame, and the rounded time frame.
fn hourly_or_daily(zone: Tz, requested: Window, rounding: MaxTimeRounding) -> Result<(OfflineKind, Window)> {
    let starts_at = to_nearest_hour(zone, requested.starts_at);
    let ends_at = to_nearest_hour(zone, requested.ends_at);
    if ends_at <= starts_at {
        return Err(Error::invalid("ends_at", "ends_at must be at least an hour after starts_at on igloohome devices"));
    }
    if ends_at - starts_at <= MAX_HOURLY {
        return Ok((OfflineKind::Hourly, Window { starts_at, ends_at }));
    }
    // Round the requested end, not `ends_at`, which is rounded already: the limit is for the distance from the
    // requested end.
    let (start, end) = (local(zone, starts_at), local(zone, requested.ends_at));
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

/// Checks igloohome's quotas: at most three hourly codes may start in one hour, three daily codes on one day, and five
/// one-time codes in one hour.
fn check_quota(zone: Tz, kind: OfflineKind, window: Window, registered: &[ExistingOfflineCode]) -> Result<()> {
    let start = local(zone, window.starts_at);
    let same_slot = |other: &ExistingOfflineCode| match kind {
        OfflineKind::Daily => local(zone, other.window.starts_at).date() == start.date(),
        // The codes of the other kinds start at full hours.
        _ => other.window.starts_at == window.starts_at,
    };
    let (most, category, slot) = match kind {
        OfflineKind::Daily => (3, "daily-bound", "on one day"),
        OfflineKind::OneTime => (5, "one-time", "in one hour"),
        _ => (3, "hourly-bound", "in one hour"),
    };
    let count = registered.iter().filter(|other| other.kind == kind && same_slot(other)).count();
    if count < most {
        return Ok(());
    }
    Err(Error::invalid(
        "starts_at",
        format!(
            "at most {most} {category} offline codes of an igloohome device can start {slot}. Choose another starts_at."
        ),
    ))
}

fn lockly(device: &Device, request: &OfflineRequest, now: Timestamp) -> Result<Plan> {
    let window = time_frame(request, now)?;
    time_zone(device)?.ok_or_else(|| time_zone_required(device))?;
    let kind = if request.is_one_time_use { OfflineKind::OneTime } else { OfflineKind::TimeBound };
    Ok(Plan::plain(kind, window, LOCKLY_DIGITS))
}

/// Returns the time frame of a request.
///
/// # Errors
/// The request has no end, or the end is not after the start, or it is not in the future.
fn time_frame(request: &OfflineRequest, now: Timestamp) -> Result<Window> {
    let starts_at = request.starts_at;
    let Some(ends_at) = request.ends_at else {
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

/// Returns the time zone of the device, if it has one.
fn time_zone(device: &Device) -> Result<Option<Tz>> {
    device.time_zone().map(named_zone).transpose()
}

fn named_zone(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| {
        Error::invalid_request(format!("the device's time zone {name} is not an IANA time zone. Set another one."))
    })
}

/// Returns the local time in the zone at this instant.
fn local(zone: Tz, instant: Timestamp) -> NaiveDateTime {
    instant.with_timezone(&zone).naive_local()
}

/// Returns the instant of a local time in the zone. If the local time occurs twice, it is the first instant. If a clock
/// change skips the local time, it is converted with the UTC offset of the day before.
fn instant(zone: Tz, local: NaiveDateTime) -> Timestamp {
    zone.from_local_datetime(&local).earliest().map_or_else(
        || (local - zone.offset_from_utc_datetime(&(local - TimeDelta::days(1))).fix()).and_utc(),
        |found| found.to_utc(),
    )
}

/// Returns the nearest instant at which the local time in the zone is a full hour. The UTC offset of a zone need not be
/// a multiple of an hour.
fn to_nearest_hour(zone: Tz, instant: Timestamp) -> Timestamp {
    const HOUR: i64 = 3_600_000;
    let shown = local(zone, instant).and_utc().timestamp_millis();
    let nearest = (shown + HOUR / 2).div_euclid(HOUR) * HOUR;
    instant + TimeDelta::milliseconds(nearest - shown)
}

/// Returns `time` on the day before, on the day and on the day after `shown`, in order.
fn around(shown: NaiveDateTime, time: NaiveTime) -> impl DoubleEndedIterator<Item = NaiveDateTime> {
    let today = shown.date().and_time(time);
    (-1..=1).map(move |days| today + TimeDelta::days(days))
}

/// Returns the local time that has the time of day `time` and is nearest to `shown`; half-way, the later one.
fn nearest(shown: NaiveDateTime, time: NaiveTime) -> NaiveDateTime {
    // `min_by_key` returns the first of two equal candidates: iterate from the latest.
    around(shown, time).rev().min_by_key(|candidate| (*candidate - shown).abs()).unwrap_or(shown)
}

#[cfg(test)]
mod tests;
