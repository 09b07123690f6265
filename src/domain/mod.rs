//! Domain rules as pure functions of values and an instant. No SQL, no HTTP, no tasks.

pub(crate) mod access_code;
pub(crate) mod access_grant;
pub(crate) mod action_attempt;
pub(crate) mod bolt;
pub(crate) mod caller;
pub(crate) mod client_session;
pub(crate) mod connect_webview;
pub(crate) mod connected_account;
pub(crate) mod custom_metadata;
pub(crate) mod daylight_saving;
pub(crate) mod device;
pub(crate) mod event;
pub(crate) mod fault;
pub(crate) mod http_fault;
pub(crate) mod keypad;
pub(crate) mod linked;
pub(crate) mod locked_device;
pub(crate) mod offline;
pub(crate) mod pin;
pub(crate) mod rate_limit;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod sandbox;
pub(crate) mod sandbox_accounts;
pub(crate) mod simulation;
pub(crate) mod space;
pub(crate) mod user_identity;
pub(crate) mod webhook;
pub(crate) mod workspace;
