//! Parsing of a query string according to the schema of an operation.
//!
//! Seam's clients write arrays as repeated keys, null and the empty list as an empty value, and objects with dotted
//! names. They mark this strict form with `_strict=true`. Without the mark, a query is parsed leniently, so that people
//! can write it by hand: lists with commas or brackets, `yes` and `1` for true, blanks around values.
//!
//! This module validates nothing. Text that cannot be parsed as its schema's type stays text, and validation rejects
//! it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::issues::quoted;
use super::number;
use super::schema::{Schemas, list};

/// Parameter that selects the strict form. It is never part of the input.
const STRICT: &str = "_strict";

/// Parses `query` into an object of the shape that `schema` describes. Unknown parameters follow the known ones, as
/// text.
///
/// # Errors
/// The name of the parameter that cannot be parsed, and the reason.
pub(super) fn parse(schemas: &Schemas, schema: &Value, query: &str) -> Result<Map<String, Value>, String> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        values.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    let strict = values.remove(STRICT).is_some_and(|mark| mark == ["true"]);
    let mut reader = Reader { schemas, values, strict };
    let mut input = Map::new();
    for (name, property) in schemas.properties(schema) {
        if let Some(value) = reader.property(name, property)? {
            input.insert(name.to_owned(), value);
        }
    }
    let unknown = reader.values.into_iter().map(|(name, mut values)| match values.as_mut_slice() {
        [only] => (name, Value::String(std::mem::take(only))),
        _ => (name, values.into()),
    });
    input.extend(unknown);
    Ok(input)
}

/// Form of a parameter, which determines how its text is parsed.
enum Form<'a> {
    Scalar(Scalar),
    /// Holds the schema of an item.
    Array(&'a Value),
    /// Holds the schema of the object.
    Object(&'a Value),
}

/// Types that a single value may have.
#[derive(Clone, Copy, Default)]
struct Scalar {
    string: bool,
    number: bool,
    boolean: bool,
}

struct Reader<'a> {
    schemas: &'a Schemas,
    /// Values of the parameters that are not parsed yet.
    values: BTreeMap<String, Vec<String>>,
    strict: bool,
}

impl<'a> Reader<'a> {
    /// Removes and parses the parameter `name` (a dotted path for a nested one). Returns `None` if it is missing.
    fn property(&mut self, name: &str, schema: &'a Value) -> Result<Option<Value>, String> {
        match self.form(schema) {
            Form::Scalar(scalar) => self.scalar(name, scalar),
            Form::Array(items) => self.array(name, items),
            Form::Object(schema) => self.object(name, schema),
        }
    }

    fn scalar(&mut self, name: &str, scalar: Scalar) -> Result<Option<Value>, String> {
        let Some(text) = self.single(name)? else {
            return Ok(None);
        };
        Ok(Some(self.value(&text, scalar)))
    }

    /// Removes the single value of `name`. Returns `None` if it is missing.
    fn single(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.values.remove(name).as_deref_mut() {
            None | Some([]) => Ok(None),
            Some([only]) => Ok(Some(std::mem::take(only))),
            Some(_) => Err(format!("parameter \"{}\" is given more than once, but takes a single value", quoted(name))),
        }
    }

    /// Removes and parses the list `name`: a repeated key; in the lenient form also commas in a single value, or
    /// brackets behind the name.
    fn array(&mut self, name: &str, items: &'a Value) -> Result<Option<Value>, String> {
        let plain = self.values.remove(name);
        let bracketed = if self.strict { None } else { self.values.remove(&format!("{name}[]")) };
        let mut splits_at_commas = !self.strict;
        let texts = match (plain, bracketed) {
            (None, None) => return Ok(None),
            (Some(plain), None) => plain,
            (None, Some(bracketed)) => {
                splits_at_commas = false;
                bracketed
            }
            (Some(_), Some(_)) => {
                return Err(format!("parameter \"{name}\" mixes repeated and bracketed values; use one form"));
            }
        };
        if let [only] = texts.as_slice()
            && self.is_empty(only)
        {
            return Ok(Some(Value::Array(Vec::new())));
        }
        let texts: Vec<&str> = match texts.as_slice() {
            [only] if splits_at_commas => only.split(',').collect(),
            several => several.iter().map(String::as_str).collect(),
        };
        if texts.iter().any(|text| self.is_empty(text)) {
            return Err(format!("parameter \"{name}\" mixes empty values with others; leave the empty ones out"));
        }
        if !self.strict && texts.iter().any(|text| text.contains(',')) {
            return Err(format!(
                "parameter \"{name}\" has a comma in one of several values, which is ambiguous; send it with \
                 _strict=true or in a JSON body"
            ));
        }
        let scalar = self.item(items);
        Ok(Some(texts.iter().map(|text| self.value(text, scalar)).collect()))
    }

