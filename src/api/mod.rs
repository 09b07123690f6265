//! Seam's API: one folder per resource, one file per endpoint.

pub(crate) mod access_codes;
pub(crate) mod action_attempts;
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod connected_accounts;
pub(crate) mod devices;
pub(crate) mod edge;
pub(crate) mod events;
pub(crate) mod http_faults;
pub(crate) mod listing;
pub(crate) mod pagination;
pub(crate) mod workspaces;

use self::edge::Routes;

/// Returns all routes of the contract.
pub fn routes() -> Routes {
    Routes::default()
        .merge(access_codes::routes())
        .merge(action_attempts::routes())
        .merge(connected_accounts::routes())
        .merge(devices::routes())
        .merge(events::routes())
        .merge(workspaces::routes())
}
