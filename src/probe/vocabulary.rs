//! Which texts of responses may be shown: words of Seam's vocabulary, and messages without what is private in them.

use crate::clock::from_iso;
use crate::contract::OPENAPI;
use serde_json::Value;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Keys whose values are words, besides those that are enumerated in the contract.
const OTHER_WORDS: &[&str] = &["display_status", "error_code", "event_type", "status", "type", "warning_code"];

/// Keys of messages for people.
const MESSAGES: &[&str] = &["_errors", "description", "event_description", "message"];

/// Maximum length of a word, in bytes.
const MAX_WORD: usize = 80;

/// Minimum length of a name that is masked in messages. A shorter one could be a part of any word.
const MIN_NAME: usize = 3;

/// Numbers of digits that a PIN can have.
const PIN_LENGTHS: std::ops::RangeInclusive<usize> = 4..=12;

/// Prefixes of secrets, with what the report calls them.
const TOKENS: &[(&str, &str)] = &[
    ("seam_cst", "client session token"),
    ("seam_pk", "publishable key"),
    ("seam_at", "access token"),
    ("seam_", "API key"),
    ("whsec_", "webhook secret"),
];

/// The keys whose values are words of Seam's vocabulary.
#[derive(Debug)]
pub(super) struct Vocabulary {
    keys: BTreeSet<String>,
}

impl Vocabulary {
    /// Returns the vocabulary of the contract in the program.
    pub(super) fn included() -> Self {
        let mut keys: BTreeSet<String> = OTHER_WORDS.iter().map(|&key| key.to_owned()).collect();
        let contract: Value = serde_json::from_str(OPENAPI).unwrap_or_default();
        if let Some(schemas) = contract.pointer("/components/schemas") {
            enumerated_keys(schemas, "", &mut keys);
        }
        // These are free text in other objects.
        for key in ["name", "owner", "reason"] {
            keys.remove(key);
        }
        Self { keys }
    }

    /// Returns the value of a key if it is a word, which may be shown.
    pub(super) fn word(&self, key: &str, text: &str) -> Option<String> {
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "_. -".contains(character);
        let is_word = self.keys.contains(key) && text.len() <= MAX_WORD && text.chars().all(is_plain);
        (is_word && Uuid::try_parse(text).is_err() && !text.is_empty()).then(|| text.to_owned())
    }

    /// True if the values of this key are messages.
    #[expect(clippy::unused_self, reason = "which keys have messages is a part of the vocabulary")]
    pub(super) fn is_message(&self, key: &str) -> bool {
        MESSAGES.contains(&key)
    }
}

/// Adds the keys of properties with an enumeration of strings.
fn enumerated_keys(schema: &Value, key: &str, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let values = fields.get("enum").and_then(Value::as_array);
            if values.is_some_and(|values| values.iter().any(Value::is_string)) {
                found.insert(key.to_owned());
            }
            for (name, value) in fields {
                let is_keyword = matches!(name.as_str(), "items" | "oneOf" | "anyOf" | "allOf");
                enumerated_keys(value, if is_keyword { key } else { name }, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| enumerated_keys(item, key, found)),
        _ => {}
    }
}

/// Returns what kind of text this is.
pub(super) fn kind_of(text: &str) -> String {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() {
        "empty text".to_owned()
    } else if Uuid::try_parse(text).is_ok() {
        "id".to_owned()
    } else if is_digits && PIN_LENGTHS.contains(&text.len()) {
        format!("{} digits", text.len())
    } else if text.contains('T') && from_iso(text).is_some() {
        let mask = |character: char| if character.is_ascii_digit() { '0' } else { character };
        format!("time like {}", text.chars().map(mask).collect::<String>())
    } else if let Some((_, name)) = TOKENS.iter().find(|(prefix, _)| text.starts_with(prefix)) {
        (*name).to_owned()
    } else if let Some(scheme) = scheme_of(text) {
        format!("URL ({scheme})")
    } else if is_email(text) {
        "email address".to_owned()
    } else if text.contains('/') && text.parse::<chrono_tz::Tz>().is_ok() {
        "time zone".to_owned()
    } else {
        "text".to_owned()
    }
}

/// Returns the scheme of a URL; `None`: the text is no URL.
fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    ["http", "https", "ws", "wss"].contains(&scheme).then_some(scheme).filter(|_| !rest.contains(char::is_whitespace))
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && !host.contains(' '))
}

