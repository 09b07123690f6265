//! Seam's `connected_account`.

use crate::clock::to_iso;
use crate::domain::connected_account::ConnectedAccount;
use serde_json::{Value, json};

/// Returns the account as `/connected_accounts/get` shows it.
pub(crate) fn of(account: &ConnectedAccount) -> Value {
    let user = &account.user_identifier;
    let user_identifier = if user.contains('@') { json!({ "email": user }) } else { json!({ "username": user }) };
    let mut body = json!({
        "connected_account_id": account.connected_account_id,
        "created_at": to_iso(account.created_at),
        "user_identifier": user_identifier,
        "account_type": account.provider,
        "account_type_display_name": account.provider_display_name(),
        "display_name": account.name(),
        "image_url": format!("https://connect.getseam.com/assets/images/providers/{}.png", account.provider),
        "errors": account.errors(),
        "warnings": [],
        "custom_metadata": account.custom_metadata,
        "automatically_manage_new_devices": account.automatically_manage_new_devices,
        "accepted_capabilities": account.accepted_capabilities,
    });
    if let Some(key) = &account.customer_key {
        body["customer_key"] = json!(key);
    }
    body
}
