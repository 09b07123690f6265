//! `/connected_accounts/get`.

use crate::api::body;
use crate::api::edge::Call;
use crate::error::{Error, Resource, Result};
use crate::store::accounts::{self, Filter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Get {
    connected_account_id: Option<Uuid>,
    /// Any JSON type: the contract checks `email` only in requests without an id.
    email: Option<Value>,
}

#[derive(Serialize)]
pub(super) struct Found {
    connected_account: Value,
}

/// Returns the account with this id, or the newest account of the user with this email address.
pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    let Get { connected_account_id, email } = &call.input;
    let email = email.as_ref().and_then(Value::as_str);
    if connected_account_id.is_none() && email.is_none() {
        return Err(Error::invalid_request("Either connected_account_id or email is required"));
    }
    let filter = Filter {
        connected_account_ids: connected_account_id.as_ref().map(std::slice::from_ref),
        user_identifier: email,
        limit: Some(1),
        ..Filter::default()
    };
    let found = accounts::list(&call.app.pool, &call.caller.visibility(), &filter).await?;
    let account = found.first().ok_or(Error::NotFound(Resource::ConnectedAccount))?;
    Ok(Found { connected_account: body::connected_account::of(account) })
}
