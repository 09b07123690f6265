//! `/spaces/list`.

use crate::api::body;
use crate::api::edge::Call;
use crate::api::pagination::{Page, Pagination};
use crate::domain::space::Space;
use crate::error::Result;
use crate::store::Position;
use crate::store::spaces::{self, Filter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Default and maximum number of spaces on a page, as at Seam.
const DEFAULT_LIMIT: usize = 500;

#[derive(Deserialize)]
pub(super) struct List {
    customer_key: Option<String>,
    search: Option<String>,
    connected_account_id: Option<Uuid>,
    space_key: Option<String>,
    parent_space_id: Option<Uuid>,
    parent_space_key: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    spaces: Vec<Value>,
    pagination: Pagination,
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let input = &call.input;
    // In Latchkey, no space is part of another one: no space matches these filters.
    let matches_nothing = input.parent_space_id.is_some() || input.parent_space_key.is_some();
    let filter = Filter {
        named: matches_nothing.then_some((&[], &[])),
        space_key: input.space_key.as_deref(),
        customer_key: input.customer_key.as_deref(),
        search: input.search.as_deref(),
        connected_account_id: input.connected_account_id,
        after: page.after,
        limit: Some(page.fetch()),
    };
    let found = spaces::list(&call.app.pool, &call.caller.visibility(), &filter).await?;
    let position = |space: &Space| Position { created_at: space.created_at, id: space.space_id };
    let (found, pagination) = page.cut(found, position, &call.base_url, "/spaces/list");
    Ok(Listed { spaces: found.iter().map(body::space::of).collect(), pagination })
}
