//! Caller of a request and the visibility that its credential grants.

use super::workspace::Workspace;
use crate::error::{Error, Result};
use std::sync::Arc;
use uuid::Uuid;

/// Error for a request without a credential that this endpoint accepts.
pub(crate) const NO_METHOD_SUCCEEDED: Error = Error::Unauthorized("No authentication methods succeeded");

/// Authenticated sender of a request.
#[derive(Clone, Debug)]
pub enum Sender {
    /// Sender in one workspace.
    InWorkspace(Caller),
    /// Person who has selected no workspace; the id of the person. Only few endpoints accept such a sender.
    Person(Uuid),
}

impl Sender {
    /// Returns the workspace of the request.
    pub(crate) fn workspace(&self) -> Option<&Arc<Workspace>> {
        match self {
            Self::InWorkspace(caller) => Some(&caller.workspace),
            Self::Person(_) => None,
        }
    }

    /// Returns the person whose credential the request has.
    pub(crate) fn person_id(&self) -> Option<Uuid> {
        match self {
            Self::InWorkspace(Caller {
                credential: Credential::PersonalAccessToken(person_id) | Credential::ConsoleSession(person_id),
                ..
            })
            | Self::Person(person_id) => Some(*person_id),
            Self::InWorkspace(_) => None,
        }
    }
}

/// Senders that a handler accepts: a [`Caller`], or any [`Sender`].
pub trait AcceptedSender: Sized {
    /// Converts the authenticated sender.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if the handler needs a workspace, and the sender has selected none.
    fn of(sender: Sender) -> Result<Self>;
}

impl AcceptedSender for Sender {
    fn of(sender: Sender) -> Result<Self> {
        Ok(sender)
    }
}

impl AcceptedSender for Caller {
    fn of(sender: Sender) -> Result<Self> {
        match sender {
            Sender::InWorkspace(caller) => Ok(caller),
            Sender::Person(_) => Err(NO_METHOD_SUCCEEDED),
        }
    }
}

/// Authenticated sender of a request in a workspace: the workspace and the credential.
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
    /// Personal access token: access to the whole workspace; the id of the person.
    PersonalAccessToken(Uuid),
    /// Console session: access to the whole workspace; the id of the person.
    ConsoleSession(Uuid),
    /// Publishable key: can only be used to create client sessions; no device is visible.
    PublishableKey,
    /// Client session: access to its connected accounts.
    ClientSession(Session),
    /// Client session of a customer: access to the customer's connected accounts.
    CustomerSession(Session),
    /// Client session of a customer that can only read.
    ReadOnlyCustomerSession(Session),
}

impl Credential {
    /// Returns the client session, of any kind.
    pub(crate) fn session(&self) -> Option<&Session> {
        match self {
            Self::ClientSession(session) | Self::CustomerSession(session) | Self::ReadOnlyCustomerSession(session) => {
                Some(session)
            }
            Self::ApiKey | Self::PersonalAccessToken(_) | Self::ConsoleSession(_) | Self::PublishableKey => None,
        }
    }
}

/// Client session with access to a part of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub client_session_id: Uuid,
    /// Accounts whose devices the session can access.
    pub connected_account_ids: Arc<[Uuid]>,
    /// Connect webviews that the session can access, also before anybody has logged in.
    pub connect_webview_ids: Arc<[Uuid]>,
    /// User identities that the session can see.
    pub user_identity_ids: Arc<[Uuid]>,
    /// Key of the customer to whom the session belongs, if any.
    pub customer_key: Option<String>,
}

