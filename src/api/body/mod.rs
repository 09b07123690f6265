//! Seam's JSON objects, as in the responses of the API and of the control plane.

pub(crate) mod access_code;
pub(crate) mod access_grant;
pub(crate) mod access_method;
pub(crate) mod action_attempt;
pub(crate) mod client_session;
pub(crate) mod connect_webview;
pub(crate) mod connected_account;
pub(crate) mod device;
pub(crate) mod event;
pub(crate) mod space;
pub(crate) mod user_identity;
pub(crate) mod webhook;
pub(crate) mod workspace;

use crate::clock::{Timestamp, to_iso};
use serde_json::{Value, json};

/// Returns the warning of an object whose deletion was requested. `what` is the kind of the object.
fn being_deleted(what: &str, since: Timestamp) -> Value {
    json!({
        "warning_code": "being_deleted",
        "message": format!("The {what} is being deleted."),
        "created_at": to_iso(since),
    })
}
