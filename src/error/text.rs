//! Parts of the messages of errors.

use crate::clock::{Timestamp, to_iso};
use crate::contract::quoted;
use uuid::Uuid;

/// Returns the word for an action type in a sentence.
pub(super) fn kind(action_type: &str) -> &'static str {
    match action_type {
        "CREATE_ACCESS_CODE" => "create",
        "UPDATE_ACCESS_CODE" => "update",
        "DELETE_ACCESS_CODE" => "delete",
        "LOCK_DOOR" => "lock",
        "UNLOCK_DOOR" => "unlock",
        _ => "such",
    }
}

pub(super) fn sentence(reasons: &[(Uuid, String)]) -> String {
    reasons.iter().map(|(device_id, reason)| format!("{device_id} ({reason})")).collect::<Vec<_>>().join(", ")
}

/// Returns the first few of these texts, quoted.
pub(super) fn listed(texts: &[String]) -> String {
    const MAX_LISTED: usize = 5;
    let shown: Vec<_> = texts.iter().take(MAX_LISTED).map(|text| quoted(text)).collect();
    let more = if texts.len() > MAX_LISTED { ", and others" } else { "" };
    format!("{}{more}", shown.join(", "))
}

pub(super) fn because(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!(". {hint}.") }
}

pub(super) fn named(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(" named {}", quoted(name)))
}

pub(super) fn in_period(period: Option<(Timestamp, Timestamp)>) -> String {
    period.map_or_else(String::new, |(starts_at, ends_at)| {
        format!(" for period {}-{}", to_iso(starts_at), to_iso(ends_at))
    })
}
