//! `/access_codes/*`: HTTP on one side, domain types on the other.

use super::create::{self, Making, NewAccessCode, OfflineWish};
use super::lifecycle::Window;
use super::linked::WhenCodeCannotBeShared;
use super::model::AccessCodeBody;
use super::offline::MaxTimeRounding;
use super::pin::CodeLengths;
use super::store::{self, Filter, Whose};
use super::update::{self, Changing, Kind, Update};
use super::{backup_pool, service};
use crate::action_attempts::ActionAttemptBody;
use crate::error::{Error, Result};
use crate::events::cause::Cause;
use crate::http::edge::{Call, Routes};
use crate::http::pagination::{Page, Pagination, Position};
use crate::http::params::optional_instant;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
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
        .add("/access_codes/update", update_one)
        .add("/access_codes/update_multiple", update_multiple)
        .add("/access_codes/generate_code", generate_code)
        .add("/access_codes/pull_backup_access_code", pull_backup_access_code)
        .add("/access_codes/report_device_constraints", report_device_constraints)
}

/// What `create` and `create_multiple` take alike.
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "Seam's request has them")]
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
    #[serde(default)]
    use_backup_access_code_pool: bool,
    #[serde(default)]
    is_offline_access_code: bool,
    #[serde(default)]
    use_offline_access_code: bool,
    #[serde(default)]
    is_one_time_use: bool,
    #[serde(default)]
    max_time_rounding: MaxTimeRounding,
}

fn yes() -> bool {
    true
}

impl Wanted {
    fn read(self) -> Result<NewAccessCode> {
        let external = one_of_two(self.is_external_modification_allowed, self.allow_external_modification)?;
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
        let offline = self.is_offline_access_code || self.use_offline_access_code;
        if self.is_one_time_use && !offline {
            let message = "Only offline access codes can be for one use: set is_offline_access_code";
            return Err(Error::invalid("is_one_time_use", message));
        }
        let offline = if offline { Some(self.offline()?) } else { None };
        let window = match offline {
            Some(_) => None,
            None => window(self.starts_at.as_deref(), self.ends_at.as_deref())?,
        };
        Ok(NewAccessCode {
            window,
            offline,
            use_backup_pool: self.use_backup_access_code_pool,
            code: self.code,
            name: self.name,
            common_code_key: self.common_code_key,
            preferred_code_length,
            prefer_native_scheduling: self.prefer_native_scheduling,
            is_external_modification_allowed: external.unwrap_or(false),
            attempt_for_offline_device: self.attempt_for_offline_device,
            sync: self.sync,
        })
    }
}

impl Wanted {
    fn offline(&self) -> Result<OfflineWish> {
        if self.use_backup_access_code_pool {
            let message = "Offline access codes have no backups: leave use_backup_access_code_pool out";
            return Err(Error::invalid("use_backup_access_code_pool", message));
        }
        if self.common_code_key.is_some() {
            let message = "Offline access codes have codes of their own: leave common_code_key out";
            return Err(Error::invalid("common_code_key", message));
        }
        let starts_at = optional_instant("starts_at", self.starts_at.as_deref())?;
        let ends_at = optional_instant("ends_at", self.ends_at.as_deref())?;
        let starts_at =
            starts_at.ok_or_else(|| Error::invalid("starts_at", "An offline access code needs starts_at"))?;
        if ends_at.is_some_and(|ends_at| ends_at <= starts_at) {
            return Err(Error::invalid_request("ends_at must be after starts_at"));
        }
        Ok(OfflineWish {
            starts_at,
            ends_at,
            is_one_time_use: self.is_one_time_use,
            max_time_rounding: self.max_time_rounding,
        })
    }
}

/// The value of a parameter that has two names, which must not disagree.
pub(super) fn one_of_two(is_allowed: Option<bool>, allow: Option<bool>) -> Result<Option<bool>> {
    match (is_allowed, allow) {
        (Some(one), Some(other)) if one != other => Err(Error::invalid_request(
            "is_external_modification_allowed and allow_external_modification mean the same and must not differ",
        )),
        (one, other) => Ok(one.or(other)),
    }
}

/// The time frame from its two parameters: both or none, and in order.
///
/// # Errors
/// What of them does not go together.
pub fn window(starts_at: Option<&str>, ends_at: Option<&str>) -> Result<Option<Window>> {
    match (optional_instant("starts_at", starts_at)?, optional_instant("ends_at", ends_at)?) {
        (None, None) => Ok(None),
        (Some(starts_at), Some(ends_at)) if starts_at < ends_at => Ok(Some(Window { starts_at, ends_at })),
        (Some(_), Some(_)) => Err(Error::invalid_request("ends_at must be after starts_at")),
        _ => Err(Error::invalid_request("Both starts_at and ends_at must be provided if one is")),
    }
}