    /// Removes and parses the object `name` from the dotted names that begin with it. A value of `name` itself is null
    /// if it is empty, and otherwise stays text, which validation rejects.
    fn object(&mut self, name: &str, schema: &'a Value) -> Result<Option<Value>, String> {
        let prefix = format!("{name}.");
        let nested = self.nested(&prefix);
        if let Some(text) = self.single(name)? {
            return match nested {
                Some(nested) => Err(format!(
                    "parameter \"{name}\" is given as a value and, by \"{}\", as an object; use one form",
                    quoted(&nested)
                )),
                None if self.is_empty(&text) => Ok(Some(Value::Null)),
                None => Ok(Some(Value::String(text))),
            };
        }
        if nested.is_none() {
            return Ok(None);
        }
        let mut fields = Map::new();
        for (key, property) in self.schemas.properties(schema) {
            if let Some(value) = self.property(&format!("{prefix}{key}"), property)? {
                fields.insert(key.to_owned(), value);
            }
        }
        let additional = self.schemas.resolve(schema).get("additionalProperties");
        if let Some(additional) = additional.filter(|additional| **additional != Value::Bool(false)) {
            self.record(&prefix, additional, &mut fields)?;
        }
        Ok(Some(fields.into()))
    }

    /// Moves all remaining parameters under `prefix` into `fields`, as values with the schema `value_schema`.
    fn record(&mut self, prefix: &str, value_schema: &'a Value, fields: &mut Map<String, Value>) -> Result<(), String> {
        let scalar = self.item(value_schema);
        while let Some(name) = self.nested(prefix) {
            let key = name.get(prefix.len()..).unwrap_or_default();
            if key.contains('.') || key.ends_with("[]") {
                let name = quoted(&name);
                return Err(format!("parameter \"{name}\" is nested too deeply: it can only be a single value"));
            }
            if let Some(value) = self.scalar(&name, scalar)? {
                fields.insert(key.to_owned(), value);
            }
        }
        Ok(())
    }

    /// Returns the types of a value inside a list or a record. A query cannot express lists or objects there, so for
    /// these it returns no type, and the value stays text.
    fn item(&self, schema: &'a Value) -> Scalar {
        match self.form(schema) {
            Form::Scalar(scalar) => scalar,
            Form::Array(_) | Form::Object(_) => Scalar::default(),
        }
    }

    /// Returns the first name with the prefix `prefix` that is not parsed yet.
    fn nested(&self, prefix: &str) -> Option<String> {
        let (name, _) = self.values.range(prefix.to_owned()..).next()?;
        name.starts_with(prefix).then(|| name.clone())
    }

    /// Parses the text of one value as the first of its types that fits. An empty text is null.
    fn value(&self, text: &str, scalar: Scalar) -> Value {
        let read = if self.strict || scalar.string { text } else { text.trim() };
        if read.is_empty() {
            return Value::Null;
        }
        // If text is allowed too, only the exact spellings `true` and `false` are parsed as booleans.
        let is_lenient = !self.strict && !scalar.string;
        if scalar.boolean {
            match read {
                "true" => return true.into(),
                "false" => return false.into(),
                "True" | "TRUE" | "yes" | "Yes" | "YES" | "1" if is_lenient => return true.into(),
                "False" | "FALSE" | "no" | "No" | "NO" | "0" if is_lenient => return false.into(),
                _ => {}
            }
        }
        if scalar.number
            && !scalar.string
            && let Some(number) = number::from_text(read)
        {
            return number;
        }
        read.into()
    }

