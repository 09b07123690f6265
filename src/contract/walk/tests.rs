//! Issues reported by the walk, keyword by keyword.

use super::*;

/// Returns the lines that the walk reports for `value` under `schema`.
fn issue_lines(direction: Direction, schema: &Value, value: &Value) -> Vec<String> {
    let schemas = Schemas::new(json!({"components": {"schemas": {
        "id": {"type": "string", "format": "uuid"},
    }}}));
    issues(&schemas, schema, value, direction).reported().iter().map(Issue::line).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "literal arguments keep the cases readable")]
fn request_issues(schema: Value, value: Value) -> Vec<String> {
    issue_lines(Direction::Request, &schema, &value)
}

#[expect(clippy::needless_pass_by_value, reason = "literal arguments keep the cases readable")]
fn response_issues(schema: Value, value: Value) -> Vec<String> {
    issue_lines(Direction::Response, &schema, &value)
}

const NO_ISSUES: [&str; 0] = [];

#[test]
fn wrong_type_is_the_only_issue_of_a_value() {
    let code = json!({"type": "string", "minLength": 4, "pattern": "^\\d+$"});
    for (value, kind) in [
        (json!(1234), "number"),
        (json!(null), "null"),
        (json!(true), "boolean"),
        (json!([]), "array"),
        (json!({}), "object"),
    ] {
        assert_eq!(request_issues(code.clone(), value), [format!("the body: Expected string, received {kind}")]);
    }
}

#[test]
fn string_reports_all_violated_limits_with_length_first() {
    let code = json!({"pattern": "^\\d+$", "maxLength": 6, "minLength": 4, "type": "string"});
    assert_eq!(
        request_issues(code.clone(), json!("a")),
        ["the body: String must contain at least 4 character(s)", "the body: Invalid"]
    );
    assert_eq!(
        request_issues(code.clone(), json!("1234567")),
        ["the body: String must contain at most 6 character(s)"]
    );
    assert_eq!(request_issues(code, json!("1234")), NO_ISSUES);
}

#[test]
fn formats_have_their_own_messages() {
    for (format, message) in [
        ("uuid", "Invalid uuid"),
        ("date-time", "Invalid datetime"),
        ("email", "Invalid email"),
        ("uri", "Invalid url"),
    ] {
        let schema = json!({"type": "string", "format": format});
        assert_eq!(request_issues(schema, json!("x")), [format!("the body: {message}")]);
    }
    assert_eq!(request_issues(json!({"type": "number", "format": "float"}), json!(1.5)), NO_ISSUES);
}

#[test]
fn number_out_of_bounds_reports_the_bound() {
    let between = json!({"type": "integer", "minimum": 1.0, "maximum": 9});
    assert_eq!(request_issues(between.clone(), json!(0)), ["the body: Number must be greater than or equal to 1"]);
    assert_eq!(request_issues(between.clone(), json!(10)), ["the body: Number must be less than or equal to 9"]);
    assert_eq!(request_issues(between.clone(), json!(20.0)), ["the body: Number must be less than or equal to 9"]);
    assert_eq!(request_issues(between.clone(), json!(2.5)), ["the body: Expected integer, received float"]);
    assert_eq!(request_issues(between, json!("2")), ["the body: Expected number, received string"]);
    let inside =
        json!({"type": "number", "minimum": 0, "exclusiveMinimum": true, "maximum": 1, "exclusiveMaximum": true});
    assert_eq!(request_issues(inside.clone(), json!(0)), ["the body: Number must be greater than 0"]);
    assert_eq!(request_issues(inside.clone(), json!(1)), ["the body: Number must be less than 1"]);
    assert_eq!(request_issues(inside, json!(0.5)), NO_ISSUES);
}

#[test]
fn array_reports_its_size_before_its_items() {
    let ids = json!({"type": "array", "minItems": 3, "maxItems": 4, "items": {"$ref": "#/components/schemas/id"}});
    assert_eq!(
        request_issues(ids.clone(), json!(["x", 7])),
        [
            "the body: Array must contain at least 3 element(s)",
            "0: Invalid uuid",
            "1: Expected string, received number",
        ]
    );
    let five = json!(vec!["00000000-0000-0000-0000-000000000000"; 5]);
    assert_eq!(request_issues(ids, five), ["the body: Array must contain at most 4 element(s)"]);
}

#[test]
fn object_reports_issues_in_the_order_of_its_schema() {
    let schema = json!({
        "type": "object",
        "properties": {
            "b": {"type": "string"},
            "a": {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]},
            "c": {"type": "boolean"},
        },
        "required": ["c", "a", "b"],
    });
    assert_eq!(
        request_issues(schema, json!({"c": "true", "a": {}, "unknown": 1})),
        ["b: Required", "a.x: Required", "c: Expected boolean, received string"]
    );
}

