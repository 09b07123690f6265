//! `/access_codes/unmanaged/*` and `/access_codes/simulate/*`.

use super::lifecycle::Entry;
use super::model::UnmanagedAccessCodeBody;
use super::routes::{Get, one_of_two};
use super::service;
use super::store::{self, Filter, Whose};
use super::unmanaged::{self, Foreign};
use crate::action_attempts::ActionAttemptBody;
use crate::error::{Error, Result};
use crate::http::edge::{Call, Routes};
use crate::http::pagination::{Page, Pagination, Position};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// How many codes a page has unless told otherwise, as at Seam.
const DEFAULT_LIMIT: usize = 300_000;

/// The routes of this resource.
pub fn routes() -> Routes {
    Routes::default()
        .add("/access_codes/simulate/create_unmanaged_access_code", simulate)
        .add("/access_codes/unmanaged/get", get)
        .add("/access_codes/unmanaged/list", list)
        .add("/access_codes/unmanaged/update", update)
        .add("/access_codes/unmanaged/delete", delete)
        .add("/access_codes/unmanaged/convert_to_managed", convert_to_managed)
}

#[derive(Serialize)]
struct Found {
    access_code: UnmanagedAccessCodeBody,
}

#[derive(Deserialize)]
struct Simulate {
    device_id: Uuid,
    code: String,
    name: String,
}

async fn simulate(call: Call<Simulate>) -> Result<Found> {
    let Simulate { device_id, code, name } = call.input;
    let entry = Entry { name: Some(name), code, window: None };
    let foreign = Foreign { device_id, entry, cannot_be_managed: false, cannot_delete: false };
    let (code, device) = unmanaged::add(&call.app, call.workspace.workspace_id, foreign).await?;
    Ok(Found { access_code: code.to_unmanaged_body(&device) })
}

async fn get(call: Call<Get>) -> Result<Found> {
    let filter = call.input.filter(Whose::Unmanaged)?;
    let found = store::list(&call.app.pool, call.workspace.workspace_id, &filter).await?;
    let visible = found.iter().filter(|(_, device)| {
        device.brand.shows_foreign_codes && (call.input.code.is_none() || !device.brand.hides_foreign_codes)
    });
    let first = visible.min_by_key(|(code, _)| code.life.asked.window.map(|window| window.starts_at));
    let (code, device) = first.ok_or_else(|| call.input.not_found())?;
    Ok(Found { access_code: code.to_unmanaged_body(device) })
}

#[derive(Deserialize)]
struct List {
    device_id: Uuid,
    search: Option<String>,
    user_identifier_key: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    access_codes: Vec<UnmanagedAccessCodeBody>,
    pagination: Pagination,
}

async fn list(call: Call<List>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let input = &call.input;
    let filter = Filter {
        // Nothing here belongs to a user.
        access_code_ids: input.user_identifier_key.as_ref().map(|_| &[][..]),
        search: input.search.as_deref(),
        whose: Whose::Unmanaged,
        after: page.after,
        limit: Some(page.fetch()),
        ..Filter::default()
    };
    let workspace_id = call.workspace.workspace_id;
    let found = store::list_on_device(&call.app.pool, workspace_id, input.device_id, &filter).await?;
    let mut found = found.ok_or(Error::DeviceNotFound)?;
    found.retain(|(_, device)| device.brand.shows_foreign_codes);
    let position = |(code, _): &(super::model::AccessCode, _)| Position {
        created_at: code.life.created_at,
        id: code.access_code_id,
    };
    let (found, pagination) = page.cut(found, position, &call.base_url, "/access_codes/unmanaged/list");
    let access_codes = found.iter().map(|(code, device)| code.to_unmanaged_body(device)).collect();
    Ok(Listed { access_codes, pagination })
}

#[derive(Deserialize)]
struct Update {
    access_code_id: Uuid,
    is_managed: bool,
    is_external_modification_allowed: Option<bool>,
    allow_external_modification: Option<bool>,
}

#[derive(Serialize)]
struct Done {}

async fn update(call: Call<Update>) -> Result<Done> {
    let input = call.input;
    let allowed = one_of_two(input.is_external_modification_allowed, input.allow_external_modification)?;
    if !input.is_managed {
        let message = "is_managed must be true. Use /access_codes/update to convert access codes to unmanaged";
        return Err(Error::invalid("is_managed", message));
    }
    let allowed = allowed.unwrap_or(false);
    unmanaged::convert(&call.app, call.workspace.workspace_id, input.access_code_id, allowed).await?;
    Ok(Done {})
}

#[derive(Deserialize)]
struct Delete {
    access_code_id: Uuid,
    #[serde(default)]
    sync: bool,
}

async fn delete(call: Call<Delete>) -> Result<Value> {
    let Delete { access_code_id, sync } = call.input;
    let attempt = service::delete(&call.app, call.workspace.workspace_id, (access_code_id, false), None, sync).await?;
    Ok(json!({ "action_attempt": ActionAttemptBody::of_deletion(&attempt) }))
}

/// `force`, for codes of another workspace, and `sync` make no difference: nothing is shared here, and nothing takes
/// time.
#[derive(Deserialize)]
struct Convert {
    access_code_id: Uuid,
    is_external_modification_allowed: Option<bool>,
    allow_external_modification: Option<bool>,
}

async fn convert_to_managed(call: Call<Convert>) -> Result<Value> {
    let input = call.input;
    let allowed = one_of_two(input.is_external_modification_allowed, input.allow_external_modification)?;
    let allowed = allowed.unwrap_or(false);
    let attempt = unmanaged::convert(&call.app, call.workspace.workspace_id, input.access_code_id, allowed).await?;
    Ok(json!({ "action_attempt": ActionAttemptBody::of_outcome(&attempt) }))
}
