//! `/workspaces/*`: one file per endpoint.

mod get;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default().add("/workspaces/get", get::get)
}
