//! `/events/*`: a file for each endpoint.

mod get;
mod list;

use super::edge::Routes;

/// The routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default().add("/events/get", get::get).add("/events/list", list::list)
}
