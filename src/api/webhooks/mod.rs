//! `/webhooks/*`: one file per endpoint.

mod create;
mod delete;
mod event_types;
mod get;
mod list;
mod update;

use super::edge::Routes;
use crate::error::{Error, Resource, Result};
use uuid::Uuid;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default()
        .add("/webhooks/create", create::create)
        .add("/webhooks/delete", delete::delete)
        .add("/webhooks/get", get::get)
        .add("/webhooks/list", list::list)
        .add("/webhooks/update", update::update)
}

/// Parses an id. The contract accepts any text; one that is not a UUID is the id of no webhook.
fn webhook_id(text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|_| Error::NotFound(Resource::Webhook))
}
