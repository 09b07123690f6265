//! Offline codes of dormakaba Oracode. A code lasts from the check-in time to the check-out time of a time slot ("user
//! level"), on any days. The owner of the door configures the slots.

use super::{
    MaxTimeRounding, OfflineKind, OfflineRequest, Plan, around, instant, local, named_zone, time_frame,
    time_zone_required,
};
use crate::clock::Timestamp;
use crate::domain::access_code::lifecycle::Window;
use crate::domain::device::Device;
use crate::error::{Error, Result};
use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// Maximum duration of a stay.
const MAX_STAY: TimeDelta = TimeDelta::days(31);
/// Number of days of a stay in a biweekly slot; such a slot allows no other duration.
const BIWEEKLY_DAYS: i64 = 14;
/// Number of digits of a PIN, including the prefix of the user level.
const DIGITS: u8 = 6;
/// Site of Seam's sample account.
const SITE_NAME: &str = "Ocean Beach Vacations";

/// Time slot of a door, in the format of `dormakaba_oracode_metadata.predefined_time_slots`. Name, times and user level
/// are required; the other fields may be omitted when a slot is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "Seam's object has them")]
pub(crate) struct TimeSlot {
    /// Name given by the owner of the door.
    pub name: String,
    /// Prefix of the slot; no rule depends on it.
    #[serde(default)]
    pub prefix: u32,
    /// Time of day at which codes start: `HH:MM` or `HH:MM:SS` in the door's local time. An offset or zone after it is
    /// ignored.
    pub check_in_time: String,
    /// Time of day at which codes end, in the same format.
    pub check_out_time: String,
    /// True if the slot counts whole days. No rule depends on it.
    #[serde(default)]
    pub is_24_hour: bool,
    /// True if the slot allows only stays of two weeks.
    #[serde(default)]
    pub is_biweekly_mode: bool,
    /// True if the codes of the slot open once; Seam does not support such slots.
    #[serde(default)]
    pub is_one_shot: bool,
    /// True if the codes of the slot never end; Seam does not support such slots.
    #[serde(default)]
    pub is_master: bool,
    /// First digits of the PINs of the user level.
    #[serde(default, alias = "ext_dormakaba_oracode_user_level_prefix")]
    pub dormakaba_oracode_user_level_prefix: u32,
    pub dormakaba_oracode_user_level_id: Uuid,
}

/// Content of a code's `dormakaba_oracode_metadata`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "Seam's object has them")]
pub(crate) struct Stay {
    /// Number of the stay, unique within the workspace.
    pub stay_id: i64,
    /// User level of the slot.
    pub user_level_id: Uuid,
    /// Name of the slot.
    pub user_level_name: Option<String>,
    /// Site of the door.
    pub site_name: String,
    /// True if the stay can be cancelled. Always false: Seam does not delete offline codes.
    pub is_cancellable: bool,
    /// True if the stay can be extended. Always false: Seam does not update offline codes.
    pub is_extendable: bool,
    /// True if the stay can begin before its check-in time. Always false: the code has the times of the slot.
    pub is_early_checkin_able: bool,
    /// True if a later code of the slot ends the stay. Always false.
    pub is_overridable: bool,
}

/// Returns the default slots of a door: two for guests, and one for whole days. The times are in the door's local time.
pub(crate) fn default_slots() -> Vec<TimeSlot> {
    let slot = |prefix: u32, name: &str, check_in_time: &str, check_out_time: &str| TimeSlot {
        name: name.to_owned(),
        prefix,
        check_in_time: check_in_time.to_owned(),
        check_out_time: check_out_time.to_owned(),
        is_24_hour: check_in_time == check_out_time,
        is_biweekly_mode: false,
        is_one_shot: false,
        is_master: false,
        dormakaba_oracode_user_level_prefix: prefix,
        dormakaba_oracode_user_level_id: Uuid::from_u128(
            0x1a7c_4ae1_0000_4000_8000_0000_0000_0000 | u128::from(prefix),
        ),
    };
    vec![
        slot(1, "Guest 4pm-10am", "16:00:00", "10:00:00"),
        slot(2, "Guest 3pm-11am", "15:00:00", "11:00:00"),
        slot(3, "Daily 12pm-12pm", "12:00:00", "12:00:00"),
    ]
}

