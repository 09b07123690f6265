//! Schemas of an OpenAPI 3.0 document, and their translation to JSON Schema for the validator.

use std::fmt;
use std::sync::Arc;

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use super::direction::Direction;
use super::formats::FORMATS;
use super::references::{reference, referenced_names};

/// Schema that accepts every value. Used for references that cannot be resolved.
const ANYTHING: &Value = &Value::Bool(true);

/// Schemas of one document. Resolves the references in the document.
#[derive(Clone)]
pub(super) struct Schemas(Arc<Value>);

/// Omits the document, because it would make the output of every containing type unreadable.
impl fmt::Debug for Schemas {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Schemas").finish_non_exhaustive()
    }
}

impl Schemas {
    pub(super) fn new(document: Value) -> Self {
        Self(Arc::new(document))
    }

    pub(super) fn document(&self) -> &Value {
        &self.0
    }

    /// Follows `$ref` from `node`, a schema or any other part of the document. Returns `node` itself if it has no
    /// `$ref`.
    pub(super) fn resolve<'a>(&'a self, node: &'a Value) -> &'a Value {
        let mut node = node;
        while let Some(reference) = reference(node) {
            node = self.target(reference);
        }
        node
    }

    /// Returns the schema that `reference` names; [`ANYTHING`] if there is none.
    pub(super) fn target(&self, reference: &str) -> &Value {
        let pointer = reference.strip_prefix('#').unwrap_or_default();
        self.0.pointer(pointer).unwrap_or(ANYTHING)
    }

    /// Returns the properties that an object may have under `schema`, in the order of the document and each name once.
    /// Includes the properties of `allOf`, `oneOf` and `anyOf`.
    pub(super) fn properties<'a>(&'a self, schema: &'a Value) -> Vec<(&'a str, &'a Value)> {
        let schema = self.resolve(schema);
        let mut found: Vec<(&str, &Value)> = Vec::new();
        let own = schema.get("properties").and_then(Value::as_object);
        found.extend(own.into_iter().flatten().map(|(name, property)| (name.as_str(), property)));
        for part in ["allOf", "oneOf", "anyOf"].iter().flat_map(|keyword| list(schema, keyword)) {
            for (name, property) in self.properties(part) {
                if found.iter().all(|(known, _)| *known != name) {
                    found.push((name, property));
                }
            }
        }
        found
    }

    /// Compiles `schema` into a validator, which also checks formats.
    pub(super) fn compile(
        &self,
        schema: &Value,
        direction: Direction,
    ) -> Result<Validator, jsonschema::ValidationError<'static>> {
        options(direction).build(&self.with_referenced_schemas(schema))
    }

    /// Returns the JSON Schema for `schema`, together with the named schemas that it references, directly or
    /// indirectly. The others are left out, because compiling a whole large document for each operation would take most
    /// of the time.
    fn with_referenced_schemas(&self, schema: &Value) -> Value {
        let root = translate(schema);
        let schemas = self.0.pointer("/components/schemas").and_then(Value::as_object);
        let referenced = schemas.into_iter().flat_map(|schemas| {
            let names = referenced_names(schema, schemas).into_iter();
            names.filter_map(|name| schemas.get(&name).map(|schema| (name, translate(schema))))
        });
        let named: Map<String, Value> = referenced.collect();
        json!({"allOf": [root], "components": {"schemas": named}})
    }
}

/// Returns the options for compiling schemas: JSON Schema 2020-12 with the string formats in [`FORMATS`], as they apply
/// to requests or to responses.
pub(super) fn options<'a>(direction: Direction) -> jsonschema::ValidationOptions<'a> {
    let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
    FORMATS.iter().fold(options, |options, format| options.with_format(format.name, format.check(direction)))
}

/// Returns true if `schema` allows null with OpenAPI's keyword `nullable`.
pub(super) fn is_nullable(schema: &Value) -> bool {
    schema.get("nullable") == Some(&Value::Bool(true))
}

/// Returns the elements of the array under `keyword`; none if there is no array.
pub(super) fn list<'a>(schema: &'a Value, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Translates one OpenAPI 3.0 schema to JSON Schema 2020-12.
///
/// The two differ in `nullable`, in the boolean `exclusiveMinimum` and `exclusiveMaximum`, and in keywords beside a
/// `$ref` (which OpenAPI ignores; only `nullable` is used here). A `oneOf` becomes an `anyOf`: in Seam's document it
/// represents a zod union, which accepts a value that matches several of its branches.
fn translate(schema: &Value) -> Value {
    let Some(keywords) = schema.as_object() else {
        return schema.clone();
    };
    let mut translated = Map::new();
    if let Some(reference) = keywords.get("$ref") {
        translated.insert("$ref".to_owned(), reference.clone());
    } else {
        for (keyword, value) in keywords {
            translate_keyword(keyword, value, schema, &mut translated);
        }
    }
    if is_nullable(schema) { or_null(translated) } else { translated.into() }
}

