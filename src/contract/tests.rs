//! Tests of the contract as a whole, on a small document.

use super::*;

const DOCUMENT: &str = r##"{
  "openapi": "3.0.0",
  "security": [{"api_key": []}],
  "paths": {
    "/codes/create": {
      "post": {
        "operationId": "codesCreatePost",
        "security": [{"client_session": []}, {"api_key": []}],
        "requestBody": {"content": {"application/json": {"schema": {
          "type": "object",
          "properties": {
            "device_id": {"type": "string", "format": "uuid"},
            "code": {"type": "string", "minLength": 4, "maxLength": 8, "pattern": "^\\d+$"},
            "name": {"type": "string", "nullable": true},
            "ends_at": {"type": "string", "format": "date-time"},
            "shape": {"type": "string", "enum": ["circle", "square"], "nullable": true},
            "lengths": {"type": "array", "items": {"type": "integer", "minimum": 4}, "minItems": 1},
            "custom_metadata": {"type": "object", "additionalProperties": {
              "nullable": true, "oneOf": [{"type": "string", "maxLength": 5}, {"type": "boolean"}]
            }},
            "owner": {"$ref": "#/components/schemas/owner"}
          },
          "required": ["device_id"]
        }}}},
        "responses": {"200": {"content": {"application/json": {"schema": {
          "type": "object",
          "properties": {"event": {"$ref": "#/components/schemas/event"}, "ok": {"type": "boolean"}},
          "required": ["event", "ok"]
        }}}}, "400": {}}
      },
      "put": {"operationId": "codesCreatePut"}
    },
    "/codes/list": {
      "get": {
        "operationId": "codesListGet",
        "parameters": [
          {"name": "device_id", "in": "query", "required": true, "schema": {"type": "string", "format": "uuid"}},
          {"name": "ids", "in": "query", "schema": {"type": "array", "items": {"type": "string", "format": "uuid"}}},
          {"$ref": "#/components/parameters/limit"},
          {"name": "page_cursor", "in": "query", "schema": {"type": "string", "nullable": true}},
          {"name": "x-request", "in": "header", "schema": {"type": "string"}}
        ]
      }
    },
    "/accounts/get": {
      "post": {
        "operationId": "accountsGetPost",
        "requestBody": {"content": {"application/json": {"schema": {"oneOf": [
          {"type": "object", "properties": {"account_id": {"type": "string", "format": "uuid"}}, "required": ["account_id"]},
          {"type": "object", "properties": {"email": {"type": "string", "format": "email"}}, "required": ["email"]}
        ]}}}}
      }
    },
    "/health": {"get": {"operationId": "healthGet", "security": []}}
  },
  "components": {
    "parameters": {
      "limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 0, "exclusiveMinimum": true}}
    },
    "schemas": {
      "owner": {"type": "object", "properties": {"email": {"type": "string", "format": "email"}}, "required": ["email"]},
      "event": {
        "oneOf": [
          {"type": "object", "properties": {"event_type": {"type": "string", "enum": ["code.set"]}, "code": {"type": "string"}}, "required": ["event_type", "code"]},
          {"type": "object", "properties": {"event_type": {"type": "string", "enum": ["code.gone"]}, "error": {"nullable": true}}, "required": ["event_type", "error"]}
        ],
        "discriminator": {"propertyName": "event_type"}
      }
    }
  }
}"##;

pub(super) const ID: &str = "0190163d-3f5a-7abc-8def-0123456789ab";

pub(super) fn contract() -> Contract {
    Contract::parse(DOCUMENT).unwrap()
}

fn check(path: &str, method: &str, query: Option<&str>, body: Option<Value>) -> Result<Value, Rejection> {
    let contract = contract();
    let operation = contract.endpoint(path).and_then(|endpoint| endpoint.operation(method)).unwrap();
    operation.check(query, body).map(Value::Object)
}

fn create(body: Value) -> Result<Value, Rejection> {
    check("/codes/create", "POST", None, Some(body))
}

