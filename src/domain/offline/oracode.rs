//! dormakaba Oracode: a code lasts from the check-in time to the check-out time of one of the slots ("user levels")
//! with which the door's owner has set up the lock, on any days.

use super::{
    Asked, MaxTimeRounding, OfflineKind, Plan, around, instant, local, named_zone, time_frame, time_zone_required,
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

/// The longest stay.
const MAX_STAY: TimeDelta = TimeDelta::days(31);
/// The only stay for which a biweekly slot is there.
const BIWEEKLY_DAYS: i64 = 14;
/// PINs have this many digits, those of the user level's prefix included.
const DIGITS: u8 = 6;
/// The site of Seam's sample account.
const SITE_NAME: &str = "Ocean Beach Vacations";

/// One of the door's time slots, as `dormakaba_oracode_metadata.predefined_time_slots` shows it. A slot that is set by
/// hand may leave out everything but its name, its times and its user level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "Seam's object has them")]
pub(crate) struct TimeSlot {
    /// What the owner calls it.
    pub name: String,
    /// The slot's own prefix; no rule depends on it.
    #[serde(default)]
    pub prefix: u32,
    /// When codes start: `HH:MM` or `HH:MM:SS` in the door's local time. An offset or a zone behind it is not read.
    pub check_in_time: String,
    /// When codes end, written the same way.
    pub check_out_time: String,
    /// Whether it counts in days.
    #[serde(default)]
    pub is_24_hour: bool,
    /// Whether it is for stays of two weeks only.
    #[serde(default)]
    pub is_biweekly_mode: bool,
    /// Whether its codes open once; Seam does not support these.
    #[serde(default)]
    pub is_one_shot: bool,
    /// Whether its codes open for ever; Seam does not support these.
    #[serde(default)]
    pub is_master: bool,
    /// What the PINs of the user level begin with.
    #[serde(default, alias = "ext_dormakaba_oracode_user_level_prefix")]
    pub dormakaba_oracode_user_level_prefix: u32,
    /// The user level's id.
    pub dormakaba_oracode_user_level_id: Uuid,
}

/// What a code's `dormakaba_oracode_metadata` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "Seam's object has them")]
pub(crate) struct Stay {
    /// The stay's number.
    pub stay_id: i64,
    /// The user level of its slot.
    pub user_level_id: Uuid,
    /// The name of its slot.
    pub user_level_name: Option<String>,
    /// The door's site.
    pub site_name: String,
    /// Whether it can be called off. Never: Seam deletes no offline code.
    pub is_cancellable: bool,
    /// Whether it can be made longer. Never: Seam updates no offline code.
    pub is_extendable: bool,
    /// Whether it can begin before its check-in time. Never: the code gets the slot's times.
    pub is_early_checkin_able: bool,
    /// Whether a later code of the slot ends it. Never.
    pub is_overridable: bool,
}

/// The slots of a door that was given none: two for guests, one in whole days. Their times are the door's own.
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

/// The door's slots: those of its `dormakaba_oracode_metadata.predefined_time_slots`, else [`default_slots`].
///
/// # Errors
/// What stands there is not a list of slots.
pub(crate) fn predefined_time_slots(device: &Device) -> Result<Vec<TimeSlot>> {
    metadata(device, "predefined_time_slots")
        .map_or_else(|| Ok(default_slots()), |slots| Vec::deserialize(slots).map_err(|error| unreadable(&error)))
}

/// The door's own `dormakaba_oracode_metadata`, with what nobody has set made up; `None`: it is no such door, or what was
/// set cannot be read.
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

/// The door's site: that of its `dormakaba_oracode_metadata`, else that of Seam's sample account.
pub(crate) fn site_name(device: &Device) -> &str {
    metadata(device, "site_name").and_then(Value::as_str).unwrap_or(SITE_NAME)
}

/// The door's time zone: `dormakaba_oracode_metadata.iana_timezone`, else that of the device.
///
/// # Errors
/// There is none, or it is not an IANA time zone.
pub(crate) fn time_zone(device: &Device) -> Result<Tz> {
    let name = metadata(device, "iana_timezone").and_then(Value::as_str).or_else(|| device.time_zone());
    named_zone(name.ok_or_else(|| time_zone_required(device))?)
}

fn metadata<'a>(device: &'a Device, name: &str) -> Option<&'a Value> {
    device.overrides.properties.get("dormakaba_oracode_metadata")?.get(name)
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::invalid_request(format!(
        "the device's dormakaba_oracode_metadata.predefined_time_slots cannot be read: {error}. Set them anew."
    ))
}

