//! Responses: ids of Latchkey become those of the fake, and objects show what the fake would show.

use super::ids::well_known;
use super::parameters::OF_CLIENT;
use super::requests::Asked;
use super::{LikeFake, devices, set_length};
use crate::compute::{self, LONG_DOCUMENT};
use crate::error::{Error, Result};
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Paths at which all action attempts are finished, unless a test has chosen their state.
const ATTEMPTS: [&str; 2] = ["/action_attempts/get", "/action_attempts/list"];

/// Changes the response, if its body is JSON.
///
/// # Errors
/// [`Error::Internal`] if the body cannot be read.
pub(super) async fn translate(fake: &LikeFake, path: &str, asked: &Asked, response: Response) -> Result<Response> {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.starts_with("application/json") {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| Error::Internal(error.into()))?.to_bytes();
    let changed = compute::sized(body.len() > LONG_DOCUMENT, || changed(fake, path, asked, &body)).await;
    let body = changed.unwrap_or(body);
    set_length(&mut parts.headers, body.len());
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Returns the changed body; `None` if it is not JSON.
fn changed(fake: &LikeFake, path: &str, asked: &Asked, body: &[u8]) -> Option<Bytes> {
    let mut document = serde_json::from_slice(body).ok()?;
    devices::remove_from_locks(path, &mut document);
    change(fake, path, asked, &mut document);
    if let Some(Value::String(url)) = document.pointer_mut("/pagination/next_page_url") {
        *url = url.replace("?page_cursor=", "?next_page_cursor=").replace("&page_cursor=", "&next_page_cursor=");
    }
    Some(Bytes::from(document.to_string()))
}

/// Changes a value and everything in it.
fn change(fake: &LikeFake, path: &str, asked: &Asked, value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(id) = well_known(text) {
                id.clone_into(text);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| change(fake, path, asked, item)),
        Value::Object(members) => {
            if let Some(device) = devices::shown(members) {
                *members = device;
            }
            show_access_code(members);
            show_attempt(fake, path, asked, members);
            for (_, member) in members.iter_mut().filter(|(name, _)| !OF_CLIENT.contains(&name.as_str())) {
                change(fake, path, asked, member);
            }
        }
        _ => {}
    }
}

/// Shows a code with a time frame as not set: the fake never begins to set it.
fn show_access_code(members: &mut Map<String, Value>) {
    let is = |name: &str, expected: &str| members.get(name).is_some_and(|value| value == expected);
    if members.contains_key("access_code_id") && is("type", "time_bound") && is("status", "setting") {
        members.insert("status".to_owned(), json!("unset"));
    }
}

/// Shows an action attempt in the state that a test has chosen. Any other one is pending in the response to the request
/// that it belongs to, and finished afterwards.
fn show_attempt(fake: &LikeFake, path: &str, asked: &Asked, members: &mut Map<String, Value>) {
    let Some(status) = members.get("status").cloned().filter(|_| members.contains_key("action_type")) else { return };
    let id = members.get("action_attempt_id").and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok());
    let chosen = id.and_then(|id| fake.chosen.lock().attempt(id).cloned());
    match chosen {
        Some(chosen) => members.extend(chosen),
        None if asked.is_deletion && status == "success" => show_state(members, "pending", Value::Null),
        None if ATTEMPTS.contains(&path) && status == "pending" => show_state(members, "success", json!({})),
        None => {}
    }
}

fn show_state(members: &mut Map<String, Value>, status: &str, result: Value) {
    members.insert("status".to_owned(), json!(status));
    members.insert("result".to_owned(), result);
}
