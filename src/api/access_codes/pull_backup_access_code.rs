//! `/access_codes/pull_backup_access_code`.

use crate::api::body::access_code::AccessCodeBody;
use crate::api::edge::Call;
use crate::engine::backup_pool;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Pull {
    access_code_id: Uuid,
}

/// Both members contain the backup code: Seam's guide documents the backup code as the response, and SDKs return only
/// the member `access_code`.
#[derive(Serialize)]
pub(super) struct Pulled {
    access_code: AccessCodeBody,
    backup_access_code: AccessCodeBody,
}

pub(super) async fn pull_backup_access_code(call: Call<Pull>) -> Result<Pulled> {
    let (code, device) = backup_pool::pull(&call.app, &call.caller.visibility(), call.input.access_code_id).await?;
    Ok(Pulled {
        access_code: AccessCodeBody::of(&code, &device),
        backup_access_code: AccessCodeBody::of(&code, &device),
    })
}
