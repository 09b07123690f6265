//! `/access_codes/unmanaged/list`.

use crate::api::body::access_code::UnmanagedAccessCodeBody;
use crate::api::edge::Call;
use crate::api::pagination::{Page, Pagination};
use crate::domain::access_code::AccessCode;
use crate::error::{Error, Resource, Result};
use crate::store::Position;
use crate::store::access_codes::{self, Filter, Ownership};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Default and maximum number of codes on a page, as at Seam.
const DEFAULT_LIMIT: usize = 300_000;

#[derive(Deserialize)]
pub(super) struct List {
    device_id: Uuid,
    search: Option<String>,
    user_identifier_key: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    access_codes: Vec<UnmanagedAccessCodeBody>,
    pagination: Pagination,
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
    let found = access_codes::list_on_device(&call.app.pool, &visibility, input.device_id, &filter).await?;
    let mut found = found.ok_or(Error::NotFound(Resource::Device))?;
    // All codes are on one device, so this removes either none of them or all.
    found.retain(|(_, device)| device.brand.shows_unmanaged_codes);
    let position =
        |(code, _): &(AccessCode, _)| Position { created_at: code.state.created_at, id: code.access_code_id };
    let (found, pagination) = page.cut(found, position, &call.base_url, "/access_codes/unmanaged/list");
    let access_codes = found.iter().map(|(code, device)| UnmanagedAccessCodeBody::of(code, device)).collect();
    Ok(Listed { access_codes, pagination })
}
