//! The script of the probe: a list of requests, in JSON. `script.schema.json` describes the format.

use crate::clock::{MAX_TIMESTAMP, Timestamp, duration_from_iso, to_iso};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// JSON Schema of a script.
pub(crate) const SCHEMA: &str = include_str!("script.schema.json");

/// The scripts in the program, in the order in which they run. Parts that change many codes of one lock are far from each
/// other, because of Seam's limits for each lock and minute. Access grants are last: they can leave backup codes on a lock.
const INCLUDED: &[(&str, &str)] = &[
    ("edge.json", include_str!("script/edge.json")),
    ("devices.json", include_str!("script/devices.json")),
    ("access_codes.json", include_str!("script/access_codes.json")),
    ("access_code_errors.json", include_str!("script/access_code_errors.json")),
    ("spaces.json", include_str!("script/spaces.json")),
    ("platform.json", include_str!("script/platform.json")),
    ("linked_access_codes.json", include_str!("script/linked_access_codes.json")),
    ("unmanaged_access_codes.json", include_str!("script/unmanaged_access_codes.json")),
    ("access_grants.json", include_str!("script/access_grants.json")),
];

/// Placeholders that have a value in every part.
const PLACEHOLDERS: &[&str] = &[
    "device_id",
    "other_device_id",
    "connected_account_id",
    "workspace_id",
    "unknown_id",
    "name",
    "key",
    "pin_1",
    "pin_2",
    "pin_3",
    "pin_4",
];

/// Maximum time that a step may wait for a value.
const MAX_WAIT_SECONDS: u64 = 600;

/// Reason why a script cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the script {file} is invalid:\n  {}", mistakes.join("\n  "))]
pub struct ScriptError {
    file: String,
    /// Mistakes, each with its place.
    mistakes: Vec<String>,
}

/// A script: parts that run one after the other.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Script {
    pub(crate) parts: Vec<Part>,
}

/// Steps that belong together. What they remember is forgotten at the end of the part, and what they created is deleted.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Part {
    pub(crate) part: String,
    /// True if the part runs once for each lock; otherwise it runs with the first lock.
    #[serde(default)]
    pub(crate) each_lock: bool,
    /// True if the steps do not depend on each other. Some are then done at the same time.
    #[serde(default)]
    pub(crate) independent: bool,
    pub(crate) steps: Vec<Step>,
}

/// One request, and how its responses are compared.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Step {
    pub(crate) step: String,
    pub(crate) request: Request,
    /// Names of values in the response that later steps use, with their JSON pointers.
    #[serde(default)]
    pub(crate) remember: BTreeMap<String, String>,
    /// Request that deletes what this step has created.
    pub(crate) cleanup: Option<Request>,
    /// Condition until which the request is repeated.
    pub(crate) wait: Option<Wait>,
    /// JSON pointers of arrays whose elements are compared in order, each with the key that names an element.
    #[serde(default)]
    pub(crate) in_order: BTreeMap<String, String>,
    /// JSON pointers of arrays whose number of elements is compared.
    #[serde(default)]
    pub(crate) count: Vec<String>,
    /// JSON pointers of values that depend on the workspace, and are not compared. `*` is any key or index.
    #[serde(default)]
    pub(crate) ignore: Vec<String>,
}

/// A request. Its texts may contain placeholders.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Request {
    #[serde(default = "post")]
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) query: Map<String, Value>,
    /// JSON, or the text of the body if it is a string.
    pub(crate) body: Option<Value>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Bearer token; `None`: the API key; empty: no credential.
    pub(crate) token: Option<String>,
}

impl Request {
    /// Returns a POST request with a JSON body.
    pub(crate) fn post(path: &str, body: Value) -> Self {
        Self { method: post(), path: path.to_owned(), body: Some(body), ..Self::default() }
    }
}

fn post() -> String {
    "POST".to_owned()
}

/// Repeats a request until a value is found.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Wait {
    /// JSON pointer, or `status` for the HTTP status. With `*`, any of the values may fulfil the condition.
    #[serde(rename = "for")]
    pub(crate) watched: String,
    pub(crate) until: Vec<Value>,
    pub(crate) at_most_seconds: u64,
}

impl Wait {
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.at_most_seconds)
    }

    /// True if the course of the value is compared, not only its end.
    pub(crate) fn has_course(&self) -> bool {
        self.watched != "status" && !self.watched.contains('*')
    }
}

impl Script {
    /// Returns the script in the program.
    ///
    /// # Errors
    /// A [`ScriptError`] if the program was built with an invalid script.
    pub(crate) fn included() -> Result<Self, ScriptError> {
        let mut parts = Vec::new();
        for (file, text) in INCLUDED {
            parts.extend(Self::parse(file, text)?.parts);
        }
        Ok(Self { parts })
    }

