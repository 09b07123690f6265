//! Errors of credentials other than a plain 401.

/// Error of a client session, of a publishable key, or of the reset of a workspace that is not a sandbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CredentialError {
    /// The value in the header for client session tokens does not have the format of one.
    #[error("Invalid client session token")]
    InvalidClientSessionToken,
    /// The client session token is unknown.
    #[error("Unauthorized (client session not found)")]
    ClientSessionNotFound,
    /// The client session was revoked.
    #[error("Unauthorized (client session revoked)")]
    ClientSessionRevoked,
    /// The client session has expired, on the clock of its workspace.
    #[error("Unauthorized (client session expired)")]
    ClientSessionExpired,
    /// The header of the publishable key is not a text.
    #[error("seam-publishable-key must be a string")]
    InvalidPublishableKey,
    /// No workspace has the publishable key.
    #[error("Cannot find workspace associated with this publishable_key")]
    PublishableKeyNotFound,
    /// The workspace does not accept its publishable key.
    #[error(
        "This workspace does not accept its publishable key. Set is_publishable_key_auth_enabled to true with \
         /workspaces/update"
    )]
    PublishableKeyDisabled,
    /// With a publishable key, a request must name the user of the session.
    #[error("user_identifier_key is required with publishable_key")]
    PublishableKeyRequiresUserIdentifierKey,
    /// With a publishable key, a new session gets no access.
    #[error(
        "A publishable key can only create client sessions without connected accounts, connect webviews, customers and \
         user identities. Create the session with an API key, or grant the access afterwards"
    )]
    PublishableKeysMustCreateEmptyClientSessions,
    /// The user of a new session already has a session.
    #[error(
        "A client session with this user_identifier_key already exists. Use /client_sessions/get_or_create, or PUT"
    )]
    ClientSessionTokenAlreadyExists,
    /// The workspace is not a sandbox.
    #[error("can only reset sandbox on sandbox workspaces")]
    WorkspaceNotSandbox,
}

impl CredentialError {
    /// Returns the HTTP status and Seam's `error.type`.
    pub(super) fn status_and_type(self) -> (u16, &'static str) {
        match self {
            Self::InvalidClientSessionToken => (400, "invalid_client_session_token"),
            Self::ClientSessionNotFound => (401, "client_session_not_found"),
            Self::ClientSessionRevoked => (401, "client_session_revoked"),
            Self::ClientSessionExpired => (401, "client_session_expired"),
            Self::InvalidPublishableKey => (401, "invalid_publishable_key"),
            Self::PublishableKeyNotFound => (401, "workspace_not_found"),
            Self::PublishableKeyDisabled => (401, "unauthorized"),
            Self::PublishableKeyRequiresUserIdentifierKey => (401, "publishable_key_requires_user_identifier_key"),
            Self::PublishableKeysMustCreateEmptyClientSessions => {
                (403, "publishable_keys_must_create_empty_client_sessions")
            }
            Self::ClientSessionTokenAlreadyExists => (400, "client_session_token_already_exists"),
            Self::WorkspaceNotSandbox => (400, "workspace_not_sandbox"),
        }
    }
}
