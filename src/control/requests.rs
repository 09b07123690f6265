//! `/_emulator/requests`: the latest requests to a workspace, with their responses.

use super::Control;
use crate::clock::to_iso;
use crate::contract::values;
use crate::domain::http_fault::path_matches;
use crate::domain::sandbox;
use crate::engine::app::App;
use crate::engine::request_log::{CapturedBody, LoggedRequest};
use crate::error::{Error, Result};
use crate::http::redact::{
    MaskPredicate, is_secret, is_secret_or_pin, masked, query, without_named_secrets, without_tokens,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Default of `limit`, the maximum number of listed requests.
const DEFAULT_LIMIT: usize = 100;

#[derive(Deserialize)]
pub(super) struct List {
    limit: Option<usize>,
    after: Option<String>,
    path: Option<String>,
    method: Option<String>,
    status: Option<u16>,
    request_id: Option<String>,
    #[serde(default)]
    unauthenticated: bool,
}

#[derive(Serialize)]
pub(super) struct Listed {
    requests: Vec<Value>,
    /// Cursor after these requests, with which a client reads or follows the next ones.
    cursor: String,
}

/// Lists requests in the order of their responses: those after the cursor, or else the latest.
pub(super) async fn list(call: Control<List>) -> Result<Listed> {
    let workspace_id = selected_workspace(&call, call.input.unauthenticated).await?;
    let (app, input) = (&call.app, &call.input);
    let after = match input.after.as_deref() {
        None => 0,
        Some(cursor) => app
            .request_log
            .number_of(cursor)
            .ok_or_else(|| Error::invalid("after", "Not a cursor of this process: use a cursor of this list"))?,
    };
    let fits = |entry: &Arc<LoggedRequest>| {
        entry.workspace_id == workspace_id
            && input.path.as_deref().is_none_or(|path| path_matches(path, &entry.path))
            && input.method.as_deref().is_none_or(|method| entry.method == method)
            && input.status.is_none_or(|status| entry.status == Some(status))
            && input.request_id.as_deref().is_none_or(|request_id| entry.request_id == request_id)
    };
    let (entries, mut last) = app.request_log.after(after);
    let mut found: Vec<Arc<LoggedRequest>> = entries.into_iter().filter(fits).collect();
    let limit = input.limit.unwrap_or(DEFAULT_LIMIT);
    if input.after.is_none() {
        found.drain(..found.len().saturating_sub(limit));
    } else if found.len() > limit {
        found.truncate(limit);
        last = found.last().map_or(after, |entry| entry.number);
    }
    let cursor = app.request_log.cursor(last);
    Ok(Listed { requests: found.iter().map(|entry| request_json(app, entry)).collect(), cursor })
}

/// Returns the workspace whose requests are selected; `None`: requests without a workspace.
pub(super) async fn selected_workspace<I>(call: &Control<I>, unauthenticated: bool) -> Result<Option<Uuid>> {
    let workspace_id = call.workspace().await?.workspace_id;
    if !unauthenticated {
        return Ok(Some(workspace_id));
    }
    // These requests belong to no workspace, so `workspace_id` must be omitted. The sandbox is accepted, because it is
    // the default of `workspace_id`.
    if workspace_id != sandbox::WORKSPACE_ID && call.named.is_some() {
        return Err(Error::invalid("unauthenticated", "Unauthenticated requests have no workspace: omit workspace_id"));
    }
    Ok(None)
}

/// Returns the JSON of a logged request.
pub(super) fn request_json(app: &App, entry: &LoggedRequest) -> Value {
    let body = entry.body.as_ref().filter(|body| body.length > 0);
    let (parsed_body, parsed_response) = (body.and_then(parse), parse(&entry.answer));
    // Requests without a workspace are visible to every caller, so their PINs are masked too.
    let hides: MaskPredicate = if entry.workspace_id.is_some() { is_secret } else { is_secret_or_pin };
    json!({
        "cursor": app.request_log.cursor(entry.number),
        "request_id": entry.request_id,
        "workspace_id": entry.workspace_id,
        "method": entry.method,
        "path": without_tokens(&entry.path),
        "query": entry.query.as_deref().map(|text| query(text, hides)),
        "body": body.map(|body| content(body, parsed_body.as_ref(), hides)),
        "is_body_cut": body.is_some_and(CapturedBody::is_cut),
        "status": entry.status,
        "answer": (entry.answer.length > 0).then(|| content(&entry.answer, parsed_response.as_ref(), hides)),
        "is_answer_cut": entry.answer.is_cut(),
        "validation_issues": validation_issues(parsed_response.as_ref(), hides),
        "unknown_parameters": unknown_parameters(app, entry, parsed_body),
        "duration_ms": entry.took.as_secs_f64() * 1000.0,
        "started_at": to_iso(entry.started_at),
        "events": entry.cause.events(),
        "http_fault_id": entry.http_fault_id,
    })
}

/// Returns the JSON value of a body. `None`: the body is cut, is not JSON, or is nested so deeply that clients could
/// not parse the list of requests.
fn parse(body: &CapturedBody) -> Option<Value> {
    let value: Value = if body.is_cut() { None } else { serde_json::from_slice(&body.bytes).ok() }?;
    (!values::is_deeper(&value, values::MAX_SNAPSHOT_DEPTH + 2)).then_some(value)
}

/// Returns a masked body: its JSON value, or else its text.
fn content(body: &CapturedBody, parsed: Option<&Value>, hides: MaskPredicate) -> Value {
    match parsed {
        Some(value) => masked(value, hides),
        None => json!(without_named_secrets(&without_tokens(&String::from_utf8_lossy(&body.bytes)), hides)),
    }
}

/// Returns the issues of an error response as a list. In the response they are a tree with the shape of the request.
fn validation_issues(response: Option<&Value>, hides: MaskPredicate) -> Vec<Value> {
    fn collect(tree: &Value, hides: MaskPredicate, path: &mut Vec<String>, found: &mut Vec<Value>) {
        for (name, inner) in tree.as_object().into_iter().flatten() {
            if let ("_errors", Some(messages)) = (name.as_str(), inner.as_array()) {
                let issue = |message: &Value| json!({ "parameter": path.join("."), "message": masked(message, hides) });
                found.extend(messages.iter().map(issue));
            } else {
                path.push(name.clone());
                collect(inner, hides, path, found);
                path.pop();
            }
        }
    }
    let mut found = Vec::new();
    if let Some(tree) = response.and_then(|response| response.pointer("/error/validation_errors")) {
        collect(tree, hides, &mut Vec::new(), &mut found);
    }
    found
}

/// Returns the parameters that are not in the contract, each with a similar known name, if any.
fn unknown_parameters(app: &App, entry: &LoggedRequest, body: Option<Value>) -> Vec<Value> {
    let endpoint = app.contract.endpoint(&entry.path);
    let operation = endpoint.and_then(|endpoint| endpoint.operation(&entry.method));
    let input = operation.and_then(|operation| Some((operation, operation.read(entry.query.as_deref(), body).ok()?)));
    let Some((operation, input)) = input else { return Vec::new() };
    let unknown = operation.unknown_parameters(&input).into_iter();
    unknown
        .map(|found| json!({ "parameter": without_tokens(&found.path.join(".")), "suggestion": found.suggestion }))
        .collect()
}
