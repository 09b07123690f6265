//! Parameters that several of these endpoints have.

use crate::api::body::client_session::ClientSessionBody;
use crate::domain::caller::{Caller, Credential};
use crate::domain::client_session;
use crate::engine::client_sessions::NewClientSession;
use crate::error::{CredentialError, Error, Resource, Result};
use crate::http::params::{client_key, id_of, optional_instant};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Response with one session.
#[derive(Serialize)]
pub(super) struct Found {
    pub(super) client_session: ClientSessionBody,
}

/// Access that a request gives to a session.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Access {
    #[serde(default)]
    connected_account_ids: Vec<String>,
    #[serde(default)]
    connect_webview_ids: Vec<String>,
    user_identity_id: Option<String>,
    #[serde(default)]
    user_identity_ids: Vec<String>,
}

impl Access {
    fn is_empty(&self) -> bool {
        self.connected_account_ids.is_empty()
            && self.connect_webview_ids.is_empty()
            && self.user_identity_id.is_none()
            && self.user_identity_ids.is_empty()
    }

    /// Returns the ids. The contract does not require UUIDs.
    ///
    /// # Errors
    /// [`Error::NotFound`] of an account, a webview or a user identity whose id is not a UUID.
    pub(super) fn read(&self) -> Result<client_session::Access> {
        let ids = |texts: &[String], resource| -> Result<Vec<Uuid>> {
            texts.iter().map(|text| id_of(resource, text)).collect()
        };
        let mut user_identity_ids = ids(&self.user_identity_ids, Resource::UserIdentity)?;
        user_identity_ids.extend(ids(self.user_identity_id.as_slice(), Resource::UserIdentity)?);
        Ok(client_session::Access {
            connected_account_ids: ids(&self.connected_account_ids, Resource::ConnectedAccount)?,
            connect_webview_ids: ids(&self.connect_webview_ids, Resource::ConnectWebview)?,
            user_identity_ids,
        })
    }
}

/// Parameters of a new session.
#[derive(Debug, Deserialize)]
pub(super) struct NewClientSessionParams {
    customer_id: Option<String>,
    customer_key: Option<String>,
    expires_at: Option<String>,
    user_identifier_key: Option<String>,
    #[serde(flatten)]
    access: Access,
}

impl NewClientSessionParams {
    /// Reads the parameters and checks what a caller with a publishable key may request.
    ///
    /// # Errors
    /// The errors of [`CredentialError`] for publishable keys; [`Error::NotFound`] of a customer, and those of
    /// [`Access::read`].
    pub(super) fn read(self, caller: &Caller) -> Result<NewClientSession> {
        if caller.credential == Credential::PublishableKey {
            if self.user_identifier_key.is_none() {
                return Err(CredentialError::PublishableKeyRequiresUserIdentifierKey.into());
            }
            if self.customer_id.is_some() || self.customer_key.is_some() || !self.access.is_empty() {
                return Err(CredentialError::PublishableKeysMustCreateEmptyClientSessions.into());
            }
        }
        // Customers have keys, but no ids.
        if self.customer_id.is_some() {
            return Err(Error::NotFound(Resource::Customer));
        }
        Ok(NewClientSession {
            user_identifier_key: client_key("user_identifier_key", self.user_identifier_key)?,
            customer_key: client_key("customer_key", self.customer_key)?,
            access: self.access.read()?,
            expires_at: optional_instant("expires_at", self.expires_at.as_deref())?,
        })
    }
}
