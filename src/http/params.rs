//! Parsing of parameters that several routes have.

use crate::clock::{INVALID_INSTANT, Timestamp, duration_from_iso, from_iso};
use crate::error::{Error, Result};
use chrono::TimeDelta;

/// Parses the instant in the parameter `name`.
///
/// # Errors
/// `invalid_input` for a text that is not an instant.
pub(crate) fn instant(name: &str, text: &str) -> Result<Timestamp> {
    from_iso(text).ok_or_else(|| Error::invalid(name, INVALID_INSTANT))
}

/// Parses the instant in the optional parameter `name`.
///
/// # Errors
/// Those of [`instant`].
pub(crate) fn optional_instant(name: &str, text: Option<&str>) -> Result<Option<Timestamp>> {
    text.map(|text| instant(name, text)).transpose()
}

/// Parses the duration in the parameter `name`, at most [`crate::clock::MAX_DURATION`].
///
/// # Errors
/// `invalid_input` for a text that is not such a duration.
pub(crate) fn duration(name: &str, text: &str) -> Result<TimeDelta> {
    const INVALID: &str =
        "Invalid duration: give ISO 8601 from PT0S to P36525D, without years and months, like PT1H30M";
    duration_from_iso(text).ok_or_else(|| Error::invalid(name, INVALID))
}
