//! `/connect_webviews/get`.

use crate::api::body;
use crate::api::edge::Call;
use crate::error::{Error, Resource, Result};
use crate::store::connect_webviews::{self, Filter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Get {
    connect_webview_id: Uuid,
}

#[derive(Serialize)]
pub(super) struct Found {
    connect_webview: Value,
}

pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    let ids = [call.input.connect_webview_id];
    let filter = Filter { connect_webview_ids: Some(&ids), limit: 1, ..Filter::default() };
    let found = connect_webviews::list(&call.app.pool, &call.caller.visibility(), &filter).await?;
    let webview = found.first().ok_or(Error::NotFound(Resource::ConnectWebview))?;
    Ok(Found { connect_webview: body::connect_webview::of(webview, &call.base_url) })
}
