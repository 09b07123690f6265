//! Seam's `webhook`.

use crate::domain::webhook::Webhook;
use serde::Serialize;
use uuid::Uuid;

/// Seam's `webhook`.
#[derive(Debug, Serialize)]
pub(crate) struct WebhookBody {
    webhook_id: Uuid,
    url: String,
    event_types: Vec<String>,
    secret: String,
}

impl From<Webhook> for WebhookBody {
    fn from(webhook: Webhook) -> Self {
        let Webhook { webhook_id, url, event_types, secret, .. } = webhook;
        Self { webhook_id, url, event_types, secret }
    }
}
