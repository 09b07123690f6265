//! `/client_sessions/list`.

use crate::api::body::client_session::ClientSessionBody;
use crate::api::edge::Call;
use crate::error::Result;
use crate::store::client_sessions::{self, Filter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct List {
    client_session_id: Option<String>,
    connect_webview_id: Option<String>,
    user_identifier_key: Option<String>,
    user_identity_id: Option<String>,
    #[serde(default)]
    without_user_identifier_key: bool,
}

#[derive(Serialize)]
pub(super) struct Listed {
    client_sessions: Vec<ClientSessionBody>,
}

pub(super) async fn list(call: Call<List>) -> Result<Listed> {
    let input = &call.input;
    // The contract does not require UUIDs. A text that is not a UUID matches no session.
    let id = |text: &Option<String>| text.as_deref().map(Uuid::parse_str).transpose();
    let (Ok(client_session_id), Ok(connect_webview_id), Ok(user_identity_id)) =
        (id(&input.client_session_id), id(&input.connect_webview_id), id(&input.user_identity_id))
    else {
        return Ok(Listed { client_sessions: Vec::new() });
    };
    let filter = Filter {
        client_session_id,
        user_identifier_key: input.user_identifier_key.as_deref(),
        connect_webview_id,
        user_identity_id,
        without_user_identifier_key: input.without_user_identifier_key,
        limit: None,
    };
    let found = client_sessions::list(&call.app.pool, call.caller.workspace.workspace_id, &filter).await?;
    Ok(Listed { client_sessions: found.into_iter().map(ClientSessionBody::from).collect() })
}