impl Caller {
    /// Returns the part of the workspace that the caller may read and change.
    pub fn visibility(&self) -> Visibility {
        let everything = Visibility::all_of(self.workspace.workspace_id);
        match &self.credential {
            Credential::ApiKey | Credential::PersonalAccessToken(_) | Credential::ConsoleSession(_) => everything,
            Credential::PublishableKey => Visibility { connected_account_ids: Some(Arc::default()), ..everything },
            Credential::ClientSession(session)
            | Credential::CustomerSession(session)
            | Credential::ReadOnlyCustomerSession(session) => Visibility {
                connected_account_ids: Some(Arc::clone(&session.connected_account_ids)),
                connect_webview_ids: Arc::clone(&session.connect_webview_ids),
                customer_key: session.customer_key.clone(),
                user_identity_ids: Arc::clone(&session.user_identity_ids),
                ..everything
            },
        }
    }
}

/// Part of a workspace that a request may read and change. For the request, everything else does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visibility {
    /// Id of the workspace.
    pub workspace_id: Uuid,
    /// Connected accounts whose devices and their codes are visible; `None`: all accounts.
    pub connected_account_ids: Option<Arc<[Uuid]>>,
    /// Connect webviews that are visible in addition to those of visible accounts, if not all accounts are.
    pub connect_webview_ids: Arc<[Uuid]>,
    /// Customer whose spaces and user identities are visible, if not all accounts are; `None`: no customer.
    pub customer_key: Option<String>,
    /// User identities that are visible in addition to those of the customer, if not all accounts are.
    pub user_identity_ids: Arc<[Uuid]>,
}

impl Visibility {
    /// Creates the visibility of a whole workspace.
    pub fn all_of(workspace_id: Uuid) -> Self {
        Self {
            workspace_id,
            connected_account_ids: None,
            connect_webview_ids: Arc::default(),
            customer_key: None,
            user_identity_ids: Arc::default(),
        }
    }

    /// Returns true if the devices of this connected account are visible.
    pub fn covers(&self, connected_account_id: Uuid) -> bool {
        self.connected_account_ids.as_ref().is_none_or(|ids| ids.contains(&connected_account_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;

    fn workspace() -> Arc<Workspace> {
        Arc::new(samples::workspace(None))
    }

    #[test]
    fn visibility_depends_on_the_credential() {
        let (mine, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let session = Session {
            client_session_id: Uuid::nil(),
            connected_account_ids: [mine].into(),
            connect_webview_ids: Arc::default(),
            user_identity_ids: Arc::default(),
            customer_key: None,
        };
        for (credential, sees_mine, sees_other) in [
            (Credential::ApiKey, true, true),
            (Credential::PersonalAccessToken(mine), true, true),
            (Credential::ConsoleSession(mine), true, true),
            (Credential::PublishableKey, false, false),
            (Credential::ClientSession(session.clone()), true, false),
            (Credential::CustomerSession(session.clone()), true, false),
            (Credential::ReadOnlyCustomerSession(session), true, false),
        ] {
            let seen = Caller { workspace: workspace(), credential }.visibility();
            assert_eq!((seen.covers(mine), seen.covers(other)), (sees_mine, sees_other), "{seen:?}");
            assert_eq!(seen.workspace_id, Uuid::from_u128(2));
        }
        let everything = Visibility::all_of(Uuid::from_u128(7));
        assert!(everything.covers(other));
        assert_eq!(everything.workspace_id, Uuid::from_u128(7));
    }

    #[test]
    fn sender_without_a_workspace_is_accepted_only_where_none_is_needed() {
        let person = Sender::Person(Uuid::from_u128(1));
        assert!(Caller::of(person.clone()).is_err());
        assert_eq!(Sender::of(person).unwrap().person_id(), Some(Uuid::from_u128(1)));
        for (credential, person_id) in [
            (Credential::ApiKey, None),
            (Credential::PersonalAccessToken(Uuid::from_u128(2)), Some(Uuid::from_u128(2))),
            (Credential::ConsoleSession(Uuid::from_u128(3)), Some(Uuid::from_u128(3))),
        ] {
            let sender = Sender::InWorkspace(Caller { workspace: workspace(), credential });
            assert_eq!(sender.person_id(), person_id);
            assert!(Caller::of(sender).is_ok());
        }
    }
}
