//! HTTP faults: what a tester has arranged to become of requests.

use super::workspace::Workspace;
use crate::clock::Instant;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// What becomes of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
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
    Named(Name),
}

/// An outcome without particulars.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Name {
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
    pub outcome: Outcome,
    /// How many requests it strikes; `None`: all.
    pub times: Option<i32>,
    /// The share of requests that it strikes; `None`: all.
    pub probability: Option<f64>,
    /// How many requests it was considered for.
    pub asked: i64,
    /// How many it struck.
    pub used: i32,
    /// When it was made, in the workspace's time.
    pub created_at: Instant,
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
    pub(crate) fn strike(&mut self, workspace: &Workspace) -> bool {
        let ordinal = self.asked;
        self.asked += 1;
        let strikes = self.probability.is_none_or(|probability| {
            // As many steps as a number of this kind can tell apart.
            const STEPS: u64 = 1 << 53;
            let drawn = workspace.ids.draw("http_fault", self.http_fault_id, ordinal, STEPS);
            #[expect(clippy::cast_precision_loss, reason = "both are exact up to here")]
            let share = drawn as f64 / STEPS as f64;
            share < probability
        });
        self.used += i32::from(strikes);
        strikes
    }
}

/// Whether a path is meant by one that may end in `*`.
pub(crate) fn is_path(wanted: &str, path: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == wanted,
    }
}
