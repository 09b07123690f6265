//! `/access_methods/*`: one file per endpoint.

mod cards;
mod delete;
mod get;
mod get_related;
mod list;
mod unmanaged;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/access_methods/assign_card", cards::assign_card)
        .add("/access_methods/delete", delete::delete)
        .add("/access_methods/encode", cards::encode)
        .add("/access_methods/get", get::get)
        .add("/access_methods/get_related", get_related::get_related)
        .add("/access_methods/list", list::list)
        .add("/access_methods/unlock_door", cards::unlock_door)
        .add("/access_methods/unmanaged/get", unmanaged::get)
        .add("/access_methods/unmanaged/list", unmanaged::list)
}
