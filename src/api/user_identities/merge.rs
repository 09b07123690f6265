//! `/user_identities/merge`.

use crate::api::edge::{Call, EmptyResult};
use crate::domain::client_session::add_missing;
use crate::engine::user_identities;
use crate::error::Result;
use crate::http::params::distinct;
use crate::store::user_identities::Names;
use serde::Deserialize;
use uuid::Uuid;

/// Parameters: both names are ids, or both are keys.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Merge {
    ById { user_identity_id: Uuid, merged_user_identity_ids: Vec<Uuid> },
    ByKey { user_identity_key: String, merged_user_identity_keys: Vec<String> },
}

pub(super) async fn merge(call: Call<Merge>) -> Result<EmptyResult> {
    let (into, merged) = match call.input {
        Merge::ById { user_identity_id, merged_user_identity_ids } => {
            let mut merged = Vec::new();
            add_missing(&mut merged, &merged_user_identity_ids);
            (Names::Ids(vec![user_identity_id]), Names::Ids(merged))
        }
        Merge::ByKey { user_identity_key, merged_user_identity_keys } => {
            (Names::Keys(vec![user_identity_key]), Names::Keys(distinct(merged_user_identity_keys)))
        }
    };
    user_identities::merge(&call.app, &call.caller.visibility(), into, merged).await?;
    Ok(EmptyResult {})
}
