//! The body of an import: a whole workspace, of which no more is held in memory than the document itself.

use crate::api::edge;
use crate::contract::Operation;
use crate::engine::app::App;
use crate::error::{Error, Result};
use crate::store::snapshots::raw::{Members, small};
use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::request::Parts;
use http_body_util::BodyExt as _;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::sync::SemaphorePermit;

/// A body that is no longer than this waits for nobody.
const FREE_BYTES: usize = 1024 * 1024;

/// A parameter that is longer than this need not be read to be judged.
const MAX_PARAMETER_BYTES: usize = 1024;

/// Reads the body of an import, once there is room for it: what it takes of the budget comes with it. A body that does not
/// say how long it is takes all of it when it turns out to be long.
pub(in crate::control) async fn receive(app: &App, mut body: Body) -> Result<(Bytes, Option<SemaphorePermit<'_>>)> {
    let (limit, deadline) = (app.config.snapshot_limit, app.config.request_timeout);
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Error::PayloadTooLarge(limit));
    }
    let free = FREE_BYTES.min(limit);
    let mut share = None;
    if announced > free {
        share = Some(app.imports.share(announced, deadline).await?);
    }
    let mut read = Vec::with_capacity(announced);
    if !fill(&mut body, &mut read, free.max(announced), deadline).await? && read.len() <= limit {
        // What it has of it, the others may wait for.
        drop(share.take());
        share = Some(app.imports.share(limit, deadline).await?);
        // Memory that is not written to costs nothing, and growing step by step would take twice of it.
        read.reserve_exact(limit.saturating_sub(read.len()));
        fill(&mut body, &mut read, limit, deadline).await?;
    }
    if read.len() > limit { Err(Error::PayloadTooLarge(limit)) } else { Ok((read.into(), share)) }
}

/// Reads on until there is more than `most`. Gives whether it has come to the end before.
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

/// Reads and checks the parameters of an import. The document is given by itself, as text: among the parameters an empty
/// one stands for it.
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
        let all: &RawValue = serde_json::from_str(text).map_err(unreadable)?;
        Some(match stand_in(all) {
            Value::Object(_) => {
                let members = Members::of(all).map_err(|error| {
                    if error.is_data() { Error::invalid_request(error.to_string()) } else { unreadable(error) }
                })?;
                let mut parameters = Map::new();
                for (name, value) in members.into_iter() {
                    if name == "snapshot" {
                        document = Some(body.slice_ref(value.get().as_bytes()));
                        parameters.insert(name, stand_in(value));
                    } else if value.get().len() > MAX_PARAMETER_BYTES {
                        parameters.insert(name, stand_in(value));
                    } else {
                        parameters.insert(name, small(value).map_err(unreadable)?);
                    }
                }
                Value::Object(parameters)
            }
            other => other,
        })
    };
    let parameters = edge::check(operation, parts, parameters, true)?;
    // It may stand in the query.
    let document =
        document.unwrap_or_else(|| parameters.get("snapshot").map(Value::to_string).unwrap_or_default().into());
    Ok((parameters, document))
}

/// An empty value of the same kind.
fn stand_in(value: &RawValue) -> Value {
    match value.get().as_bytes() {
        [b'{', ..] => json!({}),
        [b'[', ..] => json!([]),
        [b'"', ..] => json!(""),
        [b't' | b'f', ..] => json!(true),
        [b'n', ..] => Value::Null,
        _ => json!(0),
    }
}
