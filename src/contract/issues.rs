//! Issues of an input, worded and structured as in the responses of Seam's servers.
//!
//! Seam's servers check their input with zod 3. Their error responses contain one sentence and a tree that mirrors the
//! input (zod's `format()`), which the official clients read.

use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Maximum number of issues reported for one input. Further issues are only counted.
pub(super) const MAX_ISSUES: usize = 100;

/// Maximum number of characters that a message quotes of a name or a value from the client.
const MAX_QUOTED_LENGTH: usize = 200;

/// Message for a missing value in `validation_errors`. The field `message` says `<path> is required` instead.
pub(super) const REQUIRED: &str = "Required";

/// Start of the message for a value that differs from the only allowed value.
pub(super) const LITERAL: &str = "Invalid literal value";

/// Returns a name or a value from the client for use in a message: cut to [`MAX_QUOTED_LENGTH`] characters.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED_LENGTH) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

/// Reason why an input is rejected: it violates the contract, or a rule that a handler checks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// The input violates the contract or a handler's rule: 400 `invalid_input`.
    #[error("{message}")]
    InvalidInput {
        /// Sentence for `error.message`.
        message: String,
        /// Tree for `error.validation_errors`.
        validation_errors: Value,
    },
    /// The query string cannot be parsed: 400 `invalid_query_params`.
    #[error("{message}")]
    InvalidQuery {
        /// Sentence for `error.message`, which names the parameter.
        message: String,
    },
}

/// One issue of an input.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Issue {
    /// Property names and array indices from the root.
    pub(super) path: Vec<String>,
    /// Message in zod's words.
    pub(super) message: String,
    /// True if the value is missing, of the wrong type or not an allowed value; false if a value of the right type
    /// violates a limit, such as a length, a range or a format.
    pub(super) fatal: bool,
    /// For a value that matches no branch of a union: the issues of each branch. The tree contains these issues, the
    /// sentence contains the message.
    pub(super) branches: Vec<Vec<Issue>>,
    /// Branch of a union that the value was compared with, for developers who debug a response.
    pub(super) variant: Option<String>,
}

impl Issue {
    /// Creates a fatal issue (see the field `fatal`).
    pub(super) fn fatal(path: &[String], message: impl Into<String>) -> Self {
        let path = path.iter().map(|step| quoted(step).into_owned()).collect();
        Self { path, message: message.into(), fatal: true, branches: Vec::new(), variant: None }
    }

    /// Creates an issue for a value of the right type that violates a limit.
    pub(super) fn limit(path: &[String], message: impl Into<String>) -> Self {
        Self { fatal: false, ..Self::fatal(path, message) }
    }

    /// Returns the sentence for `error.message`.
    fn sentence(&self) -> String {
        let path = self.path.join(".");
        if path.is_empty() {
            self.message.clone()
        } else if self.message == REQUIRED {
            format!("{path} is required")
        } else {
            format!("{} for \"{path}\"", self.message)
        }
    }

    /// Returns one line for developers who debug a response.
    pub(super) fn line(&self) -> String {
        let path = if self.path.is_empty() { "the body".to_owned() } else { self.path.join(".") };
        match &self.variant {
            Some(variant) => format!("{path}: {} (read as {variant})", self.message),
            None => format!("{path}: {}", self.message),
        }
    }

    /// Adds the issue to the tree. `room` is the number of messages that the tree may still take.
    fn add_to_tree(&self, tree: &mut Map<String, Value>, room: &mut usize) {
        if *room == 0 {
            return;
        }
        if self.branches.is_empty() {
            *room -= 1;
            insert_message(tree, &self.path, &self.message);
        }
        for issue in self.branches.iter().flatten() {
            issue.add_to_tree(tree, room);
        }
    }
}

/// Issues of an input: violations of the contract, or of rules that a handler checks because a schema cannot express
/// them. Both produce the same sentence and tree. An input can have an issue for each of its values; the first hundred
/// are reported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Issues {
    reported: Vec<Issue>,
    /// Number of issues, reported or not.
    count: usize,
    /// Number of fatal issues.
    fatal: usize,
    /// Number of issues of values that differ from the only allowed value.
    literals: usize,
}

