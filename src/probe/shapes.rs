//! The shape of a JSON body: its keys, types and kinds of values, without what is private in them.

use super::vocabulary::{Vocabulary, is_message, kind_of};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// End of the keys of objects whose keys a user of Seam chooses.
const OWN_KEYS: &str = "custom_metadata";

/// What is known of the values at one place of one or more bodies.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shape {
    /// Kinds of the values that are neither objects nor arrays, as the report shows them.
    kinds: BTreeSet<Kind>,
    /// Number of objects.
    objects: usize,
    /// Fields of the objects: their shapes, and in how many objects they are.
    fields: BTreeMap<String, Shape>,
    /// Number of times that something is at this place.
    present: usize,
    /// Number of arrays.
    arrays: usize,
    elements: Option<Box<Shape>>,
}

/// Type of a value, and what the report says of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    json_type: &'static str,
    /// Kind of text, word of the vocabulary, or value of a boolean.
    text: String,
    /// True if `text` is the value itself.
    is_value: bool,
    is_message: bool,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aspect {
    /// HTTP status.
    Status,
    /// `type` of an error.
    ErrorType,
    /// Text of an error or a warning, or of another message.
    Message,
    /// A key that one side lacks.
    Key,
    /// Null on one side only.
    Null,
    /// JSON type.
    Type,
    /// Kind of text, such as an id or an instant.
    Kind,
    /// A word of Seam's vocabulary, or a boolean.
    Value,
    /// An array is empty on one side only, or has another length.
    Count,
    /// Header of the response.
    Header,
    /// Elements of a list, such as events, that only one side has.
    Element,
    /// Order of the elements of a list.
    Order,
    /// The statuses that a code has one after the other.
    Course,
    /// The time until the awaited value.
    Time,
    /// Only one side has responded in time, or at all.
    Response,
}

/// One difference at one place, without what it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) aspect: Aspect,
    /// JSON pointer, with `*` for the elements of an array.
    pub(super) place: String,
    pub(super) seam: String,
    pub(super) latchkey: String,
}

impl Found {
    pub(super) fn new(
        aspect: Aspect,
        place: impl Into<String>,
        seam: impl Into<String>,
        latchkey: impl Into<String>,
    ) -> Self {
        Self { aspect, place: place.into(), seam: seam.into(), latchkey: latchkey.into() }
    }
}

