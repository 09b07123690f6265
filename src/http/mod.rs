//! HTTP, independent of the endpoint: connections, heads, origins, parameters, the envelope.

pub(crate) mod access_log;
pub(crate) mod connection;
pub(crate) mod envelope;
pub(crate) mod head;
pub(crate) mod listen;
mod local_wakes;
pub(crate) mod long_text;
pub(crate) mod origin;
pub(crate) mod params;
pub(crate) mod redact;
pub(crate) mod request_id;
pub(crate) mod seam_paths;
pub(crate) mod unread;

/// Combines a filter with its plural (`device_id`, `device_ids`): returns the values that match both; `None` if neither
/// is set.
pub(crate) fn intersect_filter<T: PartialEq>(one: Option<T>, several: Option<Vec<T>>) -> Option<Vec<T>> {
    match (one, several) {
        (Some(one), Some(several)) => Some(several.into_iter().filter(|value| *value == one).collect()),
        (one, several) => one.map(|one| vec![one]).or(several),
    }
}