impl Issues {
    /// Creates an empty list of issues.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an issue. `literal` is true for a value that differs from the only allowed value. `issue` is called only if
    /// the issue is reported.
    pub(super) fn add(&mut self, (fatal, literal): (bool, bool), issue: impl FnOnce() -> Issue) {
        self.count += 1;
        self.fatal += usize::from(fatal);
        self.literals += usize::from(literal);
        if self.reported.len() < MAX_ISSUES {
            self.reported.push(issue());
        }
    }

    /// Adds `count` fatal issues that are counted but not reported.
    #[must_use]
    pub(super) fn add_unreported(mut self, count: usize) -> Self {
        self.count += count;
        self.fatal += count;
        self
    }

    /// Adds the issues of a part of the input.
    pub(super) fn extend(&mut self, added: Self) {
        self.count += added.count;
        self.fatal += added.fatal;
        self.literals += added.literals;
        let room = MAX_ISSUES.saturating_sub(self.reported.len());
        self.reported.extend(added.reported.into_iter().take(room));
    }

    /// Returns the reported issues.
    pub(super) fn reported(&self) -> &[Issue] {
        &self.reported
    }

    /// Returns the reported issues.
    pub(super) fn into_reported(self) -> Vec<Issue> {
        self.reported
    }

    /// Changes the reported issues.
    pub(super) fn map(mut self, change: impl FnMut(Issue) -> Issue) -> Self {
        self.reported = self.reported.into_iter().map(change).collect();
        self
    }

    /// Returns true if no issue is fatal.
    pub(super) fn has_no_fatal_issue(&self) -> bool {
        self.fatal == 0
    }

    /// Returns how far the input is from a valid one: the number of wrong literals, which distinguish the branches of a
    /// union, then the number of issues.
    pub(super) fn distance(&self) -> (usize, usize) {
        (self.literals, self.count)
    }

    /// Adds a fatal issue for the value at `path`: property names, and array indices as decimal text.
    #[must_use]
    pub fn at<S: AsRef<str>>(mut self, path: &[S], message: impl Into<String>) -> Self {
        let path: Vec<String> = path.iter().map(|step| step.as_ref().to_owned()).collect();
        self.add((true, false), || Issue::fatal(&path, message));
        self
    }

    /// Adds a fatal issue for the whole input, such as a violated rule over several fields.
    #[must_use]
    pub fn root(self, message: impl Into<String>) -> Self {
        self.at::<&str>(&[], message)
    }

    /// Returns true if there are no issues.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Rejects the input if there is an issue.
    pub fn into_result(self) -> Result<(), Rejection> {
        if self.is_empty() { Ok(()) } else { Err(self.into_rejection()) }
    }

    /// Returns the rejection for these issues. There must be at least one issue, because the sentence lists them.
    pub fn into_rejection(self) -> Rejection {
        let sentences: Vec<String> = self.reported.iter().map(Issue::sentence).collect();
        let message = match sentences.as_slice() {
            [only] if self.count == 1 => only.clone(),
            listed if listed.len() == self.count => format!("{} Input Errors: {}", listed.len(), listed.join(", ")),
            first => format!("{} Input Errors, the first {} are: {}", self.count, first.len(), first.join(", ")),
        };
        let (mut tree, mut room) = (empty_node(), MAX_ISSUES);
        for issue in &self.reported {
            issue.add_to_tree(&mut tree, &mut room);
        }
        Rejection::InvalidInput { message, validation_errors: tree.into() }
    }
}

fn empty_node() -> Map<String, Value> {
    Map::from_iter([("_errors".to_owned(), json!([]))])
}

