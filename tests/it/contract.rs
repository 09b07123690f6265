//! Checks the server against the two contract documents, path by path and parameter by parameter.

use crate::support::{CONTROL_CONTRACT, SEAM_CONTRACT, TestWorkspace, ask, run};
use latchkey::testing::contract::{self, Contract, Endpoint};
use latchkey::testing::{control, server};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

const JSON: (&str, &str) = ("content-type", "application/json");

/// Returns both contracts, each with the paths that the router serves for it.
fn documents() -> [(&'static Contract, Vec<&'static str>); 2] {
    [
        (&SEAM_CONTRACT, latchkey::testing::api::routes().into_parts().1),
        (&CONTROL_CONTRACT, control::routes().into_parts().1),
    ]
}

/// Returns all operations of both contracts: contract, path and method.
fn operations() -> Vec<(&'static Contract, &'static str, &'static str)> {
    let mut operations = Vec::new();
    for (contract, _) in documents() {
        for path in contract.paths() {
            let methods = contract.endpoint(path).unwrap().methods();
            operations.extend(methods.into_iter().map(|method| (contract, path, method)));
        }
    }
    operations
}

/// Returns a bearer token of the workspace that the endpoint accepts: the API key, or the personal access token.
fn bearer(workspace: &TestWorkspace, endpoint: &Endpoint) -> String {
    let is_of_person = endpoint.allows("pat_without_workspace") && !endpoint.allows("api_key");
    format!("Bearer {}", if is_of_person { &workspace.personal_access_token } else { &workspace.api_key })
}

fn described<'a>(document: &'a Value, path: &str, method: &str) -> &'a Value {
    &document["paths"][path][method.to_ascii_lowercase()]
}

#[test]
fn router_and_contracts_have_the_same_paths() {
    for (contract, routed) in documents() {
        let distinct: BTreeSet<&str> = routed.iter().copied().collect();
        assert_eq!(distinct.len(), routed.len(), "a path is routed twice: {routed:?}");
        assert_eq!(distinct, contract.paths().collect());
    }
}

#[test]
fn paths_outside_the_contract_respond_and_reject_in_the_envelope() {
    run(async {
        for path in server::OUTSIDE_THE_CONTRACT.iter().chain(&["/_emulator/openapi.json"]) {
            assert!(SEAM_CONTRACT.endpoint(path).is_none(), "{path} is in the contract");
            assert_eq!(ask("GET", path, &[], "").await.status, 200, "{path}");
            ask("PATCH", path, &[], "").await.error(405, "method_not_allowed");
        }
    });
}

#[test]
fn page_of_a_webview_is_outside_the_contract_and_responds_in_html() {
    run(async {
        let page = "/connect_webviews/view";
        assert!(SEAM_CONTRACT.endpoint(page).is_none());
        let reply = ask("GET", page, &[], "").await;
        assert_eq!((reply.status, reply.headers["content-type"].to_str().unwrap()), (404, "text/html; charset=utf-8"));
        ask("PATCH", page, &[], "").await.error(405, "method_not_allowed");
    });
}

#[test]
fn contract_documents_are_served_unchanged() {
    run(async {
        for (path, file) in
            [("/openapi.json", "openapi.json"), ("/_emulator/openapi.json", "src/contract/control.json")]
        {
            let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
            assert_eq!(ask("GET", path, &[], "").await.text, document);
        }
    });
}

#[test]
fn paths_accept_the_methods_of_the_contract_and_reject_all_others() {
    run(async {
        for (contract, _) in documents() {
            for path in contract.paths() {
                // A separate workspace for each path, because one path deletes it.
                let workspace = TestWorkspace::with_locks(0).await;
                let bearer = bearer(&workspace, contract.endpoint(path).unwrap());
                let headers = [("authorization", bearer.as_str()), JSON];
                let accepted = contract.endpoint(path).unwrap().methods();
                let (listed, unlisted): (Vec<&str>, Vec<&str>) =
                    METHODS.into_iter().partition(|method| accepted.contains(method));
                for method in unlisted {
                    let error = ask(method, path, &headers, "{}").await.error(405, "method_not_allowed");
                    assert_eq!(error["message"], format!("only {} accepted", accepted.join(",")), "{method} {path}");
                }
                assert_eq!(listed.len(), accepted.len(), "{path} accepts a method that is not in METHODS");
                for method in listed {
                    let reply = ask(method, path, &headers, "{}").await;
                    assert!(
                        matches!(reply.status, 200 | 400),
                        "{method} {path} returned {} {}",
                        reply.status,
                        reply.body
                    );
                }
            }
        }
    });
}

