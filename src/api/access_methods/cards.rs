//! Endpoints for cards and cloud keys of access systems, which are not emulated: access methods have the mode `code`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::access_grants;
use crate::error::{Error, Resource, Result};
use crate::store::access_grants::Filter;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct OneMethod {
    access_method_id: Uuid,
}

pub(super) async fn assign_card(call: Call<OneMethod>) -> Result<EmptyResult> {
    reject(call, "card").await
}

pub(super) async fn encode(call: Call<OneMethod>) -> Result<EmptyResult> {
    reject(call, "card").await
}

pub(super) async fn unlock_door(call: Call<OneMethod>) -> Result<EmptyResult> {
    reject(call, "cloud_key").await
}

/// Rejects the request: no method has this mode.
async fn reject(call: Call<OneMethod>, mode: &str) -> Result<EmptyResult> {
    let filter = Filter { access_method_ids: Some(&[call.input.access_method_id]), ..Filter::default() };
    let (found, _) = access_grants::list(&call.app, call.caller.workspace.workspace_id, &filter).await?;
    if found.is_empty() {
        return Err(Error::NotFound(Resource::AccessMethod));
    }
    let message = format!("Only for access methods of the mode {mode}. This one has the mode code");
    Err(Error::invalid("access_method_id", message))
}
