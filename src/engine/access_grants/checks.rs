//! Checks of requests for access grants, and their limits.

use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// Checks the times of a grant and fills in a missing start.
pub(super) fn check_times(
    (starts_at, ends_at): (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
) -> Result<(Timestamp, Option<Timestamp>)> {
    let starts_at = starts_at.unwrap_or(now);
    match ends_at {
        Some(ends_at) if ends_at <= now => Err(Error::invalid("ends_at", "ends_at must be in the future")),
        Some(ends_at) if ends_at <= starts_at => Err(Error::invalid("ends_at", "ends_at must be after starts_at")),
        ends_at => Ok((starts_at, ends_at)),
    }
}

/// Maximum number of entries in `requested_access_methods`.
const MAX_REQUESTED_METHODS: usize = 100;

/// Rejects more requested methods than a grant can have.
pub(super) fn check_count(count: usize) -> Result<()> {
    if count <= MAX_REQUESTED_METHODS {
        return Ok(());
    }
    let message = format!("An access grant has at most {MAX_REQUESTED_METHODS} requested access methods");
    Err(Error::invalid("requested_access_methods", message))
}

/// Maximum number of locks that a grant can cover when it is created.
const MAX_LOCKS: usize = 1000;

/// Rejects more locks than a new grant can cover.
pub(super) fn check_lock_count(count: usize) -> Result<()> {
    if count <= MAX_LOCKS {
        return Ok(());
    }
    Err(Error::invalid_request(format!(
        "An access grant can cover at most {MAX_LOCKS} locks, and this one covers {count}"
    )))
}

/// Maximum number of access codes that one request creates for access grants.
const MAX_NEW_CODES: usize = 5000;

/// Rejects a request that would create too many access codes.
pub(super) fn check_code_count(count: usize) -> Result<()> {
    if count <= MAX_NEW_CODES {
        return Ok(());
    }
    let message = format!(
        "The request would create {count} access codes, and {MAX_NEW_CODES} is the maximum. Give fewer devices, or fewer \
         access methods"
    );
    Err(Error::invalid_request(message))
}
