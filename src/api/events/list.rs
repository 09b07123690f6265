//! `/events/list`.

use crate::api::body::event::EventBody;
use crate::api::edge::Call;
use crate::error::{Error, Result};
use crate::http::intersect_filter;
use crate::http::params::instant;
use crate::store::events::{self, Filter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Default number of events, as at Seam.
const DEFAULT_LIMIT: i64 = 500;

/// Maximum number of events. A larger `limit` is reduced to this value.
const MAX_LIMIT: i64 = 10_000;

#[derive(Deserialize)]
pub(super) struct List {
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
    connect_webview_id: Option<Uuid>,
    customer_key: Option<String>,
    access_grant_id: Option<Uuid>,
    access_grant_ids: Option<Vec<Uuid>>,
    access_method_id: Option<Uuid>,
    access_method_ids: Option<Vec<Uuid>>,
    user_identity_id: Option<Uuid>,
    space_id: Option<Uuid>,
    space_ids: Option<Vec<Uuid>>,
    limit: Option<f64>,
    unstable_offset: Option<f64>,
}

/// Filters by resources that Latchkey does not have. No event matches them.
const FILTERS_WITHOUT_MATCH: &[&str] = &[
    "acs_access_group_id",
    "acs_credential_id",
    "acs_encoder_id",
    "acs_entrance_id",
    "acs_system_id",
    "acs_system_ids",
    "acs_user_id",
];

#[derive(Serialize)]
pub(super) struct Listed {
    events: Vec<EventBody>,
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
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
    let matches_nothing =
        FILTERS_WITHOUT_MATCH.iter().any(|name| call.parameters.get(*name).is_some_and(|value| *value != Value::Null));
    if matches_nothing {
        return Ok(Listed { events: Vec::new() });
    }
    let filter = Filter {
        after,
        before,
        event_ids: input.event_ids,
        event_types: intersect_filter(input.event_type, input.event_types),
        device_ids: intersect_filter(input.device_id, input.device_ids),
        access_code_ids: intersect_filter(input.access_code_id, input.access_code_ids),
        connected_account_id: input.connected_account_id,
        connect_webview_id: input.connect_webview_id,
        customer_key: input.customer_key,
        access_grant_ids: intersect_filter(input.access_grant_id, input.access_grant_ids),
        access_method_ids: intersect_filter(input.access_method_id, input.access_method_ids),
        user_identity_id: input.user_identity_id,
        space_ids: intersect_filter(input.space_id, input.space_ids),
        newest_first: false,
        type_prefix: None,
        offset: non_negative_integer("unstable_offset", input.unstable_offset, 0)?,
        limit: non_negative_integer("limit", input.limit, DEFAULT_LIMIT)?.min(MAX_LIMIT),
    };
    let events = events::list(&call.app.pool, &call.caller.visibility(), filter).await?;
    Ok(Listed { events: events.into_iter().map(EventBody::from).collect() })
}

fn non_negative_integer(name: &str, number: Option<f64>, default: i64) -> Result<i64> {
    match number {
        None => Ok(default),
        #[expect(clippy::cast_possible_truncation, reason = "an out-of-range value saturates")]
        Some(number) if number >= 0.0 && number.fract() == 0.0 => Ok(number as i64),
        Some(number) if number.fract() != 0.0 => Err(Error::invalid(name, "Expected integer, received float")),
        Some(_) => Err(Error::invalid(name, "Number must be greater than or equal to 0")),
    }
}
