//! Requests: the fake's ids and tokens become those of Latchkey.

use super::ids::{UuidParameters, uuid_of};
use super::seed::{CONSOLE_KEY, CONSOLE_SECRET, PERSONAL_ACCESS_TOKEN, PUBLIC_TOKENS, USER_ID};
use super::{devices, set_length};
use crate::api::{caller, console_session};
use crate::clock::machine_now;
use crate::error::{Error, Result};
use crate::http::head::{MAX_URI_BYTES, check_uri};
use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, Uri};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Members whose content belongs to the client: nothing in them is translated.
pub(super) const OF_CLIENT: [&str; 2] = ["custom_metadata", "custom_metadata_has"];

/// Paths that delete an access code.
const DELETIONS: [&str; 2] = ["/access_codes/delete", "/access_codes/unmanaged/delete"];

/// Parameter of these paths: the request waits for the lock.
const SYNC: &str = "sync";

const WORKSPACE_HEADER: HeaderName = HeaderName::from_static("seam-workspace");

/// What the response depends on.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// True if the layer made a deletion immediate: the response has to show it as pending.
    pub(super) is_deletion: bool,
    /// Parameter `workspace_id`.
    pub(super) workspace_id: Option<Uuid>,
}

/// Claims of the fake's console sessions.
#[derive(Deserialize)]
struct ConsoleClaims {
    user_id: String,
    key: String,
}

/// Returns true for a console session of the user of the seed.
fn is_console_session(token: &str) -> bool {
    let claims = console_session::claims_of(CONSOLE_SECRET, token, machine_now());
    claims.is_some_and(|claims: ConsoleClaims| claims.user_id == USER_ID && claims.key == CONSOLE_KEY)
}

/// Credential of a request.
pub(super) struct Credential {
    /// True for one of the fake's tokens, which everybody knows.
    pub(super) is_public: bool,
}

/// Translates the workspace and the credential in the headers of a request, and returns the credential.
pub(super) fn translate_headers(headers: &mut HeaderMap) -> Credential {
    let workspace = headers.get(WORKSPACE_HEADER).and_then(|value| uuid_of(value.to_str().ok()?));
    if let Some(id) = workspace.and_then(|uuid| HeaderValue::try_from(uuid.to_string()).ok()) {
        headers.insert(WORKSPACE_HEADER, id);
    }
    // Seam accepts the personal access token wherever it accepts a console session.
    if is_console_session(caller::bearer(headers))
        && let Ok(value) = HeaderValue::try_from(format!("Bearer {PERSONAL_ACCESS_TOKEN}"))
    {
        headers.insert(AUTHORIZATION, value);
    }
    Credential { is_public: caller::tokens(headers).any(|token| PUBLIC_TOKENS.contains(&token)) }
}

/// Parameters of a request.
pub(super) struct Parameters {
    query: Vec<(String, String)>,
    has_new_query: bool,
    /// The body; `None` if it is no object. Then it is left to the checks of the endpoint.
    members: Option<Map<String, Value>>,
    has_new_members: bool,
}

impl Parameters {
    /// Returns true if query or body have this parameter.
    pub(super) fn contain(&self, name: &str) -> bool {
        self.query.iter().any(|(found, _)| found == name)
            || self.members.as_ref().is_some_and(|members| members.contains_key(name))
    }

