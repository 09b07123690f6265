//! Parameters that several routes have, read in one place.

use crate::clock::{INVALID_INSTANT, Instant, from_iso};
use crate::error::{Error, Result};

/// The instant that the parameter `name` gives.
///
/// # Errors
/// `invalid_input` for a text that is none.
pub fn instant(name: &str, text: &str) -> Result<Instant> {
    from_iso(text).ok_or_else(|| Error::invalid(name, INVALID_INSTANT))
}

/// The same for a parameter that may be left out.
///
/// # Errors
/// Those of [`instant`].
pub fn optional_instant(name: &str, text: Option<&str>) -> Result<Option<Instant>> {
    text.map(|text| instant(name, text)).transpose()
}
