//! `/_emulator/rate_limits/set`: maximum number of requests per period that each device of a workspace accepts.

use super::Control;
use crate::domain::rate_limit::RateLimits;
use crate::error::{Error, Resource, Result};
use crate::http::params::duration;
use crate::store::workspaces;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Parameter `limits`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum RateLimitsParam {
    Named(Preset),
    Custom(CustomLimits),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Preset {
    /// Limits that Seam documents.
    Seam,
    /// No limits.
    Off,
}

/// Limits per kind of request; `None`: not limited.
#[derive(Clone, Debug, Default, Deserialize)]
struct CustomLimits {
    create: Option<u32>,
    update: Option<u32>,
    delete: Option<u32>,
    lock: Option<u32>,
    unlock: Option<u32>,
    /// Period of the limits, an ISO 8601 duration; `None`: one minute.
    per: Option<String>,
}

impl CustomLimits {
    fn read(&self) -> Result<RateLimits> {
        let per = self.per.as_deref().map_or(Ok(TimeDelta::minutes(1)), |per| duration("per", per))?;
        if per == TimeDelta::zero() {
            return Err(Error::invalid("per", "The period must be longer than zero, like PT1M"));
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
    limits: Option<RateLimitsParam>,
    #[serde(flatten)]
    custom: CustomLimits,
}

#[derive(Serialize)]
pub(super) struct SetResponse {
    limits: Value,
}

pub(super) async fn set(call: Control<Set>) -> Result<SetResponse> {
    let custom = &call.input.custom;
    let limits = match &call.input.limits {
        Some(_) if !custom.is_empty() || custom.per.is_some() => {
            return Err(Error::invalid_request("Give the limits either in limits or beside it, not both"));
        }
        Some(RateLimitsParam::Named(Preset::Off)) => None,
        Some(RateLimitsParam::Named(Preset::Seam)) => Some(RateLimits::SEAM),
        Some(RateLimitsParam::Custom(custom)) => Some(limits_of(custom)?),
        None => Some(limits_of(custom)?),
    };
    let workspace_id = call.workspace().await?.workspace_id;
    let mut tx = call.app.pool.begin(workspace_id).await?;
    if !workspaces::set_rate_limits(&mut tx, workspace_id, limits).await? {
        return Err(Error::NotFound(Resource::Workspace));
    }
    tx.commit().await?;
    Ok(SetResponse { limits: limits.map_or_else(|| json!("off"), |limits| shown(&limits)) })
}

fn limits_of(custom: &CustomLimits) -> Result<RateLimits> {
    if custom.is_empty() {
        return Err(Error::invalid_request(
            "Give \"seam\", \"off\", or at least one limit: create, update, delete, lock or unlock",
        ));
    }
    custom.read()
}

fn shown(limits: &RateLimits) -> Value {
    let RateLimits { create, update, delete, lock, unlock, per_ms } = *limits;
    let (seconds, milliseconds) = (per_ms / 1000, per_ms % 1000);
    let per = if milliseconds == 0 { format!("PT{seconds}S") } else { format!("PT{seconds}.{milliseconds:03}S") };
    json!({ "create": create, "update": update, "delete": delete, "lock": lock, "unlock": unlock, "per": per })
}
