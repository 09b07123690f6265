//! `/access_methods/list`.

use crate::api::body::access_method::AccessMethodBody;
use crate::api::edge::Call;
use crate::api::pagination::{Page, Pagination};
use crate::domain::access_grant::AccessMethod;
use crate::engine::access_grants;
use crate::error::{Error, Result};
use crate::store::Position;
use crate::store::access_grants::{Filter, Listed as ListedGrant};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Default and maximum number of methods on a page, as at Seam.
const DEFAULT_LIMIT: usize = 500;

#[derive(Deserialize)]
pub(super) struct List {
    access_grant_id: Option<Uuid>,
    access_grant_key: Option<String>,
    acs_entrance_id: Option<Value>,
    device_id: Option<Uuid>,
    space_id: Option<Uuid>,
    access_code_id: Option<Uuid>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    access_methods: Vec<AccessMethodBody>,
    pagination: Pagination,
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let input = call.input;
    let visibility = call.caller.visibility();
    if input.access_grant_id.is_none() && input.access_grant_key.is_none() && input.acs_entrance_id.is_none() {
        let message = "One of access_grant_id, access_grant_key and acs_entrance_id is required";
        return Err(Error::invalid_request(message));
    }
    let filter = Filter {
        // There are no access systems: no method matches an entrance.
        access_grant_ids: match input.acs_entrance_id {
            Some(_) => Some(&[]),
            None => input.access_grant_id.as_ref().map(std::slice::from_ref),
        },
        access_grant_keys: input.access_grant_key.as_ref().map(std::slice::from_ref),
        space_ids: input.space_id.as_ref().map(std::slice::from_ref),
        customer_keys: visibility.customer_key.iter().cloned().collect(),
        ..Filter::default()
    };
    let (found, now) = access_grants::list(&call.app, visibility.workspace_id, &filter).await?;
    let methods = found.iter().flat_map(|listed| listed.methods.iter().map(move |method| (listed, method)));
    let matches = |(listed, method): &(&ListedGrant, &AccessMethod)| {
        let codes = listed.codes.iter().map(|(code, _)| code);
        let of_method = codes.filter(|code| code.access_method_id == Some(method.access_method_id));
        let (devices, codes): (BTreeSet<Uuid>, BTreeSet<Uuid>) =
            of_method.map(|code| (code.device_id, code.access_code_id)).unzip();
        input.device_id.is_none_or(|id| devices.contains(&id))
            && input.access_code_id.is_none_or(|id| codes.contains(&id))
    };
    let position = |(_, method): &(&ListedGrant, &AccessMethod)| Position {
        created_at: method.created_at,
        id: method.access_method_id,
    };
    let mut methods: Vec<_> = methods.filter(matches).collect();
    methods.sort_by_key(|entry| {
        let position = position(entry);
        Reverse((position.created_at, position.id))
    });
    if let Some(after) = page.after {
        methods.retain(|entry| {
            let position = position(entry);
            (position.created_at, position.id) < (after.created_at, after.id)
        });
    }
    let (methods, pagination) = page.cut(methods, position, &call.base_url, "/access_methods/list");
    let access_methods = methods.iter().map(|(listed, method)| AccessMethodBody::of(listed, method, now)).collect();
    Ok(Listed { access_methods, pagination })
}
