//! `/access_codes/*`: one file per endpoint.

mod create;
mod create_multiple;
mod delete;
mod generate_code;
mod get;
mod get_timeline;
mod list;
mod params;
mod pull_backup_access_code;
mod report_device_constraints;
pub(crate) mod simulate;
pub(crate) mod unmanaged;
mod update;
mod update_multiple;

pub(crate) use self::params::new_access_code;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/access_codes/create", create::create)
        .add("/access_codes/create_multiple", create_multiple::create_multiple)
        .add("/access_codes/get", get::get)
        .add("/access_codes/list", list::list)
        .add("/access_codes/delete", delete::delete)
        .add("/access_codes/update", update::update)
        .add("/access_codes/update_multiple", update_multiple::update_multiple)
        .add("/access_codes/generate_code", generate_code::generate_code)
        .add("/access_codes/get_timeline", get_timeline::get_timeline)
        .add("/access_codes/pull_backup_access_code", pull_backup_access_code::pull_backup_access_code)
        .add("/access_codes/report_device_constraints", report_device_constraints::report_device_constraints)
        .merge(simulate::routes())
        .merge(unmanaged::routes())
}
