//! `/connected_accounts/list`.

use crate::api::body;
use crate::api::edge::Call;
use crate::api::pagination::{Page, Pagination};
use crate::domain::connected_account::ConnectedAccount;
use crate::domain::custom_metadata;
use crate::error::Result;
use crate::store::Position;
use crate::store::accounts::{self, Filter};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Default and maximum number of accounts on a page, as at Seam.
const DEFAULT_LIMIT: usize = 11_000;

#[derive(Deserialize)]
pub(super) struct List {
    custom_metadata_has: Option<Map<String, Value>>,
    customer_key: Option<String>,
    search: Option<String>,
    space_id: Option<Uuid>,
    user_identifier_key: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    connected_accounts: Vec<Value>,
    pagination: Pagination,
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let input = &call.input;
    custom_metadata::check_filter(input.custom_metadata_has.as_ref())?;
    // Latchkey has no users with keys: no account matches this filter.
    let matches_nothing = input.user_identifier_key.is_some();
    let filter = Filter {
        connected_account_ids: matches_nothing.then_some(&[]),
        customer_key: input.customer_key.as_deref(),
        search: input.search.as_deref(),
        space_id: input.space_id,
        custom_metadata_has: input.custom_metadata_has.as_ref(),
        after: page.after,
        limit: Some(page.fetch()),
        ..Filter::default()
    };
    let found = accounts::list(&call.app.pool, &call.caller.visibility(), &filter).await?;
    let position =
        |account: &ConnectedAccount| Position { created_at: account.created_at, id: account.connected_account_id };
    let (found, pagination) = page.cut(found, position, &call.base_url, "/connected_accounts/list");
    Ok(Listed { connected_accounts: found.iter().map(body::connected_account::of).collect(), pagination })
}
