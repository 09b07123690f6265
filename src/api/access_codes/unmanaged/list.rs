//! `/access_codes/unmanaged/list`.

use crate::api::body::access_code::UnmanagedAccessCodeBody;
use crate::api::edge::Call;
use crate::api::listing::{Listed, Listing};
use crate::api::pagination::Page;
use crate::error::{Error, Resource, Result};
use crate::store::Position;
use crate::store::access_codes::{self, Filter, Ownership};
use serde::Deserialize;
use uuid::Uuid;

/// Default and maximum number of codes on a page, as at Seam.
const DEFAULT_LIMIT: usize = 300_000;

#[derive(Deserialize)]
pub(super) struct List {
    device_id: Uuid,
    search: Option<String>,
    user_identifier_key: Option<String>,
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let input = &call.input;
    let filter = Filter {
        // Latchkey has no users: no code matches this filter.
        access_code_ids: input.user_identifier_key.as_ref().map(|_| &[][..]),
        search: input.search.as_deref(),
        ownership: Ownership::Unmanaged,
        after: page.after,
        limit: Some(page.fetch()),
        ..Filter::default()
    };
    let visibility = call.caller.visibility();
    let init = || Listing::new("access_codes", page.limit);
    let scope = (Some(input.device_id), &filter);
    let found = access_codes::fold(&call.app.pool, &visibility, scope, init, |listing, code, device| {
        // All codes are on one device, so this leaves out either none of them or all.
        if !device.brand.shows_unmanaged_codes {
            return Ok(());
        }
        let position = Position { created_at: code.state.created_at, id: code.access_code_id };
        listing.push(position, &UnmanagedAccessCodeBody::of(&code, &device))
    });
    let listing = found.await?.ok_or(Error::NotFound(Resource::Device))?;
    listing.end(&page, &call.base_url, "/access_codes/unmanaged/list")
}