/// What the parameters of `/access_codes/create` ask for, which passed the contract.
///
/// # Errors
/// What of them does not go together.
pub fn wanted(parameters: Map<String, Value>) -> Result<NewAccessCode> {
    Wanted::deserialize(Value::Object(parameters))?.read()
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
    let Create { device_id, wanted } = call.input;
    let wanted = wanted.read()?;
    let sync = wanted.sync;
    let making = Making { device_ids: vec![device_id], wanted, linking: None, cause: Cause::current() };
    let made =
        create::create(&call.app, call.workspace.workspace_id, making).await?.pop().ok_or(Error::DeviceNotFound)?;
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
    let CreateMultiple { device_ids, behavior_when_code_cannot_be_shared: behavior, wanted } = call.input;
    service::check_device_ids(&device_ids)?;
    // These are not parameters here: the key is set by what is made, there is no attempt to wait for, and offline codes
    // share no PIN.
    let wanted = Wanted {
        common_code_key: None,
        sync: false,
        is_offline_access_code: false,
        use_offline_access_code: false,
        is_one_time_use: false,
        ..wanted
    };
    let wanted = wanted.read()?;
    let making = Making { device_ids, wanted, linking: Some(behavior), cause: Cause::current() };
    let made = create::create(&call.app, call.workspace.workspace_id, making).await?;
    let access_codes = made.iter().map(|made| made.code.to_body(&made.device)).collect();
    Ok(CreatedMultiple { access_codes })
}

/// Which code is meant: by its id, or by its lock and PIN.
#[derive(Deserialize)]
pub(super) struct Get {
    access_code_id: Option<Uuid>,
    device_id: Option<Uuid>,
    pub(super) code: Option<String>,
}

impl Get {
    /// What is answered where there is no such code.
    pub(super) fn not_found(&self) -> Error {
        Error::AccessCodeNotFound { device_id: self.device_id, access_code_id: self.access_code_id }
    }

    pub(super) fn filter(&self, whose: Whose) -> Result<Filter<'_>> {
        let either = "Either access_code_id, or device_id and code, are required";
        match (&self.access_code_id, &self.device_id, &self.code) {
            (Some(_), _, Some(_)) => {
                Err(Error::invalid_request("Give access_code_id, or device_id and code, not both"))
            }
            (None, None, _) | (None, _, None) => Err(Error::invalid_request(either)),
            (access_code_id, device_id, code) => Ok(Filter {
                access_code_ids: access_code_id.as_ref().map(std::slice::from_ref),
                device_id: *device_id,
                code: code.as_deref(),
                whose,
                ..Filter::default()
            }),
        }
    }
}

#[derive(Serialize)]
struct Found {
    access_code: AccessCodeBody,
}

async fn get(call: Call<Get>) -> Result<Found> {
    let filter = call.input.filter(Whose::Managed)?;
    let found = store::list(&call.app.pool, call.workspace.workspace_id, &filter).await?;
    // One PIN may serve several codes in turn: the one whose time comes first is meant.
    let found = found.iter().filter(|(it, _)| call.input.code.is_none() || it.known_code().is_some());
    let first = found.min_by_key(|(code, _)| code.life.asked.window.map(|window| window.starts_at));
    let (code, device) = first.ok_or_else(|| call.input.not_found())?;
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
        search: input.search.as_deref(),
        without_pool: true,
        after: page.after,
        limit: Some(page.fetch()),
        ..Filter::default()
    };
    let (pool, workspace_id) = (&call.app.pool, call.workspace.workspace_id);
    let found = match input.device_id {
        None => store::list(pool, workspace_id, &filter).await?,
        Some(device_id) => {
            let found = store::list_on_device(pool, workspace_id, device_id, &filter).await?;
            found.ok_or(Error::DeviceNotFound)?
        }
    };
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
    let attempt =
        service::delete(&call.app, call.workspace.workspace_id, (access_code_id, true), device_id, sync).await?;
    Ok(json!({ "action_attempt": ActionAttemptBody::of_deletion(&attempt) }))
}

