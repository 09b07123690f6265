//! References between the schemas of an OpenAPI document.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Prefix of a `$ref` to a named schema of a document.
const NAMED: &str = "#/components/schemas/";

/// Returns the `$ref` of a schema or of another part of a document.
pub(super) fn reference(node: &Value) -> Option<&str> {
    node.get("$ref")?.as_str()
}

/// Returns the names of the schemas that any part of a document references, directly or indirectly. Names that are not in
/// `schemas` are left out.
pub(super) fn referenced_names(part: &Value, schemas: &Map<String, Value>) -> BTreeSet<String> {
    let (mut referenced, mut pending) = (BTreeSet::new(), BTreeSet::new());
    collect_names(part, &mut pending);
    while let Some(name) = pending.pop_first() {
        if let Some(schema) = schemas.get(&name).filter(|_| !referenced.contains(&name)) {
            collect_names(schema, &mut pending);
            referenced.insert(name);
        }
    }
    referenced
}

/// Adds the names of the schemas that any part of `schema` references.
fn collect_names(schema: &Value, names: &mut BTreeSet<String>) {
    names.extend(reference(schema).and_then(|reference| reference.strip_prefix(NAMED)).map(str::to_owned));
    match schema {
        Value::Object(fields) => fields.values().for_each(|field| collect_names(field, names)),
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        _ => {}
    }
}
