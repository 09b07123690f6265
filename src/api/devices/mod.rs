//! `/devices/*`: one file per endpoint.

pub(super) mod get;
pub(super) mod list;
mod simulate;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default().add("/devices/get", get::get).add("/devices/list", list::list).merge(simulate::routes())
}
