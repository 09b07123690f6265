//! `/workspaces/*`: a file for each endpoint.

mod get;

use super::edge::Routes;

/// The routes of this resource.
pub fn routes() -> Routes {
    Routes::default().add("/workspaces/get", get::get)
}
