//! `/connect_webviews/*`: one file per endpoint, and the page of a webview.

mod create;
mod delete;
mod get;
mod list;
pub(crate) mod view;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/connect_webviews/create", create::create)
        .add("/connect_webviews/delete", delete::delete)
        .add("/connect_webviews/get", get::get)
        .add("/connect_webviews/list", list::list)
}