#[test]
fn paths_require_a_credential_before_anything_else_is_checked() {
    run(async {
        for path in SEAM_CONTRACT.paths() {
            for method in METHODS {
                let error = ask(method, path, &[], "not JSON").await.error(401, "unauthorized");
                assert_eq!(error["message"], "No authentication methods succeeded", "{method} {path}");
            }
        }
    });
}

#[test]
fn control_plane_rejects_unknown_keys_on_every_path() {
    run(async {
        for path in CONTROL_CONTRACT.paths() {
            for method in METHODS {
                let bearer = [("authorization", "Bearer seam_test_unknown")];
                let error = ask(method, path, &bearer, "not JSON").await.error(401, "unauthorized");
                assert_eq!(error["message"], "API Key not found", "{method} {path}");
            }
        }
    });
}

#[test]
fn schemas_of_both_documents_can_be_compiled() {
    for (contract, _) in documents() {
        contract.verify().unwrap();
    }
}

#[test]
fn operations_have_a_summary_and_a_description() {
    for (contract, path, method) in operations() {
        for text in ["summary", "description"] {
            let text = &described(contract.document(), path, method)[text];
            assert!(text.as_str().is_some_and(|text| !text.trim().is_empty()), "{method} {path}");
        }
    }
}

/// Follows the references of a schema.
fn resolve<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    while let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        schema = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
    }
    schema
}

fn list<'a>(schema: &'a Value, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns the parameters of an operation with their schemas, from its query and its body.
fn parameters<'a>(document: &'a Value, operation: &'a Value) -> Vec<(&'a str, &'a Value)> {
    fn of_schema<'a>(document: &'a Value, schema: &'a Value, found: &mut Vec<(&'a str, &'a Value)>) {
        let schema = resolve(document, schema);
        let own = schema.get("properties").and_then(Value::as_object);
        found.extend(own.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema)));
        for part in list(schema, "allOf") {
            of_schema(document, part, found);
        }
    }
    let in_query = list(operation, "parameters").iter();
    let mut found: Vec<_> =
        in_query.map(|parameter| (parameter["name"].as_str().unwrap(), &parameter["schema"])).collect();
    if let Some(body) = operation.pointer("/requestBody/content/application~1json/schema") {
        of_schema(document, body, &mut found);
    }
    found
}

/// Returns one value of each JSON type.
fn value_of_each_kind() -> [Value; 6] {
    [json!({}), json!([]), json!("nope"), json!(0.5), json!(true), Value::Null]
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Returns the JSON types that a schema accepts.
fn kinds(document: &Value, schema: &Value) -> BTreeSet<&'static str> {
    let target = resolve(document, schema);
    let all_kinds = || value_of_each_kind().iter().map(kind).collect::<BTreeSet<_>>();
    let mut admitted = all_kinds();
    if let Some(schema_type) = target.get("type").and_then(Value::as_str) {
        admitted.retain(|kind| *kind == if schema_type == "integer" { "number" } else { schema_type });
    }
    for part in list(target, "allOf") {
        let of_part = kinds(document, part);
        admitted.retain(|kind| of_part.contains(kind));
    }
    for branches in
        ["oneOf", "anyOf"].map(|keyword| list(target, keyword)).into_iter().filter(|branches| !branches.is_empty())
    {
        let of_branches: BTreeSet<_> = branches.iter().flat_map(|branch| kinds(document, branch)).collect();
        admitted.retain(|kind| of_branches.contains(kind));
    }
    if [schema, target].iter().any(|schema| schema["nullable"] == true) {
        admitted.insert("null");
    }
    admitted
}

/// Returns one value of each type that a schema rejects, and for a list also lists with such an item.
fn misfits(document: &Value, schema: &Value) -> Vec<Value> {
    let admitted = kinds(document, schema);
    let mut misfits: Vec<Value> =
        value_of_each_kind().into_iter().filter(|value| !admitted.contains(kind(value))).collect();
    if let Some(items) = resolve(document, schema).get("items") {
        misfits.extend(self::misfits(document, items).into_iter().map(|item| json!([item])));
    }
    misfits
}

/// True if a query parameter accepts any text, such as `nope`.
fn takes_any_text(document: &Value, schema: &Value) -> bool {
    let schema = resolve(document, schema);
    if let Some(items) = schema.get("items") {
        return takes_any_text(document, items);
    }
    let branches = [list(schema, "oneOf"), list(schema, "anyOf")].concat();
    if !branches.is_empty() {
        return branches.iter().any(|branch| takes_any_text(document, branch));
    }
    let is_text = schema.get("type").is_none_or(|kind| kind == "string");
    is_text && ["enum", "format", "pattern"].iter().all(|rule| schema.get(*rule).is_none())
}

