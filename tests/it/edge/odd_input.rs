//! Unusual input, which must never cause a server error.

use super::{JSON, ids};
use crate::support::{CONTROL_CONTRACT, Reply, SEAM_CONTRACT, START, TestWorkspace, app, run};
use axum::body::Body;
use axum::http::Request;
use latchkey::testing::server;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tower::ServiceExt;

#[test]
fn deep_nesting_is_rejected_in_bodies_and_queries() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let deep = |open: &str, close: &str| [open.repeat(20_000), close.repeat(20_000)].join("1");
        for body in [deep("[", "]"), deep("{\"a\":", "}"), "[".repeat(100_000)] {
            for path in ["/devices/list", "/access_codes/create", "/_emulator/devices/create"] {
                workspace.ask("POST", path, &[JSON], body.clone()).await.error(400, "invalid_input");
            }
        }
        let name = format!("custom_metadata_has{}", ".a".repeat(10_000));
        workspace.get(&format!("/devices/list?{name}=1")).await.error(400, "invalid_query_params");
    });
}

/// Creates lists nested in each other to this depth.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!([]), |inner, _| json!([inner]))
}

#[test]
fn nesting_up_to_the_limit_can_be_read_back_everywhere() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let change = |levels| json!({ "device_id": workspace.lock(0), "properties": { "deep": nested(levels) } });
        let messages = workspace.post("/_emulator/devices/update", change(64)).await.invalid("properties");
        assert_eq!(messages, ["Lists and objects must be nested at most 64 levels deep"]);
        workspace.post("/_emulator/devices/update", change(63)).await.ok();
        let devices = workspace.post("/devices/list", json!({})).await.ok();
        assert_eq!(devices["devices"][0]["properties"]["deep"], nested(63));
        let snapshot = workspace.post("/_emulator/snapshots/create", json!({})).await.ok();
        let id = snapshot["snapshot_id"].as_str().unwrap();
        let exported = workspace.get(&format!("/_emulator/snapshots/export?snapshot_id={id}")).await.ok();
        workspace.post("/_emulator/snapshots/import", exported.clone()).await.ok();
        let mut damaged = json!({ "snapshot": exported["snapshot"] });
        damaged["snapshot"]["tables"]["device"][0]["overrides"] = nested(80);
        let messages = workspace.post("/_emulator/snapshots/import", damaged).await.invalid("snapshot");
        assert_eq!(messages.len(), 1);
        assert!(messages[0].ends_with("Lists and objects must be nested at most 77 levels deep"), "{messages:?}");
    });
}

#[test]
fn request_log_stays_readable_after_deeply_nested_bodies() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        workspace.post("/devices/list", json!({ "unknown": nested(126) })).await.invalid("unknown");
        workspace.post("/devices/list", json!({ "unknown": nested(80) })).await.invalid("unknown");
        let listed = workspace.post("/_emulator/requests", json!({ "path": "/devices/list" })).await.ok();
        let bodies: Vec<&Value> =
            listed["requests"].as_array().unwrap().iter().map(|request| &request["body"]).collect();
        assert!(bodies[0].as_str().is_some_and(|text| text.starts_with("{\"unknown\":[[[")), "{}", bodies[0]);
        assert_eq!(bodies[1], &json!({ "unknown": nested(80) }));
    });
}

#[test]
fn text_with_a_null_character_is_rejected_by_parameter_name() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let device_id = workspace.lock(0);
        for (path, body, name) in [
            ("/access_codes/create", json!({ "device_id": device_id, "name": "a\u{0}b" }), "name"),
            ("/access_codes/create", json!({ "device_id": device_id, "common_code_key": "\u{0}" }), "common_code_key"),
            ("/access_codes/list", json!({ "device_id": device_id, "search": "\u{0}" }), "search"),
            ("/devices/get", json!({ "name": "\u{0}" }), "name"),
            ("/devices/list", json!({ "custom_metadata_has": { "\u{0}": "x" } }), "custom_metadata_has"),
            ("/devices/list", json!({ "custom_metadata_has": { "x": "\u{0}" } }), "custom_metadata_has"),
            ("/_emulator/workspaces/create", json!({ "name": "\u{0}" }), "name"),
            ("/_emulator/devices/create", json!({ "device_type": "august_lock", "name": "\u{0}" }), "name"),
        ] {
            let messages = workspace.post(path, body).await.invalid(name);
            assert_eq!(messages, ["String must not contain the character U+0000"], "{path} {name}");
        }
        let messages = workspace.get("/devices/list?search=%00").await.invalid("search");
        assert_eq!(messages, ["String must not contain the character U+0000"]);
    });
}

