//! `/connected_accounts/*`.

mod simulate;

use super::edge::Routes;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    simulate::routes()
}