/// Collects the names and other private texts in a body, which messages may repeat.
pub(super) fn collect_private(value: &Value, key: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| collect_private(value, key, found)),
        Value::Array(items) => items.iter().for_each(|item| collect_private(item, key, found)),
        Value::String(text) => {
            let is_private = ["name", "email", "address", "identifier", "number", "phone", "title", "_key"];
            if text.len() >= MIN_NAME && is_private.iter().any(|part| key.contains(part)) {
                found.insert(text.clone());
            }
        }
        _ => {}
    }
}

/// Masks names, ids, instants, PINs and addresses in a message. `private` begins with the longest text.
pub(super) fn mask(message: &str, private: &[String]) -> String {
    let mut text = message.to_owned();
    for name in private {
        text = text.replace(name.as_str(), "<name>");
    }
    let mut masked = String::new();
    for piece in text.split_inclusive(|character: char| " \"'`,;()[]<>=\n".contains(character)) {
        let end = piece.trim_end_matches(|character: char| " \"'`,;()[]<>=\n.:".contains(character)).len();
        let (word, after) = piece.split_at(end);
        masked.push_str(&mask_word(word));
        masked.push_str(after);
    }
    masked
}

fn mask_word(word: &str) -> String {
    let kind = kind_of(word);
    let mask = match kind.as_str() {
        "id" => "<id>",
        "email address" => "<email>",
        "time zone" => "<time zone>",
        kind if kind.ends_with("digits") => "<digits>",
        kind if kind.starts_with("time like") => "<time>",
        kind if kind.starts_with("URL") => "<url>",
        kind if TOKENS.iter().any(|(_, name)| *name == kind) => "<secret>",
        _ => word,
    };
    mask.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_known_by_their_kind() {
        for (text, kind) in [
            ("", "empty text"),
            ("01a22ade-1f6a-7aeb-805e-da3522252d29", "id"),
            ("1234", "4 digits"),
            ("123", "text"),
            ("2026-01-31T15:00:00.000Z", "time like 0000-00-00T00:00:00.000Z"),
            ("2026-01-31T15:00:00+01:00", "time like 0000-00-00T00:00:00+00:00"),
            ("seam_cst1891oqCmE_6dBw", "client session token"),
            ("seam_test2bMS_94SrG", "API key"),
            ("https://hooks.example.com/secret", "URL (https)"),
            ("jane: https://hooks.example.com", "text"),
            ("https://hooks.example.com and more", "text"),
            ("jane@example.com", "email address"),
            ("America/Los_Angeles", "time zone"),
            ("Front Door", "text"),
        ] {
            assert_eq!(kind_of(text), kind, "{text}");
        }
    }

    #[test]
    fn words_are_shown_only_at_keys_of_the_vocabulary() {
        let words = Vocabulary::included();
        for (key, text, is_shown) in [
            ("status", "set", true),
            ("event_type", "access_code.brand_new", true),
            ("display_status", "Being deleted", true),
            ("device_type", "august_lock", true),
            ("error_code", "new_code", true),
            ("name", "set", false),
            ("email", "set", false),
            ("type", "jane@example.com", false),
            ("type", "", false),
        ] {
            assert_eq!(words.word(key, text).is_some(), is_shown, "{key} {text}");
        }
    }

    #[test]
    fn messages_are_masked_word_by_word() {
        let mut private = BTreeSet::new();
        collect_private(&json!({"devices": [{"display_name": "Lobby"}], "status": "set"}), "", &mut private);
        let private: Vec<String> = private.into_iter().collect();
        for (message, masked) in [
            ("Device Lobby is offline.", "Device <name> is offline."),
            ("No 01a22ade-1f6a-7aeb-805e-da3522252d29.", "No <id>."),
            ("PIN \"482615\" at 2026-01-01T00:00:00Z", "PIN \"<digits>\" at <time>"),
            ("Ask jane@example.com, see https://a.example/b", "Ask <email>, see <url>"),
            ("Required for \"device_id\"", "Required for \"device_id\""),
            ("key seam_test2bMS_94SrG", "key <secret>"),
        ] {
            assert_eq!(mask(message, &private), masked);
        }
        assert_eq!(private, ["Lobby"]);
    }
}
