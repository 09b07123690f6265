//! Walk of a value along its schema, to report its issues in the order and the words of zod 3.
//!
//! The compiled validator decides if a value is valid. The walk is for values that the validator has rejected, because
//! the validator's own errors have neither zod's order (the order of declaration) nor zod's choice of what to report.

use serde_json::{Map, Number, Value, json};

use super::direction::Direction;
use super::issues::{Issue, Issues, LITERAL, MAX_ISSUES, REQUIRED, quoted};
use super::references::reference;
use super::schema::{Schemas, is_nullable, list};
use super::{formats, number};

#[cfg(test)]
mod tests;

/// Returns all issues of `value` under `schema`.
pub(super) fn issues(schemas: &Schemas, schema: &Value, value: &Value, direction: Direction) -> Issues {
    let mut walk = Walk { schemas, direction, path: Vec::new(), issues: Issues::new() };
    walk.visit(schema, value);
    walk.issues
}

struct Walk<'a> {
    schemas: &'a Schemas,
    direction: Direction,
    path: Vec<String>,
    issues: Issues,
}

impl<'a> Walk<'a> {
    fn fatal(&mut self, message: impl Into<String>) {
        self.issues.add((true, false), || Issue::fatal(&self.path, message));
    }

    fn limit(&mut self, message: impl Into<String>) {
        self.issues.add((false, false), || Issue::limit(&self.path, message));
    }

    fn visit(&mut self, schema: &'a Value, value: &Value) {
        if value.is_null() && is_nullable(schema) {
            return;
        }
        if let Some(reference) = reference(schema) {
            return self.visit(self.schemas.target(reference), value);
        }
        if let Some(options) = schema.get("enum").and_then(Value::as_array) {
            return self.choice(options, value);
        }
        if let Some(kind) = schema.get("type").and_then(Value::as_str) {
            // zod has no integer type, only numbers with an additional check.
            let expected = if kind == "integer" { "number" } else { kind };
            if expected != kind_of(value) {
                return self.fatal(format!("Expected {expected}, received {}", kind_of(value)));
            }
        }
        match value {
            Value::String(text) => self.string(schema, text),
            Value::Number(number) => self.number(schema, number),
            Value::Array(items) => self.array(schema, items),
            Value::Object(fields) => self.object(schema, fields),
            Value::Null | Value::Bool(_) => {}
        }
        for part in list(schema, "allOf") {
            self.visit(part, value);
        }
        for keyword in ["oneOf", "anyOf"] {
            if let branches @ [_, ..] = list(schema, keyword) {
                self.union(schema, branches, value);
            }
        }
    }

    fn within(&mut self, step: impl Into<String>, schema: &'a Value, value: &Value) {
        self.path.push(step.into());
        self.visit(schema, value);
        self.path.pop();
    }

    fn choice(&mut self, options: &[Value], value: &Value) {
        if options.contains(value) {
            return;
        }
        let options: Vec<&Value> = options.iter().filter(|option| !option.is_null()).collect();
        let names: Vec<&str> = options.iter().filter_map(|option| option.as_str()).collect();
        let is_literal = options.len() == 1;
        self.issues.add((true, is_literal), || {
            let message = match (options.as_slice(), value) {
                ([only], _) => literal(only),
                (options, _) if options.len() != names.len() => "Invalid input".to_owned(),
                (_, Value::String(text)) => {
                    format!("Invalid enum value. Expected {}, received '{}'", alternatives(&names), quoted(text))
                }
                _ => format!("Expected {}, received {}", alternatives(&names), kind_of(value)),
            };
            Issue::fatal(&self.path, message)
        });
    }

    fn string(&mut self, schema: &Value, text: &str) {
        let length = text.chars().count() as u64;
        if let Some(least) = count(schema, "minLength").filter(|least| length < *least) {
            self.limit(format!("String must contain at least {least} character(s)"));
        }
        if let Some(most) = count(schema, "maxLength").filter(|most| length > *most) {
            self.limit(format!("String must contain at most {most} character(s)"));
        }
        if schema.get("pattern").is_some_and(|pattern| !matches(pattern, text)) {
            self.limit("Invalid");
        }
        let format = schema.get("format").and_then(Value::as_str).and_then(formats::named);
        if let Some(format) = format.filter(|format| !format.accepts(self.direction, text)) {
            self.limit(format.issue);
        }
    }

