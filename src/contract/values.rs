//! What no parameter may have in it, whatever the contract says of it.

use super::{Issues, Rejection};
use serde_json::{Map, Value};

/// Refuses parameters that could not be kept, or read again.
///
/// # Errors
/// The first that is wrong.
pub(crate) fn check(parameters: &Map<String, Value>) -> Result<(), Rejection> {
    let wrong = |name: &str, message: String| Issues::new().at(&[name], message).into_rejection();
    if let Some((name, _)) = parameters.iter().find(|(name, value)| name.contains(NUL) || has_nul(value)) {
        return Err(wrong(name, NO_NUL.to_owned()));
    }
    match parameters.iter().find(|(_, value)| is_deeper(value, MAX_DEPTH)) {
        Some((name, _)) => {
            Err(wrong(name, format!("Lists and objects must be at most {MAX_DEPTH} deep in each other")))
        }
        None => Ok(()),
    }
}

/// How many levels of lists and objects a parameter may have. What is kept of it lies some levels deeper in answers and in
/// snapshots, and common readers of JSON take a hundred.
const MAX_DEPTH: usize = 64;

/// The same for a snapshot, which has such parameters in it.
pub(crate) const MAX_SNAPSHOT_DEPTH: usize = 80;

/// Whether lists and objects lie deeper than this in each other.
pub(crate) fn is_deeper(value: &Value, levels: usize) -> bool {
    match (value, levels.checked_sub(1)) {
        (Value::Array(_) | Value::Object(_), None) => true,
        (Value::Array(items), Some(left)) => items.iter().any(|item| is_deeper(item, left)),
        (Value::Object(fields), Some(left)) => fields.values().any(|item| is_deeper(item, left)),
        _ => false,
    }
}

/// What is said of a text that cannot be kept.
pub(crate) const NO_NUL: &str = "String must not contain the character U+0000";

/// The one character that PostgreSQL can keep neither in text nor in JSON.
const NUL: char = '\0';

/// Whether a text in a value, or a name, has that character.
pub(crate) fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(NUL),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains(NUL) || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
