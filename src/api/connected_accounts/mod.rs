//! `/connected_accounts/*`.

mod simulate;

use super::edge::Routes;

/// The routes of this resource.
pub(crate) fn routes() -> Routes {
    simulate::routes()
}