/// Returns texts that are invalid for a query parameter. An empty text means null or the empty list.
fn unreadable_texts(document: &Value, schema: &Value) -> Vec<&'static str> {
    let mut texts = Vec::new();
    if !takes_any_text(document, schema) {
        texts.push("nope");
    }
    let admitted = kinds(document, schema);
    if !admitted.contains("null") && !admitted.contains("array") {
        texts.push("");
    }
    texts
}

/// True if the tree of issues has a message at this node or below.
fn has_messages(tree: &Value) -> bool {
    tree.as_object().is_some_and(|tree| {
        tree.iter().any(|(name, inner)| match name.as_str() {
            "_errors" => inner.as_array().is_some_and(|messages| !messages.is_empty()),
            _ => has_messages(inner),
        })
    })
}

#[test]
fn parameters_reject_values_of_other_types_and_are_named_in_the_error() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let mut refused = 0;
        for (contract, path, method) in operations() {
            let document = contract.document();
            let bearer = bearer(&workspace, contract.endpoint(path).unwrap());
            let headers = [("authorization", bearer.as_str()), JSON];
            for (name, schema) in parameters(document, described(document, path, method)) {
                let in_body = misfits(document, schema).into_iter().map(|value| {
                    let body = Map::from_iter([(name.to_owned(), value)]);
                    (path.to_owned(), Value::from(body).to_string())
                });
                let in_query = unreadable_texts(document, schema)
                    .into_iter()
                    .map(|text| (format!("{path}?{name}={text}"), String::new()));
                for (path, body) in in_body.chain(in_query) {
                    let error = ask(method, &path, &headers, body.clone()).await.error(400, "invalid_input");
                    let what = format!("{method} {path} {body}: {error}");
                    assert!(error["message"].as_str().unwrap().contains(name), "{what}");
                    assert!(has_messages(&error["validation_errors"][name]), "{what}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 1000, "only {refused} values were tried");
    });
}

/// Reads Seam's own contract from `../shared`, or from the folder in `LATCHKEY_SHARED`. `None` if it cannot be read.
fn seam_contract() -> Option<Value> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("LATCHKEY_SHARED").map_or_else(beside, PathBuf::from);
    let read = |name: &str| -> Option<Value> {
        let text = fs::read_to_string(folder.join("reference").join(name)).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    };
    Some(with_newer_parts(read("seam-contract.json")?, &read("seam-contract-grants.json")?))
}

/// Adds the paths, schemas, tags and types of events that only the newer of two contracts has.
fn with_newer_parts(mut contract: Value, newer: &Value) -> Value {
    for pointer in ["/paths", "/components/schemas"] {
        let parts = contract.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        for (name, part) in newer.pointer(pointer).unwrap().as_object().unwrap() {
            parts.entry(name).or_insert_with(|| part.clone());
        }
    }
    // The newer contract has all variants of these.
    for name in ["event", "action_attempt"] {
        contract["components"]["schemas"][name] = newer["components"]["schemas"][name].clone();
    }
    let name = |tag: &Value| tag["name"].clone();
    append_missing(&mut contract["tags"], &newer["tags"], name);
    contract
}

/// Appends the items whose key no item of the list has.
fn append_missing(items: &mut Value, newer: &Value, key: impl Fn(&Value) -> Value) {
    let items = items.as_array_mut().unwrap();
    let present: Vec<Value> = items.iter().map(&key).collect();
    items.extend(newer.as_array().unwrap().iter().filter(|item| !present.contains(&key(item))).cloned());
}

/// Removes the descriptive texts. A property with the name `description` stays, because its value is a schema.
fn drop_texts(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                !(value.is_string() && matches!(name.as_str(), "description" | "summary" | "title"))
            });
            fields.values_mut().for_each(drop_texts);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_texts),
        _ => {}
    }
}

