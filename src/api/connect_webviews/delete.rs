//! `/connect_webviews/delete`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::connect_webviews;
use crate::error::Result;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Delete {
    connect_webview_id: Uuid,
}

pub(super) async fn delete(call: Call<Delete>) -> Result<EmptyResult> {
    connect_webviews::delete(&call.app, &call.caller.visibility(), call.input.connect_webview_id).await?;
    Ok(EmptyResult {})
}
