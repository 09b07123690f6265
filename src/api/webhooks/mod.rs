//! `/webhooks/*`: one file per endpoint.

mod create;
mod delete;
mod event_types;
mod get;
mod list;
mod update;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/webhooks/create", create::create)
        .add("/webhooks/delete", delete::delete)
        .add("/webhooks/get", get::get)
        .add("/webhooks/list", list::list)
        .add("/webhooks/update", update::update)
}
