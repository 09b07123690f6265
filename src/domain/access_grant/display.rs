//! Labels that tell people whether a guest can get in now (`display_status`).

use super::{AccessGrant, AccessMethod};
use crate::clock::Timestamp;

/// Value of `display_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) enum Label {
    #[serde(rename = "Awaiting issuance")]
    AwaitingIssuance,
    Upcoming,
    Active,
    Expired,
    #[serde(rename = "Being deleted")]
    BeingDeleted,
}

/// Returns the label of a method at this time.
pub(crate) fn method_label(grant: &AccessGrant, method: &AccessMethod, now: Timestamp) -> Label {
    if grant.deletion_requested_at.is_some() || method.deletion_requested_at.is_some() {
        Label::BeingDeleted
    } else {
        label_of_times(grant, method.issued_at.is_some(), now)
    }
}

/// Returns the label of a grant at this time. `methods` are those with a lock. A grant waits until all of them are issued.
pub(crate) fn grant_label(grant: &AccessGrant, methods: &[&AccessMethod], now: Timestamp) -> Label {
    if grant.deletion_requested_at.is_some() {
        return Label::BeingDeleted;
    }
    let is_issued = !methods.is_empty() && methods.iter().all(|method| method.issued_at.is_some());
    label_of_times(grant, is_issued, now)
}

fn label_of_times(grant: &AccessGrant, is_issued: bool, now: Timestamp) -> Label {
    if grant.ends_at.is_some_and(|ends_at| ends_at <= now) {
        Label::Expired
    } else if !is_issued {
        Label::AwaitingIssuance
    } else if now < grant.starts_at {
        Label::Upcoming
    } else {
        Label::Active
    }
}
