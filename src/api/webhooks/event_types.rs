//! Parameter `event_types` of webhooks.

use crate::contract::Contract;
use crate::domain::webhook::ALL_TYPES;
use crate::error::{Error, Result};
use serde_json::Value;

/// Place of the list of all event types in the contract.
const KNOWN_TYPES: &str =
    "/paths/~1events~1list/post/requestBody/content/application~1json/schema/properties/event_type/enum";

/// Returns the event types without repetitions.
///
/// # Errors
/// [`Error::InvalidEventTypes`] with the types that Seam does not have.
pub(super) fn checked(contract: &Contract, event_types: Vec<String>) -> Result<Vec<String>> {
    let known_types = contract.document().pointer(KNOWN_TYPES).and_then(Value::as_array);
    let known_types = known_types.ok_or_else(|| Error::Internal("the contract has no list of event types".into()))?;
    let (mut accepted, mut unknown): (Vec<String>, Vec<String>) = Default::default();
    for event_type in event_types {
        let is_known = event_type == ALL_TYPES || known_types.iter().any(|known| *known == event_type);
        let found = if is_known { &mut accepted } else { &mut unknown };
        // Known types are few, so a search for repetitions is fast. A request can have any number of unknown ones.
        if !is_known || !found.contains(&event_type) {
            found.push(event_type);
        }
    }
    if unknown.is_empty() { Ok(accepted) } else { Err(Error::InvalidEventTypes(unknown)) }
}
