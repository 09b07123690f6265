//! Numbers as in ECMAScript: one type, in which `20.0` equals `20`.

use serde_json::{Number, Value};

/// Converts every number without a fraction in `value` to an integer, at any depth.
///
/// Clients in languages whose models have no integers send `20.0` for a limit of 20. For Seam's servers both are the
/// same number. Without this conversion, an integer field of a handler's input would reject `20.0`.
pub(crate) fn normalize_integers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = whole(number) {
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalize_integers),
        Value::Object(fields) => fields.values_mut().for_each(normalize_integers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Parses a query value as a decimal number. Returns `None` if it is not one.
///
/// Accepts finite decimals only: the numbers that an ECMAScript serializer can write.
pub(super) fn from_text(text: &str) -> Option<Value> {
    let decimal = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if !text.bytes().all(decimal) {
        return None;
    }
    let mut value = Value::Number(Number::from_f64(text.parse().ok()?)?);
    normalize_integers(&mut value);
    Some(value)
}

/// Formats `number` as ECMAScript prints it: `1.0` becomes `1`.
pub(super) fn to_text(number: &Number) -> String {
    whole(number).map_or_else(|| number.to_string(), |whole| whole.to_string())
}

/// Returns the integer that a float equals. `None` for a number with a fraction or outside of `i64`, and for an
/// integer, which needs no conversion.
fn whole(number: &Number) -> Option<i64> {
    if number.is_f64() {
        // A float without a fraction is formatted without a decimal point. Parsing that text needs no cast.
        number.as_f64()?.to_string().parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn normalize_integers_turns_whole_floats_into_integers_at_any_depth() {
        let mut value = json!({"limit": 20.0, "lengths": [4.0, 4.5], "minus": -0.0, "huge": 1e300});
        normalize_integers(&mut value);
        assert_eq!(value, json!({"limit": 20, "lengths": [4, 4.5], "minus": 0, "huge": 1e300}));
    }

    #[test]
    fn decimal_text_is_a_number() {
        assert_eq!(from_text("20"), Some(json!(20)));
        assert_eq!(from_text("-1.5"), Some(json!(-1.5)));
        assert_eq!(from_text("1e3"), Some(json!(1000)));
        assert_eq!(from_text("5."), Some(json!(5)));
    }

    #[test]
    fn non_decimal_text_is_not_a_number() {
        for text in ["", "abc", "1x", "Infinity", "NaN", "1e999", "0x10", "1,5", "--1", " 1"] {
            assert_eq!(from_text(text), None, "{text:?}");
        }
    }
}
