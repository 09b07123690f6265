//! What the walk says, keyword by keyword.

use super::*;

/// The lines that the walk has to say of `value` under `schema`.
fn said(side: Side, schema: &Value, value: &Value) -> Vec<String> {
    let schemas = Schemas::new(json!({"components": {"schemas": {
        "id": {"type": "string", "format": "uuid"},
    }}}));
    issues(&schemas, schema, value, side).reported().iter().map(Issue::line).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "the cases read best with their literals in place")]
fn zod(schema: Value, value: Value) -> Vec<String> {
    said(Side::Request, &schema, &value)
}

#[expect(clippy::needless_pass_by_value, reason = "the cases read best with their literals in place")]
fn closest(schema: Value, value: Value) -> Vec<String> {
    said(Side::Response, &schema, &value)
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_value_of_the_wrong_type_is_told_its_type_and_nothing_more() {
    let code = json!({"type": "string", "minLength": 4, "pattern": "^\\d+$"});
    for (value, kind) in [
        (json!(1234), "number"),
        (json!(null), "null"),
        (json!(true), "boolean"),
        (json!([]), "array"),
        (json!({}), "object"),
    ] {
        assert_eq!(zod(code.clone(), value), [format!("the body: Expected string, received {kind}")]);
    }
}

#[test]
fn a_string_is_told_every_limit_it_breaks_length_first() {
    let code = json!({"pattern": "^\\d+$", "maxLength": 6, "minLength": 4, "type": "string"});
    assert_eq!(
        zod(code.clone(), json!("a")),
        ["the body: String must contain at least 4 character(s)", "the body: Invalid"]
    );
    assert_eq!(zod(code.clone(), json!("1234567")), ["the body: String must contain at most 6 character(s)"]);
    assert_eq!(zod(code, json!("1234")), NOTHING);
}

#[test]
fn each_format_has_its_own_words() {
    for (format, message) in [
        ("uuid", "Invalid uuid"),
        ("date-time", "Invalid datetime"),
        ("email", "Invalid email"),
        ("uri", "Invalid url"),
    ] {
        let schema = json!({"type": "string", "format": format});
        assert_eq!(zod(schema, json!("x")), [format!("the body: {message}")]);
    }
    assert_eq!(zod(json!({"type": "number", "format": "float"}), json!(1.5)), NOTHING);
}

#[test]
fn a_number_is_told_its_bounds() {
    let between = json!({"type": "integer", "minimum": 1.0, "maximum": 9});
    assert_eq!(zod(between.clone(), json!(0)), ["the body: Number must be greater than or equal to 1"]);
    assert_eq!(zod(between.clone(), json!(10)), ["the body: Number must be less than or equal to 9"]);
    assert_eq!(zod(between.clone(), json!(20.0)), ["the body: Number must be less than or equal to 9"]);
    assert_eq!(zod(between.clone(), json!(2.5)), ["the body: Expected integer, received float"]);
    assert_eq!(zod(between, json!("2")), ["the body: Expected number, received string"]);
    let inside =
        json!({"type": "number", "minimum": 0, "exclusiveMinimum": true, "maximum": 1, "exclusiveMaximum": true});
    assert_eq!(zod(inside.clone(), json!(0)), ["the body: Number must be greater than 0"]);
    assert_eq!(zod(inside.clone(), json!(1)), ["the body: Number must be less than 1"]);
    assert_eq!(zod(inside, json!(0.5)), NOTHING);
}

#[test]
fn an_array_is_told_its_size_and_then_each_item() {
    let ids = json!({"type": "array", "minItems": 3, "maxItems": 4, "items": {"$ref": "#/components/schemas/id"}});
    assert_eq!(
        zod(ids.clone(), json!(["x", 7])),
        [
            "the body: Array must contain at least 3 element(s)",
            "0: Invalid uuid",
            "1: Expected string, received number",
        ]
    );
    let five = json!(vec!["00000000-0000-0000-0000-000000000000"; 5]);
    assert_eq!(zod(ids, five), ["the body: Array must contain at most 4 element(s)"]);
}

#[test]
fn an_object_is_gone_through_in_the_order_of_its_schema() {
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
        zod(schema, json!({"c": "true", "a": {}, "unknown": 1})),
        ["b: Required", "a.x: Required", "c: Expected boolean, received string"]
    );
}

