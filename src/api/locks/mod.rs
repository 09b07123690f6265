//! `/locks/*`: one file per endpoint.

mod configure_auto_lock;
mod get;
mod list;
mod move_bolt;
mod simulate;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/locks/configure_auto_lock", configure_auto_lock::configure_auto_lock)
        .add("/locks/get", get::get)
        .add("/locks/list", list::list)
        .add("/locks/lock_door", move_bolt::lock_door)
        .add("/locks/unlock_door", move_bolt::unlock_door)
        .merge(simulate::routes())
}
