//! Names that Seam has renamed and that clients with older SDKs still send. They are accepted in requests and never
//! returned in responses.

use serde_json::{Map, Value};

/// Parameters whose values are event types, error codes or warning codes.
const PARAMETERS: [&str; 4] = ["event_type", "event_types", "error_code", "warning_code"];

/// Old names, each with its current name.
const RENAMED: [(&str, &str); 4] = [
    ("access_code.failed_to_expire", "access_code.failed_to_delete"),
    ("access_code.failed_to_remove", "access_code.failed_to_delete"),
    ("failed_to_expire", "failed_to_delete"),
    ("failed_to_remove", "failed_to_delete"),
];

/// Replaces old names by the current ones. Must run before the input is checked.
pub(super) fn translate(input: &mut Map<String, Value>) {
    for parameter in PARAMETERS {
        match input.get_mut(parameter) {
            Some(Value::Array(items)) => items.iter_mut().for_each(rename),
            Some(value) => rename(value),
            None => {}
        }
    }
}

fn rename(value: &mut Value) {
    let new = RENAMED.iter().find(|(old, _)| value == old).map(|(_, new)| *new);
    if let Some(new) = new {
        *value = new.into();
    }
}
