//! Parameters and responses that several of these endpoints share.

use crate::api::body::access_grant::AccessGrantBody;
use crate::domain::access_grant::Mode;
use crate::engine::access_grants::{GrantReference, RequestedMethod};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Response with one grant.
#[derive(Serialize)]
pub(super) struct Found {
    pub(super) access_grant: AccessGrantBody,
}

/// Returns the grant that a request names by its id or its key.
///
/// # Errors
/// Both or neither are given.
pub(crate) fn reference(id: Option<Uuid>, key: Option<String>) -> Result<GrantReference> {
    match (id, key) {
        (Some(id), None) => Ok(GrantReference::Id(id)),
        (None, Some(key)) => Ok(GrantReference::Key(key)),
        _ => Err(Error::invalid_request("Either access_grant_id or access_grant_key is required")),
    }
}

/// Access method that a request asks for.
#[derive(Debug, Deserialize)]
pub(super) struct RequestedMethodParams {
    mode: Mode,
    code: Option<String>,
    instant_key_max_use_count: Option<f64>,
}

/// Reads the requested methods and checks which parameters fit their modes.
///
/// # Errors
/// A parameter that the mode does not have.
pub(super) fn requested_methods(params: Vec<RequestedMethodParams>) -> Result<Vec<RequestedMethod>> {
    let read = |RequestedMethodParams { mode, code, instant_key_max_use_count }| {
        if code.is_some() && mode != Mode::Code {
            return Err(Error::invalid("requested_access_methods", "code is only for the mode code"));
        }
        if instant_key_max_use_count.is_some() && mode != Mode::MobileKey {
            let message = "instant_key_max_use_count is only for the mode mobile_key";
            return Err(Error::invalid("requested_access_methods", message));
        }
        #[expect(clippy::cast_possible_truncation, reason = "the contract requires an integer; large ones saturate")]
        let instant_key_max_use_count = instant_key_max_use_count.map(|count| count as i64);
        Ok(RequestedMethod { mode, code, instant_key_max_use_count })
    };
    params.into_iter().map(read).collect()
}
