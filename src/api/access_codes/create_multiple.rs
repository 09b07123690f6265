//! `/access_codes/create_multiple`.

use super::params::NewAccessCodeParams;
use crate::api::body::access_code::AccessCodeBody;
use crate::api::edge::Call;
use crate::cause::Cause;
use crate::domain::linked::WhenCodeCannotBeShared;
use crate::engine::commands::CreateCommand;
use crate::engine::create;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct CreateMultiple {
    device_ids: Vec<Uuid>,
    #[serde(default)]
    behavior_when_code_cannot_be_shared: WhenCodeCannotBeShared,
    #[serde(flatten)]
    params: NewAccessCodeParams,
}

#[derive(Serialize)]
pub(super) struct CreatedMultiple {
    access_codes: Vec<AccessCodeBody>,
}

pub(super) async fn create_multiple(call: Call<CreateMultiple>) -> Result<CreatedMultiple> {
    let CreateMultiple { device_ids, behavior_when_code_cannot_be_shared: behavior, mut params } = call.input;
    check_device_ids(&device_ids)?;
    // `create` uses this struct too. The contract has none of these parameters for this endpoint: Latchkey assigns the
    // key of linked codes, the response has no action attempt to wait for, and offline codes share no PIN.
    params.common_code_key = None;
    params.sync = false;
    params.is_offline_access_code = false;
    params.use_offline_access_code = false;
    params.is_one_time_use = false;
    let params = params.read()?;
    let command = CreateCommand {
        visibility: call.caller.visibility(),
        device_ids,
        params,
        linking: Some(behavior),
        cause: Cause::current(),
    };
    let created = create::create(&call.app, command).await?;
    let access_codes = created.iter().map(|created| AccessCodeBody::of(&created.code, &created.device)).collect();
    Ok(CreatedMultiple { access_codes })
}

/// Rejects a list of devices that is empty or too long, or that contains a device twice.
fn check_device_ids(device_ids: &[Uuid]) -> Result<()> {
    const MAX_DEVICES: usize = 500;
    if device_ids.is_empty() {
        return Err(Error::invalid("device_ids", "Array must contain at least 1 element(s)"));
    }
    if device_ids.len() > MAX_DEVICES {
        return Err(Error::invalid("device_ids", format!("Array must contain at most {MAX_DEVICES} element(s)")));
    }
    let mut seen = HashSet::with_capacity(device_ids.len());
    match device_ids.iter().find(|device_id| !seen.insert(**device_id)) {
        Some(duplicate) => {
            Err(Error::invalid("device_ids", format!("Name each device once: {duplicate} is named twice")))
        }
        None => Ok(()),
    }
}
