//! `/access_grants/list`.

use crate::api::body::access_grant::AccessGrantBody;
use crate::api::edge::Call;
use crate::api::pagination::{Page, Pagination};
use crate::compute;
use crate::engine::access_grants;
use crate::error::Result;
use crate::store::Position;
use crate::store::access_grants::{Filter, Listed as ListedGrant};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Default and maximum number of grants on a page, as at Seam.
const DEFAULT_LIMIT: usize = 500;

/// Number of access codes from which creating a page runs through [`compute::run`].
const LONG_PAGE: usize = 1000;

#[derive(Deserialize)]
pub(super) struct List {
    access_grant_ids: Option<Vec<Uuid>>,
    access_grant_key: Option<String>,
    access_code_id: Option<Uuid>,
    device_id: Option<Uuid>,
    space_id: Option<Uuid>,
    location_id: Option<Uuid>,
    user_identity_id: Option<Uuid>,
    customer_key: Option<String>,
    reservation_key: Option<String>,
    search: Option<String>,
    acs_system_id: Option<Value>,
    acs_entrance_id: Option<Value>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    access_grants: Vec<AccessGrantBody>,
    pagination: Pagination,
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let input = call.input;
    let visibility = call.caller.visibility();
    // There are no access systems: no grant matches these filters.
    let matches_nothing = input.acs_system_id.is_some() || input.acs_entrance_id.is_some();
    let space_ids: Vec<Uuid> = input.space_id.into_iter().chain(input.location_id).collect();
    let key = call.parameters.get("access_grant_key");
    let filter = Filter {
        access_grant_ids: if matches_nothing { Some(&[]) } else { input.access_grant_ids.as_deref() },
        access_grant_keys: input.access_grant_key.as_ref().map(std::slice::from_ref),
        without_key: key.is_some_and(Value::is_null),
        access_code_id: input.access_code_id,
        device_id: input.device_id,
        space_ids: (!space_ids.is_empty()).then_some(&space_ids[..]),
        user_identity_id: input.user_identity_id,
        customer_keys: visibility.customer_key.into_iter().chain(input.customer_key).collect(),
        reservation_key: input.reservation_key.as_deref(),
        search: input.search.as_deref(),
        after: page.after,
        limit: Some(page.fetch()),
        access_method_ids: None,
        named: None,
    };
    let (found, now) = access_grants::list(&call.app, visibility.workspace_id, &filter).await?;
    let position =
        |listed: &ListedGrant| Position { created_at: listed.grant.created_at, id: listed.grant.access_grant_id };
    let (found, pagination) = page.cut(found, position, &call.base_url, "/access_grants/list");
    let is_long = found.iter().map(|listed| listed.codes.len()).sum::<usize>() > LONG_PAGE;
    let bodies = || found.iter().map(|listed| AccessGrantBody::of(listed, now)).collect();
    let access_grants = compute::sized(is_long, bodies).await;
    Ok(Listed { access_grants, pagination })
}
