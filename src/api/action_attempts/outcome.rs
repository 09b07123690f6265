//! Outcomes of action attempts, derived from the state of their access codes.

use crate::api::body::access_code::AccessCodeBody;
use crate::api::body::action_attempt::{ActionAttemptBody, AttemptStatus};
use crate::domain::access_code::AccessCode;
use crate::domain::action_attempt::{StoredOutcome, action_type};
use crate::domain::caller::Visibility;
use crate::domain::device::DeviceSummary;
use crate::engine::app::App;
use crate::error::Result;
use crate::store::access_codes::{self, Ownership};
use crate::store::action_attempts::ActionAttemptRow;
use serde_json::json;
use std::collections::HashMap;
use uuid::Uuid;

/// Converts rows to bodies. Derives the outcomes that are not stored from the state of the access codes.
pub(super) async fn with_outcomes(
    app: &App,
    visibility: &Visibility,
    rows: Vec<ActionAttemptRow>,
) -> Result<Vec<ActionAttemptBody>> {
    let ids: Vec<Uuid> = rows.iter().filter_map(|row| row.access_code_id).collect();
    let filter = access_codes::Filter {
        access_code_ids: Some(&ids),
        ownership: Ownership::Any,
        include_gone: true,
        ..Default::default()
    };
    let codes: HashMap<Uuid, (AccessCode, DeviceSummary)> = access_codes::list(&app.pool, visibility, &filter)
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

/// Returns the outcome to store for an action attempt whose device is about to be deleted, so that no outcome follows
/// from its access code afterwards. `code`: as for [`outcome`].
pub(crate) fn final_outcome(
    row: &ActionAttemptRow,
    code: Option<&(AccessCode, DeviceSummary)>,
) -> Result<StoredOutcome> {
    Ok(match outcome(row, code)? {
        AttemptStatus::Success(result) => StoredOutcome::Result(result),
        AttemptStatus::Error(error) => StoredOutcome::Error(error),
        AttemptStatus::Pending if row.action_type == action_type::DELETE_ACCESS_CODE => {
            StoredOutcome::Result(json!({}))
        }
        AttemptStatus::Pending => StoredOutcome::Error(json!({
            "type": "device_deleted",
            "message": "The device was deleted with its connected account.",
        })),
    })
}

/// Returns the status of an action attempt: the stored outcome, or else the one that follows from the state of its
/// access code. `code`: that code and its device; `None` if the attempt has no code, or if the code is no longer
/// stored.
fn outcome(row: &ActionAttemptRow, code: Option<&(AccessCode, DeviceSummary)>) -> Result<AttemptStatus> {
    if let Some(stored) = &row.outcome {
        return Ok(stored.0.clone().into());
    }
    let Some((code, device)) = code else {
        return Ok(if row.resolved_at.is_some() { AttemptStatus::Success(json!({})) } else { AttemptStatus::Pending });
    };
    let state = &code.state;
    let is_over = row.resolved_at.is_some();
    Ok(match row.action_type.as_str() {
        action_type::UPDATE_ACCESS_CODE if state.requested_unmanage(row.action_attempt_id) => {
            if !state.is_managed {
                AttemptStatus::Success(json!({}))
            } else if state.gone_at.is_some() || state.removing_since().is_some() || state.rare_fields.has_expired {
                AttemptStatus::Error(json!({
                    "type": "access_code_deleted",
                    "message": "The access code was deleted or ended before the device had it, so it did not become unmanaged.",
                }))
            } else {
                AttemptStatus::Pending
            }
        }
        action_type::CREATE_ACCESS_CODE if is_over || state.first_held_at.is_some() => {
            AttemptStatus::Success(json!({ "access_code": serde_json::to_value(AccessCodeBody::of(code, device))? }))
        }
        action_type::CREATE_ACCESS_CODE if state.removing_since().is_some() => AttemptStatus::Error(json!({
            "type": "access_code_deleted",
            "message": "The access code was deleted or ended before it was set on the device.",
        })),
        // An update that was requested after this attempt does not keep this attempt pending.
        action_type::UPDATE_ACCESS_CODE
            if is_over || state.rare_fields.updating.since().is_none_or(|since| since > row.created_at) =>
        {
            AttemptStatus::Success(json!({ "access_code": serde_json::to_value(AccessCodeBody::of(code, device))? }))
        }
        action_type::UPDATE_ACCESS_CODE if state.removing_since().is_some() => AttemptStatus::Error(json!({
            "type": "access_code_deleted",
            "message": "The access code was deleted or ended before the device had the change.",
        })),
        action_type::DELETE_ACCESS_CODE if is_over || state.gone_at.is_some() => AttemptStatus::Success(json!({})),
        _ => AttemptStatus::Pending,
    })
}
