//! Seam's API: one folder per resource, one file per endpoint.

pub(crate) mod access_codes;
pub(crate) mod access_grants;
pub(crate) mod access_methods;
pub(crate) mod action_attempts;
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod client_sessions;
pub(crate) mod connect_webviews;
pub(crate) mod connected_accounts;
pub(crate) mod console_session;
pub(crate) mod devices;
pub(crate) mod edge;
pub(crate) mod events;
pub(crate) mod http_faults;
pub(crate) mod listing;
pub(crate) mod locks;
pub(crate) mod pagination;
pub(crate) mod related;
pub(crate) mod spaces;
pub(crate) mod user_identities;
pub(crate) mod webhooks;
pub(crate) mod workspaces;

use self::edge::Routes;

/// Returns all routes of the contract.
pub fn routes() -> Routes {
    Routes::default()
        .merge(access_codes::routes())
        .merge(access_grants::routes())
        .merge(access_methods::routes())
        .merge(action_attempts::routes())
        .merge(client_sessions::routes())
        .merge(connect_webviews::routes())
        .merge(connected_accounts::routes())
        .merge(devices::routes())
        .merge(events::routes())
        .merge(locks::routes())
        .merge(spaces::routes())
        .merge(user_identities::routes())
        .merge(webhooks::routes())
        .merge(workspaces::routes())
}