impl TimeSlot {
    /// Whether Seam makes codes of this slot.
    fn is_supported(&self) -> bool {
        !self.is_master && !self.is_one_shot
    }

    /// Check-in and check-out.
    fn times(&self) -> Result<(NaiveTime, NaiveTime)> {
        Ok((time_of_day(&self.check_in_time)?, time_of_day(&self.check_out_time)?))
    }

    /// The digits with which the PINs of its user level begin.
    fn pin_prefix(&self) -> Result<String> {
        let prefix = self.dormakaba_oracode_user_level_prefix.to_string();
        if prefix.len() < usize::from(DIGITS) {
            return Ok(prefix);
        }
        Err(unreadable(&format!("prefix {prefix} leaves no digit of a PIN of {DIGITS}")))
    }
}

/// Reads `HH:MM` or `HH:MM:SS`, whatever offset or zone is behind it.
fn time_of_day(text: &str) -> Result<NaiveTime> {
    let end = text.find(|it: char| !it.is_ascii_digit() && it != ':').unwrap_or(text.len());
    let time = &text[..end];
    let read = NaiveTime::parse_from_str(time, "%H:%M:%S").or_else(|_| NaiveTime::parse_from_str(time, "%H:%M"));
    read.map_err(|_| unreadable(&format!("{text} is not a time of day")))
}

/// One way to put a time frame into a slot.
struct Fit<'a> {
    slot: &'a TimeSlot,
    window: Window,
    /// How far both ends are moved, together.
    moved: TimeDelta,
}

impl<'a> Fit<'a> {
    /// Every way in which both ends are moved at most `limit` and the slot is for stays of that length.
    fn all(slot: &'a TimeSlot, zone: Tz, wanted: Window, limit: TimeDelta) -> Result<impl Iterator<Item = Self>> {
        let (check_in, check_out) = slot.times()?;
        let (start, end) = (local(zone, wanted.starts_at), local(zone, wanted.ends_at));
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

pub(super) fn plan(device: &Device, asked: &Asked, now: Timestamp) -> Result<Plan> {
    if asked.is_one_time_use {
        return Err(Error::invalid(
            "is_one_time_use",
            "dormakaba Oracode has no one-time offline codes. Leave out is_one_time_use.",
        ));
    }
    let wanted = time_frame(asked, now)?;
    let zone = time_zone(device)?;
    let slots = predefined_time_slots(device)?;
    let Some((slot, window)) = best(&slots, zone, wanted, asked.max_time_rounding, now)? else {
        return Err(if local(zone, wanted.ends_at) - local(zone, wanted.starts_at) > MAX_STAY {
            Error::invalid("ends_at", "ends_at must be at most 31 days after starts_at on dormakaba Oracode devices")
        } else {
            // In Seam's words; the caller finds the slots in the device's properties.
            Error::invalid_request("No time slots found")
        });
    };
    let stay = Stay {
        stay_id: asked.stay_id,
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

/// The slot that moves the ends of the time frame least, the first of several, and the code's time frame.
fn best(
    slots: &[TimeSlot],
    zone: Tz,
    wanted: Window,
    rounding: MaxTimeRounding,
    now: Timestamp,
) -> Result<Option<(&TimeSlot, Window)>> {
    let mut best: Option<Fit> = None;
    for slot in slots.iter().filter(|slot| slot.is_supported()) {
        for fit in Fit::all(slot, zone, wanted, rounding.limit())? {
            // A check-out that is over makes no code.
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
