//! Connected accounts: accounts of users at manufacturers, through which devices are connected.

use super::device::brands;
use super::device::health::ACCOUNT_DISCONNECTED;
use crate::clock::{Timestamp, to_iso};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// User of the accounts that Latchkey creates itself, for the locks of the control plane: one account per provider. A
/// login as this user at a connect webview reconnects such an account.
pub(crate) const AUTOMATIC_USER: &str = "sandbox@example.com";

/// Capabilities that an account can bring: those of a lock.
pub(crate) const CAPABILITIES: [&str; 1] = ["lock"];

/// Connected account of a workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectedAccount {
    pub connected_account_id: Uuid,
    /// Seam's name for the manufacturer.
    pub provider: String,
    /// Email address or user name that identifies the user at the provider.
    pub user_identifier: String,
    /// Name that a client gave the account; `None`: the user identifier.
    pub display_name: Option<String>,
    /// The client's key of the customer to whom the account belongs.
    pub customer_key: Option<String>,
    /// Metadata set by clients of the API.
    pub custom_metadata: Map<String, Value>,
    /// True if devices that appear in the account are managed.
    pub automatically_manage_new_devices: bool,
    /// Kinds of devices that the account may bring.
    pub accepted_capabilities: Vec<String>,
    pub created_at: Timestamp,
    /// Instant since which the account is disconnected; `None` while it is connected.
    pub disconnected_at: Option<Timestamp>,
    /// Number of `connected_account.*` events so far, which is the ordinal of the next one.
    pub events_made: i64,
    /// Time of the deletion; `None`: the account exists.
    pub deleted_at: Option<Timestamp>,
}

impl ConnectedAccount {
    /// Returns the name of the manufacturer for display.
    pub fn provider_display_name(&self) -> &str {
        let brand = brands::BRANDS.iter().find(|brand| brand.provider == self.provider);
        brand.map_or(&self.provider, |brand| brand.display_name)
    }

    /// Returns the name of the account for display.
    pub fn name(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.user_identifier)
    }

    /// Returns Seam's `errors` of the account.
    pub fn errors(&self) -> Vec<Value> {
        let error = |since| {
            json!({
                "error_code": "account_disconnected",
                "created_at": to_iso(since),
                "message": ACCOUNT_DISCONNECTED,
                "is_connected_account_error": true,
                "is_bridge_error": false,
            })
        };
        self.disconnected_at.map(error).into_iter().collect()
    }

    /// Returns the fields of the account that its events have.
    pub fn event_fields(&self, event_type: &str) -> Map<String, Value> {
        self.fields().of_account(event_type)
    }

    /// Returns the part of the account that events contain.
    pub fn fields(&self) -> AccountFields {
        AccountFields { customer_key: self.customer_key.clone(), custom_metadata: self.custom_metadata.clone() }
    }
}

/// Part of an account that events of the account, its devices and their codes contain.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
pub struct AccountFields {
    /// The client's key of the customer to whom the account belongs.
    pub customer_key: Option<String>,
    /// Metadata set by clients of the API.
    pub custom_metadata: Map<String, Value>,
}

/// Types of events of an account or a webview that have the key of the customer.
const WITH_CUSTOMER_KEY: [&str; 3] =
    ["connected_account.connected", "connected_account.deleted", "connect_webview.login_succeeded"];

impl AccountFields {
    /// Returns the fields for an event of the account itself. Empty values are left out.
    pub fn of_account(&self, event_type: &str) -> Map<String, Value> {
        let mut fields = self.metadata();
        if WITH_CUSTOMER_KEY.contains(&event_type) {
            fields.extend(self.customer());
        }
        fields
    }

    /// Returns the fields for an event of a device of the account, which has this metadata. Empty values are left out.
    pub fn of_device(&self, device_metadata: &Map<String, Value>) -> Map<String, Value> {
        let mut fields = self.of_access_code(device_metadata);
        fields.extend(self.customer());
        fields
    }

    /// Returns the fields for an event of a code on a device of the account, which has this metadata. Empty values are
    /// left out.
    pub fn of_access_code(&self, device_metadata: &Map<String, Value>) -> Map<String, Value> {
        let mut fields = self.metadata();
        if !device_metadata.is_empty() {
            fields.insert("device_custom_metadata".to_owned(), json!(device_metadata));
        }
        fields
    }

    fn metadata(&self) -> Map<String, Value> {
        let metadata = Some(&self.custom_metadata).filter(|metadata| !metadata.is_empty());
        metadata.map(|metadata| ("connected_account_custom_metadata".to_owned(), json!(metadata))).into_iter().collect()
    }

    fn customer(&self) -> Option<(String, Value)> {
        self.customer_key.as_ref().map(|key| ("customer_key".to_owned(), json!(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_fields_have_what_is_set_and_what_the_type_has() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let empty = AccountFields::default();
        assert!(empty.of_account("connected_account.connected").is_empty());
        assert!(empty.of_device(&Map::new()).is_empty());
        let set = AccountFields { customer_key: Some("c1".to_owned()), custom_metadata: map(json!({ "a": "1" })) };
        let of_account = json!({ "connected_account_custom_metadata": { "a": "1" } });
        assert_eq!(Value::from(set.of_account("connected_account.created")), of_account);
        let connected = json!({ "connected_account_custom_metadata": { "a": "1" }, "customer_key": "c1" });
        assert_eq!(Value::from(set.of_account("connected_account.connected")), connected);
        let device = map(json!({ "room": "7" }));
        let of_code =
            json!({ "connected_account_custom_metadata": { "a": "1" }, "device_custom_metadata": { "room": "7" } });
        assert_eq!(Value::from(set.of_access_code(&device)), of_code);
        assert_eq!(set.of_device(&device)["customer_key"], "c1");
        assert_eq!(set.of_device(&device).len(), 3);
    }
}
