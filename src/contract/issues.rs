//! What is wrong with an input, worded and arranged as Seam's framework does.
//!
//! Seam's servers check their input with zod 3 and answer with one sentence and a tree that mirrors the input
//! (zod's `format()`), which the official clients read.

use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// How many issues of one input are told. The others are counted.
pub(super) const MAX_ISSUES: usize = 100;

/// How many characters of a name or a value of the caller's are told.
const MAX_QUOTED_LENGTH: usize = 200;

/// The text of an issue with a value that is not there; the sentence words it as `<path> is required`.
pub(super) const REQUIRED: &str = "Required";

/// How the issue begins with a value other than the only one there is.
pub(super) const LITERAL: &str = "Invalid literal value";

/// A name or a value of the caller's, as a message quotes it: its beginning, where it is long.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED_LENGTH) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

/// Why an input is refused, before any handler has seen it or by a handler's own rule.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// The input does not have the shape the contract asks for: 400 `invalid_input`.
    #[error("{message}")]
    InvalidInput {
        /// The sentence for `error.message`.
        message: String,
        /// The tree for `error.validation_errors`.
        validation_errors: Value,
    },
    /// The query string cannot be read at all: 400 `invalid_query_params`.
    #[error("{message}")]
    InvalidQuery {
        /// The sentence for `error.message`, which names the parameter.
        message: String,
    },
}

/// One thing that is wrong with an input.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Issue {
    /// Where: property names and array indices from the root.
    pub(super) path: Vec<String>,
    /// What, in zod's words.
    pub(super) message: String,
    /// Whether the value is of the wrong kind altogether, and does not merely break a limit of the right kind.
    pub(super) fatal: bool,
    /// For a value that fits no branch of a union: what each branch has against it. The tree shows these, the
    /// sentence shows the message.
    pub(super) branches: Vec<Vec<Issue>>,
    /// The branch of a union that the issue was measured against, for those who debug a response.
    pub(super) variant: Option<String>,
}

impl Issue {
    /// An issue about a value of the wrong kind.
    pub(super) fn fatal(path: &[String], message: impl Into<String>) -> Self {
        let path = path.iter().map(|step| quoted(step).into_owned()).collect();
        Self { path, message: message.into(), fatal: true, branches: Vec::new(), variant: None }
    }

    /// An issue about a value of the right kind that breaks a limit.
    pub(super) fn limit(path: &[String], message: impl Into<String>) -> Self {
        Self { fatal: false, ..Self::fatal(path, message) }
    }

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

    /// One line for whoever debugs a response.
    pub(super) fn line(&self) -> String {
        let path = if self.path.is_empty() { "the body".to_owned() } else { self.path.join(".") };
        match &self.variant {
            Some(variant) => format!("{path}: {} (taken for {variant})", self.message),
            None => format!("{path}: {}", self.message),
        }
    }

    /// Enters what the tree has room for.
    fn enter(&self, tree: &mut Map<String, Value>, room: &mut usize) {
        if *room == 0 {
            return;
        }
        if self.branches.is_empty() {
            *room -= 1;
            enter(tree, &self.path, &self.message);
        }
        for issue in self.branches.iter().flatten() {
            issue.enter(tree, room);
        }
    }
}

/// The issues with an input: those of the contract, or those a handler finds by rules that a schema cannot state. Both
/// end in the same sentence and tree. An input can have as many as it has values; the first hundred are told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Issues {
    reported: Vec<Issue>,
    /// How many there are, told or not.
    count: usize,
    /// How many of them are about a value of the wrong kind.
    fatal: usize,
    /// How many of them are about a value other than the only one there is.
    literals: usize,
}

impl Issues {
    /// No issue so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of an issue, which is made only if it is told.
    pub(super) fn add(&mut self, (fatal, literal): (bool, bool), issue: impl FnOnce() -> Issue) {
        self.count += 1;
        self.fatal += usize::from(fatal);
        self.literals += usize::from(literal);
        if self.reported.len() < MAX_ISSUES {
            self.reported.push(issue());
        }
    }

    /// So many issues more, which are not told.
    #[must_use]
    pub(super) fn and_untold(mut self, count: usize) -> Self {
        self.count += count;
        self.fatal += count;
        self
    }

    /// Takes over the issues of a part.
    pub(super) fn extend(&mut self, others: Self) {
        self.count += others.count;
        self.fatal += others.fatal;
        self.literals += others.literals;
        let room = MAX_ISSUES.saturating_sub(self.reported.len());
        self.reported.extend(others.reported.into_iter().take(room));
    }

    /// Those that are told.
    pub(super) fn reported(&self) -> &[Issue] {
        &self.reported
    }

    /// The same.
    pub(super) fn into_reported(self) -> Vec<Issue> {
        self.reported
    }

    /// Changes those that are told.
    pub(super) fn map(mut self, change: impl FnMut(Issue) -> Issue) -> Self {
        self.reported = self.reported.into_iter().map(change).collect();
        self
    }

