//! `/_emulator/rate_limits/set`: how often the devices of a workspace take requests.

use super::Control;
use crate::domain::rate_limit::RateLimits;
use crate::error::{Error, Resource, Result};
use crate::http::params::duration;
use crate::store::workspaces;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The limits that are wanted.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum WorkspaceParams {
    Named(Preset),
    These(These),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Preset {
    /// Those that Seam documents.
    Seam,
    /// None.
    Off,
}

/// Limits of one's own. What is left out is not limited.
#[derive(Clone, Debug, Default, Deserialize)]
struct These {
    create: Option<u32>,
    update: Option<u32>,
    delete: Option<u32>,
    lock: Option<u32>,
    unlock: Option<u32>,
    per: Option<String>,
}

impl These {
    fn read(&self) -> Result<RateLimits> {
        let per = self.per.as_deref().map_or(Ok(TimeDelta::minutes(1)), |per| duration("per", per))?;
        if per == TimeDelta::zero() {
            return Err(Error::invalid("per", "The time must be more than nothing, like PT1M"));
        }
        let Self { create, update, delete, lock, unlock, .. } = *self;
        Ok(RateLimits { create, update, delete, lock, unlock, per_ms: per.num_milliseconds() })
    }

    fn is_empty(&self) -> bool {
        [self.create, self.update, self.delete, self.lock, self.unlock].iter().all(Option::is_none)
    }
}

#[derive(Deserialize)]
pub(super) struct Set {
    limits: Option<WorkspaceParams>,
    #[serde(flatten)]
    these: These,
}

#[derive(Serialize)]
pub(super) struct Answer {
    limits: Value,
}

pub(super) async fn set(call: Control<Set>) -> Result<Answer> {
    let these = &call.input.these;
    let limits = match &call.input.limits {
        Some(_) if !these.is_empty() || these.per.is_some() => {
            return Err(Error::invalid_request("Give the limits either in limits or beside it, not both"));
        }
        Some(WorkspaceParams::Named(Preset::Off)) => None,
        Some(WorkspaceParams::Named(Preset::Seam)) => Some(RateLimits::SEAM),
        Some(WorkspaceParams::These(these)) => Some(limits_of(these)?),
        None => Some(limits_of(these)?),
    };
    let workspace_id = call.workspace().await?.workspace_id;
    let mut tx = call.app.pool.begin(workspace_id).await?;
    if !workspaces::set_rate_limits(&mut tx, workspace_id, limits).await? {
        return Err(Error::NotFound(Resource::Workspace));
    }
    tx.commit().await?;
    Ok(Answer { limits: limits.map_or_else(|| json!("off"), |limits| shown(&limits)) })
}

fn limits_of(these: &These) -> Result<RateLimits> {
    if these.is_empty() {
        return Err(Error::invalid_request(
            "Give \"seam\", \"off\", or at least one limit: create, update, delete, lock or unlock",
        ));
    }
    these.read()
}

fn shown(limits: &RateLimits) -> Value {
    let RateLimits { create, update, delete, lock, unlock, per_ms } = *limits;
    let (seconds, milliseconds) = (per_ms / 1000, per_ms % 1000);
    let per = if milliseconds == 0 { format!("PT{seconds}S") } else { format!("PT{seconds}.{milliseconds:03}S") };
    json!({ "create": create, "update": update, "delete": delete, "lock": lock, "unlock": unlock, "per": per })
}