    /// Parses and checks a script.
    ///
    /// # Errors
    /// A [`ScriptError`] with the places of the mistakes.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, ScriptError> {
        let invalid = |mistakes| ScriptError { file: file.to_owned(), mistakes };
        let document: Value = serde_json::from_str(text).map_err(|error| invalid(vec![error.to_string()]))?;
        let mistakes = against_schema(&document).map_err(|error| invalid(vec![error]))?;
        if !mistakes.is_empty() {
            return Err(invalid(mistakes));
        }
        let script = Self::deserialize(&document).map_err(|error| invalid(vec![error.to_string()]))?;
        let mistakes = script.mistakes();
        if mistakes.is_empty() { Ok(script) } else { Err(invalid(mistakes)) }
    }

    /// Returns what the schema cannot express: names that occur twice, placeholders without a value, and limits.
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut titles = BTreeSet::new();
        for part in &self.parts {
            if !titles.insert(&part.part) {
                mistakes.push(format!("{}: this part occurs twice", part.part));
            }
            let mut names = BTreeSet::new();
            let mut variables = Variables::default();
            for name in PLACEHOLDERS {
                variables.set(name, "");
            }
            for step in &part.steps {
                let request = variables.fill(&step.request, Timestamp::UNIX_EPOCH);
                for name in step.remember.keys() {
                    variables.set(name, "");
                }
                let cleanup = step.cleanup.iter().map(|cleanup| variables.fill(cleanup, Timestamp::UNIX_EPOCH));
                for name in cleanup.chain([request]).filter_map(Result::err) {
                    let explanation = "neither a placeholder nor remembered before";
                    mistakes.push(format!("{}, {}: {{{name}}} is {explanation}", part.part, step.step));
                }
                if !names.insert(&step.step) {
                    mistakes.push(format!("{}: the step {} occurs twice", part.part, step.step));
                }
                if step.wait.as_ref().is_some_and(|wait| wait.at_most_seconds > MAX_WAIT_SECONDS) {
                    mistakes
                        .push(format!("{}, {}: at_most_seconds is more than {MAX_WAIT_SECONDS}", part.part, step.step));
                }
            }
        }
        mistakes
    }
}

/// Returns the mistakes that the schema finds, each with its place.
fn against_schema(document: &Value) -> Result<Vec<String>, String> {
    let schema: Value = serde_json::from_str(SCHEMA).map_err(|error| error.to_string())?;
    let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
    Ok(validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect())
}

/// Values by which placeholders are replaced.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Returns a request with its placeholders replaced. The error is the name of a value that is not known.
    pub(crate) fn fill(&self, request: &Request, now: Timestamp) -> Result<Request, String> {
        let mut filled = request.clone();
        filled.path = self.fill_text(&request.path, now)?;
        for value in filled.query.values_mut().chain(&mut filled.body) {
            self.fill_value(value, now)?;
        }
        for value in filled.headers.values_mut().chain(&mut filled.token) {
            *value = self.fill_text(value, now)?;
        }
        Ok(filled)
    }

    fn fill_value(&self, value: &mut Value, now: Timestamp) -> Result<(), String> {
        match value {
            Value::String(text) => *text = self.fill_text(text, now)?,
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.fill_value(item, now))?,
            Value::Object(fields) => fields.values_mut().try_for_each(|field| self.fill_value(field, now))?,
            _ => {}
        }
        Ok(())
    }

    /// Replaces `{name}` by the value with this name, and `{now+PT1H}` by an instant.
    fn fill_text(&self, text: &str, now: Timestamp) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            filled.push_str(before);
            match instant(name, now) {
                Some(instant) => filled.push_str(&to_iso(instant)),
                None => filled.push_str(self.0.get(name).ok_or_else(|| name.to_owned())?),
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// Returns the instant of a placeholder such as `now`, `now+PT1H` or `now-P1D`.
fn instant(placeholder: &str, now: Timestamp) -> Option<Timestamp> {
    let distance = placeholder.strip_prefix("now")?;
    if distance.is_empty() {
        return Some(now);
    }
    let duration = duration_from_iso(distance.get(1..)?)?;
    let found = match distance.as_bytes().first()? {
        b'+' => now.checked_add_signed(duration),
        b'-' => now.checked_sub_signed(duration),
        _ => None,
    };
    found.filter(|found| *found <= MAX_TIMESTAMP)
}

/// Returns a string without quotes, and any other value as JSON.
pub(crate) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns the values at a JSON pointer, in which `*` is any key or index.
pub(crate) fn values_at<'v>(value: &'v Value, pointer: &str) -> Vec<&'v Value> {
    let mut found = vec![value];
    for key in pointer.split('/').skip(1) {
        found = found.into_iter().flat_map(|value| children(value, key)).collect();
    }
    found
}