/// Removes the values at a JSON pointer, in which `*` matches any key. Returns them with their pointers.
fn remove_at(value: &mut Value, pointer: &str) -> Vec<(String, Value)> {
    fn within(value: &mut Value, steps: &[String], pointer: &str, removed: &mut Vec<(String, Value)>) {
        let Some((step, rest)) = steps.split_first() else { return };
        if let Some(items) = value.as_array_mut() {
            let index = step.parse().ok().filter(|index| *index < items.len());
            match index {
                Some(index) if rest.is_empty() => removed.push((format!("{pointer}/{index}"), items.remove(index))),
                Some(index) => within(&mut items[index], rest, &format!("{pointer}/{index}"), removed),
                None => {}
            }
            return;
        }
        let Some(fields) = value.as_object_mut() else { return };
        let names: Vec<String> = fields.keys().filter(|name| step == "*" || *name == step).cloned().collect();
        for name in names {
            let pointer = format!("{pointer}/{name}");
            if rest.is_empty() {
                removed.extend(fields.shift_remove(&name).map(|value| (pointer, value)));
            } else {
                within(&mut fields[&name], rest, &pointer, removed);
            }
        }
    }
    let steps: Vec<String> =
        pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    let mut removed = Vec::new();
    within(value, &steps, "", &mut removed);
    removed
}

fn differences(latchkey: &Value, seam: &Value, pointer: &str, found: &mut Vec<String>) {
    if let (Value::Object(latchkey), Value::Object(seam)) = (latchkey, seam) {
        let names: BTreeSet<&String> = latchkey.keys().chain(seam.keys()).collect();
        for name in names {
            let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or(json!("(missing)"));
            differences(&of(latchkey), &of(seam), &format!("{pointer}/{}", name.replace('/', "~1")), found);
        }
    } else if let (Value::Array(latchkey), Value::Array(seam)) = (latchkey, seam)
        && latchkey.len() == seam.len()
    {
        for (index, (latchkey, seam)) in latchkey.iter().zip(seam).enumerate() {
            differences(latchkey, seam, &format!("{pointer}/{index}"), found);
        }
    } else if latchkey != seam {
        found.push(format!("{pointer}: Latchkey has {latchkey}, Seam has {seam}"));
    }
}

#[test]
fn contract_equals_that_of_seam_except_texts_and_published_deviations() {
    let Some(mut seam) = seam_contract() else {
        eprintln!("Seam's contract is not at hand, so nothing was compared");
        return;
    };
    let mut latchkey: Value = serde_json::from_str(contract::OPENAPI.text().unwrap()).unwrap();
    let deviations = remove_at(&mut latchkey, "/x-latchkey-deviations").pop().unwrap().1;
    // Compare only the parts of Seam's contract that this contract has, too.
    for pointer in ["/paths", "/components/schemas"] {
        let present = latchkey.pointer(pointer).unwrap().as_object().unwrap();
        seam.pointer_mut(pointer).unwrap().as_object_mut().unwrap().retain(|name, _| present.contains_key(name));
    }
    let type_of = |variant: &Value| variant["properties"]["event_type"]["enum"][0].clone();
    let types: Vec<Value> = list(&latchkey["components"]["schemas"]["event"], "oneOf").iter().map(type_of).collect();
    let variants = seam.pointer_mut("/components/schemas/event/oneOf").unwrap().as_array_mut().unwrap();
    variants.retain(|variant| types.contains(&type_of(variant)));
    let names: Vec<Value> = list(&latchkey, "tags").iter().map(|tag| tag["name"].clone()).collect();
    seam["tags"].as_array_mut().unwrap().retain(|tag| names.contains(&tag["name"]));
    drop_texts(&mut latchkey);
    drop_texts(&mut seam);
    for deviation in deviations.as_array().unwrap() {
        assert!(deviation["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{deviation}");
        let pointer = deviation["path"].as_str().unwrap();
        match deviation["kind"].as_str() {
            Some("document") => {
                assert_ne!(
                    remove_at(&mut latchkey, pointer),
                    remove_at(&mut seam, pointer),
                    "{pointer} is not a deviation"
                );
            }
            // The document equals Seam's, and the behavior of the server differs.
            Some("behavior") => {
                let of = |document: &Value| remove_at(&mut document.clone(), pointer);
                assert_eq!(of(&latchkey), of(&seam), "{pointer} is a deviation of the document too");
                assert!(!of(&latchkey).is_empty(), "{pointer} does not exist");
            }
            _ => panic!("{pointer} has no kind"),
        }
    }
    let mut found = Vec::new();
    differences(&latchkey, &seam, "", &mut found);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn contract_has_no_unreferenced_schema() {
    for (contract, _) in documents() {
        let text = contract.document().to_string();
        for name in contract.document()["components"]["schemas"].as_object().unwrap().keys() {
            assert!(text.contains(&format!("\"#/components/schemas/{name}\"")), "{name}");
        }
    }
}