    fn number(&mut self, schema: &Value, number: &Number) {
        let Some(value) = number.as_f64() else { return };
        if schema.get("type") == Some(&json!("integer")) && value.fract() != 0.0 {
            self.limit("Expected integer, received float");
        }
        let is_set = |keyword: &str| schema.get(keyword) == Some(&Value::Bool(true));
        if let Some((text, least)) = bound(schema, "minimum") {
            if is_set("exclusiveMinimum") {
                if value <= least {
                    self.limit(format!("Number must be greater than {text}"));
                }
            } else if value < least {
                self.limit(format!("Number must be greater than or equal to {text}"));
            }
        }
        if let Some((text, most)) = bound(schema, "maximum") {
            if is_set("exclusiveMaximum") {
                if value >= most {
                    self.limit(format!("Number must be less than {text}"));
                }
            } else if value > most {
                self.limit(format!("Number must be less than or equal to {text}"));
            }
        }
    }

    fn array(&mut self, schema: &'a Value, items: &[Value]) {
        let length = items.len() as u64;
        if let Some(least) = count(schema, "minItems").filter(|least| length < *least) {
            self.limit(format!("Array must contain at least {least} element(s)"));
        }
        if let Some(most) = count(schema, "maxItems").filter(|most| length > *most) {
            self.limit(format!("Array must contain at most {most} element(s)"));
        }
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.within(index.to_string(), schema, item);
            }
        }
    }

    fn object(&mut self, schema: &'a Value, fields: &Map<String, Value>) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut required: Vec<&str> = list(schema, "required").iter().filter_map(Value::as_str).collect();
        for (name, property) in properties.into_iter().flatten() {
            let is_required = required.contains(&name.as_str());
            required.retain(|other| other != name);
            match fields.get(name) {
                Some(value) => self.within(name, property, value),
                None if is_required => self.missing(name, property),
                None => {}
            }
        }
        for name in required.into_iter().filter(|name| !fields.contains_key(*name)) {
            self.missing(name, &Value::Null);
        }
        let additional = fields.iter().filter(|(name, _)| properties.is_none_or(|known| !known.contains_key(*name)));
        match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => {
                let mut unrecognized = additional.map(|(name, _)| format!("'{}'", quoted(name)));
                let names: Vec<String> = unrecognized.by_ref().take(MAX_ISSUES).collect();
                let more = match unrecognized.count() {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                if !names.is_empty() {
                    self.limit(format!("Unrecognized key(s) in object: {}{more}", names.join(", ")));
                }
            }
            Some(schema @ Value::Object(_)) => {
                for (name, value) in additional {
                    self.within(name, schema, value);
                }
            }
            _ => {}
        }
    }

    fn missing(&mut self, name: &str, schema: &Value) {
        self.path.push(name.to_owned());
        let issue = match self.direction {
            Direction::Request => absent(self.schemas, schema, &self.path),
            Direction::Response => Issue::fatal(&self.path, REQUIRED),
        };
        let is_literal = issue.message.starts_with(LITERAL);
        self.issues.add((issue.fatal, is_literal), || issue);
        self.path.pop();
    }

    /// Adds nothing if the value matches a branch. Otherwise it adds:
    /// - with a discriminator: the issues of the closest branch (see [`closest`]) with this value of the discriminator;
    ///   if no branch has it, one issue of the discriminator; if the value is not an object, one issue of its type;
    /// - without one, in a response: the issues of the closest branch;
    /// - without one, in a request (zod's rule): the issues of the first branch without a fatal issue; if there is
    ///   none, one issue `Invalid input`, which contains the issues of every branch.
    fn union(&mut self, schema: &Value, branches: &'a [Value], value: &Value) {
        let mut attempts: Vec<(usize, Issues)> =
            branches.iter().map(|branch| self.attempt(branch, value)).enumerate().collect();
        if attempts.iter().any(|(_, issues)| issues.is_empty()) {
            return;
        }
        if let Some(tag) = schema.pointer("/discriminator/propertyName").and_then(Value::as_str) {
            let Some(fields) = value.as_object() else {
                return self.fatal(format!("Expected object, received {}", kind_of(value)));
            };
            let found = fields.get(tag).unwrap_or(&Value::Null);
            attempts.retain(|(index, _)| self.tags(&branches[*index], tag).contains(&found));
            if let Some(issues) = closest(attempts, |_| format!("{tag} {found}")) {
                return self.issues.extend(issues);
            }
            let known = branches.iter().flat_map(|branch| self.tags(branch, tag));
            let known: Vec<&str> = known.filter_map(Value::as_str).collect();
            self.path.push(tag.to_owned());
            self.fatal(format!("Invalid discriminator value. Expected {}", alternatives(&known)));
            self.path.pop();
            return;
        }
        if self.direction == Direction::Response {
            let variant = |index| format!("variant {} of {}", index + 1, branches.len());
            return self.issues.extend(closest(attempts, variant).unwrap_or_default());
        }
        let right_kind = attempts.iter().position(|(_, issues)| issues.has_no_fatal_issue());
        if let Some(index) = right_kind {
            return self.issues.extend(attempts.swap_remove(index).1);
        }
        let branches = attempts.into_iter().map(|(_, issues)| issues.into_reported());
        self.issues
            .add((true, false), || Issue { branches: branches.collect(), ..Issue::fatal(&self.path, "Invalid input") });
    }

    /// Returns the issues of `value` under `branch`, without adding them to the issues of the walk.
    fn attempt(&mut self, branch: &'a Value, value: &Value) -> Issues {
        let outer = std::mem::take(&mut self.issues);
        self.visit(branch, value);
        std::mem::replace(&mut self.issues, outer)
    }

    /// Returns the values that `branch` allows for the property `tag`.
    fn tags(&self, branch: &'a Value, tag: &str) -> Vec<&'a Value> {
        let properties = self.schemas.properties(branch);
        let property = properties.iter().find(|(name, _)| *name == tag);
        property.map_or_else(Vec::new, |(_, property)| list(self.schemas.resolve(property), "enum").iter().collect())
    }
}

