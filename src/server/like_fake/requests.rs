//! Requests: the fake's ids and tokens become those of Latchkey.

use super::devices::TypeFilter;
use super::ids::{UuidParameters, uuid_of};
use super::seed::{CONSOLE_KEY, CONSOLE_SECRET, PERSONAL_ACCESS_TOKEN, PUBLIC_TOKENS, USER_ID};
use super::set_length;
use crate::api::console_session;
use crate::clock::machine_now;
use crate::error::{Error, Result};
use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, Uri};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Members whose content belongs to the client: nothing in them is translated.
pub(super) const OF_CLIENT: [&str; 2] = ["custom_metadata", "custom_metadata_has"];

/// Paths that delete an access code.
const DELETIONS: [&str; 2] = ["/access_codes/delete", "/access_codes/unmanaged/delete"];

/// Parameter of these paths: the request waits for the lock.
const SYNC: &str = "sync";

const WORKSPACE_HEADER: HeaderName = HeaderName::from_static("seam-workspace");

/// Headers that can contain a token, in addition to `Authorization`.
const TOKEN_HEADERS: [&str; 3] = ["seam-client-session-token", "client-session-token", "seam-publishable-key"];

/// What the response depends on.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) types: TypeFilter,
    /// True if the layer made a deletion immediate: the response has to show it as pending.
    pub(super) is_deletion: bool,
}

/// Claims of the fake's console sessions.
#[derive(Deserialize)]
struct ConsoleClaims {
    user_id: String,
    key: String,
}

/// Returns the bearer token; an empty text if there is none.
fn bearer(headers: &HeaderMap) -> &str {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
}

/// Returns true if the request has one of the fake's tokens.
pub(super) fn has_public_token(headers: &HeaderMap) -> bool {
    let others = TOKEN_HEADERS.iter().filter_map(|name| headers.get(*name)?.to_str().ok());
    let mut tokens = others.chain([bearer(headers)]);
    tokens.any(|token| PUBLIC_TOKENS.contains(&token) || is_console_session(token))
}

/// Returns true for a console session of the user of the seed.
fn is_console_session(token: &str) -> bool {
    let claims = console_session::claims_of(CONSOLE_SECRET, token, machine_now());
    claims.is_some_and(|claims: ConsoleClaims| claims.user_id == USER_ID && claims.key == CONSOLE_KEY)
}

/// Translates a request. Returns its body and what the response depends on.
///
/// # Errors
/// [`Error::Internal`] if the changed query is no query.
pub(super) fn translate(parameters: &UuidParameters, parts: &mut Parts, body: Bytes) -> Result<(Bytes, Asked)> {
    translate_headers(&mut parts.headers);
    let is_empty = body.iter().all(u8::is_ascii_whitespace);
    let read = if is_empty { Ok(Map::new()) } else { serde_json::from_slice(&body) };
    // A body that is no object is left to the checks of the endpoint.
    let Ok(mut members): Result<Map<String, Value>, _> = read else { return Ok((body, Asked::default())) };
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned();
    let mut query: Vec<(String, String)> = query.collect();
    let mut has_new_query = translate_query(parameters, &mut query);
    let mut has_new_body = translate_members(parameters, &mut members);
    let path = parts.uri.path().to_owned();
    let types = TypeFilter::take(&path, (&mut query, &mut has_new_query), (&mut members, &mut has_new_body));
    let has_sync = members.contains_key(SYNC) || query.iter().any(|(name, _)| name == SYNC);
    let asked = Asked { types, is_deletion: DELETIONS.contains(&path.as_str()) && !has_sync };
    if asked.is_deletion {
        members.insert(SYNC.to_owned(), Value::Bool(true));
        has_new_body = true;
    }
    if has_new_query {
        set_query(parts, &path, &query)?;
    }
    if !has_new_body {
        return Ok((body, asked));
    }
    if is_empty {
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let body = Bytes::from(Value::Object(members).to_string());
    set_length(&mut parts.headers, body.len());
    Ok((body, asked))
}

fn set_query(parts: &mut Parts, path: &str, query: &[(String, String)]) -> Result<()> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    let changed = PathAndQuery::try_from(format!("{path}?{query}")).map_err(|error| Error::Internal(error.into()))?;
    uri.path_and_query = Some(changed);
    parts.uri = Uri::from_parts(uri).map_err(|error| Error::Internal(error.into()))?;
    Ok(())
}

fn translate_headers(headers: &mut HeaderMap) {
    let workspace = headers.get(WORKSPACE_HEADER).and_then(|value| uuid_of(value.to_str().ok()?));
    if let Some(id) = workspace.and_then(|uuid| HeaderValue::try_from(uuid.to_string()).ok()) {
        headers.insert(WORKSPACE_HEADER, id);
    }
    // Seam accepts the personal access token wherever it accepts a console session.
    if is_console_session(bearer(headers))
        && let Ok(value) = HeaderValue::try_from(format!("Bearer {PERSONAL_ACCESS_TOKEN}"))
    {
        headers.insert(AUTHORIZATION, value);
    }
}

/// Translates the ids in a query, in which commas may separate those of a list. Returns true if there were any.
fn translate_query(parameters: &UuidParameters, query: &mut [(String, String)]) -> bool {
    let mut is_changed = false;
    for (name, value) in query {
        // The `next_page_url` of the fake has this name for `page_cursor`.
        if name == "next_page_cursor" {
            "page_cursor".clone_into(name);
            is_changed = true;
            continue;
        }
        let plain = name.strip_suffix("[]").unwrap_or(name);
        let ids: Vec<&str> = if plain.ends_with("_ids") { value.split(',').collect() } else { vec![value] };
        let translated: Vec<Option<String>> = ids.iter().map(|id| parameters.translate(plain, id)).collect();
        if translated.iter().any(Option::is_some) {
            let ids =
                ids.into_iter().zip(translated).map(|(id, translated)| translated.unwrap_or_else(|| id.to_owned()));
            *value = ids.collect::<Vec<_>>().join(",");
            is_changed = true;
        }
    }
    is_changed
}

/// Translates the ids in an object. Returns true if there were any.
fn translate_members(parameters: &UuidParameters, members: &mut Map<String, Value>) -> bool {
    let mut is_changed = false;
    for (name, member) in members.iter_mut().filter(|(name, _)| !OF_CLIENT.contains(&name.as_str())) {
        let items: &mut [Value] = match member {
            Value::Array(items) => items,
            item => std::slice::from_mut(item),
        };
        for item in items {
            match item {
                Value::Object(inner) => is_changed |= translate_members(parameters, inner),
                Value::String(id) => {
                    if let Some(translated) = parameters.translate(name, id) {
                        *id = translated;
                        is_changed = true;
                    }
                }
                _ => {}
            }
        }
    }
    is_changed
}
