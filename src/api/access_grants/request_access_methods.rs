//! `/access_grants/request_access_methods`.

use super::params::{Found, RequestedMethodParams, requested_methods};
use crate::api::body::access_grant::AccessGrantBody;
use crate::api::edge::Call;
use crate::engine::access_grants::{self, GrantReference};
use crate::error::{Error, Resource, Result};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct RequestAccessMethods {
    access_grant_id: Uuid,
    requested_access_methods: Vec<RequestedMethodParams>,
}

pub(super) async fn request_access_methods(call: Call<RequestAccessMethods>) -> Result<Found> {
    let visibility = call.caller.visibility();
    let requested = requested_methods(call.input.requested_access_methods)?;
    let grant_id = call.input.access_grant_id;
    access_grants::request_methods(&call.app, &visibility, grant_id, requested).await?;
    let reference = GrantReference::Id(grant_id);
    let (found, now) = access_grants::list(&call.app, visibility.workspace_id, &reference.filter(&visibility)).await?;
    let listed = found.first().ok_or(Error::NotFound(Resource::AccessGrant))?;
    Ok(Found { access_grant: AccessGrantBody::of(listed, now) })
}
