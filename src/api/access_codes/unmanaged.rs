//! `/access_codes/unmanaged/*`: codes that were put on a lock outside Seam, or were converted to unmanaged.

mod convert_to_managed;
mod delete;
mod get;
mod list;
mod update;

use crate::api::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/access_codes/unmanaged/get", get::get)
        .add("/access_codes/unmanaged/list", list::list)
        .add("/access_codes/unmanaged/update", update::update)
        .add("/access_codes/unmanaged/delete", delete::delete)
        .add("/access_codes/unmanaged/convert_to_managed", convert_to_managed::convert_to_managed)
}
