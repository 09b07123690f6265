//! Seam's limits on requests that change the access codes of one lock: the probe waits before it exceeds one.

use super::script::{Request, values_at};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Period of the limits.
const PERIOD: Duration = Duration::from_mins(1);

/// A limit of its own for each lock.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Limit {
    Creation,
    Update,
    Deletion,
}

impl Limit {
    /// Number of requests in a period: what Seam accepts, with one in reserve.
    fn requests(self) -> usize {
        match self {
            Self::Creation | Self::Update => 9,
            Self::Deletion => 19,
        }
    }
}

/// Paths that have these limits. Those of access grants create codes too.
const LIMITED: &[(&str, Limit)] = &[
    ("/access_codes/create", Limit::Creation),
    ("/access_codes/create_multiple", Limit::Creation),
    ("/access_grants/create", Limit::Creation),
    ("/access_codes/update", Limit::Update),
    ("/access_codes/update_multiple", Limit::Update),
    ("/access_codes/unmanaged/update", Limit::Update),
    ("/access_codes/unmanaged/convert_to_managed", Limit::Update),
    ("/access_codes/delete", Limit::Deletion),
    ("/access_codes/unmanaged/delete", Limit::Deletion),
];

/// What is known of the limits of a side.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// Instants at which requests with this limit were sent for this device.
    sent: BTreeMap<(Limit, String), VecDeque<Instant>>,
    /// Devices of access codes, by the ids and the common keys of these.
    devices: BTreeMap<String, BTreeSet<String>>,
}

impl Limits {
    /// Returns the limits of a request, and for which devices it counts.
    fn of(&self, request: &Request) -> Vec<(Limit, String)> {
        let Some((_, limit)) = LIMITED.iter().find(|(path, _)| *path == request.path) else { return Vec::new() };
        let body = request.body.as_ref();
        let value = |key| body.and_then(|body| body.get(key)).or_else(|| request.query.get(key));
        let text = |key| value(key).and_then(Value::as_str);
        let mut devices: BTreeSet<&str> = text("device_id").into_iter().collect();
        devices.extend(value("device_ids").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str));
        for code in [text("access_code_id"), text("common_code_key")].into_iter().flatten() {
            devices.extend(self.devices.get(code).into_iter().flatten().map(String::as_str));
        }
        devices.into_iter().map(|device| (*limit, device.to_owned())).collect()
    }

    /// Counts a request, or returns how long it must wait first.
    pub(super) fn reserve(&mut self, request: &Request) -> Result<Reservation, Duration> {
        let reserved = self.of(request);
        let mut wait = Duration::ZERO;
        for (limit, device) in &reserved {
            let recent = self.sent.entry((*limit, device.clone())).or_default();
            recent.retain(|at| at.elapsed() < PERIOD);
            if recent.len() >= limit.requests()
                && let Some(first) = recent.front()
            {
                wait = wait.max(PERIOD.saturating_sub(first.elapsed()));
            }
        }
        if wait > Duration::ZERO {
            return Err(wait);
        }
        for key in &reserved {
            self.sent.entry(key.clone()).or_default().push_back(Instant::now());
        }
        Ok(Reservation(reserved))
    }

    /// Notes the response of a request that was counted. One that the side has refused because of its input has changed
    /// nothing, and does not count any more.
    pub(super) fn note(&mut self, Reservation(reserved): Reservation, status: u16, body: Option<&Value>) {
        if (400..500).contains(&status) && status != 429 {
            for key in &reserved {
                self.sent.entry(key.clone()).or_default().pop_back();
            }
        }
        let found = body.map(|body| [values_at(body, "/access_code"), values_at(body, "/access_codes/*")].concat());
        for code in found.unwrap_or_default() {
            let Some(device_id) = code.get("device_id").and_then(Value::as_str) else { continue };
            for key in ["access_code_id", "common_code_key"] {
                if let Some(name) = code.get(key).and_then(Value::as_str) {
                    self.devices.entry(name.to_owned()).or_default().insert(device_id.to_owned());
                }
            }
        }
    }
}

/// The limits under which a request was counted, and the devices.
#[derive(Debug)]
pub(super) struct Reservation(Vec<(Limit, String)>);

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize as _;
    use serde_json::json;

    fn request(value: Value) -> Request {
        Request::deserialize(value).unwrap()
    }

    #[test]
    fn limits_are_counted_by_device_also_for_codes_that_are_known() {
        let mut limits = Limits::default();
        let create = request(json!({"path": "/access_codes/create_multiple", "body": {"device_ids": ["a", "b"]}}));
        assert_eq!(limits.of(&create), [(Limit::Creation, "a".to_owned()), (Limit::Creation, "b".to_owned())]);
        assert!(limits.of(&request(json!({"path": "/devices/get", "body": {"device_id": "a"}}))).is_empty());
        let codes = json!({"access_codes": [
            {"access_code_id": "1", "common_code_key": "k", "device_id": "a"},
            {"access_code_id": "2", "common_code_key": "k", "device_id": "b"},
        ]});
        limits.note(Reservation(Vec::new()), 200, Some(&codes));
        let update = request(json!({"path": "/access_codes/update_multiple", "body": {"common_code_key": "k"}}));
        assert_eq!(limits.of(&update), [(Limit::Update, "a".to_owned()), (Limit::Update, "b".to_owned())]);
        let delete = request(json!({"path": "/access_codes/delete", "query": {"access_code_id": "2"}}));
        assert_eq!(limits.of(&delete), [(Limit::Deletion, "b".to_owned())]);
    }

    #[test]
    fn requests_beyond_a_limit_wait_and_refused_ones_do_not_count() {
        let create =
            |device_id: &str| request(json!({"path": "/access_codes/create", "body": {"device_id": device_id}}));
        let mut limits = Limits::default();
        for status in [400, 429, 200, 500] {
            let reservation = limits.reserve(&create("a")).unwrap();
            limits.note(reservation, status, None);
        }
        // Counted when they are sent: no response is needed.
        for _ in 3..Limit::Creation.requests() {
            limits.reserve(&create("a")).unwrap();
        }
        assert!(limits.reserve(&create("a")).is_err());
        assert!(limits.reserve(&create("b")).is_ok());
        let update = json!({"path": "/access_codes/update", "body": {"device_id": "a"}});
        assert!(limits.reserve(&request(update)).is_ok());
    }
}
