//! Parameters of a request, in its query and in its body, and changes of them.

use serde_json::{Map, Value};
use uuid::Uuid;

/// Members whose content belongs to the client: nothing in them is translated.
pub(super) const OF_CLIENT: [&str; 2] = ["custom_metadata", "custom_metadata_has"];

/// Names and values of a query.
type Query = Vec<(String, String)>;

/// Parameters of a request.
pub(super) struct Parameters {
    query: Query,
    has_new_query: bool,
    /// The body; `None` if it is no object. Then it is left to the checks of the endpoint.
    members: Option<Map<String, Value>>,
    has_new_members: bool,
}

impl Parameters {
    /// Reads the parameters of a request. `is_empty`: it has no body.
    pub(super) fn read(query: Option<&str>, body: &[u8], is_empty: bool) -> Self {
        Self {
            query: form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect(),
            has_new_query: false,
            members: if is_empty { Some(Map::new()) } else { serde_json::from_slice(body).ok() },
            has_new_members: false,
        }
    }

    /// Returns query and body, each if it has changed.
    pub(super) fn changed(self) -> (Option<Query>, Option<Map<String, Value>>) {
        (self.has_new_query.then_some(self.query), self.members.filter(|_| self.has_new_members))
    }

    /// Returns true if the body is an object, or empty.
    pub(super) fn has_object(&self) -> bool {
        self.members.is_some()
    }

    /// Returns true if query or body have this parameter.
    pub(super) fn contain(&self, name: &str) -> bool {
        self.query.iter().any(|(found, _)| found == name)
            || self.members.as_ref().is_some_and(|members| members.contains_key(name))
    }

    /// Removes parameters, and returns the texts in them.
    pub(super) fn take_texts(&mut self, names: &[&str]) -> Vec<String> {
        let mut texts = Vec::new();
        self.query.retain(|(name, value)| {
            let is_taken = names.contains(&name.as_str());
            if is_taken {
                texts.extend(value.split(',').map(str::to_owned));
                self.has_new_query = true;
            }
            !is_taken
        });
        for value in names.iter().filter_map(|name| self.members.as_mut()?.remove(*name)) {
            self.has_new_members = true;
            let items = if let Value::Array(items) = value { items } else { vec![value] };
            texts.extend(items.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        texts
    }

    /// Adds a parameter to the body, if it is an object.
    pub(super) fn insert(&mut self, name: &str, value: Value) {
        if let Some(members) = &mut self.members {
            members.insert(name.to_owned(), value);
            self.has_new_members = true;
        }
    }

    /// Changes texts, each with the name of its parameter. `None` leaves a text as it is.
    pub(super) fn change(&mut self, change: &impl Fn(&str, &str) -> Option<String>) {
        for (name, value) in &mut self.query {
            self.has_new_query |= change_query(name, value, change);
        }
        if let Some(members) = &mut self.members {
            self.has_new_members |= change_members(members, change);
        }
    }

    /// Returns the parameter `workspace_id`.
    pub(super) fn workspace_id(&self) -> Option<Uuid> {
        const NAME: &str = "workspace_id";
        let in_query = || self.query.iter().find(|(name, _)| name == NAME).map(|(_, value)| value.as_str());
        let in_body = self.members.as_ref().and_then(|members| members.get(NAME)?.as_str());
        Uuid::try_parse(in_body.or_else(in_query)?).ok()
    }
}

/// Changes a parameter of a query, in which commas may separate the items of a list. Returns true if it has changed.
fn change_query(name: &mut String, value: &mut String, change: &impl Fn(&str, &str) -> Option<String>) -> bool {
    // The `next_page_url` of the fake has this name for `page_cursor`.
    if name == "next_page_cursor" {
        "page_cursor".clone_into(name);
        return true;
    }
    let plain = name.strip_suffix("[]").unwrap_or(name);
    let items: Vec<&str> = if plain.ends_with('s') { value.split(',').collect() } else { vec![value] };
    let changed: Vec<Option<String>> = items.iter().map(|item| change(plain, item)).collect();
    if changed.iter().all(Option::is_none) {
        return false;
    }
    let items = items.into_iter().zip(changed).map(|(item, changed)| changed.unwrap_or_else(|| item.to_owned()));
    *value = items.collect::<Vec<_>>().join(",");
    true
}

/// Changes the texts in an object. Returns true if it has changed.
fn change_members(members: &mut Map<String, Value>, change: &impl Fn(&str, &str) -> Option<String>) -> bool {
    let mut is_changed = false;
    for (name, member) in members.iter_mut().filter(|(name, _)| !OF_CLIENT.contains(&name.as_str())) {
        let items: &mut [Value] = match member {
            Value::Array(items) => items,
            item => std::slice::from_mut(item),
        };
        for item in items {
            match item {
                Value::Object(inner) => is_changed |= change_members(inner, change),
                Value::String(text) => {
                    if let Some(changed) = change(name, text) {
                        *text = changed;
                        is_changed = true;
                    }
                }
                _ => {}
            }
        }
    }
    is_changed
}
