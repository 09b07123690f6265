//! Pagination with an opaque cursor. It contains the position of the last row of the page and a hash of the request's
//! parameters.

use crate::error::{Error, Result};
use crate::store::Position;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Seam's `pagination` object.
#[derive(Debug, Serialize)]
pub(crate) struct Pagination {
    next_page_cursor: Option<String>,
    has_next_page: bool,
    next_page_url: Option<String>,
}

/// The requested page.
#[derive(Debug)]
pub(crate) struct Page {
    /// Position of the last row before the page; `None` for the first page.
    pub after: Option<Position>,
    /// Maximum number of rows.
    pub limit: usize,
    parameters: Map<String, Value>,
}

impl Page {
    /// Reads `limit` and `page_cursor`. `default_limit` is also the maximum: a larger `limit` is reduced to it. Rejects
    /// a cursor that is malformed, or that was created for other parameters.
    pub(crate) fn of(parameters: &Map<String, Value>, default_limit: usize) -> Result<Self> {
        let limit = match parameters.get("limit").and_then(Value::as_f64) {
            None => default_limit,
            Some(limit) if limit >= 1.0 && limit.fract() == 0.0 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "at least 1, and saturating"
                )]
                let limit = limit as usize;
                limit.min(default_limit)
            }
            Some(limit) if limit.fract() != 0.0 => {
                return Err(Error::invalid("limit", "Expected integer, received float"));
            }
            Some(_) => return Err(Error::invalid("limit", "Number must be greater than 0")),
        };
        let after = match parameters.get("page_cursor").and_then(Value::as_str) {
            None => None,
            Some(cursor) => Some(decode(cursor, &fingerprint(parameters))?),
        };
        Ok(Self { after, limit, parameters: parameters.clone() })
    }

    /// Returns a page that contains everything.
    pub(crate) fn unlimited() -> Self {
        Self { after: None, limit: usize::MAX, parameters: Map::new() }
    }

    /// Returns the number of rows to fetch: one more than the page has, to detect if another page follows.
    pub(crate) fn fetch(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// Cuts the fetched rows to the page. Returns them with Seam's `pagination` object. `position` returns the position
    /// of a row; `base_url` and `path` are the start of the URL of the next page.
    pub(crate) fn cut<T>(
        &self,
        mut rows: Vec<T>,
        position: impl Fn(&T) -> Position,
        base_url: &str,
        path: &str,
    ) -> (Vec<T>, Pagination) {
        let has_next_page = rows.len() > self.limit;
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| has_next_page).map(position);
        (rows, self.pagination(last, base_url, path))
    }

    /// Returns Seam's `pagination` object. `last` is the position of the last row of the page; `None` if no page
    /// follows.
    pub(crate) fn pagination(&self, last: Option<Position>, base_url: &str, path: &str) -> Pagination {
        let next_page_cursor = last.map(|position| encode(position, &fingerprint(&self.parameters)));
        let next_page_url = next_page_cursor.as_ref().map(|cursor| self.url(cursor, base_url, path));
        Pagination { has_next_page: last.is_some(), next_page_cursor, next_page_url }
    }

    fn url(&self, cursor: &str, base_url: &str, path: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs(&self.parameters));
        query.append_pair("page_cursor", cursor);
        format!("{base_url}{path}?{}", query.finish())
    }
}

/// Returns the parameters without the cursor, as the pairs of a query string.
fn pairs(parameters: &Map<String, Value>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, value) in parameters.iter().filter(|(name, _)| *name != "page_cursor") {
        match value {
            Value::Array(values) if values.is_empty() => pairs.push((name.clone(), String::new())),
            Value::Array(values) => pairs.extend(values.iter().map(|value| (name.clone(), text(value)))),
            Value::Object(members) => {
                pairs.extend(members.iter().map(|(member, value)| (format!("{name}.{member}"), text(value))));
            }
            value => pairs.push((name.clone(), text(value))),
        }
    }
    pairs
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Returns a hash of the parameters. It is the same for parameters in a body and in a query, in any order.
fn fingerprint(parameters: &Map<String, Value>) -> String {
    let mut pairs = pairs(parameters);
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    let hash = Sha256::digest(json!(pairs).to_string());
    URL_SAFE_NO_PAD.encode(&hash[..12])
}

fn encode(position: Position, fingerprint: &str) -> String {
    let cursor = json!([fingerprint, position.created_at.timestamp_millis(), position.id]);
    URL_SAFE_NO_PAD.encode(cursor.to_string())
}

fn decode(cursor: &str, fingerprint: &str) -> Result<Position> {
    let read = || {
        let cursor = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        serde_json::from_slice::<(String, i64, Uuid)>(&cursor).ok()
    };
    let malformed = "page_cursor is not one of this server's. Take it from pagination.next_page_cursor.";
    let (created_for, milliseconds, id) = read().ok_or(Error::MismatchedPageParameters(malformed))?;
    if created_for != fingerprint {
        let message = "page_cursor belongs to a request with other parameters. Repeat those parameters with it.";
        return Err(Error::MismatchedPageParameters(message));
    }
    let created_at = DateTime::from_timestamp_millis(milliseconds).ok_or(Error::MismatchedPageParameters(malformed))?;
    Ok(Position { created_at, id })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_iso;

    #[test]
    fn page_cursor_is_accepted_only_with_the_same_parameters() {
        let position = Position { created_at: from_iso("2026-01-01T00:00:00Z").unwrap(), id: Uuid::max() };
        let parameters = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let first = Page::of(&parameters(r#"{"device_id":"x","limit":1}"#), 500).unwrap();
        let (rows, pagination) = first.cut(vec![(), ()], |()| position, "http://h", "/p");
        assert_eq!((rows.len(), pagination.has_next_page), (1, true));
        let cursor = pagination.next_page_cursor.unwrap();
        let again = Page::of(&parameters(&format!(r#"{{"limit":1,"page_cursor":"{cursor}","device_id":"x"}}"#)), 500);
        assert_eq!(again.unwrap().after, Some(position));
        for other in [
            format!(r#"{{"device_id":"y","limit":1,"page_cursor":"{cursor}"}}"#),
            r#"{"device_id":"x","limit":1,"page_cursor":"made up"}"#.to_owned(),
        ] {
            assert!(matches!(Page::of(&parameters(&other), 500), Err(Error::MismatchedPageParameters(_))));
        }
    }
}
