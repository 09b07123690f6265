//! `/access_codes/*`: HTTP on one side, domain types on the other.

use super::create::{self, Making, NewAccessCode};
use super::lifecycle::Window;
use super::linked::WhenCodeCannotBeShared;
use super::model::AccessCodeBody;
use super::service;
use super::store::{self, Filter};
use crate::action_attempts::ActionAttemptBody;
use crate::clock::from_iso;
use crate::error::{Error, Result};
use crate::http::edge::{Call, Routes};
use crate::http::pagination::{Page, Pagination, Position};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// How many codes a page has unless told otherwise, as at Seam.
const DEFAULT_LIMIT: usize = 55_000;

/// How many characters a `common_code_key` may have. Seam names no limit; this many fit into an index in any script.
const LONGEST_KEY: usize = 500;

/// The routes of this resource.
pub fn routes() -> Routes {
    Routes::default()
        .add("/access_codes/create", create_one)
        .add("/access_codes/create_multiple", create_multiple)
        .add("/access_codes/get", get)
        .add("/access_codes/list", list)
        .add("/access_codes/delete", delete)
        .add("/access_codes/generate_code", generate_code)
}

/// What `create` and `create_multiple` take alike.
#[derive(Deserialize)]
struct Wanted {
    code: Option<String>,
    name: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    common_code_key: Option<String>,
    preferred_code_length: Option<f64>,
    #[serde(default = "yes")]
    prefer_native_scheduling: bool,
    #[serde(default = "yes")]
    attempt_for_offline_device: bool,
    is_external_modification_allowed: Option<bool>,
    allow_external_modification: Option<bool>,
    #[serde(default)]
    sync: bool,
}

fn yes() -> bool {
    true
}

impl Wanted {
    fn read(self) -> Result<NewAccessCode> {
        let external = (self.is_external_modification_allowed, self.allow_external_modification);
        if let (Some(one), Some(other)) = external
            && one != other
        {
            return Err(Error::invalid_request(
                "is_external_modification_allowed and allow_external_modification mean the same and must not differ",
            ));
        }
        if self.common_code_key.as_ref().is_some_and(|key| key.chars().count() > LONGEST_KEY) {
            let message = format!("String must contain at most {LONGEST_KEY} character(s)");
            return Err(Error::invalid("common_code_key", message));
        }
        let preferred_code_length = self.preferred_code_length.map(|length| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a length no lock has is ignored"
            )]
            let whole = if length.fract() == 0.0 { length as u8 } else { 0 };
            whole
        });
        Ok(NewAccessCode {
            window: window(self.starts_at.as_deref(), self.ends_at.as_deref())?,
            code: self.code,
            name: self.name,
            common_code_key: self.common_code_key,
            preferred_code_length,
            prefer_native_scheduling: self.prefer_native_scheduling,
            is_external_modification_allowed: external.0.or(external.1).unwrap_or(false),
            attempt_for_offline_device: self.attempt_for_offline_device,
            sync: self.sync,
        })
    }
}

/// The time frame from its two parameters: both or none, and in order.
fn window(starts_at: Option<&str>, ends_at: Option<&str>) -> Result<Option<Window>> {
    let read = |name: &str, text: Option<&str>| {
        text.map(|text| {
            let message = "Invalid datetime: give ISO 8601 with Z or an offset, like 2026-01-31T15:00:00Z";
            from_iso(text).ok_or_else(|| Error::invalid(name, message))
        })
        .transpose()
    };
    match (read("starts_at", starts_at)?, read("ends_at", ends_at)?) {
        (None, None) => Ok(None),
        (Some(starts_at), Some(ends_at)) if starts_at < ends_at => Ok(Some(Window { starts_at, ends_at })),
        (Some(_), Some(_)) => Err(Error::invalid_request("ends_at must be after starts_at")),
        _ => Err(Error::invalid_request("Both starts_at and ends_at must be provided if one is")),
    }
}

