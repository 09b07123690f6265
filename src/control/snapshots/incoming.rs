//! Body of an import: a document with a whole workspace. Only its text is held in memory, and no tree of its values.

use crate::api::edge;
use crate::contract::Operation;
use crate::engine::app::App;
use crate::error::{Error, Result};
use crate::store::snapshots::raw::{Members, parse_small};
use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::request::Parts;
use http_body_util::BodyExt as _;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::sync::SemaphorePermit;

/// Maximum length of a body that needs no share of the import budget.
const FREE_BYTES: usize = 1024 * 1024;

/// Maximum length of a parameter that is parsed. A longer one is invalid in any case, so only an empty value of the
/// same type is checked.
const MAX_PARAMETER_BYTES: usize = 1024;

/// Reads the body of an import, and returns it with its share of the import budget. A long body waits until the budget
/// has room for it. A body without an announced length that turns out to be long takes the whole budget, which is the
/// maximum length of one body.
pub(in crate::control) async fn receive(app: &App, mut body: Body) -> Result<(Bytes, Option<SemaphorePermit<'_>>)> {
    let (limit, deadline) = (app.config.snapshot_limit, app.config.request_timeout);
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Error::PayloadTooLarge(limit));
    }
    let free = FREE_BYTES.min(limit);
    let mut share = None;
    if announced > free {
        share = Some(app.import_budget.reserve(announced, deadline).await?);
    }
    let mut read = Vec::with_capacity(announced);
    if !fill(&mut body, &mut read, free.max(announced), deadline).await? && read.len() <= limit {
        // Return the share before waiting for a larger one: other imports may be waiting for it.
        drop(share.take());
        share = Some(app.import_budget.reserve(limit, deadline).await?);
        // Reserve the maximum: memory that is not written to costs nothing, and growing in steps would need twice the
        // memory.
        read.reserve_exact(limit.saturating_sub(read.len()));
        fill(&mut body, &mut read, limit, deadline).await?;
    }
    if read.len() > limit { Err(Error::PayloadTooLarge(limit)) } else { Ok((read.into(), share)) }
}

/// Reads until `read` has more than `most` bytes or the body ends. Returns true if the body has ended.
async fn fill(body: &mut Body, read: &mut Vec<u8>, most: usize, deadline: Duration) -> Result<bool> {
    let reading = async {
        while read.len() <= most {
            let Some(frame) = body.frame().await else { return Ok(true) };
            if let Ok(data) = frame.map_err(|error| Error::UnreadableBody(error.to_string()))?.into_data() {
                read.extend_from_slice(&data);
            }
        }
        Ok(false)
    };
    tokio::time::timeout(deadline, reading).await.unwrap_or_else(|_| Err(Error::TimedOut(deadline.as_secs())))
}

/// Reads and checks the parameters of an import. Returns the document separately, as text; the parameters have an empty
/// value in its place.
pub(in crate::control) fn read_body(
    operation: &Operation,
    parts: &Parts,
    body: &Bytes,
) -> Result<(Map<String, Value>, Bytes)> {
    edge::check_content_type(parts, body)?;
    let unreadable = |error: serde_json::Error| Error::UnreadableBody(error.to_string());
    let mut document = None;
    let parameters = if body.is_empty() {
        None
    } else {
        let text = str::from_utf8(body).map_err(|error| Error::UnreadableBody(error.to_string()))?;
        let raw: &RawValue = serde_json::from_str(text).map_err(unreadable)?;
        Some(match empty_of_same_type(raw) {
            Value::Object(_) => {
                let members = Members::of(raw).map_err(|error| {
                    if error.is_data() { Error::invalid_request(error.to_string()) } else { unreadable(error) }
                })?;
                let mut parameters = Map::new();
                for (name, value) in members.into_iter() {
                    if name == "snapshot" {
                        document = Some(body.slice_ref(value.get().as_bytes()));
                        parameters.insert(name, empty_of_same_type(value));
                    } else if value.get().len() > MAX_PARAMETER_BYTES {
                        parameters.insert(name, empty_of_same_type(value));
                    } else {
                        parameters.insert(name, parse_small(value).map_err(unreadable)?);
                    }
                }
                Value::Object(parameters)
            }
            other => other,
        })
    };
    let parameters = edge::check(operation, parts, parameters, true)?;
    // The query may contain the document instead.
    let document =
        document.unwrap_or_else(|| parameters.get("snapshot").map(Value::to_string).unwrap_or_default().into());
    Ok((parameters, document))
}

/// Returns an empty value of the same JSON type.
fn empty_of_same_type(value: &RawValue) -> Value {
    match value.get().as_bytes() {
        [b'{', ..] => json!({}),
        [b'[', ..] => json!([]),
        [b'"', ..] => json!(""),
        [b't' | b'f', ..] => json!(true),
        [b'n', ..] => Value::Null,
        _ => json!(0),
    }
}
