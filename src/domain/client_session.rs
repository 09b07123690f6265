//! Client sessions: credentials with access to some connected accounts of a workspace.

use crate::clock::{Timestamp, WorkspaceClock};
use crate::error::{CredentialError, Result};
use chrono::TimeDelta;
use uuid::Uuid;

/// Lifetime of a client session whose creator sets no end.
pub(crate) const DEFAULT_LIFETIME: TimeDelta = TimeDelta::days(14);

/// Access that a request gives to a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    pub connected_account_ids: Vec<Uuid>,
    pub connect_webview_ids: Vec<Uuid>,
    /// Not those that were merged into others.
    pub user_identity_ids: Vec<Uuid>,
}

/// Client session as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClientSession {
    pub client_session_id: Uuid,
    pub workspace_id: Uuid,
    pub token: String,
    /// Name that the creator has given to the user of the session.
    pub user_identifier_key: Option<String>,
    /// Customer to whom the session belongs; `None`: it is a client session without a customer.
    pub customer_key: Option<String>,
    /// True if the session of a customer can only read.
    pub is_read_only: bool,
    /// Connected accounts that were granted to the session.
    pub connected_account_ids: Vec<Uuid>,
    /// Connect webviews that were granted to the session.
    pub connect_webview_ids: Vec<Uuid>,
    /// User identities that were granted to the session.
    pub user_identity_ids: Vec<Uuid>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl ClientSession {
    /// Returns true if the token of the session is accepted at this instant.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        check(self.revoked_at.is_some(), self.expires_at, now).is_ok()
    }

    /// Adds what the session does not have. Returns true if there is any.
    pub(crate) fn grant(&mut self, access: &Access) -> bool {
        let accounts = add_missing(&mut self.connected_account_ids, &access.connected_account_ids);
        let webviews = add_missing(&mut self.connect_webview_ids, &access.connect_webview_ids);
        let identities = add_missing(&mut self.user_identity_ids, &access.user_identity_ids);
        accounts || webviews || identities
    }
}

/// Appends the ids that are not in the list yet. Returns true if there are any.
pub(crate) fn add_missing(list: &mut Vec<Uuid>, ids: &[Uuid]) -> bool {
    let before = list.len();
    for id in ids {
        if !list.contains(id) {
            list.push(*id);
        }
    }
    list.len() > before
}

/// State that decides whether the token of a session is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// Clock of the workspace, by which the session expires.
    pub(crate) clock: WorkspaceClock,
    pub(crate) expires_at: Timestamp,
    pub(crate) is_revoked: bool,
}

impl Validity {
    /// Checks whether the token is accepted at this time of the machine.
    ///
    /// # Errors
    /// [`CredentialError::ClientSessionRevoked`]; [`CredentialError::ClientSessionExpired`].
    pub(crate) fn check(&self, machine_now: Timestamp) -> Result<()> {
        Ok(check(self.is_revoked, self.expires_at, self.clock.now(machine_now))?)
    }
}

/// Checks whether the token of a session is accepted at this instant of its workspace.
fn check(is_revoked: bool, expires_at: Timestamp, now: Timestamp) -> Result<(), CredentialError> {
    if is_revoked {
        Err(CredentialError::ClientSessionRevoked)
    } else if now >= expires_at {
        Err(CredentialError::ClientSessionExpired)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_iso;

    #[test]
    fn validity_ends_with_the_revocation_or_at_the_end_on_the_clock() {
        let at = |text| from_iso(text).unwrap();
        let (before, end, machine_now) =
            (at("2026-01-01T11:59:59Z"), at("2026-01-01T12:00:00Z"), at("2030-01-01T00:00:00Z"));
        for (clock_at, is_revoked, expected) in [
            (before, false, None),
            (end, false, Some("Unauthorized (client session expired)")),
            (before, true, Some("Unauthorized (client session revoked)")),
            (end, true, Some("Unauthorized (client session revoked)")),
        ] {
            let clock = WorkspaceClock::Held { at: clock_at };
            let checked = Validity { clock, expires_at: end, is_revoked }.check(machine_now);
            assert_eq!(checked.err().map(|error| error.to_string()).as_deref(), expected);
        }
    }

    #[test]
    fn grant_adds_each_id_once() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut ids = vec![one];
        assert!(!add_missing(&mut ids, &[one, one]));
        assert!(add_missing(&mut ids, &[two, one, two]));
        assert_eq!(ids, [one, two]);
    }
}
