//! Errors of keys and addresses that must be unique in a workspace.

/// What another object of the workspace has already.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Taken {
    #[error("another access grant has this access_grant_key. Choose another, or delete that access grant.")]
    AccessGrantKey,
    #[error("another space has this space_key. Choose another, or delete that space.")]
    SpaceKey,
    /// A user identity that was merged into another one keeps its key.
    #[error(
        "another user identity, or one that was merged into another one, has this user_identity_key. Choose another, or \
         delete that user identity."
    )]
    UserIdentityKey,
    #[error(
        "another user identity has this email_address or phone_number. Choose others, or merge the user identities with \
         /user_identities/merge."
    )]
    UserIdentityEmailOrPhone,
}

impl Taken {
    /// Returns the `error.type`.
    pub(super) fn error_type(self) -> &'static str {
        match self {
            Self::AccessGrantKey => "access_grant_key_already_exists",
            Self::SpaceKey => "space_key_already_exists",
            Self::UserIdentityKey => "user_identity_key_already_exists",
            Self::UserIdentityEmailOrPhone => "user_identity_email_or_phone_conflict",
        }
    }
}
