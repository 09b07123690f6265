//! `/access_codes/update_multiple`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::commands::Update;
use crate::engine::update;
use crate::error::Result;
use crate::http::params::optional_instant;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct UpdateMultiple {
    common_code_key: String,
    name: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
}

pub(super) async fn update_multiple(call: Call<UpdateMultiple>) -> Result<EmptyResult> {
    let input = call.input;
    let update = Update {
        name: input.name,
        starts_at: optional_instant("starts_at", input.starts_at.as_deref())?,
        ends_at: optional_instant("ends_at", input.ends_at.as_deref())?,
        ..Update::default()
    };
    update::update_multiple(&call.app, &call.caller.visibility(), &input.common_code_key, &update).await?;
    Ok(EmptyResult {})
}