impl Shape {
    /// Returns the shape of values at one place. `key` is the key of the values.
    pub(super) fn of<'v>(
        values: impl IntoIterator<Item = &'v Value>,
        key: &str,
        words: &Vocabulary,
        private: &[String],
    ) -> Self {
        let mut shape = Self::default();
        for value in values {
            shape.add(value, ("", key), words, private);
        }
        shape
    }

    /// Adds a value. `key` is its key, and `parent` the key of the object that has it.
    fn add(&mut self, value: &Value, (parent, key): (&str, &str), words: &Vocabulary, private: &[String]) {
        self.present += 1;
        let mut kind = |json_type, text: String, is_value, is_message| {
            self.kinds.insert(Kind { json_type, text, is_value, is_message });
        };
        match value {
            Value::Null => kind("null", "null".to_owned(), false, false),
            Value::Bool(value) => kind("boolean", value.to_string(), true, false),
            // Seam's numbers have no two types.
            Value::Number(_) => kind("number", "number".to_owned(), false, false),
            Value::String(text) if is_message(parent, key) => {
                kind("string", words.mask(text, private), true, true);
            }
            Value::String(text) => match words.word(key, text) {
                Some(word) => kind("string", word, true, false),
                None => kind("string", kind_of(text), false, false),
            },
            Value::Array(items) => {
                self.arrays += 1;
                for item in items {
                    self.elements.get_or_insert_default().add(item, (parent, key), words, private);
                }
            }
            Value::Object(fields) => {
                self.objects += 1;
                // The keys of this object are the user's own.
                let is_own = key.ends_with(OWN_KEYS);
                for (name, value) in fields.iter().filter(|_| !is_own) {
                    self.fields.entry(name.clone()).or_default().add(value, (key, name), words, private);
                }
            }
        }
    }

    /// Returns the types at this place, for the report.
    fn types(&self) -> BTreeSet<&'static str> {
        let mut types: BTreeSet<&'static str> = self.kinds.iter().map(|kind| kind.json_type).collect();
        types.extend((self.objects > 0).then_some("object"));
        types.extend((self.arrays > 0).then_some("array"));
        types
    }

    /// Returns everything at this place, for the report.
    pub(super) fn describe(&self) -> String {
        let mut parts: Vec<&str> = self.kinds.iter().map(|kind| kind.text.as_str()).collect();
        parts.extend((self.objects > 0).then_some("object"));
        parts.extend((self.arrays > 0).then_some("array"));
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(" or ") }
    }

    /// Adds the differences between two shapes of the same place.
    pub(super) fn compare(&self, latchkey: &Self, place: &str, ignore: &dyn Fn(&str) -> bool, found: &mut Vec<Found>) {
        if ignore(place) {
            return;
        }
        if let Some(aspect) = self.differing_aspect(latchkey) {
            found.push(Found::new(aspect, place, self.describe(), latchkey.describe()));
        }
        if self.objects > 0 && latchkey.objects > 0 {
            let keys: BTreeSet<&String> = self.fields.keys().chain(latchkey.fields.keys()).collect();
            for key in keys {
                let place = format!("{place}/{key}");
                match (self.fields.get(key), latchkey.fields.get(key)) {
                    (Some(seam_field), Some(latchkey_field)) => {
                        let is_everywhere = (self.has_everywhere(seam_field), latchkey.has_everywhere(latchkey_field));
                        if is_everywhere.0 != is_everywhere.1 && !ignore(&place) {
                            let describe = |is_everywhere| if is_everywhere { "in all" } else { "in some only" };
                            let (seam, latchkey) = (describe(is_everywhere.0), describe(is_everywhere.1));
                            found.push(Found::new(Aspect::Key, place.as_str(), seam, latchkey));
                        }
                        seam_field.compare(latchkey_field, &place, ignore, found);
                    }
                    _ if ignore(&place) => {}
                    (Some(seam), None) => found.push(Found::new(Aspect::Key, place, seam.describe(), "no such key")),
                    (None, latchkey) => {
                        let latchkey = latchkey.map(Self::describe).unwrap_or_default();
                        found.push(Found::new(Aspect::Key, place, "no such key", latchkey));
                    }
                }
            }
        }
        if self.arrays > 0 && latchkey.arrays > 0 {
            let place = format!("{place}/*");
            match (&self.elements, &latchkey.elements) {
                (Some(seam), Some(latchkey)) => seam.compare(latchkey, &place, ignore, found),
                (None, None) => {}
                _ if ignore(&place) => {}
                (seam, latchkey) => {
                    let describe = |elements: &Option<Box<Self>>| {
                        let filled = |elements: &Self| format!("elements: {}", elements.describe_words());
                        elements.as_deref().map_or_else(|| "empty".to_owned(), filled)
                    };
                    found.push(Found::new(Aspect::Count, place, describe(seam), describe(latchkey)));
                }
            }
        }
    }

    /// True if all objects at this place have this field.
    fn has_everywhere(&self, field: &Self) -> bool {
        field.present == self.objects
    }

    /// Returns the words in the elements of an array, which say what they are, such as the codes of errors.
    fn describe_words(&self) -> String {
        let words = self.fields.values().flat_map(|field| &field.kinds);
        let is_word = |kind: &&Kind| kind.is_value && !kind.is_message && kind.json_type == "string";
        let words: BTreeSet<&str> = words.filter(is_word).map(|kind| kind.text.as_str()).collect();
        if words.is_empty() { self.describe() } else { words.into_iter().collect::<Vec<_>>().join(", ") }
    }

    /// Returns how the values that are neither objects nor arrays differ; `None`: not at all.
    fn differing_aspect(&self, other: &Self) -> Option<Aspect> {
        let (own_types, other_types) = (self.types(), other.types());
        if own_types != other_types {
            let without_null = |mut types: BTreeSet<&'static str>| {
                types.remove("null");
                types
            };
            let is_null = own_types.contains("null") != other_types.contains("null");
            let (own_rest, other_rest) = (without_null(own_types), without_null(other_types));
            let is_same_else = own_rest.is_empty() || other_rest.is_empty() || own_rest == other_rest;
            return Some(if is_null && is_same_else { Aspect::Null } else { Aspect::Type });
        }
        if self.kinds == other.kinds {
            return None;
        }
        let differing: Vec<&Kind> = self.kinds.symmetric_difference(&other.kinds).collect();
        Some(if differing.iter().any(|kind| kind.is_message) {
            Aspect::Message
        } else if differing.iter().all(|kind| kind.is_value) {
            Aspect::Value
        } else {
            Aspect::Kind
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Compares two values. Each difference is its aspect, place, and both sides.
    fn differences(seam: &Value, latchkey: &Value) -> Vec<(Aspect, String, String, String)> {
        let words = Vocabulary::included().unwrap();
        let shape = |value| Shape::of([value], "", &words, &["Lobby".to_owned()]);
        let mut found = Vec::new();
        shape(seam).compare(&shape(latchkey), "", &|place| place == "/ignored", &mut found);
        found.into_iter().map(|found| (found.aspect, found.place, found.seam, found.latchkey)).collect()
    }

    #[test]
    fn values_of_one_kind_have_the_same_shape() {
        for (one, other) in [
            (json!({"code": "1234"}), json!({"code": "5678"})),
            (json!({"at": "2026-01-01T00:00:00.000Z"}), json!({"at": "2027-12-31T23:59:59.999Z"})),
            (
                json!({"id": "01a22ade-1f6a-7aeb-805e-da3522252d29"}),
                json!({"id": "00000000-0000-4000-8000-000000000101"}),
            ),
            (json!({"level": 1}), json!({"level": 0.9})),
            (json!({"name": "Front door"}), json!({"name": "x"})),
            (json!({"ignored": 1}), json!({"ignored": "a"})),
            (json!({"a": [1, 2]}), json!({"a": [3]})),
            (json!({"message": "Lobby is full"}), json!({"message": "Lobby is full"})),
            (json!({"errors": [{"message": "Ann"}]}), json!({"errors": [{"message": "Bob"}]})),
            (json!({"event_description": "Ann"}), json!({"event_description": "Bob"})),
            (json!({"device_custom_metadata": {"owner": 1}}), json!({"device_custom_metadata": {}})),
        ] {
            assert_eq!(differences(&one, &other), [], "{one} {other}");
        }
    }

    #[test]
    fn differing_shapes_are_named_by_aspect_and_place() {
        for (seam, latchkey, aspect, place) in [
            (json!({"a": 1}), json!({}), Aspect::Key, "/a"),
            (json!({}), json!({"a": {"b": 1}}), Aspect::Key, "/a"),
            (json!({"a": null}), json!({"a": "x"}), Aspect::Null, "/a"),
            (json!({"a": null}), json!({"a": {}}), Aspect::Null, "/a"),
            (json!({"a": 1}), json!({"a": "1"}), Aspect::Type, "/a"),
            (json!({"a": {}}), json!({"a": []}), Aspect::Type, "/a"),
            (json!({"a": "1234"}), json!({"a": "12345"}), Aspect::Kind, "/a"),
            (json!({"a": "2026-01-01T00:00:00Z"}), json!({"a": "2026-01-01T00:00:00.000Z"}), Aspect::Kind, "/a"),
            (json!({"a": true}), json!({"a": false}), Aspect::Value, "/a"),
            (json!({"status": "set"}), json!({"status": "setting"}), Aspect::Value, "/status"),
            (json!({"message": "a"}), json!({"message": "b"}), Aspect::Message, "/message"),
            (json!({"a": []}), json!({"a": [1]}), Aspect::Count, "/a/*"),
            (json!({"a": [{"b": 1}]}), json!({"a": [{"b": 1}, {"b": null}]}), Aspect::Null, "/a/*/b"),
            (json!({"a": [{"b": "x"}, {"b": null}]}), json!({"a": [{"b": 1}]}), Aspect::Type, "/a/*/b"),
            (json!({"a": [{"b": 1}, {}]}), json!({"a": [{"b": 1}, {"b": 2}]}), Aspect::Key, "/a/*/b"),
            (json!({"a": [{"b": 1}]}), json!({"a": [{}, {"b": 2}]}), Aspect::Key, "/a/*/b"),
        ] {
            let found = differences(&seam, &latchkey);
            assert_eq!(found.len(), 1, "{seam} {latchkey}: {found:?}");
            assert_eq!((found[0].0, found[0].1.as_str()), (aspect, place), "{seam} {latchkey}");
        }
    }

    #[test]
    fn differences_show_words_and_masked_messages_and_no_other_values() {
        let seam = json!({"status": "set", "name": "Ann", "errors": [{"error_code": "duplicate_code_on_device", "note": "Ann"}],
            "message": "Lobby has no access_code 01a22ade-1f6a-7aeb-805e-da3522252d29"});
        let latchkey = json!({"status": "unset", "name": null, "errors": [], "message": "No"});
        let found = differences(&seam, &latchkey);
        let shown: Vec<&str> = found.iter().map(|found| found.2.as_str()).collect();
        assert_eq!(shown, ["elements: duplicate_code_on_device", "<name> has no access_code <id>", "text", "set"]);
    }
}
