//! `/access_codes/get_timeline`: the events of one access code, as shown in Seam's console. Seam has not released this
//! route.

use crate::api::edge::Call;
use crate::clock::to_iso;
use crate::error::{Error, Result};
use crate::http::params::optional_instant;
use crate::store::access_codes::{self, Filter as Codes, Ownership};
use crate::store::events::{self, EventRow, Filter};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct GetTimeline {
    access_code_id: Uuid,
    after: Option<String>,
    before: Option<String>,
    event_types: Option<Vec<String>>,
    limit: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct Timeline {
    timeline_events: Vec<Value>,
    pagination: Value,
}

/// Returns the events, newest first. A request with `next_cursor` as `before` returns older events, one with
/// `prev_cursor` as `after` returns newer ones.
pub(super) async fn get_timeline(call: Call<GetTimeline>) -> Result<Timeline> {
    const DEFAULT_LIMIT: i64 = 50;
    let input = call.input;
    let visibility = call.caller.visibility();
    let ids = [input.access_code_id];
    let codes =
        Codes { access_code_ids: Some(&ids), ownership: Ownership::Any, include_gone: true, ..Codes::default() };
    if access_codes::list(&call.app.pool, &visibility, &codes).await?.is_empty() {
        return Err(Error::no_access_code(input.access_code_id));
    }
    #[expect(clippy::cast_possible_truncation, reason = "the contract has it between 1 and 200")]
    let limit = input.limit.map_or(DEFAULT_LIMIT, |limit| limit as i64);
    let filter = Filter {
        after: optional_instant("after", input.after.as_deref())?,
        before: optional_instant("before", input.before.as_deref())?,
        event_types: input.event_types,
        // Events of code entries at the keypad are not part of the timeline.
        type_prefix: Some("access_code."),
        access_code_ids: Some(ids.to_vec()),
        newest_first: true,
        limit: limit + 1,
        ..Filter::default()
    };
    let is_first = filter.before.is_none();
    let mut events = events::list(&call.app.pool, &visibility, filter.clone()).await?;
    let page = usize::try_from(limit).unwrap_or(0);
    let mut has_more = events.len() > page;
    if has_more {
        // Events of the same instant are never split, even if they exceed the limit, because a cursor is an instant.
        let cut_at = events[page].occurred_at;
        if events.first().is_some_and(|first| first.occurred_at != cut_at) {
            events.retain(|event| event.occurred_at > cut_at);
        } else {
            // All events of the page have the same instant: read all events of this instant.
            let after = cut_at.checked_sub_signed(TimeDelta::milliseconds(1));
            let same_instant = Filter { after, limit: i64::MAX, ..filter.clone() };
            events = events::list(&call.app.pool, &visibility, same_instant).await?;
            let older = Filter { before: Some(cut_at), limit: 1, ..filter };
            has_more = !events::list(&call.app.pool, &visibility, older).await?.is_empty();
        }
    }
    let cursor = |event: Option<&EventRow>| event.map(|event| to_iso(event.occurred_at));
    let pagination = json!({
        "has_more": has_more,
        "next_cursor": cursor(events.last().filter(|_| has_more)),
        "prev_cursor": cursor(events.first().filter(|_| !is_first)),
    });
    Ok(Timeline { timeline_events: events.iter().map(timeline_event).collect(), pagination })
}

/// Returns one entry of the timeline. Events do not store their actor, so it is derived from the event type.
fn timeline_event(event: &EventRow) -> Value {
    let actor = if event.event_type.contains("external_to_seam") || event.event_type.contains("unmanaged") {
        "external"
    } else if matches!(
        event.event_type.as_str(),
        "access_code.created" | "access_code.mutations_requested" | "access_code.backup_access_code_pulled"
    ) {
        "api_key"
    } else {
        "system"
    };
    let name = event.event_type.strip_prefix("access_code.").unwrap_or(&event.event_type).replace(['.', '_'], " ");
    json!({
        "timeline_event_id": event.event_id,
        "event_type": event.event_type,
        "occurred_at": to_iso(event.occurred_at),
        "description": format!("Access code: {name}"),
        "actor": { "type": actor },
        "related_resource_ids": {
            "connected_account_id": event.connected_account_id,
            "device_id": event.device_id,
            "event_id": event.event_id,
        },
    })
}
