//! `/access_grants/unmanaged/*`. Unmanaged grants come from access systems, which are not emulated: there are none.

use crate::api::edge::{Call, EmptyResult, NoParameters};
use crate::api::pagination::{Page, Pagination};
use crate::error::{Error, Resource, Result};
use serde::Serialize;
use serde_json::Value;

/// Default and maximum number of grants on a page, as at Seam.
const DEFAULT_LIMIT: usize = 500;

#[derive(Serialize)]
pub(super) struct Listed {
    access_grants: [Value; 0],
    pagination: Pagination,
}

pub(super) async fn get(_: Call<NoParameters>) -> Result<EmptyResult> {
    Err(Error::NotFound(Resource::AccessGrant))
}

pub(super) async fn list(call: Call<NoParameters>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    Ok(Listed { access_grants: [], pagination: page.pagination(None, &call.base_url, "/access_grants/unmanaged/list") })
}

pub(super) async fn update(_: Call<NoParameters>) -> Result<EmptyResult> {
    Err(Error::NotFound(Resource::AccessGrant))
}
