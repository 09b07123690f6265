//! `/access_grants/*`: one file per endpoint.

mod create;
mod delete;
mod get;
mod get_related;
mod list;
mod params;
mod request_access_methods;
mod unmanaged;
mod update;

pub(crate) use self::create::new_access_grant;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/access_grants/create", create::create)
        .add("/access_grants/delete", delete::delete)
        .add("/access_grants/get", get::get)
        .add("/access_grants/get_related", get_related::get_related)
        .add("/access_grants/list", list::list)
        .add("/access_grants/request_access_methods", request_access_methods::request_access_methods)
        .add("/access_grants/unmanaged/get", unmanaged::get)
        .add("/access_grants/unmanaged/list", unmanaged::list)
        .add("/access_grants/unmanaged/update", unmanaged::update)
        .add("/access_grants/update", update::update)
}
