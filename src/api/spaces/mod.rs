//! `/spaces/*`: one file per endpoint, or for a group of small endpoints.

mod contents;
mod create;
mod delete;
mod get;
mod get_related;
mod list;
mod params;
mod update;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/spaces/create", create::create)
        .add("/spaces/delete", delete::delete)
        .add("/spaces/get", get::get)
        .add("/spaces/get_related", get_related::get_related)
        .add("/spaces/list", list::list)
        .add("/spaces/update", update::update)
        .merge(contents::routes())
}