    /// Returns true if a text is an empty value: the empty list for an array, null for an object.
    fn is_empty(&self, text: &str) -> bool {
        if self.strict { text.is_empty() } else { text.trim().is_empty() }
    }

    fn form(&self, schema: &'a Value) -> Form<'a> {
        let schema = self.schemas.resolve(schema);
        match schema.get("type").and_then(Value::as_str) {
            Some("array") => return Form::Array(schema.get("items").unwrap_or(&Value::Null)),
            Some("object") => return Form::Object(schema),
            Some("number" | "integer") => {
                return Form::Scalar(Scalar { number: true, ..Scalar::default() });
            }
            Some("boolean") => {
                return Form::Scalar(Scalar { boolean: true, ..Scalar::default() });
            }
            Some(_) => {
                return Form::Scalar(Scalar { string: true, ..Scalar::default() });
            }
            None => {}
        }
        let mut union = Scalar::default();
        for branch in ["allOf", "oneOf", "anyOf"].iter().flat_map(|keyword| list(schema, keyword)) {
            match self.form(branch) {
                Form::Scalar(scalar) => {
                    union.string |= scalar.string;
                    union.number |= scalar.number;
                    union.boolean |= scalar.boolean;
                }
                // If a branch is a list or an object, the parameter is parsed as that list or object.
                composite => return composite,
            }
        }
        if !union.number && !union.boolean {
            union.string = true;
        }
        Form::Scalar(union)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(query: &str) -> Result<Value, String> {
        let schemas = Schemas::new(json!({"components": {"schemas": {
            "limit": {"type": "integer"},
        }}}));
        let schema = json!({"type": "object", "properties": {
            "name": {"type": "string"},
            "limit": {"$ref": "#/components/schemas/limit"},
            "is_managed": {"type": "boolean"},
            "ids": {"type": "array", "items": {"type": "string"}},
            "lengths": {"type": "array", "items": {"type": "number"}},
            "kind": {"oneOf": [{"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["b"]}]},
            "either": {"oneOf": [{"type": "string"}, {"type": "number"}]},
            "has": {"type": "object", "additionalProperties": {
                "nullable": true,
                "oneOf": [{"type": "string"}, {"type": "boolean"}],
            }},
            "options": {"type": "object", "properties": {
                "depth": {"type": "number"},
                "style": {"type": "object", "properties": {"color": {"type": "string"}}},
            }},
        }});
        parse(&schemas, &schema, query).map(Value::Object)
    }

    #[track_caller]
    fn assert_parsed(query: &str, expected: &Value) {
        assert_eq!(parsed(query).as_ref(), Ok(expected), "{query}");
    }

    #[track_caller]
    fn assert_rejected(query: &str, name: &str) {
        let message = parsed(query).expect_err(query);
        assert!(message.contains(&format!("\"{name}\"")), "{query}: {message}");
    }

    #[test]
    fn values_are_read_by_their_type() {
        assert_parsed(
            "name=12&limit=12&is_managed=true&kind=a",
            &json!({"name": "12", "limit": 12, "is_managed": true, "kind": "a"}),
        );
        assert_parsed("name=a%20b+c%C3%A9", &json!({"name": "a b cé"}));
    }

    #[test]
    fn digits_stay_text_if_the_schema_allows_text() {
        assert_parsed("either=12", &json!({"either": "12"}));
    }

    #[test]
    fn text_that_is_not_of_the_type_stays_text() {
        assert_parsed("limit=abc&is_managed=maybe", &json!({"limit": "abc", "is_managed": "maybe"}));
    }

    #[test]
    fn empty_value_is_null_or_the_empty_list() {
        for mark in ["", "&_strict=true"] {
            assert_parsed(
                &format!("name=&limit=&is_managed=&ids=&has={mark}"),
                &json!({"name": null, "limit": null, "is_managed": null, "ids": [], "has": null}),
            );
        }
    }

    #[test]
    fn repeated_keys_make_a_list() {
        assert_parsed("ids=b&ids=a", &json!({"ids": ["b", "a"]}));
        assert_parsed("ids=a", &json!({"ids": ["a"]}));
        assert_parsed("lengths=4&lengths=5", &json!({"lengths": [4, 5]}));
    }

    #[test]
    fn lenient_lists_may_use_commas_or_brackets() {
        assert_parsed("ids=a,b", &json!({"ids": ["a", "b"]}));
        assert_parsed("ids[]=a&ids[]=b", &json!({"ids": ["a", "b"]}));
        assert_parsed("ids[]=", &json!({"ids": []}));
        assert_parsed("lengths=4,5", &json!({"lengths": [4, 5]}));
    }

    #[test]
    fn strict_lists_use_repeated_keys_only() {
        assert_parsed("_strict=true&ids=a,b", &json!({"ids": ["a,b"]}));
        assert_parsed("_strict=true&ids=a,b&ids=c", &json!({"ids": ["a,b", "c"]}));
        assert_parsed("_strict=true&ids[]=a", &json!({"ids[]": "a"}));
    }

    #[test]
    fn lenient_booleans_accept_several_spellings() {
        for text in ["true", "True", "TRUE", "yes", "Yes", "YES", "1", "+true+"] {
            assert_parsed(&format!("is_managed={text}"), &json!({"is_managed": true}));
        }
        for text in ["false", "False", "FALSE", "no", "No", "NO", "0"] {
            assert_parsed(&format!("is_managed={text}"), &json!({"is_managed": false}));
        }
        assert_parsed("is_managed=tRue", &json!({"is_managed": "tRue"}));
    }

    #[test]
    fn strict_values_are_read_exactly() {
        assert_parsed("_strict=true&is_managed=false", &json!({"is_managed": false}));
        assert_parsed("_strict=true&is_managed=True&limit=+2+", &json!({"limit": " 2 ", "is_managed": "True"}));
    }

    #[test]
    fn blanks_around_a_value_are_significant_only_in_text() {
        assert_parsed("name=+a+&limit=+2+&is_managed=+", &json!({"name": " a ", "limit": 2, "is_managed": null}));
    }

    #[test]
    fn strict_mark_counts_only_if_true_and_is_never_an_input() {
        assert_parsed("_strict=false&ids=a,b", &json!({"ids": ["a", "b"]}));
        assert_parsed("_strict=true", &json!({}));
        assert_parsed("", &json!({}));
    }

    #[test]
    fn dotted_names_make_an_object() {
        assert_parsed(
            "has.floor=2&has.vip=true&has.gone=&has.said=yes",
            &json!({"has": {"floor": "2", "gone": null, "said": "yes", "vip": true}}),
        );
        assert_parsed(
            "options.style.color=red&options.depth=2",
            &json!({"options": {"depth": 2, "style": {"color": "red"}}}),
        );
    }

    #[test]
    fn unknown_parameters_stay_as_text() {
        assert_parsed("x=1&x=2&b.c=&a=1", &json!({"a": "1", "b.c": "", "x": ["1", "2"]}));
        assert_parsed("options.other=1", &json!({"options": {}, "options.other": "1"}));
    }

    #[test]
    fn single_value_given_twice_is_rejected() {
        assert_rejected("limit=1&limit=1", "limit");
        assert_rejected("has.a=1&has.a=2", "has.a");
        assert_rejected("has=&has=", "has");
    }

    #[test]
    fn list_with_mixed_forms_is_rejected() {
        for query in ["ids=a&ids[]=b", "ids=a,b&ids=c", "ids[]=a,b", "ids=a&ids=", "ids=a,", "ids=&ids="] {
            assert_rejected(query, "ids");
        }
        assert_rejected("_strict=true&ids=a&ids=", "ids");
    }

    #[test]
    fn conflicting_or_too_deep_nesting_is_rejected() {
        assert_rejected("has=&has.a=1", "has");
        assert_rejected("options.style=x&options.style.color=red", "options.style");
        assert_rejected("has.a.b=1", "has.a.b");
        assert_rejected("has.a[]=1", "has.a[]");
    }
}
