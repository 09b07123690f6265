//! `/client_sessions/*`: one file per endpoint.

mod create;
mod delete;
mod get;
mod get_or_create;
mod grant_access;
mod list;
mod params;
mod revoke;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/client_sessions/create", create::create)
        .add("/client_sessions/delete", delete::delete)
        .add("/client_sessions/get", get::get)
        .add("/client_sessions/get_or_create", get_or_create::get_or_create)
        .add("/client_sessions/grant_access", grant_access::grant_access)
        .add("/client_sessions/list", list::list)
        .add("/client_sessions/revoke", revoke::revoke)
}
