//! Seam's `user_identity`.

use crate::clock::to_iso;
use crate::domain::user_identity::UserIdentity;
use serde_json::{Value, json};

/// Returns the user identity as `/user_identities/get` shows it. There are no access systems, and so no errors.
pub(crate) fn of(identity: &UserIdentity) -> Value {
    let being_deleted = identity.deletion_requested_at.map(|since| super::being_deleted("user identity", since));
    json!({
        "user_identity_id": identity.user_identity_id,
        "workspace_id": identity.workspace_id,
        "user_identity_key": identity.user_identity_key,
        "email_address": identity.email_address,
        "phone_number": identity.phone_number,
        "full_name": identity.full_name,
        "display_name": identity.display_name(),
        "created_at": to_iso(identity.created_at),
        "merged_user_identity_ids": identity.merged_user_identity_ids,
        "merged_user_identity_keys": identity.merged_user_identity_keys,
        "acs_user_ids": [],
        "errors": [],
        "warnings": being_deleted.into_iter().collect::<Vec<Value>>(),
    })
}
