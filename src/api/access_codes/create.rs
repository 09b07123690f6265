//! `/access_codes/create`.

use super::params::NewAccessCodeParams;
use crate::api::body::access_code::AccessCodeBody;
use crate::api::body::action_attempt::ActionAttemptBody;
use crate::api::edge::Call;
use crate::cause::Cause;
use crate::engine;
use crate::engine::commands::CreateCommand;
use crate::error::{Error, Resource, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Create {
    device_id: Uuid,
    #[serde(flatten)]
    params: NewAccessCodeParams,
}

#[derive(Serialize)]
pub(super) struct Created {
    action_attempt: ActionAttemptBody,
    access_code: AccessCodeBody,
}

pub(super) async fn create(call: Call<Create>) -> Result<Created> {
    let visibility = call.caller.visibility();
    let Create { device_id, params } = call.input;
    let params = params.read()?;
    let sync = params.sync;
    let command =
        CreateCommand { visibility, device_ids: vec![device_id], params, linking: None, cause: Cause::current() };
    let created = engine::create::create(&call.app, command).await?.pop().ok_or(Error::NotFound(Resource::Device))?;
    let access_code = AccessCodeBody::of(&created.code, &created.device);
    let action_attempt = ActionAttemptBody::of_access_code(&created.attempt, &created.code, &access_code, sync)?;
    Ok(Created { action_attempt, access_code })
}
