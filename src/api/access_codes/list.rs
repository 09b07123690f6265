//! `/access_codes/list`.

use crate::api::body::access_code::AccessCodeBody;
use crate::api::edge::Call;
use crate::api::listing::{Listed, Listing};
use crate::api::pagination::Page;
use crate::error::{Error, Resource, Result};
use crate::store::Position;
use crate::store::access_codes::{self, Filter};
use serde::Deserialize;
use uuid::Uuid;

/// Default and maximum number of codes on a page, as at Seam.
const DEFAULT_LIMIT: usize = 55_000;

#[derive(Deserialize)]
pub(super) struct List {
    access_code_ids: Option<Vec<Uuid>>,
    device_id: Option<Uuid>,
    search: Option<String>,
    access_grant_id: Option<Uuid>,
    access_grant_key: Option<String>,
    access_method_id: Option<Uuid>,
    customer_key: Option<String>,
    user_identifier_key: Option<String>,
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let input = &call.input;
    // Latchkey has no users with keys: no code matches this filter.
    let matches_nothing = input.user_identifier_key.is_some();
    let has_owner = input.customer_key.is_some()
        || input.access_grant_id.is_some()
        || input.access_grant_key.is_some()
        || input.access_method_id.is_some();
    if input.access_code_ids.is_none() && input.device_id.is_none() && !has_owner && !matches_nothing {
        return Err(Error::invalid_request("Either 'device_id' or 'access_code_ids' is required"));
    }
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let filter = Filter {
        access_code_ids: if matches_nothing { Some(&[]) } else { input.access_code_ids.as_deref() },
        access_grant_id: input.access_grant_id,
        access_grant_key: input.access_grant_key.as_deref(),
        access_method_id: input.access_method_id,
        customer_key: input.customer_key.as_deref(),
        search: input.search.as_deref(),
        exclude_pool: true,
        after: page.after,
        limit: Some(page.fetch()),
        ..Filter::default()
    };
    let visibility = call.caller.visibility();
    let init = || Listing::new("access_codes", page.limit);
    let found =
        access_codes::fold(&call.app.pool, &visibility, (input.device_id, &filter), init, |listing, code, device| {
            let position = Position { created_at: code.state.created_at, id: code.access_code_id };
            listing.push(position, &AccessCodeBody::of(&code, &device))
        });
    let listing = found.await?.ok_or(Error::NotFound(Resource::Device))?;
    listing.end(&page, &call.base_url, "/access_codes/list")
}