fn children<'v>(value: &'v Value, key: &str) -> Vec<&'v Value> {
    match value {
        Value::Object(fields) if key == "*" => fields.values().collect(),
        Value::Object(fields) => fields.get(key).into_iter().collect(),
        Value::Array(items) if key == "*" => items.iter().collect(),
        Value::Array(items) => key.parse().ok().and_then(|index: usize| items.get(index)).into_iter().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_iso;
    use crate::contract::OPENAPI;
    use serde_json::json;

    #[test]
    fn included_script_is_valid_and_names_served_paths_only() {
        let contract: Value = serde_json::from_str(OPENAPI.text().unwrap()).unwrap();
        let script = Script::included().unwrap();
        let mut titles = BTreeSet::new();
        let mut used = BTreeSet::new();
        for part in &script.parts {
            assert!(titles.insert(&part.part), "{} occurs twice", part.part);
            for step in &part.steps {
                used.insert(step.request.path.as_str());
                let cleanup = step.cleanup.iter().map(|cleanup| cleanup.path.as_str());
                for path in cleanup {
                    assert!(contract["paths"].get(path).is_some(), "{path}");
                }
            }
        }
        let served = contract["paths"].as_object().unwrap().keys();
        let missing: Vec<_> = served.filter(|path| !used.contains(path.as_str())).collect();
        assert!(missing.is_empty(), "paths without a step: {missing:?}");
    }

    #[test]
    fn creating_steps_delete_what_they_create_or_cannot_create_anything() {
        const CREATING: &[&str] = &["create", "create_multiple", "get_or_create"];
        for part in &Script::included().unwrap().parts {
            for Step { step, request, cleanup, .. } in &part.steps {
                let is_creating = request.path.rsplit('/').next().is_some_and(|name| CREATING.contains(&name));
                let is_refused = request.token.as_deref() == Some("");
                let has_unknown = request.body.as_ref().is_some_and(|body| body.to_string().contains("{unknown_id}"));
                let is_fine = !is_creating || cleanup.is_some() || is_refused || has_unknown;
                assert!(is_fine, "{}, {step}: no cleanup", part.part);
            }
        }
    }

    #[test]
    fn invalid_scripts_are_rejected_with_the_places_of_the_mistakes() {
        let step = json!({"step": "one", "request": {"path": "/devices/get"}});
        let get = |id: &str| json!({"step": "get", "request": {"path": "/devices/get", "body": {"device_id": id}}});
        let cleanup = json!({"path": "/devices/delete", "body": {"device_id": "{id}"}});
        let create = json!({"step": "create", "request": {"path": "/x"}, "cleanup": cleanup});
        for (script, place) in [
            (json!({"parts": [{"part": "a"}]}), "/parts/0"),
            (json!({"parts": [{"part": "a", "steps": [{"step": "one"}]}]}), "/parts/0/steps/0"),
            (json!({"parts": [{"part": "a", "steps": [step, step]}]}), "the step one occurs twice"),
            (json!({"parts": [{"part": "a", "steps": [step]}, {"part": "a", "steps": [step]}]}), "occurs twice"),
            (json!({"parts": []}), "/parts"),
            (json!({"parts": [{"part": "a", "steps": []}]}), "/parts/0/steps"),
            (json!({"parts": [{"part": "a", "steps": [{"step": "b", "request": {"path": "x"}}]}]}), "/request/path"),
            (json!({"parts": [{"part": "a", "steps": [get("{id}")]}]}), "a, get: {id} is neither"),
            (json!({"parts": [{"part": "a", "steps": [get("{now+1}")]}]}), "a, get: {now+1} is neither"),
            (json!({"parts": [{"part": "a", "steps": [create]}]}), "a, create: {id} is neither"),
        ] {
            let error = Script::parse("own.json", &script.to_string()).unwrap_err().to_string();
            assert!(error.starts_with("the script own.json is invalid") && error.contains(place), "{error}");
        }
        assert!(Script::parse("own.json", "{").is_err());
    }

    #[test]
    fn placeholders_are_replaced_at_every_depth_or_named_if_unknown() {
        let now = from_iso("2026-03-01T12:00:00Z").unwrap();
        let mut variables = Variables::default();
        variables.set("device_id", "d1");
        let request = json!({
            "path": "/x", "token": "{device_id}",
            "body": {"ids": ["{device_id}", "{now+PT1H}"], "name": "a {device_id} b", "at": "{now-P1D}"},
        });
        let request = Request::deserialize(request).unwrap();
        let filled = variables.fill(&request, now).unwrap();
        assert_eq!(
            filled.body.unwrap(),
            json!({"ids": ["d1", "2026-03-01T13:00:00.000Z"], "name": "a d1 b", "at": "2026-02-28T12:00:00.000Z"})
        );
        assert_eq!(filled.token.as_deref(), Some("d1"));
        assert_eq!(Variables::default().fill(&request, now).unwrap_err(), "device_id");
    }

    #[test]
    fn pointers_with_stars_find_all_values() {
        let value = json!({"events": [{"type": "a"}, {"type": "b"}]});
        assert_eq!(values_at(&value, "/events/*/type"), [&json!("a"), &json!("b")]);
        assert_eq!(values_at(&value, "/events/1/type"), [&json!("b")]);
        assert!(values_at(&value, "/nothing/*").is_empty());
    }
}
