//! `/devices/*`: one file per endpoint, or for a group of small endpoints.

mod delete;
pub(super) mod filters;
pub(super) mod get;
pub(super) mod list;
mod list_device_providers;
mod report_provider_metadata;
mod simulate;
mod unmanaged;
mod update;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/devices/delete", delete::delete)
        .add("/devices/get", get::get)
        .add("/devices/list", list::list)
        .add("/devices/list_device_providers", list_device_providers::list)
        .add("/devices/report_provider_metadata", report_provider_metadata::report)
        .add("/devices/update", update::update)
        .merge(simulate::routes())
        .merge(unmanaged::routes())
}
