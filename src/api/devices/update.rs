//! `/devices/update`.

use crate::api::edge::{Call, EmptyResult};
use crate::domain::device::some;
use crate::engine::devices::{self, ClientUpdate};
use crate::error::{Error, Result};
use crate::store::Ownership;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Update {
    device_id: Uuid,
    /// Name; `Some(None)` removes it.
    #[serde(default, deserialize_with = "some")]
    name: Option<Option<String>>,
    custom_metadata: Option<Map<String, Value>>,
    is_managed: Option<bool>,
    backup_access_code_pool_enabled: Option<bool>,
    #[serde(default)]
    properties: Properties,
}

/// Second place for the name.
#[derive(Default, Deserialize)]
struct Properties {
    #[serde(default, deserialize_with = "some")]
    name: Option<Option<String>>,
}

pub(super) async fn update(call: Call<Update>) -> Result<EmptyResult> {
    let input = call.input;
    let update = ClientUpdate {
        nickname: nickname(input.name, input.properties.name)?,
        custom_metadata: input.custom_metadata,
        is_managed: input.is_managed,
        backup_access_code_pool_enabled: input.backup_access_code_pool_enabled,
    };
    let visibility = call.caller.visibility();
    devices::update_as_client(&call.app, &visibility, input.device_id, (Ownership::Managed, update)).await?;
    Ok(EmptyResult {})
}

/// Returns the new nickname from its two places.
///
/// # Errors
/// The two differ, or the name is empty.
fn nickname(name: Option<Option<String>>, in_properties: Option<Option<String>>) -> Result<Option<Option<String>>> {
    let nickname = match (name, in_properties) {
        (Some(one), Some(other)) if one != other => {
            return Err(Error::invalid_request("name and properties.name mean the same and must not differ"));
        }
        (one, other) => one.or(other),
    };
    match &nickname {
        Some(Some(name)) if name.trim().is_empty() => {
            Err(Error::invalid("name", "The name must not be empty. null removes it"))
        }
        _ => Ok(nickname),
    }
}
