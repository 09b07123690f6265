//! Parsing of parameters that several routes have.

use crate::clock::{INVALID_INSTANT, Timestamp, duration_from_iso, from_iso};
use crate::error::{Error, Resource, Result};
use chrono::TimeDelta;
use serde_json::Value;
use std::collections::HashSet;
use uuid::Uuid;

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

/// Maximum number of characters of a key that clients choose, such as `common_code_key` or `customer_key`. Seam documents
/// no limit; this length fits into a database index in any script.
const MAX_KEY_LENGTH: usize = 500;

/// Checks the parameter `name`, a key that clients choose for one of their customers or users.
///
/// # Errors
/// `invalid_input` for a key of white space only, or a very long one.
pub(crate) fn client_key(name: &str, key: Option<String>) -> Result<Option<String>> {
    let Some(key) = key else { return Ok(None) };
    if key.trim().is_empty() {
        return Err(Error::invalid(name, "Must not consist only of whitespace"));
    }
    check_key_length(name, &key)?;
    Ok(Some(key))
}

/// Checks the length of the parameter `name`, a key that clients choose.
///
/// # Errors
/// `invalid_input` for a key of more than [`MAX_KEY_LENGTH`] characters.
pub(crate) fn check_key_length(name: &str, key: &str) -> Result<()> {
    if key.chars().count() > MAX_KEY_LENGTH {
        let message = format!("String must contain at most {MAX_KEY_LENGTH} character(s)");
        return Err(Error::invalid(name, message));
    }
    Ok(())
}

/// Parses an id for which the contract accepts any text. A text that is not a UUID is the id of no object.
///
/// # Errors
/// [`Error::NotFound`] of the resource.
pub(crate) fn id_of(resource: Resource, text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|_| Error::NotFound(resource))
}

/// Maximum number of ids or keys in one list of a request, where Seam documents no limit.
const MAX_COUNT: usize = 500;

/// Checks the number of elements of the parameter `name`, a list of ids or keys.
///
/// # Errors
/// `invalid_input` for more than [`MAX_COUNT`] elements.
pub(crate) fn check_count(name: &str, count: usize) -> Result<()> {
    if count > MAX_COUNT {
        return Err(Error::invalid(name, format!("Array must contain at most {MAX_COUNT} element(s)")));
    }
    Ok(())
}

/// Returns the id and the key by which a request names an object. The contract has checked one of them; the other may
/// have any type.
pub(crate) fn id_or_key(id: Option<&Value>, key: Option<&Value>) -> (Option<Uuid>, Option<String>) {
    let id = id.and_then(Value::as_str).and_then(|text| Uuid::parse_str(text).ok());
    (id, key.and_then(Value::as_str).map(str::to_owned))
}

/// Returns the values without repetitions, in the order in which they first occur.
pub(crate) fn distinct(values: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    values.into_iter().filter(|value| seen.insert(value.clone())).collect()
}
