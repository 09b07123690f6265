//! Checks that apply to every parameter, in addition to the contract.

use super::{Issues, Rejection};
use serde_json::{Map, Value};

/// Rejects parameters that could not be stored or read back.
///
/// # Errors
/// The first invalid parameter.
pub(crate) fn check(parameters: &Map<String, Value>) -> Result<(), Rejection> {
    let rejection = |name: &str, message: String| Issues::new().at(&[name], message).into_rejection();
    if let Some((name, _)) = parameters.iter().find(|(name, value)| name.contains(NUL) || has_nul(value)) {
        return Err(rejection(name, NO_NUL.to_owned()));
    }
    match parameters.iter().find(|(_, value)| is_deeper(value, MAX_DEPTH)) {
        Some((name, _)) => {
            Err(rejection(name, format!("Lists and objects must be nested at most {MAX_DEPTH} levels deep")))
        }
        None => Ok(()),
    }
}

/// Maximum nesting depth of lists and objects in a parameter. A stored value is nested some levels deeper in responses
/// and snapshots, and common JSON parsers accept a hundred levels.
const MAX_DEPTH: usize = 64;

/// Maximum nesting depth of lists and objects in a snapshot, which contains such parameters.
pub(crate) const MAX_SNAPSHOT_DEPTH: usize = 80;

/// Returns true if lists and objects are nested deeper than `levels`.
pub(crate) fn is_deeper(value: &Value, levels: usize) -> bool {
    match (value, levels.checked_sub(1)) {
        (Value::Array(_) | Value::Object(_), None) => true,
        (Value::Array(items), Some(left)) => items.iter().any(|item| is_deeper(item, left)),
        (Value::Object(fields), Some(left)) => fields.values().any(|item| is_deeper(item, left)),
        _ => false,
    }
}

/// Message for a text that cannot be stored.
pub(crate) const NO_NUL: &str = "String must not contain the character U+0000";

/// The only character that PostgreSQL can store neither in text nor in JSON.
const NUL: char = '\0';

/// Returns true if a string or a property name in `value` contains U+0000.
pub(crate) fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(NUL),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains(NUL) || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
