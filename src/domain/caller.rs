//! Caller of a request and the visibility that its credential grants.

use super::workspace::Workspace;
use std::sync::Arc;
use uuid::Uuid;

/// Authenticated sender of a request: its workspace and its credential.
#[derive(Clone, Debug)]
pub struct Caller {
    pub workspace: Arc<Workspace>,
    pub credential: Credential,
}

/// Kind of credential of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// API key: access to the whole workspace.
    ApiKey,
    /// Personal access token: access to the whole workspace.
    PersonalAccessToken,
    /// Console session: access to the whole workspace.
    ConsoleSession,
    /// Publishable key: can only be used to create client sessions; no device is visible.
    PublishableKey,
    /// Client session: access to its connected accounts.
    ClientSession(Session),
    /// Client session of a customer: access to the customer's connected accounts.
    CustomerSession(Session),
}

/// Client session with access to a part of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub client_session_id: Uuid,
    /// Accounts whose devices the session can access.
    pub connected_account_ids: Arc<[Uuid]>,
}

impl Caller {
    /// Returns the part of the workspace that the caller may read and change.
    pub fn visibility(&self) -> Visibility {
        let connected_account_ids = match &self.credential {
            Credential::ApiKey | Credential::PersonalAccessToken | Credential::ConsoleSession => None,
            Credential::PublishableKey => Some(Arc::default()),
            Credential::ClientSession(session) | Credential::CustomerSession(session) => {
                Some(Arc::clone(&session.connected_account_ids))
            }
        };
        Visibility { workspace_id: self.workspace.workspace_id, connected_account_ids }
    }
}

/// Part of a workspace that a request may read and change. For the request, everything else does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visibility {
    /// Id of the workspace.
    pub workspace_id: Uuid,
    /// Connected accounts whose devices and their codes are visible; `None`: all accounts.
    pub connected_account_ids: Option<Arc<[Uuid]>>,
}

impl Visibility {
    /// Creates the visibility of a whole workspace.
    pub fn all_of(workspace_id: Uuid) -> Self {
        Self { workspace_id, connected_account_ids: None }
    }

    /// Returns true if the devices of this connected account are visible.
    pub fn covers(&self, connected_account_id: Uuid) -> bool {
        self.connected_account_ids.as_ref().is_none_or(|ids| ids.contains(&connected_account_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ids;

    #[test]
    fn visibility_depends_on_the_credential() {
        let (mine, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let session = Session { client_session_id: Uuid::nil(), connected_account_ids: [mine].into() };
        for (credential, sees_mine, sees_other) in [
            (Credential::ApiKey, true, true),
            (Credential::PersonalAccessToken, true, true),
            (Credential::ConsoleSession, true, true),
            (Credential::PublishableKey, false, false),
            (Credential::ClientSession(session.clone()), true, false),
            (Credential::CustomerSession(session), true, false),
        ] {
            let workspace = Workspace {
                workspace_id: Uuid::from_u128(7),
                name: String::new(),
                is_sandbox: true,
                publishable_key: String::new(),
                ids: Ids::of(None),
                has_http_faults: false,
                is_strict: false,
            };
            let seen = Caller { workspace: Arc::new(workspace), credential }.visibility();
            assert_eq!((seen.covers(mine), seen.covers(other)), (sees_mine, sees_other), "{seen:?}");
            assert_eq!(seen.workspace_id, Uuid::from_u128(7));
        }
        let everything = Visibility::all_of(Uuid::from_u128(7));
        assert!(everything.covers(other));
        assert_eq!(everything.workspace_id, Uuid::from_u128(7));
    }
}
