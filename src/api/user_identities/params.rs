//! Parameters that several of these endpoints have.

use crate::domain::caller::Visibility;
use crate::domain::user_identity::UserIdentity;
use crate::engine::user_identities::{NewUserIdentity, of_names};
use crate::error::{Error, Resource, Result};
use crate::http::params::{check_key_length, client_key};
use crate::postgres::Pool;
use crate::store::user_identities::{self, Names};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Response with one user identity.
#[derive(Serialize)]
pub(super) struct Found {
    pub(super) user_identity: Value,
}

/// Properties of a new user identity.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct NewUserIdentityParams {
    user_identity_key: Option<String>,
    full_name: Option<String>,
    email_address: Option<String>,
    phone_number: Option<String>,
}

impl NewUserIdentityParams {
    /// Checks the properties of an identity of the customer with this key.
    ///
    /// # Errors
    /// `invalid_input` for a key of white space only, and for the errors of [`check_contact`].
    pub(crate) fn read(self, customer_key: Option<String>) -> Result<NewUserIdentity> {
        check_contact(self.email_address.as_deref(), self.phone_number.as_deref())?;
        Ok(NewUserIdentity {
            user_identity_key: client_key("user_identity_key", self.user_identity_key)?,
            full_name: self.full_name,
            email_address: self.email_address,
            phone_number: self.phone_number,
            customer_key,
        })
    }
}

/// Checks an email address, whose form the contract checks, and a phone number.
///
/// # Errors
/// `invalid_input` for a very long email address, and for a phone number that is not in the form of E.164.
pub(super) fn check_contact(email_address: Option<&str>, phone_number: Option<&str>) -> Result<()> {
    if let Some(email_address) = email_address {
        check_key_length("email_address", email_address)?;
    }
    let Some(phone_number) = phone_number else { return Ok(()) };
    let digits = phone_number.strip_prefix('+').unwrap_or_default();
    let is_number = (2..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || digits.starts_with('0') {
        let message = "Invalid phone number: give + and the digits with the country code, such as +15550100";
        return Err(Error::invalid("phone_number", message));
    }
    Ok(())
}

/// Returns the user identity that is named so, if the caller sees it.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::UserIdentity`].
pub(super) async fn find(pool: &Pool, visibility: &Visibility, names: &Names) -> Result<UserIdentity> {
    let found = user_identities::list(pool, visibility, &of_names(names)).await?;
    found.into_iter().next().ok_or(Error::NotFound(Resource::UserIdentity))
}
