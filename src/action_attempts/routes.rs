//! `/action_attempts/*`.

use super::store::{self, ActionAttemptRow, Filter};
use super::{ActionAttemptBody, Outcome};
use crate::access_codes::model::AccessCode;
use crate::access_codes::store::{self as access_codes, Whose};
use crate::app::App;
use crate::devices::model::DeviceSummary;
use crate::error::{Error, Result};
use crate::http::edge::{Call, Routes};
use crate::http::pagination::{Page, Pagination, Position};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use uuid::Uuid;

/// How many attempts a page has unless told otherwise, as at Seam.
const DEFAULT_LIMIT: usize = 500;

/// The routes of this resource.
pub fn routes() -> Routes {
    Routes::default().add("/action_attempts/get", get).add("/action_attempts/list", list)
}

#[derive(Deserialize)]
struct Get {
    action_attempt_id: Uuid,
}

#[derive(Serialize)]
struct Found {
    action_attempt: ActionAttemptBody,
}

async fn get(call: Call<Get>) -> Result<Found> {
    let ids = [call.input.action_attempt_id];
    let filter = Filter { action_attempt_ids: Some(&ids), limit: 1, ..Filter::default() };
    let workspace_id = call.workspace.workspace_id;
    let rows = store::list(&call.app.pool, workspace_id, &filter).await?;
    let bodies = with_outcomes(&call.app, workspace_id, rows).await?;
    let action_attempt = bodies.into_iter().next().ok_or(Error::ActionAttemptNotFound)?;
    Ok(Found { action_attempt })
}

#[derive(Deserialize)]
struct List {
    action_attempt_ids: Option<Vec<Uuid>>,
    device_id: Option<Uuid>,
}

#[derive(Serialize)]
struct Listed {
    action_attempts: Vec<ActionAttemptBody>,
    pagination: Pagination,
}

async fn list(call: Call<List>) -> Result<Listed> {
    let page = Page::of(&call.parameters, DEFAULT_LIMIT)?;
    let filter = Filter {
        action_attempt_ids: call.input.action_attempt_ids.as_deref(),
        device_id: call.input.device_id,
        after: page.after,
        limit: page.fetch(),
    };
    let workspace_id = call.workspace.workspace_id;
    let rows = store::list(&call.app.pool, workspace_id, &filter).await?;
    let position = |row: &ActionAttemptRow| Position { created_at: row.created_at, id: row.action_attempt_id };
    let (rows, pagination) = page.cut(rows, position, &call.base_url, "/action_attempts/list");
    let action_attempts = with_outcomes(&call.app, workspace_id, rows).await?;
    Ok(Listed { action_attempts, pagination })
}

/// Finds out what has become of attempts from the lives of the codes they are about.
async fn with_outcomes(app: &App, workspace_id: Uuid, rows: Vec<ActionAttemptRow>) -> Result<Vec<ActionAttemptBody>> {
    let ids: Vec<Uuid> = rows.iter().filter_map(|row| row.access_code_id).collect();
    let filter = access_codes::Filter {
        access_code_ids: Some(&ids),
        whose: Whose::Any,
        even_if_gone: true,
        ..Default::default()
    };
    let codes: HashMap<Uuid, (AccessCode, DeviceSummary)> = access_codes::list(&app.pool, workspace_id, &filter)
        .await?
        .into_iter()
        .map(|(code, device)| (code.access_code_id, (code, device)))
        .collect();
    let body = |row: ActionAttemptRow| {
        let code = row.access_code_id.and_then(|id| codes.get(&id));
        let outcome = outcome(&row, code)?;
        Ok(ActionAttemptBody::new(row.action_attempt_id, &row.action_type, outcome))
    };
    rows.into_iter().map(body).collect()
}

fn outcome(row: &ActionAttemptRow, code: Option<&(AccessCode, DeviceSummary)>) -> Result<Outcome> {
    if let Some(stored) = &row.outcome {
        return Ok(stored.0.clone().into());
    }
    let Some((code, device)) = code else {
        return Ok(if row.resolved_at.is_some() { Outcome::Success(json!({})) } else { Outcome::Pending });
    };
    let life = &code.life;
    let is_over = row.resolved_at.is_some();
    Ok(match row.action_type.as_str() {
        "UPDATE_ACCESS_CODE" if life.waits_to_unmanage(row.action_attempt_id) => {
            if !life.is_managed {
                Outcome::Success(json!({}))
            } else if life.gone_at.is_some() || life.removing_since().is_some() || life.particulars.has_expired {
                Outcome::Error(json!({
                    "type": "access_code_deleted",
                    "message": "The access code was deleted or ended before the device had it, so it did not become unmanaged.",
                }))
            } else {
                Outcome::Pending
            }
        }
        "CREATE_ACCESS_CODE" if is_over || life.first_held_at.is_some() => {
            Outcome::Success(json!({ "access_code": serde_json::to_value(code.to_body(device))? }))
        }
        "CREATE_ACCESS_CODE" if life.removing_since().is_some() => Outcome::Error(json!({
            "type": "access_code_deleted",
            "message": "The access code was deleted or ended before it was set on the device.",
        })),
        // What was asked for later keeps this attempt from nothing.
        "UPDATE_ACCESS_CODE"
            if is_over || life.particulars.updating.since().is_none_or(|since| since > row.created_at) =>
        {
            Outcome::Success(json!({ "access_code": serde_json::to_value(code.to_body(device))? }))
        }
        "UPDATE_ACCESS_CODE" if life.removing_since().is_some() => Outcome::Error(json!({
            "type": "access_code_deleted",
            "message": "The access code was deleted or ended before the device had the change.",
        })),
        "DELETE_ACCESS_CODE" if is_over || life.gone_at.is_some() => Outcome::Success(json!({})),
        _ => Outcome::Pending,
    })
}
