//! One side of the comparison: its workspace, and what the probe has created there.

use super::client::Client;
use super::locks::Lock;
use super::script::{Request, Variables};
use parking_lot::Mutex;
use serde_json::Value;

/// Beginning of the addresses of the probe's webhooks. No such host can exist.
const WEBHOOK_BASE: &str = "https://latchkey-probe.invalid/";

/// JSON pointers of the values in objects by which those of the probe are known.
const MARKED: &[&str] = &[
    "/name",
    "/full_name",
    "/access_grant_key",
    "/space_key",
    "/user_identity_key",
    "/user_identifier_key",
    "/custom_metadata/probe",
    "/url",
];

/// By what the objects of one run are known: the beginning of their names, keys and addresses.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    name: String,
    key: String,
}

impl Marks {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), key: name.replace(' ', "-") }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// True if an object was created by this run.
    pub(super) fn is_own(&self, object: &Value) -> bool {
        MARKED.iter().filter_map(|pointer| object.pointer(pointer)?.as_str()).any(|text| {
            let address = text.strip_prefix(WEBHOOK_BASE).unwrap_or(text);
            text.starts_with(&self.name) || address.starts_with(&self.key)
        })
    }
}

/// What must be deleted.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Requests that delete what the current part has created, the newest last.
    pub(super) created: Vec<Request>,
    /// Requests that have failed.
    pub(super) left: Vec<Request>,
    /// Lists that could not be read.
    pub(super) unread: Vec<String>,
}

impl Pending {
    /// Returns what is left, for the user.
    pub(super) fn describe(&self) -> Vec<String> {
        let requests = self.left.iter().chain(&self.created);
        let undoing = |request: &Request| {
            let body = request.body.clone().unwrap_or_default();
            format!("could not be undone; the request would be: {} {body}", request.path)
        };
        let unread = |path: &String| format!("could not be checked for what the probe has created: {path}");
        requests.map(undoing).chain(self.unread.iter().map(unread)).collect()
    }
}

/// True if this successful request has done what a cleanup would do.
pub(super) fn is_done(cleanup: &Request, request: &Request) -> bool {
    cleanup.path == request.path && cleanup.body == request.body
}

/// One side of the comparison.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) client: Client,
    /// Locks, in the order of the script.
    pub(super) locks: Vec<Lock>,
    /// Values for all parts.
    pub(super) variables: Variables,
    /// By what the objects of the probe are known.
    pub(super) marks: Marks,
    /// What must be deleted.
    pub(super) pending: Mutex<Pending>,
}

impl Side {
    /// Returns the variables of a part that runs with this lock.
    pub(super) fn variables_for(&self, lock: usize) -> Variables {
        let mut variables = self.variables.clone();
        let other = self.locks.iter().enumerate().find(|(number, _)| *number != lock).map(|(_, other)| other);
        if let Some(lock) = self.locks.get(lock) {
            variables.set("device_id", &lock.device_id);
            variables.set("connected_account_id", &lock.connected_account_id);
            lock.set_pins(&mut variables);
        }
        if let Some(other) = other {
            variables.set("other_device_id", &other.device_id);
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_of_a_run_are_known_by_names_keys_metadata_and_addresses() {
        let marks = Marks::new("latchkey probe 1a2b");
        for (object, is_own) in [
            (json!({"name": "latchkey probe 1a2b 1"}), true),
            (json!({"name": "latchkey probe 3c4d 1"}), false),
            (json!({"name": "My latchkey probe 1a2b"}), false),
            (json!({"name": null, "user_identity_key": "latchkey-probe-1a2b-2"}), true),
            (json!({"user_identifier_key": "latchkey-probe-1a2b-1"}), true),
            (json!({"custom_metadata": {"probe": "latchkey-probe-1a2b"}}), true),
            (json!({"url": "https://latchkey-probe.invalid/latchkey-probe-1a2b"}), true),
            (json!({"url": "https://example.com/latchkey-probe-1a2b"}), false),
            (json!({"access_code_id": "1"}), false),
            (json!("latchkey probe 1a2b"), false),
        ] {
            assert_eq!(marks.is_own(&object), is_own, "{object}");
        }
    }
}