#[track_caller]
fn invalid(result: Result<Value, Rejection>) -> (String, Value) {
    match result {
        Err(Rejection::InvalidInput { message, validation_errors }) => (message, validation_errors),
        other => panic!("expected invalid input, got {other:?}"),
    }
}

#[test]
fn contract_lists_its_paths_methods_and_security() {
    let contract = contract();
    let paths: Vec<&str> = contract.paths().collect();
    assert_eq!(paths, ["/codes/create", "/codes/list", "/accounts/get", "/health"]);
    let create = contract.endpoint("/codes/create").unwrap();
    assert_eq!(create.path(), "/codes/create");
    assert_eq!(create.methods(), ["POST", "PUT"]);
    assert_eq!(create.operation("POST").unwrap().operation_id(), "codesCreatePost");
    assert!(create.operation("GET").is_none());
    assert!(create.operation("post").is_none());
    assert!(create.security().eq(["client_session", "api_key"]));
    assert!(create.allows("api_key") && !create.allows("console"));
    assert!(contract.endpoint("/codes/list").unwrap().security().eq(["api_key"]));
    assert_eq!(contract.endpoint("/health").unwrap().security().count(), 0);
    assert!(contract.endpoint("/nowhere").is_none());
    assert_eq!(contract.document().pointer("/openapi"), Some(&json!("3.0.0")));
}