#[derive(Deserialize)]
struct UpdateOne {
    access_code_id: Uuid,
    device_id: Option<Uuid>,
    name: Option<String>,
    code: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    r#type: Option<Kind>,
    is_external_modification_allowed: Option<bool>,
    allow_external_modification: Option<bool>,
    is_managed: Option<bool>,
    #[serde(default = "yes")]
    attempt_for_offline_device: bool,
    #[serde(default)]
    sync: bool,
}

async fn update_one(call: Call<UpdateOne>) -> Result<Value> {
    let input = call.input;
    let update = Update {
        name: input.name,
        code: input.code,
        starts_at: optional_instant("starts_at", input.starts_at.as_deref())?,
        ends_at: optional_instant("ends_at", input.ends_at.as_deref())?,
        kind: input.r#type,
        is_external_modification_allowed: one_of_two(
            input.is_external_modification_allowed,
            input.allow_external_modification,
        )?,
        is_managed: input.is_managed,
        refuse_if_offline: !input.attempt_for_offline_device,
    };
    let UpdateOne { access_code_id, device_id, sync, .. } = input;
    let changing = Changing { access_code_id, device_id, update, sync, cause: Cause::current() };
    let (code, device, attempt) = update::update(&call.app, call.workspace.workspace_id, changing).await?;
    let action_attempt = ActionAttemptBody::of_update(&attempt, &code, &device, sync)?;
    Ok(json!({ "action_attempt": action_attempt }))
}

#[derive(Deserialize)]
struct UpdateMultiple {
    common_code_key: String,
    name: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
}

#[derive(Serialize)]
struct Done {}

async fn update_multiple(call: Call<UpdateMultiple>) -> Result<Done> {
    let input = call.input;
    let update = Update {
        name: input.name,
        starts_at: optional_instant("starts_at", input.starts_at.as_deref())?,
        ends_at: optional_instant("ends_at", input.ends_at.as_deref())?,
        ..Update::default()
    };
    update::update_multiple(&call.app, call.workspace.workspace_id, &input.common_code_key, &update).await?;
    Ok(Done {})
}

#[derive(Deserialize)]
struct Pull {
    access_code_id: Uuid,
}

/// Both keys of the answer hold the backup: the guide says that it is what is answered, and SDKs unwrap `access_code`.
#[derive(Serialize)]
struct Pulled {
    access_code: AccessCodeBody,
    backup_access_code: AccessCodeBody,
}

async fn pull_backup_access_code(call: Call<Pull>) -> Result<Pulled> {
    let (code, device) = backup_pool::pull(&call.app, call.workspace.workspace_id, call.input.access_code_id).await?;
    Ok(Pulled { access_code: code.to_body(&device), backup_access_code: code.to_body(&device) })
}

#[derive(Deserialize)]
struct ReportConstraints {
    device_id: Uuid,
    min_code_length: Option<u8>,
    max_code_length: Option<u8>,
    supported_code_lengths: Option<Vec<u8>>,
}

/// Sets which lengths of PINs a lock takes that cannot tell itself. Seam asks for SmartThings locks only; any other
/// knows better.
async fn report_device_constraints(call: Call<ReportConstraints>) -> Result<Done> {
    let ReportConstraints { device_id, min_code_length, max_code_length, supported_code_lengths } = call.input;
    let (lengths, parameter): (Vec<u8>, _) = match (supported_code_lengths, min_code_length, max_code_length) {
        (Some(lengths), None, None) => (lengths, "supported_code_lengths"),
        (None, Some(shortest), Some(longest)) if shortest <= longest => {
            ((shortest..=longest).collect(), "min_code_length")
        }
        (None, Some(_), Some(_)) => {
            return Err(Error::invalid("max_code_length", "max_code_length must not be less than min_code_length"));
        }
        _ => {
            return Err(Error::invalid_request(
                "Give either supported_code_lengths, or min_code_length and max_code_length",
            ));
        }
    };
    if CodeLengths::of_report(&lengths).is_none() {
        let message = "A PIN has 4 to 12 digits: give a length among these";
        return Err(Error::invalid(parameter, message));
    }
    service::report_code_lengths(&call.app, call.workspace.workspace_id, device_id, lengths).await?;
    Ok(Done {})
}

#[derive(Deserialize)]
struct GenerateCode {
    device_id: Uuid,
}

async fn generate_code(call: Call<GenerateCode>) -> Result<Value> {
    let device_id = call.input.device_id;
    let code = service::generate_code(&call.app, call.workspace.workspace_id, device_id).await?;
    Ok(json!({ "generated_code": { "device_id": device_id, "code": code } }))
}
