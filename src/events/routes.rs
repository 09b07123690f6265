//! `/events/*`.

use super::store::{self, EventBody, Filter};
use crate::error::{Error, Result};
use crate::http::both;
use crate::http::edge::{Call, Routes};
use crate::http::params::instant;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// How many events `/events/list` gives unless told otherwise, as at Seam.
const DEFAULT_LIMIT: i64 = 500;

/// How many events it gives at most: a larger `limit` counts as this.
const MAX_LIMIT: i64 = 10_000;

/// The routes of this resource.
pub fn routes() -> Routes {
    Routes::default().add("/events/get", get).add("/events/list", list)
}

#[derive(Deserialize)]
struct Get {
    event_id: Option<Uuid>,
    event_type: Option<String>,
    device_id: Option<Uuid>,
}

#[derive(Serialize)]
struct Found {
    event: EventBody,
}

/// One event by its id, or the latest that fits.
async fn get(call: Call<Get>) -> Result<Found> {
    let Get { event_id, event_type, device_id } = call.input;
    if event_id.is_none() && event_type.is_none() && device_id.is_none() {
        return Err(Error::invalid_request("An argument for event_id, event_type, or device_id is required"));
    }
    let filter = Filter {
        event_ids: event_id.map(|id| vec![id]),
        event_types: event_type.map(|event_type| vec![event_type]),
        device_ids: device_id.map(|id| vec![id]),
        newest_first: true,
        limit: 1,
        ..Filter::default()
    };
    let found = store::list(&call.app.pool, call.workspace.workspace_id, filter).await?;
    found.into_iter().next().map(|event| Found { event }).ok_or(Error::EventNotFound)
}

#[derive(Deserialize)]
struct List {
    since: Option<String>,
    between: Option<Vec<String>>,
    event_ids: Option<Vec<Uuid>>,
    event_type: Option<String>,
    event_types: Option<Vec<String>>,
    device_id: Option<Uuid>,
    device_ids: Option<Vec<Uuid>>,
    access_code_id: Option<Uuid>,
    access_code_ids: Option<Vec<Uuid>>,
    connected_account_id: Option<Uuid>,
    limit: Option<f64>,
    unstable_offset: Option<f64>,
}

/// Parameters about resources that nothing here is about.
const ABOUT_NOTHING_HERE: &[&str] = &[
    "access_grant_id",
    "access_grant_ids",
    "access_method_id",
    "access_method_ids",
    "acs_access_group_id",
    "acs_credential_id",
    "acs_encoder_id",
    "acs_entrance_id",
    "acs_system_id",
    "acs_system_ids",
    "acs_user_id",
    "connect_webview_id",
    "customer_key",
    "space_id",
    "space_ids",
    "user_identity_id",
];

#[derive(Serialize)]
struct Listed {
    events: Vec<EventBody>,
}

async fn list(call: Call<List>) -> Result<Listed> {
    let input = call.input;
    let (after, before) = match (&input.since, input.between.as_deref()) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid_request("Cannot specify both since and between"));
        }
        (Some(since), None) => (Some(instant("since", since)?), None),
        (None, Some([start, end])) => {
            let (start, end) = (instant("between", start)?, instant("between", end)?);
            if start >= end {
                return Err(Error::invalid("between", "The second instant must be after the first"));
            }
            (Some(start), Some(end))
        }
        _ if input.event_ids.is_some() => (None, None),
        _ => {
            return Err(Error::invalid_request("Must specify either since or between"));
        }
    };
    let about_nothing_here =
        ABOUT_NOTHING_HERE.iter().any(|name| call.parameters.get(*name).is_some_and(|v| *v != Value::Null));
    if about_nothing_here {
        return Ok(Listed { events: Vec::new() });
    }
    let filter = Filter {
        after,
        before,
        event_ids: input.event_ids,
        event_types: both(input.event_type, input.event_types),
        device_ids: both(input.device_id, input.device_ids),
        access_code_ids: both(input.access_code_id, input.access_code_ids),
        connected_account_id: input.connected_account_id,
        newest_first: false,
        type_prefix: None,
        offset: whole("unstable_offset", input.unstable_offset, 0)?,
        limit: whole("limit", input.limit, DEFAULT_LIMIT)?.min(MAX_LIMIT),
    };
    let events = store::list(&call.app.pool, call.workspace.workspace_id, filter).await?;
    Ok(Listed { events })
}

fn whole(name: &str, number: Option<f64>, default: i64) -> Result<i64> {
    match number {
        None => Ok(default),
        #[expect(clippy::cast_possible_truncation, reason = "saturating is what is meant")]
        Some(number) if number >= 0.0 && number.fract() == 0.0 => Ok(number as i64),
        Some(number) if number.fract() != 0.0 => Err(Error::invalid(name, "Expected integer, received float")),
        Some(_) => Err(Error::invalid(name, "Number must be greater than or equal to 0")),
    }
}
