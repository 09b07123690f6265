//! `/action_attempts/get`.

use super::outcome::with_outcomes;
use crate::api::body::action_attempt::ActionAttemptBody;
use crate::api::edge::Call;
use crate::error::{Error, Resource, Result};
use crate::store::action_attempts::{self, Filter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Get {
    action_attempt_id: Uuid,
}

#[derive(Serialize)]
pub(super) struct Found {
    action_attempt: ActionAttemptBody,
}

pub(super) async fn get(call: Call<Get>) -> Result<Found> {
    let ids = [call.input.action_attempt_id];
    let filter = Filter { action_attempt_ids: Some(&ids), limit: 1, ..Filter::default() };
    let visibility = call.caller.visibility();
    let rows = action_attempts::list(&call.app.pool, &visibility, &filter).await?;
    let bodies = with_outcomes(&call.app, &visibility, rows).await?;
    let action_attempt = bodies.into_iter().next().ok_or(Error::NotFound(Resource::ActionAttempt))?;
    Ok(Found { action_attempt })
}
