//! HTTP, whatever the endpoint: connections, heads, origins, parameters, the envelope.

pub(crate) mod connection;
pub(crate) mod envelope;
pub(crate) mod head;
pub(crate) mod listen;
pub(crate) mod origin;
pub(crate) mod params;
pub(crate) mod redact;
pub(crate) mod request_id;
pub(crate) mod seam_paths;
pub(crate) mod unread;

/// What a filter and its plural (`device_id`, `device_ids`) ask for together: what fits both.
pub(crate) fn intersect_filter<T: PartialEq>(one: Option<T>, several: Option<Vec<T>>) -> Option<Vec<T>> {
    match (one, several) {
        (Some(one), Some(several)) => Some(several.into_iter().filter(|it| *it == one).collect()),
        (one, several) => one.map(|one| vec![one]).or(several),
    }
}
