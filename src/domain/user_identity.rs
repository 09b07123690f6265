//! User identities: the persons to whom access is given.

use crate::clock::Timestamp;
use uuid::Uuid;

/// User identity as it is stored, with the names of those that were merged into it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UserIdentity {
    pub user_identity_id: Uuid,
    pub workspace_id: Uuid,
    /// The client's key of the person.
    pub user_identity_key: Option<String>,
    pub full_name: Option<String>,
    pub email_address: Option<String>,
    pub phone_number: Option<String>,
    /// The client's key of the customer to whom the person belongs.
    pub customer_key: Option<String>,
    /// Devices to which the person has access without an access grant.
    pub device_ids: Vec<Uuid>,
    pub created_at: Timestamp,
    pub deletion_requested_at: Option<Timestamp>,
    /// User identities that were merged into this one, oldest first.
    pub merged_user_identity_ids: Vec<Uuid>,
    /// Keys of those that have one.
    pub merged_user_identity_keys: Vec<String>,
}

impl UserIdentity {
    /// Returns the name for display: the first that is set of name, email address, phone number, key and id.
    pub(crate) fn display_name(&self) -> String {
        let names = [&self.full_name, &self.email_address, &self.phone_number, &self.user_identity_key];
        let name = names.into_iter().flatten().find(|name| !name.is_empty());
        name.cloned().unwrap_or_else(|| self.user_identity_id.to_string())
    }

    /// Takes over the email address and the phone number that this one lacks from another, which is merged into it.
    pub(crate) fn take_over(&mut self, merged: &Self) {
        self.email_address = self.email_address.take().or_else(|| merged.email_address.clone());
        self.phone_number = self.phone_number.take().or_else(|| merged.phone_number.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::at;

    fn identity(number: u128) -> UserIdentity {
        UserIdentity {
            user_identity_id: Uuid::from_u128(number),
            workspace_id: Uuid::from_u128(2),
            user_identity_key: None,
            full_name: None,
            email_address: None,
            phone_number: None,
            customer_key: None,
            device_ids: Vec::new(),
            created_at: at(0),
            deletion_requested_at: None,
            merged_user_identity_ids: Vec::new(),
            merged_user_identity_keys: Vec::new(),
        }
    }

    #[test]
    fn display_name_is_the_first_name_that_is_set() {
        let mut jane = identity(1);
        assert_eq!(jane.display_name(), "00000000-0000-0000-0000-000000000001");
        jane.user_identity_key = Some("jane".to_owned());
        assert_eq!(jane.display_name(), "jane");
        jane.phone_number = Some("+15550100".to_owned());
        assert_eq!(jane.display_name(), "+15550100");
        jane.email_address = Some("jane@example.com".to_owned());
        assert_eq!(jane.display_name(), "jane@example.com");
        jane.full_name = Some("Jane Doe".to_owned());
        assert_eq!(jane.display_name(), "Jane Doe");
    }

    #[test]
    fn merge_takes_over_only_what_is_missing() {
        let mut survivor = identity(1);
        survivor.email_address = Some("jane@example.com".to_owned());
        let mut merged = identity(2);
        merged.email_address = Some("other@example.com".to_owned());
        merged.phone_number = Some("+15550100".to_owned());
        merged.full_name = Some("Other".to_owned());
        survivor.take_over(&merged);
        assert_eq!(survivor.email_address.as_deref(), Some("jane@example.com"));
        assert_eq!(survivor.phone_number.as_deref(), Some("+15550100"));
        assert_eq!(survivor.full_name, None);
    }
}
