//! The contract walked: what the two documents say is what the server does, path by path and parameter by parameter.

use crate::support::{TestWorkspace, ask, run};
use latchkey::testing::contract::{self, Contract};
use latchkey::testing::{control, server};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

const JSON: (&str, &str) = ("content-type", "application/json");

/// Both documents, each with the paths that the router has for it.
fn documents() -> [(Contract, Vec<&'static str>); 2] {
    [
        (Contract::parse(contract::OPENAPI).unwrap(), latchkey::testing::api::routes().into_parts().1),
        (Contract::parse(contract::CONTROL_OPENAPI).unwrap(), control::routes().into_parts().1),
    ]
}

/// Every operation of both documents: path, method and the whole document.
fn operations() -> Vec<(String, &'static str, Value)> {
    let mut operations = Vec::new();
    for (contract, _) in documents() {
        for path in contract.paths() {
            for method in contract.endpoint(path).unwrap().methods() {
                operations.push((path.to_owned(), method, contract.document().clone()));
            }
        }
    }
    operations
}

fn described<'a>(document: &'a Value, path: &str, method: &str) -> &'a Value {
    &document["paths"][path][method.to_ascii_lowercase()]
}

#[test]
fn the_router_and_the_contracts_name_the_same_paths() {
    for (contract, routed) in documents() {
        let distinct: BTreeSet<&str> = routed.iter().copied().collect();
        assert_eq!(distinct.len(), routed.len(), "a path is routed twice: {routed:?}");
        assert_eq!(distinct, contract.paths().collect());
    }
}

#[test]
fn the_few_paths_outside_the_contract_answer_and_refuse_in_the_envelope() {
    run(async {
        let contract = Contract::parse(contract::OPENAPI).unwrap();
        for path in server::OUTSIDE_THE_CONTRACT.iter().chain(&["/_emulator/openapi.json"]) {
            assert!(contract.endpoint(path).is_none(), "{path} is in the contract");
            assert_eq!(ask("GET", path, &[], "").await.status, 200, "{path}");
            ask("PATCH", path, &[], "").await.error(405, "method_not_allowed");
        }
    });
}

#[test]
fn both_documents_are_served_as_they_are() {
    run(async {
        for (path, document) in
            [("/openapi.json", contract::OPENAPI), ("/_emulator/openapi.json", contract::CONTROL_OPENAPI)]
        {
            assert_eq!(ask("GET", path, &[], "").await.body, serde_json::from_str::<Value>(document).unwrap());
        }
    });
}

#[test]
fn every_path_takes_the_methods_of_the_contract_and_refuses_all_others() {
    run(async {
        for (contract, _) in documents() {
            for path in contract.paths() {
                // One workspace for each path: one of them deletes it.
                let workspace = TestWorkspace::with_locks(0).await;
                let bearer = format!("Bearer {}", workspace.api_key);
                let headers = [("authorization", bearer.as_str()), JSON];
                let taken = contract.endpoint(path).unwrap().methods();
                let (listed, others): (Vec<&str>, Vec<&str>) =
                    METHODS.into_iter().partition(|method| taken.contains(method));
                for method in others {
                    let error = ask(method, path, &headers, "{}").await.error(405, "method_not_allowed");
                    assert_eq!(error["message"], format!("only {} accepted", taken.join(",")), "{method} {path}");
                }
                assert_eq!(listed.len(), taken.len(), "{path} takes a method nobody asked about");
                for method in listed {
                    let reply = ask(method, path, &headers, "{}").await;
                    assert!(
                        matches!(reply.status, 200 | 400),
                        "{method} {path} answered {} {}",
                        reply.status,
                        reply.body
                    );
                }
            }
        }
    });
}

#[test]
fn every_path_asks_for_a_credential_before_it_looks_at_anything_else() {
    run(async {
        let (contract, _) = &documents()[0];
        for path in contract.paths() {
            for method in METHODS {
                let error = ask(method, path, &[], "not JSON").await.error(401, "unauthorized");
                assert_eq!(error["message"], "No authentication methods succeeded", "{method} {path}");
            }
        }
    });
}

#[test]
fn the_control_plane_refuses_keys_it_does_not_know_on_every_path() {
    run(async {
        let (contract, _) = &documents()[1];
        for path in contract.paths() {
            for method in METHODS {
                let bearer = [("authorization", "Bearer seam_test_unknown")];
                let error = ask(method, path, &bearer, "not JSON").await.error(401, "unauthorized");
                assert_eq!(error["message"], "API Key not found", "{method} {path}");
            }
        }
    });
}

