//! `/connect_webviews/list`.

use crate::api::body;
use crate::api::edge::Call;
use crate::api::pagination::{Page, Pagination};
use crate::domain::connect_webview::ConnectWebview;
use crate::domain::custom_metadata;
use crate::error::Result;
use crate::store::Position;
use crate::store::connect_webviews::{self, Filter};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Default and maximum number of webviews on a page, as at Seam.
const DEFAULT_LIMIT: usize = 500;

#[derive(Deserialize)]
pub(super) struct List {
    custom_metadata_has: Option<Map<String, Value>>,
    customer_key: Option<String>,
    search: Option<String>,
    user_identifier_key: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    connect_webviews: Vec<Value>,
    pagination: Pagination,
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let input = &call.input;
    custom_metadata::check_filter(input.custom_metadata_has.as_ref())?;
    let filter = Filter {
        // Latchkey has no users with keys: no webview matches this filter.
        connect_webview_ids: input.user_identifier_key.is_some().then_some(&[]),
        customer_key: input.customer_key.as_deref(),
        search: input.search.as_deref(),
        custom_metadata_has: input.custom_metadata_has.as_ref(),
        after: page.after,
        limit: page.fetch(),
    };
    let found = connect_webviews::list(&call.app.pool, &call.caller.visibility(), &filter).await?;
    let position =
        |webview: &ConnectWebview| Position { created_at: webview.created_at, id: webview.connect_webview_id };
    let (found, pagination) = page.cut(found, position, &call.base_url, "/connect_webviews/list");
    let bodies = found.iter().map(|webview| body::connect_webview::of(webview, &call.base_url));
    Ok(Listed { connect_webviews: bodies.collect(), pagination })
}
