//! Property tests: rules that hold for every input, on the small document of the other tests.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;

use super::tests::{ID, contract};
use super::*;

/// Generates names, most of which the test document defines.
fn names() -> impl Strategy<Value = String> {
    let known = [
        "device_id",
        "code",
        "name",
        "ends_at",
        "shape",
        "lengths",
        "custom_metadata",
        "owner",
        "email",
        "account_id",
        "ids",
        "limit",
        "page_cursor",
        "event",
        "event_type",
        "error",
        "ok",
        "_errors",
        "_strict",
    ];
    prop_oneof![9 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn texts() -> impl Strategy<Value = String> {
    let known =
        [ID, "1234", "circle", "code.set", "code.gone", "a@b.co", "2026-01-01T00:00:00Z", "true", "1e3", "a,b", ""];
    prop_oneof![proptest::sample::select(known.to_vec()).prop_map(str::to_owned), any::<String>()]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..300).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(names(), inner, 0..6).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// Generates bodies, most of which are objects with known names.
fn bodies() -> impl Strategy<Value = Value> {
    let object = btree_map(names(), values(), 0..8).prop_map(|fields| fields.into_iter().collect());
    prop_oneof![9 => object, 1 => values()]
}

fn queries() -> impl Strategy<Value = String> {
    let suffix = prop_oneof![4 => Just(String::new()), 1 => Just("[]".to_owned()), 1 => names().prop_map(|name| format!(".{name}"))];
    let pair = (names(), suffix, texts()).prop_map(|(name, suffix, text)| (name + &suffix, text));
    prop_oneof![
        4 => vec(pair, 0..6).prop_map(|pairs| form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()),
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn check_accepts_or_rejects_any_input_without_a_panic(query in queries(), body in bodies()) {
        let contract = contract();
        for endpoint in contract.paths().filter_map(|path| contract.endpoint(path)) {
            for (_, operation) in &endpoint.operations {
                for body in [None, Some(body.clone())] {
                    match operation.check(Some(&query), body) {
                        Ok(_) => {}
                        Err(Rejection::InvalidInput { message, validation_errors }) => {
                            prop_assert!(!message.is_empty());
                            prop_assert!(validation_errors["_errors"].is_array());
                        }
                        Err(Rejection::InvalidQuery { message }) => prop_assert!(message.contains('"')),
                    }
                }
            }
        }
    }

    #[test]
    fn walk_reports_issues_exactly_if_the_validator_rejects(value in bodies()) {
        let contract = contract();
        for endpoint in contract.paths().filter_map(|path| contract.endpoint(path)) {
            for (_, operation) in &endpoint.operations {
                for checker in operation.input.iter().chain(operation.responses.iter().map(|(_, checker)| checker)) {
                    let valid = checker.validator(&contract.schemas).unwrap().is_valid(&value);
                    for direction in [Direction::Request, Direction::Response] {
                        let issues = walk::issues(&contract.schemas, &checker.schema, &value, direction);
                        prop_assert_eq!(valid, issues.is_empty(), "{:?}", issues);
                    }
                }
            }
        }
    }
}
