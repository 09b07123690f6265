//! Unknown parameters: those that are not in the contract. Seam's servers ignore them; most are typing errors.

use super::issues::MAX_ISSUES;
use super::schema::{Schemas, list};
use serde_json::{Map, Value};

/// Maximum length in bytes of a name that is compared with the names in the contract.
const MAX_COMPARED: usize = 200;

/// A parameter that is not in the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownParameter {
    /// Property names and array indices from the root.
    pub path: Vec<String>,
    /// Similar name in the contract that the client probably meant; `None` if no name is similar.
    pub suggestion: Option<String>,
}

impl UnknownParameter {
    /// Returns the message of the issue.
    pub(super) fn message(&self) -> String {
        match &self.suggestion {
            Some(suggestion) => format!("Unknown parameter (did you mean \"{suggestion}\"?)"),
            None => "Unknown parameter".to_owned(),
        }
    }
}

/// Returns the first [`MAX_ISSUES`] parameters in `input` that `schema` does not define, in their order, nested ones
/// included, and the number of further ones. If `schema` defines no parameters, every parameter is unknown; only a
/// nested object without defined properties may have any.
pub(super) fn parameters(
    schemas: &Schemas,
    schema: &Value,
    input: &Map<String, Value>,
) -> (Vec<UnknownParameter>, usize) {
    let mut search = Search { schemas, path: Vec::new(), found: Vec::new(), further_count: 0 };
    search.fields(schema, input, allows_additional(schemas, schema));
    (search.found, search.further_count)
}

struct Search<'a> {
    schemas: &'a Schemas,
    path: Vec<String>,
    found: Vec<UnknownParameter>,
    /// Number of unknown parameters beyond those in `found`.
    further_count: usize,
}

impl Search<'_> {
    fn visit(&mut self, schema: &Value, value: &Value) {
        match value {
            Value::Object(fields) => {
                let allows_additional =
                    allows_additional(self.schemas, schema) || accepts_any_object(self.schemas, schema);
                self.fields(schema, fields, allows_additional);
            }
            Value::Array(items) => {
                let Some(schema) = items_of(self.schemas, schema) else { return };
                for (index, item) in items.iter().enumerate() {
                    self.within(&index.to_string(), |search| search.visit(schema, item));
                }
            }
            _ => {}
        }
    }

    /// Records the names in `fields` that `schema` does not define, unless `allows_additional`, and visits the values
    /// of the others.
    fn fields(&mut self, schema: &Value, fields: &Map<String, Value>, allows_additional: bool) {
        let schemas = self.schemas;
        let known = schemas.properties(schema);
        for (name, value) in fields {
            if let Some((_, property)) = known.iter().find(|(known_name, _)| known_name == name) {
                self.within(name, |search| search.visit(property, value));
            } else if let Some((outer, inner, property)) = dotted(&known, name) {
                // The query parser leaves `outer.inner` as it is if the object `outer` has no property `inner`.
                let fields = Map::from_iter([(inner.to_owned(), value.clone())]);
                self.within(outer, |search| search.visit(property, &Value::Object(fields)));
            } else if !allows_additional && self.found.len() == MAX_ISSUES {
                self.further_count += 1;
            } else if !allows_additional {
                let names = known.iter().map(|(name, _)| *name);
                let suggestion = closest(name, names).map(str::to_owned);
                self.within(name, |search| {
                    search.found.push(UnknownParameter { path: search.path.clone(), suggestion });
                });
            }
        }
    }

    fn within(&mut self, step: &str, look: impl FnOnce(&mut Self)) {
        self.path.push(step.to_owned());
        look(self);
        self.path.pop();
    }
}

