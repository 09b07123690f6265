//! Parameters that several routes have, read in one place.

use crate::clock::{INVALID_INSTANT, Timestamp, duration_from_iso, from_iso};
use crate::error::{Error, Result};
use chrono::TimeDelta;

/// The instant that the parameter `name` gives.
///
/// # Errors
/// `invalid_input` for a text that is none.
pub(crate) fn instant(name: &str, text: &str) -> Result<Timestamp> {
    from_iso(text).ok_or_else(|| Error::invalid(name, INVALID_INSTANT))
}

/// The same for a parameter that may be left out.
///
/// # Errors
/// Those of [`instant`].
pub(crate) fn optional_instant(name: &str, text: Option<&str>) -> Result<Option<Timestamp>> {
    text.map(|text| instant(name, text)).transpose()
}

/// The duration that the parameter `name` gives, at most [`crate::clock::MAX_DURATION`].
///
/// # Errors
/// `invalid_input` for a text that is none.
pub(crate) fn duration(name: &str, text: &str) -> Result<TimeDelta> {
    const INVALID: &str =
        "Invalid duration: give ISO 8601 from PT0S to P36525D, without years and months, like PT1H30M";
    duration_from_iso(text).ok_or_else(|| Error::invalid(name, INVALID))
}