#[test]
fn every_schema_of_both_documents_can_be_compiled() {
    for (contract, _) in documents() {
        contract.verify().unwrap();
    }
}

#[test]
fn every_operation_says_in_words_what_it_does() {
    for (path, method, document) in operations() {
        for text in ["summary", "description"] {
            let text = &described(&document, &path, method)[text];
            assert!(text.as_str().is_some_and(|text| !text.trim().is_empty()), "{method} {path}");
        }
    }
}

/// What a schema is about, wherever it is written down.
fn resolve<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    while let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        schema = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
    }
    schema
}

fn list<'a>(schema: &'a Value, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The parameters of an operation with their schemas, from its query or its body.
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

/// One value of each kind that JSON has.
fn one_of_each_kind() -> [Value; 6] {
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

/// The kinds of value that a schema admits.
fn kinds(document: &Value, schema: &Value) -> BTreeSet<&'static str> {
    let target = resolve(document, schema);
    let all = || one_of_each_kind().iter().map(kind).collect::<BTreeSet<_>>();
    let mut admitted = all();
    if let Some(params) = target.get("type").and_then(Value::as_str) {
        admitted.retain(|kind| *kind == if params == "integer" { "number" } else { params });
    }
    for part in list(target, "allOf") {
        let of_part = kinds(document, part);
        admitted.retain(|kind| of_part.contains(kind));
    }
    for branches in ["oneOf", "anyOf"].map(|keyword| list(target, keyword)).into_iter().filter(|it| !it.is_empty()) {
        let of_branches: BTreeSet<_> = branches.iter().flat_map(|branch| kinds(document, branch)).collect();
        admitted.retain(|kind| of_branches.contains(kind));
    }
    if [schema, target].iter().any(|it| it["nullable"] == true) {
        admitted.insert("null");
    }
    admitted
}

/// Values of every kind that does not fit, and lists of such where a list does.
fn misfits(document: &Value, schema: &Value) -> Vec<Value> {
    let admitted = kinds(document, schema);
    let mut misfits: Vec<Value> =
        one_of_each_kind().into_iter().filter(|value| !admitted.contains(kind(value))).collect();
    if let Some(items) = resolve(document, schema).get("items") {
        misfits.extend(self::misfits(document, items).into_iter().map(|item| json!([item])));
    }
    misfits
}

/// Whether `nope` is as good as any other text for this parameter of a query.
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

/// Texts in a query that cannot be read as what the schema asks for. An empty one is null, or the empty list.
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

/// Whether the tree of issues has anything to say here or further down.
fn has_messages(tree: &Value) -> bool {
    tree.as_object().is_some_and(|tree| {
        tree.iter().any(|(name, inner)| match name.as_str() {
            "_errors" => inner.as_array().is_some_and(|messages| !messages.is_empty()),
            _ => has_messages(inner),
        })
    })
}