/// Splits a name of the form `outer.inner` whose outer name is known. Returns both names and the schema of `outer`.
fn dotted<'a, 'b>(known: &[(&str, &'a Value)], name: &'b str) -> Option<(&'b str, &'b str, &'a Value)> {
    let (outer, inner) = name.split_once('.')?;
    let (_, property) = known.iter().find(|(known, _)| *known == outer)?;
    Some((outer, inner, property))
}

/// Returns true if an object may have properties of any name. Unlike in JSON Schema, it may not if
/// `additionalProperties` is missing.
fn allows_additional(schemas: &Schemas, schema: &Value) -> bool {
    let schema = schemas.resolve(schema);
    match schema.get("additionalProperties") {
        None | Some(Value::Bool(false)) => branches(schema).any(|branch| allows_additional(schemas, branch)),
        Some(_) => true,
    }
}

/// Returns true if `schema` accepts objects and defines no properties for them.
fn accepts_any_object(schemas: &Schemas, schema: &Value) -> bool {
    let schema = schemas.resolve(schema);
    if schema.get("properties").is_some() {
        return false;
    }
    let mut branches = branches(schema).peekable();
    match (schema.get("type").and_then(Value::as_str), branches.peek().is_some()) {
        (None | Some("object"), false) => true,
        _ => branches.any(|branch| accepts_any_object(schemas, branch)),
    }
}

fn items_of<'a>(schemas: &'a Schemas, schema: &'a Value) -> Option<&'a Value> {
    let schema = schemas.resolve(schema);
    schema.get("items").or_else(|| branches(schema).find_map(|branch| items_of(schemas, branch)))
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["allOf", "oneOf", "anyOf"].into_iter().flat_map(|keyword| list(schema, keyword))
}

/// Returns the known name with the fewest typing errors, if these are at most half of the shorter name.
fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // No parameter has such a long name, and the cost of a comparison is the product of the lengths.
    if name.len() > MAX_COMPARED {
        return None;
    }
    let name = name.trim_end_matches("[]");
    let distances = known.map(|known| (strsim::osa_distance(name, known), known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance * 2 <= known.chars().count().min(name.chars().count())).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn unknown(input: Value) -> Vec<(String, Option<String>)> {
        let schemas = Schemas::new(json!({ "components": { "schemas": {
            "style": { "type": "object", "properties": { "color": { "type": "string" } } },
        } } }));
        let schema = json!({ "type": "object", "properties": {
            "device_id": { "type": "string" },
            "device_ids": { "type": "array", "items": { "type": "string" } },
            "starts_at": { "type": "string" },
            "metadata": { "type": "object", "additionalProperties": { "type": "string" } },
            "anything": { "type": "object" },
            "free": {},
            "style": { "oneOf": [{ "type": "string" }, { "$ref": "#/components/schemas/style" }] },
            "styles": { "type": "array", "items": { "$ref": "#/components/schemas/style" } },
        } });
        let Value::Object(input) = input else { return Vec::new() };
        let found = parameters(&schemas, &schema, &input).0.into_iter();
        found.map(|unknown| (unknown.path.join("."), unknown.suggestion)).collect()
    }

    #[test]
    fn unknown_parameter_is_found_with_a_suggestion() {
        let found = unknown(json!({
            "device_id": "x", "devcie_id": "x", "startsAt": "x", "device_ids[]": "x", "color": "red", "": 1,
        }));
        let suggested = |name: &str| Some(name.to_owned());
        let expected = [
            ("devcie_id", suggested("device_id")),
            ("startsAt", suggested("starts_at")),
            ("device_ids[]", suggested("device_ids")),
            ("color", None),
            ("", None),
        ];
        assert_eq!(found, expected.map(|(name, suggestion)| (name.to_owned(), suggestion)));
    }

    #[test]
    fn nested_names_are_checked_only_if_the_contract_defines_some() {
        let found = unknown(json!({
            "metadata": { "any": "x" },
            "anything": { "any": "x" },
            "free": { "any": "x" },
            "style": { "colour": "red" },
            "styles": [{ "color": "red" }, { "size": 3 }],
            "style.colr": "red",
        }));
        let expected = [("style.colour", Some("color")), ("styles.1.size", None), ("style.colr", Some("color"))];
        assert_eq!(found, expected.map(|(name, suggestion)| (name.to_owned(), suggestion.map(str::to_owned))));
    }
}
