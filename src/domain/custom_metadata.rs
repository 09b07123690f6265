//! Custom metadata: names and values that clients of the API set on devices, connected accounts and connect webviews.

use crate::error::{Error, Result};
use serde_json::{Map, Value};

/// Maximum number of keys of one object.
const MAX_KEYS: usize = 50;

/// Maximum length of a key, in characters.
const MAX_KEY_LENGTH: usize = 40;

/// Maximum length of a text value, in characters.
const MAX_VALUE_LENGTH: usize = 500;

const TOO_MANY_KEYS: &str = "Custom metadata is limited to a maximum of 50 keys";
const HAS_PERIOD: &str = "Custom metadata key names cannot contain a period (.)";

/// Applies the changes of a request to stored custom metadata. A key with null or an empty text is removed; the other
/// keys stay.
///
/// # Errors
/// `invalid_input` for the parameter `custom_metadata`: too many keys, an invalid key, or a value that is too long or
/// is neither text nor a boolean. `stored` is then unchanged.
pub(crate) fn apply(stored: &mut Map<String, Value>, changes: Map<String, Value>) -> Result<()> {
    let invalid = |message: &str| Err(Error::invalid("custom_metadata", message));
    if changes.len() > MAX_KEYS {
        return invalid(TOO_MANY_KEYS);
    }
    for (key, value) in &changes {
        if key.contains('.') {
            return invalid(HAS_PERIOD);
        }
        if key.is_empty() || key.chars().count() > MAX_KEY_LENGTH {
            return invalid("Custom metadata key names have 1 to 40 characters");
        }
        match value {
            Value::String(text) if text.chars().count() > MAX_VALUE_LENGTH => {
                return invalid("Custom metadata values have at most 500 characters");
            }
            Value::String(_) | Value::Bool(_) | Value::Null => {}
            _ => return invalid("Custom metadata values are strings, booleans or null"),
        }
    }
    let mut applied = stored.clone();
    for (key, value) in changes {
        if is_removal(&value) {
            applied.shift_remove(&key);
        } else {
            applied.insert(key, value);
        }
    }
    if applied.len() > MAX_KEYS {
        return invalid(TOO_MANY_KEYS);
    }
    *stored = applied;
    Ok(())
}

/// Returns the custom metadata of a new object.
///
/// # Errors
/// The errors of [`apply`].
pub(crate) fn new(given: Option<Map<String, Value>>) -> Result<Map<String, Value>> {
    let mut metadata = Map::new();
    apply(&mut metadata, given.unwrap_or_default())?;
    Ok(metadata)
}

/// Checks the filter `custom_metadata_has`. Its keys have no period, because a query could not distinguish
/// a key with one from a nested key.
///
/// # Errors
/// `invalid_input` for the parameter `custom_metadata_has`.
pub(crate) fn check_filter(filter: Option<&Map<String, Value>>) -> Result<()> {
    if filter.into_iter().flat_map(Map::keys).any(|key| key.contains('.')) {
        return Err(Error::invalid("custom_metadata_has", HAS_PERIOD));
    }
    Ok(())
}

/// Splits the filter `custom_metadata_has` into the members that an object must have, and the keys that must not be
/// set, whose value in the filter is null. An empty text is ignored.
pub(crate) fn filter_parts(filter: &Map<String, Value>) -> (Map<String, Value>, Vec<String>) {
    let set = filter.iter().filter(|(_, value)| !is_removal(value));
    let unset = filter.iter().filter(|(_, value)| value.is_null());
    (set.map(|(key, value)| (key.clone(), value.clone())).collect(), unset.map(|(key, _)| key.clone()).collect())
}

/// Returns true if this value removes its key.
fn is_removal(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn keys(count: usize) -> Value {
        (0..count).map(|number| (format!("key{number}"), json!("value"))).collect::<Map<_, _>>().into()
    }

    #[test]
    fn changes_set_replace_and_remove_single_keys() {
        for (stored, changes, expected) in [
            (json!({}), json!({ "a": "1" }), json!({ "a": "1" })),
            (json!({ "a": "1" }), json!({ "b": true }), json!({ "a": "1", "b": true })),
            (json!({ "a": "1", "b": "2" }), json!({ "a": false }), json!({ "a": false, "b": "2" })),
            (json!({ "a": "1", "b": "2" }), json!({ "a": null }), json!({ "b": "2" })),
            (json!({ "a": "1", "b": "2" }), json!({ "b": "", "c": null }), json!({ "a": "1" })),
            (keys(50), json!({ "key0": null, "another": "1" }), {
                let mut expected = map(&keys(50));
                expected.shift_remove("key0");
                expected.insert("another".to_owned(), json!("1"));
                expected.into()
            }),
        ] {
            let mut metadata = map(&stored);
            apply(&mut metadata, map(&changes)).unwrap();
            assert_eq!(Value::from(metadata), expected, "{stored} with {changes}");
        }
    }

    #[test]
    fn invalid_changes_are_rejected_and_change_nothing() {
        for (stored, changes, expected) in [
            (json!({}), keys(51), "maximum of 50 keys"),
            (keys(50), json!({ "another": "1" }), "maximum of 50 keys"),
            (json!({}), json!({ "a.b": "1" }), "cannot contain a period"),
            (json!({}), json!({ "": "1" }), "1 to 40 characters"),
            (json!({}), json!({ "a".repeat(41): "1" }), "1 to 40 characters"),
            (json!({}), json!({ "a": "ä".repeat(501) }), "at most 500 characters"),
            (json!({}), json!({ "a": 1 }), "strings, booleans or null"),
            (json!({ "a": "1" }), json!({ "a": null, "b": [] }), "strings, booleans or null"),
        ] {
            let mut metadata = map(&stored);
            let error = apply(&mut metadata, map(&changes)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(Value::from(metadata), stored);
        }
    }

    #[test]
    fn longest_keys_and_values_are_accepted() {
        let longest = map(&json!({ "ä".repeat(40): "ä".repeat(500) }));
        assert_eq!(new(Some(longest.clone())).unwrap(), longest);
        assert_eq!(new(None).unwrap(), Map::new());
    }

    #[test]
    fn filter_separates_required_members_from_unset_keys() {
        let filter = map(&json!({ "a": "1", "b": true, "c": null, "d": "" }));
        check_filter(Some(&filter)).unwrap();
        let (set, unset) = filter_parts(&filter);
        assert_eq!((Value::from(set), unset), (json!({ "a": "1", "b": true }), vec!["c".to_owned()]));
        assert!(check_filter(Some(&map(&json!({ "a.b": "1" })))).is_err());
        check_filter(None).unwrap();
    }
}