#[test]
fn every_parameter_of_every_operation_refuses_what_does_not_fit_and_is_named() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let bearer = format!("Bearer {}", workspace.api_key);
        let headers = [("authorization", bearer.as_str()), JSON];
        let mut refused = 0;
        for (path, method, document) in operations() {
            for (name, schema) in parameters(&document, described(&document, &path, method)) {
                let in_body = misfits(&document, schema).into_iter().map(|value| {
                    let body = Map::from_iter([(name.to_owned(), value)]);
                    (path.clone(), Value::from(body).to_string())
                });
                let in_query = unreadable_texts(&document, schema)
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

/// Seam's own contract, where it is at hand: beside the repository, or where `LATCHKEY_SHARED` says.
fn seams_contract() -> Option<Value> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("LATCHKEY_SHARED").map_or_else(beside, PathBuf::from);
    let text = fs::read_to_string(folder.join("reference/seam-contract.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// Takes texts away. A property may be called `description`: then what is there is no text.
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

/// Takes away what a pointer leads to, in which `*` stands for any key, and gives it with the places it was at.
fn take(value: &mut Value, pointer: &str) -> Vec<(String, Value)> {
    fn within(value: &mut Value, steps: &[String], index: &str, taken: &mut Vec<(String, Value)>) {
        let Some((step, rest)) = steps.split_first() else { return };
        if let Some(items) = value.as_array_mut() {
            let index = step.parse().ok().filter(|index| *index < items.len());
            match index {
                Some(index) if rest.is_empty() => taken.push((format!("{index}/{index}"), items.remove(index))),
                Some(index) => within(&mut items[index], rest, &format!("{index}/{index}"), taken),
                None => {}
            }
            return;
        }
        let Some(fields) = value.as_object_mut() else { return };
        let names: Vec<String> = fields.keys().filter(|name| step == "*" || *name == step).cloned().collect();
        for name in names {
            let index = format!("{index}/{name}");
            if rest.is_empty() {
                taken.extend(fields.shift_remove(&name).map(|value| (index, value)));
            } else {
                within(&mut fields[&name], rest, &index, taken);
            }
        }
    }
    let steps: Vec<String> = pointer.split('/').skip(1).map(|it| it.replace("~1", "/").replace("~0", "~")).collect();
    let mut taken = Vec::new();
    within(value, &steps, "", &mut taken);
    taken
}

fn differences(ours: &Value, seams: &Value, index: &str, found: &mut Vec<String>) {
    if let (Value::Object(ours), Value::Object(seams)) = (ours, seams) {
        let names: BTreeSet<&String> = ours.keys().chain(seams.keys()).collect();
        for name in names {
            let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or(json!("(missing)"));
            differences(&of(ours), &of(seams), &format!("{index}/{}", name.replace('/', "~1")), found);
        }
    } else if let (Value::Array(ours), Value::Array(seams)) = (ours, seams)
        && ours.len() == seams.len()
    {
        for (index, (ours, seams)) in ours.iter().zip(seams).enumerate() {
            differences(ours, seams, &format!("{index}/{index}"), found);
        }
    } else if ours != seams {
        found.push(format!("{index}: ours {ours}, Seam's {seams}"));
    }
}

#[test]
fn ways_to_authenticate_that_do_not_exist_yet_are_named_among_the_deviations() {
    let ours: Value = serde_json::from_str(contract::OPENAPI).unwrap();
    for scheme in ["client_session", "client_session_with_customer", "console_session_with_workspace"] {
        let names_it = |deviation: &&Value| {
            deviation["kind"] == "behavior"
                && deviation["path"].as_str().is_some_and(|path| path.ends_with(&format!("/{scheme}")))
        };
        let found = list(&ours, "x-latchkey-deviations").iter().find(names_it).cloned();
        assert!(found.is_some_and(|found| found["reason"].as_str().unwrap().contains("401")), "{scheme}");
    }
}

#[test]
fn everything_but_the_words_and_the_published_deviations_equals_seams_contract() {
    let Some(mut seams) = seams_contract() else {
        eprintln!("Seam's contract is not at hand, so nothing was compared");
        return;
    };
    let mut ours: Value = serde_json::from_str(contract::OPENAPI).unwrap();
    let deviations = take(&mut ours, "/x-latchkey-deviations").pop().unwrap().1;
    // Only what of Seam's contract is here too.
    for pointer in ["/paths", "/components/schemas"] {
        let here = ours.pointer(pointer).unwrap().as_object().unwrap();
        seams.pointer_mut(pointer).unwrap().as_object_mut().unwrap().retain(|name, _| here.contains_key(name));
    }
    let names: Vec<Value> = list(&ours, "tags").iter().map(|tag| tag["name"].clone()).collect();
    seams["tags"].as_array_mut().unwrap().retain(|tag| names.contains(&tag["name"]));
    drop_texts(&mut ours);
    drop_texts(&mut seams);
    for deviation in deviations.as_array().unwrap() {
        assert!(deviation["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{deviation}");
        let pointer = deviation["path"].as_str().unwrap();
        match deviation["kind"].as_str() {
            Some("document") => {
                assert_ne!(take(&mut ours, pointer), take(&mut seams, pointer), "{pointer} is no deviation");
            }
            // The document says what Seam's does, and the server does otherwise.
            Some("behavior") => {
                let of = |document: &Value| take(&mut document.clone(), pointer);
                assert_eq!(of(&ours), of(&seams), "{pointer} is a deviation of the document too");
                assert!(!of(&ours).is_empty(), "{pointer} leads nowhere");
            }
            _ => panic!("{pointer} has no kind"),
        }
    }
    let mut found = Vec::new();
    differences(&ours, &seams, "", &mut found);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_contract_has_no_schema_that_nothing_leads_to() {
    for (contract, _) in documents() {
        let text = contract.document().to_string();
        for name in contract.document()["components"]["schemas"].as_object().unwrap().keys() {
            assert!(text.contains(&format!("\"#/components/schemas/{name}\"")), "{name}");
        }
    }
}
