//! Parameter `event_types` of webhooks.

use crate::contract::Contract;
use crate::domain::webhook::ALL_TYPES;
use crate::error::{Error, Result};
use crate::http::params::distinct;
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
    let is_known = |event_type: &String| event_type == ALL_TYPES || known_types.iter().any(|known| known == event_type);
    let (accepted, unknown): (Vec<String>, Vec<String>) = distinct(event_types).into_iter().partition(is_known);
    if unknown.is_empty() { Ok(accepted) } else { Err(Error::InvalidEventTypes(unknown)) }
}
