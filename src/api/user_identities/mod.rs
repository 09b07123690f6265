//! `/user_identities/*`: one file per endpoint, or for a group of small endpoints.

mod create;
mod delete;
mod devices;
mod get;
mod list;
mod merge;
pub(crate) mod params;
mod update;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/user_identities/create", create::create)
        .add("/user_identities/delete", delete::delete)
        .add("/user_identities/get", get::get)
        .add("/user_identities/list", list::list)
        .add("/user_identities/merge", merge::merge)
        .add("/user_identities/update", update::update)
        .merge(devices::routes())
}
