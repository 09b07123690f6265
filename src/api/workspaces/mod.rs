//! `/workspaces/*`: one file per endpoint.

mod create;
mod get;
mod list;
mod reset_sandbox;
mod update;

use super::edge::Routes;

/// Members of `connect_webview_customization` that can be set. Others are ignored, as unknown parameters are.
const CUSTOMIZATION: [&str; 4] = ["logo_shape", "primary_button_color", "primary_button_text_color", "success_message"];

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/workspaces/create", create::create)
        .add("/workspaces/get", get::get)
        .add("/workspaces/list", list::list)
        .add("/workspaces/reset_sandbox", reset_sandbox::reset_sandbox)
        .add("/workspaces/update", update::update)
}
