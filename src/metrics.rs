//! Counters and durations that the server collects for Prometheus. `server/metrics.rs` adds the current values, and
//! serves all of them.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// Upper limits of the buckets for durations of requests, in seconds.
const DURATION_BUCKETS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Counters and durations of this process. They begin at 0 when the server starts.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<ResponseLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    processed_access_codes: Counter,
    webhook_attempts: Family<AttemptLabels, Counter>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ResponseLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct AttemptLabels {
    outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            processed_access_codes: Counter::default(),
            webhook_attempts: Family::default(),
        }
    }
}

impl Metrics {
    /// Counts a request and its duration. `route` is a path of the contract, so that the number of label values is
    /// limited; `None`: the path is unknown.
    pub(crate) fn record_request(&self, method: &str, route: Option<&str>, status: u16, duration: Duration) {
        let labels = RouteLabels { method: known_method(method), route: route.unwrap_or("unknown").to_owned() };
        self.durations.get_or_create(&labels).observe(duration.as_secs_f64());
        let RouteLabels { method, route } = labels;
        self.requests.get_or_create(&ResponseLabels { method, route, status }).inc();
    }

    /// Counts access codes whose due steps the scheduler has processed.
    pub(crate) fn record_processed_access_codes(&self, count: usize) {
        self.processed_access_codes.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Counts an attempt to deliver an event to a webhook.
    pub(crate) fn record_webhook_attempt(&self, has_succeeded: bool) {
        let outcome = if has_succeeded { "succeeded" } else { "failed" };
        self.webhook_attempts.get_or_create(&AttemptLabels { outcome }).inc();
    }

    /// Adds all counters and durations to a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests by route and response status", self.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from the arrival of a request to the start of its response",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "processed_access_codes",
            "Access codes whose due steps the scheduler of this process has processed",
            self.processed_access_codes.clone(),
        );
        registry.register(
            "webhook_attempts",
            "Attempts of this process to deliver an event to a webhook",
            self.webhook_attempts.clone(),
        );
    }
}

/// Returns the method as a label value: clients can send any method, and the number of label values is limited.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}