    /// Whether no value is of the wrong kind.
    pub(super) fn are_limits(&self) -> bool {
        self.fatal == 0
    }

    /// How far the input is from being in order: literals are what tells the branches of a union apart.
    pub(super) fn distance(&self) -> (usize, usize) {
        (self.literals, self.count)
    }

    /// Adds an issue with the value at `path`: property names, and array indices as decimal text.
    #[must_use]
    pub fn at<S: AsRef<str>>(mut self, path: &[S], message: impl Into<String>) -> Self {
        let path: Vec<String> = path.iter().map(|step| step.as_ref().to_owned()).collect();
        self.add((true, false), || Issue::fatal(&path, message));
        self
    }

    /// Adds an issue with the input as a whole, such as a rule over several fields.
    #[must_use]
    pub fn root(self, message: impl Into<String>) -> Self {
        self.at::<&str>(&[], message)
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Refuses the input when there is any issue.
    pub fn into_result(self) -> Result<(), Rejection> {
        if self.is_empty() { Ok(()) } else { Err(self.into_rejection()) }
    }

    /// The refusal for these issues, of which there must be one at least to make a sentence.
    pub fn into_rejection(self) -> Rejection {
        let sentences: Vec<String> = self.reported.iter().map(Issue::sentence).collect();
        let message = match sentences.as_slice() {
            [only] if self.count == 1 => only.clone(),
            all if all.len() == self.count => format!("{} Input Errors: {}", all.len(), all.join(", ")),
            first => format!("{} Input Errors, the first {} are: {}", self.count, first.len(), first.join(", ")),
        };
        let (mut tree, mut room) = (leaf(), MAX_ISSUES);
        for issue in &self.reported {
            issue.enter(&mut tree, &mut room);
        }
        Rejection::InvalidInput { message, validation_errors: tree.into() }
    }
}

fn leaf() -> Map<String, Value> {
    Map::from_iter([("_errors".to_owned(), json!([]))])
}

fn enter(tree: &mut Map<String, Value>, path: &[String], message: &str) {
    if let Some((step, rest)) = path.split_first() {
        let child = tree.entry(step).or_insert_with(|| leaf().into());
        if let Value::Object(child) = child {
            return enter(child, rest, message);
        }
        // Only an input key named `_errors` gets here: its place is taken by the list, so its parent speaks for it.
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
    fn one_issue_of_the_root_speaks_for_itself() {
        let (message, tree) = rejected(Issues::new().root("Pass one of the two"));
        assert_eq!(message, "Pass one of the two");
        assert_eq!(tree, json!({"_errors": ["Pass one of the two"]}));
    }

    #[test]
    fn one_missing_value_is_named_as_required() {
        let (message, tree) = rejected(Issues::new().at(&["options", "name"], REQUIRED));
        assert_eq!(message, "options.name is required");
        assert_eq!(tree, json!({"_errors": [], "options": {"_errors": [], "name": {"_errors": ["Required"]}}}));
    }

    #[test]
    fn one_other_issue_names_its_dotted_path() {
        let (message, tree) = rejected(Issues::new().at(&["device_ids", "0"], "Invalid uuid"));
        assert_eq!(message, "Invalid uuid for \"device_ids.0\"");
        assert_eq!(tree, json!({"_errors": [], "device_ids": {"_errors": [], "0": {"_errors": ["Invalid uuid"]}}}));
    }

    #[test]
    fn several_issues_are_counted_and_listed() {
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
    fn an_input_key_named_like_the_list_does_no_harm() {
        let (_, tree) = rejected(Issues::new().at(&["metadata", "_errors", "deeper"], "Invalid"));
        assert_eq!(tree, json!({"_errors": [], "metadata": {"_errors": ["Invalid"]}}));
    }

    #[test]
    fn the_first_hundred_issues_are_told_and_the_others_counted() {
        let names: Vec<String> = (0..250).map(|number| format!("x{number}")).collect();
        let issues = names.iter().fold(Issues::new(), |issues, name| issues.at(&[name], "Unknown"));
        let (message, tree) = rejected(issues);
        assert!(message.starts_with("250 Input Errors, the first 100 are: Unknown for \"x0\", Unknown"), "{message}");
        assert!(message.ends_with("Unknown for \"x99\""), "{message}");
        assert_eq!(tree.as_object().unwrap().len(), 101);
    }

    #[test]
    fn a_long_name_is_quoted_by_its_beginning() {
        let (message, tree) = rejected(Issues::new().at(&["ä".repeat(201)], "Unknown"));
        let begins = format!("{}…", "ä".repeat(200));
        assert_eq!(message, format!("Unknown for \"{begins}\""));
        assert_eq!(tree, json!({ "_errors": [], begins: { "_errors": ["Unknown"] } }));
        assert_eq!(quoted(&"ä".repeat(200)), "ä".repeat(200));
    }

    #[test]
    fn no_issue_is_no_rejection() {
        assert_eq!(Issues::new().into_result(), Ok(()));
        assert!(Issues::new().root("x").into_result().is_err());
    }
}
