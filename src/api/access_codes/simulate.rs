//! `/access_codes/simulate/*`.

use crate::api::body::access_code::UnmanagedAccessCodeBody;
use crate::api::edge::{Call, Routes};
use crate::domain::access_code::lifecycle::LockCode;
use crate::engine::external_changes::{self, NewUnmanagedCode};
use crate::error::Result;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Returns the routes of this resource.
pub(crate) fn routes() -> Routes {
    Routes::default().add("/access_codes/simulate/create_unmanaged_access_code", create_unmanaged_access_code)
}

#[derive(Serialize)]
struct Found {
    access_code: UnmanagedAccessCodeBody,
}

#[derive(Deserialize)]
struct CreateUnmanagedAccessCode {
    device_id: Uuid,
    code: String,
    name: String,
}

async fn create_unmanaged_access_code(call: Call<CreateUnmanagedAccessCode>) -> Result<Found> {
    let CreateUnmanagedAccessCode { device_id, code, name } = call.input;
    let entry = LockCode { name: Some(name), code, window: None };
    let code = NewUnmanagedCode { device_id, entry, cannot_be_managed: false, cannot_delete: false };
    let (code, device) = external_changes::add(&call.app, &call.caller.visibility(), code).await?;
    Ok(Found { access_code: UnmanagedAccessCodeBody::of(&code, &device) })
}