/// Returns the slots of the door: `dormakaba_oracode_metadata.predefined_time_slots`, or [`default_slots`] if it is not
/// set.
///
/// # Errors
/// The property is not a list of slots.
pub(crate) fn predefined_time_slots(device: &Device) -> Result<Vec<TimeSlot>> {
    metadata(device, "predefined_time_slots")
        .map_or_else(|| Ok(default_slots()), |slots| Vec::deserialize(slots).map_err(|error| unreadable(&error)))
}

/// Returns the door's `dormakaba_oracode_metadata`, with default values for entries that are not set. `None` if the
/// device is not an Oracode door, or if its slots cannot be read.
pub(crate) fn device_metadata(device: &Device) -> Option<Value> {
    if device.brand.device_type != "dormakaba_oracode_door" {
        return None;
    }
    let slots = predefined_time_slots(device).ok()?;
    let mut shown = json!({
        "device_id": device.device_id,
        "door_id": device.ordinal + 1,
        "door_is_wireless": false,
        "door_name": device.name,
        "site_name": site_name(device),
        "predefined_time_slots": slots,
    });
    if let Some(zone) = device.time_zone() {
        shown["iana_timezone"] = json!(zone);
    }
    let set = device.overrides.properties.get("dormakaba_oracode_metadata").and_then(Value::as_object);
    if let (Some(shown), Some(set)) = (shown.as_object_mut(), set) {
        shown.extend(set.clone());
    }
    Some(shown)
}

/// Returns the site of the door: the one in `dormakaba_oracode_metadata`, or the site of Seam's sample account.
pub(crate) fn site_name(device: &Device) -> &str {
    metadata(device, "site_name").and_then(Value::as_str).unwrap_or(SITE_NAME)
}

/// Returns the time zone of the door: `dormakaba_oracode_metadata.iana_timezone`, or the time zone of the device.
///
/// # Errors
/// Neither is set, or the value is not an IANA time zone.
pub(crate) fn time_zone(device: &Device) -> Result<Tz> {
    let name = metadata(device, "iana_timezone").and_then(Value::as_str).or_else(|| device.time_zone());
    named_zone(name.ok_or_else(|| time_zone_required(device))?)
}

fn metadata<'a>(device: &'a Device, name: &str) -> Option<&'a Value> {
    device.overrides.properties.get("dormakaba_oracode_metadata")?.get(name)
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::invalid_request(format!(
        "the device's dormakaba_oracode_metadata.predefined_time_slots cannot be parsed: {error}. Set them again."
    ))
}

impl TimeSlot {
    /// Returns true if Seam supports codes for this slot.
    fn is_supported(&self) -> bool {
        !self.is_master && !self.is_one_shot
    }

    /// Returns the check-in time and the check-out time.
    fn times(&self) -> Result<(NaiveTime, NaiveTime)> {
        Ok((time_of_day(&self.check_in_time)?, time_of_day(&self.check_out_time)?))
    }

    /// Returns the first digits of the PINs of the user level.
    fn pin_prefix(&self) -> Result<String> {
        let prefix = self.dormakaba_oracode_user_level_prefix.to_string();
        if prefix.len() < usize::from(DIGITS) {
            return Ok(prefix);
        }
        Err(unreadable(&format!("prefix {prefix} leaves no digit of a PIN of {DIGITS}")))
    }
}

/// Parses `HH:MM` or `HH:MM:SS`; ignores an offset or zone after it.
fn time_of_day(text: &str) -> Result<NaiveTime> {
    let end = text.find(|character: char| !character.is_ascii_digit() && character != ':').unwrap_or(text.len());
    let time = &text[..end];
    let parsed = NaiveTime::parse_from_str(time, "%H:%M:%S").or_else(|_| NaiveTime::parse_from_str(time, "%H:%M"));
    parsed.map_err(|_| unreadable(&format!("{text} is not a time of day")))
}

/// A candidate: a slot with a window that starts and ends at the times of the slot.
struct Fit<'a> {
    slot: &'a TimeSlot,
    window: Window,
    /// Sum of the distances by which the two ends are moved.
    moved: TimeDelta,
}

