//! HTTP faults: error responses, delays and connection resets that tests configure for requests.

use super::workspace::Workspace;
use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Effect of an HTTP fault on a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum HttpFaultOutcome {
    /// The request is not executed; the server sends this error response.
    Status {
        /// HTTP status of an error.
        status: u16,
        /// Response body; `None`: the standard body of an error.
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
        /// Value of `Retry-After`, in seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// The request is executed after a delay.
    Delay {
        /// ISO 8601 duration in the machine's time.
        delay: String,
    },
    /// Effect that is given by a keyword.
    Named(KeywordOutcome),
}

/// Effects without parameters.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeywordOutcome {
    /// The connection is reset.
    Reset,
}

/// An HTTP fault with its counters.
#[derive(Clone, Debug)]
pub(crate) struct HttpFault {
    pub http_fault_id: Uuid,
    /// Path of the requests, or a prefix if it ends in `*`; `None`: all paths.
    pub path: Option<String>,
    /// Method of the requests; `None`: all methods.
    pub method: Option<String>,
    pub outcome: HttpFaultOutcome,
    /// Maximum number of requests to which the fault is applied; `None`: unlimited.
    pub times: Option<i32>,
    /// Probability that the fault is applied to a matching request, from 0 to 1; `None`: always.
    pub probability: Option<f64>,
    /// Number of matching requests that were counted, whether the fault was applied or not.
    pub asked: i64,
    /// Number of requests to which the fault was applied.
    pub used: i32,
    /// Creation time on the workspace's clock.
    pub created_at: Timestamp,
}

impl HttpFault {
    /// Returns true if the fault matches requests with this method and path.
    pub(crate) fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|expected| expected == method)
            && self.path.as_deref().is_none_or(|pattern| path_matches(pattern, path))
    }

    /// Returns true if the fault was applied as often as `times` allows.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.times.is_some_and(|times| self.used >= times)
    }

    /// Counts a matching request, and returns true if the fault is applied to it.
    pub(crate) fn count_request(&mut self, workspace: &Workspace) -> bool {
        let ordinal = self.asked;
        self.asked += 1;
        let is_applied = self.probability.is_none_or(|probability| {
            const RESOLUTION: u64 = 1 << 53;
            let drawn = workspace.ids.draw("http_fault", self.http_fault_id, ordinal, RESOLUTION);
            #[expect(clippy::cast_precision_loss, reason = "integers up to 2^53 are exact as f64")]
            let share = drawn as f64 / RESOLUTION as f64;
            share < probability
        });
        self.used += i32::from(is_applied);
        is_applied
    }
}

/// Returns true if `path` equals `pattern`, or starts with it if `pattern` ends in `*`.
pub(crate) fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::{self, at};

    fn workspace() -> Workspace {
        samples::workspace(Some("seed"))
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
    fn http_fault_matches_its_method_and_path() {
        for (method, path, matches) in [
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
            assert_eq!(fault.matches("GET", "/locks/list"), matches, "{method:?} {path:?}");
        }
    }

    #[test]
    fn http_fault_is_exhausted_after_the_configured_number_of_requests() {
        let mut fault = HttpFault { times: Some(2), ..fault() };
        for used in 1..=2 {
            assert!(!fault.is_exhausted());
            assert!(fault.count_request(&workspace()));
            assert_eq!((fault.asked, fault.used), (i64::from(used), used));
        }
        assert!(fault.is_exhausted());
    }

    #[test]
    fn http_fault_with_a_probability_applies_to_the_same_share_of_requests() {
        let apply_to_1000 = |probability| {
            let mut fault = HttpFault { probability: Some(probability), ..fault() };
            let applied: Vec<bool> = (0..1000).map(|_| fault.count_request(&workspace())).collect();
            assert_eq!(fault.asked, 1000);
            assert_eq!(usize::try_from(fault.used).unwrap(), applied.iter().filter(|is_applied| **is_applied).count());
            applied
        };
        let count = |applied: &[bool]| applied.iter().filter(|is_applied| **is_applied).count();
        assert_eq!((count(&apply_to_1000(0.0)), count(&apply_to_1000(1.0))), (0, 1000));
        let quarter = apply_to_1000(0.25);
        assert!((200..300).contains(&count(&quarter)), "{}", count(&quarter));
        assert_eq!(apply_to_1000(0.25), quarter);
        // Each request to which the fault is applied at a small probability is among those at a greater probability.
        assert!(apply_to_1000(0.5).iter().zip(&quarter).all(|(more, fewer)| *more || !fewer));
    }
}
