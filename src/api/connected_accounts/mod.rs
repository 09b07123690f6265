//! `/connected_accounts/*`: one file per endpoint.

mod delete;
mod get;
mod list;
mod simulate;
mod sync;
mod update;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/connected_accounts/delete", delete::delete)
        .add("/connected_accounts/get", get::get)
        .add("/connected_accounts/list", list::list)
        .add("/connected_accounts/sync", sync::sync)
        .add("/connected_accounts/update", update::update)
        .merge(simulate::routes())
}