#[test]
fn an_enum_lists_its_values() {
    let shape = json!({"type": "string", "enum": ["circle", "square"]});
    assert_eq!(
        zod(shape.clone(), json!("star")),
        ["the body: Invalid enum value. Expected 'circle' | 'square', received 'star'"]
    );
    assert_eq!(zod(shape, json!(4)), ["the body: Expected 'circle' | 'square', received number"]);
    let nullable = json!({"type": "string", "enum": ["circle", "square"], "nullable": true});
    assert_eq!(zod(nullable, json!(null)), NOTHING);
}

#[test]
fn an_enum_of_one_is_a_literal_also_when_it_is_missing() {
    let yes = json!({"type": "boolean", "enum": [true]});
    assert_eq!(zod(yes.clone(), json!(false)), ["the body: Invalid literal value, expected true"]);
    assert_eq!(
        zod(json!({"type": "object", "properties": {"is_managed": yes}, "required": ["is_managed"]}), json!({})),
        ["is_managed: Invalid literal value, expected true"]
    );
}

#[test]
fn a_value_of_no_branch_is_invalid_input() {
    let metadata = json!({
        "type": "object",
        "additionalProperties": {
            "oneOf": [{"type": "string", "maxLength": 3}, {"type": "boolean"}],
            "nullable": true,
        },
    });
    assert_eq!(zod(metadata.clone(), json!({"k": 1})), ["k: Invalid input"]);
    assert_eq!(zod(metadata, json!({"a": null, "b": true, "c": "abc"})), NOTHING);
}

#[test]
fn a_value_of_a_branchs_type_is_told_the_limit_it_breaks() {
    let schema = json!({"oneOf": [{"type": "boolean"}, {"type": "string", "maxLength": 3}]});
    assert_eq!(zod(schema, json!("abcd")), ["the body: String must contain at most 3 character(s)"]);
}

#[test]
fn a_value_with_one_fault_of_type_is_of_no_branch() {
    let schema = json!({"oneOf": [{"type": "boolean"}, {"type": "object", "properties": {
        "a": {"type": "string", "maxLength": 1},
        "b": {"type": "number"},
    }}]});
    assert_eq!(zod(schema.clone(), json!({"a": "xx", "b": "x"})), ["the body: Invalid input"]);
    assert_eq!(zod(schema, json!({"a": "xx", "b": 1})), ["a: String must contain at most 1 character(s)"]);
}

#[test]
fn keys_are_refused_only_where_the_schema_says_so() {
    let closed = json!({"type": "object", "properties": {"a": {}}, "additionalProperties": false});
    assert_eq!(zod(closed, json!({"a": 1, "b": 2, "c": 3})), ["the body: Unrecognized key(s) in object: 'b', 'c'"]);
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
fn a_discriminated_value_is_measured_against_the_branch_it_names() {
    assert_eq!(
        closest(events(), json!({"event_type": "device.removed", "code_id": "x"})),
        ["device_id: Required (taken for event_type \"device.removed\")"]
    );
    assert_eq!(
        closest(events(), json!({"event_type": "other"})),
        ["event_type: Invalid discriminator value. Expected 'code.created' | 'device.removed'"]
    );
    assert_eq!(closest(events(), json!([])), ["the body: Expected object, received array"]);
}

#[test]
fn without_a_discriminator_a_response_is_measured_against_the_closest_branch() {
    let mut attempt = events();
    attempt.as_object_mut().unwrap().shift_remove("discriminator");
    assert_eq!(
        closest(attempt, json!({"event_type": "device.removed"})),
        ["device_id: Required (taken for variant 2 of 2)"]
    );
}

#[test]
fn a_branch_with_other_literals_is_further_than_one_with_other_faults() {
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
        closest(schema, json!({"status": "error"})),
        ["error: Required (taken for variant 2 of 2)", "type: Required (taken for variant 2 of 2)"]
    );
}