/// Returns the issues of the closest branch, marked with the name of that branch. The closest branch is the one with
/// the fewest wrong literals, because literals distinguish the branches, and among those the one with the fewest
/// issues.
fn closest(attempts: Vec<(usize, Issues)>, name: impl Fn(usize) -> String) -> Option<Issues> {
    let (index, issues) = attempts.into_iter().min_by_key(|(_, issues)| issues.distance())?;
    let name = name(index);
    Some(issues.map(|issue| Issue { variant: issue.variant.or_else(|| Some(name.clone())), ..issue }))
}

/// Returns the issue of a missing value. zod compares it with a literal, or checks it against the branches of a union,
/// like any other value.
fn absent(schemas: &Schemas, schema: &Value, path: &[String]) -> Issue {
    let schema = schemas.resolve(schema);
    if let [only] = list(schema, "enum") {
        return Issue::fatal(path, literal(only));
    }
    let branches = [list(schema, "oneOf"), list(schema, "anyOf")].concat();
    if branches.is_empty() || schema.get("discriminator").is_some() {
        return Issue::fatal(path, REQUIRED);
    }
    Issue {
        branches: branches.iter().map(|branch| vec![absent(schemas, branch, path)]).collect(),
        ..Issue::fatal(path, "Invalid input")
    }
}

fn literal(expected: &Value) -> String {
    format!("{LITERAL}, expected {expected}")
}

fn alternatives(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    quoted.join(" | ")
}

/// Returns zod's name for the type of a value.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn count(schema: &Value, keyword: &str) -> Option<u64> {
    schema.get(keyword)?.as_u64()
}

fn bound(schema: &Value, keyword: &str) -> Option<(String, f64)> {
    let Some(Value::Number(limit)) = schema.get(keyword) else {
        return None;
    };
    Some((number::to_text(limit), limit.as_f64()?))
}

/// Returns true if `text` matches `pattern`, with the validator's own implementation of patterns. The pattern is
/// compiled on each call: only rejected input is checked here, so the cost does not matter.
fn matches(pattern: &Value, text: &str) -> bool {
    jsonschema::validator_for(&json!({"pattern": pattern})).is_ok_and(|validator| validator.is_valid(&json!(text)))
}
