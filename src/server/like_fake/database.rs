//! `/_fake/database`: what the workspaces of the seed contain, as the API shows it.

use super::LikeFake;
use super::ids::{WORKSPACE_1, WORKSPACE_2, WORKSPACES};
use super::seed::{API_KEY_1, API_KEY_2, PERSONAL_ACCESS_TOKEN};
use crate::api::edge::OBSERVER;
use crate::error::{Error, Result};
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

/// Lists of a workspace: the fake's name, the path, the member of its responses, and the parameters.
const LISTS: [(&str, &str, &str, &str); 9] = [
    ("connected_accounts", "/connected_accounts/list", "connected_accounts", "{}"),
    ("devices", "/devices/list", "devices", "{}"),
    ("devices", "/devices/unmanaged/list", "devices", "{}"),
    ("action_attempts", "/action_attempts/list", "action_attempts", "{}"),
    ("events", "/events/list", "events", r#"{"since":"1970-01-01T00:00:00Z"}"#),
    ("connect_webviews", "/connect_webviews/list", "connect_webviews", "{}"),
    ("client_sessions", "/client_sessions/list", "client_sessions", "{}"),
    ("user_identities", "/user_identities/list", "user_identities", "{}"),
    ("webhooks", "/webhooks/list", "webhooks", "{}"),
];

/// Lists of access codes, one for each device.
const ACCESS_CODES: [&str; 2] = ["/access_codes/list", "/access_codes/unmanaged/list"];

/// Returns the contents of the workspaces.
///
/// # Errors
/// [`Error::Internal`] if a list cannot be read.
pub(super) async fn read(fake: &LikeFake) -> Result<Map<String, Value>> {
    let mut found = Map::new();
    let mut workspaces = list(fake, "/workspaces/list", "workspaces", "", json!({})).await?;
    workspaces.retain(|workspace| WORKSPACES.iter().any(|id| workspace["workspace_id"] == id.to_string()));
    let ids: Vec<String> =
        workspaces.iter().filter_map(|workspace| workspace["workspace_id"].as_str().map(str::to_owned)).collect();
    found.insert("workspaces".to_owned(), Value::Array(workspaces));
    let api_keys = [(API_KEY_1, WORKSPACE_1), (API_KEY_2, WORKSPACE_2)];
    let api_keys = api_keys.map(|(token, workspace_id)| json!({ "token": token, "workspace_id": workspace_id }));
    found.insert("api_keys".to_owned(), json!(api_keys));
    for workspace_id in &ids {
        for (name, path, member, parameters) in LISTS {
            let items = list(fake, path, member, workspace_id, serde_json::from_str(parameters)?).await?;
            add(&mut found, name, items);
        }
    }
    let devices = found.get("devices").and_then(Value::as_array).cloned().unwrap_or_default();
    add(&mut found, "access_codes", Vec::new());
    for device in devices {
        let workspace_id = device["workspace_id"].as_str().unwrap_or_default();
        for path in ACCESS_CODES {
            let parameters = json!({ "device_id": device["device_id"] });
            let items = list(fake, path, "access_codes", workspace_id, parameters).await?;
            add(&mut found, "access_codes", items);
        }
    }
    Ok(found)
}

/// Appends items to a list.
fn add(found: &mut Map<String, Value>, name: &str, items: Vec<Value>) {
    if let Value::Array(list) = found.entry(name).or_insert_with(|| json!([])) {
        list.extend(items);
    }
}

/// Returns all items of a list in a workspace.
async fn list(
    fake: &LikeFake,
    path: &str,
    member: &str,
    workspace_id: &str,
    mut parameters: Value,
) -> Result<Vec<Value>> {
    let mut items = Vec::new();
    loop {
        let mut page = ask(fake, path, workspace_id, &parameters).await?;
        let Some(Value::Array(found)) = page.get_mut(member).map(Value::take) else {
            return Err(Error::Internal(format!("{path} has no {member}: {page}").into()));
        };
        items.extend(found);
        match page.pointer("/pagination/next_page_cursor") {
            Some(Value::String(cursor)) => parameters["page_cursor"] = json!(cursor),
            _ => return Ok(items),
        }
    }
}

/// Sends a request to the routes, without effect on a test, and returns the body of the response.
async fn ask(fake: &LikeFake, path: &str, workspace_id: &str, parameters: &Value) -> Result<Value> {
    let mut request = Request::post(path)
        .header(AUTHORIZATION, format!("Bearer {PERSONAL_ACCESS_TOKEN}"))
        .header(CONTENT_TYPE, "application/json")
        .header(OBSERVER, "true");
    if !workspace_id.is_empty() {
        request = request.header("seam-workspace", workspace_id);
    }
    let request = request.body(Body::from(parameters.to_string())).map_err(|error| Error::Internal(error.into()))?;
    let Ok(response) = fake.api.clone().oneshot(request).await;
    let body = response.into_body().collect().await.map_err(|error| Error::Internal(error.into()))?.to_bytes();
    Ok(serde_json::from_slice(&body)?)
}