#[test]
fn parse_names_the_invalid_part_of_a_document() {
    for (document, problem) in [
        ("{", "not JSON"),
        ("{}", "openapi version"),
        (r#"{"openapi": "3.1.0", "paths": {}}"#, "openapi version"),
        (r#"{"openapi": "3.0.0"}"#, "paths"),
        (r#"{"openapi": "3.0.0", "paths": {"/x": {"get": {}}}}"#, "GET /x"),
    ] {
        let error = Contract::parse(document).unwrap_err().to_string();
        assert!(error.contains(problem), "{document}: {error}");
    }
}

#[test]
fn verify_finds_a_schema_that_cannot_be_compiled() {
    contract().verify().unwrap();
    let broken = DOCUMENT.replace("#/components/schemas/owner", "#/components/schemas/nobody");
    let error = Contract::parse(&broken).unwrap().verify().unwrap_err().to_string();
    assert!(error.contains("POST /codes/create"), "{error}");
    let broken = DOCUMENT.replace(r"^\\d+$", "(");
    assert!(Contract::parse(&broken).unwrap().verify().is_err());
}

#[test]
fn valid_body_is_returned_unchanged() {
    let body = json!({
        "unknown": {"kept": true},
        "device_id": ID,
        "code": "1234",
        "name": null,
        "shape": null,
        "custom_metadata": {"a": null, "b": "x", "c": false},
    });
    assert_eq!(create(body.clone()), Ok(body));
}

#[test]
fn float_without_a_fraction_is_read_as_an_integer() {
    let input = create(json!({"device_id": ID, "lengths": [4.0]})).unwrap();
    assert_eq!(input.pointer("/lengths/0").and_then(Value::as_i64), Some(4));
}

#[test]
fn missing_parameter_is_reported_even_if_the_whole_input_is_missing() {
    let expected = ("device_id is required".to_owned(), json!({"_errors": [], "device_id": {"_errors": ["Required"]}}));
    assert_eq!(invalid(create(json!({}))), expected);
    assert_eq!(invalid(check("/codes/create", "POST", None, None)), expected);
    assert_eq!(invalid(check("/codes/list", "GET", None, None)), expected);
}

#[test]
fn issues_follow_the_order_of_the_contract() {
    let (message, tree) = invalid(create(json!({
        "owner": {},
        "lengths": [4, 3],
        "code": "1a",
        "name": 7,
    })));
    assert_eq!(
        message,
        "6 Input Errors: device_id is required, String must contain at least 4 character(s) for \"code\", \
         Invalid for \"code\", Expected string, received number for \"name\", \
         Number must be greater than or equal to 4 for \"lengths.1\", owner.email is required"
    );
    assert_eq!(
        tree,
        json!({
            "_errors": [],
            "device_id": {"_errors": ["Required"]},
            "code": {"_errors": ["String must contain at least 4 character(s)", "Invalid"]},
            "name": {"_errors": ["Expected string, received number"]},
            "lengths": {"_errors": [], "1": {"_errors": ["Number must be greater than or equal to 4"]}},
            "owner": {"_errors": [], "email": {"_errors": ["Required"]}},
        })
    );
}

#[test]
fn body_that_is_not_an_object_is_an_issue_of_the_root() {
    for (body, kind) in [(json!([]), "array"), (json!("x"), "string"), (json!(7), "number")] {
        let message = format!("Expected object, received {kind}");
        assert_eq!(invalid(create(body)), (message.clone(), json!({"_errors": [message]})));
    }
}

#[test]
fn null_body_counts_as_empty_and_the_query_is_read() {
    let query = format!("device_id={ID}");
    assert_eq!(check("/codes/create", "POST", Some(&query), Some(json!(null))), Ok(json!({ "device_id": ID })));
    assert_eq!(invalid(create(json!(null))).0, "device_id is required");
}

#[test]
fn union_reports_invalid_input_and_a_tree_with_the_issues_of_each_branch() {
    let (message, tree) = invalid(check("/accounts/get", "POST", None, Some(json!({}))));
    assert_eq!(message, "Invalid input");
    assert_eq!(
        tree,
        json!({"_errors": [], "account_id": {"_errors": ["Required"]}, "email": {"_errors": ["Required"]}})
    );
    let (message, tree) = invalid(create(json!({"device_id": ID, "custom_metadata": {"k": 1}})));
    assert_eq!(message, "Invalid input for \"custom_metadata.k\"");
    assert_eq!(
        tree.pointer("/custom_metadata/k/_errors"),
        Some(&json!(["Expected string, received number", "Expected boolean, received number"]))
    );
}

#[test]
fn union_accepts_a_body_that_matches_several_branches() {
    let body = json!({"account_id": ID, "email": "jane@example.com"});
    assert_eq!(check("/accounts/get", "POST", None, Some(body.clone())), Ok(body));
}

#[test]
fn query_and_body_are_merged_and_the_body_has_priority() {
    let query = format!("device_id={ID}&limit=5&page_cursor=&_strict=true");
    assert_eq!(
        check("/codes/list", "GET", Some(&query), Some(json!({"limit": 7, "extra": 1}))),
        Ok(json!({"device_id": ID, "limit": 7, "page_cursor": null, "extra": 1}))
    );
    assert_eq!(
        check("/codes/create", "POST", Some("lengths=4,5"), Some(json!({"device_id": ID}))),
        Ok(json!({"lengths": [4, 5], "device_id": ID}))
    );
}

#[test]
fn body_values_are_never_read_as_another_type() {
    let (message, _) = invalid(check("/codes/list", "GET", None, Some(json!({"device_id": ID, "limit": "5"}))));
    assert_eq!(message, "Expected number, received string for \"limit\"");
}

#[test]
fn query_is_validated_after_it_is_parsed() {
    for (query, expected) in [
        ("limit=abc", "Expected number, received string for \"limit\""),
        ("limit=0", "Number must be greater than 0 for \"limit\""),
        ("limit=1.5", "Expected integer, received float for \"limit\""),
        ("limit=", "Expected number, received null for \"limit\""),
        ("ids=x", "Invalid uuid for \"ids.0\""),
    ] {
        let (message, _) = invalid(check("/codes/list", "GET", Some(&format!("device_id={ID}&{query}")), None));
        assert_eq!(message, expected, "{query}");
    }
    let (message, _) = invalid(check("/codes/list", "GET", Some("device_id="), None));
    assert_eq!(message, "Expected string, received null for \"device_id\"");
}

#[test]
fn query_that_cannot_be_parsed_is_rejected_as_invalid_query() {
    match check("/codes/list", "GET", Some("limit=1&limit=2"), None) {
        Err(Rejection::InvalidQuery { message }) => {
            assert!(message.contains("\"limit\""), "{message}");
        }
        other => panic!("expected an invalid query, got {other:?}"),
    }
}

#[test]
fn operation_without_an_input_accepts_any_object() {
    assert_eq!(check("/health", "GET", Some("a=1"), Some(json!({"b": 2}))), Ok(json!({"a": "1", "b": 2})));
}

#[test]
fn unknown_parameters_are_listed_and_rejected_in_strict_mode() {
    let contract = contract();
    let operation = contract.endpoint("/codes/list").unwrap().operation("GET").unwrap();
    let input = operation.check(Some(&format!("device_id={ID}&devcie_id=1&limit=2")), None).unwrap();
    let unknown = operation.unknown_parameters(&input);
    assert_eq!(unknown.iter().map(|parameter| parameter.path.join(".")).collect::<Vec<_>>(), ["devcie_id"]);
    let result = operation.check_strictly(Some("devcie_id=1"), None);
    let (message, tree) = invalid(result.map(Value::Object));
    assert!(message.contains("(did you mean \"device_id\"?) for \"devcie_id\""), "{message}");
    assert!(tree["devcie_id"]["_errors"][0].is_string() && tree["device_id"]["_errors"][0].is_string(), "{tree}");
    let operation = contract.endpoint("/accounts/get").unwrap().operation("POST").unwrap();
    let input = operation.check(None, Some(json!({"email": "jane@example.com"}))).unwrap();
    assert!(operation.unknown_parameters(&input).is_empty());
}

#[test]
fn keyword_that_the_walk_does_not_support_still_reports_an_issue() {
    let document = DOCUMENT.replace(r#""minItems": 1"#, r#""uniqueItems": true"#);
    let contract = Contract::parse(&document).unwrap();
    let operation = contract.endpoint("/codes/create").unwrap().operation("POST").unwrap();
    let result = operation.check(None, Some(json!({"device_id": ID, "lengths": [4, 4]})));
    assert_eq!(invalid(result.map(Value::Object)).0, "Invalid input for \"lengths\"");
}

#[test]
fn response_is_checked_against_the_variant_that_it_names() {
    let contract = contract();
    let operation = contract.endpoint("/codes/create").unwrap().operation("POST").unwrap();
    let check_event = |event: Value| operation.check_response(200, &json!({"event": event, "ok": true}));
    assert_eq!(check_event(json!({"event_type": "code.set", "code": "1234"})), Ok(()));
    assert_eq!(check_event(json!({"event_type": "code.gone", "error": {"any": 1}})), Ok(()));
    assert_eq!(
        check_event(json!({"event_type": "code.gone"})),
        Err(vec!["event.error: Required (read as event_type \"code.gone\")".to_owned()])
    );
    assert_eq!(
        operation.check_response(200, &json!([])),
        Err(vec!["the body: Expected object, received array".to_owned()])
    );
    assert_eq!(operation.check_response(400, &json!([])), Ok(()));
    assert_eq!(operation.check_response(500, &json!([])), Ok(()));
}

#[test]
fn body_that_is_not_an_object_can_set_the_bare_body_parameter() {
    let document = json!({
        "openapi": "3.0.0",
        "paths": { "/set": { "post": {
            "operationId": "set",
            "x-latchkey-bare-body": "mode",
            "requestBody": { "content": { "application/json": { "schema": {
                "type": "object",
                "properties": { "mode": { "type": "string", "enum": ["on", "off"] } },
            } } } },
        } } },
    });
    let contract = Contract::parse(&document.to_string()).unwrap();
    let set = contract.endpoint("/set").unwrap().operation("POST").unwrap();
    assert_eq!(set.check(None, Some(json!("on"))).unwrap()["mode"], "on");
    assert!(set.check(None, Some(json!("dim"))).is_err());
    assert!(set.check(None, Some(json!(7))).is_err());
}
