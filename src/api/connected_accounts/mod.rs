//! `/connected_accounts/*`.

mod simulate;

use super::edge::Routes;

/// The routes of this resource.
pub fn routes() -> Routes {
    simulate::routes()
}
