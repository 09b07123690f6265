//! `/access_methods/unmanaged/*`. Unmanaged methods come from access systems, which are not emulated: there are none.

use crate::api::edge::{Call, EmptyResult, NoParameters};
use crate::error::{Error, Resource, Result};
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
pub(super) struct Listed {
    access_methods: [Value; 0],
}

pub(super) async fn get(_: Call<NoParameters>) -> Result<EmptyResult> {
    Err(Error::NotFound(Resource::AccessMethod))
}

pub(super) async fn list(_: Call<NoParameters>) -> Result<Listed> {
    Ok(Listed { access_methods: [] })
}
