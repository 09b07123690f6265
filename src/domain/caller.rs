//! Who sent a request, and what that lets them see (platform, 1).

use super::workspace::Workspace;
use std::sync::Arc;
use uuid::Uuid;

/// The sender of a request: the workspace it acts on, and the credential that came with it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The workspace.
    pub workspace: Arc<Workspace>,
    /// The credential.
    pub credential: Credential,
}

/// What a request came with, besides the workspace that it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An API key: all of the workspace.
    ApiKey,
    /// A personal access token: all of the workspace.
    PersonalAccessToken,
    /// A session of the console: all of the workspace.
    ConsoleSession,
    /// A publishable key, which opens nothing but client sessions.
    PublishableKey,
    /// A client session: what belongs to its connected accounts.
    ClientSession(Session),
    /// A client session of a customer: what belongs to the customer's connected accounts.
    CustomerSession(Session),
}

/// A session that was made for somebody who is not to see everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub client_session_id: Uuid,
    /// The accounts whose devices it sees.
    pub connected_account_ids: Arc<[Uuid]>,
}

impl Caller {
    /// What the caller may see and change.
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

/// What of a workspace a request may see and change. What it may not is, for the request, not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visibility {
    /// The workspace.
    pub workspace_id: Uuid,
    /// The connected accounts whose devices, and what is on these, it may see; `None`: all.
    pub connected_account_ids: Option<Arc<[Uuid]>>,
}

impl Visibility {
    /// All of a workspace.
    pub fn all_of(workspace_id: Uuid) -> Self {
        Self { workspace_id, connected_account_ids: None }
    }

    /// Whether it covers what belongs to this account.
    pub fn covers(&self, connected_account_id: Uuid) -> bool {
        self.connected_account_ids.as_ref().is_none_or(|ids| ids.contains(&connected_account_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ids;

    #[test]
    fn visibility_is_that_of_the_credential() {
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
        let all = Visibility::all_of(Uuid::from_u128(7));
        assert!(all.covers(other));
        assert_eq!(all.workspace_id, Uuid::from_u128(7));
    }
}
