//! Requests: the fake's ids and tokens become those of Latchkey.

use super::ids::{UuidParameters, uuid_of};
use super::parameters::Parameters;
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
use serde_json::Value;
use uuid::Uuid;

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

/// Translates query and body of a request. Returns its body and what the response depends on.
///
/// # Errors
/// [`Error::UriTooLong`] if the changed query is too long.
pub(super) fn translate(ids: &UuidParameters, parts: &mut Parts, body: Bytes) -> Result<(Bytes, Asked)> {
    let path = parts.uri.path().to_owned();
    let is_empty = body.iter().all(u8::is_ascii_whitespace);
    let mut parameters = Parameters::read(parts.uri.query(), &body, is_empty);
    let changed =
        |name: &str, value: &str| ids.translate(&path, name, value).or_else(|| devices::stored(&path, name, value));
    parameters.change(&changed);
    devices::exclude_without_capabilities(&path, &mut parameters);
    let is_deletion = DELETIONS.contains(&path.as_str()) && parameters.has_object() && !parameters.contain(SYNC);
    if is_deletion {
        parameters.insert(SYNC, Value::Bool(true));
    }
    let asked = Asked { is_deletion, workspace_id: parameters.workspace_id() };
    let (query, members) = parameters.changed();
    if let Some(query) = query {
        set_query(parts, &path, &query)?;
    }
    let Some(members) = members else { return Ok((body, asked)) };
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
