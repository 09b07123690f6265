//! `/access_methods/get_related`.

use crate::api::edge::Call;
use crate::api::related::{Kinds, Related, of_grants};
use crate::engine::access_grants;
use crate::error::{Error, Resource, Result};
use crate::http::params::check_count;
use crate::store::access_grants::Filter;
use serde::Deserialize;
use uuid::Uuid;

/// Kinds of objects that belong to methods.
const KINDS: [&str; 8] = [
    "spaces",
    "devices",
    "acs_entrances",
    "access_grants",
    "access_methods",
    "instant_keys",
    "client_sessions",
    "acs_credentials",
];

#[derive(Deserialize)]
pub(super) struct GetRelated {
    access_method_ids: Vec<Uuid>,
    include: Option<Vec<String>>,
    #[serde(default)]
    exclude: Vec<String>,
}

pub(super) async fn get_related(call: Call<GetRelated>) -> Result<Related> {
    let input = &call.input;
    check_count("access_method_ids", input.access_method_ids.len())?;
    let visibility = call.caller.visibility();
    let filter = Filter {
        access_method_ids: Some(&input.access_method_ids),
        customer_keys: visibility.customer_key.iter().cloned().collect(),
        ..Filter::default()
    };
    let (found, now) = access_grants::list(&call.app, visibility.workspace_id, &filter).await?;
    let methods = || found.iter().flat_map(|listed| &listed.methods);
    let exists = |id: &Uuid| methods().any(|method| method.access_method_id == *id);
    if !input.access_method_ids.iter().all(exists) {
        return Err(Error::NotFound(Resource::AccessMethod));
    }
    let kinds = Kinds { all: &KINDS, include: input.include.as_deref(), exclude: &input.exclude };
    let is_selected = |id: Uuid| input.access_method_ids.contains(&id);
    of_grants(&call.app, &visibility, (&found, now), &kinds, Some(&is_selected)).await
}