/// Refuses parameters of Seam's that would otherwise be accepted and ignored.
fn refuse_what_comes_later(parameters: &serde_json::Map<String, Value>) -> Result<()> {
    let switched_on =
        ["is_offline_access_code", "use_offline_access_code", "is_one_time_use", "use_backup_access_code_pool"]
            .into_iter()
            .find(|name| parameters.get(*name) == Some(&Value::Bool(true)));
    let given = parameters.contains_key("max_time_rounding").then_some("max_time_rounding");
    match switched_on.or(given) {
        Some(name) => Err(Error::invalid(name, "This parameter comes later: Latchkey does not emulate it yet")),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
struct Create {
    device_id: Uuid,
    #[serde(flatten)]
    wanted: Wanted,
}

#[derive(Serialize)]
struct Created {
    action_attempt: ActionAttemptBody,
    access_code: AccessCodeBody,
}

async fn create_one(call: Call<Create>) -> Result<Created> {
    refuse_what_comes_later(&call.parameters)?;
    let Create { device_id, wanted } = call.input;
    let wanted = wanted.read()?;
    let sync = wanted.sync;
    let making = Making { device_ids: vec![device_id], wanted, linking: None };
    let made = create::create(&call.app, &call.workspace, making).await?.pop().ok_or(Error::DeviceNotFound)?;
    let access_code = made.code.to_body(&made.device);
    let action_attempt = ActionAttemptBody::of_access_code(&made.attempt, &made.code, &access_code, sync)?;
    Ok(Created { action_attempt, access_code })
}

#[derive(Deserialize)]
struct CreateMultiple {
    device_ids: Vec<Uuid>,
    #[serde(default)]
    behavior_when_code_cannot_be_shared: WhenCodeCannotBeShared,
    #[serde(flatten)]
    wanted: Wanted,
}

#[derive(Serialize)]
struct CreatedMultiple {
    access_codes: Vec<AccessCodeBody>,
}

async fn create_multiple(call: Call<CreateMultiple>) -> Result<CreatedMultiple> {
    refuse_what_comes_later(&call.parameters)?;
    let CreateMultiple { device_ids, behavior_when_code_cannot_be_shared: behavior, wanted } = call.input;
    service::check_device_ids(&device_ids)?;
    // These two are not parameters here: the key is set by what is made, and there is no attempt to wait for.
    let wanted = NewAccessCode { common_code_key: None, sync: false, ..wanted.read()? };
    let making = Making { device_ids, wanted, linking: Some(behavior) };
    let made = create::create(&call.app, &call.workspace, making).await?;
    let access_codes = made.iter().map(|made| made.code.to_body(&made.device)).collect();
    Ok(CreatedMultiple { access_codes })
}

#[derive(Deserialize)]
struct Get {
    access_code_id: Option<Uuid>,
    device_id: Option<Uuid>,
    code: Option<String>,
}

#[derive(Serialize)]
struct Found {
    access_code: AccessCodeBody,
}

async fn get(call: Call<Get>) -> Result<Found> {
    let Get { access_code_id, device_id, code } = &call.input;
    let by_id = access_code_id.as_ref().map(std::slice::from_ref);
    let filter = match (by_id, device_id, code) {
        (Some(_), _, Some(_)) => {
            return Err(Error::invalid_request("Give access_code_id, or device_id and code, not both"));
        }
        (Some(ids), device_id, None) => {
            Filter { access_code_ids: Some(ids), device_id: *device_id, ..Filter::default() }
        }
        (None, Some(device_id), Some(code)) => {
            Filter { device_id: Some(*device_id), code: Some(code), ..Filter::default() }
        }
        _ => {
            return Err(Error::invalid_request("Either access_code_id, or device_id and code, are required"));
        }
    };
    let found = store::list(&call.app.pool, call.workspace.workspace_id, &filter).await?;
    // One PIN may serve several codes in turn: the one whose time comes first is meant.
    let first = found.iter().min_by_key(|(code, _)| code.life.asked.window.map(|window| window.starts_at));
    let (code, device) = first.ok_or(Error::NotFound)?;
    Ok(Found { access_code: code.to_body(device) })
}

#[derive(Deserialize)]
struct List {
    access_code_ids: Option<Vec<Uuid>>,
    device_id: Option<Uuid>,
    search: Option<String>,
    access_grant_id: Option<Uuid>,
    access_grant_key: Option<String>,
    access_method_id: Option<Uuid>,
    customer_key: Option<String>,
    user_identifier_key: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    access_codes: Vec<AccessCodeBody>,
    pagination: Pagination,
}

async fn list(call: Call<List>) -> Result<Listed> {
    let input = &call.input;
    // Nothing here comes from access grants, and nothing belongs to a customer or a user.
    let elsewhere = input.access_grant_id.is_some()
        || input.access_grant_key.is_some()
        || input.access_method_id.is_some()
        || input.customer_key.is_some()
        || input.user_identifier_key.is_some();
    if input.access_code_ids.is_none() && input.device_id.is_none() && !elsewhere {
        return Err(Error::invalid_request("Either 'device_id' or 'access_code_ids' is required"));
    }
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let filter = Filter {
        access_code_ids: if elsewhere { Some(&[]) } else { input.access_code_ids.as_deref() },
        device_id: input.device_id,
        search: input.search.as_deref(),
        after: page.after,
        limit: Some(page.fetch()),
        ..Filter::default()
    };
    let found = store::list(&call.app.pool, call.workspace.workspace_id, &filter).await?;
    let position = |(code, _): &(super::model::AccessCode, _)| Position {
        created_at: code.life.created_at,
        id: code.access_code_id,
    };
    let (found, pagination) = page.cut(found, position, &call.base_url, "/access_codes/list");
    let access_codes = found.iter().map(|(code, device)| code.to_body(device)).collect();
    Ok(Listed { access_codes, pagination })
}

#[derive(Deserialize)]
struct Delete {
    access_code_id: Uuid,
    device_id: Option<Uuid>,
    #[serde(default)]
    sync: bool,
}

async fn delete(call: Call<Delete>) -> Result<Value> {
    let Delete { access_code_id, device_id, sync } = call.input;
    let attempt = service::delete(&call.app, &call.workspace, access_code_id, device_id, sync).await?;
    Ok(json!({ "action_attempt": ActionAttemptBody::of_deletion(&attempt) }))
}

#[derive(Deserialize)]
struct GenerateCode {
    device_id: Uuid,
}

async fn generate_code(call: Call<GenerateCode>) -> Result<Value> {
    let device_id = call.input.device_id;
    let code = service::generate_code(&call.app, &call.workspace, device_id).await?;
    Ok(json!({ "generated_code": { "device_id": device_id, "code": code } }))
}
