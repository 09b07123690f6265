//! Names that Seam has renamed and that clients of older SDKs still send. They are taken wherever a client names one and
//! never given back.

use serde_json::{Map, Value};

/// The parameters whose values are names of events, errors or warnings.
const PARAMETERS: [&str; 4] = ["event_type", "event_types", "error_code", "warning_code"];

/// Old names, each with the one it has now.
const RENAMED: [(&str, &str); 4] = [
    ("access_code.failed_to_expire", "access_code.failed_to_delete"),
    ("access_code.failed_to_remove", "access_code.failed_to_delete"),
    ("failed_to_expire", "failed_to_delete"),
    ("failed_to_remove", "failed_to_delete"),
];

/// Puts new names in the place of old ones, before the input is checked.
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
