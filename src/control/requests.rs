//! `/_emulator/requests`: what was asked of a workspace lately, and answered.

use super::Control;
use crate::clock::to_iso;
use crate::contract::values;
use crate::domain::http_fault::is_path;
use crate::domain::sandbox;
use crate::engine::app::App;
use crate::engine::request_log::{Entry, Kept};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::Arc;
use uuid::Uuid;

/// How many requests are listed unless told otherwise.
const DEFAULT_LIMIT: usize = 100;

/// What stands for a credential.
const MASK: &str = "***";

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
    let fits = |entry: &Arc<Entry>| {
        entry.workspace_id == workspace_id
            && input.path.as_deref().is_none_or(|path| is_path(path, &entry.path))
            && input.method.as_deref().is_none_or(|method| entry.method == method)
            && input.status.is_none_or(|status| entry.status == Some(status))
            && input.request_id.as_deref().is_none_or(|request_id| entry.request_id == request_id)
    };
    let mut found: Vec<Arc<Entry>> = app.requests.after(after).into_iter().filter(fits).collect();
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
pub(super) fn shown(app: &App, entry: &Entry) -> Value {
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
        "is_body_cut": body.is_some_and(Kept::is_cut),
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
fn read(body: &Kept) -> Option<Value> {
    let read: Value = if body.is_cut() { None } else { serde_json::from_slice(&body.bytes).ok() }?;
    (!values::is_deeper(&read, values::DEEPEST_SNAPSHOT + 2)).then_some(read)
}

/// What is shown of a body: JSON, or else its text.
fn content(body: &Kept, read: Option<&Value>, hides: Hides) -> Value {
    match read {
        Some(read) => masked(read, hides),
        None => json!(without_named_secrets(&without_tokens(&String::from_utf8_lossy(&body.bytes)), hides)),
    }
}

/// A query string as an object; what is given more than once is a list.
fn query(query: &str, hides: Hides) -> Value {
    let mut values = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = if hides(&name) { json!(MASK) } else { json!(without_tokens(&value)) };
        match values.get_mut(name.as_ref()) {
            None => drop(values.insert(without_tokens(&name).into_owned(), value)),
            Some(Value::Array(all)) => all.push(value),
            Some(one) => *one = json!([one, value]),
        }
    }
    values.into()
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
fn unknown_parameters(app: &App, entry: &Entry, body: Option<Value>) -> Vec<Value> {
    let endpoint = app.contract.endpoint(&entry.path);
    let operation = endpoint.and_then(|endpoint| endpoint.operation(&entry.method));
    let input = operation.and_then(|operation| Some((operation, operation.read(entry.query.as_deref(), body).ok()?)));
    let Some((operation, input)) = input else { return Vec::new() };
    let unknown = operation.unknown_parameters(&input).into_iter();
    unknown.map(|it| json!({ "parameter": without_tokens(&it.path.join(".")), "suggestion": it.suggestion })).collect()
}

/// Whether what has this name is not shown.
type Hides = fn(&str) -> bool;

/// Whether what has this name is a credential.
fn is_secret(name: &str) -> bool {
    ends_with(name, &["apikey", "token", "secret", "password", "authorization"])
}

/// Whether what has this name is a credential, a PIN, or something with a PIN in it.
fn is_secret_or_pin(name: &str) -> bool {
    is_secret(name) || ends_with(name, &["code", "codes", "pin", "pins"])
}

fn ends_with(name: &str, ends: &[&str]) -> bool {
    // `a[token]`, `api_key[]`, `apiKey` and `client-secret` are names of credentials, too.
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    ends.iter().any(|end| name.ends_with(end))
}

/// JSON without what is to be hidden.
fn masked(value: &Value, hides: Hides) -> Value {
    match value {
        Value::String(text) => json!(without_tokens(text)),
        Value::Array(items) => items.iter().map(|item| masked(item, hides)).collect(),
        Value::Object(fields) => {
            let masked = |(name, value): (&String, &Value)| {
                let is_hidden = hides(name) && !value.is_null();
                (without_tokens(name).into_owned(), if is_hidden { json!(MASK) } else { masked(value, hides) })
            };
            Value::Object(fields.iter().map(masked).collect())
        }
        other => other.clone(),
    }
}

/// Whether a character may be part of a token.
fn is_of_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// A text without Seam's tokens, wherever in it they stand.
fn without_tokens(text: &str) -> Cow<'_, str> {
    // Shorter ones are words, such as the names of parameters.
    const SHORTEST: usize = 16;
    let mut rest = text;
    let mut clean = String::new();
    while let Some(start) = rest.find("seam_") {
        let (before, token) = rest.split_at(start);
        let end = token.find(|character| !is_of_token(character)).unwrap_or(token.len());
        let (token, behind) = token.split_at(end);
        clean.push_str(before);
        clean.push_str(if token.len() < SHORTEST { token } else { MASK });
        rest = behind;
    }
    if clean.is_empty() && rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// A text that is not JSON, or not all of it, without what stands behind a name that hides it.
fn without_named_secrets(text: &str, hides: Hides) -> String {
    const LONGEST_GAP: usize = 8;
    let mut clean = String::with_capacity(text.len());
    let mut follows_name = false;
    let mut rest = text;
    while !rest.is_empty() {
        let gap = rest.find(is_of_token).unwrap_or(rest.len());
        let (between, behind) = rest.split_at(gap);
        let is_value = follows_name && (1..=LONGEST_GAP).contains(&gap);
        let is_quoted = between.ends_with('"');
        let ends_it = |character: char| match (is_value, is_quoted) {
            (true, true) => character == '"',
            (true, false) => matches!(character, '"' | '&' | ',') || character.is_whitespace(),
            (false, _) => !is_of_token(character),
        };
        let (word, behind) = behind.split_at(behind.find(ends_it).unwrap_or(behind.len()));
        clean.push_str(between);
        clean.push_str(if is_value && !word.is_empty() { MASK } else { word });
        follows_name = hides(word);
        rest = behind;
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_masked_wherever_they_stand() {
        let value = json!({
            "api_key": "my own", "access_token": "abc", "name": "for seam_test1abc_0123456789, or so", "code": "1234",
            "nested": [{ "token": 5, "api_key": null }], "event_type": "access_code.deleted_external_to_seam",
        });
        assert_eq!(
            masked(&value, is_secret),
            json!({
                "api_key": MASK, "access_token": MASK, "name": "for ***, or so", "code": "1234",
                "nested": [{ "token": MASK, "api_key": null }], "event_type": "access_code.deleted_external_to_seam",
            })
        );
        assert_eq!(
            query("a=1&api_key=x&a=seam_at1abc_0123456789&a=2", is_secret),
            json!({ "a": ["1", MASK, "2"], "api_key": MASK })
        );
        assert_eq!(
            query("a[token]=x&api_key[]=x&apiKey=x&client-secret=x&seam_test1abc_0123456789=1", is_secret),
            json!({ "a[token]": MASK, "api_key[]": MASK, "apiKey": MASK, "client-secret": MASK, MASK: "1" })
        );
        for (text, clean) in [
            (r#"{"api_key": "my own", "name": "a b", "tok"#, r#"{"api_key": "***", "name": "a b", "tok"#),
            (r#"{"api_key":"my-own"#, r#"{"api_key":"***"#),
            ("token=a-b&name=c", "token=***&name=c"),
            ("a token", "a token"),
        ] {
            assert_eq!(without_named_secrets(text, is_secret), clean);
        }
    }

    #[test]
    fn pins_are_masked_in_requests_of_nobody() {
        assert_eq!(
            query("code=1234&new_code=1&preferredCode=2&codes[]=3&name=a&token=x", is_secret_or_pin),
            json!({
                "code": MASK, "new_code": MASK, "preferredCode": MASK, "codes[]": MASK, "name": "a", "token": MASK,
            })
        );
        let value =
            json!({ "name": "a", "access_codes": [{ "code": 1234 }], "nested": { "pin": "1234", "code": null } });
        let clean = json!({ "name": "a", "access_codes": MASK, "nested": { "pin": MASK, "code": null } });
        assert_eq!(masked(&value, is_secret_or_pin), clean);
        let (text, clean) = (r#"{"code": "1234", "name": "a b"#, r#"{"code": "***", "name": "a b"#);
        assert_eq!(without_named_secrets(text, is_secret_or_pin), clean);
    }
}
