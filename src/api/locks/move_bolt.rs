//! `/locks/lock_door` and `/locks/unlock_door`.

use crate::api::body::action_attempt::ActionAttemptBody;
use crate::api::edge::Call;
use crate::domain::action_attempt::NewActionAttempt;
use crate::engine::lock_operations::{self, Door};
use crate::error::Result;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct MoveBolt {
    device_id: Uuid,
    #[serde(default)]
    sync: bool,
}

/// Response with the action attempt of a request to a lock.
#[derive(Serialize)]
pub(super) struct Requested {
    action_attempt: ActionAttemptBody,
}

impl Requested {
    /// Returns the response. Without `sync` the attempt is shown as pending although it is resolved already: the SDKs
    /// expect this, and read the outcome with `/action_attempts/get`.
    pub(super) fn of(attempt: &NewActionAttempt, sync: bool) -> Self {
        let pending = NewActionAttempt { outcome: None, ..attempt.clone() };
        Self { action_attempt: ActionAttemptBody::resolved(if sync { attempt } else { &pending }) }
    }
}

pub(super) async fn lock_door(call: Call<MoveBolt>) -> Result<Requested> {
    move_bolt(call, Door::Lock).await
}

pub(super) async fn unlock_door(call: Call<MoveBolt>) -> Result<Requested> {
    move_bolt(call, Door::Unlock).await
}

async fn move_bolt(call: Call<MoveBolt>, door: Door) -> Result<Requested> {
    let MoveBolt { device_id, sync } = call.input;
    let attempt = lock_operations::move_bolt(&call.app, &call.caller.visibility(), device_id, door).await?;
    Ok(Requested::of(&attempt, sync))
}
