//! `/access_methods/delete`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::access_grants::{self, MethodReference};
use crate::error::{Error, Result};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Delete {
    access_method_id: Option<Uuid>,
    access_grant_id: Option<Uuid>,
    reservation_key: Option<String>,
}

pub(super) async fn delete(call: Call<Delete>) -> Result<EmptyResult> {
    let Delete { access_method_id, access_grant_id, reservation_key } = call.input;
    let reference = match (access_method_id, access_grant_id, reservation_key) {
        (Some(id), None, None) => MethodReference::Id(id),
        (None, Some(id), None) => MethodReference::OfGrant(id),
        (None, None, Some(key)) => MethodReference::OfReservation(key),
        _ => {
            let message = "Exactly one of access_method_id, access_grant_id and reservation_key is required";
            return Err(Error::invalid_request(message));
        }
    };
    access_grants::delete_methods(&call.app, &call.caller.visibility(), &reference).await?;
    Ok(EmptyResult {})
}
