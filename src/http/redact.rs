//! Masking of requests and responses in the request log: credentials by their name and by their format, and PINs in
//! requests without a workspace, which every caller may read.

use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Text that replaces a masked value.
pub(crate) const MASK: &str = "***";

/// Predicate that returns true if the value with this name must be masked.
pub(crate) type MaskPredicate = fn(&str) -> bool;

/// Returns true if the value with this name is a credential.
pub(crate) fn is_secret(name: &str) -> bool {
    ends_with(name, &["apikey", "token", "secret", "password", "authorization"])
}

/// Returns true if the value with this name is a credential, a PIN, or contains a PIN.
pub(crate) fn is_secret_or_pin(name: &str) -> bool {
    is_secret(name) || ends_with(name, &["code", "codes", "pin", "pins"])
}

/// Returns true if a name ends with one of `ends`. Ignores case and all characters except letters and digits.
pub(crate) fn ends_with(name: &str, ends: &[&str]) -> bool {
    // `a[token]`, `api_key[]`, `apiKey` and `client-secret` are names of credentials too.
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    ends.iter().any(|end| name.ends_with(end))
}

/// Returns the JSON value with credentials and the values selected by `hides` masked.
pub(crate) fn masked(value: &Value, hides: MaskPredicate) -> Value {
    match value {
        // The URL of the page of a connect webview contains a secret.
        Value::String(text) if text.contains("auth_token=") => {
            json!(without_named_secrets(&without_tokens(text), is_secret))
        }
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

/// Returns true if a character can be part of a token.
pub(crate) fn is_of_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Returns the text with Seam's tokens masked, at any position.
pub(crate) fn without_tokens(text: &str) -> Cow<'_, str> {
    // Shorter matches are words, such as the names of parameters.
    const MIN_TOKEN_LENGTH: usize = 16;
    let mut rest = text;
    let mut clean = String::new();
    while let Some(start) = rest.find("seam_") {
        let (before, token) = rest.split_at(start);
        let end = token.find(|character| !is_of_token(character)).unwrap_or(token.len());
        let (token, behind) = token.split_at(end);
        clean.push_str(before);
        clean.push_str(if token.len() < MIN_TOKEN_LENGTH { token } else { MASK });
        rest = behind;
    }
    if clean.is_empty() && rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// Returns a text that is not JSON, or that is cut off, with the values behind the names selected by `hides` masked.
///
/// The text is read as words with gaps of other characters between them. The word behind a name is its value, whatever
/// the gap contains, such as `=` or `": "`. A value ends at a quote if it begins with one.
pub(crate) fn without_named_secrets(text: &str, hides: MaskPredicate) -> String {
    // In bytes. Behind a longer gap, a word is not the value of the name before it.
    const MAX_GAP: usize = 8;
    let mut clean = String::with_capacity(text.len());
    let mut follows_name = false;
    let mut rest = text;
    while !rest.is_empty() {
        let gap = rest.find(is_of_token).unwrap_or(rest.len());
        let (between, behind) = rest.split_at(gap);
        let is_value = follows_name && (1..=MAX_GAP).contains(&gap);
        let is_quoted = between.ends_with('"');
        let is_end = |character: char| match (is_value, is_quoted) {
            (true, true) => character == '"',
            (true, false) => matches!(character, '"' | '&' | ',') || character.is_whitespace(),
            (false, _) => !is_of_token(character),
        };
        let (word, behind) = behind.split_at(behind.find(is_end).unwrap_or(behind.len()));
        clean.push_str(between);
        clean.push_str(if is_value && !word.is_empty() { MASK } else { word });
        follows_name = hides(word);
        rest = behind;
    }
    clean
}

/// Returns a masked query string as an object. A parameter that is given more than once becomes a list.
pub(crate) fn query(query: &str, hides: MaskPredicate) -> Value {
    let mut values = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = if hides(&name) { json!(MASK) } else { json!(without_tokens(&value)) };
        match values.get_mut(name.as_ref()) {
            None => drop(values.insert(without_tokens(&name).into_owned(), value)),
            Some(Value::Array(list)) => list.push(value),
            Some(one) => *one = json!([one, value]),
        }
    }
    values.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_masked_at_any_position() {
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
    fn pins_are_masked_in_requests_without_a_workspace() {
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