/// Creates a text that does not compress.
fn long_text(length: usize) -> String {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        char::from_digit(state % 36, 36).unwrap()
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn names_may_be_long_and_keys_may_not_exceed_500_characters() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let long = long_text(20_000);
        let created = workspace.create(json!({ "device_id": workspace.lock(0), "name": long })).await;
        assert_eq!(created["name"], long.as_str());
        let found =
            workspace.post("/access_codes/list", json!({ "device_id": workspace.lock(0), "search": long })).await.ok();
        assert_eq!(ids(&found, "access_codes", "access_code_id"), [created["access_code_id"].as_str().unwrap()]);
        let too_long = ["String must contain at most 500 character(s)"];
        for name in ["seed", "api_key"] {
            let body = json!({ name: format!("seam_test_{long}") });
            assert_eq!(workspace.post("/_emulator/workspaces/create", body).await.invalid(name), too_long);
        }
        let key = |length| "\u{1f511}".repeat(length);
        let params = |index, length| json!({ "device_id": workspace.lock(index), "common_code_key": key(length) });
        assert_eq!(workspace.post("/access_codes/create", params(0, 501)).await.invalid("common_code_key"), too_long);
        let (one, other) = (workspace.create(params(0, 500)).await, workspace.create(params(1, 500)).await);
        assert_eq!((&one["common_code_key"], &one["code"]), (&json!(key(500)), &other["code"]));
    });
}

#[test]
fn max_active_codes_supported_above_a_million_is_rejected() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for number in [json!(1_000_001), json!(5_000_000_000_u64), json!(1e300)] {
            let body = json!({ "device_id": workspace.lock(0), "max_active_codes_supported": number });
            let messages =
                workspace.post("/_emulator/devices/update", body).await.invalid("max_active_codes_supported");
            assert_eq!(messages, ["Number must be less than or equal to 1000000"]);
        }
    });
}

#[test]
fn clock_with_a_tiny_rate_works() {
    run(async {
        let clock = json!({ "running_from": START, "rate": 1e-300 });
        let workspace = TestWorkspace::create_with(json!({ "locks": 1, "clock": clock })).await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        assert_eq!((&code["status"], &code["created_at"]), (&json!("setting"), &json!(START)));
    });
}

/// Texts that have a meaning in the API, and texts that are hard to handle.
fn texts() -> BoxedStrategy<String> {
    let known = [
        "",
        " ",
        "4821",
        "000000000000",
        "seam_test_x",
        START,
        "2026-03-02T13:00:00.000Z",
        "2026-03-09T13:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999Z",
        "9999-12-31T23:59:59-23:59",
        "PT1H",
        "PT0S",
        "P99999999D",
        "P106751991167D",
        "Europe/Berlin",
        "\u{0}",
        "a\u{0}b",
        "\u{202e}\u{1f512}\u{fe0f}",
        "%",
        "_strict",
        "../../etc",
        "a.b",
        "a,b",
        "'; drop table device; --",
    ];
    prop_oneof![8 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>(), 1 => Just(long_text(5000))]
        .boxed()
}

fn numbers() -> BoxedStrategy<Value> {
    let known = [
        json!(-1),
        json!(0),
        json!(1),
        json!(2),
        json!(4),
        json!(6),
        json!(12),
        json!(0.5),
        json!(300),
        json!(5_000_000_000_u64),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e300),
        json!(-1e300),
        json!(1e-300),
    ];
    proptest::sample::select(known.to_vec()).boxed()
}

/// Arbitrary JSON.
fn anything() -> BoxedStrategy<Value> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), numbers(), texts().prop_map(Value::from)];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((texts(), inner), 0..3).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
    .boxed()
}

/// Values that match a schema in most cases.
fn shaped(document: &Value, schema: &Value, known_ids: &[String]) -> BoxedStrategy<Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        return shaped(document, document.pointer(&reference[1..]).unwrap(), known_ids);
    }
    let of = |schema: &Value| shaped(document, schema, known_ids);
    if let Some(options) = schema["enum"].as_array() {
        return proptest::sample::select(options.clone()).boxed();
    }
    for keyword in ["oneOf", "anyOf"] {
        if let Some(branches) = schema[keyword].as_array() {
            return proptest::strategy::Union::new(branches.iter().map(of)).boxed();
        }
    }
    let is_object = schema.get("allOf").is_some() || schema["type"] == "object";
    match schema["type"].as_str() {
        _ if is_object => fields(document, schema, known_ids).prop_map(Value::from).boxed(),
        Some("string") if schema["format"] == "uuid" => {
            proptest::sample::select(known_ids.to_vec()).prop_map(Value::from).boxed()
        }
        Some("string") => texts().prop_map(Value::from).boxed(),
        Some("number" | "integer") => numbers(),
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        Some("array") => vec(of(&schema["items"]), 0..4).prop_map(Value::from).boxed(),
        _ => anything(),
    }
}

