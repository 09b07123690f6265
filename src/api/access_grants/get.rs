//! `/access_grants/get`.

use super::params::{Found, reference};
use crate::api::body::access_grant::AccessGrantBody;
use crate::api::edge::Call;
use crate::engine::access_grants;
use crate::error::{Error, Resource, Result};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Get {
    access_grant_id: Option<Uuid>,
    access_grant_key: Option<String>,
}

pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    let visibility = call.caller.visibility();
    let reference = reference(call.input.access_grant_id, call.input.access_grant_key)?;
    let (found, now) = access_grants::list(&call.app, visibility.workspace_id, &reference.filter(&visibility)).await?;
    let listed = found.first().ok_or(Error::NotFound(Resource::AccessGrant))?;
    Ok(Found { access_grant: AccessGrantBody::of(listed, now) })
}
