//! Numbers as ECMAScript has them: one kind, in which `20.0` is `20`.

use serde_json::{Number, Value};

/// Writes every number without a fraction as an integer, wherever it stands in `value`.
///
/// Clients in languages without integers in their models send `20.0` for a limit of 20. To Seam's servers the two
/// are one number; here only the spelling with a point would be refused by an integer field of a handler's input.
pub(crate) fn settle(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = whole(number) {
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(fields) => fields.values_mut().for_each(settle),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The number a query value spells in decimal, or nothing when it spells none.
///
/// Finite decimals only: what a serializer that writes ECMAScript numbers can have meant.
pub(super) fn from_text(text: &str) -> Option<Value> {
    let decimal = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if !text.bytes().all(decimal) {
        return None;
    }
    let mut value = Value::Number(Number::from_f64(text.parse().ok()?)?);
    settle(&mut value);
    Some(value)
}

/// `number` as ECMAScript prints it: `1.0` is `1`.
pub(super) fn to_text(number: &Number) -> String {
    whole(number).map_or_else(|| number.to_string(), |whole| whole.to_string())
}

/// The integer that a number spelled as a float equals; nothing for integers proper and for fractions.
fn whole(number: &Number) -> Option<i64> {
    if number.is_f64() {
        // A float without a fraction is displayed without a point, so that reading it back needs no cast.
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
    fn a_float_without_a_fraction_becomes_an_integer_at_any_depth() {
        let mut value = json!({"limit": 20.0, "lengths": [4.0, 4.5], "minus": -0.0, "huge": 1e300});
        settle(&mut value);
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
    fn other_text_is_no_number() {
        for text in ["", "abc", "1x", "Infinity", "NaN", "1e999", "0x10", "1,5", "--1", " 1"] {
            assert_eq!(from_text(text), None, "{text:?}");
        }
    }
}
