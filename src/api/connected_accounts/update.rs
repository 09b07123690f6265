//! `/connected_accounts/update`.

use crate::api::body;
use crate::api::edge::Call;
use crate::engine::connected_accounts::{self, AccountUpdate};
use crate::error::Result;
use crate::http::params;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Update {
    connected_account_id: Uuid,
    display_name: Option<String>,
    customer_key: Option<String>,
    custom_metadata: Option<Map<String, Value>>,
    automatically_manage_new_devices: Option<bool>,
    accepted_capabilities: Option<Vec<String>>,
}

#[derive(Serialize)]
pub(super) struct Updated {
    connected_account: Value,
}

pub(super) async fn update(call: Call<Update>) -> Result<Updated> {
    let input = call.input;
    let update = AccountUpdate {
        display_name: input.display_name,
        customer_key: params::client_key("customer_key", input.customer_key)?,
        custom_metadata: input.custom_metadata,
        automatically_manage_new_devices: input.automatically_manage_new_devices,
        accepted_capabilities: input.accepted_capabilities.map(params::distinct),
    };
    let visibility = call.caller.visibility();
    let account = connected_accounts::update(&call.app, &visibility, input.connected_account_id, update).await?;
    Ok(Updated { connected_account: body::connected_account::of(&account) })
}