fn translate_keyword(keyword: &str, value: &Value, schema: &Value, into: &mut Map<String, Value>) {
    let (keyword, value) = match (keyword, value) {
        // Annotations, which would only cost compile time, and keywords that are handled elsewhere.
        ("nullable" | "discriminator" | "description" | "title" | "default" | "example", _) => {
            return;
        }
        ("exclusiveMinimum" | "exclusiveMaximum", Value::Bool(_)) => return,
        ("minimum", limit) if schema.get("exclusiveMinimum") == Some(&Value::Bool(true)) => {
            ("exclusiveMinimum", limit.clone())
        }
        ("maximum", limit) if schema.get("exclusiveMaximum") == Some(&Value::Bool(true)) => {
            ("exclusiveMaximum", limit.clone())
        }
        ("properties", Value::Object(properties)) => {
            let translated = properties.iter().map(|(name, property)| (name.clone(), translate(property)));
            ("properties", Value::Object(translated.collect()))
        }
        ("items" | "additionalProperties" | "not", schema) => (keyword, translate(schema)),
        ("allOf", Value::Array(parts)) => ("allOf", parts.iter().map(translate).collect()),
        ("oneOf" | "anyOf", Value::Array(branches)) => ("anyOf", branches.iter().map(translate).collect()),
        _ => (keyword, value.clone()),
    };
    into.insert(keyword.to_owned(), value);
}

/// Allows null in addition to the values that `schema` accepts.
fn or_null(mut schema: Map<String, Value>) -> Value {
    if schema.is_empty() {
        return schema.into();
    }
    let combines = ["$ref", "allOf", "anyOf", "not"].iter().any(|keyword| schema.contains_key(*keyword));
    let Some(kind) = schema.get("type").filter(|_| !combines).cloned() else {
        return json!({"anyOf": [schema, {"type": "null"}]});
    };
    schema.insert("type".to_owned(), json!([kind, "null"]));
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    schema.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nullable_type_also_accepts_null() {
        assert_eq!(
            translate(&json!({"type": "string", "nullable": true, "minLength": 1})),
            json!({"type": ["string", "null"], "minLength": 1})
        );
        assert_eq!(translate(&json!({"type": "string", "nullable": false})), json!({"type": "string"}));
    }

    #[test]
    fn nullable_enum_gains_null_once() {
        let expected = json!({"type": ["string", "null"], "enum": ["a", null]});
        assert_eq!(translate(&json!({"type": "string", "nullable": true, "enum": ["a"]})), expected);
        assert_eq!(translate(&json!({"type": "string", "nullable": true, "enum": ["a", null]})), expected);
    }

    #[test]
    fn nullable_reference_or_union_becomes_an_any_of_with_null() {
        assert_eq!(
            translate(&json!({"$ref": "#/components/schemas/a", "nullable": true, "minLength": 4})),
            json!({"anyOf": [{"$ref": "#/components/schemas/a"}, {"type": "null"}]})
        );
        assert_eq!(
            translate(&json!({"oneOf": [{"type": "string"}, {"type": "boolean"}], "nullable": true})),
            json!({"anyOf": [{"anyOf": [{"type": "string"}, {"type": "boolean"}]}, {"type": "null"}]})
        );
    }

    #[test]
    fn nullable_without_other_keywords_accepts_everything() {
        assert_eq!(translate(&json!({"nullable": true, "description": "x"})), json!({}));
    }

    #[test]
    fn boolean_exclusive_limit_becomes_a_number() {
        assert_eq!(
            translate(&json!({"minimum": 0, "exclusiveMinimum": true, "maximum": 9, "exclusiveMaximum": false})),
            json!({"exclusiveMinimum": 0, "maximum": 9})
        );
        assert_eq!(translate(&json!({"exclusiveMaximum": true, "maximum": 9})), json!({"exclusiveMaximum": 9}));
    }

    #[test]
    fn translation_includes_all_nested_schemas() {
        let nullable = json!({"type": "string", "nullable": true});
        let plain = json!({"type": ["string", "null"]});
        assert_eq!(
            translate(&json!({
                "properties": {"a": nullable},
                "items": nullable,
                "additionalProperties": nullable,
                "allOf": [nullable],
                "oneOf": [nullable],
            })),
            json!({
                "properties": {"a": plain},
                "items": plain,
                "additionalProperties": plain,
                "allOf": [plain],
                "anyOf": [plain],
            })
        );
    }

    #[test]
    fn property_named_like_a_keyword_stays_unchanged() {
        let schema = json!({"properties": {"nullable": {"type": "boolean"}, "default": {"enum": ["nullable"]}}});
        assert_eq!(translate(&schema), schema);
    }

    #[test]
    fn closed_schema_contains_only_the_referenced_named_schemas() {
        let schemas = Schemas::new(json!({"components": {"schemas": {
            "a": {"properties": {"b": {"$ref": "#/components/schemas/b"}}},
            "b": {"items": {"$ref": "#/components/schemas/a"}},
            "c": {},
        }}}));
        let closed = schemas.with_referenced_schemas(&json!({"$ref": "#/components/schemas/a"}));
        let definitions = closed.pointer("/components/schemas").and_then(Value::as_object);
        let names: Vec<&String> = definitions.into_iter().flat_map(Map::keys).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn properties_include_those_of_parts_and_branches_once() {
        let schemas = Schemas::new(json!({"components": {"schemas": {
            "a": {"properties": {"x": {"type": "string"}, "y": {}}},
        }}}));
        let schema = json!({
            "properties": {"w": {}},
            "allOf": [{"$ref": "#/components/schemas/a"}],
            "oneOf": [{"properties": {"x": {"type": "number"}, "z": {}}}],
        });
        let properties = schemas.properties(&schema);
        let names: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["w", "x", "y", "z"]);
        assert_eq!(properties[1].1, &json!({"type": "string"}));
    }
}
