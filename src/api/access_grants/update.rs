//! `/access_grants/update`.

use super::params::reference;
use crate::api::edge::{Call, EmptyResult};
use crate::engine::access_grants::{self, TimesAndName};
use crate::error::Result;
use crate::http::params::optional_instant;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Update {
    access_grant_id: Option<Uuid>,
    access_grant_key: Option<String>,
    name: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
}

pub(super) async fn update(call: Call<Update>) -> Result<EmptyResult> {
    let input = call.input;
    let reference = reference(input.access_grant_id, input.access_grant_key)?;
    let is_null = |name: &str| call.parameters.get(name).is_some_and(Value::is_null);
    let ends_at = optional_instant("ends_at", input.ends_at.as_deref())?;
    let change = TimesAndName {
        name: if is_null("name") { Some(None) } else { input.name.map(Some) },
        starts_at: optional_instant("starts_at", input.starts_at.as_deref())?,
        ends_at: if is_null("ends_at") { Some(None) } else { ends_at.map(Some) },
    };
    access_grants::update(&call.app, &call.caller.visibility(), &reference, change).await?;
    Ok(EmptyResult {})
}
