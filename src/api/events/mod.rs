//! `/events/*`: one file per endpoint.

mod get;
mod list;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default().add("/events/get", get::get).add("/events/list", list::list)
}
