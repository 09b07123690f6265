//! `/access_codes/report_device_constraints`.

use crate::api::edge::{Call, EmptyResult};
use crate::domain::pin::CodeLengths;
use crate::engine::code_lengths;
use crate::error::{Error, Result};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct ReportConstraints {
    device_id: Uuid,
    min_code_length: Option<u8>,
    max_code_length: Option<u8>,
    supported_code_lengths: Option<Vec<u8>>,
}

/// Sets the PIN lengths that a lock accepts, for a lock that does not report them itself. Seam expects this for
/// SmartThings locks only; all other locks report their lengths.
pub(super) async fn report_device_constraints(call: Call<ReportConstraints>) -> Result<EmptyResult> {
    let ReportConstraints { device_id, min_code_length, max_code_length, supported_code_lengths } = call.input;
    let (lengths, parameter): (Vec<u8>, _) = match (supported_code_lengths, min_code_length, max_code_length) {
        (Some(lengths), None, None) => (lengths, "supported_code_lengths"),
        (None, Some(shortest), Some(longest)) if shortest <= longest => {
            ((shortest..=longest).collect(), "min_code_length")
        }
        (None, Some(_), Some(_)) => {
            return Err(Error::invalid("max_code_length", "max_code_length must not be less than min_code_length"));
        }
        _ => {
            return Err(Error::invalid_request(
                "Give either supported_code_lengths, or min_code_length and max_code_length",
            ));
        }
    };
    if CodeLengths::from_report(&lengths).is_none() {
        let message = "A PIN has 4 to 12 digits: give a length from 4 to 12";
        return Err(Error::invalid(parameter, message));
    }
    code_lengths::report(&call.app, &call.caller.visibility(), device_id, lengths).await?;
    Ok(EmptyResult {})
}
