//! `/user_identities/list`.

use crate::api::body;
use crate::api::edge::Call;
use crate::api::pagination::{Page, Pagination};
use crate::domain::user_identity::UserIdentity;
use crate::error::Result;
use crate::http::params::{check_count, optional_instant};
use crate::store::Position;
use crate::store::user_identities::{self, Filter, Names};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Default and maximum number of user identities on a page, as at Seam.
const DEFAULT_LIMIT: usize = 500;

#[derive(Deserialize)]
pub(super) struct List {
    user_identity_ids: Option<Vec<Uuid>>,
    search: Option<String>,
    created_before: Option<String>,
    credential_manager_acs_system_id: Option<Uuid>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    user_identities: Vec<Value>,
    pagination: Pagination,
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let List { user_identity_ids, search, created_before, credential_manager_acs_system_id } = call.input;
    check_count("user_identity_ids", user_identity_ids.as_ref().map_or(0, Vec::len))?;
    // Latchkey has no access systems: no user identity matches this filter.
    let ids = if credential_manager_acs_system_id.is_some() { Some(Vec::new()) } else { user_identity_ids };
    let names = ids.map(Names::Ids);
    let filter = Filter {
        names: names.as_ref(),
        search: search.as_deref(),
        created_before: optional_instant("created_before", created_before.as_deref())?,
        after: page.after,
        limit: Some(page.fetch()),
    };
    let found = user_identities::list(&call.app.pool, &call.caller.visibility(), &filter).await?;
    let position =
        |identity: &UserIdentity| Position { created_at: identity.created_at, id: identity.user_identity_id };
    let (found, pagination) = page.cut(found, position, &call.base_url, "/user_identities/list");
    Ok(Listed { user_identities: found.iter().map(body::user_identity::of).collect(), pagination })
}
