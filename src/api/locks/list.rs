//! `/locks/list`: the managed devices under two names, without pages. Every device of Latchkey is a lock.

use crate::api::body;
use crate::api::devices::filters::Filters;
use crate::api::devices::list;
use crate::api::edge::Call;
use crate::api::listing::Listed;
use crate::api::pagination::Page;
use crate::error::Result;
use crate::store::Ownership;

pub(super) async fn list(call: Call<Filters>) -> Result<Listed> {
    let listing = list::found(&call, &Page::unlimited(), Ownership::Managed, body::device::of).await?;
    Ok(listing.end_as("locks"))
}
