//! `/_emulator/requests`: what was asked of a workspace lately, and answered.

use super::Control;
use crate::clock::to_iso;
use crate::contract::values;
use crate::domain::http_fault::is_path;
use crate::domain::sandbox;
use crate::engine::app::App;
use crate::engine::request_log::{CapturedBody, LoggedRequest};
use crate::error::{Error, Result};
use crate::http::redact::{Hides, is_secret, is_secret_or_pin, masked, query, without_named_secrets, without_tokens};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// How many requests are listed unless told otherwise.
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
}

/// Lists requests in the order in which they were answered: those after the cursor, or else the latest.
pub(super) async fn list(call: Control<List>) -> Result<Listed> {
    let workspace_id = whose(&call, call.input.unauthenticated).await?;
    let (app, input) = (&call.app, &call.input);
    let after = match input.after.as_deref() {
        None => 0,
        Some(cursor) => app.requests.number_of(cursor).ok_or_else(|| {
            Error::invalid("after", "Not a cursor of this process: take it from a request in the list")
        })?,
    };
    let fits = |entry: &Arc<LoggedRequest>| {
        entry.workspace_id == workspace_id
            && input.path.as_deref().is_none_or(|path| is_path(path, &entry.path))
            && input.method.as_deref().is_none_or(|method| entry.method == method)
            && input.status.is_none_or(|status| entry.status == Some(status))
            && input.request_id.as_deref().is_none_or(|request_id| entry.request_id == request_id)
    };
    let mut found: Vec<Arc<LoggedRequest>> = app.requests.after(after).into_iter().filter(fits).collect();
    let limit = input.limit.unwrap_or(DEFAULT_LIMIT);
    if input.after.is_some() {
        found.truncate(limit);
    } else {
        found.drain(..found.len().saturating_sub(limit));
    }
    Ok(Listed { requests: found.iter().map(|entry| shown(app, entry)).collect() })
}

/// Whose requests are meant: those of the workspace of the call, or of nobody's.
pub(super) async fn whose<I>(call: &Control<I>, unauthenticated: bool) -> Result<Option<Uuid>> {
    let workspace_id = call.workspace().await?.workspace_id;
    if !unauthenticated {
        return Ok(Some(workspace_id));
    }
    // They are nobody's, and so everybody's to see; but a workspace that is named has none of them.
    if workspace_id != sandbox::WORKSPACE_ID && call.named.is_some() {
        return Err(Error::invalid("unauthenticated", "Requests without a workspace: leave workspace_id out"));
    }
    Ok(None)
}

/// A request as it is shown.
pub(super) fn shown(app: &App, entry: &LoggedRequest) -> Value {
    let body = entry.body.as_ref().filter(|body| body.length > 0);
    let (read_body, read_answer) = (body.and_then(read), read(&entry.answer));
    // Everybody sees what came with no good credential, so it may have no PINs either.
    let hides: Hides = if entry.workspace_id.is_some() { is_secret } else { is_secret_or_pin };
    json!({
        "cursor": app.requests.cursor(entry.number),
        "request_id": entry.request_id,
        "workspace_id": entry.workspace_id,
        "method": entry.method,
        "path": without_tokens(&entry.path),
        "query": entry.query.as_deref().map(|it| query(it, hides)),
        "body": body.map(|body| content(body, read_body.as_ref(), hides)),
        "is_body_cut": body.is_some_and(CapturedBody::is_cut),
        "status": entry.status,
        "answer": (entry.answer.length > 0).then(|| content(&entry.answer, read_answer.as_ref(), hides)),
        "is_answer_cut": entry.answer.is_cut(),
        "validation_issues": validation_issues(read_answer.as_ref(), hides),
        "unknown_parameters": unknown_parameters(app, entry, read_body),
        "duration_ms": entry.took.as_secs_f64() * 1000.0,
        "started_at": to_iso(entry.started_at),
        "events": entry.cause.events(),
        "http_fault_id": entry.http_fault_id,
    })
}

/// A body as JSON, if it is all there, it is any, and it is not so deep that nobody could read the list of requests.
fn read(body: &CapturedBody) -> Option<Value> {
    let read: Value = if body.is_cut() { None } else { serde_json::from_slice(&body.bytes).ok() }?;
    (!values::is_deeper(&read, values::MAX_SNAPSHOT_DEPTH + 2)).then_some(read)
}

/// What is shown of a body: JSON, or else its text.
fn content(body: &CapturedBody, read: Option<&Value>, hides: Hides) -> Value {
    match read {
        Some(read) => masked(read, hides),
        None => json!(without_named_secrets(&without_tokens(&String::from_utf8_lossy(&body.bytes)), hides)),
    }
}

/// The issues that a refusal lists in a tree along the request, as a list.
fn validation_issues(answer: Option<&Value>, hides: Hides) -> Vec<Value> {
    fn collect(tree: &Value, hides: Hides, path: &mut Vec<String>, found: &mut Vec<Value>) {
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
    if let Some(tree) = answer.and_then(|answer| answer.pointer("/error/validation_errors")) {
        collect(tree, hides, &mut Vec::new(), &mut found);
    }
    found
}

/// The parameters that the contract does not know, with the names that were probably meant.
fn unknown_parameters(app: &App, entry: &LoggedRequest, body: Option<Value>) -> Vec<Value> {
    let endpoint = app.contract.endpoint(&entry.path);
    let operation = endpoint.and_then(|endpoint| endpoint.operation(&entry.method));
    let input = operation.and_then(|operation| Some((operation, operation.read(entry.query.as_deref(), body).ok()?)));
    let Some((operation, input)) = input else { return Vec::new() };
    let unknown = operation.unknown_parameters(&input).into_iter();
    unknown.map(|it| json!({ "parameter": without_tokens(&it.path.join(".")), "suggestion": it.suggestion })).collect()
}
