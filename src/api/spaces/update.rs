//! `/spaces/update`.

use super::params::{Found, check_acs_entrances, reference};
use crate::api::body;
use crate::api::edge::Call;
use crate::engine::spaces::{self, SpaceUpdate};
use crate::error::Result;
use crate::http::params::check_count;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Parameters. The undocumented `parent_space_id` and `parent_space_key` have no effect: no space is part of another one.
#[derive(Deserialize)]
pub(super) struct Update {
    space_id: Option<Uuid>,
    space_key: Option<String>,
    name: Option<String>,
    #[serde(default)]
    customer_data: Map<String, Value>,
    device_ids: Option<Vec<Uuid>>,
    #[serde(default)]
    acs_entrance_ids: Vec<Uuid>,
}

pub(super) async fn update(call: Call<Update>) -> Result<Found> {
    let input = call.input;
    let reference = reference(input.space_id, input.space_key)?;
    check_count("device_ids", input.device_ids.as_ref().map_or(0, Vec::len))?;
    check_acs_entrances(&input.acs_entrance_ids)?;
    let update = SpaceUpdate { name: input.name, customer_data: input.customer_data, device_ids: input.device_ids };
    let changed = spaces::update(&call.app, &call.caller.visibility(), &reference, update).await?;
    Ok(Found { space: body::space::of(&changed) })
}
