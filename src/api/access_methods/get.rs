//! `/access_methods/get`.

use crate::api::body::access_method::AccessMethodBody;
use crate::api::edge::Call;
use crate::engine::access_grants;
use crate::error::{Error, Resource, Result};
use crate::store::access_grants::Filter;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Get {
    access_method_id: Uuid,
}

#[derive(Serialize)]
pub(super) struct Found {
    access_method: AccessMethodBody,
}

pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    let id = call.input.access_method_id;
    let filter = Filter { access_method_ids: Some(&[id]), ..Filter::default() };
    let (found, now) = access_grants::list(&call.app, call.caller.workspace.workspace_id, &filter).await?;
    let listed = found.first().ok_or(Error::NotFound(Resource::AccessMethod))?;
    let method = listed.methods.iter().find(|method| method.access_method_id == id);
    let method = method.ok_or(Error::NotFound(Resource::AccessMethod))?;
    Ok(Found { access_method: AccessMethodBody::of(listed, method, now) })
}