    /// Removes parameters, and returns the texts in them.
    pub(super) fn take_texts(&mut self, names: &[&str]) -> Vec<String> {
        let mut texts = Vec::new();
        self.query.retain(|(name, value)| {
            let is_taken = names.contains(&name.as_str());
            if is_taken {
                texts.extend(value.split(',').map(str::to_owned));
                self.has_new_query = true;
            }
            !is_taken
        });
        for value in names.iter().filter_map(|name| self.members.as_mut()?.remove(*name)) {
            let items = if let Value::Array(items) = value { items } else { vec![value] };
            texts.extend(items.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        texts
    }

    /// Adds a parameter to the body, if it is an object.
    pub(super) fn insert(&mut self, name: &str, value: Value) {
        if let Some(members) = &mut self.members {
            members.insert(name.to_owned(), value);
            self.has_new_members = true;
        }
    }

    /// Changes texts, each with the name of its parameter. `None` leaves a text as it is.
    fn change(&mut self, change: &impl Fn(&str, &str) -> Option<String>) {
        for (name, value) in &mut self.query {
            self.has_new_query |= change_query(name, value, change);
        }
        if let Some(members) = &mut self.members {
            self.has_new_members |= change_members(members, change);
        }
    }

    /// Returns the parameter `workspace_id`.
    fn workspace_id(&self) -> Option<Uuid> {
        const NAME: &str = "workspace_id";
        let in_query = || self.query.iter().find(|(name, _)| name == NAME).map(|(_, value)| value.as_str());
        let in_body = self.members.as_ref().and_then(|members| members.get(NAME)?.as_str());
        Uuid::try_parse(in_body.or_else(in_query)?).ok()
    }
}

/// Translates query and body of a request. Returns its body and what the response depends on.
///
/// # Errors
/// [`Error::UriTooLong`] if the changed query is too long.
pub(super) fn translate(ids: &UuidParameters, parts: &mut Parts, body: Bytes) -> Result<(Bytes, Asked)> {
    let path = parts.uri.path().to_owned();
    let is_empty = body.iter().all(u8::is_ascii_whitespace);
    let mut parameters = Parameters {
        query: form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect(),
        has_new_query: false,
        members: if is_empty { Some(Map::new()) } else { serde_json::from_slice(&body).ok() },
        has_new_members: false,
    };
    let changed =
        |name: &str, value: &str| ids.translate(&path, name, value).or_else(|| devices::stored(&path, name, value));
    parameters.change(&changed);
    devices::exclude_without_capabilities(&path, &mut parameters);
    let is_deletion = DELETIONS.contains(&path.as_str()) && parameters.members.is_some() && !parameters.contain(SYNC);
    if is_deletion {
        parameters.insert(SYNC, Value::Bool(true));
    }
    let asked = Asked { is_deletion, workspace_id: parameters.workspace_id() };
    if parameters.has_new_query {
        set_query(parts, &path, &parameters.query)?;
    }
    let Some(members) = parameters.members.filter(|_| parameters.has_new_members) else { return Ok((body, asked)) };
    if is_empty {
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let body = Bytes::from(Value::Object(members).to_string());
    set_length(&mut parts.headers, body.len());
    Ok((body, asked))
}

fn set_query(parts: &mut Parts, path: &str, query: &[(String, String)]) -> Result<()> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let changed = format!("{path}?{query}");
    check_uri(changed.len())?;
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.path_and_query = Some(PathAndQuery::try_from(changed).map_err(|_| Error::UriTooLong(MAX_URI_BYTES))?);
    parts.uri = Uri::from_parts(uri).map_err(|_| Error::UriTooLong(MAX_URI_BYTES))?;
    Ok(())
}

/// Changes a parameter of a query, in which commas may separate the items of a list. Returns true if it has changed.
fn change_query(name: &mut String, value: &mut String, change: &impl Fn(&str, &str) -> Option<String>) -> bool {
    // The `next_page_url` of the fake has this name for `page_cursor`.
    if name == "next_page_cursor" {
        "page_cursor".clone_into(name);
        return true;
    }
    let plain = name.strip_suffix("[]").unwrap_or(name);
    let items: Vec<&str> = if plain.ends_with('s') { value.split(',').collect() } else { vec![value] };
    let changed: Vec<Option<String>> = items.iter().map(|item| change(plain, item)).collect();
    if changed.iter().all(Option::is_none) {
        return false;
    }
    let items = items.into_iter().zip(changed).map(|(item, changed)| changed.unwrap_or_else(|| item.to_owned()));
    *value = items.collect::<Vec<_>>().join(",");
    true
}

/// Changes the texts in an object. Returns true if it has changed.
fn change_members(members: &mut Map<String, Value>, change: &impl Fn(&str, &str) -> Option<String>) -> bool {
    let mut is_changed = false;
    for (name, member) in members.iter_mut().filter(|(name, _)| !OF_CLIENT.contains(&name.as_str())) {
        let items: &mut [Value] = match member {
            Value::Array(items) => items,
            item => std::slice::from_mut(item),
        };
        for item in items {
            match item {
                Value::Object(inner) => is_changed |= change_members(inner, change),
                Value::String(text) => {
                    if let Some(changed) = change(name, text) {
                        *text = changed;
                        is_changed = true;
                    }
                }
                _ => {}
            }
        }
    }
    is_changed
}
