//! HTTP, whatever the endpoint: connections, heads, origins, parameters, the envelope.

pub mod connection;
pub mod envelope;
pub mod head;
pub mod listen;
pub mod origin;
pub mod params;
pub mod redact;
pub mod request_id;
pub mod seam_paths;
pub mod unread;

/// What a filter and its plural (`device_id`, `device_ids`) ask for together: what fits both.
pub fn both<T: PartialEq>(one: Option<T>, several: Option<Vec<T>>) -> Option<Vec<T>> {
    match (one, several) {
        (Some(one), Some(several)) => Some(several.into_iter().filter(|it| *it == one).collect()),
        (one, several) => one.map(|one| vec![one]).or(several),
    }
}