/// Objects with the properties of a schema, including those of its `allOf` parts.
fn fields(document: &Value, schema: &Value, known_ids: &[String]) -> BoxedStrategy<Map<String, Value>> {
    if let Some(reference) = schema["$ref"].as_str() {
        return fields(document, document.pointer(&reference[1..]).unwrap(), known_ids);
    }
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let mut objects = Just(Map::new()).boxed();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let likely = if required.contains(&json!(name)) { 0.97 } else { 0.2 };
        let value = prop_oneof![12 => shaped(document, property, known_ids), 1 => anything()];
        let name = name.clone();
        objects = (objects, proptest::option::weighted(likely, value))
            .prop_map(move |(mut fields, value)| {
                fields.extend(value.map(|value| (name.clone(), value)));
                fields
            })
            .boxed();
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        objects = (objects, fields(document, part, known_ids))
            .prop_map(|(mut fields, more)| {
                fields.extend(more);
                fields
            })
            .boxed();
    }
    objects
}

/// Writes an object as a query string, as clients do.
fn query_of(fields: &Map<String, Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        match value {
            Value::Null => drop(query.append_pair(name, "")),
            Value::Array(items) if items.is_empty() => drop(query.append_pair(name, "")),
            Value::Array(items) => drop(query.extend_pairs(items.iter().map(|item| (name, text(item))))),
            Value::Object(members) => {
                query.extend_pairs(members.iter().map(|(member, value)| (format!("{name}.{member}"), text(value))));
            }
            value => drop(query.append_pair(name, &text(value))),
        }
    }
    query.finish()
}

/// Queries and bodies for an operation.
fn requests(document: &Value, operation: &Value, known_ids: &[String]) -> BoxedStrategy<(String, String)> {
    let schema = operation.pointer("/requestBody/content/application~1json/schema").cloned().unwrap_or_else(|| {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let properties: Map<String, Value> = parameters
            .map(|parameter| (parameter["name"].as_str().unwrap().to_owned(), parameter["schema"].clone()))
            .collect();
        json!({ "type": "object", "properties": properties })
    });
    let shaped = fields(document, &schema, known_ids);
    let bytes = vec(any::<u8>(), 0..20).prop_map(|bytes| form_urlencoded::byte_serialize(&bytes).collect::<String>());
    prop_oneof![
        4 => shaped.clone().prop_map(|fields| (String::new(), Value::from(fields).to_string())),
        3 => shaped.clone().prop_map(|fields| (query_of(&fields), String::new())),
        1 => (shaped, bytes).prop_map(|(fields, bytes)| (bytes, Value::from(fields).to_string())),
        1 => anything().prop_map(|body| (String::new(), body.to_string())),
    ]
    .boxed()
}

#[test]
fn random_input_never_causes_a_server_error_on_any_path() {
    let router = server::router(app());
    for contract in [&SEAM_CONTRACT, &CONTROL_CONTRACT] {
        let document = contract.document();
        for path in contract.paths() {
            // A separate workspace for each path: some paths delete it or move its clock to the end of time.
            let (workspace, known_ids) = run(async {
                let locks = json!([{ "device_type": "august_lock" }, { "device_type": "nuki_lock" }]);
                let workspace = TestWorkspace::with(locks).await;
                let mut known_ids = workspace.locks();
                let (starts_at, ends_at) = ("2026-03-05T12:00:00Z", "2026-03-06T12:00:00Z");
                for window in [json!({}), json!({ "starts_at": starts_at, "ends_at": ends_at })] {
                    let mut params = window;
                    params["device_id"] = json!(workspace.lock(0));
                    known_ids.push(workspace.create(params).await["access_code_id"].as_str().unwrap().to_owned());
                }
                // An id that does not exist. Not `UNKNOWN`: here a workspace may be created with it.
                known_ids.extend(["00000000-0000-4000-8000-0000000000dd".to_owned(), workspace.workspace_id.clone()]);
                (workspace, known_ids)
            });
            for method in contract.endpoint(path).unwrap().methods() {
                let operation = &document["paths"][path][method.to_ascii_lowercase()];
                let config = Config { cases: 32, failure_persistence: None, ..Config::default() };
                let outcome =
                    TestRunner::new(config).run(&requests(document, operation, &known_ids), |(query, body)| {
                        let request = Request::builder()
                            .method(method)
                            .uri(format!("{path}?{query}"))
                            .header("host", "localhost")
                            .header("content-type", "application/json")
                            .header("authorization", workspace.bearer())
                            .body(Body::from(body))
                            .unwrap();
                        let status = run(router.clone().oneshot(request)).unwrap().status();
                        prop_assert!(!status.is_server_error(), "{}", status);
                        Ok(())
                    });
                assert!(outcome.is_ok(), "{method} {path}: {}", outcome.unwrap_err());
            }
            run(async { workspace.post("/_emulator/workspaces/delete", json!({})).await });
        }
    }
}

