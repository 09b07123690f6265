//! Part of an OpenAPI document that is about requests. A server checks requests only, and the rest is nine tenths of the
//! document. The build script (`build.rs`) uses this module, so the program contains this part as a text of its own.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

use super::references::referenced_names;

/// Keywords that are about responses or for readers.
const OMITTED: [&str; 6] = ["responses", "description", "summary", "title", "example", "x-latchkey-deviations"];

/// Keywords whose value is an object with names as keys, which may be equal to keywords.
const WITH_NAMES: [&str; 3] = ["paths", "schemas", "properties"];

/// Parses a document without what is not about requests.
///
/// # Errors
/// The text is not JSON.
pub(super) fn parse(document: &str) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(document);
    let mut document = Part { has_names: false }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    retain_referenced_schemas(&mut document);
    Ok(document)
}

/// Removes the named schemas to which no operation refers, directly or indirectly.
fn retain_referenced_schemas(document: &mut Value) {
    let paths = document.get("paths").cloned().unwrap_or_default();
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    let referenced = referenced_names(&paths, schemas);
    schemas.retain(|name, _| referenced.contains(name));
}

/// Deserializer of one part of the document.
#[derive(Clone, Copy)]
struct Part {
    /// True if the keys of this object are names.
    has_names: bool,
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if !self.has_names && OMITTED.contains(&key.as_str()) {
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
            let has_names = !self.has_names && WITH_NAMES.contains(&key.as_str());
            let value = entries.next_value_seed(Self { has_names })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Self { has_names: false })? {
            values.push(value);
        }
        values.shrink_to_fit();
        Ok(Value::Array(values))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_only_keeps_the_schemas_of_requests() {
        let schema = |reference: &str| json!({ "$ref": format!("#/components/schemas/{reference}") });
        let body = json!({ "content": { "application/json": { "schema": {
            "title": "Input",
            "properties": { "title": { "type": "string", "description": "a title" }, "device": schema("device"),
                            "properties": { "enum": ["description", null, 1, -1, 0.5, true] } } } } } });
        let schemas = json!({ "device": { "items": schema("name") }, "name": { "type": "string" }, "event": {} });
        let document = json!({ "openapi": "3.0.0", "x-latchkey-deviations": [],
                               "paths": { "/a": { "post": { "requestBody": body, "responses": { "200": {} } } } },
                               "components": { "schemas": schemas } });
        let kept = json!({ "content": { "application/json": { "schema": {
            "properties": { "title": { "type": "string" }, "device": schema("device"),
                            "properties": { "enum": ["description", null, 1, -1, 0.5, true] } } } } } });
        assert_eq!(
            parse(&document.to_string()).unwrap(),
            json!({ "openapi": "3.0.0", "paths": { "/a": { "post": { "requestBody": kept } } },
                    "components": { "schemas": { "device": { "items": schema("name") }, "name": { "type": "string" } } } })
        );
        assert!(parse("{").is_err() && parse("{} {}").is_err());
    }
}
