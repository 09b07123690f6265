//! `/spaces/create`.

use super::params::{Found, check_acs_entrances};
use crate::api::body;
use crate::api::edge::Call;
use crate::engine::spaces::{self, NewSpace};
use crate::error::{Error, Result};
use crate::http::params::{check_count, client_key};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Create {
    name: String,
    space_key: Option<String>,
    customer_key: Option<String>,
    #[serde(default)]
    customer_data: Map<String, Value>,
    #[serde(default)]
    device_ids: Vec<Uuid>,
    #[serde(default)]
    acs_entrance_ids: Vec<Uuid>,
    #[serde(default)]
    connected_account_ids: Vec<Uuid>,
}

/// Creates a space. The session of a customer creates spaces of this customer only.
pub(super) async fn create(call: Call<Create>) -> Result<Found> {
    let input = call.input;
    check_count("device_ids", input.device_ids.len())?;
    check_count("connected_account_ids", input.connected_account_ids.len())?;
    check_acs_entrances(&input.acs_entrance_ids)?;
    let visibility = call.caller.visibility();
    let customer_key = client_key("customer_key", input.customer_key)?;
    if let (Some(own), Some(given)) = (&visibility.customer_key, &customer_key)
        && own != given
    {
        let message = "The client session belongs to another customer. Leave customer_key out";
        return Err(Error::invalid("customer_key", message));
    }
    let new = NewSpace {
        name: input.name,
        space_key: client_key("space_key", input.space_key)?,
        customer_key: customer_key.or_else(|| visibility.customer_key.clone()),
        customer_data: input.customer_data,
        device_ids: input.device_ids,
        connected_account_ids: input.connected_account_ids,
    };
    let created = spaces::create(&call.app, &visibility, new).await?;
    Ok(Found { space: body::space::of(&created) })
}