/// Collects the names of all parameters of a schema, including those of its parts.
fn names_of(schema: &Value, found: &mut BTreeSet<String>) {
    found.extend(schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
    for keyword in ["allOf", "oneOf", "anyOf"] {
        schema[keyword].as_array().into_iter().flatten().for_each(|part| names_of(part, found));
    }
}

/// Returns the names of the parameters of an operation.
fn parameters(operation: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") {
        names_of(schema, &mut found);
    }
    let query = operation["parameters"].as_array().into_iter().flatten();
    found.extend(
        query
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned()),
    );
    found
}

/// Values of every JSON type.
fn odd_values() -> [Value; 9] {
    [
        Value::Null,
        json!(true),
        json!(-7),
        json!(0.5),
        json!(""),
        json!("odd"),
        json!([]),
        json!([null, 7, "odd", {}]),
        json!({ "odd": [null] }),
    ]
}

#[test]
fn parameters_with_odd_values_never_cause_a_server_error_on_any_route() {
    run(async {
        let document = SEAM_CONTRACT.document();
        let operations = || {
            SEAM_CONTRACT.paths().flat_map(|path| {
                let methods = SEAM_CONTRACT.endpoint(path).unwrap().methods();
                methods
                    .into_iter()
                    .map(move |method| (path, method, &document["paths"][path][method.to_ascii_lowercase()]))
            })
        };
        let all_names: BTreeSet<String> = operations().flat_map(|(_, _, operation)| parameters(operation)).collect();
        assert!(all_names.len() > 60, "{all_names:?}");
        for (path, method, operation) in operations() {
            let workspace = TestWorkspace::with_locks(2).await;
            let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
            let known = json!({
                "device_id": workspace.lock(0),
                "device_ids": workspace.locks(),
                "access_code_id": code["access_code_id"],
                "connected_account_id": workspace.devices[0]["connected_account_id"],
                "since": START,
            });
            let own = parameters(operation);
            let valid: Map<String, Value> =
                known.as_object().unwrap().clone().into_iter().filter(|(name, _)| own.contains(name)).collect();
            for odd in odd_values() {
                // Parameters that the route does not have are ignored: send all of them together.
                let mut unknown = valid.clone();
                unknown.extend(all_names.difference(&own).map(|name| (name.clone(), odd.clone())));
                let reply = send(&workspace, method, path, &unknown).await;
                assert!(reply.status < 500, "{method} {path} with unknown parameters {odd}: {}", reply.body);
                if method == "POST" && ["/access_codes/create", "/access_codes/create_multiple"].contains(&path) {
                    assert_eq!(reply.status, 200, "{path} with unknown parameters {odd}: {}", reply.body);
                }
                for name in &own {
                    let mut params = valid.clone();
                    params.insert(name.clone(), odd.clone());
                    let reply = send(&workspace, method, path, &params).await;
                    assert!(reply.status < 500, "{method} {path} with {name} {odd}: {}", reply.body);
                }
            }
        }
    });
}

/// Sends a request with these parameters in its body, and for GET also one with them in its query.
async fn send(workspace: &TestWorkspace, method: &str, path: &str, parameters: &Map<String, Value>) -> Reply {
    let body = Value::Object(parameters.clone()).to_string();
    if method == "GET" {
        let in_query = workspace.ask(method, &format!("{path}?{}", query_of(parameters)), &[], "").await;
        assert!(in_query.status < 500, "{path}?{}: {}", query_of(parameters), in_query.body);
    }
    workspace.ask(method, path, &[JSON], body).await
}