/// Appends the message to the list `_errors` of the node at `path`, and creates the nodes that are missing.
fn insert_message(tree: &mut Map<String, Value>, path: &[String], message: &str) {
    if let Some((step, rest)) = path.split_first() {
        let child = tree.entry(step).or_insert_with(|| empty_node().into());
        if let Value::Object(child) = child {
            return insert_message(child, rest, message);
        }
        // Only reached for an input key named `_errors`: the list of messages has this key, so the message is added
        // to the parent.
    }
    if let Some(Value::Array(errors)) = tree.get_mut("_errors") {
        errors.push(message.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(issues: Issues) -> (String, Value) {
        match issues.into_rejection() {
            Rejection::InvalidInput { message, validation_errors } => (message, validation_errors),
            Rejection::InvalidQuery { message } => (message, Value::Null),
        }
    }

    #[test]
    fn root_issue_is_reported_without_a_path() {
        let (message, tree) = rejected(Issues::new().root("Pass one of the two"));
        assert_eq!(message, "Pass one of the two");
        assert_eq!(tree, json!({"_errors": ["Pass one of the two"]}));
    }

    #[test]
    fn missing_value_is_reported_as_required() {
        let (message, tree) = rejected(Issues::new().at(&["options", "name"], REQUIRED));
        assert_eq!(message, "options.name is required");
        assert_eq!(tree, json!({"_errors": [], "options": {"_errors": [], "name": {"_errors": ["Required"]}}}));
    }

    #[test]
    fn issue_message_names_the_dotted_path() {
        let (message, tree) = rejected(Issues::new().at(&["device_ids", "0"], "Invalid uuid"));
        assert_eq!(message, "Invalid uuid for \"device_ids.0\"");
        assert_eq!(tree, json!({"_errors": [], "device_ids": {"_errors": [], "0": {"_errors": ["Invalid uuid"]}}}));
    }

    #[test]
    fn issues_are_counted_and_listed() {
        let issues = Issues::new()
            .at(&["device_id"], REQUIRED)
            .at(&["code"], "Too short")
            .at(&["code"], "Invalid")
            .root("Both or none");
        let (message, tree) = rejected(issues);
        assert_eq!(
            message,
            "4 Input Errors: device_id is required, Too short for \"code\", Invalid for \"code\", Both or none"
        );
        assert_eq!(
            tree,
            json!({
                "_errors": ["Both or none"],
                "device_id": {"_errors": ["Required"]},
                "code": {"_errors": ["Too short", "Invalid"]},
            })
        );
    }

    #[test]
    fn errors_key_in_the_input_is_reported_on_its_parent() {
        let (_, tree) = rejected(Issues::new().at(&["metadata", "_errors", "deeper"], "Invalid"));
        assert_eq!(tree, json!({"_errors": [], "metadata": {"_errors": ["Invalid"]}}));
    }

    #[test]
    fn issues_beyond_the_first_hundred_are_only_counted() {
        let names: Vec<String> = (0..250).map(|number| format!("x{number}")).collect();
        let issues = names.iter().fold(Issues::new(), |issues, name| issues.at(&[name], "Unknown"));
        let (message, tree) = rejected(issues);
        assert!(message.starts_with("250 Input Errors, the first 100 are: Unknown for \"x0\", Unknown"), "{message}");
        assert!(message.ends_with("Unknown for \"x99\""), "{message}");
        assert_eq!(tree.as_object().unwrap().len(), 101);
    }

    #[test]
    fn quoted_names_are_cut_after_200_characters() {
        let (message, tree) = rejected(Issues::new().at(&["ä".repeat(201)], "Unknown"));
        let begins = format!("{}…", "ä".repeat(200));
        assert_eq!(message, format!("Unknown for \"{begins}\""));
        assert_eq!(tree, json!({ "_errors": [], begins: { "_errors": ["Unknown"] } }));
        assert_eq!(quoted(&"ä".repeat(200)), "ä".repeat(200));
    }

    #[test]
    fn empty_issues_are_not_a_rejection() {
        assert_eq!(Issues::new().into_result(), Ok(()));
        assert!(Issues::new().root("x").into_result().is_err());
    }
}
