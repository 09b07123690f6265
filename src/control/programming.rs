//! `/_emulator/programming/set`: duration of programming operations in a workspace.

use super::Control;
use crate::engine;
use crate::error::{Error, Result};
use crate::http::params::duration;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Duration of one programming operation.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Programming {
    /// The operation takes no time.
    AtOnce,
    /// The operation takes until a request to `/_emulator/access_codes/step` finishes it.
    ByHand,
    /// The operation takes this ISO 8601 duration.
    After(String),
}

impl Programming {
    /// Returns the duration; `None`: [`Programming::ByHand`].
    pub(super) fn read(&self) -> Result<Option<TimeDelta>> {
        match self {
            Self::AtOnce => Ok(Some(TimeDelta::zero())),
            Self::ByHand => Ok(None),
            Self::After(after) => duration("after", after).map(Some),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Set {
    programming: Option<Programming>,
    after: Option<String>,
}

#[derive(Serialize)]
pub(super) struct SetResponse {
    programming: Value,
}

pub(super) async fn set(call: Control<Set>) -> Result<SetResponse> {
    let params = match (call.input.programming.clone(), call.input.after.clone()) {
        (Some(programming), None) => programming,
        (None, Some(after)) => Programming::After(after),
        _ => {
            return Err(Error::invalid_request("Give either after, a duration, or programming: at_once or by_hand"));
        }
    };
    let time = params.read()?;
    let workspace = call.workspace().await?;
    engine::workspaces::set_programming(&call.app, workspace.workspace_id, time).await?;
    let programming = match params {
        Programming::AtOnce => json!("at_once"),
        Programming::ByHand => json!("by_hand"),
        Programming::After(after) => json!({ "after": after }),
    };
    Ok(SetResponse { programming })
}
