//! `/access_grants/get_related`.

use crate::api::edge::Call;
use crate::api::related::{Kinds, Related, of_grants};
use crate::engine::access_grants;
use crate::error::{Error, Resource, Result};
use crate::http::params::check_count;
use crate::store::access_grants::Filter;
use serde::Deserialize;
use uuid::Uuid;

/// Kinds of objects that belong to grants.
const KINDS: [&str; 8] = [
    "spaces",
    "devices",
    "acs_entrances",
    "connected_accounts",
    "acs_systems",
    "user_identities",
    "acs_access_groups",
    "access_methods",
];

#[derive(Deserialize)]
pub(super) struct GetRelated {
    #[serde(default)]
    access_grant_ids: Vec<Uuid>,
    #[serde(default)]
    access_grant_keys: Vec<String>,
    include: Option<Vec<String>>,
    #[serde(default)]
    exclude: Vec<String>,
}

pub(super) async fn get_related(call: Call<GetRelated>) -> Result<Related> {
    let input = &call.input;
    if input.access_grant_ids.is_empty() && input.access_grant_keys.is_empty() {
        return Err(Error::invalid_request("Give access_grant_ids or access_grant_keys"));
    }
    check_count("access_grant_ids", input.access_grant_ids.len())?;
    check_count("access_grant_keys", input.access_grant_keys.len())?;
    let visibility = call.caller.visibility();
    let filter = Filter {
        named: Some((&input.access_grant_ids, &input.access_grant_keys)),
        customer_keys: visibility.customer_key.iter().cloned().collect(),
        ..Filter::default()
    };
    let (found, now) = access_grants::list(&call.app, visibility.workspace_id, &filter).await?;
    let has_id = |id: &Uuid| found.iter().any(|listed| listed.grant.access_grant_id == *id);
    let has_key = |key: &String| found.iter().any(|listed| listed.grant.access_grant_key.as_ref() == Some(key));
    if !input.access_grant_ids.iter().all(has_id) || !input.access_grant_keys.iter().all(has_key) {
        return Err(Error::NotFound(Resource::AccessGrant));
    }
    let kinds = Kinds { all: &KINDS, include: input.include.as_deref(), exclude: &input.exclude };
    of_grants(&call.app, &visibility, (&found, now), &kinds, None).await
}
