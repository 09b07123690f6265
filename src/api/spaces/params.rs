//! Parameters that several of these endpoints have.

use crate::error::{Error, Resource, Result};
use crate::store::spaces::SpaceReference;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// Response with one space.
#[derive(Serialize)]
pub(super) struct Found {
    pub(super) space: Value,
}

/// Returns the space that the parameters name.
///
/// # Errors
/// `invalid_input` without a name, or with two.
pub(super) fn reference(space_id: Option<Uuid>, space_key: Option<String>) -> Result<SpaceReference> {
    match (space_id, space_key) {
        (Some(space_id), None) => Ok(SpaceReference::Id(space_id)),
        (None, Some(key)) => Ok(SpaceReference::Key(key)),
        (None, None) => Err(Error::invalid_request("Either space_id or space_key is required")),
        (Some(_), Some(_)) => Err(Error::invalid_request("Give either space_id or space_key, not both")),
    }
}

/// Checks a list of entrances of access systems. Latchkey has none, so only the empty list is accepted.
///
/// # Errors
/// [`Error::NotFound`] of an entrance.
pub(super) fn check_acs_entrances(acs_entrance_ids: &[Uuid]) -> Result<()> {
    if acs_entrance_ids.is_empty() { Ok(()) } else { Err(Error::NotFound(Resource::AcsEntrance)) }
}
