//! Seam's `client_session`.

use crate::clock::{Timestamp, iso};
use crate::store::client_sessions::CountedSession;
use serde::Serialize;
use uuid::Uuid;

/// Seam's `client_session`.
#[derive(Debug, Serialize)]
pub(crate) struct ClientSessionBody {
    client_session_id: Uuid,
    workspace_id: Uuid,
    #[serde(with = "iso")]
    created_at: Timestamp,
    #[serde(with = "iso")]
    expires_at: Timestamp,
    token: String,
    user_identifier_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_key: Option<String>,
    device_count: i64,
    connected_account_ids: Vec<Uuid>,
    connect_webview_ids: Vec<Uuid>,
    user_identity_ids: Vec<Uuid>,
}

impl From<CountedSession> for ClientSessionBody {
    fn from(CountedSession { session, device_count }: CountedSession) -> Self {
        Self {
            client_session_id: session.client_session_id,
            workspace_id: session.workspace_id,
            created_at: session.created_at,
            expires_at: session.expires_at,
            token: session.token,
            user_identifier_key: session.user_identifier_key,
            customer_key: session.customer_key,
            device_count,
            connected_account_ids: session.connected_account_ids,
            connect_webview_ids: session.connect_webview_ids,
            user_identity_ids: session.user_identity_ids,
        }
    }
}
