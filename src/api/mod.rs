//! Seam's API: a folder for each resource, a file for each endpoint.

pub mod access_codes;
pub mod action_attempts;
pub mod body;
pub mod caller;
pub mod connected_accounts;
pub mod devices;
pub mod edge;
pub mod events;
pub mod http_faults;
pub mod pagination;
pub mod workspaces;
