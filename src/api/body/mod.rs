//! Seam's JSON objects, as in the responses of the API and of the control plane.

pub(crate) mod access_code;
pub(crate) mod action_attempt;
pub(crate) mod client_session;
pub(crate) mod connect_webview;
pub(crate) mod connected_account;
pub(crate) mod device;
pub(crate) mod event;
pub(crate) mod webhook;
pub(crate) mod workspace;
