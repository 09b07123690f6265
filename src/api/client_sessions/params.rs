//! Parameters that several of these endpoints have.

use crate::api::body::client_session::ClientSessionBody;
use crate::domain::caller::{Caller, Credential};
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

    /// Returns the ids of the accounts and of the webviews. The contract does not require UUIDs.
    ///
    /// # Errors
    /// [`Error::NotFound`] of an account or a webview whose id is not a UUID, and of every user identity.
    pub(super) fn read(&self) -> Result<(Vec<Uuid>, Vec<Uuid>)> {
        if self.user_identity_id.is_some() || !self.user_identity_ids.is_empty() {
            return Err(Error::NotFound(Resource::UserIdentity));
        }
        let ids = |texts: &[String], resource| -> Result<Vec<Uuid>> {
            texts.iter().map(|text| id_of(resource, text)).collect()
        };
        Ok((
            ids(&self.connected_account_ids, Resource::ConnectedAccount)?,
            ids(&self.connect_webview_ids, Resource::ConnectWebview)?,
        ))
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
        let (connected_account_ids, connect_webview_ids) = self.access.read()?;
        Ok(NewClientSession {
            user_identifier_key: client_key("user_identifier_key", self.user_identifier_key)?,
            customer_key: client_key("customer_key", self.customer_key)?,
            connected_account_ids,
            connect_webview_ids,
            expires_at: optional_instant("expires_at", self.expires_at.as_deref())?,
        })
    }
}
