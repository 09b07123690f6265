//! `/workspaces/*`: a file for each endpoint.

mod get;

use super::edge::Routes;

/// The routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default().add("/workspaces/get", get::get)
}
