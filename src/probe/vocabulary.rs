//! Which texts of responses may be shown: words of Seam's vocabulary, and messages without what is private in them.

use crate::clock::from_iso;
use crate::contract::OPENAPI;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Keys whose values are words, besides those that are enumerated in the contract.
const OTHER_WORDS: &[&str] = &["display_status", "error_code", "event_type", "status", "type", "warning_code"];

/// Words that the contract does not enumerate: types of errors, and labels.
const WORDS: &str = include_str!("words.json");

/// What the report says of a text that may not be shown.
pub(super) const TEXT: &str = "text";

/// Parts of the keys of private texts.
const PRIVATE_KEYS: &[&str] =
    &["_key", "address", "custom_metadata", "email", "identifier", "location", "name", "number", "phone", "title"];

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

/// What is private in messages, and what the report shows instead. The order matters.
const PATTERNS: &[(&str, &str)] = &[
    (r"\b(?:seam|whsec)_\w+", "<secret>"),
    (r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\x22'`<>]+", "<url>"),
    (r"[^\s\x22'`<>(),;:]+@[^\s\x22'`<>(),;:]*[^\s\x22'`<>(),;:.]", "<email>"),
    (r"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", "<id>"),
    (r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d[\d:.]*(?:Z|[+-]\d\d:?\d\d)?)?", "<time>"),
    (r"\+?\(?\d[\d ().-]{6,}\d", "<phone>"),
    (r"(?i)[0-9a-f]{8,}", "<hex>"),
    (r"\d{3,}", "<digits>"),
    (r"\b[A-Z][A-Za-z]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?", "<time zone>"),
];

/// Reason why data in the program cannot be used: it was built with invalid data.
#[derive(Debug, thiserror::Error)]
pub enum BuiltInError {
    /// A document cannot be decompressed.
    #[error("a document in the program is damaged: {0}")]
    Compressed(#[from] std::io::Error),
    /// A document is invalid.
    #[error("a document in the program is invalid: {0}")]
    Document(#[from] serde_json::Error),
    /// A pattern is invalid.
    #[error("a pattern in the program is invalid: {0}")]
    Pattern(#[from] regex::Error),
}

/// The words of Seam's vocabulary.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// Keys whose values are words.
    keys: BTreeSet<String>,
    words: BTreeSet<String>,
    /// Names of parameters, fields and paths.
    names: BTreeSet<String>,
    /// The patterns of what is private in messages.
    patterns: Vec<(Regex, &'static str)>,
}

impl Vocabulary {
    /// Returns the vocabulary of the contract in the program.
    ///
    /// # Errors
    /// A [`BuiltInError`].
    pub(super) fn included() -> Result<Self, BuiltInError> {
        let keys = OTHER_WORDS.iter().map(|&key| key.to_owned()).collect();
        let words = serde_json::from_str(WORDS)?;
        let patterns = PATTERNS.iter().map(|(pattern, mask)| Ok((Regex::new(pattern)?, *mask)));
        let patterns = patterns.collect::<Result<_, regex::Error>>()?;
        let mut vocabulary = Self { keys, words, names: BTreeSet::new(), patterns };
        let contract: Value = serde_json::from_str(OPENAPI.text()?)?;
        vocabulary.add(&contract, "");
        // These are free text in other objects.
        for key in ["name", "owner", "reason"] {
            vocabulary.keys.remove(key);
        }
        Ok(vocabulary)
    }

    /// Adds the keys of enumerations of strings, their words, and the names of fields.
    fn add(&mut self, schema: &Value, key: &str) {
        match schema {
            Value::Object(fields) => {
                let values = fields.get("enum").and_then(Value::as_array);
                let values: Vec<&str> = values.into_iter().flatten().filter_map(Value::as_str).collect();
                if !values.is_empty() {
                    self.keys.insert(key.to_owned());
                    self.words.extend(values.into_iter().map(str::to_owned));
                }
                for (name, value) in fields {
                    let is_keyword = matches!(name.as_str(), "items" | "oneOf" | "anyOf" | "allOf");
                    if matches!(key, "properties" | "paths") {
                        self.names.insert(name.clone());
                    }
                    self.add(value, if is_keyword { key } else { name });
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.add(item, key)),
            _ => {}
        }
    }

    /// Returns the value of a key if it is a word, which may be shown.
    pub(super) fn word(&self, key: &str, text: &str) -> Option<String> {
        (self.keys.contains(key) && self.words.contains(text)).then(|| text.to_owned())
    }

    /// Masks all in a message that may be private: names, ids, times, PINs, addresses, and what stands in quotes, unless
    /// it is a name of the contract. `private` begins with the longest text.
    pub(super) fn mask(&self, message: &str, private: &[String]) -> String {
        let mut text = message.to_owned();
        for name in private {
            text = text.replace(name.as_str(), "<name>");
        }
        for (pattern, mask) in &self.patterns {
            text = pattern.replace_all(&text, *mask).into_owned();
        }
        mask_named(&self.mask_quoted(&text))
    }

    /// Masks what stands in quotes. Texts in quotes may contain such quotes: what may not be shown ends at the last one.
    fn mask_quoted(&self, text: &str) -> String {
        let mut masked = String::new();
        let mut rest = text;
        while let Some((before, quote, after)) = opening_quote(rest) {
            masked.push_str(before);
            let Some(end) = closing_quotes(after, quote).next() else {
                return masked + "<text>";
            };
            let quoted = &after[..end];
            let is_shown = self.is_shown(quoted);
            let end = if is_shown { end } else { closing_quotes(after, quote).last().unwrap_or(end) };
            masked.push(quote);
            masked.push_str(if is_shown { quoted } else { "<text>" });
            masked.push(quote);
            rest = &after[end + quote.len_utf8()..];
        }
        masked + rest
    }

    /// True if a text is a name or a word of the contract, a path of names such as `device_ids[0]`, or masked already.
    fn is_shown(&self, quoted: &str) -> bool {
        let is_mask = quoted.starts_with('<') && quoted.ends_with('>') && quoted.matches('<').count() == 1;
        let is_index = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let mut parts = quoted.split(['.', '[', ']']);
        is_mask
            || self.names.contains(quoted)
            || parts.all(|part| is_index(part) || self.names.contains(part) || self.words.contains(part))
    }
}

/// Returns the first quote that begins a text, with what is before and after it. An apostrophe in a word is none.
fn opening_quote(text: &str) -> Option<(&str, char, &str)> {
    let mut last = ' ';
    for (at, character) in text.char_indices() {
        let closing = match character {
            '"' | '`' => Some(character),
            '\'' if !last.is_alphanumeric() => Some(character),
            '\u{201c}' => Some('\u{201d}'),
            '\u{2018}' => Some('\u{2019}'),
            _ => None,
        };
        if let Some(closing) = closing {
            return Some((&text[..at], closing, &text[at + character.len_utf8()..]));
        }
        last = character;
    }
    None
}

/// Returns the places of the quotes that can end a text. An apostrophe in a word cannot.
fn closing_quotes(text: &str, quote: char) -> impl Iterator<Item = usize> {
    let quotes = text.match_indices(quote).map(|(at, _)| at);
    quotes.filter(move |at| !text[at + quote.len_utf8()..].starts_with(char::is_alphanumeric))
}

/// Masks what follows the word `named`: nobody knows where a name ends. What is in quotes is masked already.
fn mask_named(text: &str) -> String {
    const NAMED: &str = "named ";
    match text.split_once(NAMED) {
        Some((before, after)) if after.starts_with(|quote: char| "\"'`\u{201d}\u{2019}".contains(quote)) => {
            format!("{before}{NAMED}{}", mask_named(after))
        }
        Some((before, _)) => format!("{before}{NAMED}<text>"),
        None => text.to_owned(),
    }
}

/// True if a value is a message of an error response. Messages in objects, such as those of the errors of a lock, and
/// descriptions of events are written for the user, and are never shown.
pub(super) fn is_message(parent: &str, key: &str) -> bool {
    key == "_errors" || key == "message" && matches!(parent, "" | "error")
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
        TEXT.to_owned()
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
        Value::Object(fields) => {
            // All below is the user's own.
            let own = Some(key).filter(|key| key.ends_with("custom_metadata") || *key == "location");
            fields.iter().for_each(|(key, value)| collect_private(value, own.unwrap_or(key), found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_private(item, key, found)),
        Value::String(text) => {
            let is_private = PRIVATE_KEYS.iter().any(|part| key.contains(part));
            if text.len() >= MIN_NAME && is_private {
                found.insert(text.clone());
            }
        }
        _ => {}
    }
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
        let words = Vocabulary::included().unwrap();
        for (key, text, is_shown) in [
            ("status", "set", true),
            ("event_type", "access_code.brand_new", false),
            ("display_status", "Being deleted", true),
            ("device_type", "august_lock", true),
            ("error_code", "duplicate_code_on_device", true),
            ("type", "device_not_found", true),
            ("type", "jane_doe", false),
            ("name", "set", false),
            ("email", "set", false),
            ("type", "jane@example.com", false),
            ("type", "", false),
        ] {
            assert_eq!(words.word(key, text).is_some(), is_shown, "{key} {text}");
        }
    }

    #[test]
    fn messages_are_masked() {
        let mut private = BTreeSet::new();
        let body = json!({
            "devices": [{"display_name": "Lobby", "location": {"room": "Attic"}}], "status": "set",
            "custom_metadata": {"guest": ["Ann"]},
        });
        collect_private(&body, "", &mut private);
        let private: Vec<String> = private.into_iter().collect();
        assert_eq!(private, ["Ann", "Attic", "Lobby"]);
        let words = Vocabulary::included().unwrap();
        for (message, masked) in [
            ("Device Lobby is offline.", "Device <name> is offline."),
            ("Ann is in the Attic", "<name> is in the <name>"),
            ("No 01a22ade-1f6a-7aeb-805e-da3522252d29.", "No <id>."),
            ("PIN \"482615\" at 2026-01-01T00:00:00Z", "PIN \"<digits>\" at <time>"),
            ("Lock#482 and x01a22ade", "Lock#<digits> and x<hex>"),
            ("Ask jane@example.com, see https://a.example/b", "Ask <email>, see <url>"),
            ("(mailto:jane@example.com)", "(mailto:<email>)"),
            ("Call +1 (415) 555-0132.", "Call <phone>."),
            ("in America/Los_Angeles", "in <time zone>"),
            ("Required for \"device_id\"", "Required for \"device_id\""),
            ("'device_ids[0]' or `/devices/get`", "'device_ids[0]' or `/devices/get`"),
            ("Expected 'ongoing', not 'Bob's door' here", "Expected 'ongoing', not '<text>' here"),
            ("The guests' door 'Bob' can't open", "The guests' door '<text>' can't open"),
            ("No \"Bob\" or \"device_id\" here", "No \"<text>\" here"),
            ("a \"Bob", "a <text>"),
            ("The lock named Front Door is offline", "The lock named <text>"),
            ("The lock named \"Front Door\" is offline", "The lock named \"<text>\" is offline"),
            ("between 4 and 12 digits", "between 4 and 12 digits"),
            ("key seam_test2bMS_94SrG", "key <secret>"),
        ] {
            assert_eq!(words.mask(message, &private), masked);
        }
    }
}
