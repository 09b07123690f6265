//! Parameters that the contract does not know. Seam's servers ignore them; mostly they are typing errors.

use super::issues::MAX_ISSUES;
use super::schema::{Schemas, list};
use serde_json::{Map, Value};

/// How long a name may be to be compared with those of the contract.
const MAX_COMPARED: usize = 200;

/// A parameter that the contract does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownParameter {
    /// Where it is: property names and array indices from the root.
    pub path: Vec<String>,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

impl UnknownParameter {
    /// What to say of it.
    pub(super) fn message(&self) -> String {
        match &self.suggestion {
            Some(suggestion) => format!("Unknown parameter (did you mean \"{suggestion}\"?)"),
            None => "Unknown parameter".to_owned(),
        }
    }
}

/// The first parameters in `input` that `schema` does not know, in their order, nested ones included, and how many more
/// there are.
pub(super) fn parameters(
    schemas: &Schemas,
    schema: &Value,
    input: &Map<String, Value>,
) -> (Vec<UnknownParameter>, usize) {
    let mut search = Search { schemas, path: Vec::new(), found: Vec::new(), others: 0 };
    search.fields(schema, input, takes_others(schemas, schema));
    (search.found, search.others)
}

struct Search<'a> {
    schemas: &'a Schemas,
    path: Vec<String>,
    found: Vec<UnknownParameter>,
    /// How many more there are.
    others: usize,
}

impl Search<'_> {
    fn visit(&mut self, schema: &Value, value: &Value) {
        match value {
            Value::Object(fields) => {
                let takes_others = takes_others(self.schemas, schema) || takes_any_object(self.schemas, schema);
                self.fields(schema, fields, takes_others);
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

    fn fields(&mut self, schema: &Value, fields: &Map<String, Value>, takes_others: bool) {
        let schemas = self.schemas;
        let known = schemas.properties(schema);
        for (name, value) in fields {
            if let Some((_, property)) = known.iter().find(|(other, _)| other == name) {
                self.within(name, |search| search.visit(property, value));
            } else if let Some((outer, inner, property)) = dotted(&known, name) {
                // What a query says of an object that has no such property stays where it is.
                let fields = Map::from_iter([(inner.to_owned(), value.clone())]);
                self.within(outer, |search| search.visit(property, &Value::Object(fields)));
            } else if !takes_others && self.found.len() == MAX_ISSUES {
                self.others += 1;
            } else if !takes_others {
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

/// A name of the form `outer.inner`, of which the outer one is known.
fn dotted<'a, 'b>(known: &[(&str, &'a Value)], name: &'b str) -> Option<(&'b str, &'b str, &'a Value)> {
    let (outer, inner) = name.split_once('.')?;
    let (_, property) = known.iter().find(|(known, _)| *known == outer)?;
    Some((outer, inner, property))
}

/// Whether an object may have properties of any name.
fn takes_others(schemas: &Schemas, schema: &Value) -> bool {
    let schema = schemas.resolve(schema);
    match schema.get("additionalProperties") {
        None | Some(Value::Bool(false)) => branches(schema).any(|branch| takes_others(schemas, branch)),
        Some(_) => true,
    }
}

/// Whether a schema takes objects and names no property of theirs.
fn takes_any_object(schemas: &Schemas, schema: &Value) -> bool {
    let schema = schemas.resolve(schema);
    if schema.get("properties").is_some() {
        return false;
    }
    let mut branches = branches(schema).peekable();
    match (schema.get("type").and_then(Value::as_str), branches.peek().is_some()) {
        (None | Some("object"), false) => true,
        _ => branches.any(|branch| takes_any_object(schemas, branch)),
    }
}

fn items_of<'a>(schemas: &'a Schemas, schema: &'a Value) -> Option<&'a Value> {
    let schema = schemas.resolve(schema);
    schema.get("items").or_else(|| branches(schema).find_map(|branch| items_of(schemas, branch)))
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["allOf", "oneOf", "anyOf"].into_iter().flat_map(|keyword| list(schema, keyword))
}

/// The name that was probably meant: the one that is fewest typing errors away, if these are not most of it.
fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // No parameter has so long a name, and a comparison costs the product of the lengths.
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
    fn an_unknown_name_is_found_with_the_one_that_was_probably_meant() {
        let found = unknown(json!({
            "device_id": "x", "devcie_id": "x", "startsAt": "x", "device_ids[]": "x", "color": "red", "": 1,
        }));
        let meant = |name: &str| Some(name.to_owned());
        let expected = [
            ("devcie_id", meant("device_id")),
            ("startsAt", meant("starts_at")),
            ("device_ids[]", meant("device_ids")),
            ("color", None),
            ("", None),
        ];
        assert_eq!(found, expected.map(|(name, suggestion)| (name.to_owned(), suggestion)));
    }

    #[test]
    fn nested_names_are_looked_at_where_the_contract_names_any() {
        let found = unknown(json!({
            "metadata": { "any": "x" },
            "anything": { "any": "x" },
            "free": { "any": "x" },
            "style": { "colour": "red" },
            "styles": [{ "color": "red" }, { "size": 3 }],
            "style.colr": "red",
        }));
        let expected = [("style.colour", Some("color")), ("styles.1.size", None), ("style.colr", Some("color"))];
        assert_eq!(found, expected.map(|(name, meant)| (name.to_owned(), meant.map(str::to_owned))));
    }
}
