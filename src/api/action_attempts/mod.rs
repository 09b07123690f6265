//! `/action_attempts/*`: a file for each endpoint.

mod get;
mod list;
mod outcome;

use super::edge::Routes;

/// The routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default().add("/action_attempts/get", get::get).add("/action_attempts/list", list::list)
}
