//! `/action_attempts/list`.

use super::outcome::with_outcomes;
use crate::api::body::action_attempt::ActionAttemptBody;
use crate::api::edge::Call;
use crate::api::pagination::{Page, Pagination};
use crate::error::Result;
use crate::store::Position;
use crate::store::action_attempts::{self, ActionAttemptRow, Filter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Default and maximum number of action attempts on a page, as at Seam.
const DEFAULT_LIMIT: usize = 500;

#[derive(Deserialize)]
pub(super) struct List {
    action_attempt_ids: Option<Vec<Uuid>>,
    device_id: Option<Uuid>,
}

#[derive(Serialize)]
pub(super) struct Listed {
    action_attempts: Vec<ActionAttemptBody>,
    pagination: Pagination,
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let filter = Filter {
        action_attempt_ids: call.input.action_attempt_ids.as_deref(),
        device_id: call.input.device_id,
        after: page.after,
        limit: page.fetch(),
    };
    let visibility = call.caller.visibility();
    let rows = action_attempts::list(&call.app.pool, &visibility, &filter).await?;
    let position = |row: &ActionAttemptRow| Position { created_at: row.created_at, id: row.action_attempt_id };
    let (rows, pagination) = page.cut(rows, position, &call.base_url, "/action_attempts/list");
    let action_attempts = with_outcomes(&call.app, &visibility, rows).await?;
    Ok(Listed { action_attempts, pagination })
}