#[test]
fn enum_message_lists_the_allowed_values() {
    let shape = json!({"type": "string", "enum": ["circle", "square"]});
    assert_eq!(
        request_issues(shape.clone(), json!("star")),
        ["the body: Invalid enum value. Expected 'circle' | 'square', received 'star'"]
    );
    assert_eq!(request_issues(shape, json!(4)), ["the body: Expected 'circle' | 'square', received number"]);
    let nullable = json!({"type": "string", "enum": ["circle", "square"], "nullable": true});
    assert_eq!(request_issues(nullable, json!(null)), NO_ISSUES);
}

#[test]
fn enum_with_a_single_value_is_a_literal_even_if_missing() {
    let yes = json!({"type": "boolean", "enum": [true]});
    assert_eq!(request_issues(yes.clone(), json!(false)), ["the body: Invalid literal value, expected true"]);
    assert_eq!(
        request_issues(
            json!({"type": "object", "properties": {"is_managed": yes}, "required": ["is_managed"]}),
            json!({})
        ),
        ["is_managed: Invalid literal value, expected true"]
    );
}

#[test]
fn union_without_a_matching_branch_reports_invalid_input() {
    let metadata = json!({
        "type": "object",
        "additionalProperties": {
            "oneOf": [{"type": "string", "maxLength": 3}, {"type": "boolean"}],
            "nullable": true,
        },
    });
    assert_eq!(request_issues(metadata.clone(), json!({"k": 1})), ["k: Invalid input"]);
    assert_eq!(request_issues(metadata, json!({"a": null, "b": true, "c": "abc"})), NO_ISSUES);
}

#[test]
fn union_reports_the_limit_of_the_branch_with_the_right_type() {
    let schema = json!({"oneOf": [{"type": "boolean"}, {"type": "string", "maxLength": 3}]});
    assert_eq!(request_issues(schema, json!("abcd")), ["the body: String must contain at most 3 character(s)"]);
}

#[test]
fn union_branch_with_a_type_error_does_not_match() {
    let schema = json!({"oneOf": [{"type": "boolean"}, {"type": "object", "properties": {
        "a": {"type": "string", "maxLength": 1},
        "b": {"type": "number"},
    }}]});
    assert_eq!(request_issues(schema.clone(), json!({"a": "xx", "b": "x"})), ["the body: Invalid input"]);
    assert_eq!(request_issues(schema, json!({"a": "xx", "b": 1})), ["a: String must contain at most 1 character(s)"]);
}

#[test]
fn additional_properties_false_rejects_unknown_keys() {
    let closed = json!({"type": "object", "properties": {"a": {}}, "additionalProperties": false});
    assert_eq!(
        request_issues(closed, json!({"a": 1, "b": 2, "c": 3})),
        ["the body: Unrecognized key(s) in object: 'b', 'c'"]
    );
}

fn events() -> Value {
    let variant = |name: &str, field: &str| {
        json!({
            "type": "object",
            "properties": {"event_type": {"type": "string", "enum": [name]}, field: {"type": "string"}},
            "required": [field, "event_type"],
        })
    };
    json!({
        "oneOf": [variant("code.created", "code_id"), variant("device.removed", "device_id")],
        "discriminator": {"propertyName": "event_type"},
    })
}

#[test]
fn discriminator_selects_the_branch_whose_issues_are_reported() {
    assert_eq!(
        response_issues(events(), json!({"event_type": "device.removed", "code_id": "x"})),
        ["device_id: Required (read as event_type \"device.removed\")"]
    );
    assert_eq!(
        response_issues(events(), json!({"event_type": "other"})),
        ["event_type: Invalid discriminator value. Expected 'code.created' | 'device.removed'"]
    );
    assert_eq!(response_issues(events(), json!([])), ["the body: Expected object, received array"]);
}

#[test]
fn response_without_a_discriminator_reports_the_closest_branch() {
    let mut attempt = events();
    attempt.as_object_mut().unwrap().shift_remove("discriminator");
    assert_eq!(
        response_issues(attempt, json!({"event_type": "device.removed"})),
        ["device_id: Required (read as variant 2 of 2)"]
    );
}

#[test]
fn closest_branch_has_the_fewest_wrong_literals() {
    let attempt = |status: &str, fields: &[&str]| {
        let mut required = fields.to_vec();
        required.push("status");
        json!({
            "type": "object",
            "properties": {"status": {"type": "string", "enum": [status]}},
            "required": required,
        })
    };
    let schema = json!({"oneOf": [attempt("pending", &[]), attempt("error", &["error", "type"])]});
    assert_eq!(
        response_issues(schema, json!({"status": "error"})),
        ["error: Required (read as variant 2 of 2)", "type: Required (read as variant 2 of 2)"]
    );
}
