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

use self::edge::Routes;

/// Every route of the contract.
pub fn routes() -> Routes {
    Routes::default()
        .merge(access_codes::routes())
        .merge(action_attempts::routes())
        .merge(connected_accounts::routes())
        .merge(devices::routes())
        .merge(events::routes())
        .merge(workspaces::routes())
}
