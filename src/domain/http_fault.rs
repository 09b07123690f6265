//! HTTP faults: what a tester has arranged to become of requests.

use super::workspace::Workspace;
use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// What becomes of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum HttpFaultOutcome {
    /// It is answered so, and nothing else happens.
    Status {
        /// The status, of an error.
        status: u16,
        /// The body; left out, the one every error has.
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
        /// After how many seconds the caller may try again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// It is served later, by an ISO 8601 duration of the machine's time.
    Delay {
        /// How much later.
        delay: String,
    },
    /// Its connection is broken off.
    Named(KeywordOutcome),
}

/// An outcome without particulars.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeywordOutcome {
    /// Its connection is broken off.
    Reset,
}

/// An HTTP fault, with how often it was considered and struck so far.
#[derive(Clone, Debug)]
pub(crate) struct HttpFault {
    /// Its id.
    pub http_fault_id: Uuid,
    /// The path that it is about, or the beginning of some where it ends in `*`; `None`: all.
    pub path: Option<String>,
    /// The method that it is about; `None`: all.
    pub method: Option<String>,
    /// What becomes of the request.
    pub outcome: HttpFaultOutcome,
    /// How many requests it strikes; `None`: all.
    pub times: Option<i32>,
    /// The share of requests that it strikes; `None`: all.
    pub probability: Option<f64>,
    /// How many requests it was considered for.
    pub asked: i64,
    /// How many it struck.
    pub used: i32,
    /// When it was made, in the workspace's time.
    pub created_at: Timestamp,
}

impl HttpFault {
    /// Whether it is about such requests.
    pub(crate) fn is_about(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.path.as_deref().is_none_or(|wanted| is_path(wanted, path))
    }

    /// Whether it strikes no more.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.times.is_some_and(|times| self.used >= times)
    }

    /// Considers one request. Gives whether it is struck.
    pub(crate) fn applies(&mut self, workspace: &Workspace) -> bool {
        let ordinal = self.asked;
        self.asked += 1;
        let applies = self.probability.is_none_or(|probability| {
            // As many steps as a number of this kind can tell apart.
            const RESOLUTION: u64 = 1 << 53;
            let drawn = workspace.ids.draw("http_fault", self.http_fault_id, ordinal, RESOLUTION);
            #[expect(clippy::cast_precision_loss, reason = "both are exact up to here")]
            let share = drawn as f64 / RESOLUTION as f64;
            share < probability
        });
        self.used += i32::from(applies);
        applies
    }
}

/// Whether a path is meant by one that may end in `*`.
pub(crate) fn is_path(wanted: &str, path: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::at;
    use crate::ids::Ids;

    fn workspace() -> Workspace {
        Workspace {
            workspace_id: Uuid::nil(),
            name: String::new(),
            is_sandbox: true,
            publishable_key: String::new(),
            ids: Ids::of(Some("seed")),
            has_http_faults: true,
            is_strict: false,
        }
    }

    fn fault() -> HttpFault {
        HttpFault {
            http_fault_id: Uuid::nil(),
            path: None,
            method: None,
            outcome: HttpFaultOutcome::Named(KeywordOutcome::Reset),
            times: None,
            probability: None,
            asked: 0,
            used: 0,
            created_at: at(0),
        }
    }

    #[test]
    fn http_fault_is_about_the_method_and_the_path_it_names() {
        for (method, path, is_about) in [
            (None, None, true),
            (Some("GET"), None, true),
            (Some("POST"), None, false),
            (None, Some("/locks/list"), true),
            (None, Some("/locks"), false),
            (None, Some("/locks/*"), true),
            (None, Some("/devices/*"), false),
            (Some("GET"), Some("/devices/*"), false),
            (Some("POST"), Some("/locks/*"), false),
            (Some("GET"), Some("*"), true),
        ] {
            let fault = HttpFault { method: method.map(str::to_owned), path: path.map(str::to_owned), ..fault() };
            assert_eq!(fault.is_about("GET", "/locks/list"), is_about, "{method:?} {path:?}");
        }
    }

    #[test]
    fn http_fault_strikes_so_many_requests() {
        let mut fault = HttpFault { times: Some(2), ..fault() };
        for used in 1..=2 {
            assert!(!fault.is_exhausted());
            assert!(fault.applies(&workspace()));
            assert_eq!((fault.asked, fault.used), (i64::from(used), used));
        }
        assert!(fault.is_exhausted());
    }

    #[test]
    fn http_fault_strikes_its_share_of_requests_and_always_the_same_ones() {
        let struck = |probability| {
            let mut fault = HttpFault { probability: Some(probability), ..fault() };
            let struck: Vec<bool> = (0..1000).map(|_| fault.applies(&workspace())).collect();
            assert_eq!(fault.asked, 1000);
            assert_eq!(usize::try_from(fault.used).unwrap(), struck.iter().filter(|it| **it).count());
            struck
        };
        let count = |struck: &[bool]| struck.iter().filter(|it| **it).count();
        assert_eq!((count(&struck(0.0)), count(&struck(1.0))), (0, 1000));
        let quarter = struck(0.25);
        assert!((200..300).contains(&count(&quarter)), "{}", count(&quarter));
        assert_eq!(struck(0.25), quarter);
        // A request to which it applies with a small probability is one to which it applies with a greater one.
        assert!(struck(0.5).iter().zip(&quarter).all(|(more, fewer)| *more || !fewer));
    }
}
