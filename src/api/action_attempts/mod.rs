//! `/action_attempts/*`: one file per endpoint.

mod get;
mod list;
pub(crate) mod outcome;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default().add("/action_attempts/get", get::get).add("/action_attempts/list", list::list)
}