impl<'a> Fit<'a> {
    /// Returns all candidates of a slot in which each end is moved by at most `limit` and the slot allows the duration
    /// of the stay.
    fn candidates(
        slot: &'a TimeSlot,
        zone: Tz,
        requested: Window,
        limit: TimeDelta,
    ) -> Result<impl Iterator<Item = Self>> {
        let (check_in, check_out) = slot.times()?;
        let (start, end) = (local(zone, requested.starts_at), local(zone, requested.ends_at));
        let stays = around(start, check_in).flat_map(move |from| around(end, check_out).map(move |to| (from, to)));
        Ok(stays.filter_map(move |(from, to)| {
            let (by_start, by_end) = ((from - start).abs(), (to - end).abs());
            let is_fit = by_start <= limit
                && by_end <= limit
                && to - from <= MAX_STAY
                && (!slot.is_biweekly_mode || (to.date() - from.date()).num_days() == BIWEEKLY_DAYS);
            let window = Window { starts_at: instant(zone, from), ends_at: instant(zone, to) };
            is_fit.then_some(Self { slot, window, moved: by_start + by_end })
        }))
    }
}

pub(super) fn plan(device: &Device, request: &OfflineRequest, now: Timestamp) -> Result<Plan> {
    if request.is_one_time_use {
        return Err(Error::invalid(
            "is_one_time_use",
            "dormakaba Oracode has no one-time offline codes. Omit is_one_time_use.",
        ));
    }
    let requested = time_frame(request, now)?;
    let zone = time_zone(device)?;
    let slots = predefined_time_slots(device)?;
    let Some((slot, window)) = best(&slots, zone, requested, request.max_time_rounding, now)? else {
        return Err(if local(zone, requested.ends_at) - local(zone, requested.starts_at) > MAX_STAY {
            Error::invalid("ends_at", "ends_at must be at most 31 days after starts_at on dormakaba Oracode devices")
        } else {
            // Seam's message. A client can read the slots in the device's properties.
            Error::invalid_request("No time slots found")
        });
    };
    let stay = Stay {
        stay_id: request.stay_id,
        user_level_id: slot.dormakaba_oracode_user_level_id,
        user_level_name: Some(slot.name.clone()),
        site_name: site_name(device).to_owned(),
        is_cancellable: false,
        is_extendable: false,
        is_early_checkin_able: false,
        is_overridable: false,
    };
    let pin_prefix = slot.pin_prefix()?;
    Ok(Plan { kind: OfflineKind::OracodeSlot, window, digits: DIGITS, pin_prefix, stay: Some(stay) })
}

/// Returns the slot that moves the ends of the time frame least, and the code's time frame. The first slot is used if
/// several are equal.
fn best(
    slots: &[TimeSlot],
    zone: Tz,
    requested: Window,
    rounding: MaxTimeRounding,
    now: Timestamp,
) -> Result<Option<(&TimeSlot, Window)>> {
    let mut best: Option<Fit> = None;
    for slot in slots.iter().filter(|slot| slot.is_supported()) {
        for fit in Fit::candidates(slot, zone, requested, rounding.limit())? {
            // A stay whose check-out is in the past is not allowed.
            let is_ahead = fit.window.starts_at < fit.window.ends_at && now < fit.window.ends_at;
            if is_ahead && best.as_ref().is_none_or(|best| fit.moved < best.moved) {
                best = Some(fit);
            }
        }
    }
    Ok(best.map(|fit| (fit.slot, fit.window)))
}

pub(super) fn time_frame_options(device: &Device) -> Option<Value> {
    let zone = time_zone(device).ok()?;
    let pair = |slot: TimeSlot| {
        let (check_in, check_out) = slot.times().ok()?;
        let (start_time, end_time) = (check_in.format("%H:%M").to_string(), check_out.format("%H:%M").to_string());
        Some(json!({ "display_name": slot.name, "start_time": start_time, "end_time": end_time }))
    };
    let slots = predefined_time_slots(device).ok()?.into_iter().filter(TimeSlot::is_supported);
    let time_pairs: Vec<Value> = slots.map(pair).collect::<Option<_>>()?;
    let option = json!({ "display_name": "User level", "max_duration": "P31D", "time_pairs": time_pairs, "time_zone": zone.name() });
    (!time_pairs.is_empty()).then(|| json!([option]))
}
