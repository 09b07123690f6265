//! `/access_codes/generate_code`.

use crate::api::edge::Call;
use crate::engine;
use crate::error::Result;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct GenerateCode {
    device_id: Uuid,
}

pub(super) async fn generate_code(call: Call<GenerateCode>) -> Result<Value> {
    let device_id = call.input.device_id;
    let code = engine::generate_code::generate_code(&call.app, &call.caller.visibility(), device_id).await?;
    Ok(json!({ "generated_code": { "device_id": device_id, "code": code } }))
}
